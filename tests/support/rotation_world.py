# SPDX-License-Identifier: GPL-3.0-or-later
"""A store, a zot and a Forgejo in memory, as the rotation of a key sees them, and ways to stop, fail and interleave its runs."""

from __future__ import annotations

import copy
import datetime
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Call, Demand, Listing, Run, rotate
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Kept, Policy

START = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.timezone.utc)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
POLICY = Policy()
WHERE = "the store"
TICK = datetime.timedelta(microseconds=1)
LEASE = datetime.timedelta(minutes=5)
BUSY = "somebody else publishes"
NOTHING = "there is nothing to publish"


@dataclass
class World:
    """``dead`` are moments at which the secret in Forgejo was a key that zot refuses."""

    clock: datetime.datetime = START
    skew: datetime.timedelta = datetime.timedelta(0)
    secret: str | None = None
    text: str | None = None
    password: str | None = "password"
    password_works: bool = True
    keys: dict[str, ApiKey] = field(default_factory=dict)
    ci: str | None = None
    variable: tuple[str, datetime.datetime] | None = None
    lock: tuple[str, datetime.datetime] | None = None
    dead: list[str] = field(default_factory=list)
    # Whether time goes on a little with each use of a key; there are fewer states where it stands still.
    ticks: bool = False
    made: int = 0
    writes: int = 0

    @property
    def zot_now(self) -> datetime.datetime:
        return self.clock + self.skew

    @property
    def state(self) -> tuple[t.Any, ...]:
        rest = (self.ci, self.variable, self.lock, self.clock, self.password, self.made, tuple(self.dead))
        return self.secret, self.text, tuple(sorted(self.keys.items())), *rest

    def is_alive(self, secret: str | None) -> bool:
        key = self.keys.get((secret or "").removeprefix("secret of "))
        return key is not None and (key.expires is None or key.expires > self.zot_now)

    def alive(self) -> set[str]:
        return {uuid for uuid in self.keys if self.is_alive(f"secret of {uuid}")}

    def kept(self) -> Kept:
        return Kept.read(self.secret, self.text, WHERE)

    def use(self, secret: str) -> bool:
        if not self.is_alive(secret):
            return False
        uuid = secret.removeprefix("secret of ")
        before = self.keys[uuid].last_used
        used = max(self.zot_now, before + TICK) if before and self.ticks else self.zot_now
        self.keys[uuid] = replace(self.keys[uuid], last_used=used)
        return True

    def job(self) -> bool:
        """A job of CI logs in with what Forgejo gave it."""
        return self.ci is None or self.use(self.ci)

    def key_of_a_person(self, uuid: str, label: str = "laptop", expires: datetime.datetime | None = None) -> str:
        self.keys[uuid] = ApiKey(uuid, label, self.zot_now, expires, None, False, ())
        return f"secret of {uuid}"


class Controller:
    """The `Ports` of one run over a world, and those of a publisher. ``name`` makes its keys tell who made them."""

    def __init__(self, world: World, name: str = "a", policy: Policy = POLICY, wrong: str = "") -> None:
        self.world, self.name, self.policy, self.wrong = world, name, policy, wrong

    def do(self, call: Call) -> t.Any:
        answer = getattr(self, call.name)(*call.arguments)
        if self.world.ci is not None and not self.world.is_alive(self.world.ci):
            self.world.dead.append(f"after {call.name} of {self.name}")
        return answer

    def now(self) -> datetime.datetime:
        return self.world.clock

    def read(self) -> tuple[str | None, str | None, str | None]:
        return self.world.secret, self.world.text, self.world.password

    def write(self, secret: str | None, text: str) -> None:
        self.world.secret, self.world.text = secret, text
        self.world.writes += 1

    def _refuses(self, login: str) -> bool:
        if login == self.world.password:
            return not self.world.password_works
        return not self.world.use(login)

    def listed(self, login: str) -> Listing | None:
        return None if self._refuses(login) else Listing(tuple(self.world.keys.values()), self.world.zot_now)

    def accepts(self, secret: str) -> bool:
        return self.world.use(secret)

    def mint(self, login: str, now: datetime.datetime) -> tuple[ApiKey, str]:
        if self._refuses(login):
            raise ZotError("refused")
        self.world.made += 1
        uuid = f"{self.name}{self.world.made}"
        self.world.keys[uuid] = ApiKey(uuid, f"{self.policy.label}/{uuid}", now, now + self.policy.max_age, None, False, ())
        self.world.writes += 1
        return self.world.keys[uuid], f"secret of {uuid}"

    def prove(self, secret: str) -> str | None:
        return self.wrong if self.world.use(secret) else None

    def revoke(self, login: str, uuid: str) -> None:
        if self._refuses(login):
            raise ZotError("refused")
        self.world.keys.pop(uuid, None)
        self.world.writes += 1

    def published(self, secret: str) -> tuple[datetime.datetime | None, ...]:
        told = self.world.variable
        return (told[1] if told and told[0] == secret else None,)

    # ---- of the publisher

    def variable(self) -> tuple[str, datetime.datetime] | None:
        return self.world.variable

    def locked(self) -> None:
        if self.world.lock and self.world.lock[1] > self.world.clock:
            raise ZotError(BUSY)
        self.world.lock = self.name, self.world.clock + LEASE

    def unlock(self) -> None:
        self.world.lock = None

    def put(self, secret: str) -> None:
        self.world.ci = secret
        self.world.writes += 1

    def put_variable(self, secret: str) -> None:
        self.world.variable = secret, self.world.clock
        self.world.writes += 1


def publish(locks: bool = True) -> Run:
    """What forgejo_actions_secrets does for one secret, call by call."""
    secret, _text, _password = yield Call("read")
    if secret is None:
        raise ZotError(NOTHING)
    told = yield Call("variable")
    if told and told[0] == secret:
        return
    if locks:
        yield Call("locked")
    try:
        secret, _text, _password = yield Call("read")
        yield Call("put", (secret,))
        yield Call("put_variable", (secret,))
    except ZotError:
        yield Call("unlock")
        raise
    yield Call("unlock")


def whole(demand: Demand, policy: Policy = POLICY) -> Run:
    """playbooks/rotate_ci_key.yml: the rotation, then the publisher."""
    report = yield from rotate(policy, demand, WHERE)
    yield from publish()
    return report


def leak(policy: Policy = POLICY) -> Run:
    """playbooks/revoke_keys.yml."""
    yield from rotate(policy, Demand(renew=True), WHERE)
    yield from publish()
    return (yield from rotate(policy, Demand(sole=True), WHERE))


class Killed(Exception):  # noqa: N818 - no error of a run
    """The controller is gone, without a word to the run."""


# A run that was killed stays as it is: closing it would run what it does at its end.
_GRAVES: list[Run] = []


def finish(run: Run, controller: Controller, fault: t.Callable[[int, str, t.Callable[[], t.Any]], t.Any] | None = None) -> t.Any:
    """Do all that a run asks for; ``fault`` may do something else in the place of each call."""
    number = 0
    try:
        call = next(run)
        while True:
            try:
                done = lambda call=call: controller.do(call)  # noqa: E731
                answer = fault(number, call.name, done) if fault else done()
            except ZotError as error:
                number += 1
                call = run.throw(error)
            else:
                number += 1
                call = run.send(answer)
    except StopIteration as end:
        return end.value
    except Killed:
        _GRAVES.append(run)
        raise


# ---- interleaving


def _place(run: Run | None) -> tuple[t.Any, ...]:
    """Where a run stands, and what it knows."""
    found = []
    while run is not None and run.gi_frame is not None:
        known = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in run.gi_frame.f_locals.items())
        found.append((run.gi_code, run.gi_frame.f_lasti, known))
        run = run.gi_yieldfrom
    return tuple(found)


class Pair:
    """Two runs over one world, stepped in any order."""

    def __init__(self, world: World, makes: t.Sequence[t.Callable[[], Run]]) -> None:
        self.world = copy.deepcopy(world)
        self.controllers = [Controller(self.world, name) for name in "ab"]
        self.runs = [make() for make in makes]
        self.calls: list[Call | None] = [next(run) for run in self.runs]
        self.errors: list[str] = []

    def step(self, who: int) -> None:
        """One call, and looks at the clock, which tell the other run nothing."""
        self._step(who)
        while self.calls[who] is not None and self.calls[who].name == "now":
            self._step(who)

    def _step(self, who: int) -> None:
        call, run = self.calls[who], self.runs[who]
        assert call is not None
        try:
            try:
                answer = self.controllers[who].do(call)
            except ZotError as error:
                self.calls[who] = run.throw(error)
            else:
                self.calls[who] = run.send(answer)
        except StopIteration:
            self.calls[who] = None
        except ZotError as error:
            self.errors.append(error.message)
            self.calls[who] = None

    @property
    def open(self) -> list[int]:
        return [who for who in (0, 1) if self.calls[who] is not None]

    @property
    def state(self) -> tuple[t.Any, ...]:
        return (self.world.state, *(_place(run) if call else () for run, call in zip(self.runs, self.calls)))


def every_interleaving(world: World, *makes: t.Callable[[], Run]) -> t.Iterator[Pair]:
    """Each end that two runs can come to; what leads to the same state is followed once."""
    seen: set[tuple[t.Any, ...]] = set()
    pending: list[tuple[int, ...]] = [()]
    while pending:
        path = pending.pop()
        pair = Pair(world, makes)
        for who in path:
            pair.step(who)
        # As long as only one way is new, go on with this very pair.
        while True:
            state = pair.state
            if state in seen:
                break
            seen.add(state)
            if not pair.open:
                yield pair
                break
            first, *others = pair.open
            pending += [(*path, who) for who in others]
            pair.step(first)
            path = (*path, first)
