# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: who may do what, over everybody and every kind of repository; and how two configurations differ in it."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _cells, _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import (
    ACTIONS,
    ANONYMOUS,
    Decision,
    Identity,
    before_rules,
    control_of,
    decided,
    deciding_patterns,
    member,
)

Document = t.Mapping[str, t.Any]

# Stands for everybody who is logged in, of whom no policy speaks: no login has a space in front.
SOMEBODY = " somebody"
EVERYWHERE = "**"


@dataclass(frozen=True)
class Who:
    """A row: ``label`` for people; ``kind`` is anonymous, authenticated, group or user."""

    kind: str
    label: str
    identity: Identity


@dataclass(frozen=True)
class Where:
    """A column: ``label``, a pattern that tells people which repositories are meant, and one of them, ``witness``."""

    label: str
    witness: str


@dataclass(frozen=True)
class Entry:
    """What one row may do in one column: a decision for each action."""

    who: Who
    where: Where
    decisions: t.Mapping[str, Decision]

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(action for action in ACTIONS if self.decisions[action].allowed)


@dataclass(frozen=True)
class Change:
    """Rights that a row gains and loses in a column. ``widens``: anonymous gain any, or anybody one to change what is stored."""

    who: Who
    where: Where
    gains: tuple[str, ...]
    loses: tuple[str, ...]

    @property
    def widens(self) -> bool:
        return bool(self.gains) and (self.who.kind == "anonymous" or any(action != "read" for action in self.gains))

    def as_dict(self) -> dict[str, t.Any]:
        who = {"kind": self.who.kind, "who": self.who.label, "where": self.where.label, "witness": self.where.witness}
        return {**who, "gains": list(self.gains), "loses": list(self.loses), "widens": self.widens}


def people(*documents: Document) -> list[Who]:
    """Everybody that the configurations tell apart: anonymous, somebody logged in, each group, each user that is named or is in a group."""
    users: set[str] = set()
    groups: set[str] = set()
    for control in map(control_of, documents):
        for policy in _policies(control or {}):
            users |= set(policy.get("users") or [])
            groups |= set(policy.get("groups") or [])
        for group, members in ((control or {}).get("groups") or {}).items():
            groups.add(group)
            users |= set((members or {}).get("users") or [])
    rows = [Who("anonymous", "anonymous", ANONYMOUS), Who("authenticated", "somebody logged in", Identity(SOMEBODY))]
    rows += [Who("group", group, Identity(SOMEBODY, frozenset([group]))) for group in sorted(groups)]
    return rows + [Who("user", user, Identity(user)) for user in sorted(users - {""})]


def places(*documents: Document, more: t.Iterable[str] = (), most: int | None = None) -> list[Where]:
    """Every kind of repository that the configurations tell apart, cached ones by their upstream; and ``more``, names of people's own.

    Raises TooManyError, of more than ``most`` states, where the patterns meet in too many ways.
    """
    patterns = list(dict.fromkeys(pattern for document in documents for pattern in (*patterns_of(document), *cached(document))))
    found = _cells.cells([EVERYWHERE, *patterns], most)
    wheres = [Where(_label(cell), witness) for cell, witness in found.items()]
    counted = [where.label for where in wheres]
    told = [where if counted.count(where.label) == 1 else Where(f"{where.label} ({where.witness})", where.witness) for where in wheres]
    return sorted(told, key=lambda where: (where.label == EVERYWHERE, where.label)) + [Where(name, name) for name in more]


def patterns_of(document: Document) -> list[str]:
    return list((control_of(document) or {}).get("repositories") or {})


def cached(document: Document) -> list[str]:
    """The patterns under which upstreams are cached here."""
    sync = (document.get("extensions") or {}).get("sync") or {}
    found = []
    for registry in sync.get("registries") or []:
        for content in registry.get("content") or []:
            prefix = content.get("prefix", "").strip("/")
            local = prefix if not content.get("stripprefix") else re.sub(r"^[^*?\[{]*(?:/|\Z)", "", prefix)
            found.append("/".join(part for part in (content.get("destination", "").strip("/"), local) if part).lower())
    return [pattern for pattern in dict.fromkeys(found) if _glob.is_valid(pattern)]


def matrix(document: Document, rows: t.Iterable[Who], columns: t.Iterable[Where]) -> list[Entry]:
    """What each row may do in each column; users are in the groups that this configuration puts them into."""
    control = control_of(document)
    deciding = {where: deciding_patterns((control or {}).get("repositories") or {}, where.witness) for where in columns}
    return [
        Entry(who, where, {action: before or decided(control or {}, patterns, who.identity, action) for action in ACTIONS})
        for who in _in(rows, document)
        for before in [before_rules(document, who.identity)]
        for where, patterns in deciding.items()
    ]


def changes(before: Document | None, after: Document) -> list[Change]:
    """What each gains and loses, in rows and columns where anything changes; ``before`` None: nobody could do anything."""
    documents = [document for document in (before, after) if document is not None]
    rows, columns = people(*documents), places(*documents)
    old = matrix(before, rows, columns) if before is not None else []
    had = {(entry.who.label, entry.who.kind, entry.where): set(entry.allowed) for entry in old}
    found = []
    for entry in matrix(after, rows, columns):
        now, then = set(entry.allowed), had.get((entry.who.label, entry.who.kind, entry.where), set())
        if now != then:
            found.append(Change(entry.who, entry.where, _ordered(now - then), _ordered(then - now)))
    return found


def table(found: list[Change]) -> str:
    """The changes for people, in lines of who, where and what; those that widen are marked."""
    lines = [(change.who.label, change.where.label, _words(change), " !" if change.widens else "") for change in found]
    first, second = (max((len(line[column]) for line in lines), default=0) for column in (0, 1))
    return "".join(f"{who:<{first}}  {where:<{second}}  {what}{mark}\n" for who, where, what, mark in lines)


def _in(rows: t.Iterable[Who], document: Document) -> list[Who]:
    """The rows with the groups that this configuration puts users into."""
    control = control_of(document)
    return [Who(who.kind, who.label, member(control, who.label)) if who.kind == "user" else who for who in rows]


def _policies(control: t.Mapping[str, t.Any]) -> t.Iterator[t.Mapping[str, t.Any]]:
    for entry in (control.get("repositories") or {}).values():
        yield from (entry or {}).get("policies") or []
    yield control.get("adminpolicy") or {}


def _label(cell: frozenset[str]) -> str:
    """The pattern that tells most of a cell, as people would write it: without the braces that only make it longer."""
    longest = max(cell, key=lambda pattern: (len(_bare(pattern)), pattern), default="")
    return _bare(longest) or "(no pattern)"


def _bare(pattern: str) -> str:
    """The pattern without braces around the whole, which only make it longer."""
    if not (pattern.startswith("{") and pattern.endswith("}")):
        return pattern
    depth = 0
    for position, char in enumerate(pattern):
        depth += (char == "{") - (char == "}")
        if (depth == 1 and char == ",") or (depth == 0 and position < len(pattern) - 1):
            return pattern
    return _bare(pattern[1:-1])


def _words(change: Change) -> str:
    return "; ".join(f"{verb} {', '.join(rights)}" for verb, rights in (("gains", change.gains), ("loses", change.loses)) if rights)


def _ordered(actions: set[str]) -> tuple[str, ...]:
    return tuple(action for action in ACTIONS if action in actions)
