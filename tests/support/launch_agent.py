# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module launch_agent against the launchctl stand-in, in this process; the clocks of both run equally fast."""

from __future__ import annotations

import json
import os
import plistlib
import time
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from ansible_collections.blumeops.zot.plugins.modules import launch_agent

from support.launchd_job import SCALE, SLEEP
from support.launchd_sim import FastClock, LaunchctlSim

UID = os.geteuid()
GUI, USER = f"gui/{UID}", f"user/{UID}"
LABEL = "net.example.agent"
OTHER = ["/bin/sleep", "2000"]
CRASHING = ["/bin/sh", "-c", "echo first; echo 'cannot open the store'; exit 3"]


class Agent:
    """Runs the module in this process, and knows the file and the job."""

    def __init__(self, sim: LaunchctlSim, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.sim = sim
        self.folder = folder
        self.file = folder / f"{LABEL}.plist"
        self.clock = FastClock(SCALE)
        self._capsys = capsys
        self.warnings: list[str] = []
        monkeypatch.setattr(launch_agent, "time", self.clock)
        monkeypatch.setattr(launch_agent, "run", self.run)
        monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, text: self.warnings.append(text))

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """The module's result; its calls of launchctl are counted from here."""
        self.sim.forget_calls()
        self.warnings.clear()
        self.clock.slept.clear()
        options = {"label": LABEL, "plist_dir": str(self.folder), "launchctl": str(self.sim.path), **options}
        with patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}), pytest.raises(SystemExit):
            launch_agent.main()
        return json.loads(self._capsys.readouterr().out)

    def run(self, argv: list[str], timeout: float = 30) -> Completed:
        """The module's runner: as `run`, but for the Python that would start for each call."""
        if argv[0] != str(self.sim.path):
            return run(argv, timeout)
        done = self.sim(*argv[1:])
        return Completed(done.returncode, done.stdout, done.stderr)

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
