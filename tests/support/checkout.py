# SPDX-License-Identifier: GPL-3.0-or-later
"""This checkout as where the collection is imported from, for the programs in tests/ that are run by hand."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible" / "collections"
NEEDED = ("jsonschema", "markupsafe", "yaml")
IN_ENV = 'source "$0" && cd "$OLDPWD" && exec python "$@"'


def enter() -> None:
    """Make ``ansible_collections.blumeops.zot`` importable; a Python that lacks what it needs becomes that of bin/_env, made on first use.

    :raises ModuleNotFoundError: that Python lacks it too.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing and Path(sys.prefix) == ROOT / ".venv":
        raise ModuleNotFoundError(f"{sys.executable} has no {', '.join(missing)}: remove .venv, it is made anew")
    if missing:
        sys.stderr.flush()
        os.execvp("bash", ["bash", "-c", IN_ENV, str(ROOT / "bin" / "_env"), *sys.argv])  # noqa: S606 - no shell reads an argument
    link = COLLECTIONS / "ansible_collections" / "blumeops" / "zot"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(*[".."] * 4))
    sys.path.insert(0, str(COLLECTIONS))
