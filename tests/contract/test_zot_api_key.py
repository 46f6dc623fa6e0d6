# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules zot_api_key and zot_api_key_info at a running zot, over its real transport."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKeys, NoApiKeysError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender
from ansible_collections.blumeops.zot.plugins.modules import zot_api_key, zot_api_key_info
from integration.playbook import Play
from support.modules import run_module
from support.web import answer, certificate, servers
from support.zot_binary import Serving, free_port, serving, write_htpasswd

from contract.ask import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.conftest import Binary

PASSWORDS = {"zot-ci": "canary-pass", "other": "canary-else"}
HALF_A_MINUTE = 30


def configuration(directory: Path, **http: Any) -> dict[str, Any]:
    htpasswd = write_htpasswd(directory / "htpasswd", PASSWORDS)
    control = {"repositories": {"**": {"anonymousPolicy": ["read"], "policies": [{"users": ["zot-ci"], "actions": ["read", "create"]}]}}}
    auth = {"htpasswd": {"path": str(htpasswd)}, "apikey": True}
    return {"http": {"auth": auth, "accessControl": control, **http}, "storage": {"gc": False}}


@pytest.fixture
def running(zot: Binary, tmp_path: Path) -> Iterator[Serving]:
    with serving(zot.path, configuration(tmp_path), tmp_path) as found:
        yield found


def module(main: Any, running: Serving, check: bool = False, **options: Any) -> dict[str, Any]:
    secret = {} if "api_key" in options else {"password": PASSWORDS["zot-ci"]}
    return run_module(main, check, **{"url": running.url, "username": "zot-ci", "_ansible_no_log": True, **secret, **options})


def make(running: Serving, check: bool = False, **options: Any) -> dict[str, Any]:
    return module(zot_api_key.main, running, check, **{"label": "ci", "expires": "90d", **options})


def revoke(running: Serving, check: bool = False, **options: Any) -> dict[str, Any]:
    return module(zot_api_key.main, running, check, state="absent", **options)


def info(running: Serving, check: bool = False, **options: Any) -> dict[str, Any]:
    return module(zot_api_key_info.main, running, check, **options)


def works(running: Serving, secret: str, user: str = "zot-ci") -> bool:
    return ask(running.url, "GET", "/v2/_catalog", f"{user}:{secret}").status == 200


# ---- create


def test_a_password_and_a_key_make_keys_that_work(running: Serving) -> None:
    first = make(running)
    assert works(running, first["api_key"])
    assert not works(running, first["api_key"], "other"), "it is of its owner alone"
    second = make(running, api_key=first["api_key"], label="second")
    assert works(running, second["api_key"])
    assert second["key"]["label"] == "second"
    listed = info(running)
    assert [(key["label"], key["uuid"]) for key in listed["api_keys"]] == [("ci", first["key"]["uuid"]), ("second", second["key"]["uuid"])]
    assert [round(key["expires_in_days"]) for key in listed["api_keys"]] == [90, 90]
    assert [key["last_used"] is not None for key in listed["api_keys"]] == [True, True]
    assert info(running, api_key=second["api_key"], label="ci")["api_keys"][0]["age_days"] == 0.0


def test_labels_dates_and_scopes_arrive_as_they_were_given(running: Serving) -> None:
    made = make(running, label="schlüssel 鍵", expires="2099-01-01T00:00:00+02:00", scopes=["blumeops/**"], send_scopes=True)
    assert {name: made["key"][name] for name in ("label", "expires", "scopes", "expired")} == {
        "label": "schlüssel 鍵",
        "expires": "2098-12-31T22:00:00Z",
        "scopes": ["blumeops/**"],
        "expired": False,
    }
    assert make(running, label="for ever", expires="never")["key"]["expires"] is None
    assert info(running, label="for ever")["api_keys"][0]["expires_in_days"] is None
    assert info(running, label="schlüssel 鍵")["api_keys"] == [
        {**made["key"], "age_days": 0.0, "expires_in_days": pytest.approx(26334, abs=400)}
    ]


def test_an_expired_key_is_replaced_and_both_are_revoked(running: Serving) -> None:
    old = make(running, expires="2s")
    deadline = time.monotonic() + HALF_A_MINUTE
    while works(running, old["api_key"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    new = make(running)
    assert new["changed"] is True
    assert [key["expired"] for key in info(running)["api_keys"]] == [True, False]
    gone = revoke(running, label="ci")
    assert set(gone["revoked"]) == {old["key"]["uuid"], new["key"]["uuid"]}
    assert (info(running)["api_keys"], works(running, new["api_key"])) == ([], False)


def test_a_key_revokes_the_others_first_and_then_itself(running: Serving) -> None:
    secrets = {label: make(running, label=label)["api_key"] for label in ("a", "b", "c")}
    uuids = {key["label"]: key["uuid"] for key in info(running)["api_keys"]}
    client = ApiKeys(running.url, "zot-ci", PASSWORDS["zot-ci"], sender())
    twins = [client.mint("twin", None) for _ in range(3)]
    assert works(running, twins[2][1])
    gone = revoke(running, label="twin", api_key=twins[0][1])
    assert gone["revoked"][-1] == twins[0][0].uuid
    assert set(gone["revoked"]) == {key.uuid for key, _secret in twins}
    assert gone["warnings"] == [f"the key that this login used is revoked too, as the last: {twins[0][0].uuid}"]
    again = revoke(running, uuid=uuids["b"], api_key=secrets["a"])
    assert (again["revoked"], "warnings" in again) == ([uuids["b"]], False)
    assert [works(running, secrets[label]) for label in ("a", "b", "c")] == [True, False, True]
    assert not any(works(running, secret) for _key, secret in twins)


# ---- no-op


def test_a_second_run_changes_nothing(running: Serving) -> None:
    made = make(running)
    again = make(running)
    assert (again["changed"], again["key"]["uuid"], "api_key" in again) == (False, made["key"]["uuid"], False)
    for gone in ({"label": "absent"}, {"uuid": "00000000-0000-4000-8000-000000000000"}):
        assert revoke(running, **gone)["changed"] is False
    assert works(running, made["api_key"])


def test_nobody_revokes_the_keys_of_others(running: Serving) -> None:
    made = make(running)
    for uuid in ({"uuid": made["key"]["uuid"]}, {"label": "ci"}):
        assert revoke(running, username="other", password=PASSWORDS["other"], **uuid)["changed"] is False
    ApiKeys(running.url, "other", PASSWORDS["other"], sender()).revoke(made["key"]["uuid"])
    assert works(running, made["api_key"])
    assert info(running, username="other", password=PASSWORDS["other"])["api_keys"] == []


# ---- check


def test_check_foretells_and_changes_nothing(running: Serving) -> None:
    planned = make(running, check=True)
    assert (planned["changed"], planned["key"], info(running)["api_keys"]) == (True, None, [])
    made = make(running, expires="2099-01-01T00:00:00Z")
    planned = revoke(running, check=True, label="ci")
    assert (planned["changed"], planned["revoked"]) == (True, [made["key"]["uuid"]])
    assert planned["diff"] == {"before": f"{made['key']['uuid']}  label ci  expires 2099-01-01T00:00:00Z\n", "after": ""}
    assert works(running, made["api_key"])
    assert info(running, check=True)["api_keys"][0]["uuid"] == made["key"]["uuid"]


# ---- failure


def test_a_refused_login_is_told_without_it(running: Serving) -> None:
    made = make(running)
    revoke(running, label="ci")
    for wrong in ({"password": "canary-wrong"}, {"api_key": made["api_key"]}, {"username": "nobody"}):
        for told in (make(running, **wrong), revoke(running, label="ci", **wrong), info(running, **wrong)):
            assert "refuses the login of" in told["msg"]
            assert "canary" not in told["msg"] + json.dumps({**told, "invocation": None})
            assert made["api_key"] not in json.dumps(told)


def test_what_zot_does_not_take_is_told(running: Serving) -> None:
    assert "is too long" in make(running, label="l" * 9000)["msg"]
    assert "lies in the past" in make(running, expires="2001-01-01T00:00:00Z")["msg"]
    client = ApiKeys(running.url, "zot-ci", PASSWORDS["zot-ci"], sender())
    client.listed()
    assert client.now is not None
    with pytest.raises(ZotError, match="an expiry has to lie in the future; its clock says 20"):
        client.mint("x", client.now.replace(year=2001))
    assert info(running)["api_keys"] == []


def test_where_zot_has_no_keys_or_is_not_there(zot: Binary, tmp_path: Path) -> None:
    settings = configuration(tmp_path)
    settings["http"]["auth"]["apikey"] = False
    with serving(zot.path, settings, tmp_path) as found:
        assert "has no API keys: http.auth.apikey is off" in make(found)["msg"]
        for secret in (PASSWORDS["zot-ci"], "wrong"):
            with pytest.raises(NoApiKeysError):
                ApiKeys(found.url, "zot-ci", secret, sender()).listed()
    assert "gives no answer to the request to list the keys" in info(found)["msg"]
    assert "Connection refused" in info(found, url=f"http://127.0.0.1:{free_port()}")["msg"]


def test_tls(zot: Binary, tmp_path: Path) -> None:
    pem = str(certificate(tmp_path / "tls.pem", "registry.example.net"))
    with serving(zot.path, configuration(tmp_path, tls={"cert": pem, "key": pem}), tmp_path) as found:
        assert "its certificate is not trusted (" in make(found)["msg"]
        assert make(found, validate_certs=False)["changed"] is True
        assert info(found, validate_certs=False)["api_keys"][0]["label"] == "ci"
        told = info(found, ca_path=str(tmp_path / "absent.pem"))
        assert told["failed"]
        assert "No such file" in told["msg"]


def test_what_is_no_zot_gets_no_password_twice() -> None:
    with servers() as start:
        page = start(answer("200 OK", b"<html>", "Content-Type: text/html"))
        elsewhere = start(answer("200 OK", b'{"apiKeys": []}'))
        moved = start(answer("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/x"))
        for server, text in ((page, "does not answer as zot does"), (moved, "sends its clients to http://127.0.0.1: give the address")):
            with pytest.raises(ZotError, match=text):
                ApiKeys(server.url, "zot-ci", PASSWORDS["zot-ci"], sender()).listed()
        assert elsewhere.asked == []


# ---- in a playbook

PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  module_defaults:
    group/blumeops.zot.zot: {url: "{{ registry }}", username: zot-ci, password: "{{ secret }}"}
  tasks:
    - blumeops.zot.zot_api_key: {label: shown, expires: 1d}
      register: shown
      ignore_errors: true
    - ansible.builtin.assert: {that: "'would be shown' in shown.msg"}
    - blumeops.zot.zot_api_key: {label: ci, expires: 1d}
      register: made
      no_log: true
    - ansible.builtin.copy: {content: "{{ made.api_key | default('') }}", dest: "{{ kept }}", mode: "0600"}
      when: made is changed
      no_log: true
    - blumeops.zot.zot_api_key_info:
"""


def test_a_playbook_keeps_the_key_and_shows_it_nowhere(zot: Binary, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    inventory, kept = tmp_path / "inventory", tmp_path / "kept"
    inventory.write_text(f"localhost ansible_python_interpreter={sys.executable}\n", encoding="utf-8")
    with serving(zot.path, configuration(tmp_path), tmp_path) as found:
        play = Play(tmp_path / "play.yml", [inventory], tmp_path / "scratch")
        done = play("-vvv", "--diff", registry=found.url, secret=PASSWORDS["zot-ci"], kept=str(kept))
        assert done.changed == 2, done.stdout
        secret = kept.read_text(encoding="utf-8")
        assert works(found, secret)
        assert [key["label"] for key in info(found)["api_keys"]] == ["ci"]
        assert "canary" not in done.stdout
        assert secret not in done.stdout
        again = play("-vvv", "--diff", registry=found.url, secret=PASSWORDS["zot-ci"], kept=str(kept))
        assert (again.changed, len(info(found)["api_keys"])) == (0, 1)
        revoke(found, label="ci")
        check = play("--check", "-vvv", "--diff", registry=found.url, secret=PASSWORDS["zot-ci"], kept=str(kept))
        assert (check.rc, info(found)["api_keys"]) == (0, []), check.stdout
        assert "canary" not in check.stdout
