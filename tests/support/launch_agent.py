# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs launch_agent against the launchctl stand-in, in this process; the clocks of both run equally fast."""

from __future__ import annotations

import os
import plistlib
import time
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.launch_agent import ActionModule
from ansible_collections.blumeops.zot.plugins.module_utils import _states

from support.launchd_job import SCALE, SLEEP
from support.launchd_sim import FastClock, LaunchctlSim
from support.modules import Action

UID = os.geteuid()
GUI, USER = f"gui/{UID}", f"user/{UID}"
LABEL = "net.example.agent"
OTHER = ["/bin/sleep", "2000"]
CRASHING = ["/bin/sh", "-c", "echo first; echo 'cannot open the store'; exit 3"]


class Agent:
    """Runs the module in this process, and knows the file and the job."""

    def __init__(self, sim: LaunchctlSim, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sim = sim
        self.folder = folder
        self.file = folder / f"{LABEL}.plist"
        self.clock = FastClock(SCALE)
        self.warnings: list[str] = []
        self._task = Action(ActionModule)
        monkeypatch.setattr(_states, "time", self.clock)

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """The module's result; its calls of launchctl are counted from here."""
        self.sim.forget_calls()
        self.warnings.clear()
        self.clock.slept.clear()
        try:
            result = self._task(check, **{"label": LABEL, "plist_dir": str(self.folder), "launchctl": str(self.sim.path), **options})
        except AnsibleActionFail as error:
            return {"failed": True, "msg": error.message}
        self.warnings += result.get("warnings", [])
        return result

    def job(self, domain: str = GUI) -> dict[str, t.Any] | None:
        return self.sim.job(LABEL, domain)

    def argv(self) -> list[str]:
        job = self.job()
        return job["definition"]["ProgramArguments"] if job else []

    def by_hand(self, domain: str = GUI, argv: list[str] = SLEEP, **definition: t.Any) -> None:
        """An agent that nobody's module made."""
        self.folder.mkdir(exist_ok=True)
        session = {"LimitLoadToSessionType": "Background"} if domain == USER else {}
        wanted = {"Label": LABEL, "ProgramArguments": argv, "RunAtLoad": True, **session, **definition}
        self.file.write_bytes(plistlib.dumps(wanted, sort_keys=False))
        self.file.chmod(0o644)
        assert self.sim("bootstrap", domain, str(self.file)).returncode == 0
        self.await_process(domain)

    def await_process(self, domain: str = GUI) -> int:
        deadline = time.monotonic() + 10
        while True:
            job = self.job(domain)
            if job and job["pid"]:
                return job["pid"]
            assert time.monotonic() < deadline, job
            time.sleep(0.02)

    def calls(self, *verbs: str) -> list[tuple[list[str], int]]:
        """The calls of these subcommands, with their exit codes."""
        return [(call["argv"], call["rc"]) for call in self.sim.calls() if call["argv"][0] in verbs]


def facts(result: dict[str, t.Any], *names: str) -> tuple[t.Any, ...]:
    return tuple(result[name] for name in names)
