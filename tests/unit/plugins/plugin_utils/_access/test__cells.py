# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells: what patterns can match together, and nothing else."""

from __future__ import annotations

import os
import random
import re

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _automaton, _cells, _glob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = min(int(os.environ.get("FUZZ_EXAMPLES", "1000")), 5000)
FUZZ = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
NAME = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*")
PIECES = [
    "a",
    "b",
    "x",
    "/",
    "*",
    "**",
    "?",
    "[ab]",
    "[^a]",
    "{a,b}",
    "{a/**,x}",
    "\\a",
    "-",
    ".",
    "/**",
    "**/",
    "***",
    "{,a}",
    "[a-c]",
    "*a",
    "[/]",
    "{**,a}",
    "{**/a,b}",
    "{a{b,*},c}",
]
PARTS = ["a", "x", "*", "?", "[ab]", "{a,b}", "\\a", "[a-c]", "*a", "a*", "team-", "**"]


def patterns(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return "/".join("".join(chance.choices(PARTS, k=chance.randint(1, 3))) for _ in range(chance.randint(1, 4)))
    return "".join(chance.choices(PIECES, k=chance.randint(1, 6)))


def repositories(chance: random.Random, count: int) -> list[str]:
    made = ("".join(chance.choices("aabbx//-._c0", k=chance.randint(1, 9))) for _ in range(count))
    return [name for name in made if NAME.fullmatch(name)]


@FUZZ
@given(st.randoms(use_true_random=False))
def test_every_cell_is_there_and_its_witness_is_in_it(chance: random.Random) -> None:
    given_ = [patterns(chance) for _ in range(chance.randint(1, 5))]
    try:
        found = _cells.cells(given_)
    except _cells.TooManyError:
        return  # said so, and nothing else
    for cell, witness in found.items():
        assert NAME.fullmatch(witness)
        assert cell == frozenset(pattern for pattern in given_ if _glob.is_valid(pattern) and _glob.matches(pattern, witness))
    if all(map(_automaton.is_exact, given_)):
        for name in repositories(chance, 60):
            assert frozenset(pattern for pattern in given_ if _glob.is_valid(pattern) and _glob.matches(pattern, name)) in found


def test_witnesses_are_as_short_and_readable_as_can_be() -> None:
    found = _cells.cells(["**", "docker.io/**", "team-*/**", "**/x"])
    assert found[frozenset(["**"])] == "a"
    assert found[frozenset(["**", "docker.io/**"])] == "docker.io"
    assert found[frozenset(["**", "docker.io/**", "**/x"])] == "docker.io/x"
    assert found[frozenset(["**", "team-*/**"])] == "team-x"


def test_what_matches_nothing_is_in_no_cell() -> None:
    assert _cells.cells(["/a", "a[", "A"]) == {frozenset(): "x"}
    assert _cells.cells([]) == {frozenset(): "x"}


def test_too_much_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(_cells.TooManyError):
        _cells.cells(["{" + ",".join(map(str, range(2000))) + "}"])
    monkeypatch.setattr(_cells, "MAX_STATES", 5)
    with pytest.raises(_cells.TooManyError):
        _cells.cells(["docker.io/**", "**/x"])
