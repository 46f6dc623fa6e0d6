# SPDX-License-Identifier: GPL-3.0-or-later
"""System tests need root and some programs. Where those are missing they are skipped, unless ZOT_REQUIRE_SYSTEM=1: then they fail."""

from __future__ import annotations

import signal

import pytest
from support.programs import skip
from testbed import _common, maclike, nspawn


def pytest_configure() -> None:
    # A cancelled run ends its hosts as one that is interrupted at the keyboard does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def system() -> None:
    """For tests that make hosts."""
    if reason := _common.missing((*nspawn.PROGRAMS, *maclike.PROGRAMS)):
        skip(reason)
