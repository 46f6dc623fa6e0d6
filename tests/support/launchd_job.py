# SPDX-License-Identifier: GPL-3.0-or-later
"""A job of launchd's for a test: its file, its label and the answers of launchctl, be that Apple's or the stand-in."""

from __future__ import annotations

import os
import plistlib
import re
import secrets
import subprocess
import sys
import time
import typing as t
from pathlib import Path

REAL = sys.platform == "darwin"
SCALE = 1 if REAL else 20
"""How much faster than ours launchd's clock is."""

SLEEP = ["/bin/sleep", "1000"]
STUBBORN = ["/bin/sh", "-c", 'trap "" TERM; exec /bin/sleep 1000']


class Launchd:
    """launchctl, real or not, and a label of our own."""

    def __init__(self, launchctl: t.Callable[..., subprocess.CompletedProcess[str]], folder: Path) -> None:
        self.call = launchctl
        self.folder = folder
        self.label = f"test.{secrets.token_hex(4)}.job"
        self.domain = f"gui/{os.getuid()}"
        self.target = f"{self.domain}/{self.label}"
        self.file = folder / f"{self.label}.plist"

    def rc(self, *arguments: str) -> int:
        return self.call(*arguments).returncode

    def write(self, argv: list[str] = SLEEP, mode: int = 0o644, **definition: t.Any) -> str:
        self.file.write_bytes(plistlib.dumps({"Label": self.label, "ProgramArguments": argv, "RunAtLoad": True, **definition}))
        self.file.chmod(mode)
        return str(self.file)

    def load(self, argv: list[str] = SLEEP, **definition: t.Any) -> None:
        done = self.call("bootstrap", self.domain, self.write(argv, **definition))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def field(self, name: str) -> str | None:
        found = re.search(rf"^\t{name} = (.*)$", self.call("print", self.target).stdout, re.MULTILINE)
        return found[1] if found else None

    def await_field(self, name: str, wanted: str, seconds: float = 20) -> None:
        """Wait until `print` says so, at most these seconds of launchd's clock."""
        self.until(lambda: self.field(name) == wanted, f"{name} = {wanted}", seconds)

    def await_gone(self, seconds: float = 20) -> None:
        self.until(lambda: self.rc("print", self.target) == 113, "gone", seconds)

    def until(self, holds: t.Callable[[], bool], what: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + max(seconds / SCALE, 10)
        while not holds():
            assert time.monotonic() < deadline, f"never {what}"
            time.sleep(0.02)

    def kill(self, number: int) -> None:
        os.kill(int(self.field("pid") or 0), number)


def stopwatch() -> t.Callable[[], float]:
    """Tells the seconds, of launchd's clock, since now. Taken before the call in question, a least duration holds on a busy machine too."""
    start = time.monotonic()
    return lambda: (time.monotonic() - start) * SCALE


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    return done.returncode, done.stderr.splitlines()
