# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures about launchctl."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from support.launch_agent import Agent
from support.launchd_job import REAL, SCALE, Launchd
from support.launchd_sim import LaunchctlSim, running


@pytest.fixture
def sim(tmp_path: Path) -> t.Iterator[LaunchctlSim]:
    """A launchctl stand-in whose clock is twenty times faster; nothing it started is left behind."""
    if REAL:
        pytest.skip("the launchctl stand-in does not run on macOS")
    with LaunchctlSim(tmp_path / "launchd", time_scale=SCALE) as ready:
        yield ready
        processes = [pid for job in ready.jobs().values() for pid in (job["pid"], job["supervisor"]) if pid]
    assert [pid for pid in processes if running(pid)] == []


@pytest.fixture
def launchd(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Launchd]:
    """launchctl: Apple's on macOS, where the tests that use this calibrate the stand-in; else the stand-in."""
    if REAL:

        def launchctl(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(["/bin/launchctl", *arguments], capture_output=True, text=True, check=False, timeout=60)

        real = Launchd(launchctl, tmp_path)
        yield real
        launchctl("bootout", real.target)
        launchctl("enable", real.target)
    else:
        sim = request.getfixturevalue("sim")
        sim.config(time_scale=SCALE, root=False)  # root is told more
        yield Launchd(sim, tmp_path)


@pytest.fixture
def job(sim: LaunchctlSim, tmp_path: Path) -> Launchd:
    """Like `launchd`, of the stand-in only, which answers as root is answered: with the exact codes."""
    sim.config(time_scale=SCALE, root=True)
    return Launchd(sim, tmp_path)


@pytest.fixture
def agent(sim: LaunchctlSim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The task launch_agent, with a folder of its own for the files."""
    return Agent(sim, tmp_path / "LaunchAgents", monkeypatch)
