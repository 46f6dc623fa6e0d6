# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: every set of patterns that some repository's name can match, each with such a name.

One automaton for each pattern and one for the names that zot takes for repositories are followed together, breadth first, so that the
first name found for a set is a shortest one. What is true in each of these cells is true for every repository.
"""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._automaton import (
    ALNUM,
    ALPHABET,
    Automaton,
    TooManyError,
    automaton,
    is_exact,
)

MAX_STATES = 4_000

# The names of repositories: parts of letters and digits, between which stand . _ __ or any number of -, joined by /.
_START, _PART, _DOT, _LINE, _LINES, _DASH = range(6)
_NAME: dict[tuple[int, str], int] = {
    **{(state, char): _PART for state in range(6) for char in ALNUM},
    (_PART, "/"): _START,
    (_PART, "."): _DOT,
    (_PART, "_"): _LINE,
    (_LINE, "_"): _LINES,
    (_PART, "-"): _DASH,
    (_DASH, "-"): _DASH,
}


def cells(patterns: t.Iterable[str], most: int | None = None) -> dict[frozenset[str], str]:
    """Set of patterns -> a shortest name that matches these and none of the others.

    Raises TooManyError where more than ``most`` states would have to be followed.

    The patterns are in lower case, as zot reads them; one that zot refuses matches nothing. Each set that is returned is what the name
    really matches; that there are no others is certain where every pattern is_exact.
    """
    automata = {pattern: automaton(pattern) for pattern in dict.fromkeys(patterns)}
    machines = list(automata.values())
    begin = (_START, tuple((machine.begin, False) for machine in machines))
    seen, level = {begin}, [(begin, "")]
    found: dict[frozenset[str], str] = {}
    while level:
        following = []
        for (state, places), name in level:
            for letter in _letters(machines, places):
                into = _NAME.get((state, letter))
                if into is None:
                    continue
                reached = (into, tuple(machine.step(place, letter) for machine, (place, _unused) in zip(machines, places)))
                if reached in seen:
                    continue
                seen.add(reached)
                following.append((reached, name + letter))
                if into == _PART:
                    matched = frozenset(pattern for pattern, (_unused, ends) in zip(automata, reached[1]) if ends)
                    found.setdefault(matched, name + letter)
        if len(seen) > (most or MAX_STATES):
            raise TooManyError
        level = following
    if all(map(is_exact, automata)):
        return found
    return {matching(automata, name): name for name in reversed(found.values())}


def matching(patterns: t.Iterable[str], name: str) -> frozenset[str]:
    """The patterns that match a name."""
    return frozenset(pattern for pattern in patterns if _glob.matches(pattern, name))


def _letters(machines: list[Automaton], places: t.Iterable[tuple[int, bool]]) -> list[str]:
    """The letters to go on with: those that some pattern looks for here, a slash, and one that stands for all others."""
    looked = frozenset().union(*(machine.looks_for(place) for machine, (place, _unused) in zip(machines, places)))
    other = next((letter for letter in ALPHABET if letter not in looked), "")
    return [other, "/", *sorted(looked, key=ALPHABET.index)]
