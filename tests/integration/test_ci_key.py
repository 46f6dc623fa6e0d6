# SPDX-License-Identifier: GPL-3.0-or-later
"""CI's key: from a virgin registry to a job that can push with what the forge gives it, and on from there."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from integration.conftest import Mac
from integration.playbook import CHECKOUT, Outcome
from support.forge import Forge, standin_forge
from support.onepassword import Op
from support.zot_binary import ask

PLAYBOOKS = CHECKOUT / "playbooks"
ITEM = {"kind": "onepassword", "vault": "blumeops", "item": "Forgejo Secrets"}
REPOSITORY = "eblume/blumeops"
NAME = "ZOT_CI_API_KEY"
EVERYTHING = ("zot-ci-api", "zot-ci-api-rotation", "zot-ci-api-password", "api-token")


class House:
    """A registry's host, a forge and a vault; the variables are those of the example inventory."""

    def __init__(self, mac: Mac, forge: Forge, op: Op) -> None:
        self.mac, self.forge, self.op = mac, forge, op
        self.variables: dict[str, t.Any] = {
            "zot_local_users": ["zot-ci"],
            "zot_local_password_stores": {"zot-ci": {**ITEM, "field": "zot-ci-api-password"}},
            "zot_groups": {"artifact-workloads": ["zot-ci"]},
            "zot_upstreams": [],
            "zot_upstream_passwords": {},
            "zot_grants": [
                {"anonymous": True, "actions": ["read"]},
                {"authenticated": True, "actions": ["read"]},
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
            ],
            "zot_api_keys": True,
            "zot_ci_key_registry": f"http://127.0.0.1:{mac.port}",
            "zot_ci_key_store": {**ITEM, "field": "zot-ci-api"},
            "forgejo_actions_secrets_api_url": forge.url,
            "forgejo_actions_secrets_vault": "blumeops",
            "forgejo_actions_secrets_zot_ci_repositories": [REPOSITORY],
        }

    def play(self, playbook: str, *arguments: str, **more: t.Any) -> Outcome:
        environment = {"PATH": f"{self.op.on_path()}:/usr/bin:/bin", "OP_SIM_FOLDER": str(self.op.folder)}
        return self.mac.playing(PLAYBOOKS / playbook, **environment)(*arguments, **{**self.variables, **more})

    @property
    def fields(self) -> dict[str, str]:
        return self.op.items["blumeops"]["Forgejo Secrets"]

    @property
    def secret(self) -> str | None:
        """What a job of CI is given."""
        return self.forge.secret_value(f"repos/{REPOSITORY}", NAME)

    def job(self, secret: str | None = None) -> int | None:
        """What the registry says to a job that logs in."""
        return ask(f"http://127.0.0.1:{self.mac.port}/v2/", "zot-ci", secret or self.secret or "")[0]

    def assert_told_nothing(self, outcome: Outcome) -> None:
        for name in EVERYTHING:
            if self.fields.get(name):
                assert self.fields[name] not in outcome.stdout, name
        assert "zak_" not in outcome.stdout


@pytest.fixture
def house(mac: Mac) -> Iterator[House]:
    with standin_forge() as forge:
        forge.make_repository("eblume", "blumeops")
        token = forge.token("eblume", "write:repository")
        yield House(mac, forge, Op(mac.folder / "op", {"blumeops": {"Forgejo Secrets": {"api-token": token}}}))


def test_one_command_from_a_virgin_registry_to_a_published_key(house: House) -> None:
    planned = house.play("provision_indri.yml", "--check", "--diff")
    assert planned.rc == 0, planned.stdout
    assert "make a key, as there is no key yet" in planned.stdout
    assert (set(house.fields), house.secret, house.mac.tree()) == ({"api-token"}, None, {})

    done = house.play("provision_indri.yml", "-vvv", "--diff")
    assert done.rc == 0, done.stdout
    house.assert_told_nothing(done)
    assert (house.job(), house.secret) == (200, house.fields["zot-ci-api"])

    kept, requests = dict(house.fields), len(house.forge.requests)
    for arguments in ([], ["--check", "--diff"]):
        again = house.play("provision_indri.yml", *arguments)
        assert (again.rc, again.stdout.count("changed=0")) == (0, 2), again.stdout
    assert house.fields == kept
    assert {method for method, _path, _status in house.forge.requests[requests:]} == {"GET"}

    checked = house.play("rotate_ci_key.yml", "--check", "--diff", zot_ci_key_state="renewed")
    assert "make a key, as a new one was asked for" in checked.stdout
    house.assert_told_nothing(checked)
    assert house.fields == kept


def test_after_a_leak_the_old_key_is_refused_and_jobs_go_on_with_the_new_one(house: House) -> None:
    assert house.play("provision_indri.yml").rc == 0
    leaked = house.secret
    assert leaked
    done = house.play("revoke_keys.yml", "-vvv", "--diff")
    assert done.rc == 0, done.stdout
    house.assert_told_nothing(done)
    assert leaked not in done.stdout
    assert "keys that another user made are not seen" in " ".join(done.stdout.split())
    assert (house.job(leaked), house.job()) == (401, 200)
    assert house.secret == house.fields["zot-ci-api"] != leaked


@pytest.mark.parametrize("state", ["fresh", "renewed", "sole"])
def test_a_state_given_to_the_answer_to_a_leak_is_refused_before_anything_is_done(house: House, state: str) -> None:
    refused = house.play("revoke_keys.yml", zot_ci_key_state=state)
    assert refused.rc == 2
    assert "would take the place of both states that this playbook goes through" in " ".join(refused.stdout.split())
    assert (set(house.fields), house.forge.requests) == ({"api-token"}, [])


def test_a_forge_that_is_down_loses_nothing_and_the_next_run_publishes(house: House) -> None:
    assert house.play("provision_indri.yml").rc == 0
    before = house.secret
    house.forge.fail(503, method="PUT", path="/secrets/", times=99)
    failed = house.play("rotate_ci_key.yml", zot_ci_key_state="renewed")
    assert failed.rc == 2
    house.assert_told_nothing(failed)
    assert (house.secret, house.job()) == (before, 200)
    house.forge.heal()
    done = house.play("rotate_ci_key.yml")
    assert done.rc == 0, done.stdout
    assert (house.secret, house.job(), house.job(before)) == (house.fields["zot-ci-api"], 200, 200)
    assert house.secret != before
