# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a run of the rotation: look, plan, take one step, look again.

A run says what it wants done as data (`Call`), and whoever drives it does that: `drive` with the real store, zot and Forgejo; tests with
models of them, which they stop, fail and interleave at every call.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils import _rotation as rotation
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Kept, Observed, Policy, Step, plan

_MOST_STEPS = 40


@dataclass(frozen=True)
class Call:
    """One thing to do outside: a method of `Ports`, and its arguments. Secrets among them are in no text of it."""

    name: str
    arguments: tuple[t.Any, ...] = field(default=(), repr=False)


class Ports(t.Protocol):
    """Outside, as a run sees it. Each method may raise ZotError; what it was about to do may have happened all the same."""

    def read(self) -> tuple[str | None, str | None, str | None]:
        """The current key, what else is known of keys, and the owner's password, as the store has them."""

    def write(self, secret: str | None, text: str) -> None:
        """Both fields, in one edit, read back."""

    def listed(self, login: str) -> Listing | None:
        """The owner's keys, as zot lists them for this password or key; None when zot refuses it."""

    def accepts(self, secret: str) -> bool:
        """Whether zot lets the owner in with this key."""

    def mint(self, login: str, now: datetime) -> tuple[ApiKey, str]:
        """A new key (``now`` is zot's clock), and its secret."""

    def prove(self, secret: str) -> str | None:
        """What is wrong with what a key may do, empty when it may do what it should and nothing else; None when zot refuses the key."""

    def revoke(self, login: str, uuid: str) -> None:
        """It is gone, also when it was before."""

    def published(self, secret: str) -> tuple[datetime | None, ...]:
        """For each place where the key is published, since when this one is there."""

    def now(self) -> datetime:
        """The controller's clock."""


@dataclass(frozen=True)
class Listing:
    """The owner's keys, and zot's clock when it listed them."""

    keys: tuple[ApiKey, ...]
    now: datetime


@dataclass(frozen=True)
class Demand:
    """What a run is asked for beside a good key: a new one in any case (``renew``), no other one (``sole``); or only to say what it would
    do (``check``)."""

    renew: bool = False
    sole: bool = False
    check: bool = False


@dataclass(frozen=True)
class Report:
    """``steps`` that were taken (in check mode: would be), what is kept, and keys that wait to be revoked, with the reason."""

    steps: tuple[Step, ...]
    kept: Kept
    keys: tuple[ApiKey, ...]
    waiting: tuple[tuple[str, str], ...]
    skew: timedelta


Run = t.Generator[Call, t.Any, t.Any]


def drive(run: Run, ports: Ports) -> t.Any:
    """Do what a run asks for, one after the other, until it ends. Raises what it raises."""
    try:
        call = next(run)
        while True:
            try:
                answer = getattr(ports, call.name)(*call.arguments)
            except ZotError as error:
                call = run.throw(error)
            else:
                call = run.send(answer)
    except StopIteration as end:
        return end.value


def rotate(policy: Policy, demand: Demand, where: str) -> Run:
    """A whole run; ``where`` names the store's field in messages. Returns a Report."""
    steps: list[Step] = []
    proved = ""
    seen, login = yield from _observe(where, demand)
    first = seen.kept.current and seen.kept.current.uuid
    sole = frozenset(key.uuid for key in seen.keys) if demand.sole else None
    while True:
        renew = demand.renew and first == (seen.kept.current and seen.kept.current.uuid)
        seen = replace(seen, proved=proved, renew=renew, sole=sole)
        step = plan(seen, policy)
        if isinstance(step, rotation.Done):
            return Report(tuple(steps), seen.kept, seen.keys, step.waiting, seen.skew)
        if len(steps) >= _MOST_STEPS:
            raise ZotError(f"the rotation does not come to an end ({type(step).__name__} again and again): does another run use {where}?")
        if demand.check:
            steps.append(step)
            seen = rotation.foreseen(seen, step, policy)
            proved = seen.proved
            continue
        if (yield from _take(step, seen, login)):
            steps.append(step)
            proved = step.uuid if isinstance(step, rotation.Prove) else proved
        seen, login = yield from _observe(where, demand)


def _observe(where: str, demand: Demand) -> Run:
    secret, text, password = yield Call("read")
    kept = Kept.read(secret, text, where)
    logins = [login for login in (password, kept.current and kept.current.secret, kept.next and kept.next.secret) if login]
    listing, login = None, ""
    if demand.check and not logins:
        # The run that makes the password will make the rest, too.
        listing = Listing((), (yield Call("now")))
    for login in logins:
        listing = yield Call("listed", (login,))
        if listing is not None:
            break
    if listing is None:
        raise ZotError(f"zot accepts nothing that is stored in {where}: {_advice(kept, password)}")
    identified = ""
    if kept.current and not kept.current.uuid:
        identified = yield from _identify(kept.current.secret, listing, login)
    since = (yield Call("published", (kept.current.secret,))) if kept.current else ()
    skew = listing.now - (yield Call("now"))
    return Observed(kept, listing.keys, listing.now, skew, since, identified), login


def _advice(kept: Kept, password: str | None) -> str:
    if not password and not kept.current:
        return "it holds neither a password of the owner nor a key; let the role make a local user, or put a key there that its owner made"
    tried = " and ".join(["the password"] * bool(password) + ["the key, which expired or was revoked,"] * bool(kept.current))
    return f"{tried} were refused; put a password or a key there that works, and run again"


def _identify(secret: str, before: Listing, login: str) -> Run:
    """Which key it is: the one that was used when it was used; empty where that cannot be told."""
    if not (yield Call("accepts", (secret,))):
        return ""
    after = yield Call("listed", (login,))
    used = {key.uuid: key.last_used for key in before.keys}
    changed = [key.uuid for key in (after.keys if after else ()) if key.last_used != used.get(key.uuid)]
    return changed[0] if len(changed) == 1 else ""


def _take(step: Step, seen: Observed, login: str) -> Run:
    """Take a step; False where another run was quicker, and what was seen no longer holds."""
    kept = seen.kept
    if isinstance(step, rotation.Mint):
        return (yield from _mint(seen, login))
    if isinstance(step, rotation.Prove):
        wrong = yield Call("prove", (kept.next.secret,))
        if wrong is None:
            return False
        if wrong:
            raise ZotError(f"the new key is not used, as {wrong}; the one before stays. Mend the access of its owner, and run again")
        return True
    if isinstance(step, rotation.Revoke):
        for uuid in step.uuids:
            yield Call("revoke", (login, uuid))
        for held in kept.previous:
            if held.uuid in step.uuids and (yield Call("accepts", (held.secret,))):
                raise ZotError(
                    f"zot still accepts the key {held.uuid} although it was revoked: is another registry behind the same address?"
                )
        return True
    now = yield Call("now")
    if isinstance(step, rotation.Adopt):
        return (yield from _edit(kept, rotation.adopted(kept, {key.uuid: key for key in seen.keys}[step.uuid], now)))
    if isinstance(step, rotation.Promote):
        return (yield from _edit(kept, rotation.promoted(kept, now)))
    if isinstance(step, rotation.Drop):
        return (yield from _edit(kept, rotation.dropped(kept)))
    return (yield from _edit(kept, rotation.forgotten(kept, step.gone)))


def _mint(seen: Observed, login: str) -> Run:
    key, secret = yield Call("mint", (login, seen.now))
    try:
        stored = yield from _edit(seen.kept, rotation.minted(seen.kept, secret, key))
    except ZotError as error:
        # It may be stored all the same, and another run may use it: a later run finds out and revokes it, if nobody does.
        raise ZotError(f"{error.message}; the key {key.uuid} was made meanwhile, and a later run will use or revoke it") from None
    if not stored:
        # Nobody else has seen this one.
        yield Call("revoke", (login, key.uuid))
    return stored


def _edit(before: Kept, after: Kept) -> Run:
    """Write to the store, unless it is no longer what was seen."""
    secret, text, _password = yield Call("read")
    if Kept.read(secret, text, "the store") != before:
        return False
    yield Call("write", (after.current and after.current.secret, after.text()))
    return True
