# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch host that passes for indri: its home, its launchd, its zot, and the playbook that provisions it."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import yaml
from support.launchd_sim import LaunchctlSim
from support.zot_binary import free_port, real_zot, release_of, standin_zot

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "inventory"
HOST_VARS, GROUP_VARS = EXAMPLE / "host_vars" / "indri.yml", EXAMPLE / "group_vars" / "all.yml"
DEFAULTS = CHECKOUT / "roles" / "zot" / "defaults" / "main.yml"
DARWIN = sys.platform == "darwin"
TIME_SCALE = 20  # how much faster than ours the stand-in's clock is
LAST_LINES = 40
FORGE_TOKEN = {"kind": "environment", "field": "FORGE_TOKEN"}


class RehearsalError(Exception):
    """The rehearsal cannot go on; the text says why."""


@dataclass(frozen=True)
class Zot:
    """Where the binary comes from: `variables` tell the role, `said` tells the reader."""

    said: str
    variables: dict[str, str]
    standin: bool = False


def find_zot(folder: Path) -> Zot:
    """The real zot of this machine, else the pinned release where it can be had, else the stand-in."""
    variables = {**_read(DEFAULTS), **_read(HOST_VARS)}
    pinned = str(variables["zot_version"])
    if real := real_zot():
        release = release_of(real) or pinned
        note = "" if release == pinned else f", not the pinned {pinned}"
        return Zot(f"the real zot {release} of this machine{note}", {"zot_binary_path": str(real), "zot_version": release})
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    if _reachable(f"{variables['zot_release_url']}/v{pinned}/zot-{sys.platform}-{machine}"):
        return Zot(f"the real zot {pinned}, which the role downloads", {"zot_binary_path": ""})
    standin = standin_zot(folder, pinned)
    return Zot(f"the stand-in for zot {pinned}: no zot here, and no release to be had", {"zot_binary_path": str(standin)}, standin=True)


def _read(file: Path) -> dict[str, t.Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _reachable(url: str, seconds: float = 3) -> bool:
    found: list[int] = []

    def ask() -> None:
        with contextlib.suppress(OSError), urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds) as answer:
            found.append(answer.status)

    asking = threading.Thread(target=ask, daemon=True)  # names may take far longer to resolve than the timeout knows
    asking.start()
    asking.join(seconds)
    return found == [200]


class Host:
    """The scratch host. `close` stops whatever runs there; the folder is the caller's to remove."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.home = scratch / "home"
        self.home.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys = scratch / "keys.json"
        self.textfile = scratch / "textfile"
        self.passwords = {user: secrets.token_urlsafe(18) for user in ("zot-ci", "boss")}
        # A session has one launchd, which other rehearsals may use at the same time; the stand-in is our own.
        self.label = f"blumeops.zot.rehearsal.{secrets.token_hex(4)}" if DARWIN else "blumeops.zot.rehearsal"
        self.sim = None if DARWIN else LaunchctlSim(scratch / "launchctl", time_scale=TIME_SCALE)
        self.launchctl = str(self.sim.path) if self.sim else "/bin/launchctl"
        self.forge_token = ""
        self._playing: subprocess.Popen[str] | None = None

    def describe(self, zot: Zot, issuer: str, forge: str) -> None:
        """Write the inventory: the real variables of indri, and what has to differ here. The forge's token is in the environment."""
        inventory = self.scratch / "inventory"
        for file in (HOST_VARS, GROUP_VARS):
            copy = inventory / file.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True)
            shutil.copyfile(file, copy)
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(self.scratch / "tmp"),
        }
        (inventory / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"indri": here}}}), encoding="utf-8")
        overrides = {
            "zot_home": str(self.home),
            "zot_service_manager": "launchd",
            "zot_service_name": self.label,
            "zot_launchctl": self.launchctl,
            "zot_address": "127.0.0.1",
            "zot_port": self.port,
            "zot_external_url": "",
            "zot_config_overrides": {},  # the real ones download a database of vulnerabilities
            "zot_local_users": list(self.passwords),
            "zot_local_passwords": self.passwords,
            "zot_groups": {"artifact-workloads": ["zot-ci"], "admins": ["boss"]},
            "zot_oidc": {"name": "rehearsal", "issuer": issuer, "client_id": "zot", "username_claim": "preferred_username"},
            "zot_oidc_client_secret": secrets.token_urlsafe(18),
            "zot_monitoring_textfile_dir": str(self.textfile),
            "registry_mirror_registry": self.url,
            "registry_mirror_clients": [{"name": "podman", "path": str(self.scratch / "registries.conf")}],
            "zot_ci_key_registry": self.url,
            "zot_ci_key_store": {"kind": "file", "path": str(self.keys), "field": "zot-ci-api"},
            "zot_ci_key_forge_token_store": FORGE_TOKEN,
            "forgejo_actions_secrets_api_url": forge,
            "forgejo_actions_secrets_token_store": FORGE_TOKEN,
            "forgejo_actions_secrets_zot_ci_store": {"kind": "file", "path": str(self.keys), "field": "zot-ci-api"},
            **zot.variables,
        }
        self.keys.touch(mode=0o600)
        self.keys.write_text(json.dumps({"zot-ci-api-password": self.passwords["zot-ci"]}), encoding="utf-8")
        file = self.scratch / "overrides.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(overrides), encoding="utf-8")

    def provision(self, *arguments: str) -> int:
        """Play provision_indri as bin/provision-indri does; the number of changes."""
        return self.play("provision_indri.yml", "indri", "--tags", "zot", *arguments)

    def play(self, playbook: str, name: str, *arguments: str) -> int:
        """Play one of the playbooks; the number of changes at the host of that name."""
        argv = ["ansible-playbook", f"playbooks/{playbook}", "-i", str(self.scratch / "inventory")]
        argv += ["-e", f"@{self.scratch / 'overrides.json'}", *arguments]
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
        log = self.scratch / "ansible.log"
        with log.open("w", encoding="utf-8") as out:
            # A session of its own: Ctrl-C is for us, and `close` passes it on.
            self._playing = subprocess.Popen(
                argv,
                cwd=CHECKOUT,
                env={**os.environ, **plain, "FORGE_TOKEN": self.forge_token},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            rc = self._playing.wait()
        self._playing = None
        said = log.read_text(encoding="utf-8", errors="replace")
        recap = re.search(rf"^{name} +:.* changed=(\d+) ", said, re.MULTILINE)
        if rc or not recap:
            last = "\n".join(collections.deque(said.splitlines(), LAST_LINES))
            raise RehearsalError(f"ansible-playbook ended with {rc}; its last lines:\n{last}")
        return int(recap[1])

    def on_disk(self) -> dict[str, tuple[int, int]]:
        """What lies in the home, by path: when it was last changed, and its size."""
        found = {}
        for path in [self.home, *self.home.rglob("*")]:
            state = path.lstat()
            found[str(path)] = (state.st_mtime_ns, state.st_size)
        return found

    def loaded(self) -> bool:
        """Whether launchd has the job."""
        return any(self._launchctl("print", target).returncode == 0 for target in self._targets(self.label))

    @staticmethod
    def _targets(label: str) -> list[str]:
        """Where the job may be: without a GUI session it is the user's domain."""
        return [f"{domain}/{os.getuid()}/{label}" for domain in ("gui", "user")]

    def _launchctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [self.launchctl, *arguments]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    def close(self) -> None:
        """End the playbook if it still plays, then the service."""
        if self._playing:
            for number, patience in ((signal.SIGINT, 5), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._playing.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._playing.wait(patience)
                    break
        if self.sim:
            self.sim.shutdown()
        else:
            for target in (*self._targets(self.label), *self._targets(f"{self.label}.logs")):
                self._launchctl("bootout", target)  # most of them are not there

    def left(self, patience: float = 10) -> list[str]:
        """What is still there when `close` is done and the scratch folder removed: processes by their command, and the folder."""
        deadline = time.monotonic() + patience
        while True:
            argv = ["ps", "-axww", "-o", "pid=,stat=,command="]
            listed = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False).stdout
            left = [line.strip() for line in listed.splitlines() if str(self.scratch) in line and line.split()[1][0] != "Z"]
            left += [str(self.scratch)] if self.scratch.exists() else []
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)
