# SPDX-License-Identifier: GPL-3.0-or-later
"""The example inventory's policy: the advice it gets, and what its change shows before it happens."""

from __future__ import annotations

import re
import typing as t

import yaml
from integration.conftest import Mac
from integration.playbook import CHECKOUT
from support.oidc import mock_provider

INDRI: dict[str, t.Any] = yaml.safe_load((CHECKOUT / "inventory/host_vars/indri.yml").read_text())


def narrowed(grants: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return [{**grant, "repositories": ["blumeops/**"]} if "artifact-workloads" in grant.get("groups", []) else grant for grant in grants]


def told(output: str) -> list[str]:
    """The lines about rights, at the end of the diff."""
    lines = output.partition("who may do what:\n")[2].splitlines()
    return [" ".join(line.split()) for line in lines if re.search(r"  (gains|loses) ", line)]


def test_narrowing_the_grant_of_ci_shows_just_that(mac: Mac) -> None:
    with mock_provider({"erich": {"preferred_username": "erich", "groups": ["admins"]}}) as provider:
        given = {
            "zot_local_users": [],
            "zot_upstream_passwords": {},
            "zot_upstreams": INDRI["zot_upstreams"],
            "zot_grants": INDRI["zot_grants"],
            "zot_oidc": {**INDRI["zot_oidc"], "issuer": provider.issuer},
            "zot_oidc_client_secret": "made-up",
            "zot_probe": False,
        }
        first = mac.play("--check", "--diff", **given)
        assert first.rc == 0, first.stdout
        # The advice names who, where, and the one line that mends it.
        advice = " ".join(first.stdout.split())
        assert "ZOT431" in advice
        assert "artifact-workloads may push to docker.io/**, ghcr.io/**, quay.io/**" in advice
        assert 'repositories: ["blumeops/**"]' in advice
        assert mac.play(**given).rc == 0
        changed = {**given, "zot_grants": narrowed(INDRI["zot_grants"])}
        done = mac.play("--check", "--diff", **changed)
        assert done.rc == 0, done.stdout
        assert told(done.stdout) == [
            f"artifact-workloads {where} loses create" for where in ("docker.io/**", "ghcr.io/**", "quay.io/**", "**")
        ]
        assert "ZOT431" not in done.stdout
        back = mac.play(**changed)
        assert back.rc == 0, back.stdout
        refused = mac.play("--check", "--diff", **given, zot_forbid_widening=True)
        assert refused.rc == 2
        assert "zot_confirm_widening=true" in refused.stdout
