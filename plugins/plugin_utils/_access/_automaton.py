# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pattern as an automaton that reads a name letter by letter, and takes what doublestar takes.

doublestar tries one reading of a pattern at a time. When that fails it goes back to the last star, and from there to the last ``**/``,
and to nothing before: so it can miss what a regular expression would find. Here all readings that it may yet try go on together, in its
order. One that comes to a star or a ``**/`` of its own drops those behind it that doublestar would not go back to from there.
"""

from __future__ import annotations

import functools
import string
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob

MAX_ALTERNATIVES = 1_000

# What names are made of beside the slash; witnesses take the first of these where nothing asks for another.
ALNUM = "xabcdefghijklmnopqrstuvwyz" + string.digits
ALPHABET = ALNUM + "-._"


class TooManyError(Exception):
    """The patterns meet in more ways than can be followed."""


@functools.lru_cache(maxsize=1024)
def automaton(pattern: str) -> Automaton:
    return Automaton(pattern)


class Automaton:
    """A pattern, read letter by letter. A state holds the readings of each alternative that can still match."""

    def __init__(self, pattern: str) -> None:
        self.places = _Places()
        ways = alternatives(pattern) if _glob.is_valid(pattern) else []
        self.begin: State = frozenset(Readings((Block((self.places.add(_parts(*way)),)),)) for way in ways)
        self._steps: dict[tuple[State, str], tuple[State, bool]] = {}
        self._looked: dict[State, frozenset[str]] = {}

    def step(self, state: State, letter: str) -> tuple[State, bool]:
        """The state after one letter more, and whether the name may end there."""
        key = (state, letter)
        if key not in self._steps:
            after = frozenset(self.places.after(readings, letter) for readings in state)
            self._steps[key] = after - {Readings(())}, any(map(self.places.ends, after))
        return self._steps[key]

    def looks_for(self, state: State) -> frozenset[str]:
        """The letters that make a difference in a state."""
        if state not in self._looked:
            self._looked[state] = frozenset().union(*map(self.places.looks_for, state))
        return self._looked[state]

    def matches(self, name: str) -> bool:
        state, ends = self.begin, False
        for letter in name:
            state, ends = self.step(state, letter)
        return ends


class Block(t.NamedTuple):
    """Readings since the last ``**/`` was gone back to, the first one tried first: places in the pattern, the last may have found a ``**/``
    of its own. ``star`` is where readings go on that give one letter more to the last star."""

    items: tuple[t.Any, ...]  # int | Readings
    star: int | None = None


class Readings(t.NamedTuple):
    """Blocks of readings, the first one tried first. ``double`` is where readings go on that give one part more to the last ``**/``."""

    blocks: tuple[Block, ...]
    double: int | None = None


State = frozenset[Readings]


# ---- what patterns are made of


@dataclass(frozen=True)
class _Part:
    """A piece of a pattern: a star, a ``**/``, ``**`` at the end, or one letter that it ``takes``.

    ``ends``: whether a name may end just before it. ``letters``: those that it tells from others.
    """

    kind: str
    start: int = field(compare=False)
    ends: bool
    takes: frozenset[str] = frozenset()
    letters: frozenset[str] = frozenset()


_STAR, _DOUBLE, _ALL, _ONE, _END = "star", "double", "all", "one", "end"


@functools.lru_cache(maxsize=1024)
def alternatives(pattern: str) -> list[tuple[str, tuple[int, ...]]]:
    """The patterns without braces of which one has to match, and where in each a brace was opened. Raises TooManyError."""
    pending: list[tuple[str, tuple[int, ...]]] = [(pattern, ())]
    done = set()
    while pending:
        text, opened = pending.pop()
        opening = _opening(text)
        if opening < 0:
            done.add((text, opened))
        else:
            pending += [(text[:opening] + option, (*opened, opening)) for option in _options(text, opening)]
        if len(pending) + len(done) > MAX_ALTERNATIVES:
            raise TooManyError
    return sorted(done)


@functools.lru_cache(maxsize=1024)
def is_exact(pattern: str) -> bool:
    """Whether its automaton matches all that zot matches, and nothing else.

    It does not where doublestar stops with an error before it has tried every alternative (a class with a bracket, a class cut by an
    alternative), or reads stars anew that an alternative made one (``**{/a,b}`` behind another star).
    """
    ways = alternatives(pattern) if _glob.is_valid(pattern) else []
    odd = len(ways) > 1 and any(_has_odd_class(text) for text, _unused in ways)
    return not odd and not any(_is_read_anew(text, opened) for text, opened in ways)


def _has_odd_class(text: str) -> bool:
    position = 0
    while position < len(text):
        behind = _next(text, position)
        if text[position] == "[" and set(text[position + 1 : behind]) & set("[{}\\"):
            return True
        position = behind
    return not _glob.is_valid(text)


def _is_read_anew(text: str, opened: tuple[int, ...]) -> bool:
    parts, anew = _parts(text, opened), _parts(text, opened, cut=False)
    wide = [{(part.kind, part.start) for part in each if part.kind in (_DOUBLE, _ALL)} for each in (parts, anew)]
    ends = [part.ends for part in parts] != [text[part.start :] in _glob.ENDINGS for part in parts]
    return (wide[0] != wide[1] or ends) and any(text[place - 1] == "*" for place in opened)


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


def _parts(text: str, opened: tuple[int, ...], cut: bool = True) -> list[_Part]:
    """A pattern without braces, piece by piece.

    Before the place where its last brace was ``opened`` no name can end. A piece is ``cut`` where a brace was opened: doublestar had read
    what stands before when it came to the brace, and counts ``**`` there as at the beginning of a part.
    """
    last = max(opened, default=0)
    made: list[_Part] = []
    position, fresh = 0, True
    while position < len(text):
        fresh = fresh or position in opened
        ends = position >= last and text[position:] in _glob.ENDINGS
        if text[position] == "*":
            double = text.startswith("**", position) and not (cut and position + 1 in opened)
            behind = position + 1 + double
            wide = fresh and double and not (cut and behind in opened)
            if wide and behind == len(text):
                made.append(_Part(_ALL, position, ends))
            elif wide and text[behind] == "/":
                made.append(_Part(_DOUBLE, position, ends))
                behind += 1
            else:
                made.append(_Part(_STAR, position, ends))
                fresh = False
        else:
            behind = _next(text, position)
            piece = text[position:behind]
            taken = _taken(piece)
            letters = taken - {"/"} if len(taken) < len(ALPHABET) // 2 else frozenset(ALPHABET) - taken
            made.append(_Part(_ONE, position, ends, taken, letters))
            fresh = piece in ("/", "\\/")
        position = behind
    return [*made, _Part(_END, position, position >= last)]


@functools.lru_cache(maxsize=4096)
def _taken(piece: str) -> frozenset[str]:
    """What a letter, an escaped letter, a class or a question mark stands for."""
    if piece == "?":
        return frozenset(ALPHABET)
    return frozenset(letter for letter in ALPHABET + "/" if (piece == letter if len(piece) == 1 else _glob.matches(piece, letter)))


# ---- how they are read


class _Places:
    """The places in the alternatives of a pattern; those with the same rest behind them are one."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.next: list[int] = []
        self._known: dict[tuple[_Part, int], int] = {}
        self._before: dict[Readings, Readings] = {}

    def add(self, parts: list[_Part]) -> int:
        """Where an alternative begins."""
        place = -1
        for part in reversed(parts):
            following, place = place, self._known.setdefault((part, place), len(self.parts))
            if place == len(self.parts):
                self.parts.append(part)
                self.next.append(following)
        return place

    def after(self, readings: Readings, letter: str) -> Readings:
        return self._taken(self.before(readings), letter)

    def before(self, readings: Readings) -> Readings:
        """Where each reading stands when one letter more is to come: behind stars."""
        if readings not in self._before:
            self._before[readings] = _normal((self._behind_stars(block) for block in readings.blocks), readings.double)
        return self._before[readings]

    def ends(self, readings: Readings) -> bool:
        """Where a name ends, the first reading that came so far decides alone."""
        for block in readings.blocks:
            for item in block.items:
                return self.ends(item) if isinstance(item, Readings) else self.parts[item].ends
        return False

    def looks_for(self, readings: Readings) -> t.Iterator[str]:
        for block in self.before(readings).blocks:
            for item in block.items:
                yield from self.looks_for(item) if isinstance(item, Readings) else self.parts[item].letters

    def _behind_stars(self, block: Block) -> Block:
        items: list[t.Any] = []
        for item in block.items:
            if isinstance(item, Readings):
                return Block((*items, self.before(item)))
            place, star = item, None
            while self.parts[place].kind == _STAR:
                place = star = self.next[place]
            if self.parts[place].kind == _DOUBLE:
                inside = self.next[place]
                return Block((*items, self.before(Readings((Block((inside,)),), inside))))
            if place not in items:
                items.append(place)
            if star is not None:
                return Block(tuple(items), star)
        return Block(tuple(items), block.star)

    def _taken(self, readings: Readings, letter: str) -> Readings:
        blocks = []
        for block in readings.blocks:
            items: list[t.Any] = []
            for item in block.items:
                if isinstance(item, Readings):
                    items.append(self._taken(item, letter))
                elif self.parts[item].kind == _ALL:
                    items.append(item)
                elif letter in self.parts[item].takes:
                    items.append(self.next[item])
            star = block.star if letter != "/" else None
            if star is not None:
                items.append(star)
            blocks.append(Block(tuple(dict.fromkeys(items)), star))
        if letter == "/" and readings.double is not None:
            blocks.append(Block((readings.double,)))
        return _normal(blocks, readings.double)


def _normal(blocks: t.Iterable[Block], double: int | None) -> Readings:
    """Without blocks that have nothing left, or nothing new; a ``**/`` found by the one reading of a block is the one to go back to."""
    kept: list[Block] = []
    for block in blocks:
        if len(block.items) == 1 and isinstance(block.items[0], Readings):
            inner = block.items[0]
            return _normal([*kept, *inner.blocks], inner.double)
        if block.items and block not in kept:
            kept.append(block)
    return Readings(tuple(kept), double)
