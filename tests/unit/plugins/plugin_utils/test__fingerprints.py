# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import LONGEST_VALUE
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, VERSION, Fingerprints

NOW = datetime(2026, 11, 23, 21, 58, 24, 500, tzinfo=timezone.utc)
CANARY = "canary-91ab-value"


def known(**values):
    found = Fingerprints()
    for name, value in values.items():
        found = found.with_(name, value, NOW, os.urandom)
    return found


def test_a_value_matches_its_own_fingerprint_only():
    found = Fingerprints.parse(known(A=CANARY, B="b").text())
    assert (found.matches("A", CANARY), found.matches("A", "b"), found.matches("C", CANARY)) == (True, False, None)
    assert found.matches("B", "b") is True
    assert found.matches("A", "") is False


def test_it_is_told_since_when():
    found = Fingerprints.parse(known(A="a").text())
    assert found.since("A") == NOW.replace(microsecond=0)
    assert found.since("B") is None


def test_what_is_put_again_is_so_since_then():
    later = NOW + timedelta(hours=3)
    assert known(A="a").with_("A", "a", later, os.urandom).since("A") == later.replace(microsecond=0)


def test_a_time_of_another_zone_is_kept_as_utc():
    east = NOW.astimezone(timezone(timedelta(hours=2)))
    assert Fingerprints.parse(Fingerprints().with_("A", "a", east, os.urandom).text()).since("A") == NOW.replace(microsecond=0)


def test_two_of_one_value_are_unlike_and_no_value_is_in_the_text():
    text = known(A=CANARY, B=CANARY).text()
    rows = json.loads(text)["secrets"]
    assert rows["A"][1] != rows["B"][1]
    assert CANARY not in text


def test_what_is_taken_away_is_not_known():
    found = known(A="a", B="b").without("A").without("NONE")
    assert (found.matches("A", "a"), found.matches("B", "b")) == (None, True)
    assert set(json.loads(found.text())["secrets"]) == {"B"}


def test_nothing_is_known_without_a_variable():
    assert Fingerprints.parse(None) == Fingerprints() == Fingerprints.parse(Fingerprints().text())


def test_parameters_may_change_later():
    # Of scrypt with n=2**4, r=1, p=1, as another release might have written it.
    text = '{"version":1,"secrets":{"A":["2026-11-23T21:58:24Z","$scrypt$ln=4,r=1,p=1$c2FsdA$%s"]}}'
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.scrypt(b"a", salt=b"salt", n=16, r=1, p=1, dklen=32)).decode().rstrip("=")
    found = Fingerprints.parse(text % digest)
    assert (found.matches("A", "a"), found.matches("A", "b")) == (True, False)
    assert found.text() == text % digest
    assert "ln=11,r=8,p=1" in found.with_("B", "b", NOW, os.urandom).text()


GOOD = json.loads(known(A="a").text())["secrets"]["A"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"version":1}',
        '{"version":1,"secrets":[]}',
        '{"version":"x","secrets":{}}',
        "[" * 100000,
        '{"version":0,"secrets":{}}',
    ],
)
def test_of_a_damaged_text_nothing_is_known(text):
    found = Fingerprints.parse(text)
    assert (found.known, found.damaged) == ({}, True)


@pytest.mark.parametrize(
    "row",
    [
        "x",
        [],
        [GOOD[0]],
        [GOOD[0], 5],
        ["yesterday", GOOD[1]],
        [GOOD[0], "$scrypt$"],
        [GOOD[0], GOOD[1][:-1]],
        [GOOD[0], GOOD[1].replace("ln=11", "ln=30")],
        [GOOD[0], GOOD[1].replace("ln=11", "ln=0")],
        [GOOD[0], GOOD[1].replace("r=8", "r=0")],
        [GOOD[0], GOOD[1].replace("p=1", "p=0")],
        [GOOD[0], GOOD[1].replace("ln=11,r=8", "ln=17,r=1")],
        [GOOD[0], GOOD[1].replace("ln=11,r=8", "ln=16,r=64")],
    ],
)
def test_an_entry_that_is_damaged_or_too_costly_is_not_known_and_the_others_are(row):
    found = Fingerprints.parse(json.dumps({"version": 1, "secrets": {"A": GOOD, "B": row}}))
    assert (found.matches("A", "a"), found.matches("B", "a"), found.damaged) == (True, None, True)


def test_the_text_of_a_newer_release_is_left_alone():
    with pytest.raises(ZotError, match="newer release") as caught:
        Fingerprints.parse(json.dumps({"version": VERSION + 1, "secrets": "whatever"}))
    assert VARIABLE in caught.value.message


def test_more_than_a_variable_holds_is_refused_before_and_after():
    few = known(A="a")
    names = [f"SECRET_NUMBER_{number}" for number in range(600)]
    with pytest.raises(ZotError, match="601 secrets"):
        few.check_room(names)
    few.check_room(names[:100])
    full = json.loads(few.text())
    full["secrets"].update(dict.fromkeys(names, GOOD))
    with pytest.raises(ZotError, match=f"a variable holds {LONGEST_VALUE}"):
        Fingerprints.parse(json.dumps(full)).text()


def test_there_is_room_for_three_hundred():
    Fingerprints().check_room([f"A_RATHER_LONG_NAME_OF_A_SECRET_{number}" for number in range(300)])
