# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: patterns that add up -> patterns of which the longest counts.

zot looks at the longest matching pattern alone. So each pattern carries everything that holds wherever it matches, and the patterns are
spelled so long that in each cell the longest is one that carries exactly what holds there. Where patterns only overlap, one for what they
share is added. What cannot be had so is refused: nothing is ever widened.
"""

from __future__ import annotations

import functools
import re
import typing as t
from fnmatch import fnmatchcase

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _automaton, _cells

MAX_PATTERNS = 64

# What holds in a place: the numbers of the grants.
Marks = frozenset[int]


class CannotLayerError(Exception):
    """``witness`` is a repository where zot could not be made to see exactly the ``marks`` that hold there."""

    def __init__(self, reason: str, witness: str = "", marks: Marks = frozenset()) -> None:
        super().__init__(reason)
        self.reason, self.witness, self.marks = reason, witness, marks


def layer(wanted: t.Mapping[str, Marks]) -> dict[str, Marks]:
    """Pattern -> the marks that hold where it matches (they add up), to spelled pattern -> what it carries. Raises CannotLayerError.

    In every cell of the result one pattern is longer than all others, and carries exactly what holds there.
    """
    patterns = list(wanted)
    while True:
        if len(patterns) > MAX_PATTERNS:
            raise CannotLayerError(f"it would take more than {MAX_PATTERNS} patterns")
        cells = _cells_of(patterns)
        holds = {cell: frozenset().union(*(wanted[pattern] for pattern in cell if pattern in wanted)) for cell in cells}
        carried = {pattern: _everywhere(pattern, holds) for pattern in patterns}
        missing = next((cell for cell in cells if cell and not _winners(cell, holds[cell], carried)), None)
        if missing is None:
            break
        shared = _shared(missing, patterns)
        if shared is None:
            raise CannotLayerError("zot uses one of the patterns alone", cells[missing], holds[missing])
        patterns.append(shared)
    spelled = _spell(patterns, {cell: _winners(cell, holds[cell], carried) for cell in cells if cell}, cells)
    made = {spelled[pattern]: carried[pattern] for pattern in patterns if pattern in spelled}
    _prove(made, wanted)
    return made


def _cells_of(patterns: t.Iterable[str]) -> dict[frozenset[str], str]:
    try:
        odd = [pattern for pattern in patterns if not _automaton.is_exact(pattern)]
        if odd:
            advice = "write it without a star before a brace, and without brackets in [...]"
            raise CannotLayerError(f"'{odd[0]}' matches other names than it seems to: {advice}")
        return _cells.cells(patterns)
    except _cells.TooManyError:
        raise CannotLayerError("the patterns meet in too many ways to be followed") from None


def _everywhere(pattern: str, holds: t.Mapping[frozenset[str], Marks]) -> Marks:
    """What holds in each cell of a pattern. One that matches no name carries nothing."""
    inside = [marks for cell, marks in holds.items() if pattern in cell]
    return frozenset.intersection(*inside) if inside else frozenset()


def _winners(cell: frozenset[str], marks: Marks, carried: t.Mapping[str, Marks]) -> list[str]:
    return sorted(pattern for pattern in cell if carried[pattern] == marks)


# ---- spelling


def _spell(patterns: list[str], winners: dict[frozenset[str], list[str]], cells: t.Iterable[frozenset[str]]) -> dict[str, str]:
    """Each pattern that matches something, spelled so that in every cell a winner is the longest, and alone so."""
    reach = {pattern: sum(pattern in cell for cell in cells) for pattern in patterns}
    beats: dict[str, set[str]] = {pattern: set() for pattern in patterns if reach[pattern]}
    for cell, able in winners.items():
        # The one that matches least: others that it lies in may be beaten by it elsewhere too.
        best = min(able, key=lambda pattern: (reach[pattern], pattern))
        beats[best] |= cell - {best}
    meets = {pattern: {other for cell in winners if pattern in cell for other in cell} - {pattern} for pattern in beats}
    spelled: dict[str, str] = {}
    for pattern in _in_order(beats):
        least = max((len(spelled[other].encode()) for other in beats[pattern]), default=-1)
        taken = {len(spelled[other].encode()) for other in meets[pattern] if other in spelled}
        spelled[pattern] = _longer(pattern, least, taken)
    return spelled


def _in_order(beats: dict[str, set[str]]) -> list[str]:
    """Each pattern after those that it beats."""
    order: list[str] = []
    left = dict(beats)
    while left:
        ready = sorted(pattern for pattern, others in left.items() if not others - set(order))
        if not ready:
            raise CannotLayerError(f"each of {', '.join(sorted(left))} would have to be longer than the others")
        order += ready
        left = {pattern: others for pattern, others in left.items() if pattern not in ready}
    return order


def _longer(pattern: str, least: int, taken: t.Container[int]) -> str:
    """The same pattern in more letters than ``least``, and in a number that is not taken: braces around it change nothing."""
    while len(pattern.encode()) <= least or len(pattern.encode()) in taken:
        pattern = f"{{{pattern}}}"
    return pattern


# ---- what patterns share


def _shared(cell: frozenset[str], patterns: t.Iterable[str]) -> str | None:
    """A pattern, not among the others, that matches in this cell and only where all patterns of the cell do."""
    merged = [""]
    for number, pattern in enumerate(sorted(cell)):
        parts = [text for text, _unused in _automaton.alternatives(pattern)]
        merged = parts if number == 0 else sorted({both for one in merged for other in parts for both in _both(one, other)})[:MAX_PATTERNS]
    # For zot te*/** matches no te, and te* does: te?* is what they share.
    merged += [re.sub(r"(?<=[^/*?])\*(?=/|\Z)", "?*", text) for text in merged]
    known = set(patterns)
    for candidate in sorted(set(merged) - known, key=lambda text: (-text.count("**"), len(text), text)):
        found = _cells_of([*cell, candidate])
        if cell | {candidate} in found and all(cell <= other for other in found if candidate in other):
            return candidate
    return None


def _both(one: str, other: str) -> list[str]:
    """Patterns for names that both match; not all of them, where both have stars."""
    return ["/".join(parts) for parts in _join(tuple(one.split("/")), tuple(other.split("/")))]


@functools.lru_cache(maxsize=4096)
def _join(ours: tuple[str, ...], theirs: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The parts of such patterns, those that match most first; so many that what comes of them can be looked through."""
    if not ours or not theirs:
        return [()] if all(part == "**" for part in (*ours, *theirs)) else []
    (first, *rest), (second, *others) = ours, theirs
    found: set[tuple[str, ...]] = set()
    if first == "**":  # it stands for nothing here, or for one part more
        found |= {*_join(tuple(rest), theirs), *_behind(second, _join(ours, tuple(others)))}
    if second == "**":
        found |= {*_join(ours, tuple(others)), *_behind(first, _join(tuple(rest), theirs))}
    for part in _both_parts(first, second) if "**" not in (first, second) else ():
        found.update(_behind(part, _join(tuple(rest), tuple(others))))
    return sorted(found, key=lambda parts: (-parts.count("**"), len(parts), parts))[:MAX_PATTERNS]


def _behind(part: str, joined: list[tuple[str, ...]]) -> t.Iterator[tuple[str, ...]]:
    # ** behind ** would want one part of a name more than ** does.
    return (parts if part == "**" == (parts or ("",))[0] else (part, *parts) for parts in joined)


def _both_parts(one: str, other: str) -> list[str]:
    """One part of a name, such that both stand for it."""
    if one == other or other == "*":
        return [one]
    if one == "*":
        return [other]
    for literal, pattern in ((one, other), (other, one)):
        if not re.search(r"[*?\[\\]", literal) and "\\" not in pattern:
            return [literal] if fnmatchcase(literal, pattern) else []
    heads, tails = (sorted((text.split("*")[place] for text in (one, other)), key=len) for place in (0, -1))
    if not (one.count("*") == other.count("*") == 1 and heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])):
        return []
    head, tail = heads[1], tails[1]
    meet = [size for size in range(1, min(len(head), len(tail)) + 1) if head.endswith(tail[:size])]
    return [f"{head}*{tail}", *(head + tail[size:] for size in meet)]


# ---- proof


def _prove(made: t.Mapping[str, Marks], wanted: t.Mapping[str, Marks]) -> None:
    """In every cell of all patterns, as wanted and as spelled, the longest spelled one carries what holds."""
    for cell, witness in _cells_of([*made, *wanted]).items():
        marks = frozenset().union(*(wanted[pattern] for pattern in cell if pattern in wanted))
        spelled = sorted((pattern for pattern in cell if pattern in made), key=lambda pattern: len(pattern.encode()))
        lengths = [len(pattern.encode()) for pattern in spelled[-2:]]
        if (made[spelled[-1]] if spelled else frozenset()) != marks or len(set(lengths)) != len(lengths):
            raise CannotLayerError("zot uses one of the patterns alone", witness, marks)
