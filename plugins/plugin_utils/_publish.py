# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: declared secrets and variables -> plan -> what is sent to the forge, one scope after the other.

Nobody can read a secret back, so the fingerprint variable has to tell the truth. What would make it lie is two publishers at once and
one that is stopped half-way. Against the first there is a lock; under it everything is read again. Against the second the lock names
what may be half-way: it goes only when the variable is right, and whoever meets one that was left behind takes those names for unknown.
"""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import LONGEST_VALUE, Forge, ForgeError, Scope, portable_name
from ansible_collections.blumeops.zot.plugins.module_utils._stores import Store
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, Fingerprints

LOCK = "ANSIBLE_SECRETS_LOCK"
OURS = "ANSIBLE_SECRETS_"

# The order is that of the result.
PUT = ("created", "rotated", "unknown", "forced")
STATES = (*PUT, "unchanged", "pruned")

_GRACE = 5.0  # seconds that two readings of the forge's clock may differ
_PAUSE = 1.0

Randomness = t.Callable[[int], bytes]
OpenStore = t.Callable[[t.Mapping[str, t.Any]], Store]


# ---- what is declared


@dataclass(frozen=True)
class Reference:
    """One field of a store; ``store`` are the options that name the store."""

    store: tuple[tuple[str, str], ...]
    field: str

    @classmethod
    def of(cls, given: t.Mapping[str, t.Any]) -> Reference:
        named = {key: str(value) for key, value in given.items() if value is not None}
        return cls(tuple(sorted((key, value) for key, value in named.items() if key != "field")), named.get("field", ""))


@dataclass(frozen=True)
class Secret:
    """A value that was given, or where it is kept; ``pending`` where only a real run will have made it."""

    name: str
    value: str | None = field(default=None, repr=False)
    reference: Reference | None = None
    pending: bool = False


@dataclass(frozen=True)
class Declaration:
    """What a scope shall have."""

    scope: Scope
    secrets: tuple[Secret, ...] = ()
    variables: t.Mapping[str, str] = field(default_factory=dict)
    prune: bool = False

    @property
    def references(self) -> list[Reference]:
        return [secret.reference for secret in self.secrets if secret.reference and not secret.pending]


def declare(scopes: t.Iterable[t.Mapping[str, t.Any]], check: bool = False) -> tuple[list[Declaration], list[str]]:
    """From the option C(scopes), and warnings; raises ZotError. Entries of one scope are merged, so that lists can be put together.

    Only a ``check`` has secrets that are pending.
    """
    found: dict[tuple[str, str, str], Declaration] = {}
    warnings: list[str] = []
    for number, given in enumerate(scopes):
        where = f"scopes[{number}]"
        scope = scope_of(given, where)
        before = found.get(scope.key, Declaration(scope))
        secrets, variables = {secret.name: secret for secret in before.secrets}, dict(before.variables)
        for place, row in enumerate(given.get("secrets") or []):
            at = f"{where}.secrets[{place}]"
            name = _name(row["name"], at, scope, secrets, warnings)
            secrets[name] = _secret(name, row, at, scope, check)
        for place, row in enumerate(given.get("variables") or []):
            at = f"{where}.variables[{place}]"
            name = _name(row["name"], at, scope, variables, warnings)
            # As every forge stores it.
            variables[name] = _usable(_text(row["value"], at), f"the variable {name} of {scope}").replace("\r\n", "\n")
        prune = before.prune or bool(given.get("prune"))
        if prune and scope.level == "user":
            raise ZotError(f"{where}: prune is not possible for a user, whose secrets no forge lists: delete what is too much by hand")
        found[scope.key] = Declaration(before.scope, tuple(secrets.values()), variables, prune)
    return list(found.values()), warnings


def scope_of(given: t.Mapping[str, t.Any], where: str) -> Scope:
    """The scope that an entry of a list names; raises ZotError, which says ``where`` that is."""
    named = [level for level in ("repository", "organization", "user") if given.get(level)]
    if len(named) != 1:
        raise ZotError(f"{where}: say one of repository (owner/name), organization (its name) and user (true)")
    try:
        if named == ["repository"]:
            owner, _slash, repo = str(given["repository"]).partition("/")
            return Scope("repository", owner, repo)
        return Scope("organization", str(given["organization"])) if named == ["organization"] else Scope("user")
    except ZotError as error:
        raise ZotError(f"{where}: {error.message}") from None


def _name(given: str, at: str, scope: Scope, others: t.Container[str], warnings: list[str]) -> str:
    name, warning = portable_name(given, at)
    if warning:
        warnings.append(warning)
    if name in others:
        raise ZotError(f"{at}: {name} is declared twice for {scope}; names are the same in any case")
    if name.startswith(OURS):
        raise ZotError(f"{at}: names that begin with {OURS} are this module's own, take another one")
    return name


def _secret(name: str, row: t.Mapping[str, t.Any], at: str, scope: Scope, check: bool) -> Secret:
    value, store = row.get("value"), row.get("store")
    if (value is None) == (store is None):
        raise ZotError(f"{at}: {name} needs either value or store")
    if store is not None:
        return Secret(name, reference=Reference.of(store), pending=check and bool(row.get("pending")))
    return Secret(name, _usable(_text(value, at), f"{name} of {scope}"))


def _text(value: t.Any, at: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ZotError(f"{at}: the value has to be text: quote it, or for a structure use the filter to_json")


def _usable(value: str, what: str) -> str:
    """Without newlines at the end, with which every login fails; raises ZotError for what no forge takes."""
    value = value.rstrip("\r\n")
    if not value:
        raise ZotError(f"{what}: the value is empty, and a forge takes no empty one")
    try:
        length = len(value.encode())
    except UnicodeEncodeError:  # it would carry the value
        length = 0
    if not length:
        raise ZotError(f"{what}: the value is no text (UTF-8): encode it, for example with the filter b64encode")
    if length > LONGEST_VALUE:
        raise ZotError(f"{what}: the value has {length} bytes, a forge takes {LONGEST_VALUE}")
    return value


# ---- where the values are


def read_stores(references: t.Iterable[Reference], open_store: OpenStore) -> dict[Reference, str]:
    """Each store is asked once, for all its fields; raises ZotError where one is missing or empty."""
    wanted: dict[tuple[tuple[str, str], ...], list[Reference]] = {}
    for reference in dict.fromkeys(references):
        wanted.setdefault(reference.store, []).append(reference)
    found: dict[Reference, str] = {}
    for options, fields in wanted.items():
        store = open_store(dict(options))
        values = store.read([reference.field for reference in fields])
        for reference in fields:
            if not values.get(reference.field):
                what = f"has no field '{reference.field}', or it is empty" if reference.field else "is missing or empty"
                raise ZotError(f"{store.where} {what}: store the value there once")
            found[reference] = values[reference.field]
    return found


# ---- the plan


@dataclass(frozen=True)
class Observed:
    """What a scope has. ``names`` of its secrets are None where no API tells; ``doubtful`` are those somebody may have just put."""

    names: frozenset[str] | None
    variables: t.Mapping[str, str]
    fingerprints: Fingerprints
    doubtful: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """States by name: of secrets those of `STATES`, of variables created, updated and unchanged."""

    secrets: t.Mapping[str, str]
    variables: t.Mapping[str, str]

    def of(self, *states: str) -> list[str]:
        """Names of the secrets in one of them."""
        return [name for name, state in self.secrets.items() if state in states]

    @property
    def changes_secrets(self) -> bool:
        return any(state != "unchanged" for state in self.secrets.values())

    @property
    def changed(self) -> bool:
        return self.changes_secrets or any(state != "unchanged" for state in self.variables.values())


@dataclass(frozen=True)
class Planned:
    """A scope, from what is declared to what will be done."""

    declaration: Declaration
    values: t.Mapping[str, str] = field(repr=False)
    observed: Observed
    plan: Plan


def plan(declaration: Declaration, values: t.Mapping[str, str], observed: Observed, force: t.Container[str] = ()) -> Planned:
    """What has to be done; a secret whose value is not known to be published is put. Raises ZotError where fingerprints do not fit in."""
    states = {secret.name: _state(secret, values.get(secret.name), observed, force) for secret in declaration.secrets}
    if declaration.prune:
        gone = sorted(set(observed.fingerprints.known) - set(states))
        states.update(dict.fromkeys(gone, "pruned"))
    variables = {}
    for name, value in declaration.variables.items():
        there = observed.variables.get(name)
        variables[name] = "created" if there is None else "unchanged" if there == value else "updated"
    planned = Planned(declaration, values, observed, Plan(states, variables))
    observed.fingerprints.check_room(planned.plan.of(*PUT))
    return planned


def _state(secret: Secret, value: str | None, observed: Observed, force: t.Container[str]) -> str:
    name = secret.name
    if observed.names is not None and name not in observed.names:
        return "created"
    if name in observed.doubtful:
        return "unknown"
    # What is pending is nothing that was published.
    matches = observed.fingerprints.matches(name, value or "")
    if matches is None:
        return "unknown"
    if secret.pending or not matches:
        return "rotated"
    return "forced" if name in force else "unchanged"


# ---- the lock


@dataclass(frozen=True)
class Held:
    """Who has the lock; ``until`` is by the forge's clock, and None for a text that is no lock of ours."""

    holder: str = ""
    until: float | None = None
    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Held:
        try:
            found = json.loads(text)
            holder, names = str(found["holder"]), frozenset(map(str, found["names"]))
            until = datetime.fromisoformat(found["until"]).timestamp()
            return cls(holder, until, names) if re.fullmatch("[0-9A-F]{16}", holder) else cls()
        except (KeyError, TypeError, ValueError):
            return cls()


class Lock:
    """A variable that can be made once. It ends with its lease, so that nobody has to clean up after a publisher that died.

    To take over a dead one, another lock is taken that is named after its holder: so only one can, and the lock is never free meanwhile.
    """

    def __init__(self, forge: Forge, scope: Scope, wait: float, lease: float, randomness: Randomness) -> None:
        self._forge, self._scope, self._wait, self._lease = forge, scope, wait, lease
        self._holder = randomness(8).hex().upper()
        self._names: frozenset[str] = frozenset()
        self._end = 0.0
        self.inherited: frozenset[str] = frozenset()
        """Names that a publisher which died may have put."""

    def take(self, names: t.Iterable[str]) -> Forge:
        """A forge to write with as long as the lock is ours; raises ZotError where somebody else keeps it. ``names`` may be put."""
        self._names = frozenset(names)
        deadline = self._forge.clock.monotonic() + self._wait
        while (held := self._try(LOCK)) is not None:
            if self._forge.clock.monotonic() >= deadline:
                raise ZotError(self._refusal(held))
            self._forge.clock.sleep(_PAUSE)
        return self._forge.until(self._end)

    def add(self, names: t.Iterable[str]) -> None:
        """Have these in it too."""
        if not self._names.issuperset(names):
            self._names |= frozenset(names)
            end = self._end
            self._forge.until(end).set_variable(self._scope, LOCK, self._text())
            self._end = end

    def release(self, variables: t.Iterable[str] = ()) -> None:
        """Raises ZotError where that fails, or is no longer ours to do. What is left of a takeover among the variables goes too."""
        forge = self._forge.until(self._end)
        for name in variables:
            if name.startswith(f"{LOCK}_"):
                forge.delete_variable(self._scope, name)
        forge.delete_variable(self._scope, LOCK)

    def _try(self, name: str) -> Held | None:
        """None: it is ours; else whose it is."""
        if self._forge.create_variable(self._scope, name, self._text()):
            return None
        held = self._read(name)
        if held.until is None or self._forge.time() <= held.until + _GRACE:
            return held
        claim = f"{LOCK}_{held.holder}"
        other = self._try(claim)
        if other is not None:
            return other
        try:
            if self._read(name) != held:
                return held
            self.inherited |= held.names
            self._names |= held.names
            self._forge.until(self._end).set_variable(self._scope, name, self._text())
            return None
        finally:
            self._forge.delete_variable(self._scope, claim)

    def _read(self, name: str) -> Held:
        return Held.parse(self._forge.variable(self._scope, name) or "")

    def _text(self) -> str:
        """From now on."""
        self._end = self._forge.clock.monotonic() + self._lease
        until = _moment(self._forge.time() + self._lease).isoformat()
        return json.dumps({"holder": self._holder, "until": until, "names": sorted(self._names)}, separators=(",", ":"))

    def _refusal(self, held: Held) -> str:
        if held.until is None:
            return f"{self._scope}: the variable {LOCK} is there, and is no lock that can end: if nobody publishes, delete it"
        until = _moment(held.until).strftime("%Y-%m-%d %H:%M:%S UTC")
        return (
            f"{self._scope}: another publisher has the lock until {until} (the variable {LOCK}), and {self._wait:g} s were waited for it: "
            "run again later; if none is running, delete the variable"
        )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc)


# ---- what is sent


@dataclass(frozen=True)
class Publisher:
    """``wait`` and ``lease`` of the lock are seconds; ``force`` are names that are put although their value is known to be there."""

    forge: Forge
    open_store: OpenStore
    randomness: Randomness
    wait: float = 30
    lease: float = 300
    force: frozenset[str] = frozenset()

    def plan(self, declaration: Declaration, stored: t.Mapping[Reference, str]) -> Planned:
        """Asks the forge only. ``stored`` is what `read_stores` found."""
        scope, values = declaration.scope, _values(declaration, stored)
        variables = self.forge.variables(scope)
        known = Fingerprints.parse(variables.get(VARIABLE))
        doubtful = Held.parse(variables.get(LOCK, "")).names
        presumed = frozenset(known.known)
        planned = plan(declaration, values, Observed(presumed, variables, known, doubtful), self.force)
        # A scope that is written to anyway is not listed to the end where the forge counts as many as are known. Where somebody took one
        # away and put another there by hand, the next run finds out.
        sure = planned.plan.changes_secrets and presumed.issuperset(values)
        found = self.forge.secrets(scope, presumed if sure else ())
        names = None if found is None else frozenset(found)
        return plan(declaration, values, Observed(names, variables, known, doubtful), self.force)

    def apply(self, planned: Planned) -> Planned:
        """What was done in the end, which is less where another publisher did it meanwhile."""
        if planned.plan.changes_secrets:
            planned = self._under_lock(planned)
        for name, state in planned.plan.variables.items():
            if state != "unchanged":
                self._save(self.forge, planned.declaration.scope, name, planned.declaration.variables[name], there=state == "updated")
        return planned

    def _under_lock(self, planned: Planned) -> Planned:
        lock = Lock(self.forge, planned.declaration.scope, self.wait, self.lease, self.randomness)
        forge = lock.take(planned.plan.of(*PUT, "pruned"))
        try:
            now = self._again(planned, forge, lock.inherited)
            lock.add(now.plan.of(*PUT, "pruned"))
        except BaseException:
            if not lock.inherited:
                _quietly(lock.release)
            raise
        known = now.observed.fingerprints
        for name in lock.inherited:
            known = known.without(name)
        try:
            for step in self._put(now, forge, known):
                known = step
        except BaseException:
            if _quietly(lambda: self._tell(now, forge, known)):
                _quietly(lock.release)
            raise
        self._tell(now, forge, known)
        _quietly(lambda: lock.release(now.observed.variables))
        return now

    def _again(self, planned: Planned, forge: Forge, inherited: frozenset[str]) -> Planned:
        """The plan with what holds now that nobody else writes: also what a store had when it was read first may be old."""
        declaration, before = planned.declaration, planned.observed
        variables = forge.variables(declaration.scope)
        known = Fingerprints.parse(variables.get(VARIABLE))
        # What was put meanwhile is there.
        new = {name for name, fingerprint in known.known.items() if before.fingerprints.known.get(name) != fingerprint}
        names = None if before.names is None else before.names | new
        values = _values(declaration, read_stores(declaration.references, self.open_store))
        return plan(declaration, values, Observed(names, variables, known, inherited), self.force)

    def _put(self, now: Planned, forge: Forge, known: Fingerprints) -> t.Iterator[Fingerprints]:
        """Secrets first: what is known of them after each step. While one is on its way nothing is known of it."""
        scope = now.declaration.scope
        for name in now.plan.of(*PUT):
            known = known.without(name)
            yield known
            forge.set_secret(scope, name, now.values[name])
            known = known.with_(name, now.values[name], _moment(forge.time()), self.randomness)
            yield known
        for name in now.plan.of("pruned"):
            forge.delete_secret(scope, name)
            known = known.without(name)
            yield known

    def _tell(self, now: Planned, forge: Forge, known: Fingerprints) -> None:
        if known != now.observed.fingerprints:
            there = VARIABLE in now.observed.variables
            self._save(forge, now.declaration.scope, VARIABLE, known.text(), there)

    @staticmethod
    def _save(forge: Forge, scope: Scope, name: str, value: str, there: bool) -> None:
        """Whatever others did with it since it was looked at."""
        if not there and forge.create_variable(scope, name, value):
            return
        try:
            forge.set_variable(scope, name, value)
        except ForgeError as error:
            if error.kind != "not_found" or not forge.create_variable(scope, name, value):
                raise


def _quietly(act: t.Callable[[], None]) -> bool:
    """Whether it went well. What stays behind of a lock says nothing wrong, and ends."""
    with contextlib.suppress(ZotError):
        act()
        return True
    return False


def _values(declaration: Declaration, stored: t.Mapping[Reference, str]) -> dict[str, str]:
    values = {}
    for secret in declaration.secrets:
        if secret.pending:
            continue
        value = stored[secret.reference] if secret.reference else secret.value
        values[secret.name] = _usable(value or "", f"{secret.name} of {declaration.scope}")
    return values


# ---- what is told


def told(planned: Planned) -> dict[str, t.Any]:
    """The scope's part of the result: names by state, no value."""
    secrets = {state: planned.plan.of(state) for state in STATES}
    variables = {
        state: [name for name, found in planned.plan.variables.items() if found == state] for state in ("created", "updated", "unchanged")
    }
    return {"scope": str(planned.declaration.scope), "changed": planned.plan.changed, **secrets, "variables": variables}


def diff(planned: Planned) -> dict[str, str]:
    """Names and states of secrets; variables, which everybody may read who sees the repository's settings, with their values."""
    before, after = [], []
    was = {"rotated": "another value", "unknown": "unknown value", "forced": "declared value, put again", "pruned": "no longer declared"}
    for name, state in planned.plan.secrets.items():
        if state in was:
            before.append(f"secret {name}: {was[state]}")
        if state in PUT:
            after.append(f"secret {name}: declared value")
    for name, state in planned.plan.variables.items():
        if state == "updated":
            before.append(f"variable {name}: {planned.observed.variables[name]}")
        if state != "unchanged":
            after.append(f"variable {name}: {planned.declaration.variables[name]}")
    header = str(planned.declaration.scope)
    return {"before_header": header, "after_header": header, "before": _lines(before), "after": _lines(after)}


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in sorted(lines))
