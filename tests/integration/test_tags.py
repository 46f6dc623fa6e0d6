# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's tags, beside those of others."""

from __future__ import annotations

import os

from integration.conftest import LABEL, Mac
from integration.playbook import CHECKOUT


def test_proving_changes_nothing_and_fails_where_nothing_serves(serving_mac: Mac) -> None:
    before, pid = serving_mac.tree(), serving_mac.pid()
    done = serving_mac.play("--tags", "zot_prove", zot_local_passwords={}, zot_upstream_passwords={})
    assert done.changed == 0
    assert "Prove that the right zot serves" in done.stdout
    assert (serving_mac.tree(), serving_mac.pid()) == (before, pid)

    assert serving_mac.sim("bootout", f"gui/{os.geteuid()}/{LABEL}").returncode == 0
    done = serving_mac.play("--tags", "zot_prove", zot_ready_timeout=1)
    assert done.rc == 2
    assert f"{LABEL} has no running process" in done.stdout
    assert serving_mac.pid() == 0


def test_a_run_of_another_role_asks_nothing_of_zot(mac: Mac) -> None:
    done = mac.playing(CHECKOUT / "playbooks" / "provision_indri.yml")("--tags", "other", zot_port="no port", zot_oidc_client_secret="")
    assert done.rc == 0
    assert "TASK" not in done.stdout
    assert mac.tree() == {}


def test_the_variables_are_checked_before_a_secret_is_looked_for(mac: Mac) -> None:
    done = mac.playing(CHECKOUT / "playbooks" / "provision_indri.yml")("--tags", "zot", zot_port="no port", zot_oidc_client_secret="")
    assert done.rc == 2
    assert done.stdout.count("TASK") == 1
    assert "argument 'zot_port' is of type str" in done.stdout
