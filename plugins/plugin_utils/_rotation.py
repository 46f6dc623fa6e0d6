# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which step a key's rotation takes next.

There is no progress file: each run looks at the store, at zot and at where the key is published, and takes the step that `plan` names,
until there is none. So a run that stopped anywhere is finished by the next one. What a step needs to be safe:

- A key is published (by forgejo_actions_secrets) from the field that holds the current one, and only a key that was proved gets there.
- A key is revoked only when nobody can need it any more: the current one has been in every place where it is published for longer than
  the longest job, and the old one was not used for as long. One that nobody ever used, and that no store knows, came of a run that
  stopped between making and storing it.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey, duration
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

VERSION = 1


@dataclass(frozen=True)
class Held:
    """A key as the store knows it. ``uuid`` is empty where nobody told which one it is (a key that a person put there)."""

    secret: str = field(repr=False)
    uuid: str = ""
    label: str = ""
    created: datetime | None = None
    expires: datetime | None = None
    # When it became the current one, and when it ceased to be.
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Kept:
    """What the store holds: the current key, one that is to follow, and those before that may still be in use."""

    current: Held | None = None
    next: Held | None = None
    previous: tuple[Held, ...] = ()

    @classmethod
    def read(cls, secret: str | None, text: str | None, where: str) -> Kept:
        """From the field with the key and the field with the rest. Raises ZotError where that cannot be understood."""
        try:
            told = json.loads(text) if text else {"version": VERSION}
            if told["version"] != VERSION:
                raise ZotError(f"{where} was written by a newer version of the collection ({told['version']}): use that one")
            current = _held({**(told.get("current") or {}), "secret": secret}) if secret else None
            if current and (told.get("current") or {}).get("digest") != _digest(current.secret):
                current = Held(current.secret)  # put there by a person
            following = _held(told["next"]) if told.get("next") else None
            return cls(current, following, tuple(_held(each) for each in told.get("previous", [])))
        except (ValueError, KeyError, TypeError, AttributeError):
            # From None: the exception quotes the text, and that holds keys.
            raise ZotError(f"{where} is not what zot_rotating_key writes: empty it, and the rotation begins anew") from None

    def text(self) -> str:
        """All but the current key itself, which has a field of its own."""
        current = {**_told(self.current), "digest": _digest(self.current.secret), "secret": None} if self.current else None
        rest = {"next": _told(self.next) if self.next else None, "previous": [_told(each) for each in self.previous]}
        return json.dumps({"version": VERSION, "current": current, **rest}, sort_keys=True)

    @property
    def uuids(self) -> set[str]:
        return {each.uuid for each in (self.current, self.next) if each and each.uuid}


def _digest(secret: str) -> str:
    """To know whether it is the same one; a key has 128 random bits, so its digest tells nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _held(told: dict[str, t.Any]) -> Held:
    moments = {name: datetime.fromisoformat(told[name]) for name in ("created", "expires", "since", "until") if told.get(name)}
    return Held(str(told["secret"]), str(told.get("uuid") or ""), str(told.get("label") or ""), **moments)


def _told(held: Held) -> dict[str, t.Any]:
    moments = {name: getattr(held, name) for name in ("created", "expires", "since", "until")}
    return {
        "secret": held.secret,
        "uuid": held.uuid,
        "label": held.label,
        **{name: moment.isoformat() for name, moment in moments.items() if moment},
    }


@dataclass(frozen=True)
class Policy:
    """How long a key lives, after how long it is replaced, how long the old one is needed still, and what a key's label begins with."""

    max_age: timedelta = timedelta(days=90)
    renew_after: timedelta = timedelta(days=60)
    overlap: timedelta = timedelta(hours=24)
    grace: timedelta = timedelta(hours=1)
    label: str = "blumeops.zot"

    def __post_init__(self) -> None:
        if not timedelta(0) < self.renew_after < self.max_age:
            raise ZotError("renew_after has to be shorter than max_age: a key that has expired cannot be replaced in time")
        if self.overlap >= self.max_age - self.renew_after:
            raise ZotError(
                "the overlap has to be shorter than what max_age leaves after renew_after, or old keys expire while jobs need them"
            )

    @classmethod
    def of(cls, given: t.Mapping[str, str | None]) -> Policy:
        """From durations such as 90d; ``renew_after`` is two thirds of ``max_age`` where it is not given."""
        max_age = duration(given["max_age"] or "", "max_age")
        renew_after = duration(given["renew_after"], "renew_after") if given["renew_after"] else max_age * 2 / 3
        overlap, grace = (duration(given[name] or "", name) for name in ("overlap", "grace"))
        label = given["label"] or ""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", label):
            raise ZotError("label: up to 64 letters, digits and . _ - with which the labels of all keys begin that are rotated here")
        return cls(max_age, renew_after, overlap, grace, label)

    def is_ours(self, label: str) -> bool:
        return label.startswith(f"{self.label}/")


@dataclass(frozen=True)
class Observed:
    """What a run sees.

    ``keys`` are those that zot lists for the owner, ``now`` is zot's clock, and ``skew`` what it is ahead of ours. ``since`` tells for each
    place where the key is published since when (our clock) the current one is there, None for not at all. ``identified`` is which key a
    person put there, ``proved`` the one that may do what it should. ``renew`` asks for a new one; ``sole`` for none of these beside it
    (those that were there when the run began: what another run makes meanwhile is not to be taken from it).
    """

    kept: Kept
    keys: tuple[ApiKey, ...]
    now: datetime
    skew: timedelta = timedelta(0)
    since: tuple[datetime | None, ...] = ()
    identified: str = ""
    proved: str = ""
    renew: bool = False
    sole: frozenset[str] | None = None

    def live(self, held: Held | None) -> ApiKey | None:
        """The key as zot knows it, None when it is no longer good."""
        found = next((key for key in self.keys if held and held.uuid == key.uuid), None)
        return found if found and not _is_over(found, self.now) else None


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.expired or (key.expires is not None and key.expires <= now)


# ---- steps


@dataclass(frozen=True)
class Mint:
    """Make a key and store it as the one to follow."""

    why: str


@dataclass(frozen=True)
class Adopt:
    """The key that a person put there is this one."""

    uuid: str


@dataclass(frozen=True)
class Drop:
    """The one to follow is no longer good: forget it."""

    why: str


@dataclass(frozen=True)
class Prove:
    """Ask with the one to follow what it may do."""

    uuid: str


@dataclass(frozen=True)
class Promote:
    """The one to follow becomes the current one, which becomes a previous one, in one edit of the store."""

    uuid: str


@dataclass(frozen=True)
class Revoke:
    """Nobody needs these any more."""

    uuids: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Forget:
    """Previous keys that zot no longer knows: they leave the store."""

    gone: tuple[Held, ...]


@dataclass(frozen=True)
class Done:
    """Nothing to do now; ``waiting`` are keys that will be revoked later, with the reason why not yet."""

    waiting: tuple[tuple[str, str], ...] = ()


Step = t.Union[Mint, Adopt, Drop, Prove, Promote, Revoke, Forget, Done]


def plan(seen: Observed, policy: Policy) -> Step:
    """The next step. Never Revoke before a good current key is stored."""
    kept = seen.kept
    if kept.next:
        if not seen.live(kept.next):
            return Drop("zot no longer accepts the key that was to follow")
        return Promote(kept.next.uuid) if seen.proved == kept.next.uuid else Prove(kept.next.uuid)
    if kept.current and not kept.current.uuid and seen.identified:
        return Adopt(seen.identified)
    why = _why_renew(seen, policy)
    if why:
        return Mint(why)
    gone = tuple(each for each in kept.previous if _is_gone(each, seen, policy))
    if gone:
        return Forget(gone)
    others = [(key, _why_not_revoke(key, seen, policy)) for key in seen.keys if _is_meant(key, seen, policy)]
    now = tuple(key.uuid for key, why_not in others if not why_not)
    if now:
        return Revoke(now, "no other key is to be left" if seen.sole is not None else "nobody uses it any more")
    return Done(tuple((key.uuid, why_not) for key, why_not in others))


def _is_gone(held: Held, seen: Observed, policy: Policy) -> bool:
    if held.uuid:
        return held.uuid not in {key.uuid for key in seen.keys}
    # Nobody knows which one it was. It cannot be revoked; after so long it is of no use to anybody who was told of it.
    return held.until is not None and seen.now - held.until > policy.max_age


def _why_renew(seen: Observed, policy: Policy) -> str:
    """Why a new key is needed, empty when not."""
    current = seen.kept.current
    if current is None:
        return "there is no key yet"
    if not current.uuid:
        return "which key it is, and so its age, is not known"
    key = seen.live(current)
    if key is None:
        return "zot does not accept the stored key: it expired or was revoked"
    if seen.renew:
        return "a new one was asked for"
    if seen.now - key.created >= policy.renew_after:
        return f"it is {_days(seen.now - key.created)} old"
    if key.expires is not None and key.expires - seen.now <= policy.max_age - policy.renew_after:
        return f"it expires in {_days(key.expires - seen.now)}"
    return ""


def _is_meant(key: ApiKey, seen: Observed, policy: Policy) -> bool:
    """Keys that people made for themselves are theirs, unless the leak response is to leave no other."""
    if key.uuid in seen.kept.uuids:
        return False
    return seen.sole is not None or policy.is_ours(key.label) or key.uuid in {each.uuid for each in seen.kept.previous}


def _why_not_revoke(key: ApiKey, seen: Observed, policy: Policy) -> str:
    """Why this key must stay for now, empty when it may go."""
    unpublished = "the current key is not published everywhere yet" if None in seen.since else ""
    if seen.sole is not None:
        return unpublished or ("" if key.uuid in seen.sole else "it was made while this ran")
    if _is_over(key, seen.now):
        return ""
    if key.last_used is None and key.uuid not in {each.uuid for each in seen.kept.previous}:
        # Made, and neither stored nor used: its run stopped, or is just about to store it.
        return "" if seen.now - key.created > policy.grace else "it was made a moment ago"
    since = [moment for moment in (*seen.since, seen.kept.current and seen.kept.current.since) if moment]
    if unpublished or not since:
        return unpublished or "since when the current key is in use is not known"
    if seen.now - seen.skew - max(since) <= policy.overlap:
        return "jobs that began before the current key was published may still use it"
    if key.last_used is not None and seen.now - key.last_used <= policy.overlap:
        return "somebody still uses it"
    return ""


def told(step: Step) -> str:
    """In words, for people."""
    if isinstance(step, Mint):
        return f"make a key, as {step.why}"
    if isinstance(step, Adopt):
        return f"take over the key {step.uuid}, which a person put there"
    if isinstance(step, Drop):
        return f"forget the key that was to follow, as {step.why}"
    if isinstance(step, Prove):
        return f"prove what the key {step.uuid} may do"
    if isinstance(step, Promote):
        return f"make the key {step.uuid} the current one"
    if isinstance(step, Revoke):
        return f"revoke {', '.join(step.uuids)}, as {step.why}"
    return "forget what is known of keys that are gone" if isinstance(step, Forget) else "nothing"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} days"


# ---- what a step makes of what was seen


def minted(kept: Kept, secret: str, key: ApiKey) -> Kept:
    return replace(kept, next=Held(secret, key.uuid, key.label, key.created, key.expires))


def _kept(held: Held | None) -> Held:
    if held is None:
        raise ValueError("the plan takes no such step without that key")
    return held


def adopted(kept: Kept, key: ApiKey, now: datetime) -> Kept:
    return replace(kept, current=Held(_kept(kept.current).secret, key.uuid, key.label, key.created, key.expires, since=now))


def dropped(kept: Kept) -> Kept:
    return replace(kept, next=None)


def promoted(kept: Kept, now: datetime) -> Kept:
    old = (replace(kept.current, until=now),) if kept.current else ()
    return Kept(replace(_kept(kept.next), since=now), None, (*kept.previous, *old))


def forgotten(kept: Kept, gone: t.Container[Held]) -> Kept:
    return replace(kept, previous=tuple(each for each in kept.previous if each not in gone))


def foreseen(seen: Observed, step: Step, policy: Policy) -> Observed:
    """What would be seen once a step was taken: check mode goes on from there."""
    ours = seen.now - seen.skew
    kept, keys = seen.kept, {key.uuid: key for key in seen.keys}
    if isinstance(step, Mint):
        key = ApiKey("(new)", f"{policy.label}/(new)", seen.now, seen.now + policy.max_age, seen.now, False, [])
        return replace(seen, kept=minted(kept, "", key), keys=(*seen.keys, key), renew=False)
    if isinstance(step, Adopt):
        return replace(seen, kept=adopted(kept, keys[step.uuid], ours))
    if isinstance(step, Drop):
        return replace(seen, kept=dropped(kept))
    if isinstance(step, Prove):
        return replace(seen, proved=step.uuid)
    if isinstance(step, Promote):
        return replace(seen, kept=promoted(kept, ours), since=tuple(None for _unused in seen.since))
    if isinstance(step, Revoke):
        return replace(seen, keys=tuple(key for key in seen.keys if key.uuid not in step.uuids))
    if isinstance(step, Forget):
        return replace(seen, kept=forgotten(kept, step.gone))
    return seen
