# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that every kind of test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import zot_binary


@pytest.fixture(scope="session")
def real_zot() -> Path:
    """A real zot binary; tests that need one are skipped, and say so, where there is none."""
    found = zot_binary.real_zot()
    if found is None:
        pytest.skip("no real zot: set ZOT_BINARY or put one on PATH")
    return found
