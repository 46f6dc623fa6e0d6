# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import threading

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _check_observe
from ansible_collections.blumeops.zot.plugins.module_utils._check_observe import Ports, answer, look, observe, together
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

CANARY = "canary-77"
PARAMS = {"release": "2.1.20", "identities": '[["", ""]]', "questions": {}, "images": {}, "ca_path": None, "timeout": 5}
DOCUMENT = {
    "storage": {"rootDirectory": "/"},
    "http": {"address": "127.0.0.1", "port": "5000", "auth": {"openid": {"providers": {"oidc": {"issuer": "https://id.test"}}}}},
    "extensions": {"sync": {"registries": [{"urls": ["https://ghcr.io"], "content": [{"prefix": "**", "destination": "/ghcr.io"}]}]}},
}


def place(folder, document=DOCUMENT):
    if document is not None:
        (folder / "config.json").write_text(json.dumps(document))
        (folder / "config.json").chmod(0o600)
    return {"config_path": str(folder / "config.json"), "service": {"manager": "systemd", "name": "zot"}}


def ports(status=200, pid=7, mgmt=b'{"releaseTag": "v2.1.20"}', remote=None):
    said = {"/readyz": Response(status, reason="refused"), "/v2/_zot/ext/mgmt": Response(200 if mgmt else 404, mgmt)}
    asked = []

    def local(method, url, *_headers, **more):
        asked.append((method, url, more))
        return said.get(url.removeprefix("http://127.0.0.1:5000"), Response(404))

    def run(argv, *_more, **_kwargs):
        if argv[0] == "journalctl":
            return Completed(0, "disk full\n", "")
        return Completed(0, f"MainPID={pid}\n", "")

    return Ports(local, remote or (lambda *_given, **_more: Response(404)), run), asked


def test_what_runs_is_told(tmp_path):
    seen = observe(PARAMS, place(tmp_path), ports()[0])
    assert seen["ready"] == {"url": "http://127.0.0.1:5000", "service": "zot", "pid": 7, "ready": True, "reason": "", "said": ""}
    assert seen["release"] == {"release": "2.1.20", "other": ""}
    assert seen["disk"]["path"] == "/"
    assert 0 < seen["disk"]["free"] < seen["disk"]["total"]
    assert [one["name"] for one in seen["upstreams"]] == ["ghcr.io"]
    assert [one["name"] for one in seen["issuers"]] == ["https://id.test"]
    assert [one["name"] for one in seen["cache"]] == ["ghcr.io"]
    assert (seen["access"], seen["external"], seen["certificate"], seen["external_url"]) == (None, None, None, "")
    assert seen["config"]["found"]["live"] == DOCUMENT


def test_of_what_does_not_run_nothing_more_is_asked(tmp_path):
    document = {**DOCUMENT, "http": {**DOCUMENT["http"], "externalUrl": "http://registry.test"}}
    given, asked = ports(status=500, pid=0)
    seen = observe({**PARAMS, "questions": {"read": ["x"]}}, place(tmp_path, document), given)
    assert seen["ready"]["said"] == "disk full"
    assert (seen["ready"]["ready"], seen["ready"]["reason"]) == (False, "http://127.0.0.1:5000/readyz answers 500")
    assert (seen["cache"], seen["access"], seen["external"]) == ([], None, None)
    assert [url for _method, url, _more in asked] == ["http://127.0.0.1:5000/readyz"]
    assert seen["upstreams"], "of what stands around it all is"


def test_a_binary_is_asked_where_zot_does_not_tell_its_release(tmp_path):
    def run(argv, *_more, **_kwargs):
        line = '{"commit": "v2.1.19-0-g0", "distribution-spec": ""}' if argv[1:] == ["--version"] else "MainPID=1\n"
        return Completed(0, line, "")

    given = ports(mgmt=b"")[0]._replace(run=run)
    seen = observe(PARAMS, place(tmp_path), given)
    assert "is zot 2.1.19, not 2.1.20" in seen["release"]["other"]
    assert observe({**PARAMS, "release": None}, place(tmp_path), given)["release"]["other"] == ""


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_configuration_that_cannot_be_read_is_told(tmp_path, content):
    where = place(tmp_path)
    (tmp_path / "config.json").write_text(content)
    seen = observe(PARAMS, where, ports()[0])
    assert seen["config"]["found"]["live"] is None
    assert str(tmp_path / "config.json") in seen["config"]["found"]["live_error"]
    assert (seen["upstreams"], seen["issuers"], seen["disk"]["reason"]) == ([], [], "no storage is configured")


def test_a_record_that_cannot_be_read_is_told(tmp_path):
    where = place(tmp_path)
    (tmp_path / "last-good").mkdir()
    (tmp_path / "last-good/record.json").write_text("{")
    config = observe(PARAMS, where, ports()[0])["config"]
    assert "record.json cannot be read" in config["error"]
    assert config["found"] is None


def test_a_virgin_host_has_nothing(tmp_path):
    config = observe(PARAMS, place(tmp_path, None), ports()[0])["config"]
    assert (config["error"], config["found"]["live"], config["found"]["live_error"]) == ("", None, None)


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ({"rootDirectory": "/no/such"}, {"path": "/no/such", "elsewhere": "", "reason": "No such file or directory"}),
        ({"rootDirectory": "/x", "storageDriver": {"name": "s3"}}, {"path": "/x", "elsewhere": "s3", "reason": ""}),
    ],
)
def test_a_storage_that_is_not_here_is_told(tmp_path, storage, expected):
    seen = observe(PARAMS, place(tmp_path, {**DOCUMENT, "storage": storage}), ports()[0])
    assert seen["disk"] == expected


def test_no_secret_of_the_configuration_leaves_the_host(tmp_path):
    provider = {"issuer": "https://id.test", "clientsecret": CANARY}
    http = {**DOCUMENT["http"], "auth": {"openid": {"providers": {"oidc": provider}}}}
    sync = {"credentialsFile": str(tmp_path / "up.json"), "registries": [{"urls": [f"https://me:{CANARY}@ghcr.io"]}]}
    (tmp_path / "up.json").write_text(json.dumps({"ghcr.io": {"username": "me", "password": CANARY}}))
    seen = observe(PARAMS, place(tmp_path, {**DOCUMENT, "http": http, "extensions": {"sync": sync}}), ports()[0])
    assert CANARY not in json.dumps(seen)


# ---- all at once


def test_all_are_asked_at_once():
    barrier = threading.Barrier(3, timeout=20)
    assert together({str(number): barrier.wait for number in range(3)}, 30).keys() == {"0", "1", "2"}


def test_what_fails_or_is_late_takes_nothing_from_the_others():
    never = threading.Event()

    def fails():
        raise ZotError("it is locked")

    def crashes():
        raise ValueError(CANARY)

    answers = together({"late": never.wait, "fails": fails, "crashes": crashes, "fine": lambda: 7}, 0.2)
    never.set()
    expected = {"late": {"late": 0.2}, "fails": {"error": "it is locked"}, "fine": 7}
    assert answers == {**expected, "crashes": {"error": "ValueError while it was asked"}}


def test_nobody_waits_for_who_is_late_at_the_end_of_the_module():
    assert together({"kind": lambda: threading.current_thread().daemon}, 30) == {"kind": True}


def test_without_a_module_around_it_what_is_not_given_is_what_the_module_takes(monkeypatch):
    monkeypatch.setattr(_check_observe, "observe", lambda params, place, _ports: {"params": params, "place": place})
    monkeypatch.setenv("HOME", "/home/me")
    params = {"service_manager": "launchd", "places": {"launchd": "here"}}
    seen = answer({**params, "ca_path": "~/ca.pem"})["seen"]
    assert (seen["place"], seen["params"]["ca_path"], seen["params"]["release"]) == ("here", "/home/me/ca.pem", None)
    assert answer(params)["seen"]["params"]["ca_path"] is None
    assert answer({**params, "release": "2.1.20"})["seen"]["params"]["release"] == "2.1.20"


def test_without_a_module_around_it_a_failure_is_an_answer():
    params = {"service_manager": "launchd", "places": {}}
    assert answer(params) == {"failed": True, "msg": "places: nothing says where zot lies under launchd"}
    with pytest.raises(ZotError):
        look(params)
