# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step comes next, and what is kept in the store."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils import _rotation as rotation
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Held, Kept, Observed, Policy, plan

NOW = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.timezone.utc)
DAY, HOUR, MINUTE = datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(minutes=1)
POLICY = Policy()


def key(uuid: str, age: datetime.timedelta = DAY, used: datetime.timedelta | None = None, **more) -> ApiKey:
    made = NOW - age
    told = {"label": f"blumeops.zot/{uuid}", "expires": made + 90 * DAY, "expired": False, "scopes": [], **more}
    return ApiKey(uuid=uuid, created=made, last_used=None if used is None else NOW - used, **told)


def held(of: ApiKey, **more) -> Held:
    return Held(f"secret of {of.uuid}", of.uuid, of.label, of.created, of.expires, **more)


def seen(*keys: ApiKey, current: Held | None = None, following: Held | None = None, previous: tuple[Held, ...] = (), **more) -> Observed:
    return Observed(Kept(current, following, previous), keys, NOW, **more)


def settled(*others: ApiKey, age: datetime.timedelta = 3 * DAY, **more) -> Observed:
    """A current key that has been published for as long as it is there."""
    current = key("current", age)
    given = {"since": (NOW - age,), **more}
    return seen(current, *others, current=held(current, since=NOW - age), **given)


def test_nothing_is_left_to_do_with_a_young_key() -> None:
    assert plan(settled(), POLICY) == rotation.Done()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (seen(), "there is no key yet"),
        (seen(key("x"), current=Held("pasted")), "which key it is"),
        (seen(current=held(key("gone"))), "expired or was revoked"),
        (seen(key("x", 91 * DAY), current=held(key("x", 91 * DAY))), "expired or was revoked"),
        (seen(key("x", expired=True), current=held(key("x"))), "expired or was revoked"),
        (settled(age=60 * DAY), "60.0 days old"),
        (seen(key("x", expires=NOW + 29 * DAY), current=held(key("x"))), "expires in 29.0 days"),
        (seen(key("x"), current=held(key("x")), renew=True), "a new one was asked for"),
    ],
)
def test_why_a_key_is_made(given, why) -> None:
    step = plan(given, POLICY)
    assert isinstance(step, rotation.Mint)
    assert why in step.why


def test_a_key_just_below_the_age_stays() -> None:
    assert plan(settled(age=60 * DAY - MINUTE), POLICY) == rotation.Done()


def test_a_key_of_a_person_that_is_known_is_taken_over() -> None:
    assert plan(seen(key("x"), current=Held("pasted"), identified="x"), POLICY) == rotation.Adopt("x")


def test_what_follows_is_proved_and_only_then_promoted() -> None:
    following = key("next", MINUTE)
    given = seen(key("current"), following, current=held(key("current")), following=held(following))
    assert plan(given, POLICY) == rotation.Prove("next")
    assert plan(replace(given, proved="current"), POLICY) == rotation.Prove("next")
    assert plan(replace(given, proved="next"), POLICY) == rotation.Promote("next")


def test_what_was_to_follow_and_is_dead_is_dropped() -> None:
    assert isinstance(plan(seen(key("current"), current=held(key("current")), following=held(key("next"))), POLICY), rotation.Drop)


# ---- what may be revoked

OLD = key("old", 62 * DAY, used=2 * DAY)
PREVIOUS = (held(OLD, until=NOW - 3 * DAY),)


def test_what_nobody_needs_is_revoked_and_then_forgotten() -> None:
    assert plan(settled(OLD, previous=PREVIOUS), POLICY) == rotation.Revoke(("old",), "nobody uses it any more")
    assert plan(settled(previous=PREVIOUS), POLICY) == rotation.Forget(PREVIOUS)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (settled(OLD, previous=PREVIOUS, since=(None,)), "not published everywhere"),
        (settled(OLD, previous=PREVIOUS, since=(NOW - 3 * DAY, None)), "not published everywhere"),
        (settled(OLD, previous=PREVIOUS, since=(NOW - 3 * DAY, NOW - DAY)), "jobs that began before"),
        (settled(OLD, previous=PREVIOUS, age=DAY, since=()), "jobs that began before"),
        (settled(replace(OLD, last_used=NOW - DAY), previous=PREVIOUS), "somebody still uses it"),
        (settled(key("orphan", HOUR)), "made a moment ago"),
        # One that was used was stored, and may be anywhere.
        (settled(key("orphan", 2 * HOUR, used=2 * HOUR)), "somebody still uses it"),
        (settled(OLD, previous=PREVIOUS, since=(NOW - DAY - 5 * MINUTE,), skew=10 * MINUTE), "jobs that began before"),
    ],
)
def test_why_a_key_is_not_revoked_yet(given, why) -> None:
    step = plan(given, POLICY)
    assert isinstance(step, rotation.Done), step
    assert [reason for _uuid, reason in step.waiting if why in reason], step.waiting


def test_an_adopted_key_of_which_nobody_knows_since_when_it_serves_keeps_the_others() -> None:
    given = replace(settled(OLD, previous=PREVIOUS, since=()), kept=Kept(held(key("current")), None, PREVIOUS))
    assert [why for _, why in plan(given, POLICY).waiting] == ["since when the current key is in use is not known"]


@pytest.mark.parametrize(
    "orphan",
    [
        key("orphan", HOUR + MINUTE),
        # zot keeps those that expired.
        key("orphan", 91 * DAY, used=MINUTE),
        key("orphan", 2 * DAY, used=2 * DAY),
    ],
)
def test_what_a_stopped_run_left_is_revoked(orphan) -> None:
    assert plan(settled(orphan), POLICY) == rotation.Revoke(("orphan",), "nobody uses it any more")


def test_keys_that_people_made_are_theirs() -> None:
    laptop = key("laptop", 80 * DAY, used=70 * DAY, label="laptop")
    gone = key("gone", 91 * DAY, label="laptop of before")
    assert plan(settled(laptop, gone), POLICY) == rotation.Done()


def test_after_a_leak_no_other_key_is_left_once_the_new_one_is_published() -> None:
    others = (OLD, key("laptop", used=MINUTE, label="laptop"), key("orphan", MINUTE))
    given = settled(*others, key("later", MINUTE), previous=PREVIOUS, sole=frozenset(each.uuid for each in others))
    assert plan(given, POLICY) == rotation.Revoke(("old", "laptop", "orphan"), "no other key is to be left")
    waiting = plan(replace(given, since=(None,)), POLICY)
    assert [why for _, why in waiting.waiting] == ["the current key is not published everywhere yet"] * 4


def test_what_another_run_makes_meanwhile_is_not_taken_from_it() -> None:
    given = settled(key("later", MINUTE), sole=frozenset())
    assert plan(given, POLICY) == rotation.Done((("later", "it was made while this ran"),))


def test_a_key_that_nobody_could_tell_is_kept_until_it_is_of_no_use() -> None:
    unknown = Held("pasted", until=NOW - 90 * DAY)
    assert plan(settled(previous=(unknown,)), POLICY) == rotation.Done()
    older = replace(unknown, until=NOW - 91 * DAY)
    assert plan(settled(previous=(unknown, older)), POLICY) == rotation.Forget((older,))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"renew_after": 90 * DAY}, "shorter than max_age"),
        ({"renew_after": 0 * DAY}, "shorter than max_age"),
        ({"overlap": 30 * DAY}, "the overlap has to be shorter"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(given, said) -> None:
    with pytest.raises(ZotError, match=said):
        Policy(**given)


# ---- what is kept


def test_what_is_kept_is_read_as_it_was_written() -> None:
    kept = Kept(held(key("current"), since=NOW), held(key("next")), (held(OLD, until=NOW), Held("pasted", until=NOW)))
    assert Kept.read("secret of current", kept.text(), "the store") == kept
    assert "secret of current" not in kept.text()
    assert Kept.read(None, None, "the store") == Kept()


def test_a_key_that_a_person_put_there_is_known_as_such() -> None:
    kept = Kept(held(key("current"), since=NOW))
    assert Kept.read("another", kept.text(), "the store") == Kept(Held("another"))
    assert Kept.read("another", None, "the store") == Kept(Held("another"))


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", '{"version": 1, "next": {"uuid": "x"}}', '{"version": 1, "previous": [{"secret": "zak_1", "until": "x"}]}']
)
def test_what_cannot_be_read_is_said_without_quoting_it(text) -> None:
    with pytest.raises(ZotError, match="the store is not what zot_rotating_key writes") as raised:
        Kept.read("zak_1", text, "the store")
    assert "zak_1" not in raised.value.message
    assert raised.value.__suppress_context__


def test_a_newer_format_is_not_overwritten() -> None:
    with pytest.raises(ZotError, match="newer version"):
        Kept.read(None, json.dumps({"version": 2}), "the store")


def test_no_text_of_what_is_held_has_the_secret() -> None:
    kept = Kept(held(key("current")), held(key("next")), PREVIOUS)
    assert "secret of" not in repr(kept) + str(kept)


# ---- what would be


def test_check_mode_foresees_the_whole_way() -> None:
    given, steps = settled(OLD, previous=PREVIOUS, age=61 * DAY), []
    while not isinstance(step := plan(given, POLICY), rotation.Done):
        steps.append(type(step).__name__)
        given = rotation.foreseen(given, step, POLICY)
    assert steps == ["Mint", "Prove", "Promote"]
    assert [why for _, why in step.waiting] == ["the current key is not published everywhere yet"] * 2


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (settled(OLD, previous=PREVIOUS), ["Revoke", "Forget"]),
        (seen(key("x"), current=Held("pasted"), identified="x"), ["Adopt"]),
        (seen(key("x"), current=held(key("x"), since=NOW), following=held(key("next"))), ["Drop"]),
    ],
)
def test_check_mode_foresees_each_step(given, names) -> None:
    steps = []
    while not isinstance(step := plan(given, POLICY), rotation.Done):
        steps.append(type(step).__name__)
        given = rotation.foreseen(given, step, POLICY)
    assert steps == names


@pytest.mark.parametrize("step", [lambda kept: rotation.adopted(kept, key("x"), NOW), lambda kept: rotation.promoted(kept, NOW)])
def test_a_step_without_the_key_that_it_is_about_is_none(step) -> None:
    with pytest.raises(ValueError, match="without that key"):
        step(Kept())
