# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_mirror in four ways: files are made, are there, would be made, cannot be made. The host's side really runs, on this host."""

from __future__ import annotations

import json
import os

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_mirror import ActionModule
from ansible_collections.blumeops.zot.plugins.modules import zot_mirror_host
from support import modules
from support.modules import Action, run_module

CANARY = "canary-2b9e"
URL = "https://registry.test:5000"


class Host:
    """A task with files of its own, on a host where nothing runs."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("PATH", str(folder / "nothing"))
        monkeypatch.setitem(modules._MODULES, "blumeops.zot.zot_mirror_host", zot_mirror_host)
        self.folder = folder
        self.action = Action(ActionModule)

    def __call__(self, check=False, clients=None, **more):
        podman = {"name": "podman", "path": str(self.folder / "50-zot.conf")}
        given = {"registry": URL, "upstreams": ["docker.io"], "clients": clients or [podman], **more}
        return self.action(check, **given)

    @property
    def states(self):
        return [call["state"] for call in self.action.ran]


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_files_are_made_and_told(mirror, tmp_path):
    answer = mirror()
    path = tmp_path / "50-zot.conf"
    assert (answer["changed"], answer["files"], answer["activations"], answer["left"]) == (True, [str(path)], [], [])
    assert answer["diff"][0]["after"] == path.read_text()
    assert mirror.states == ["looked", "written"]


def test_a_second_time_changes_nothing(mirror):
    mirror()
    answer = mirror()
    assert (answer["changed"], answer["diff"], mirror.states) == (False, [], ["looked"])


def test_a_check_tells_the_same_and_makes_nothing(mirror, tmp_path):
    checked = mirror(check=True)
    assert list(tmp_path.iterdir()) == []
    assert checked == mirror()


def test_a_check_says_too_what_cannot_be_made(mirror, tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != closed)
    clients = [{"name": "podman", "path": str(tmp_path / "50-zot.conf")}, {"name": "k3s", "path": str(closed / "new/registries.yaml")}]
    messages = [mirror(check=check, clients=clients)["msg"] for check in (True, False)]
    assert messages[0] == messages[1]
    assert f"{closed / 'new/registries.yaml'} cannot be written: {closed} is no folder this user may write to" in messages[0]
    assert list(tmp_path.iterdir()) == [closed]


def test_a_refusal_of_one_client_leaves_the_others_unwritten(mirror, tmp_path):
    (tmp_path / "daemon.json").write_text(f"{{{CANARY}")
    clients = [{"name": "podman", "path": str(tmp_path / "50-zot.conf")}, {"name": "docker", "path": str(tmp_path / "daemon.json")}]
    answer = mirror(clients=clients, proxy="https://hub.test")
    assert answer["failed"]
    assert answer["msg"] == f"docker: {tmp_path / 'daemon.json'} is no valid JSON, or has a key twice; correct it first"
    assert not (tmp_path / "50-zot.conf").exists()
    assert mirror.states == ["looked"]


def test_a_login_is_written_and_never_told(mirror, tmp_path):
    client = {"name": "podman", "path": str(tmp_path / "50-zot.conf"), "auth_file": str(tmp_path / "auth.json")}
    answer = mirror(clients=[client], username="node", password=CANARY)
    assert answer["changed"]
    assert list(json.loads((tmp_path / "auth.json").read_text())["auths"]) == ["registry.test:5000/docker.io"]
    assert CANARY not in json.dumps(answer)
    answer = mirror(clients=[client], registry={"url": URL, "username": "node", "password": CANARY})
    assert not answer["changed"]


def test_who_has_to_take_it_is_remembered_until_somebody_says_so(mirror, tmp_path):
    client = {"name": "caddy", "path": str(tmp_path / "sites/hub.caddy"), "command": ["reload-caddy"]}
    told = [mirror(clients=[client], proxy="https://hub.test") for _time in range(2)]
    assert [answer["changed"] for answer in told] == [True, True]
    assert [answer["activations"][0]["argv"] for answer in told] == [["reload-caddy"]] * 2
    assert told[1]["files"] == []
    assert not run_module(zot_mirror_host.main, check=True, state="settled")["changed"]
    assert mirror(clients=[client], proxy="https://hub.test")["changed"]
    run_module(zot_mirror_host.main, state="settled")
    assert not mirror(clients=[client], proxy="https://hub.test")["changed"]


def test_what_is_for_the_check_of_the_same_clients_is_let_pass(mirror, tmp_path):
    assert mirror(clients=[{"name": "podman", "path": str(tmp_path / "x"), "check_command": ["podman", "--remote"]}])["changed"]


def test_an_authority_is_written(mirror, tmp_path):
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    client = {"name": "podman", "path": str(tmp_path / "50-zot.conf"), "ca_path": str(tmp_path / "certs/ca.crt")}
    assert mirror(clients=[client], ca=pem)["files"][0] == str(tmp_path / "certs/ca.crt")
    assert (tmp_path / "certs/ca.crt").read_text() == pem


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"registry": f"ftp://{CANARY}"}, "registry: url has to be"),
        ({"upstreams": []}, "upstreams: there is none"),
        ({"upstreams": [f"{CANARY}/.."]}, "upstreams[0]: name has to be"),
        ({"ca": f"/{CANARY}"}, "ca: certificates in PEM are wanted"),
        ({"password": CANARY, "username": ""}, "username and password are two texts, and go together"),
        ({"username": CANARY}, "username and password are two texts, and go together"),
    ],
)
def test_what_is_wrong_is_told_without_quoting_it(mirror, given, message):
    answer = mirror(**given)
    assert answer["failed"]
    assert message in answer["msg"]
    assert CANARY not in answer["msg"]


@pytest.mark.parametrize("client", [{"name": "lxc"}, {}, {"name": "podman", "pathh": "/x"}, {"name": "kind", "engine": "lxc"}])
def test_a_client_that_is_none_is_told(mirror, client):
    with pytest.raises(AnsibleActionFail):
        mirror(clients=[client])


def test_contents_of_files_are_not_printed_by_the_connection(mirror, monkeypatch):
    seen = []
    plugin = mirror.action.plugin
    run = plugin._execute_module

    def running(self, **given):
        seen.append(self._connection._play_context.no_log)
        return run(self, **given)

    monkeypatch.setattr(plugin, "_execute_module", running)
    assert mirror()["changed"]
    assert seen == [True, True]
