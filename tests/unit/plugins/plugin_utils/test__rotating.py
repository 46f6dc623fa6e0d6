# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the rotation over a store, a zot and a Forgejo in memory: whole, stopped, failing and two at once.

What must hold: at every moment the key in Forgejo is one that zot accepts. Once a run came to its end and some time has passed, the store
has the newest key, Forgejo has it too, no other key of ours is alive, and one more run changes nothing.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import random
from typing import Any

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Call, Demand, drive, rotate
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rotation_world import (
    BUSY,
    DAY,
    HOUR,
    LEASE,
    NOTHING,
    POLICY,
    START,
    WHERE,
    Controller,
    Killed,
    Pair,
    World,
    every_interleaving,
    finish,
    leak,
    publish,
    whole,
)

MINUTES = datetime.timedelta(minutes=10)


def ran(world: World, demand: Demand | None = None, **more: Any) -> Any:
    return finish(whole(demand or Demand()), Controller(world, **more))


def names(report: Any) -> list[str]:
    return [type(step).__name__ for step in report.steps]


def virgin() -> World:
    return World()


def due() -> World:
    """A key that is old enough to be replaced, published and in use."""
    world = World()
    ran(world, name="z")
    world.clock += 61 * DAY
    world.job()
    return world


def replaced() -> World:
    """As `due`, with a new key that is published already."""
    world = due()
    ran(world, Demand(renew=True), name="z")
    return world


def settled() -> World:
    """A key was replaced, and nobody needs the old one any more."""
    world = due()
    ran(world, name="z")
    world.clock += 2 * DAY
    world.job()
    return world


def own() -> World:
    """As `due`, where the owner has no password: the key renews itself."""
    world = due()
    world.password = None
    return world


def pasted() -> World:
    """A person made a key and put it into the store."""
    world = World(password=None, ticks=True)
    world.secret = world.key_of_a_person("pasted")
    return world


SCENARIOS = {
    "virgin": (virgin, lambda: whole(Demand())),
    "due": (due, lambda: whole(Demand())),
    "settled": (settled, lambda: whole(Demand())),
    "own": (own, lambda: whole(Demand())),
    "pasted": (pasted, lambda: whole(Demand())),
    "leak": (due, leak),
}


def assert_ends_well(world: World, needed: str | None = None) -> None:
    """``needed`` is the secret that a job began with."""
    assert world.job()
    try:
        ran(world, name="x")  # at once
    except ZotError as error:
        assert error.message == BUSY
    assert needed is None or world.is_alive(needed)
    world.clock += LEASE
    ran(world, name="y")
    current = world.kept().current
    assert world.is_alive(current.secret)
    assert world.ci == current.secret
    ours = {uuid for uuid in world.alive() if POLICY.is_ours(world.keys[uuid].label)}
    assert current.created == max(world.keys[uuid].created for uuid in ours | {current.uuid})
    assert needed is None or world.is_alive(needed)
    assert world.job()
    for pause in (2 * HOUR, 25 * HOUR):
        world.clock += pause
        ran(world, name="y")
    assert {uuid for uuid in world.keys if POLICY.is_ours(world.keys[uuid].label)} | {current.uuid} == {world.kept().current.uuid}
    assert world.job()
    writes = world.writes
    assert ran(world).steps == ()
    assert world.writes == writes
    assert world.dead == []


# ---- whole runs


def test_from_a_virgin_registry_to_a_published_key_and_then_nothing() -> None:
    world = virgin()
    assert names(ran(world)) == ["Mint", "Prove", "Promote"]
    assert world.ci == world.secret
    writes = world.writes
    assert ran(world).steps == ()
    assert world.writes == writes


def test_a_year_of_daily_runs_keeps_one_key_and_never_fails_a_job() -> None:
    world, made, most = virgin(), set(), 0
    for _ in range(365):
        ran(world)
        assert world.job()
        made |= world.alive()
        most = max(most, len(world.alive()))
        world.clock += DAY
    assert (len(made), most, world.dead) == (7, 2, [])


def test_without_a_password_the_key_renews_itself() -> None:
    world = own()
    assert names(ran(world)) == ["Mint", "Prove", "Promote"]
    assert_ends_well(world)


def test_the_password_comes_before_the_key_so_that_groups_are_fresh() -> None:
    world = due()
    calls = []
    finish(whole(Demand()), Controller(world), lambda _number, name, done: (calls.append((name, dict(world.keys))), done())[1])
    assert world.keys["z1"].last_used == calls[0][1]["z1"].last_used


@pytest.mark.parametrize("skew", [-MINUTES, MINUTES])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_clocks_that_differ_by_ten_minutes_do_no_harm(scenario, skew) -> None:
    make, run = SCENARIOS[scenario]
    world = make()
    world.skew = skew
    finish(run(), Controller(world))
    assert_ends_well(world)


# ---- what happens behind our back


def test_a_stored_key_that_expired_is_replaced_by_the_password() -> None:
    world = due()
    world.clock += 40 * DAY
    assert not world.is_alive(world.secret)
    world.dead.clear()
    assert names(ran(world)) == ["Mint", "Prove", "Promote", "Revoke", "Forget"]
    world.dead.clear()  # it was in Forgejo while we were away
    assert_ends_well(world)


def test_a_key_that_was_revoked_is_replaced() -> None:
    world = settled()
    del world.keys[world.kept().current.uuid]
    ran(world)
    world.dead.clear()
    assert_ends_well(world)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": None, "secret": None, "text": None}, "neither a password of the owner nor a key"),
        ({"password": None, "keys": {}}, "the key, which expired or was revoked, were refused"),
        ({"password_works": False, "keys": {}}, "the password and the key, which expired or was revoked, were refused"),
        ({"text": "{"}, "is not what zot_rotating_key writes"),
    ],
)
def test_what_no_run_can_mend_is_one_clear_error_and_changes_nothing(change, said) -> None:
    world = due()
    for name, value in change.items():
        setattr(world, name, value)
    before = copy.deepcopy(world)
    with pytest.raises(ZotError, match=said) as raised:
        drive(rotate(POLICY, Demand(), WHERE), Controller(world))
    assert world == before
    assert "secret of" not in raised.value.message


def test_a_refused_password_is_no_harm_while_the_key_works() -> None:
    world = due()
    world.password_works = False
    ran(world)
    assert_ends_well(world)


def test_a_lost_fingerprint_is_published_again() -> None:
    world = settled()
    world.variable = None
    ran(world)
    assert world.variable[0] == world.secret
    assert_ends_well(world)


def test_a_key_of_a_person_is_taken_over_and_replaced_in_time() -> None:
    world = pasted()
    assert names(ran(world)) == ["Adopt"]
    assert (world.ci, world.kept().current.uuid) == ("secret of pasted", "pasted")
    world.clock += 61 * DAY
    assert names(ran(world)) == ["Mint", "Prove", "Promote"]
    world.clock += 2 * DAY
    assert names(ran(world)) == ["Revoke", "Forget"]
    assert "pasted" not in world.keys


def test_a_key_that_cannot_be_told_from_others_is_replaced_at_once() -> None:
    world = pasted()
    world.key_of_a_person("other")

    class Busy(Controller):
        def accepts(self, secret: str) -> bool:
            self.world.use("secret of other")  # at the same moment
            return super().accepts(secret)

    report = finish(whole(Demand()), Busy(world))
    assert names(report) == ["Mint", "Prove", "Promote"]
    assert [each.secret for each in world.kept().previous] == ["secret of pasted"]
    assert_ends_well(world)


def test_a_key_with_other_rights_than_it_should_have_is_not_used() -> None:
    world = due()
    before = world.ci
    with pytest.raises(ZotError, match="the new key is not used, as it may delete; the one before stays"):
        ran(world, wrong="it may delete")
    assert (world.ci, world.secret) == (before, before)
    assert_ends_well(world)


def test_a_revoked_key_that_still_works_is_not_kept_secret() -> None:
    class Deaf(Controller):
        def accepts(self, _secret: str) -> bool:
            return True

    with pytest.raises(ZotError, match="still accepts the key z1 although it was revoked"):
        finish(whole(Demand()), Deaf(settled()))


def test_a_run_that_was_overtaken_undoes_its_own_key_and_nothing_of_the_other() -> None:
    world = due()

    class Overtaken(Controller):
        def mint(self, login: str, now: datetime.datetime) -> Any:
            made = super().mint(login, now)
            ran(world, name="b")
            return made

    assert names(finish(whole(Demand()), Overtaken(world))) == []
    assert (world.kept().current.uuid[0], {uuid[0] for uuid in world.keys}) == ("b", {"b", "z"})
    assert_ends_well(world)


# ---- asked for


def test_after_a_leak_no_other_key_is_left() -> None:
    world = due()
    old = world.secret
    laptop = world.key_of_a_person("laptop")
    report = finish(leak(), Controller(world))
    assert names(report) == ["Revoke", "Forget"]
    assert world.alive() == {world.kept().current.uuid}
    assert not world.is_alive(old)
    assert not world.is_alive(laptop)
    assert (world.ci, world.dead) == (world.secret, [])


def test_others_are_not_revoked_before_the_new_key_is_published() -> None:
    world = due()
    drive(rotate(POLICY, Demand(renew=True), WHERE), Controller(world))
    report = drive(rotate(POLICY, Demand(sole=True), WHERE), Controller(world))
    assert report.steps == ()
    assert [why for _uuid, why in report.waiting] == ["the current key is not published everywhere yet"]
    assert world.job()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_check_mode_says_what_the_run_does_and_does_nothing(scenario) -> None:
    world = SCENARIOS[scenario][0]()
    before = copy.deepcopy(world)
    would = drive(rotate(POLICY, Demand(check=True), WHERE), Controller(world))
    assert (world.secret, world.text, world.writes, set(world.keys)) == (before.secret, before.text, before.writes, set(before.keys))
    assert names(would) == names(drive(rotate(POLICY, Demand(), WHERE), Controller(world)))


def test_check_mode_before_anything_is_there() -> None:
    world = World(password=None)
    report = drive(rotate(POLICY, Demand(check=True), WHERE), Controller(world))
    assert names(report) == ["Mint", "Prove", "Promote"]


# ---- stopped and failing at every call


def kill_before(_done: Any) -> Any:
    raise Killed


def kill_after(done: Any) -> Any:
    done()
    raise Killed


def fail_before(_done: Any) -> Any:
    raise ZotError("500")


def fail_after(done: Any) -> Any:
    done()
    raise ZotError("no answer in time")


FAULTS = (kill_before, kill_after, fail_before, fail_after)


def length(scenario: str) -> int:
    make, run = SCENARIOS[scenario]
    calls: list[str] = []
    finish(run(), Controller(make()), lambda _number, name, done: (calls.append(name), done())[1])
    return len(calls)


POINTS = [(scenario, number, fault) for scenario in SCENARIOS for number in range(length(scenario)) for fault in FAULTS]


def test_there_are_many_fault_points() -> None:
    assert len(POINTS) > 300


@pytest.mark.parametrize(("scenario", "number", "fault"), POINTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_run_that_stops_anywhere_is_finished_by_the_next(scenario, number, fault) -> None:
    make, run = SCENARIOS[scenario]
    world = make()
    needed = world.ci if scenario in ("due", "own") else None
    with contextlib.suppress(ZotError, Killed):
        finish(run(), Controller(world), lambda at, _name, done: fault(done) if at == number else done())
    assert_ends_well(world, needed)


# ---- two at once


def normal() -> Any:
    return whole(Demand())


def renewing() -> Any:
    return rotate(POLICY, Demand(renew=True), WHERE)


def alone() -> Any:
    return rotate(POLICY, Demand(sole=True), WHERE)


def only() -> Any:
    return rotate(POLICY, Demand(), WHERE)


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [
        (virgin, normal, normal),
        (due, normal, normal),
        (due, normal, publish),
        (own, only, only),
        (settled, normal, normal),
        (pasted, normal, normal),
        # After a leak.
        (due, renewing, renewing),
        (due, renewing, publish),
        (replaced, alone, normal),
        (replaced, alone, alone),
    ],
    ids=lambda value: value.__name__,
)
def test_two_runs_at_once_end_well_in_every_order(make, one, other) -> None:
    ends = 0
    for pair in every_interleaving(make(), one, other):
        assert set(pair.errors) <= {BUSY}, pair.errors
        assert pair.world.dead == []
        assert_ends_well(pair.world)
        ends += 1
    assert ends


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [(due, leak, leak), (due, leak, normal), (virgin, leak, leak), (settled, leak, normal), (replaced, alone, renewing)],
    ids=lambda value: value.__name__,
)
@settings(max_examples=500, deadline=None, database=None, derandomize=True)
@given(chance=st.randoms(use_true_random=False))
def test_two_longer_runs_at_once_end_well_in_many_orders(make, one, other, chance: random.Random) -> None:
    pair = Pair(make(), (one, other))
    favoured = chance.random()
    while pair.open:
        pair.step(pair.open[chance.random() < favoured] if len(pair.open) > 1 else pair.open[0])
    # A run may undo the first key of another, which then has none to publish, and says so.
    assert set(pair.errors) <= {BUSY, *([NOTHING] if make is virgin else [])}, pair.errors
    assert pair.world.dead == []
    assert_ends_well(pair.world)


def test_the_orders_that_are_followed_are_all_there_are() -> None:
    """Against plain enumeration, where that is small enough to do."""

    def run() -> Any:
        for _ in range(3):
            yield Call("mint", ("password", START))

    ends = {repr(sorted(pair.world.keys)) for pair in every_interleaving(World(), run, run)}
    assert ends == {repr(sorted(_minted(order))) for order in range(64) if order.bit_count() == 3}


def _minted(order: int) -> list[str]:
    world = World()
    controllers = [Controller(world, name) for name in "ab"]
    for place in range(6):
        controllers[order >> place & 1].mint("password", world.clock)
    return list(world.keys)


def test_a_publisher_that_does_not_lock_is_caught() -> None:
    """The harness sees what the lock is for: a secret of one run with the fingerprint of another."""
    world = due()
    drive(renewing(), Controller(world))

    def run(locks: bool) -> Any:
        yield from publish(locks)
        yield from renewing()
        yield from publish(locks)

    for locks in (True, False):
        ends = [pair.world for pair in every_interleaving(world, lambda locks=locks: run(locks), lambda locks=locks: publish(locks))]
        assert all(end.ci == end.variable[0] for end in ends) is locks
