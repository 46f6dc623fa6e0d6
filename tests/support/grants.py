# SPDX-License-Identifier: GPL-3.0-or-later
"""Random grants, and what they add up to: the meaning that a compiled policy is held to."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, ANONYMOUS, Identity
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import Grant
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import flatten, normal

GROUPS = ["ops", "ci"]
USERS = ["ann", "bob"]
PEOPLE = [
    ANONYMOUS,
    Identity("somebody"),
    Identity("ann"),
    Identity("in-ops", frozenset(["ops"])),
    Identity("bob", frozenset(["ops", "ci"])),
]
_PARTS = ["a", "b", "x", "team-a", "nix-x", "docker.io", "library", "*", "team-*", "*-x", "[ab]", "{a,x}", "te?*"]
_NAMES = ["a", "b", "x", "team-a", "team-b", "nix-x", "docker.io", "library", "te", "tex", "b-x", "c_d"]


def pattern(chance: random.Random) -> str:
    parts = [chance.choice(["**", *_PARTS] if chance.random() < 0.5 else _PARTS) for _ in range(chance.randint(1, 3))]
    return "/".join([*parts, "**"] if chance.random() < 0.5 else parts)


def grants(chance: random.Random) -> list[dict[str, t.Any]]:
    made = []
    for _ in range(chance.randint(1, 5)):
        grant: dict[str, t.Any] = {"actions": chance.sample(ACTIONS, chance.randint(1, 3))}
        kind = chance.choice(["anonymous", "authenticated", "groups", "users"])
        grant[kind] = {"groups": chance.sample(GROUPS, 1), "users": chance.sample(USERS, 1)}.get(kind, True)
        if chance.random() < 0.8:
            grant["repositories"] = [pattern(chance) for _ in range(chance.randint(1, 2))]
        made.append(grant)
    return made


def names(chance: random.Random, count: int) -> list[str]:
    return ["/".join(chance.choices(_NAMES, k=chance.randint(1, 4))) for _ in range(count)]


def holding(given: list[Grant], repository: str) -> list[Grant]:
    """The grants that hold in a repository."""
    return [grant for grant in given if any(_glob.matches(glob, repository) for glob in grant.repositories)]


def granted(held: list[Grant], who: Identity, action: str) -> bool:
    """What grants mean: they add up."""
    return any(action in grant.actions and _speaks_of(grant, who) for grant in held)


def loaded(repositories: dict[str, t.Any]) -> dict[str, t.Any]:
    """A document with this policy, as zot loads it."""
    groups = {"ops": {"users": ["in-ops", "bob"]}, "ci": {"users": ["bob"]}}
    http = {"accessControl": {"repositories": repositories, "groups": groups}, "auth": {"htpasswd": {"path": "/htpasswd"}}}
    return normal(flatten({"http": http}).tree, splits_commas=False)


def _speaks_of(grant: Grant, who: Identity) -> bool:
    if not who.name:
        return grant.anonymous
    return grant.authenticated or who.name in grant.users or bool(who.groups & set(grant.groups))
