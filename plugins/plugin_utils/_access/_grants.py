# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: grants that add up -> zot's accessControl, where only the longest matching pattern counts."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._glob import is_valid
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._layers import CannotLayerError, layer

EVERYWHERE = "**"
_KEYS = ("anonymous", "authenticated", "groups", "users", "actions", "repositories")


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


def compile_grants(grants: list[Grant], path: str = "zot_grants") -> dict[str, t.Any]:
    """The C(repositories) of zot's accessControl; raises ZotError, with a repository and the grants, where zot cannot be made to do it.

    C(**) is always there and denies what nobody was granted: without it an empty policy means an open registry.
    """
    wanted: dict[str, frozenset[int]] = {EVERYWHERE: frozenset()}
    for number, grant in enumerate(grants):
        for pattern in grant.repositories:
            wanted[pattern] = wanted.get(pattern, frozenset()) | {number}
    try:
        layers = layer(wanted)
    except CannotLayerError as error:
        raise ZotError(f"{path}: {_why(error, path)}") from None
    order = sorted(layers, key=lambda pattern: (pattern == EVERYWHERE, pattern))
    return {pattern: _entry([grants[number] for number in sorted(layers[pattern])]) for pattern in order}


def _why(error: CannotLayerError, path: str) -> str:
    if not error.witness:
        return error.reason
    together = " and ".join(f"{path}[{number}]" for number in sorted(error.marks))
    return (
        f"'{error.witness}' falls under {together or 'no grant'}, and {error.reason}; add a grant whose repositories are just those, "
        "or use patterns that do not overlap"
    )


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
        if not is_valid(pattern):
            raise ZotError(f"{path}.repositories: '{pattern}' is no glob; close every bracket and brace")
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
