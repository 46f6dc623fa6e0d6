# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which repository patterns zot accepts and which names they match, as its doublestar library does."""

from __future__ import annotations

import typing as t
from itertools import islice

# What may be left of a pattern where a name ends.
ENDINGS = frozenset({"", "*", "**", "/**", "**/", "/**/"})
_MAX_CHAR = "\U0010ffff"
# Alternatives can be tried in more ways than there is time for, in zot too; what takes longer than this matches nothing.
_EFFORT = 1_000_000


def is_valid(pattern: str) -> bool:
    """doublestar.ValidatePattern."""
    depth = position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 1
            if position >= len(pattern):
                return False
        elif char == "[":
            position = _class_end(pattern, position)
            if position < 0:
                return False
        elif char in "{}":
            depth += 1 if char == "{" else -1
            if depth < 0:
                return False
        position += 1
    return depth == 0


def matches(pattern: str, name: str) -> bool:
    """doublestar.Match without its error: a pattern it stumbles over matches nothing."""
    pending: list[t.Iterator[_Run]] = [iter([_Run(pattern, name)])]
    seen = set()
    effort = _EFFORT
    while pending and effort > 0:
        run = next(pending[-1], None)
        if run is None:
            pending.pop()
        elif run.key() not in seen:
            seen.add(run.key())
            outcome = run.go(effort)
            effort = run.effort - len(run.pattern) // 4 - 1
            if isinstance(outcome, bool):
                return outcome
            if outcome is not None:
                pending.append(outcome)
    return False


def _class_end(pattern: str, start: int) -> int:
    """Where the class that begins at ``start`` has its bracket; -1 for nowhere or an empty class."""
    position = start + 1
    if pattern[position : position + 1] in ("^", "!"):
        position += 1
    if pattern[position : position + 1] in ("", "]"):
        return -1
    return next(_unescaped(pattern, "]", position), -1)


def _unescaped(pattern: str, chars: str, position: int) -> t.Iterator[int]:
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] in chars:
            yield position
        position += 1


def _alternatives(pattern: str, opening: int) -> list[int]:
    """Where the alternatives that begin at ``opening`` are parted: the bracket, the commas, the bracket; empty when it stays open."""
    depth, marks = 0, [opening]
    for position in _unescaped(pattern, "{,}", opening + 1):
        char = pattern[position]
        if depth == 0 and char in ",}":
            marks.append(position)
            if char == "}":
                return marks
        depth += {"{": 1, "}": -1}.get(char, 0)
    return []


class _Mismatch(Exception):  # noqa: N818 - no error
    pass


class _Run:
    """One way to read a pattern. Its quirks are doublestar's: only the last star is tried again, a '**' counts where alternatives begin."""

    def __init__(self, pattern: str, name: str) -> None:
        self.pattern = pattern
        self.name = name
        self.on = self.at = 0  # in the pattern, in the name
        self.star = self.double = (-1, -1)  # where to go back to in both, after * and **/
        self.starts_segment = True
        self.effort = 0

    def key(self) -> tuple[t.Any, ...]:
        """What decides the outcome. The character before counts too: it may be a backslash."""
        start = min(place for place in (max(0, self.on - 1), self.star[0], self.double[0]) if place >= 0)
        places = tuple(place - start if place >= 0 else place for place in (self.on, self.star[0], self.double[0]))
        return (self.pattern[start:], self.at, self.star[1], self.double[1], *places)

    def go(self, effort: int) -> bool | t.Iterator[_Run] | None:
        """True: it matches; False: doublestar gives up with an error; None: it does not match; else what to try next."""
        self.effort = effort
        while self.at < len(self.name) and self.effort > 0:
            self.effort -= 1
            try:
                if self.on >= len(self.pattern):
                    raise _Mismatch
                outcome = _STEPS.get(self.pattern[self.on], _Run._literal)(self)
                if outcome is not None:
                    return outcome
            except _Mismatch:
                if not self._goes_back():
                    return None if self.on >= len(self.pattern) or is_valid(self.pattern[self.on :]) else False
        return self._rest()

    def _rest(self) -> bool | t.Iterator[_Run] | None:
        """The name is used up: can what is left of the pattern match nothing?"""
        rest = self.pattern[self.on :]
        if rest in ENDINGS:
            return True
        if rest.startswith("{"):
            marks = _alternatives(rest, 0)
            return self._each(rest, marks) if marks else False
        return None if is_valid(rest) else False

    def _each(self, pattern: str, marks: list[int]) -> t.Iterator[_Run]:
        before, after = pattern[: marks[0]], pattern[marks[-1] + 1 :]
        for start, end in zip(marks, islice(marks, 1, None)):
            run = _Run(before + pattern[start + 1 : end] + after, self.name)
            run.on, run.at, run.star, run.double = len(before), self.at, self.star, self.double
            yield run

    def _goes_back(self) -> bool:
        on, at = self.star
        if on >= 0 and self.name[at] != "/":
            self.star = self.on, self.at = on, at + 1
            self.starts_segment = False
            return True
        on, at = self.double
        slash = self.name.find("/", at) if on >= 0 else -1
        if slash < 0:
            return False
        self.double = self.on, self.at = on, slash + 1
        self.starts_segment = True
        return True

    def _star(self) -> bool | None:
        self.on += 1
        if self.pattern.startswith("*", self.on):
            self.on += 1
            if self.starts_segment and self.on >= len(self.pattern):
                return True
            if self.starts_segment and self.pattern[self.on] == "/":
                self.on += 1
                self.double, self.star = (self.on, self.at), (-1, -1)
                return None
        self.starts_segment = False
        self.star = self.on, self.at
        return None

    def _question(self) -> None:
        self.starts_segment = False
        if self.name[self.at] == "/":
            raise _Mismatch
        self.on += 1
        self.at += 1

    def _class(self) -> bool | None:
        self.starts_segment = False
        self.on += 1
        negated = self.pattern[self.on : self.on + 1] in ("!", "^")
        self.on += negated
        if self.pattern[self.on : self.on + 1] in ("", "]"):
            return False
        if self._in_class(self.name[self.at]) == negated:
            if self.on >= len(self.pattern):
                return False
            raise _Mismatch
        end = next(_unescaped(self.pattern, "]", self.on), -1)
        if end < 0:
            return False
        self.on = end + 1
        self.at += 1
        return None

    def _in_class(self, wanted: str) -> bool:
        last = _MAX_CHAR
        while self.on < len(self.pattern) and self.pattern[self.on] != "]":
            char = self._next()
            if last < _MAX_CHAR and char == "-" and self.pattern[self.on : self.on + 1] not in ("", "]"):
                self.on += self.pattern[self.on] == "\\"
                high = self._next()
                if last <= wanted <= high:
                    return True
                last = _MAX_CHAR
                continue
            if char == "\\":
                char = self._next()
            if char == wanted:
                return True
            last = char
        return False

    def _next(self) -> str:
        char = self.pattern[self.on : self.on + 1]
        self.on += len(char)
        return char or "\ufffd"

    def _alternation(self) -> bool | t.Iterator[_Run]:
        marks = _alternatives(self.pattern, self.on)
        return self._each(self.pattern, marks) if marks else False

    def _escaped(self) -> bool | None:
        self.on += 1
        if self.on >= len(self.pattern):
            return False
        self._literal()
        return None

    def _literal(self) -> None:
        char = self.pattern[self.on]
        if char != self.name[self.at]:
            if self.on and self.pattern[self.on - 1] == "\\":
                self.on -= 1
            raise _Mismatch
        self.on += 1
        self.at += 1
        self.starts_segment = char == "/"


_STEPS: dict[str, t.Callable[[_Run], t.Any]] = {
    "*": _Run._star,
    "?": _Run._question,
    "[": _Run._class,
    "{": _Run._alternation,
    "\\": _Run._escaped,
}
