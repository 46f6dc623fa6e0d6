# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input costs one clear error; the registry that serves goes on serving, and no secret is told on the way."""

from __future__ import annotations

import re
import socket
import typing as t

import pytest
from integration.conftest import CANARY, USER, Mac
from integration.playbook import CHECKOUT, Outcome

READ = {"actions": ["read"]}
ON = "the key True is a bool, not text; YAML reads on, off, yes and no as booleans: quote the key"


def refused(mac: Mac, **extra_vars: t.Any) -> Outcome:
    """One failed task, without a traceback; nothing of ours was touched and the old registry serves."""
    before, pid = mac.tree(), mac.pid()
    done = mac.play("--diff", **extra_vars)
    assert done.rc == 2, done.stdout
    assert (done.recap("failed"), done.recap("rescued"), done.stdout.count("[ERROR]")) == (1, 0, 1), done.stdout
    assert "Traceback" not in done.stdout
    assert CANARY not in done.stdout
    assert (mac.tree(), mac.pid(), mac.status()) == (before, pid, 200)
    return done


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"zot_port": "abc"}, ["zot_port", "abc"], id="wrong type"),
        pytest.param(
            {"zot_grants": [{"users": [USER], "repos": ["**"], **READ}]},
            ["zot_grants[0]: unknown key 'repos'"],
            id="unknown key of a grant",
        ),
        pytest.param({"zot_grants": [{"users": [USER], True: ["**"], **READ}]}, ["grants[0]", ON], id="on as a key of a grant"),
        pytest.param({"zot_config_overrides": {"http": {True: 1}}}, ["overrides.http", ON], id="on as a key of the overrides"),
        pytest.param({"zot_binary_path": "/nowhere/zot"}, ["zot_binary_path", "/nowhere/zot"], id="missing binary"),
        pytest.param({"zot_binary_sha256": "0" * 64}, ["zot_binary_sha256"], id="wrong sum"),
        pytest.param({"zot_local_passwords": {}}, [f"zot_local_passwords['{USER}']"], id="missing secret"),
        pytest.param({"zot_local_passwords": CANARY}, ["zot_local_passwords"], id="a secret of the wrong type"),
    ],
)
def test_bad_input_is_refused(serving_mac: Mac, given: dict[str, t.Any], said: list[str]) -> None:
    done = refused(serving_mac, **given)
    for words in said:
        assert words in done.stdout


def test_a_port_in_use_is_refused(serving_mac: Mac) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = refused(serving_mac, zot_port=port)
        assert f"{port}" in done.stdout


def test_a_home_that_cannot_be_made_is_refused(serving_mac: Mac) -> None:
    file = serving_mac.folder / "file"
    file.touch()
    done = refused(serving_mac, zot_home=str(file / "home"))
    assert str(file) in done.stdout


def test_a_zot_that_ends_at_once_is_rolled_back(serving_mac: Mac) -> None:
    before, pid = serving_mac.config.read_bytes(), serving_mac.pid()
    done = serving_mac.play(zot_binary_path=str(serving_mac.crashing_zot()), zot_ready_timeout=3)
    assert done.rc == 2
    assert "rolled back: zot 2.1.20 serves again" in done.stdout
    assert "cannot open the store" in done.stdout
    assert serving_mac.config.read_bytes() == before
    assert serving_mac.pid() not in (0, pid)
    assert serving_mac.status() == 200
    assert serving_mac.play().changed == 0


def test_a_zot_that_ends_at_once_on_a_virgin_home_is_stopped(mac: Mac) -> None:
    done = mac.play(zot_binary_path=str(mac.crashing_zot()), zot_ready_timeout=3)
    assert done.rc == 2
    assert "there is nothing to go back to" in done.stdout
    assert (mac.pid(), mac.servers()) == (0, [])
    assert mac.play().changed > 0
    assert mac.status() == 200


def test_a_wrong_override_is_told_with_everything_else_that_is_wrong_before_anything_is_written(mac: Mac) -> None:
    overrides = {"http": {"prot": 1, "tls": {"cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}}, "storage": {"gcDelay": "1d"}}
    playbook = mac.playing(CHECKOUT / "playbooks" / "provision_indri.yml")
    for arguments in (("--check", "--diff"), ()):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            done = playbook("--tags", "zot", *arguments, zot_config_overrides=overrides, zot_port=port, zot_oidc_client_secret=CANARY)
        assert (done.rc, done.stdout.count("[ERROR]"), done.recap("failed")) == (2, 1, 1), done.stdout
        (said,) = re.findall(
            r"^\[ERROR\]: (.*?nothing was changed: mend the settings and run again)", done.stdout, re.MULTILINE | re.DOTALL
        )
        assert "Action failed: 5 errors" in said
        for words in (
            "- ZOT103 http.prot: ",
            "- ZOT105 storage.gcDelay: ",
            "- ZOT305 http.port: ",
            "- ZOT306 http.tls.cert: ",
            "- ZOT306 http.tls.key: ",
        ):
            assert words in said
        assert "Traceback" not in done.stdout
        assert CANARY not in done.stdout
        assert "is a bug" not in done.stdout
        left = {name.split("/")[0] for name in mac.tree()}
        assert left == (set() if arguments else {".local"}), "a real run has installed the binary, which nobody uses yet"
        assert mac.sim.jobs() == {}


def test_what_is_suppressed_is_done_all_the_same(mac: Mac) -> None:
    done = mac.play("--check", zot_address="0.0.0.0")
    assert done.rc == 0
    assert "ZOT403" in done.stdout
    done = mac.play("--check", zot_address="0.0.0.0", zot_suppress={"ZOT403": "a private network"})
    assert done.rc == 0
    assert "ZOT403" not in done.stdout
