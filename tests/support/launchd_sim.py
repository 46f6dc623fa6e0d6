# SPDX-License-Identifier: GPL-3.0-or-later
"""The launchctl stand-in, made ready for one test: a folder for its state and a program that uses it.

Outside Python the program is a file of two lines, which a playbook writes too:

    #!/bin/sh
    LAUNCHCTL_SIM_DIR=/folder exec /usr/bin/python3 /checkout/tests/standins/launchctl "$@"

It goes into the module's option `launchctl` (the role's `zot_launchctl`). Configuration: `sim.json` in the folder, see the stand-in.
End with `launchctl sim shutdown`, or remove the folder: no job outlives it by more than a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
import time
import typing as t
from pathlib import Path

STAND_IN = Path(__file__).resolve().parents[1] / "standins" / "launchctl"


# Runs the same program without starting Python for every call: reads an argv per line, forks, answers [rc, stdout, stderr].
_SERVER = """
import contextlib, importlib.machinery, importlib.util, io, json, os, sys
loader = importlib.machinery.SourceFileLoader("launchctl", sys.argv[1])
launchctl = importlib.util.module_from_spec(importlib.util.spec_from_loader("launchctl", loader))
loader.exec_module(launchctl)
for line in sys.stdin:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    try:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            rc = launchctl.main(json.loads(line))
        os.write(1, json.dumps([rc, out.getvalue(), err.getvalue()]).encode() + b"\\n")
    finally:
        os._exit(0)
"""


class LaunchctlSim:
    """A launchctl of its own. `path` is the program; use it as a context manager, or call `shutdown` at the end."""

    def __init__(self, folder: Path, python: str = sys.executable, **config: t.Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # the supervisors of other users' jobs keep their state there
        self.path = folder / "launchctl"
        self._server: subprocess.Popen[str] | None = None
        command = f"LAUNCHCTL_SIM_DIR={shlex.quote(str(folder))} exec {shlex.quote(python)} {shlex.quote(str(STAND_IN))}"
        self.path.write_text(f'#!/bin/sh\n{command} "$@"\n')
        self.path.chmod(0o755)
        if config:
            self.config(**config)

    def config(self, **sim_json: t.Any) -> None:
        """Replace sim.json."""
        (self.folder / "sim.json").write_text(json.dumps(sim_json))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `path` answers to these arguments, ten times faster; the exit code is the caller's to judge."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(STAND_IN)],
                env={**os.environ, "LAUNCHCTL_SIM_DIR": str(self.folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        to, answers = t.cast("t.IO[str]", self._server.stdin), t.cast("t.IO[str]", self._server.stdout)
        to.write(json.dumps(arguments) + "\n")
        to.flush()
        answer = answers.readline()
        assert answer, f"the stand-in failed on {arguments}; see its traceback"
        return subprocess.CompletedProcess(list(arguments), *json.loads(answer))

    def sim(self, *arguments: str) -> None:
        """Run one of the `sim` subcommands."""
        done = self("sim", *arguments)
        assert done.returncode == 0, done.stderr

    def calls(self) -> list[dict[str, t.Any]]:
        """Every call so far, but those of `sim`: argv, uid, rc, t."""
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def verbs(self) -> list[str]:
        """The subcommands called so far, in order."""
        return [call["argv"][0] for call in self.calls()]

    def forget_calls(self) -> None:
        """Count from here."""
        (self.folder / "calls.log").unlink(missing_ok=True)

    def jobs(self) -> dict[str, dict[str, t.Any]]:
        """What is loaded, by `DOMAIN/LABEL`, as the stand-in records it."""
        state = self.folder / "state.json"
        if not state.exists():
            return {}
        with state.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # it is written in place
            text = file.read()
        return json.loads(text)["jobs"] if text else {}

    def job(self, label: str, domain: str | None = None) -> dict[str, t.Any] | None:
        """One of the jobs, by default in the caller's GUI session."""
        return self.jobs().get(f"{domain or f'gui/{os.geteuid()}'}/{label}")

    def shutdown(self) -> None:
        """Kill every job and every supervisor."""
        if (self.folder / "state.json").exists():
            self.sim("shutdown")
        if self._server:
            self._server.communicate()  # its input ends, and so does it
            self._server = None

    def __enter__(self) -> LaunchctlSim:
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()


class FastClock:
    """The clock of the code under test, as many times faster as the stand-in's `time_scale`; `slept` is in its seconds."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return time.monotonic() * self.scale

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        time.sleep(seconds / self.scale)


def running(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
