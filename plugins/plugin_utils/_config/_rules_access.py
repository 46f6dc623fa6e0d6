# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT38x and ZOT43x: access that is other than it looks, found by deciding it.

zot looks at the longest pattern alone. What is said here holds for every repository: it is decided in every cell of the patterns.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _automaton, _cells
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, decided
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import Entry, Who, cached, matrix, people, places
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, ERROR, WARNING, Hits, rule

_CONTROL = "http.accessControl"
_CACHE = "extensions: {sync: {registries: [{urls: ['https://ghcr.io'], onDemand: true, content: [{prefix: '**', destination: /ghcr.io}]}]}}"
_WRITES = ("create", "update")
_MOST = 500  # states of the patterns together: ten times what a usual policy has, a few milliseconds


def _access(tree: str, auth: str = "htpasswd: {path: /h}") -> str:
    return f"http: {{auth: {{{auth}}}, accessControl: {{{tree}}}}}"


def _read(*patterns: str) -> str:
    return _access("repositories: {" + ", ".join(f"'{pattern}': {{defaultPolicy: [read]}}" for pattern in patterns) + "}")


def _cells_of(case: Case) -> dict[frozenset[str], str]:
    """Every cell of the repositories' patterns, nothing where they meet in too many ways to be followed in no time."""
    if "cells" not in case.memo:
        try:
            case.memo["cells"] = _cells.cells(case.get(f"{_CONTROL}.repositories", {}), _MOST)
        except _cells.TooManyError:
            case.memo["cells"] = {}
    return case.memo["cells"]


def _table(case: Case) -> list[Entry]:
    """Who may do what; nothing where there is no accessControl, as everybody may do everything then."""
    if "table" not in case.memo:
        case.memo["table"] = []
        with contextlib.suppress(_cells.TooManyError):
            if case.get(_CONTROL) is not None:
                case.memo["table"] = matrix(case.document, people(case.document), places(case.document, most=_MOST))
    return case.memo["table"]


def _longest(patterns: t.Iterable[str]) -> list[str]:
    patterns = sorted(patterns)
    most = max((len(pattern.encode()) for pattern in patterns), default=0)
    return [pattern for pattern in patterns if len(pattern.encode()) == most]


def _place(pattern: str) -> str:
    return f'{_CONTROL}.repositories["{pattern}"]'


@rule(
    "ZOT380",
    ERROR,
    "two patterns of one length match the same repository, and zot decides by either, at random for each request",
    "Make one of them longer without changing what it matches, by braces around it: {team-a/**}.",
    fires=_access("repositories: {'team-*/**': {defaultPolicy: [read]}, 'team-a/**': {defaultPolicy: [read, create]}}"),
    passes=_access("repositories: {'team-*/**': {defaultPolicy: [read]}, '{team-a/**}': {defaultPolicy: [read, create]}}"),
)
def tie(case: Case) -> Hits:
    control, told = case.get(_CONTROL), set()
    for cell, witness in _cells_of(case).items():
        longest = tuple(_longest(cell))
        if len(longest) > 1 and longest not in told and not _same_everywhere(case, control, longest):
            told.add(longest)
            yield _place(longest[0]), f"'{witness}' falls under {' and '.join(map(repr, longest))}, and zot decides by either at random"


def _same_everywhere(case: Case, control: dict[str, t.Any], patterns: tuple[str, ...]) -> bool:
    rows = people(case.document)
    return all(
        len({decided(control, [pattern], who.identity, action).allowed for pattern in patterns}) == 1 for who in rows for action in ACTIONS
    )


@rule(
    "ZOT381",
    WARNING,
    "a pattern that matches more is longer than one that matches less, and decides in its place",
    "Make the one that is meant longer without changing what it matches, by braces around it.",
    fires=_read("a/*", "{a,b}/**"),
    passes=_read("{{{{a/*}}}}", "{a,b}/**"),
)
def shadowed(case: Case) -> Hits:
    found = _cells_of(case)
    inside = {pattern: [cell for cell in found if pattern in cell] for cell in found for pattern in cell}
    told = set()
    for cell, witness in found.items():
        winner = _longest(cell)[:1]
        for pattern in sorted(cell - set(_longest(cell))):
            narrower = all(winner[0] in other for other in inside[pattern]) and len(inside[pattern]) < len(inside[winner[0]])
            if narrower and (pattern, winner[0]) not in told:
                told.add((pattern, winner[0]))
                yield _place(pattern), f"for '{witness}' the longer '{winner[0]}' decides, although it matches more"


@rule(
    "ZOT382",
    WARNING,
    "a pattern that never decides: it matches no repository",
    "Leave out a slash at its beginning or end, or remove the entry.",
    fires=_read("/team/**", "**"),
    passes=_read("team/**", "**"),
)
def matches_nothing(case: Case) -> Hits:
    found = _cells_of(case)
    for pattern in case.get(f"{_CONTROL}.repositories", {}) if found else ():
        if pattern and _automaton.is_exact(pattern) and not any(pattern in cell for cell in found):
            yield _place(pattern), "it matches no repository"


@rule(
    "ZOT383",
    ADVICE,
    "a pattern with capitals: zot reads it in lower case, which is what repositories have",
    "Write it in lower case.",
    fires=_read("Team/**"),
    passes=_read("team/**"),
)
def pattern_with_capitals(case: Case) -> Hits:
    for path, spelled in case.flat.capitals.items():
        if len(path) == 4 and path[:3] == ("http", "accesscontrol", "repositories"):
            yield _place(str(path[3])), f"zot reads '{spelled}' as '{path[3]}'"


@rule(
    "ZOT384",
    WARNING,
    "a policy for a group that nobody is in",
    "Declare the group in accessControl.groups, in lower case, or correct its name.",
    fires=_access("groups: {ops: {users: [jane]}}, repositories: {'**': {policies: [{groups: [opps], actions: [read]}]}}"),
    passes=_access("groups: {ops: {users: [jane]}}, repositories: {'**': {policies: [{groups: [ops], actions: [read]}]}}"),
)
def empty_group(case: Case) -> Hits:
    auth = case.get("http.auth", {})
    # These bring groups of their own.
    if any(auth.get(key) for key in ("openid", "ldap", "bearer")):
        return
    declared = {name for name, group in case.get(f"{_CONTROL}.groups", {}).items() if group.get("users")}
    for path, policy in case.policies:
        for group in policy.get("groups", []):
            if group not in declared and group == group.lower():
                yield f"{path}.groups", f"nobody is in the group '{group}'"


@rule(
    "ZOT385",
    WARNING,
    "a pattern of which zot tries only some readings: it can match less than it says, and its rights cannot be told for every repository",
    "Write no star right before a brace, no bracket or comma in [...] where there are braces, or one entry for each alternative.",
    fires=_read("**/nix-*{,-dev}"),
    passes=_read("**/nix-*", "**/nix-*-dev"),
)
def pattern_read_in_part(case: Case) -> Hits:
    for pattern in case.get(f"{_CONTROL}.repositories", {}):
        with contextlib.suppress(_cells.TooManyError):
            if not _automaton.is_exact(pattern):
                yield _place(pattern), "a repository that it matches may be missing in the diff, in the table of rights and in the proof"


@rule(
    "ZOT430",
    WARNING,
    "whoever logs in may do less than whoever does not: anonymousPolicy is for those alone who are not logged in",
    "Give defaultPolicy at least what anonymousPolicy has.",
    fires=_access("repositories: {'**': {anonymousPolicy: [read]}}"),
    passes=_access("repositories: {'**': {anonymousPolicy: [read], defaultPolicy: [read]}}"),
)
def less_than_anonymous(case: Case) -> Hits:
    table = _table(case)
    anonymous = {entry.where: entry.allowed for entry in table if entry.who.kind == "anonymous"}
    for entry in table:
        lost = [action for action in anonymous[entry.where] if action not in entry.allowed]
        if entry.who.kind == "authenticated" and lost and case.get("http.auth"):
            yield _CONTROL, f"in {entry.where.label} whoever is not logged in may {' and '.join(lost)}, and who is may not"


@rule(
    "ZOT431",
    WARNING,
    "people who are no administrators may push into a cache: what they push is served in the upstream's place",
    'Add repositories to the grant, with the names that they push to, such as repositories: ["blumeops/**"].',
    fires=(
        f"{{{_CACHE}, "
        + _access("groups: {ci: {users: [zot-ci]}}, repositories: {'**': {policies: [{groups: [ci], actions: [read, create]}]}}")
        + "}"
    ),
    passes=(
        f"{{{_CACHE}, "
        + _access("groups: {ci: {users: [zot-ci]}}, repositories: {'own/**': {policies: [{groups: [ci], actions: [read, create]}]}}")
        + "}"
    ),
)
def poisonable_cache(case: Case) -> Hits:
    caches = {pattern.rpartition("/**")[0] or pattern: pattern for pattern in cached(case.document)}
    found: dict[Who, list[str]] = {}
    for entry in _table(case) if caches else []:
        writes = any(action in entry.allowed for action in _WRITES) and set(entry.allowed) != set(ACTIONS)
        name = next((pattern for root, pattern in caches.items() if entry.where.label == pattern or entry.where.witness == root), None)
        if writes and name:
            found.setdefault(entry.who, []).append(name)
    for who, names in found.items():
        yield _CONTROL, f"{who.label} may push to {', '.join(sorted(set(names)))}, which are caches: the grant of {who.label} is too wide"


@rule(
    "ZOT432",
    ADVICE,
    "nobody may delete anything",
    "Give an administrator delete.",
    fires=_access("repositories: {'**': {defaultPolicy: [read, create]}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read]}}, adminPolicy: {users: [root], actions: [read, delete]}"),
)
def nobody_deletes(case: Case) -> Hits:
    table = _table(case)
    if table and case.get("http.auth") and not any("delete" in entry.allowed for entry in table):
        yield _CONTROL, ""


@rule(
    "ZOT433",
    WARNING,
    "whoever logs in may do everything",
    "Give defaultPolicy read alone, and the rest to a group.",
    fires=_access("repositories: {'**': {defaultPolicy: [read, create, update, delete]}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read]}}"),
)
def all_may_all(case: Case) -> Hits:
    somebody = [entry for entry in _table(case) if entry.who.kind == "authenticated"]
    if somebody and all(set(entry.allowed) == set(ACTIONS) for entry in somebody):
        yield _CONTROL, ""
