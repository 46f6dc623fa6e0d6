# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: grants that add up -> zot's accessControl, where only the longest matching pattern counts."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations, takewhile

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

ACTIONS = ("read", "create", "update", "delete")
EVERYWHERE = "**"
_KEYS = ("anonymous", "authenticated", "groups", "users", "actions", "repositories")
_GLOB = re.compile(r"[*?\[\]{}\\]")


@dataclass(frozen=True)
class Grant:
    """Whom (``anonymous``, ``authenticated``, groups, users), what (``actions``), where (``repositories``: globs)."""

    anonymous: bool
    authenticated: bool
    groups: tuple[str, ...]
    users: tuple[str, ...]
    actions: tuple[str, ...]
    repositories: tuple[str, ...]


def parse_grants(grants: t.Any, path: str = "grants") -> list[Grant]:
    """Plain data -> grants; raises ZotError that names the grant, the key and the mend."""
    if not isinstance(grants, list):
        raise ZotError(f"{path}: a list of grants is wanted, not a {type(grants).__name__}")
    return [_parse(grant, f"{path}[{number}]") for number, grant in enumerate(grants)]


def compile_grants(grants: list[Grant]) -> dict[str, t.Any]:
    """The C(repositories) of zot's accessControl.

    zot consults only the entry with the longest pattern, so each entry repeats the grants that hold everywhere.
    C(**) is always there and denies what nobody was granted: without it an empty policy means an open registry.
    """
    patterns = sorted({pattern for grant in grants for pattern in grant.repositories} - {EVERYWHERE})
    _refuse_overlaps(patterns)
    repositories = {}
    for pattern in [*patterns, EVERYWHERE]:
        repositories[pattern] = _entry([grant for grant in grants if {pattern, EVERYWHERE} & set(grant.repositories)])
    return repositories


def _parse(grant: t.Any, path: str) -> Grant:
    if not isinstance(grant, dict):
        raise ZotError(f"{path}: a mapping is wanted, such as {{groups: [admins], actions: [read]}}")
    unknown = sorted(set(grant) - set(_KEYS))
    if unknown:
        raise ZotError(f"{path}: unknown key '{unknown[0]}'; a grant has {', '.join(_KEYS)}")
    actions = _names(grant, "actions", path)
    wrong = [action for action in actions if action not in ACTIONS]
    if wrong or not actions:
        what = f"unknown action '{wrong[0]}'" if wrong else "no actions"
        raise ZotError(f"{path}.actions: {what}; zot knows {', '.join(ACTIONS)}")
    parsed = Grant(
        anonymous=_flag(grant, "anonymous", path),
        authenticated=_flag(grant, "authenticated", path),
        groups=_names(grant, "groups", path),
        users=_names(grant, "users", path),
        actions=tuple(action for action in ACTIONS if action in actions),
        repositories=_patterns(grant, path),
    )
    if not (parsed.anonymous or parsed.authenticated or parsed.groups or parsed.users):
        raise ZotError(f"{path}: it names nobody; add anonymous: true, authenticated: true, groups or users")
    return parsed


def _flag(grant: dict[str, t.Any], key: str, path: str) -> bool:
    value = grant.get(key)
    if value is not None and not isinstance(value, bool):
        raise ZotError(f"{path}.{key}: true or false is wanted, not a {type(value).__name__}")
    return bool(value)


def _names(grant: dict[str, t.Any], key: str, path: str) -> tuple[str, ...]:
    value = grant.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ZotError(f"{path}.{key}: a list of names is wanted")
    if "" in value:
        raise ZotError(f"{path}.{key}: an empty name; in zot it means everybody who is not logged in: use anonymous: true for that")
    return tuple(dict.fromkeys(value))


def _patterns(grant: dict[str, t.Any], path: str) -> tuple[str, ...]:
    # zot lower-cases every key it reads, so a pattern that is not lower-case already would be shown one way and work another.
    patterns = tuple(pattern.lower() for pattern in _names(grant, "repositories", path)) or (EVERYWHERE,)
    for pattern in patterns:
        if pattern.startswith("/") or pattern.endswith("/"):
            raise ZotError(f"{path}.repositories: '{pattern}' can match no repository; leave out the slash at its end or beginning")
        if "::" in pattern:
            raise ZotError(f"{path}.repositories: '{pattern}' holds '::', which zot takes apart as nested keys")
        if pattern != EVERYWHERE and len(pattern.encode()) <= len(EVERYWHERE):
            raise ZotError(f"{path}.repositories: '{pattern}' is no longer than '**', so zot could choose '**' instead; not yet supported")
    return patterns


def _entry(grants: list[Grant]) -> dict[str, t.Any]:
    everyone = _union(grant for grant in grants if grant.authenticated)
    nobody = _union(grant for grant in grants if grant.anonymous)
    policies = []
    for grant in grants:
        if grant.groups or grant.users:
            names = {key: list(value) for key, value in (("groups", grant.groups), ("users", grant.users)) if value}
            policies.append({**names, "actions": list(grant.actions)})
    entry: dict[str, t.Any] = {"defaultPolicy": everyone}
    if nobody:
        entry["anonymousPolicy"] = nobody
    if policies:
        entry["policies"] = policies
    return entry


def _union(grants: t.Iterable[Grant]) -> list[str]:
    granted = {action for grant in grants for action in grant.actions}
    return [action for action in ACTIONS if action in granted]


def _refuse_overlaps(patterns: list[str]) -> None:
    for one, other in combinations(patterns, 2):
        if not _disjoint(one, other):
            raise ZotError(
                f"grants: some repository can fall under both '{one}' and '{other}', and zot would use one of them alone; "
                "overlapping patterns are not yet supported: use patterns that cannot meet, or accessControl in the overrides"
            )


def _disjoint(one: str, other: str) -> bool:
    """Whether no name can match both: proved segment by segment, false when in doubt."""
    ours, theirs = one.split("/"), other.split("/")
    for a, b in zip(ours, theirs):
        if EVERYWHERE in (a, b) or not (_is_segment(a) and _is_segment(b)):
            return False
        if _segments_differ(a, b):
            return True
    longer = (ours if len(ours) > len(theirs) else theirs)[min(len(ours), len(theirs)) :]
    return any(segment != EVERYWHERE for segment in takewhile(_is_segment, longer))


def _is_segment(text: str) -> bool:
    """Brackets may hold a slash, so that what is left of it and right of it are no segments."""
    return not re.search(r"[\[{]", text)


def _segments_differ(a: str, b: str) -> bool:
    if not _GLOB.search(a) and not _GLOB.search(b):
        return a != b
    for literal, glob in ((a, b), (b, a)):
        if not _GLOB.search(literal) and "\\" not in glob:
            return not fnmatchcase(literal, glob)
    return False
