# SPDX-License-Identifier: GPL-3.0-or-later
"""The automaton of a pattern: it takes what doublestar takes, however odd the pattern."""

from __future__ import annotations

import os
import random

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _automaton, _glob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = min(int(os.environ.get("FUZZ_EXAMPLES", "2000")), 20_000)
PIECES = [
    "a",
    "b",
    "x",
    "/",
    "/",
    "-",
    ".",
    "*",
    "**",
    "***",
    "*a",
    "?",
    "[ab]",
    "[a-c]",
    "[^a]",
    "[!/]",
    "[a/]",
    "[/]",
    "[-/]",
    "[a,b]",
    "[}a]",
    "[{]",
    "[\\]]",
    "\\a",
    "\\*",
    "\\/",
    "/**",
    "**/",
    "{a,b}",
    "{,a}",
    "{a/**,x}",
    "{**,a}",
    "{**/,b}",
    "{*,/}",
    "{a{b,*},c}",
    "{/b}",
    "{*}",
    "{**}",
    "{",
    "}",
    ",",
]


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.randoms(use_true_random=False))
def test_it_takes_what_doublestar_takes(chance: random.Random) -> None:
    pattern = "".join(chance.choices(PIECES, k=chance.randint(1, 8)))
    machine = _automaton.Automaton(pattern)
    for _ in range(30):
        name = "".join(chance.choices("aaabbx//-c", k=chance.randint(1, 10)))
        if _automaton.is_exact(pattern):
            assert machine.matches(name) == (_glob.is_valid(pattern) and _glob.matches(pattern, name)), (pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a**b", "ab", True),
        ("a**b", "a/b", False),
        ("a/***", "a/b", True),
        ("a/***", "a/b/c", False),
        # Only the last star is gone back to: after the second ** the first is forgotten, and so is what it might have found.
        ("**/a/**/b", "a/a/b", True),
        ("*{a,b}x", "aax", True),
        ("x[^a]b", "x/b", True),
        ("a/", "a/", True),
        # A ** counts where an alternative begins.
        ("a{**,x}", "a/b/c", True),
        ("a**", "a/b/c", False),
        ("?", "/", False),
        ("[!a]", "/", True),
    ],
)
def test_odd_patterns(pattern: str, name: str, expected: bool) -> None:
    assert _glob.matches(pattern, name) is expected
    assert _automaton.automaton(pattern).matches(name) is expected


@pytest.mark.parametrize(
    ("pattern", "exact"),
    [
        ("a/**", True),
        ("a**", True),
        ("[^a/]*", True),
        ("a*{b,c}", True),
        ("{a,b/**}/x", True),
        ("[{]", True),
        ("[", True),
        # doublestar stops with an error on the way, and tries no other alternative.
        ("{[a,b],c}", False),
        ("{x,y}[!{]", False),
        # What stands before the brace is another thing with an alternative behind it.
        ("**/a/**{/b,c}", False),
        ("**/a*{,b}", False),
    ],
)
def test_of_which_patterns_it_is_certain(pattern: str, exact: bool) -> None:
    assert _automaton.is_exact(pattern) is exact


def test_the_letters_that_make_a_difference() -> None:
    machine = _automaton.automaton("*[!a]{b,c}")
    assert machine.looks_for(machine.begin) == {"a"}
    assert machine.looks_for(machine.step(machine.begin, "x")[0]) == {"a", "b", "c"}


@pytest.mark.parametrize("pattern", ["**/*a*b/**/*c*/x", "{**/a,b}/**/*c*{/x,/y}"])
def test_states_are_few(pattern: str) -> None:
    machine = _automaton.automaton(pattern)
    states, pending = set(), [machine.begin]
    while pending and len(states) < 500:
        state = pending.pop()
        if state not in states:
            states.add(state)
            pending += [machine.step(state, letter)[0] for letter in "abcxy/"]
    assert len(states) < 150


def test_too_many_alternatives_are_said_so() -> None:
    with pytest.raises(_automaton.TooManyError):
        _automaton.Automaton("{a,b}" * 11)
