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
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from support.forge import real_forge, standin_forge
from support.rotation_bed import (
    DAY,
    FAULTS,
    HOUR,
    LEASE,
    Bed,
    Controller,
    Fault,
    Project,
    bed,
    configuration,
    leak,
    stopped,
    whole,
)
from support.zot_binary import serving
from testbed import gitea

from contract.conftest import REPORT, spread
from contract.images import push

MINUTES = 600.0
ORDERS = int(os.environ.get("ROTATION_ORDERS", "25"))
BUSY = "another publisher has the lock"
REAL = pytest.param("real", marks=(pytest.mark.real_zot, pytest.mark.real_gitea))
COUNTS: Counter[str] = Counter()


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
        made = stack.enter_context(bed(running, forge, folder))
        made.real = real
        yield made
    kinds = f"{'a real' if zot.real else 'a stand-in for'} zot and {'a real Gitea' if program else 'a stand-in for it'}"
    for what, number in COUNTS.items():
        request.config.stash[REPORT].append(f"rotation at {kinds}: {number} {what}")


# ---- how it begins, and how it must end


def virgin(pair: Bed, store: str = "file") -> Project:
    return pair.project(store)


def due(pair: Bed, store: str = "file") -> Project:
    """A key that is old enough to be replaced, published and in use."""
    project = virgin(pair, store)
    project.run(whole)
    pair.clock.leap(61 * DAY)
    assert project.job() == 200
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


def assert_ends_well(project: Project, needed: str | None = None, run: t.Callable[[Controller], t.Any] = whole) -> None:
    """``needed`` is the secret that a job began with; ``run`` is what is done again."""
    clock = project.bed.clock
    assert project.secret is None or project.job() == 200
    with busy_is_fine():
        project.run(run)
    clock.leap(LEASE + 10)
    project.run(run)
    current = project.kept.current
    assert current
    assert project.secret == current.secret
    assert current.uuid == project.made_last()
    assert project.job() == 200
    if run is leak:
        assert project.alive() == {current.uuid}
    assert needed is None or project.job(needed) == 200
    clock.leap(27 * HOUR)
    project.run(whole)
    assert project.kept.current == current
    assert project.ours() == {current.uuid}
    assert project.job() == 200
    again = project.controller()
    assert whole(again).steps == ()
    assert again.effects == []
    assert project.dead == []


@contextlib.contextmanager
def busy_is_fine() -> t.Iterator[None]:
    """Of a publisher that was killed the lock is left, until its lease ends."""
    try:
        yield
    except ZotError as error:
        assert BUSY in error.message


# ---- stopped and failing


class Point(t.NamedTuple):
    scenario: str
    number: int
    fault: t.Any

    def __str__(self) -> str:
        return f"{self.scenario}-{self.number}-{SCENARIOS[self.scenario].effects.split()[self.number]}-{self.fault.__name__}"


def points(store: str, *scenarios: str) -> list[Point]:
    return [
        Point(name, number, fault)
        for name in scenarios
        for number, effect in enumerate(SCENARIOS[name].effects.split())
        for fault in FAULTS[store if effect == "store" else effect]
    ]


POINTS = points("store", *SCENARIOS)
OF_THE_STORE = [point for point in points("op", "due") if point.fault in FAULTS["op"] and point.number in (1, 2)]
AT_REAL = set(spread(POINTS, 60))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_whole_run_has_these_effects(pair: Bed, scenario: str) -> None:
    make, run, effects = SCENARIOS[scenario]
    controller = make(pair).controller()
    run(controller)
    assert " ".join(controller.effects) == effects


def test_at_least_forty_faults_are_made_at_real_ones() -> None:
    assert len(AT_REAL) >= 40
    assert {point.scenario for point in AT_REAL} == set(SCENARIOS)
    assert {point.fault for point in AT_REAL} == {point.fault for point in POINTS}


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_run_that_stops_anywhere_is_finished_by_the_next(pair: Bed, point: Point) -> None:
    if pair.real and point not in AT_REAL:
        pytest.skip("one of those that are made at stand-ins only; ZOT_VECTORS=all makes all of them")
    assert_survives(pair, point)


@pytest.mark.parametrize("point", OF_THE_STORE, ids=str)
def test_a_store_that_fails_loses_no_key(pair: Bed, point: Point) -> None:
    assert_survives(pair, point, "op")


def assert_survives(pair: Bed, point: Point, store: str = "file") -> None:
    make, run, _effects = SCENARIOS[point.scenario]
    project = make(pair, store)
    needed = project.secret if run is whole and make is due else None
    stopped(project, run, Fault(point.number, point.fault))
    COUNTS["fault points"] += 1
    assert_ends_well(project, needed, run)
