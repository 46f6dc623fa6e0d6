# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the store, the zot and the forges that a key's rotation really works with."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey, ApiKeys, RefusedError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, Scope
from ansible_collections.blumeops.zot.plugins.module_utils._probe import ALLOWED, Identity, Target, probe
from ansible_collections.blumeops.zot.plugins.module_utils._stores import Store
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, Fingerprints
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import LOCK
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import Held as HeldLock
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Listing
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy

# So many of the stored repositories are looked through for a tag that could be overwritten.
_MOST_REPOSITORIES = 20


@dataclass(frozen=True)
class Fields:
    """The names of the store's fields: the current key, what else is known of keys, the owner's password."""

    key: str
    rest: str
    password: str


@dataclass(frozen=True)
class Rights:
    """What the key may do, and must not, in repositories such as these."""

    repositories: tuple[str, ...]
    may: tuple[str, ...] = ("read", "create")
    may_not: tuple[str, ...] = ("update", "delete")


@dataclass(frozen=True)
class Place:
    """Where the key is published: a secret of a scope of a forge."""

    forge: Forge
    scope: Scope
    name: str


class RealPorts:
    """See `Ports`. ``target`` is the registry, ``owner`` whose keys these are. Raises ZotError where they cannot be."""

    def __init__(
        self,
        store: Store,
        fields: Fields,
        target: Target,
        owner: str,
        send: Sender,
        policy: Policy,
        rights: Rights,
        places: t.Sequence[Place],
        clock: t.Any,
        randomness: t.Callable[[int], bytes],
    ) -> None:
        self._store, self._fields, self._target, self._owner, self._send = store, fields, target, owner, send
        self._policy, self._rights, self._places, self._clock, self._randomness = policy, rights, places, clock, randomness
        ApiKeys(target.url, owner, "none", send)  # refuses what is no address or name, also for a check that asks nothing

    def read(self) -> tuple[str | None, str | None, str | None]:
        names = (self._fields.key, self._fields.rest, self._fields.password)
        found = self._store.read(names)
        key, rest, password = (found.get(name) for name in names)
        return key, rest, password

    def write(self, secret: str | None, text: str) -> None:
        self._store.write({self._fields.key: secret, self._fields.rest: text})

    def listed(self, login: str) -> Listing | None:
        keys = self._keys(login)
        try:
            found = tuple(keys.listed())
        except RefusedError:
            return None
        return Listing(found, keys.now or self.now())

    def accepts(self, secret: str) -> bool:
        answer = self._send("GET", f"{self._target.url}/v2/", Identity(self._owner, secret).headers)
        if answer.status not in (200, 401):
            raise ZotError(f"{self._target.url} does not say whether it accepts a key: {answer.status or answer.reason}")
        return answer.status == 200

    def mint(self, login: str, now: datetime) -> tuple[ApiKey, str]:
        label = f"{self._policy.label}/{now:%Y%m%dT%H%M%SZ}-{self._randomness(3).hex()}"
        return self._keys(login).mint(label, now.replace(microsecond=0) + self._policy.max_age)

    def prove(self, secret: str) -> str | None:
        who = Identity(self._owner, secret)
        stored = probe(self._target, [who], {}, self._clock)
        repositories = list(self._rights.repositories)
        asked = dict.fromkeys(("read", "create", "delete"), repositories)
        candidates = list(dict.fromkeys([*repositories, *stored["stored"][:_MOST_REPOSITORIES]]))
        found = probe(self._target, [who], {**asked, "update": [candidates]}, self._clock)
        if stored["refused"] or found["refused"]:
            return None
        return _wrong(found["answers"], self._rights)

    def revoke(self, login: str, uuid: str) -> None:
        self._keys(login).revoke(uuid)

    def published(self, secret: str) -> tuple[datetime | None, ...]:
        return tuple(_since(place, secret) for place in self._places)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), timezone.utc)

    def _keys(self, login: str) -> ApiKeys:
        return ApiKeys(self._target.url, self._owner, login, self._send)


def _wrong(answers: t.Iterable[t.Mapping[str, t.Any]], rights: Rights) -> str:
    """What a key may do that it should not, or the other way round; empty when all is well."""
    for answer in answers:
        action, where = answer["action"], answer["repository"]
        if answer["answered"] is None:
            return f"zot does not say whether it may {action} {where} (it answers {answer['status']})"
        if answer["answered"] == ALLOWED and action in rights.may_not:
            return f"it may {action} {where}"
        if answer["answered"] != ALLOWED and action in rights.may:
            return f"it may not {action} {where}"
    return ""


def _since(place: Place, secret: str) -> datetime | None:
    """Since when the secret of this name is this one; None also where a publisher stopped, and may have put another one."""
    known = Fingerprints.parse(place.forge.variable(place.scope, VARIABLE))
    if not known.matches(place.name, secret):
        return None
    lock = place.forge.variable(place.scope, LOCK)
    return None if lock is not None and place.name in HeldLock.parse(lock).names else known.since(place.name)
