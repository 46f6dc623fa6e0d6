# SPDX-License-Identifier: GPL-3.0-or-later
"""Dagger's Python SDK in an environment of its own, for the example of a module: no engine, and nothing that the collection needs.

python -m testbed.dagger_sdk    # installs it once, from PyPI, and prints its Python
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from testbed import _common, golang
from testbed._common import BedError

RELEASE = "0.21.11"
NO_SDK = f"no Dagger SDK {RELEASE}: python -m testbed.dagger_sdk installs one (bin/test system does)"


def find() -> Path | None:
    """Its Python, if it was installed."""
    python = _target() / "bin" / "python"
    return python if os.access(python, os.X_OK) else None


def install() -> Path:
    """Complete or not at all. Raises BedError."""
    _target().parent.mkdir(parents=True, exist_ok=True)
    with (_target().parent / "dagger-sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find() or _install()


def _install() -> Path:
    # An environment knows where it is, so it is made in its place and taken away when it is not complete.
    done = Path(tempfile.mkdtemp(prefix="dagger-sdk-", dir=_target().parent))
    shutil.rmtree(_target(), ignore_errors=True)
    try:
        venv.create(done, with_pip=True, symlinks=True)
        pip = [done / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _common.check([*pip, f"dagger-io=={RELEASE}"], timeout=600)
        done.replace(_target())
    finally:
        shutil.rmtree(done, ignore_errors=True)
    return _target() / "bin" / "python"


def _target() -> Path:
    return golang.cache() / f"dagger-sdk-{RELEASE}"


if __name__ == "__main__":
    try:
        print(install())
    except (BedError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"No Dagger SDK: {error}")
