# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey, text_of
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._stores import File, StoreError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Held, Kept, Policy
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, RED
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_key import (
    Registry,
    judge_key,
    look_at_command,
    look_at_key,
    look_at_url,
)
from support.api_keys import Zot

NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)
POLICY = Policy()
URL = "https://registry.test"


class Fields:
    """A store in memory."""

    where = "the store"

    def __init__(self, fields=None, error=None):
        self.fields, self.error, self.asked = fields or {}, error, []

    def read(self, names):
        self.asked.append(list(names))
        if self.error:
            raise self.error
        return {name: self.fields[name] for name in names if self.fields.get(name)}


def look(store, send):
    return look_at_key(Registry(URL, "zot-ci", send), store, "ci", POLICY, NOW)


@pytest.fixture
def zot():
    return Zot("made-up")


def test_a_fresh_key_is_green_and_its_secret_is_not_told(zot):
    zot.holds("blumeops.zot/1", expires=text_of(zot.now + timedelta(days=90)))
    (secret,) = zot.keys
    line = look(Fields({"ci": secret}), zot)
    assert line.level == GREEN
    assert line.text == "blumeops.zot/1 is 0 days old and expires in 90 days"
    assert line.facts == {"age_days": 0, "expires_in_days": 90}
    assert secret not in str(line)


def test_the_key_is_the_one_that_the_store_knows_else_the_last_that_was_used(zot):
    zot.holds("blumeops.zot/2", expires=text_of(zot.now + timedelta(days=90)))
    (secret,) = zot.keys
    zot.holds("another", used="2030-01-01T00:00:00Z")
    kept = Kept(Held(secret, zot.keys[secret]["uuid"], "blumeops.zot/2", NOW, NOW + timedelta(days=90), NOW))
    assert look(Fields({"ci": secret, "ci-rotation": kept.text()}), zot).text.startswith("blumeops.zot/2 ")
    assert look(Fields({"ci": secret}), zot).text.startswith("another ")


@pytest.mark.parametrize(
    ("store", "level", "words"),
    [
        (Fields(), RED, "there is none in the store, field 'ci': run rotate-ci-key"),
        (Fields({"ci": "zak_other"}), RED, "refuses the login of zot-ci"),
        (Fields({"ci": "zak_other", "ci-rotation": "{"}), RED, "is not what zot_rotating_key writes"),
        (Fields(error=StoreError("locked", "op is locked")), AMBER, "the store cannot be read: op is locked"),
    ],
)
def test_a_key_that_is_not_there_or_not_taken_is_told(zot, store, level, words):
    line = look(store, zot)
    assert (line.check, line.level) == ("key", level)
    assert words in line.text
    assert store.asked == [["ci", "ci-rotation"]]


def test_a_registry_that_does_not_answer_is_not_the_keys_fault():
    line = look(Fields({"ci": "zak_1"}), lambda *_given: Response(0, reason="refused"))
    assert (line.level, line.facts) == (AMBER, {"since": "registry"})
    assert "refused" in line.text


def test_a_registry_without_keys_has_none_that_could_be_used():
    assert look(Fields({"ci": "zak_1"}), lambda *_given: Response(404)).level == RED


def test_a_registry_that_lists_no_key_accepts_one_all_the_same():
    line = look(Fields({"ci": "zak_1"}), lambda *_given: Response(200, b'{"apiKeys": []}'))
    assert (line.level, line.text) == (GREEN, f"{URL} accepts it")


KEY = ApiKey("u", "ci", NOW, NOW + timedelta(days=90), None, False, [])


@pytest.mark.parametrize(
    ("age", "life", "level", "words"),
    [
        (0, 90, GREEN, "ci is 0 days old and expires in 90 days"),
        (61, 90, GREEN, "ci is 61 days old"),
        (62.5, 90, AMBER, "it should have been renewed after 60 days"),
        (89, 90, AMBER, "expires in 1 days"),
        (90, 90, RED, "ci expired 0 days ago"),
        (95, 90, RED, "ci expired 5 days ago"),
        (1, 10, AMBER, "expires in 9 days"),
        (10, None, GREEN, "ci is 10 days old and never expires"),
        (100, None, AMBER, "never expires"),
    ],
)
def test_a_key_is_judged_by_its_age_and_by_what_is_left(age, life, level, words):
    key = replace(KEY, expires=NOW + timedelta(days=life) if life else None)
    line = judge_key(key, POLICY, NOW + timedelta(days=age))
    assert line.level == level
    assert words in line.text


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (Response(204), GREEN, "it answers 204"),
        (Response(302), GREEN, "it answers 302"),
        (Response(401), RED, "it answers 401"),
        (Response(0, reason="refused"), RED, "no answer: refused"),
        (Response(0, reason="x", untrusted="expired"), RED, "no answer: expired"),
    ],
)
def test_another_service_is_green_where_it_answers(answer, level, text):
    asked = []

    def send(*given):
        asked.append(given)
        return answer

    line = look_at_url("forge", "https://forge.test/", send, 3)
    assert (line.check, line.level, line.text) == ("forge", level, text)
    assert asked == [("GET", "https://forge.test/", None, 3)]


def test_a_command_is_green_where_it_ends_well_and_its_output_is_not_told(tmp_path):
    (tmp_path / "there").touch()
    assert look_at_command("file", f"test -f {tmp_path}/there | cat", run, 9).level == GREEN
    line = look_at_command("file", "echo canary; exit 3", run, 9)
    assert (line.level, line.text) == (RED, "the command ends with 3")
    line = look_at_command("slow", "sleep 9", run, 0.1)
    assert (line.level, line.text) == (RED, "no end within 0.1 s")


def test_a_store_on_disk_is_read_too(tmp_path, zot):
    path = tmp_path / "keys.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write('{"ci": "zak_no"}')
    assert look(File(str(path)), zot).level == RED
    assert issubclass(StoreError, ZotError)
