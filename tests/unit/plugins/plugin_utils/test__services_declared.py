# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, GREY, RED
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_declared import access, drift, told, unknown, wanted

SETTINGS_OF = {
    **{name: option.get("default") for name, option in SETTINGS.items()},
    "data_dir": "/data",
    "grants": [{"anonymous": True, "actions": ["read"]}],
    "oidc": {"issuer": "https://id.test", "client_id": "zot"},
    "local_users": ["ci"],
    "upstreams": [{"name": "docker.io", "username": "me"}],
}
DECLARED = wanted(SETTINGS_OF, "2.1.20", "/etc/zot")
SAME = {"live": "same", "proved": "same"}
CONFIG = {
    "path": "/etc/zot/config.json",
    "error": "",
    "found": {
        "live": DECLARED.document,
        "live_error": None,
        "record": {"document": DECLARED.document, "proved": True, "binary": "/zot", "release": "2.1.20", "obsolete": [], "differs": ["x"]},
        "files": dict.fromkeys(("htpasswd", "oidc-credentials.json", "session-keys.json", "upstream-credentials.json"), SAME),
        "drift": [],
    },
}


def secret(live, proved):
    return {"files": {**CONFIG["found"]["files"], "htpasswd": {"live": live, "proved": proved}}}


def found(**more):
    return {**CONFIG, "found": {**copy.deepcopy(CONFIG["found"]), **more}}


def edited():
    return {**DECLARED.document, "log": {"level": "warn"}}


def test_what_is_wanted_needs_no_secret():
    assert sorted(DECLARED.files) == ["htpasswd", "oidc-credentials.json", "session-keys.json", "upstream-credentials.json"]
    assert wanted({**SETTINGS_OF, "oidc": None, "local_users": [], "upstreams": []}, "2.1.20", "/etc/zot").files == []


def test_without_a_difference_it_is_green():
    line = drift(CONFIG, DECLARED)
    assert (line.check, line.level, line.text) == ("drift", GREEN, "/etc/zot/config.json is as declared")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (found(live=edited()), "config.json differs: log.level"),
        (found(live=None), "config.json is missing"),
        (found(live=None, live_error="it cannot be read as JSON"), "it cannot be read as JSON"),
        ({**CONFIG, "error": "record.json cannot be read", "found": None}, "record.json cannot be read"),
        (found(record=None), "nothing has been proved on this host yet"),
        (found(record={**CONFIG["found"]["record"], "proved": False}), "has not been replaced by something proved yet"),
        (
            found(record={**CONFIG["found"]["record"], "document": edited()}),
            "was written but never proved: log.level",
        ),
        (found(**secret("absent", "same")), "htpasswd is missing"),
        (
            found(**secret("same", "differs")),
            "htpasswd was written but never proved",
        ),
        (found(drift=["/etc/zot/config.json: mode or owner differs"]), "mode or owner differs"),
    ],
)
def test_each_difference_is_red_and_told(config, words):
    line = drift(config, DECLARED)
    assert line.level == RED
    assert words in line.text


def test_secrets_within_are_covered_on_both_sides():
    declared = wanted({**SETTINGS_OF, "overrides": {"storage": {"cacheDriver": {"url": "redis://u:canary@r"}}}}, "2.1.20", "/etc/zot")
    line = drift(CONFIG, declared)
    assert (line.level, "canary" in str(line)) == (RED, False)
    document = copy.deepcopy(declared.document)
    document["storage"]["cacheDriver"]["url"] = "redis://u:(secret)@r"
    record = {**CONFIG["found"]["record"], "document": document}
    assert drift(found(live=document, record=record), declared).level == GREEN


@pytest.mark.parametrize(
    ("given", "level", "text"),
    [
        (([], [], [], 9), GREEN, "9 questions are answered as declared"),
        ((["a may read x"], [], [], 9), RED, "a may read x"),
        ((["b", "c", "d", "e", "f"], [], [], 9), RED, "b; c; d; and 2 more"),
        (([], ["a key may"], [], 9), AMBER, "a key may"),
        (([], [], ["the store is locked"], 9), AMBER, "the store is locked"),
        (([], [], [], 0), GREY, "there was nothing to ask"),
        (([], [], ["the store is locked"], 0), GREY, "the store is locked"),
        ((["no zot is ready"], [], [], 0), RED, "no zot is ready"),
    ],
)
def test_access_is_what_the_worst_answer_is(given, level, text):
    line = access(*given)
    assert (line.check, line.level, line.text) == ("access", level, text)


def test_what_cannot_be_understood_is_red_on_one_line():
    assert unknown("drift", ZotError("zot_grants[0]:\n  no")).as_dict() == {
        "check": "drift",
        "level": RED,
        "text": "zot_grants[0]: no",
        "facts": {},
    }
    assert told([]) == ""
