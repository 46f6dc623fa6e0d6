# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a configuration as it lies in its file -> who may do what, as plain data for people and templates."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _cells
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, ANONYMOUS, Identity, control_of, decide, member
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import (
    SOMEBODY,
    Document,
    Entry,
    Where,
    Who,
    matrix,
    people,
    places,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _schema
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import Text, UnreadableError, read
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release

# Where a value of a wrong kind would be told as no right, or as no place.
_NEEDED = (("http", "accesscontrol"), ("extensions", "sync"))


def tree_of(given: bytes | dict[str, t.Any], name: str = "config.json") -> dict[str, t.Any]:
    """The document, or what the bytes of a file called ``name`` hold. Raises ZotError, as all here, without quoting a value."""
    try:
        return (read(given, name) if isinstance(given, bytes) else Text(given)).tree
    except UnreadableError as error:
        raise ZotError(f"{name} cannot be read as a configuration: {error}") from None


def load(tree: dict[str, t.Any], release: Release) -> dict[str, t.Any]:
    """The document as the release loads it; what zot would refuse elsewhere does not matter here."""
    return _schema.load(tree, release, "the configuration", _NEEDED)


def access(
    document: Document,
    release: Release,
    users: t.Sequence[str | dict[str, t.Any]] = (),
    groups: t.Sequence[str] = (),
    repositories: t.Sequence[str] = (),
) -> list[dict[str, t.Any]]:
    """Who may do what: everybody everywhere, or those, or there, that are named. An empty user is everybody who is not logged in."""
    try:
        columns = [Where(name, name) for name in repositories] or places(document)
    except _cells.TooManyError:
        raise ZotError("the repositories' patterns meet in more ways than can be followed; name the repositories to ask for") from None
    if not users and not groups:
        return [told(entry) for entry in matrix(document, people(document), columns)]
    rows = [Who("group", name, Identity(SOMEBODY, frozenset([name]))) for name in groups] + [_user(document, user) for user in users]
    return [told(_entry(document, who, where, release)) for who in rows for where in columns]


def told(entry: Entry) -> dict[str, t.Any]:
    return {
        "who": entry.who.label,
        "kind": entry.who.kind,
        "where": entry.where.label,
        "witness": entry.where.witness,
        "actions": {
            action: {"allowed": decision.allowed, "certain": decision.certain, "rule": decision.rule, "why": decision.why}
            for action, decision in entry.decisions.items()
        },
    }


def _user(document: Document, user: str | dict[str, t.Any]) -> Who:
    given = {"name": user} if isinstance(user, str) else user
    name, groups = given.get("name"), given.get("groups") or []
    if not isinstance(name, str) or set(given) - {"name", "groups"} or not _are_texts(groups):
        raise ZotError("users: each is a name, or a mapping of a name and a list of groups")
    return Who("user", name, member(control_of(document), name, groups)) if name else Who("anonymous", "anonymous", ANONYMOUS)


def _entry(document: Document, who: Who, where: Where, release: Release) -> Entry:
    return Entry(who, where, {action: decide(document, who.identity, action, where.witness, release=release.number) for action in ACTIONS})


def _are_texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
