# SPDX-License-Identifier: GPL-3.0-or-later
"""The rotation of a key at a running zot and a running forge: stopped and failing at every effect, two at once, and surprised.

What must hold is what tests/unit/plugins/plugin_utils/test__rotating.py holds a model to: at every moment the key in the forge is one that
zot accepts. Once a run came to its end and some time has passed, the store has the newest key, the forge has it too, no other key of ours
is alive, and one more run changes nothing. Jobs that began with the old key can use it for the overlap.

ROTATION_ORDERS is how many orders of two runs are tried.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Demand
from support.forge import real_forge, standin, standin_forge
from support.rotation_bed import (
    DAY,
    FAULTS,
    LEASE,
    NAME,
    Bed,
    Controller,
    Fault,
    Project,
    Turns,
    assert_settles,
    bed,
    configuration,
    leak,
    renew,
    stopped,
    whole,
)
from support.waiting import until
from support.zot_binary import serving
from testbed import gitea

from contract.conftest import EVERYTHING, REPORT
from contract.images import push

MINUTES = 600.0
ORDERS = int(os.environ.get("ROTATION_ORDERS", "25"))
BUSY = "another publisher has the lock"
REAL = pytest.param("real", marks=(pytest.mark.real_zot, pytest.mark.real_gitea))
COUNTS: Counter[str] = Counter()


@pytest.fixture(scope="session")
def real_pair(binaries: t.Any) -> bool:
    """Whether both are there."""
    return bool(binaries("real") and gitea.find())


@pytest.fixture(scope="module", params=["standin", REAL])
def pair(request: pytest.FixtureRequest, binaries: t.Any) -> t.Iterator[Bed]:
    """A zot and a forge: stand-ins, or as real as they can be had."""
    real = request.param == "real"
    zot = binaries("real" if real else "standin")
    program = gitea.find() if real else None
    if real and not zot and not program:
        pytest.skip("neither a real zot nor a real Gitea")
    zot = zot or binaries("standin")
    COUNTS.clear()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zot-rotation-")))
        folder.chmod(0o755)
        if program:
            (folder / "forge").mkdir()
            forge: t.Any = stack.enter_context(real_forge(folder / "forge", seed=request.getfixturevalue("gitea_seed")))
        else:
            forge = stack.enter_context(standin_forge())
        running = stack.enter_context(serving(zot.path, configuration(folder), folder / "zot"))
        # Something that a key could overwrite.
        push(running.url, "blumeops/proof", "v1", "root:password-of-root")
        yield stack.enter_context(bed(running, forge, folder))
    kinds = f"{'a real' if zot.real else 'a stand-in for'} zot and {'a real Gitea' if program else 'a stand-in for it'}"
    for what, number in COUNTS.items():
        request.config.stash[REPORT].append(f"rotation at {kinds}: {number} {what}")


@pytest.fixture
def best(pair: Bed, real_pair: bool, request: pytest.FixtureRequest) -> Bed:
    """One of them: the real pair where it is there."""
    if real_pair and request.node.callspec.params["pair"] != "real" and not EVERYTHING:
        pytest.skip("tried at the real pair; ZOT_VECTORS=all tries it at both")
    return pair


# ---- how it begins, and how it must end


def virgin(pair: Bed, store: str = "file") -> Project:
    return pair.project(store)


def due(pair: Bed, store: str = "file") -> Project:
    """A key that is published and old enough to be replaced. Jobs may have it that begin now; it was used long ago."""
    project = virgin(pair, store)
    project.run(whole)
    assert project.job() == 200
    pair.clock.leap(61 * DAY)
    return project


def settled(pair: Bed, store: str = "file") -> Project:
    """A key was replaced, and nobody needs the old one any more."""
    project = due(pair, store)
    project.run(whole)
    pair.clock.leap(2 * DAY)
    assert project.job() == 200
    return project


def leaked(pair: Bed, store: str = "file") -> Project:
    """As `due`, and the owner has a key of another kind too."""
    project = due(pair, store)
    project.key_of_a_person()
    return project


class Scenario(t.NamedTuple):
    make: t.Callable[..., Project]
    run: t.Callable[[Controller], t.Any]
    effects: str


PUBLISHING = "lock publish fingerprint unlock"
SCENARIOS = {
    "virgin": Scenario(virgin, whole, f"mint store store {PUBLISHING}"),
    "due": Scenario(due, whole, f"mint store store {PUBLISHING}"),
    "settled": Scenario(settled, whole, "revoke store"),
    "leak": Scenario(leaked, leak, f"mint store store {PUBLISHING} revoke revoke store"),
}


def assert_ends_well(project: Project, needed: str | None = None, run: t.Callable[[Controller], t.Any] = whole, alone: bool = True) -> None:
    """``needed`` is the secret that a job began with; ``run`` is what is done again.

    Of two that are not ``alone`` each may make a key, and the store keeps one of them, not always the later one; the other one goes.
    """
    assert project.secret is None or project.job() == 200
    try:
        project.run(run)
    except ZotError as error:
        # Of a publisher that was killed the lock is left, until its lease ends.
        assert BUSY in error.message
        project.bed.clock.leap(LEASE + 10)
        project.run(run)
    current = project.kept.current
    assert current
    assert project.secret == current.secret
    assert not alone or current.uuid == project.made_last()
    assert project.job() == 200
    if run is leak:
        assert project.alive() == {current.uuid}
    assert needed is None or project.job(needed) == 200
    assert_settles(project)


# ---- stopped and failing


class Point(t.NamedTuple):
    scenario: str
    store: str
    number: int
    fault: t.Any

    @property
    def effect(self) -> str:
        return SCENARIOS[self.scenario].effects.split()[self.number]

    def __str__(self) -> str:
        return f"{self.scenario}-{self.store}-{self.number}-{self.effect}-{self.fault.__name__}"


def points(store: str, *scenarios: str) -> t.Iterator[Point]:
    for name in scenarios:
        for number, effect in enumerate(SCENARIOS[name].effects.split()):
            yield from (Point(name, store, number, fault) for fault in FAULTS[store if effect == "store" else effect])


POINTS = [*points("file", *SCENARIOS), *(point for point in points("op", "due") if point.effect == "store")]
AT_REAL = POINTS[::3]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_whole_run_has_these_effects(pair: Bed, scenario: str) -> None:
    make, run, effects = SCENARIOS[scenario]
    controller = make(pair).controller()
    run(controller)
    assert " ".join(controller.effects) == effects


def test_at_least_forty_faults_are_made_at_real_ones() -> None:
    assert len(AT_REAL) >= 40
    assert {(point.scenario, point.number) for point in AT_REAL} == {(point.scenario, point.number) for point in POINTS}
    assert {point.store for point in AT_REAL} == {"file", "op"}


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_run_that_stops_anywhere_is_finished_by_the_next(pair: Bed, point: Point, real_pair: bool, request: t.Any) -> None:
    at_real = request.node.callspec.params["pair"] == "real"
    if not EVERYTHING and real_pair and at_real is not (point in AT_REAL):
        pytest.skip("made at the other pair; ZOT_VECTORS=all makes all at both")
    make, run, _effects = SCENARIOS[point.scenario]
    project = make(pair, point.store)
    needed = project.secret if make is due else None
    stopped(project, run, Fault(point.number, point.fault))
    COUNTS["fault points"] += 1
    assert_ends_well(project, needed, run)


# ---- two at once

TWO = [
    (virgin, whole, whole),
    (due, whole, whole),
    (due, renew, whole),
    (settled, whole, whole),
    (leaked, leak, leak),
    (leaked, leak, whole),
]


@pytest.mark.parametrize("seed", range(ORDERS))
def test_two_runs_at_once_end_well(best: Bed, seed: int) -> None:
    make, *runs = TWO[seed % len(TWO)]
    project = make(best)
    needed = project.secret if leak not in runs else None
    chance = random.Random(seed)  # noqa: S311 - an order
    turns = Turns(chance, switches=seed % 2 * 2)
    skews = chance.choices((-MINUTES, 0.0, MINUTES), k=2)
    raised = turns.both(
        *(lambda turn, run=run, skew=skew: project.run(run, turn=turn, skew=skew, wait=30.0) for run, skew in zip(runs, skews))
    )
    COUNTS["orders of two runs"] += 1
    assert len(set(turns.order)) == 2
    assert all(isinstance(error, ZotError) for error in raised), raised
    for error in raised:
        assert BUSY in error.message or (make is virgin and "it is empty: store the value" in error.message)
    assert_ends_well(project, needed, alone=False)


# ---- what happens behind our back


@pytest.mark.parametrize("ahead", [-MINUTES, MINUTES])
@pytest.mark.parametrize("skew", [-MINUTES, MINUTES])
def test_clocks_that_differ_by_ten_minutes_do_no_harm(best: Bed, monkeypatch: pytest.MonkeyPatch, skew: float, ahead: float) -> None:
    monkeypatch.setattr(best, "zot_ahead", ahead)
    project = due(best)
    needed, project.skew = project.secret, skew
    report = project.run(whole)
    assert abs(report.skew.total_seconds() - (ahead - skew)) < MINUTES / 10
    # A job that is about to end in time, and did not need the key until now.
    best.clock.leap(DAY - MINUTES / 2)
    project.run(whole)
    assert project.job(needed) == 200
    assert_ends_well(project)


def test_a_stored_key_that_expired_is_replaced_by_the_password(best: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    project = virgin(best)
    with monkeypatch.context() as context:
        context.setattr(best, "life", 4.0)
        project.run(whole)
    expired = project.secret
    best.clock.leap(91 * DAY)
    assert until(lambda: project.job() == 401)
    project.run(whole)
    assert project.secret != expired
    project.dead.clear()  # it was in the forge until then
    assert_ends_well(project)


def test_a_key_that_was_revoked_is_replaced_by_the_password(best: Bed) -> None:
    project = settled(best)
    project.by_hand().revoke(project.kept.current.uuid)
    assert project.job() == 401
    project.run(whole)
    project.dead.clear()
    assert_ends_well(project)


def test_a_key_that_was_revoked_while_it_was_the_only_login_is_one_clear_error(best: Bed) -> None:
    project = settled(best)
    project.store.write({project.fields.password: None})
    project.by_hand().revoke(project.kept.current.uuid)
    said = assert_refused(project, whole)
    assert "the key, which expired or was revoked, were refused; put a password or a key there that works, and run again" in said
    project.store.write({project.fields.password: project.password})
    project.run(whole)
    project.dead.clear()
    assert_ends_well(project)


def test_a_key_that_a_person_put_there_is_recognized_and_renews_itself(best: Bed) -> None:
    project = best.project(password=False)
    secret = project.key_of_a_person()
    project.store.write({project.fields.key: secret})
    assert [type(step).__name__ for step in project.run(whole).steps] == ["Adopt"]
    assert (project.secret, project.kept.current.uuid) == (secret, best.minted[secret])
    best.clock.leap(61 * DAY)
    assert_ends_well(project, secret)
    assert project.alive() == {project.kept.current.uuid}


def test_an_item_that_is_locked_is_one_clear_error(best: Bed) -> None:
    project = due(best, "op")
    needed = project.secret
    project.op.behaves({"fault": "locked", "times": None})
    assert "unlock it, and allow what it asks" in assert_refused(project, whole)
    project.op.behaves()
    assert project.secret == needed
    assert_ends_well(project, needed)


@pytest.mark.parametrize("left", [None, "nonsense", '{"version": 99}'])
def test_a_fingerprint_that_was_deleted_or_changed_is_published_again(best: Bed, left: str | None) -> None:
    project = settled(best)
    before = project.secret
    forge = project.controller().forge
    if left is None:
        assert forge.delete_variable(project.place, VARIABLE)
    else:
        forge.set_variable(project.place, VARIABLE, left)
    controller = project.controller()
    whole(controller)
    assert " ".join(controller.effects[-4:]) == PUBLISHING
    assert project.secret == before
    assert_ends_well(project)


def test_while_the_new_key_cannot_be_published_the_old_one_stays(best: Bed) -> None:
    project = due(best)
    needed = project.secret
    assert needed
    for _ in range(2):
        best.forge.fail(403, method="PUT", path=f"/secrets/{NAME}")
        with pytest.raises(ZotError, match="answers 403"):
            project.run(whole)
        best.heal()
        # Not used, or that alone would save it.
        best.clock.leap(2 * DAY)
        assert best.minted[needed] in project.alive()
    assert_ends_well(project, needed)


def test_after_a_leak_nothing_is_revoked_before_the_new_key_is_published(best: Bed) -> None:
    project = leaked(best)
    needed = project.secret
    controller = project.controller()
    controller.rotate(Demand(renew=True))
    report = controller.rotate(Demand(sole=True))
    assert report.steps == ()
    assert {why for _uuid, why in report.waiting} == {"the current key is not published everywhere yet"}
    assert_ends_well(project, needed)


def test_a_secret_that_somebody_deleted_is_published_again(best: Bed) -> None:
    project = settled(best)
    assert project.controller().forge.delete_secret(project.place, NAME)
    assert project.secret is None
    project.run(whole)
    assert project.secret == project.kept.current.secret
    assert_ends_well(project)


def test_without_the_forge_nothing_is_begun(best: Bed) -> None:
    """Whether a key is still needed cannot be told."""
    project = due(best)
    needed = project.secret
    best.forge.fail(503, times=99)
    assert "answers 503 to 4 tries" in assert_refused(project, whole)
    best.heal()
    assert_ends_well(project, needed)


def test_without_zot_nothing_is_begun(best: Bed) -> None:
    project = due(best)
    needed = project.secret
    best.front.faults.append(standin.Fault(times=99))
    assert "gives no answer to the request to list the keys" in assert_refused(project, whole)
    best.heal()
    assert_ends_well(project, needed)


def test_a_revoked_token_of_the_forge_is_one_clear_error(best: Bed) -> None:
    project = due(best)
    best.forge.revoke(project.token)
    assert "does not know the token (401): it is revoked, expired or mistyped" in assert_refused(project, whole)
    assert project.job() == 200


def assert_refused(project: Project, run: t.Callable[[Controller], t.Any]) -> str:
    """It changes nothing; what it says has no secret in it."""
    controller = project.controller()
    with pytest.raises(ZotError) as raised:
        run(controller)
    assert controller.effects == []
    for secret in (*project.bed.minted, project.token, project.password):
        assert secret not in raised.value.message
    return raised.value.message
