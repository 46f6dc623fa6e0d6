# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run in the background of a test, and those that answer at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from abc import abstractmethod
from pathlib import Path

import pytest

from support.waiting import until


def absent(*names: str) -> str:
    """Which of Debian's programs are missing, in words; empty if none is. Administrators' programs are not on every user's PATH."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    lacking = [name for name in names if not shutil.which(name, path=path)]
    return f"not installed: {', '.join(lacking)} (.ci/install-debian)" if lacking else ""


def skip(reason: str) -> t.NoReturn:
    """For what a machine for these tests has to have: with ZOT_REQUIRE_SYSTEM=1 the test fails."""
    if os.environ.get("ZOT_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"ZOT_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
    pytest.skip(reason)


class Background:
    """One program with a folder of its own, its output in a file there. `start` waits until it is ready; `stop` until it has ended."""

    argv: t.Sequence[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def is_ready(self) -> bool: ...

    @property
    def log(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder)
        ready = until(lambda: self._has_ended() or self.is_ready(), 30)
        if not ready or self._has_ended():
            self.stop()
            raise AssertionError(f"{self.argv[0]} does not become ready:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """May be called twice."""
        if self._process and not self._has_ended():
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> t.Any:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


def call(*argv: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Whatever it answers; both outputs are in ``stdout``."""
    return subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, "LC_ALL": "C", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
