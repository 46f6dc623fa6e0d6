# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: every set of patterns that some repository's name can match, each with such a name.

One automaton for each pattern and one for the names that zot takes for repositories are followed together, breadth first, so that the
first name found for a set is a shortest one. What is true in each of these cells is true for every repository, as long as every
pattern is plain: doublestar goes back to its last star alone, so that some odd patterns match less than they say.
"""

from __future__ import annotations

import functools
import re
import string
import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob

MAX_STATES = 4_000
MAX_ALTERNATIVES = 1_000

# What names are made of beside the slash; witnesses take the first of these where nothing asks for another.
_ALNUM = "xabcdefghijklmnopqrstuvwyz" + string.digits
_ALPHABET = _ALNUM + "-._"


class TooManyError(Exception):
    """The patterns meet in more ways than can be followed."""


# The names of repositories: parts of letters and digits, between which stand . _ __ or any number of -, joined by /.
_START, _PART, _DOT, _LINE, _LINES, _DASH = range(6)
_NAME: dict[tuple[int, str], int] = {
    **{(state, char): _PART for state in range(6) for char in _ALNUM},
    (_PART, "/"): _START,
    (_PART, "."): _DOT,
    (_PART, "_"): _LINE,
    (_LINE, "_"): _LINES,
    (_PART, "-"): _DASH,
    (_DASH, "-"): _DASH,
}


@functools.lru_cache(maxsize=1024)
def is_plain(pattern: str) -> bool:
    """Whether its automaton matches exactly what zot matches.

    Not plain are a class that takes a slash, ** beside text, a brace behind a star, a slash at the end.
    """
    if "*{" in pattern:
        return False
    for text, _opened in alternatives(pattern) if _glob.is_valid(pattern) else []:
        unescaped = re.sub(r"\\.", "c", text)
        if re.search(r"\[[!^]|\[[^\]]*/|\[[^\]]*[ -.]-|/\Z", unescaped):
            return False
        if any("**" in part and part != "**" for part in unescaped.split("/")):
            return False
    return True


def cells(patterns: t.Iterable[str], most: int | None = None) -> dict[frozenset[str], str]:
    """Set of patterns -> a shortest name that matches these and none of the others.

    Raises TooManyError where more than ``most`` states would have to be followed.

    The patterns are in lower case, as zot reads them; one that zot refuses matches nothing. Each set that is returned is what the name
    really matches; that there are no others is certain where every pattern is plain.
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
                reached = (into, tuple(machine.step(place, letter) for machine, (place, _) in zip(machines, places)))
                if reached in seen:
                    continue
                seen.add(reached)
                following.append((reached, name + letter))
                if into == _PART:
                    matched = frozenset(pattern for pattern, (_, ends) in zip(automata, reached[1]) if ends)
                    found.setdefault(matched, name + letter)
        if len(seen) > (most or MAX_STATES):
            raise TooManyError
        level = following
    if all(map(is_plain, automata)):
        return found
    return {matching(automata, name): name for name in reversed(found.values())}


def matching(patterns: t.Iterable[str], name: str) -> frozenset[str]:
    """The patterns that match a name."""
    return frozenset(pattern for pattern in patterns if _glob.matches(pattern, name))


class Automaton:
    """A pattern as an automaton. A state is a set of places in the pattern's alternatives, as bits."""

    def __init__(self, pattern: str) -> None:
        self.parts: list[_Part] = []
        begin = 0
        for text, opened in alternatives(pattern) if _glob.is_valid(pattern) else []:
            begin |= 1 << len(self.parts)
            self.parts += _parts(text, opened)
        self.begin = self._closed(begin)
        self._steps: dict[tuple[int, str], tuple[int, bool]] = {}
        self._looked: dict[int, frozenset[str]] = {}

    def step(self, state: int, letter: str) -> tuple[int, bool]:
        """The state after one letter more, and whether the name may end there."""
        key = (state, letter)
        if key not in self._steps:
            reached = {place for index in _bits(state) for place in self.parts[index].after(index, letter)}
            ends = any(self.parts[place].ends for place in reached)
            self._steps[key] = self._closed(sum(1 << place for place in reached)), ends
        return self._steps[key]

    def looks_for(self, state: int) -> frozenset[str]:
        """The letters that make a difference in a state."""
        if state not in self._looked:
            self._looked[state] = frozenset().union(*(self.parts[index].letters for index in _bits(state)))
        return self._looked[state]

    def matches(self, name: str) -> bool:
        state, ends = self.begin, False
        for letter in name:
            state, ends = self.step(state, letter)
        return ends

    def _closed(self, state: int) -> int:
        """With every place that is reached without a letter."""
        pending, closed = list(_bits(state)), state
        while pending:
            index = pending.pop()
            place = index + self.parts[index].skip
            if not closed >> place & 1:
                closed |= 1 << place
                pending.append(place)
        return closed


@functools.lru_cache(maxsize=1024)
def automaton(pattern: str) -> Automaton:
    return Automaton(pattern)


@dataclass(frozen=True)
class _Part:
    """A piece of a pattern: the letters it ``takes`` and how far that leads (``stay``: back to itself), how far a ``skip`` without a letter
    leads, and whether a name may end just before it, which doublestar allows for a few rests of a pattern only. ``letters`` are those it
    tells from others."""

    takes: t.Callable[[str], bool]
    ends: bool
    letters: frozenset[str] = frozenset()
    skip: int = 0
    stay: bool = False
    # Where a slash leads, where that is not where other letters lead.
    at_slash: int | None = None

    def after(self, index: int, letter: str) -> t.Iterable[int]:
        if not self.takes(letter):
            return ()
        if letter == "/" and self.at_slash is not None:
            return (index + self.at_slash,)
        return (index,) if self.stay else (index + 1,)


def _any(_letter: str) -> bool:
    return True


def _none(_letter: str) -> bool:
    return False


def _no_slash(letter: str) -> bool:
    return letter != "/"


@functools.lru_cache(maxsize=1024)
def alternatives(pattern: str) -> list[tuple[str, int]]:
    """The patterns without braces of which one has to match, and where in each the last brace was opened. Raises TooManyError."""
    pending, done = [(pattern, 0)], set()
    while pending:
        text, opened = pending.pop()
        opening = _opening(text)
        if opening < 0:
            done.add((text, opened))
        else:
            pending += [(text[:opening] + option, opening) for option in _options(text, opening)]
        if len(pending) + len(done) > MAX_ALTERNATIVES:
            raise TooManyError
    return sorted(done)


def _opening(text: str) -> int:
    position = 0
    while position < len(text):
        if text[position] == "{":
            return position
        position = _next(text, position)
    return -1


def _options(text: str, opening: int) -> list[str]:
    """Each alternative of the brace, with what comes behind the brace."""
    depth, start, position = 0, opening + 1, opening
    found = []
    while position < len(text):
        char = text[position]
        depth += (char == "{") - (char == "}")
        if depth == 0 or (char == "," and depth == 1):
            found.append(text[start:position])
            start = position + 1
        if depth == 0:
            return [option + text[position + 1 :] for option in found]
        position += 2 if char == "\\" else 1
    return []


def _next(text: str, position: int) -> int:
    """Behind the letter, escape or class at a position."""
    if text[position] == "\\":
        return position + 2
    if text[position] == "[":
        end = position + 1 + (text[position + 1 : position + 2] in ("^", "!"))
        while end < len(text) and text[end] != "]":
            end += 2 if text[end] == "\\" else 1
        return end + 1
    return position + 1


@functools.lru_cache(maxsize=4096)
def _one(piece: str, ends: bool) -> _Part:
    """A letter, an escaped letter, a class or C(?)."""
    if piece == "?":
        return _Part(_no_slash, ends)
    taken = frozenset(letter for letter in _ALPHABET + "/" if (piece == letter if len(piece) == 1 else _glob.matches(piece, letter)))
    return _Part(taken.__contains__, ends, taken - {"/"})


def _parts(text: str, opened: int) -> list[_Part]:
    """A pattern without braces, piece by piece; before the place where a brace was ``opened`` no name can end."""

    def ends(position: int) -> bool:
        return position >= opened and text[position:] in _glob.ENDINGS

    made: list[_Part] = []
    position, fresh = 0, True
    while position < len(text):
        if text[position] == "*":
            double = text.startswith("**", position)
            behind = position + 1 + double
            if fresh and double and behind == len(text):
                made += [_Part(_any, ends(position)), _Part(_any, True, stay=True)]
            elif fresh and double and text[behind] == "/":
                # Any whole parts of a name: it is left, and entered again, behind a slash only.
                made += [_Part(_any, ends(position), skip=2, at_slash=0), _Part(_any, False, stay=True, at_slash=-1)]
                behind += 1
            else:
                made += [_Part(_none, ends(position), skip=1), _Part(_no_slash, ends(behind), skip=1, stay=True)]
                fresh = False
        else:
            behind = _next(text, position)
            piece = text[position:behind]
            made.append(_one(piece, ends(position)))
            fresh = piece in ("/", "\\/")
        position = behind
    return [*made, _Part(_none, ends(len(text)))]


def _letters(machines: list[Automaton], places: t.Iterable[tuple[int, bool]]) -> list[str]:
    """The letters to go on with: those that some pattern looks for here, a slash, and one that stands for all others."""
    looked = frozenset().union(*(machine.looks_for(place) for machine, (place, _) in zip(machines, places)))
    other = next((letter for letter in _ALPHABET if letter not in looked), "")
    return [other, "/", *sorted(looked, key=_ALPHABET.index)]


def _bits(state: int) -> t.Iterator[int]:
    while state:
        low = state & -state
        yield low.bit_length() - 1
        state ^= low
