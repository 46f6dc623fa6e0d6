# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Go modules that one kind of test alone wants; they are built into the cache of the others, once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from testbed import golang


def built(name: str, program: golang.Program) -> Path:
    """Skips the test where it is not there and cannot be built, or fails with ZOT_REQUIRE_SYSTEM=1."""
    golang.PROGRAMS.setdefault(name, program)
    if golang.find(name) is None and not shutil.which("go"):
        reason = golang.absent(name)
        if os.environ.get("ZOT_REQUIRE_SYSTEM") == "1":
            pytest.fail(f"ZOT_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    return golang.build(name)
