# SPDX-License-Identifier: GPL-3.0-or-later
"""The launchctl stand-in, made ready for one test: a folder for its state and a program that uses it.

The program goes into the module's option `launchctl` (the role's `zot_launchctl`). Configuration: `sim.json` in the folder.
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


# Asks the stand-in's server (its `sim serve`); where there is none the stand-in answers itself, and a server starts for the next call.
_PROGRAM = """#!/bin/bash
export LAUNCHCTL_SIM_DIR={folder}
stand_in=({python} -I -S {compiled})
if ! {{ read -r port word <"$LAUNCHCTL_SIM_DIR/server.$EUID" && exec 3<>"/dev/tcp/127.0.0.1/$port"; }} 2>/dev/null; then
  if [ "$1" != sim ]; then
    setsid "${{stand_in[@]}}" sim serve </dev/null >/dev/null 2>&1 &
  fi
  exec "${{stand_in[@]}}" "$@"
fi
printf '%s\\0' "$word" "$@" "" >&3
while IFS= read -r -u 3 line; do
  case $line in
    0*) exit "${{line:1}}" ;;
    1*) printf '%s\\n' "${{line:1}}" ;;
    *) printf '%s\\n' "${{line:1}}" >&2 ;;
  esac
done
exit 70
"""


def install(program: Path, folder: Path, python: str) -> None:
    """Write ``program``, a launchctl whose launchd lives in ``folder``; what it runs lies compiled beside it."""
    compiled = program.with_suffix(".pyc")
    compiling = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], doraise=True)"
    subprocess.run([python, "-c", compiling, str(STAND_IN), str(compiled)], check=True, timeout=60)
    words = {"folder": str(folder), "python": python, "compiled": str(compiled)}
    program.write_text(_PROGRAM.format(**{name: shlex.quote(word) for name, word in words.items()}))
    for path in (program, compiled):
        path.chmod(0o755)


class LaunchctlSim:
    """A launchctl of its own. `path` is the program; use it as a context manager, or call `shutdown` at the end."""

    def __init__(self, folder: Path, python: str = sys.executable, **config: t.Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # the supervisors of other users' jobs keep their state there
        self.path = folder / "launchctl"
        install(self.path, folder, python)
        if config:
            self.config(**config)

    def config(self, **sim_json: t.Any) -> None:
        """Replace sim.json."""
        (self.folder / "sim.json").write_text(json.dumps(sim_json))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `path` answers to these arguments; the exit code is the caller's to judge."""
        return subprocess.run([str(self.path), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

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
