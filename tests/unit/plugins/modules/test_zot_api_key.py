# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_api_key in four ways: a key is made or revoked, is there or gone already, would be, cannot be."""

from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.modules import zot_api_key
from support.api_keys import URL, Zot
from support.modules import run_module

CANARY = "canary-pass"


class Task:
    """The module at a registry in memory; ``trust`` is how the transport was made."""

    def __init__(self, monkeypatch):
        self.zot = Zot(CANARY)
        self.trust = []
        monkeypatch.setattr(zot_api_key, "sender", self._sender)

    def _sender(self, *trust):
        self.trust.append(trust)
        return self.zot

    def __call__(self, check=False, **options):
        usual = {"url": URL, "username": "zot-ci", "password": CANARY, "label": "ci", "expires": "90d", "_ansible_no_log": True}
        given = {**usual, **options}
        return run_module(zot_api_key.main, check, **{key: value for key, value in given.items() if value is not None})

    @property
    def methods(self):
        return [method for method, _url, _body in self.zot.asked]


@pytest.fixture
def task(monkeypatch):
    return Task(monkeypatch)


# --- create


def test_a_key_is_made_and_told_once(task):
    told = task()
    (secret,) = task.zot.keys
    assert (told["changed"], told["api_key"], told["revoked"]) == (True, secret, [])
    assert told["key"] == {
        "uuid": task.zot.keys[secret]["uuid"],
        "label": "ci",
        "created": "2026-11-25T12:00:02Z",
        "expires": "2027-02-23T12:00:01Z",
        "last_used": None,
        "expired": False,
        "scopes": [],
    }
    assert task.methods == ["GET", "POST"]
    assert task.trust == [(True, None)]


def test_certificates_are_the_callers(task):
    task(validate_certs=False)
    task(ca_path="/etc/ca.pem")
    assert task.trust == [(False, None), (True, "/etc/ca.pem")]


def test_an_expired_key_does_not_count(task):
    task.zot.holds("ci", expires="2026-11-25T12:00:00Z")
    assert task()["changed"] is True
    assert task.zot.labels == ["ci", "ci"]


def test_scopes_are_stored_when_that_is_meant(task):
    assert task(scopes=["blumeops/**"], send_scopes=True)["key"]["scopes"] == ["blumeops/**"]


def test_keys_are_revoked_by_label(task):
    uuids = [task.zot.holds(label)["uuid"] for label in ("ci", "other", "ci")]
    told = task(state="absent")
    assert (told["changed"], told["revoked"], told["key"]) == (True, [uuids[0], uuids[2]], None)
    assert task.zot.labels == ["other"]


def test_a_key_is_revoked_by_uuid(task):
    first, second = (task.zot.holds("ci")["uuid"] for _ in range(2))
    assert task(state="absent", label=None, uuid=second)["revoked"] == [second]
    assert [one["uuid"] for one in task.zot.keys.values()] == [first]


def test_a_key_revokes_all_and_itself_last(task):
    used = [task.zot.holds("ci", used=f"2026-11-25T11:00:0{number}Z")["uuid"] for number in range(3)]
    own = list(task.zot.keys)[1]
    told = task(state="absent", password=None, api_key=own)
    assert told["revoked"] == [used[0], used[2], used[1]]
    assert told["warnings"] == [f"the key that this login used is revoked too, as the last: {used[1]}"]
    assert task.zot.keys == {}


# --- no-op


def test_a_key_that_lives_is_not_made_again(task):
    task.zot.holds("ci", expires="2027-02-23T00:00:00Z")
    told = task()
    assert (told["changed"], told["key"]["expires"], "api_key" in told) == (False, "2027-02-23T00:00:00Z", False)
    assert task.methods == ["GET"]
    assert "warnings" not in told
    again = task(expires="never")
    assert again["changed"] is False
    assert "zot cannot change that" in again["warnings"][0]


def test_what_is_gone_already_is_not_revoked(task):
    for gone in ({"label": "other"}, {"label": None, "uuid": "x"}):
        told = task(state="absent", **gone)
        assert (told["changed"], told["revoked"]) == (False, [])
    assert task.methods == ["GET", "GET"]


# --- check


def test_check_says_what_would_be_and_asks_only(task):
    told = task(check=True)
    assert (told["changed"], told["key"], "api_key" in told) == (True, None, False)
    uuid = task.zot.holds("other")["uuid"]
    gone = task(check=True, state="absent", label="other")
    assert (gone["changed"], gone["revoked"]) == (True, [uuid])
    assert set(task.methods) == {"GET"}
    assert task.zot.labels == ["other"]


@pytest.mark.parametrize("options", [{}, {"state": "absent", "label": "old"}])
def test_the_diff_of_check_is_that_of_the_run_and_holds_no_secret(task, options):
    task.zot.holds("old")
    planned = task(check=True, expires="never", **options)
    done = task(expires="never", **options)
    assert planned["diff"] == done["diff"]
    assert planned["diff"]["before"] != planned["diff"]["after"]
    assert "canary" not in json.dumps(done["diff"])


# --- failure


@pytest.mark.parametrize("check", [True, False])
def test_a_key_is_not_made_to_be_shown(task, check):
    told = task(check, _ansible_no_log=False)
    assert told["failed"]
    assert told["msg"].startswith("the new key would be shown: say no_log: true on the task")
    assert task.zot.keys == {}
    assert "api_key" in task(_ansible_no_log=False, return_secret=True)
    assert task(_ansible_no_log=False)["changed"] is False, "nothing is shown of a key that is there"


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_refuses_fails(task, check):
    told = task(check, password="canary-other")
    assert told["failed"]
    assert told["msg"].startswith(f"{URL} refuses the login of zot-ci")
    for _ in range(2):
        task.zot.holds("ci")
    assert "2 live keys have the label 'ci'" in task(check)["msg"]
    assert "zot stores the scopes of a key and never looks at them" in task(check, label="x", scopes=["x"])["msg"]
    assert "lies in the past" in task(check, label="x", expires="2020-01-01T00:00:00Z")["msg"]
    assert task.zot.labels == ["ci", "ci"]


def test_a_failure_in_the_middle_says_what_is_not_known(task):
    task.zot.answers = [None, Response(0, reason="timed out")]
    told = task()
    assert told["failed"]
    assert "whether it was done is not known: list the keys" in told["msg"]
    assert "canary" not in json.dumps(told)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"expires": None}, "state is present but all of the following are missing: expires"),
        ({"label": None}, "one of the following is required: label, uuid"),
        ({"label": None, "uuid": "x"}, "state is present but all of the following are missing: label"),
        ({"uuid": "x", "state": "absent"}, "parameters are mutually exclusive: label|uuid"),
        ({"label": None, "state": "absent"}, "one of the following is required: label, uuid"),
        ({"password": None}, "one of the following is required: password, api_key"),
        ({"api_key": "canary-x"}, "parameters are mutually exclusive: password|api_key"),
    ],
)
def test_what_does_not_go_together_is_refused(task, options, text):
    told = task(**options)
    assert told["failed"]
    assert text in told["msg"]
    assert task.zot.asked == []
