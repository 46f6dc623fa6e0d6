# SPDX-License-Identifier: GPL-3.0-or-later
"""A Linux host for a test: a guest with a real systemd, a few builds of zot, and the role applied to them over ssh."""

from __future__ import annotations

import contextlib
import itertools
import json
import typing as t
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from integration.playbook import Play
from support.zot_binary import ask, crashing_zot, standin_zot
from testbed import nspawn

PYTHON = "/usr/bin/python3"
USER = "ci"
CANARY = "canary-93b7f0-must-stay-secret"
BUILDS = "/opt/zots"
PLAY = [{"hosts": "all", "gather_facts": False, "roles": [{"role": "blumeops.zot.zot", "tags": ["zot"]}]}]
VARIABLES: dict[str, t.Any] = {
    "zot_binary_path": f"{BUILDS}/2.1.20/zot",
    "zot_ready_timeout": 15,
    "zot_local_users": [USER],
    "zot_local_passwords": {USER: CANARY},
    "zot_upstreams": [{"name": "docker.io", "username": "puller"}],
    "zot_upstream_passwords": {"docker.io": CANARY},
    "zot_grants": [
        {"anonymous": True, "actions": ["read"]},
        {"authenticated": True, "actions": ["read"]},
        {"users": [USER], "actions": ["read", "create"]},
    ],
}
NO_SECRETS: dict[str, t.Any] = {"zot_local_passwords": {}, "zot_upstream_passwords": {}}

# A zot that never serves is waited for this long.
CRASHING: dict[str, t.Any] = {"zot_binary_path": f"{BUILDS}/crashing/zot", "zot_ready_timeout": 5}

_NUMBERS = itertools.count(1)

# What changes by itself, or because Ansible was there at all.
_RESTLESS = (
    *("/proc", "/sys", "/dev", "/run", "/var/log", "/var/lib/systemd/timers", "/var/lib/systemd/random-seed", "/var/cache/ldconfig"),
    *("/root/.ansible", "/home/*/.ansible"),
)


@dataclass(frozen=True)
class Scope:
    """Where the role puts things, and who runs zot."""

    manager: str
    user: str | None  # of the user's systemd
    config: str
    data: str
    unit: str
    systemctl: tuple[str, ...]


SYSTEM = Scope("systemd", None, "/etc/zot", "/var/lib/zot", "/etc/systemd/system/zot.service", ("systemctl",))
_HOME = f"/home/{nspawn.USER}"
_UNIT = f"{_HOME}/.config/systemd/user/zot.service"
IN_HOME = Scope("systemd_user", nspawn.USER, f"{_HOME}/.config/zot", f"{_HOME}/zot", _UNIT, ("systemctl", "--user"))


@dataclass
class Linux:
    """A guest; `play` runs the role on it, `root` is its file system."""

    guest: nspawn.Host
    folder: Path
    scope: Scope
    port: int = 5000
    play: Play = field(init=False)

    def __post_init__(self) -> None:
        self.play = self.playing()

    def playing(self, login: str | None = None, playbook: t.Any = PLAY, **variables: t.Any) -> Play:
        """The role as applied by who logs in as ``login``; by default the one whose systemd it is."""
        folder = self.folder / f"play-{len(list(self.folder.glob('play-*')))}"
        folder.mkdir()
        host = {**self.guest.vars(login or self.scope.user or "root"), **VARIABLES, "zot_service_manager": self.scope.manager, **variables}
        (folder / "play.yml").write_text(yaml.safe_dump(playbook))
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"linux": host}}}))
        return Play(folder / "play.yml", [folder / "hosts.yml"], folder / "controller")

    def provision(self) -> None:
        done = self.play()
        assert done.rc == 0, done.stdout

    def run(self, *argv: str) -> str:
        """A command as root; its output, whatever came of it."""
        return self.guest.run(argv, check=False).stdout.strip()

    def systemctl(self, *argv: str) -> str:
        """A command to the systemd that runs zot; its output, whatever came of it."""
        return self.guest.run([*self.scope.systemctl, *argv], user=self.scope.user, check=False).stdout.strip()

    def shows(self, *properties: str) -> list[str]:
        """Properties of the unit."""
        found = dict(line.split("=", 1) for line in self.systemctl("show", "zot").splitlines() if "=" in line)
        return [found.get(name, "") for name in properties]

    def pid(self) -> int:
        return int(self.shows("MainPID")[0])

    def command(self) -> str:
        """What the process that serves was started with."""
        return self.run("ps", "-ww", "-o", "args=", "-p", str(self.pid()))

    def rights(self, *names: str) -> list[str]:
        """What the kernel lets that process do."""
        status = dict(line.split(":\t", 1) for line in self.read(f"/proc/{self.pid()}/status").decode().splitlines())
        return [status[name] for name in names]

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.guest.leader}/root")

    def read(self, path: str) -> bytes:
        return (self.root / path.lstrip("/")).read_bytes()

    def status(self) -> int | None:
        """What a login is answered; None where nobody answers."""
        return self._ask("/v2/")[0]

    def release(self) -> str:
        """The release that runs, by its own word."""
        status, body = self._ask("/v2/_zot/ext/mgmt")
        assert status == 200, (status, body)
        return json.loads(body)["releaseTag"].removeprefix("v")

    def _ask(self, path: str) -> tuple[int | None, bytes]:
        with self.guest.network():
            return ask(f"http://127.0.0.1:{self.port}{path}", USER, CANARY)

    def state(self) -> tuple[t.Any, ...]:
        """What serves and how, to tell whether a test left it as it was; the process may be another."""
        config, unit = self.read(f"{self.scope.config}/config.json"), self.read(self.scope.unit)
        record = {**json.loads(self.read(f"{self.scope.config}/last-good/record.json")), "inode": None}
        return (config, unit, record, self.status(), self.command(), *self.shows("ActiveState", "UnitFileState"))

    def tree(self) -> dict[str, str]:
        """Every file and folder, with what tells whether it was touched."""
        left_out = [word for path in _RESTLESS for word in ("-path", path, "-prune", "-o")]
        shown = ["(", "-type", "d", "-printf", "%p\\t%m %U %G\\n", ")", "-o", "-printf", "%p\\t%m %U %G %s %T@ %l\\n"]
        lines = self.run("find", "/", *left_out, *shown).splitlines()
        assert len(lines) > 1000, "the walk saw nothing"
        return dict(line.split("\t", 1) for line in lines)


def builds(folder: Path) -> Mapping[Path, str]:
    """Makes what `BUILDS` holds in a guest: two releases, and a build that passes every look at it and ends as soon as it serves."""
    for release in ("2.1.19", "2.1.20"):
        standin_zot(folder / release, release, PYTHON)
    crashing_zot(folder / "crashing" / "zot", f"{BUILDS}/2.1.20/zot")
    folder.chmod(0o755)
    return {folder: BUILDS}


@contextlib.contextmanager
def linux(folder: Path, bind_ro: Mapping[Path, str], scope: Scope, *, linger: bool = True, port: int = 5000) -> Iterator[Linux]:
    """A virgin host that lives until the block ends."""
    name = f"linux{next(_NUMBERS)}"  # hosts of one process need different names
    with nspawn.hosts(name, bind_ro=bind_ro) as bed:
        if scope.user:
            bed[name].add_user(scope.user, linger=linger)
        yield Linux(bed[name], folder, scope, port)
