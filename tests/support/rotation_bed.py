# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key's rotation runs against, real or stand-ins: one zot and one forge, both behind servers of ours, and time that leaps.

    with bed(running, forge, folder) as made:
        project = made.project()
        project.run(whole)               # as playbooks/rotate_ci_key.yml
        made.clock.leap(DAYS * 61)

Servers and controllers tell one time, which passes as everywhere, and leaps when a test says so: what zot tells of its keys is moved on
its way, so that a key that was made before a leap is as old as it should be. Only the moment from which zot refuses a key is none of ours.

Each `Project` has a user of zot, a repository of the forge and a store of its own. Whatever a `Controller` does outside goes through
`Controller.outside` or `Controller.effect`: there it is counted, made to fail, stopped, or made to wait for another one's turn.
"""

from __future__ import annotations

import contextlib
import email.utils
import itertools
import json
import os
import random
import threading
import time
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import PATH, ApiKey, ApiKeys, text_of
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import moment as moment_of
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge as ForgeClient
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Scope
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Target
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed
from ansible_collections.blumeops.zot.plugins.module_utils._stores import Store, StoreError, open_store
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import LOCK, Publisher, declare, read_stores
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Demand, Report, drive, rotate
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating_ports import Fields, Place, RealPorts, Rights
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Kept, Policy

from support.forge import Forge, forward, standin
from support.onepassword import Op
from support.zot_binary import Serving, ask, write_htpasswd

HOUR = 3600.0
DAY = 24 * HOUR
LEASE = 300.0
POLICY = Policy()
OWNER, NAME = "eblume", "ZOT_CI_API_KEY"
USERS = 400
ALWAYS = 1_000_000
# About as often does a run get outside.
_LENGTH = 40


class Clock:
    """Time as all tell it; of C(time) what the code under test uses. Who sleeps lets it leap."""

    def __init__(self) -> None:
        self._leaps = [(0.0, 0.0)]

    def leap(self, seconds: float) -> None:
        self._leaps.append((time.time(), self._leaps[-1][1] + seconds))

    def ahead(self, when: float | None = None) -> float:
        """Of the machine's clock, now or at a moment of that."""
        return self._leaps[-1][1] if when is None else next(ahead for since, ahead in reversed(self._leaps) if since <= when)

    def time(self) -> float:
        return time.time() + self.ahead()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead()

    def sleep(self, seconds: float) -> None:
        self.leap(seconds)


class KilledError(BaseException):
    """The controller is gone. What it still does at its end does not get outside either."""


class Bed:
    """``zot_ahead`` are seconds that zot's clock is ahead of the forge's, ``life`` those after which a new key really ends, where a test
    will leap to its end; ``minted`` are the keys by their secrets.
    """

    def __init__(self, running: Serving, forge: Forge, folder: Path, numbers: t.Iterator[int] | None = None) -> None:
        self.running, self.forge, self.folder = running, forge, folder
        self.clock = Clock()
        self.zot_ahead = 0.0
        self.life: float | None = None
        self.minted: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        self._numbers = numbers or itertools.count()
        self.front = standin.Server(self._ask_zot).start()
        _tells(self.front, lambda: self.clock.time() + self.zot_ahead)
        _tells(forge.server, self.clock.time)

    def project(self, store: str = "file", **options: t.Any) -> Project:
        return Project(self, next(self._numbers), store, **options)

    def heal(self) -> None:
        self.front.faults.clear()
        self.forge.heal()

    def _ask_zot(self, request: t.Any) -> t.Any:
        """What zot answers, in this time. The secret of each new key is noted, and when it should end."""
        if not request.path.startswith(PATH):
            return forward(self.running.port, request)
        asked = json.loads(request.body or b"{}")
        if request.method == "POST":
            life = self.life or moment_of(asked["expirationDate"]).timestamp() - self.clock.ahead() - self.zot_ahead - time.time()
            end = datetime.fromtimestamp(time.time() + life, timezone.utc)
            request = request._replace(body=json.dumps({**asked, "expirationDate": text_of(end)}).encode())
        answer = forward(self.running.port, request)
        if answer.status not in (200, 201) or not answer.body.startswith(b"{"):
            return answer
        found = json.loads(answer.body)
        if request.method == "POST":
            self.minted[found["apiKey"]] = found["uuid"]
            self._ends[found["uuid"]] = asked["expirationDate"]
        for key in [found] if request.method == "POST" else found["apiKeys"]:
            key["expirationDate"] = self._ends[key["uuid"]]
            for name in ("createdAt", "lastUsed"):
                if when := moment_of(key[name]):
                    key[name] = (when + timedelta(seconds=self.clock.ahead(when.timestamp()) + self.zot_ahead)).isoformat()
        return answer._replace(body=json.dumps(found).encode())


def _tells(server: t.Any, clock: t.Callable[[], float]) -> None:
    """The server's answers have this time in their Date."""
    handler = server._http.RequestHandlerClass
    handler.date_time_string = lambda _self, _timestamp=None: email.utils.formatdate(clock(), usegmt=True)


def configuration(folder: Path) -> dict[str, t.Any]:
    """Of a zot with a user for each project, who may push but not overwrite, and a C(root) who fills it."""
    passwords = {"root": "password-of-root", **{_user(number): _password(number) for number in range(USERS)}}
    ours = {"groups": ["artifact-workloads"], "actions": ["read", "create"]}
    control = {
        "repositories": {"**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"], "policies": [ours]}},
        "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]},
        "groups": {"artifact-workloads": {"users": [_user(number) for number in range(USERS)]}},
    }
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", passwords))}, "apikey": True}
    return {"http": {"auth": auth, "accessControl": control}, "storage": {"gc": False}}


def _user(number: int) -> str:
    return f"ci-{number}"


def _password(number: int) -> str:
    return f"password-of-ci-{number}"


@contextlib.contextmanager
def bed(running: Serving, forge: Forge, folder: Path, numbers: t.Iterator[int] | None = None) -> t.Iterator[Bed]:
    """``numbers`` are those of its projects, where other beds at the same zot have some too."""
    made = Bed(running, forge, folder, numbers)
    try:
        yield made
    finally:
        made.front.close()


class Project:
    """Whose key it is, where it is kept and where it is published.

    ``skew`` is its controllers'; ``dead`` are moments at which CI had a key that zot refuses.
    """

    def __init__(self, bed: Bed, number: int, store: str = "file", password: bool = True) -> None:
        self.bed, self.number = bed, number
        self.owner, self.repository = _user(number), f"app-{number}"
        bed.forge.make_repository(OWNER, self.repository)
        self.token = bed.forge.token(OWNER, "write:repository")
        self.op: Op | None = None
        if store == "file":
            self.spec = {"kind": "file", "path": str(bed.folder / f"store-{number}.json")}
        else:
            self.op = Op(bed.folder / f"op-{number}", {"blumeops": {"Forgejo Secrets": {}}})
            self.spec = {"kind": "onepassword", "vault": "blumeops", "item": "Forgejo Secrets"}
        self.fields = Fields("key", "key-rotation", "key-password")
        self.store = open_store(self.spec, self.run_op, {})
        if password:
            self.store.write({self.fields.password: _password(number)})
        self.place = Scope("repository", OWNER, self.repository)
        self.skew = 0.0
        self.dead: list[str] = []

    def run_op(self, argv: list[str], _timeout: float = 30, *, stdin: bytes = b"") -> Completed:
        """The stand-in in this process, where it takes no time."""
        assert self.op
        return self.op.in_process(argv, stdin=stdin)

    # ---- what is there

    @property
    def scope(self) -> str:
        return f"repos/{OWNER}/{self.repository}"

    @property
    def secret(self) -> str | None:
        """What a job of CI is given."""
        return self.bed.forge.secrets(self.scope).get(NAME)

    @property
    def stored(self) -> dict[str, str]:
        return self.store.read((self.fields.key, self.fields.rest, self.fields.password))

    @property
    def kept(self) -> Kept:
        return Kept.read(self.stored.get(self.fields.key), self.stored.get(self.fields.rest), "the store")

    @property
    def password(self) -> str:
        return _password(self.number)

    def by_hand(self, url: str = "") -> ApiKeys:
        """What the owner may do, without a key."""
        return ApiKeys(url or self.bed.running.url, self.owner, self.password, sender())

    def keys(self) -> list[ApiKey]:
        return self.by_hand().listed()

    def alive(self) -> set[str]:
        return {key.uuid for key in self.keys() if not key.expired}

    def ours(self) -> set[str]:
        return {key.uuid for key in self.keys() if POLICY.is_ours(key.label)}

    def made_last(self) -> str:
        """Of those that are there."""
        return self.keys()[-1].uuid

    def job(self, secret: str | None = None) -> int | None:
        """What zot says to a job that logs in, with what it was given now or began with."""
        return ask(f"{self.bed.running.url}/v2/", self.owner, secret or self.secret or "")[0]

    def watch(self, what: str) -> None:
        """Called after each effect."""
        if (secret := self.secret) is not None and self.bed.minted[secret] not in self.alive():
            self.dead.append(what)

    # ---- what happens to it

    def controller(self, **options: t.Any) -> Controller:
        return Controller(self, **{"skew": self.skew, **options})

    def run(self, what: t.Callable[[Controller], t.Any], **options: t.Any) -> t.Any:
        return what(self.controller(**options))

    def key_of_a_person(self, label: str = "laptop") -> str:
        """Its secret."""
        end = datetime.fromtimestamp(self.bed.clock.time() + 90 * DAY, timezone.utc)
        return self.by_hand(self.bed.front.url).mint(label, end)[1]


# ---- controllers


class Fault(t.NamedTuple):
    """``at`` does something else in place of the effect with this number, and gives its answer."""

    number: int
    at: t.Callable[[Controller, t.Any, t.Callable[[], t.Any]], t.Any]


class Controller:
    """A process that rotates and publishes.

    ``skew`` are seconds that its clock is ahead, ``wait`` those for which it waits for a lock; ``turn`` returns when it may go on.
    """

    def __init__(
        self,
        project: Project,
        fault: Fault | None = None,
        skew: float = 0.0,
        turn: t.Callable[[], None] = lambda: None,
        wait: float = 3.0,
    ) -> None:
        self.project = project
        self.effects: list[str] = []
        self.killed = False
        self._fault, self._skew, self._turn = fault, skew, turn
        self._remote = sender()
        bed = project.bed
        self.forge = ForgeClient(bed.forge.url, project.token, self._sending(bed.forge.server, _of_forge), self)
        place = Place(self.forge, project.place, NAME)
        rights = Rights(("blumeops/proof",))
        target = Target(bed.front.url)
        store = self.opened()
        send = self._sending(bed.front, _of_zot)
        self.ports = _Ports(self, store, project.fields, target, project.owner, send, POLICY, rights, [place], self, os.urandom)
        self.publisher = Publisher(self.forge, self.opened, os.urandom, wait, LEASE)

    # As a clock

    def time(self) -> float:
        return self.project.bed.clock.time() + self._skew

    def monotonic(self) -> float:
        return self.project.bed.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self.outside(lambda: self.project.bed.clock.leap(seconds))

    # What it does

    def rotate(self, demand: Demand | None = None) -> Report:
        return drive(rotate(POLICY, demand or Demand(), "the store"), self.ports)

    def publish(self) -> None:
        secret = {"name": NAME, "store": {**self.project.spec, "field": self.project.fields.key}}
        declared, _warnings = declare([{"repository": f"{OWNER}/{self.project.repository}", "secrets": [secret]}])
        for declaration in declared:
            stored = read_stores(declaration.references, self.opened)
            self.publisher.apply(self.publisher.plan(declaration, stored))

    # How it gets outside

    def outside(self, do: t.Callable[[], t.Any]) -> t.Any:
        self._turn()
        if self.killed:
            raise KilledError
        return do()

    def effect(self, what: str, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
        """Something that changes what is at ``where``."""

        def counted() -> t.Any:
            self.effects.append(what)
            hit = self._fault and len(self.effects) - 1 == self._fault.number
            answer = self._fault.at(self, where, do) if self._fault and hit else do()
            self.project.watch(f"after {what}, the effect {len(self.effects) - 1}")
            return answer

        return self.outside(counted)

    def kill(self) -> t.NoReturn:
        self.killed = True
        raise KilledError

    def _sending(self, server: t.Any, name: t.Callable[[str, str], str]) -> t.Any:
        def send(method: str, url: str, headers: t.Any = None, timeout: float = 30, body: bytes | None = None) -> Response:
            def do() -> Response:
                return self._remote(method, url, headers, timeout, body)

            return self.outside(do) if method == "GET" else self.effect(name(method, url), server, do)

        return send

    def opened(self, _spec: t.Any = None) -> Store:
        return _Store(self) if self.project.op is None else open_store(self.project.spec, self._run_op, {})

    def _run_op(self, argv: list[str], timeout: float = 30, *, stdin: bytes = b"") -> Completed:
        def do() -> Completed:
            return self.project.run_op(argv, timeout, stdin=stdin)

        return self.effect("store", self.project.op, do) if argv[1:3] == ["item", "edit"] else self.outside(do)


def _of_zot(method: str, _url: str) -> str:
    return "mint" if method == "POST" else "revoke"


def _of_forge(method: str, url: str) -> str:
    name = url.rpartition("/")[2]
    if name == LOCK:
        return "unlock" if method == "DELETE" else "lock"
    return "fingerprint" if name == VARIABLE else "publish" if name == NAME else f"{method} {name}"


class _Ports(RealPorts):
    def __init__(self, controller: Controller, *rest: t.Any) -> None:
        super().__init__(*rest)
        self._controller = controller

    def prove(self, secret: str) -> str | None:
        return self._controller.outside(lambda: super(_Ports, self).prove(secret))


class _Store:
    """The project's, as a controller gets to it."""

    def __init__(self, controller: Controller) -> None:
        self._controller, self._store = controller, controller.project.store
        self.where = self._store.where

    def read(self, names: t.Iterable[str]) -> dict[str, str]:
        return self._controller.outside(lambda: self._store.read(names))

    def write(self, fields: t.Mapping[str, str | None]) -> None:
        self._controller.effect("store", self._store, lambda: self._store.write(fields))


# ---- runs


def whole(controller: Controller) -> Report:
    """playbooks/rotate_ci_key.yml."""
    report = controller.rotate()
    controller.publish()
    return report


def renew(controller: Controller) -> Report:
    """The same with zot_ci_key_state: renewed."""
    report = controller.rotate(Demand(renew=True))
    controller.publish()
    return report


def leak(controller: Controller) -> Report:
    """playbooks/revoke_keys.yml."""
    renew(controller)
    return controller.rotate(Demand(sole=True))


def assert_settles(project: Project) -> None:
    """The invariants, once nobody needs an old key any more: no other key of ours is alive, and one more run changes nothing."""
    current = project.kept.current
    assert current
    project.bed.clock.leap(27 * HOUR)
    project.run(whole)
    assert project.kept.current == current
    assert project.secret == current.secret
    assert project.ours() == {current.uuid}
    assert project.job() == 200
    again = project.controller()
    assert whole(again).steps == ()
    assert again.effects == []
    assert project.dead == []


# ---- faults


def kill_before(controller: Controller, _where: t.Any, _do: t.Any) -> t.NoReturn:
    controller.kill()


def kill_after(controller: Controller, _where: t.Any, do: t.Callable[[], t.Any]) -> t.NoReturn:
    do()
    controller.project.watch("before it was killed")
    controller.kill()


def error_500(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    """From now on, and nothing is done."""
    where.faults.append(standin.Fault(status=500, times=ALWAYS))
    return do()


def answer_lost(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    """Once: it is done."""
    where.faults.append(standin.Fault(effect=True))
    return do()


def down(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    where.faults.append(standin.Fault(times=ALWAYS))
    return do()


def down_after(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    """It is done, and nothing is answered to that or anything else."""
    where.faults += [standin.Fault(effect=True), standin.Fault(times=ALWAYS)]
    return do()


def store_fails(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    """Before anything is stored."""
    if not isinstance(where, Op):
        raise StoreError("unsafe", "the disk is full")
    where.behaves({"on": "item edit", "fault": "unknown"})
    return do()


def store_fails_after(_controller: Controller, where: t.Any, do: t.Callable[[], t.Any]) -> t.Any:
    """All is stored, and an error told."""
    if isinstance(where, Op):
        where.behaves({"on": "item edit", "fault": "after"})
        return do()
    do()
    raise StoreError("timeout", "no answer in time")


def store_loses(_controller: Controller, where: Op, do: t.Callable[[], t.Any]) -> t.Any:
    """It says that all is stored, and it is not."""
    where.behaves({"on": "item edit", "fault": "lost"})
    return do()


def store_locked(_controller: Controller, where: Op, do: t.Callable[[], t.Any]) -> t.Any:
    where.behaves({"fault": "locked", "times": None})
    return do()


KILLS = (kill_before, kill_after)
FAULTS: dict[str, tuple[t.Any, ...]] = {
    "mint": (*KILLS, error_500, answer_lost, down),
    "revoke": (*KILLS, error_500, answer_lost, down),
    "file": (*KILLS, store_fails, store_fails_after),
    "op": (*KILLS, store_fails, store_fails_after, store_loses, store_locked),
    "lock": (*KILLS, error_500, answer_lost, down, down_after),
    "publish": (*KILLS, error_500, answer_lost, down, down_after),
    "fingerprint": (*KILLS, error_500, answer_lost, down, down_after),
    "unlock": (*KILLS, error_500, answer_lost, down, down_after),
}


def stopped(project: Project, what: t.Callable[[Controller], t.Any], fault: Fault) -> Controller:
    """A run that something happens to; then all is well again. It has to have come that far."""
    controller = project.controller(fault=fault)
    with contextlib.suppress(ZotError, KilledError):
        what(controller)
    assert len(controller.effects) > fault.number
    project.bed.heal()
    if project.op:
        project.op.behaves()
    return controller


# ---- two at once


class Turns:
    """Two threads of which one goes on at a time, until it next gets outside; ``chance`` says which.

    With some ``switches`` one goes on as long as it can, and they change places that often: so one does much while the other stands still.
    """

    def __init__(self, chance: random.Random, switches: int = 0) -> None:
        self._chance, self._favoured = chance, chance.random()
        self._first = chance.randrange(2)
        self._switches = sorted(chance.sample(range(1, _LENGTH), switches))
        self._changed = threading.Condition()
        self._waiting: set[int] = set()
        self._running: set[int] = set()
        self._next: int | None = None
        self.order: list[int] = []

    def take(self, who: int) -> None:
        with self._changed:
            self._running.discard(who)
            self._waiting.add(who)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._next == who, 120)
            self._next = None
            self._waiting.discard(who)
            self._running.add(who)

    def both(self, *runs: t.Callable[[t.Callable[[], None]], t.Any]) -> list[BaseException]:
        """Run them to their ends; what they raised."""
        raised: list[BaseException] = []

        def body(who: int) -> None:
            try:
                self.take(who)
                runs[who](lambda: self.take(who))
            except BaseException as error:
                raised.append(error)
            finally:
                with self._changed:
                    self._running.discard(who)
                    self._changed.notify_all()

        threads = [threading.Thread(target=body, args=(who,), daemon=True) for who in range(len(runs))]
        self._running = set(range(len(runs)))
        for thread in threads:
            thread.start()
        while self._go_on():
            pass
        for thread in threads:
            thread.join(120)
        return raised

    def _go_on(self) -> bool:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next is None and not self._running, 120)
            if not self._waiting:
                return False
            self._next = self._choose() if len(self._waiting) > 1 else next(iter(self._waiting))
            self.order.append(self._next)
            self._changed.notify_all()
            return True

    def _choose(self) -> int:
        if not self._switches:
            return int(self._chance.random() < self._favoured)
        return (self._first + sum(at <= len(self.order) for at in self._switches)) % 2
