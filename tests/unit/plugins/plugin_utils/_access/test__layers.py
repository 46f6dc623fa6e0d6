# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns that add up, as patterns of which the longest counts.

FUZZ_EXAMPLES sets how many policies are made (300 when left out, at most 5,000).
"""

from __future__ import annotations

import os
import random

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _cells, _layers
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, control_of, decided, deciding_patterns
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.grants import PEOPLE, granted, grants, holding, loaded, names

EXAMPLES = min(int(os.environ.get("FUZZ_EXAMPLES", "300")), 5000)


def layered(**wanted):
    return _layers.layer({pattern: frozenset(marks) for pattern, marks in wanted.items()})


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.randoms(use_true_random=False))
def test_a_compiled_policy_is_the_union_of_its_grants_or_is_refused(chance: random.Random) -> None:
    made = parse_grants(grants(chance))
    try:
        repositories = compile_grants(made)
    except ZotError as error:
        assert "falls under" in error.message or "patterns" in error.message
        return
    control = control_of(loaded(repositories))
    assert control is not None
    for name in names(chance, 10):
        deciding, held = deciding_patterns(repositories, name), holding(made, name)
        assert len(deciding) == 1
        for who in PEOPLE:
            for action in ACTIONS:
                decision = decided(control, deciding, who, action)
                assert decision.certain
                assert decision.allowed == granted(held, who, action), (name, who, action, repositories)


def test_few_policies_are_refused() -> None:
    chance, refused = random.Random(5), 0  # noqa: S311 - no secret
    for _ in range(60):
        try:
            compile_grants(parse_grants(grants(chance)))
        except ZotError:
            refused += 1
    assert refused <= 12


def test_what_lies_inside_carries_what_holds_around_it() -> None:
    assert layered(**{"**": {0}, "a/**": {1}, "a/b/**": {2}}) == {"**": {0}, "a/**": {0, 1}, "a/b/**": {0, 1, 2}}


def test_a_shorter_pattern_that_must_decide_is_made_longer() -> None:
    made = layered(**{"**": {0}, "a": {1}})
    assert made == {"**": {0}, "{a}": {0, 1}}
    assert layered(**{"{abc,abd}/**": {0}, "abc/*": {1}}) == {"{abc,abd}/**": {0}, "{{{{abc/*}}}}": {0, 1}}


def test_odd_patterns_are_followed_too() -> None:
    assert layered(**{"[^a]*/**": {0}, "**": {1}, "a**/b": {2}})["[^a]*/**"] == {0, 1}


def test_patterns_of_one_length_that_meet_get_different_lengths() -> None:
    assert layered(**{"team-*/**": {0}, "team-a/**": {1}}) == {"team-*/**": {0}, "{team-a/**}": {0, 1}}
    assert layered(**{"abc/**": {0}, "xyz/**": {1}}) == {"abc/**": {0}, "xyz/**": {1}}


def test_patterns_that_only_overlap_get_one_for_what_they_share() -> None:
    made = layered(**{"a/**": {0}, "**/x": {1}})
    assert {pattern.strip("{}"): marks for pattern, marks in made.items()} == {"a/**": {0}, "**/x": {1}, "a/**/x": {0, 1}}
    made = layered(**{"team-*": {0}, "*-x": {1}})
    assert {"team-*-x", "team-x"} <= {pattern.strip("{}") for pattern, marks in made.items() if marks == {0, 1}}


def test_a_star_that_wants_a_letter_is_kept_so() -> None:
    made = layered(**{"*": {0}, "te*/**": {1}})
    assert _layers.layer({"*": frozenset([0]), "te*/**": frozenset([1])}) == made
    chosen = max((pattern for pattern in made if pattern in _cells.matching(made, "tex")), key=len)
    assert made[chosen] == {0, 1}
    assert made[max(_cells.matching(made, "te"), key=len)] == {0}


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"**/a*{,b}": {0}}, "without a star before a brace"),
        ({"{[a,b],c}/**": {0}}, r"without brackets in \[\.\.\.\]"),
        ({"team-?/nix-*": {0}, "*-x/**": {1}}, "zot uses one of the patterns alone"),
        ({"{" + ",".join(f"a{number}" for number in range(2000)) + "}": {0}}, "too many"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted, reason) -> None:
    with pytest.raises(_layers.CannotLayerError, match=reason):
        layered(**wanted)


def test_a_refusal_names_a_repository_and_what_holds_there() -> None:
    with pytest.raises(_layers.CannotLayerError) as raised:
        layered(**{"team-?/nix-*": {0}, "*-x/**": {1}})
    assert raised.value.marks == {0, 1}
    assert _cells.matching(["team-?/nix-*", "*-x/**"], raised.value.witness) == {"team-?/nix-*", "*-x/**"}


def test_a_policy_that_grows_without_end_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(_layers, "MAX_PATTERNS", 2)
    with pytest.raises(_layers.CannotLayerError, match="more than 2 patterns"):
        layered(**{"a/**": {0}, "**/x": {1}})


def test_a_result_that_is_wrong_is_not_let_through() -> None:
    with pytest.raises(_layers.CannotLayerError, match="alone"):
        _layers._prove({"**": frozenset([0])}, {"**": frozenset([0]), "a/**": frozenset([1])})
    with pytest.raises(_layers.CannotLayerError, match="alone"):
        _layers._prove({"a/*": frozenset([0]), "*/b": frozenset([0])}, {"a/*": frozenset([0]), "*/b": frozenset([0])})
