# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what must happen, and for what must not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10.0  # until a change must have shown; a reload takes about 0.05
STILL = 0.7  # how long something that must not happen is waited for


def until(what: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Poll; false when it did not come to hold in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def never(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + STILL
    while time.monotonic() < deadline:
        if what():
            return False
        time.sleep(0.05)
    return True
