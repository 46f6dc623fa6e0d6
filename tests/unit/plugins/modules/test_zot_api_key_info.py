# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_api_key_info: what it tells, in check mode too, and what it cannot."""

from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.modules import zot_api_key_info
from support.api_keys import URL, Zot
from support.modules import run_module


@pytest.fixture
def zot(monkeypatch):
    zot = Zot("canary-pass")
    monkeypatch.setattr(zot_api_key_info, "sender", lambda *_trust: zot)
    return zot


def told(check=False, **options):
    given = {"url": URL, "username": "zot-ci", "password": "canary-pass", **options}
    return run_module(zot_api_key_info.main, check, **{key: value for key, value in given.items() if value is not None})


@pytest.mark.parametrize("check", [True, False])
def test_keys_are_told_with_their_age_and_change_nothing(zot, check):
    zot.holds("old", expires="2026-11-24T12:00:01Z", createdAt="2026-11-15T12:00:01Z", used="2026-11-20T00:00:00Z")
    zot.holds("ci", expires="2026-12-05T12:00:01Z", scopes=["x"])
    answer = told(check)
    assert (answer["changed"], answer["now"]) == (False, "2026-11-25T12:00:01Z")
    assert [(key["label"], key["age_days"], key["expires_in_days"], key["expired"], key["last_used"]) for key in answer["api_keys"]] == [
        ("old", 10.0, -1.0, True, "2026-11-20T00:00:00Z"),
        ("ci", 0.0, 10.0, False, None),
    ]
    assert answer["api_keys"][1]["scopes"] == ["x"]
    assert "canary" not in json.dumps({**answer, "invocation": None})
    assert {method for method, _url, _body in zot.asked} == {"GET"}


def test_keys_of_one_label_are_told(zot):
    for label in ("a", "b", ""):
        zot.holds(label)
    assert [key["label"] for key in told(label="b")["api_keys"]] == ["b"]
    assert [key["label"] for key in told(label="")["api_keys"]] == [""]
    assert told(label="c")["api_keys"] == []


def test_a_key_logs_in(zot):
    zot.holds("ci")
    (secret,) = zot.keys
    assert told(password=None, api_key=secret)["api_keys"][0]["last_used"]


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_refuses_fails(zot, check):
    zot.holds("ci")
    answer = told(check, password="canary-other")
    assert answer["failed"]
    assert answer["msg"].startswith(f"{URL} refuses the login of zot-ci")
    assert "one of the following is required: password, api_key" in told(check, password=None)["msg"]
    assert "api_keys" not in answer
