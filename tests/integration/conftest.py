# SPDX-License-Identifier: GPL-3.0-or-later
"""A Mac for a test: a scratch home, a launchctl of its own, a zot, and the role applied to them over Ansible's local connection."""

from __future__ import annotations

import contextlib
import json
import os
import plistlib
import sys
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from integration.playbook import Play
from support.launchd_sim import LaunchctlSim
from support.waiting import until
from support.zot_binary import ask, crashing_zot, free_port, standin_zot

LABEL = "io.zotregistry.zot"
USER = "ci"
CANARY = "canary-7d1c5e-must-stay-secret"
ROLE = {"hosts": "all", "gather_facts": False, "roles": [{"role": "blumeops.zot.zot", "tags": ["zot"]}]}


class Mac:
    """The host, what is known of it, and `play`, which runs the role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.sim = LaunchctlSim(folder / "sim", time_scale=20)
        self.port = free_port()
        self.zot = standin_zot(folder / "built")
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"indri": self._variables()}}}))
        self.play = self.playing([ROLE])

    def playing(self, playbook: Path | list[dict[str, t.Any]], **environment: str) -> Play:
        """A playbook, or the plays of one, for this host."""
        if not isinstance(playbook, Path):
            plays, playbook = playbook, self.folder / "play.yml"
            playbook.write_text(yaml.safe_dump(plays))
        return Play(playbook, [self.folder / "hosts.yml"], self.folder / "controller", environment)

    def _variables(self) -> dict[str, t.Any]:
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(self.folder / "remote"),
            "zot_home": str(self.home),
            "zot_service_manager": "launchd",
            "zot_launchctl": str(self.sim.path),
            "zot_binary_path": str(self.zot),
            "zot_port": self.port,
            "zot_ready_timeout": 10,
            "zot_log_max_size": 0,  # no second agent, which takes a second of each run; other tests have it
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

    @property
    def config(self) -> Path:
        return self.home / ".config" / "zot" / "config.json"

    @property
    def plist(self) -> Path:
        return self.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    def provision(self) -> None:
        done = self.play()
        assert done.rc == 0, done.stdout

    def status(self, port: int | None = None, password: str = CANARY, path: str = "/v2/") -> int | None:
        """What a login is answered; None where nobody answers."""
        return self._ask(path, port, password)[0]

    def release(self, password: str = CANARY) -> str:
        """The release that runs, by its own word."""
        status, body = self._ask("/v2/_zot/ext/mgmt", None, password)
        assert status == 200, (status, body)
        return json.loads(body)["releaseTag"].removeprefix("v")

    def _ask(self, path: str, port: int | None, password: str) -> tuple[int | None, bytes]:
        return ask(f"http://127.0.0.1:{port or self.port}{path}", USER, password)

    def pid(self) -> int:
        """The process launchd runs; 0 where there is none."""
        job = self.sim.job(LABEL)
        return (job and job["pid"]) or 0

    def servers(self) -> list[int]:
        """Every process that serves a configuration below the scratch folder, whoever started it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[-3:-2] == ["serve"] and words[-2].startswith(f"{self.folder}/"):
                    found.append(int(entry.name))
        return found

    @property
    def secrets(self) -> Path:
        """What zot knows of its identity provider."""
        return self.config.with_name("oidc-credentials.json")

    def crashing_zot(self) -> Path:
        return crashing_zot(self.folder / "crashing" / "zot", str(self.zot))

    def launch_by_hand(self) -> int:
        """A LaunchAgent of the role's label that somebody wrote and loaded, with an open zot; its process."""
        self.config.parent.mkdir(parents=True)
        document = {"storage": {"rootDirectory": str(self.home / "zot")}, "http": {"address": "127.0.0.1", "port": str(self.port)}}
        self.config.write_text(json.dumps(document))
        self.plist.parent.mkdir(parents=True)
        arguments = [str(self.zot), "serve", str(self.config)]
        self.plist.write_bytes(plistlib.dumps({"Label": LABEL, "ProgramArguments": arguments, "RunAtLoad": True, "KeepAlive": True}))
        self.plist.chmod(0o644)
        assert self.sim("bootstrap", f"gui/{os.geteuid()}", str(self.plist)).returncode == 0
        assert until(lambda: self.status() == 200)
        return self.pid()

    def launchctl_that_ends_the_run(self) -> Path:
        """A launchctl that answers questions, and at the first order kills the whole run, as a power cut would."""
        path = self.folder / "deadly"
        path.write_text(
            f"#!{sys.executable}\n"
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            'if sys.argv[1] not in ("bootout", "bootstrap", "kickstart", "enable", "disable", "kill"):\n'
            f"    os.execv({str(self.sim.path)!r}, sys.argv)\n"
            "run, parent = [os.getpid()], os.getppid()\n"
            f"while parent not in (1, {os.getpid()}):\n"
            "    run.append(parent)\n"
            '    parent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])\n'
            "for pid in reversed(run):\n"
            "    os.kill(pid, signal.SIGKILL)\n"
        )
        path.chmod(0o755)
        return path

    def state(self) -> tuple[t.Any, ...]:
        """What serves and how, to tell whether a test left it as it was; the process may be another."""
        return (self.config.read_bytes(), self.plist.read_bytes(), self.status(), self.servers() == [self.pid()])

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything below the home, but zot's own storage and logs."""
        ours = [
            path for path in sorted(self.home.rglob("*")) if path.relative_to(self.home).parts[:1] != ("zot",) and path.suffix != ".log"
        ]
        return {
            str(path.relative_to(self.home)): (path.stat().st_mode, path.stat().st_ino, path.read_bytes() if path.is_file() else b"")
            for path in ours
        }


def end(mac: Mac) -> None:
    mac.sim.shutdown()
    assert until(lambda: mac.servers() == [])


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[Mac]:
    """A virgin one."""
    host = Mac(tmp_path)
    yield host
    end(host)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Mac]]:
    """Gives a Mac that was provisioned: the last one as long as tests leave it as they found it, which saves most of the time."""
    made: list[tuple[Mac, object]] = []

    def take() -> Mac:
        if not made or made[-1][0].state() != made[-1][1]:
            host = Mac(tmp_path_factory.mktemp("serving"))
            made.append((host, None))
            host.provision()
            made[-1] = (host, host.state())
        return made[-1][0]

    yield take
    for host, _ in made:
        end(host)


@pytest.fixture
def serving_mac(shelf: Callable[[], Mac]) -> Mac:
    """One that was provisioned and serves."""
    return shelf()
