# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what must happen, and for what must not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10.0  # until a change must have shown; a reload takes about 0.05
STILL = 0.7  # how long something that must not happen is waited for


def until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return False


def never(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + STILL
    while time.monotonic() < deadline:
        if what():
            return False
        time.sleep(0.05)
    return True
