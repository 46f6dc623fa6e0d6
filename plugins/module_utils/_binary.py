# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a zot binary says, about itself and about a configuration."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner, write_file
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner

# Starting and reading a 200 MB binary takes a while on a cold disk.
_TIMEOUT = 60


def require_release(binary: Path, release: str, runner: Runner) -> None:
    """Raise ZotError unless ``binary`` runs and is ``release``. A build that does not say its release is let through."""
    done = runner([str(binary), "--version"], timeout=_TIMEOUT)
    if done.rc != 0:
        hint = "; on a Mac, sign it once: codesign --force --sign - FILE" if done.rc in (-9, 137) else ""
        raise ZotError(f"{binary} --version failed (exit {done.rc}): {tail(done.stderr or done.stdout)}{hint}")
    # zot logs its version: on standard error up to 2.1.8, on standard output since.
    found = re.search(r'"commit":\s*"v?(\d+\.\d+\.\d+)', done.stdout + done.stderr)
    if found and found.group(1) != release:
        raise ZotError(f"{binary} is zot {found.group(1)}, not {release}; give the binary of {release} or set zot_version")


def verify(binary: Path, document: dict[str, t.Any], folder: Path, moved: dict[str, str], owner: Owner, runner: Runner) -> str | None:
    """What C(zot verify) has against ``document``, or None.

    A copy is judged, in ``folder``: verify opens the log files of what it judges, and the secret files are not in
    their place yet (``moved``: path in the document -> path to read instead).
    """
    copy = folder / "verify.json"
    write_file(copy, json.dumps(_verifiable(document, moved)).encode(), owner)
    try:
        done = runner([str(binary), "verify", str(copy)], timeout=_TIMEOUT)
    finally:
        copy.unlink()
    if done.rc == 0:
        return None
    return _undo(_complaint(done.stderr or done.stdout), moved, str(copy))


def tail(text: str, lines: int = 5) -> str:
    """The last lines of a program's output, on one line."""
    return " | ".join(text.strip().splitlines()[-lines:]) or "(no output)"


def _verifiable(value: t.Any, moved: dict[str, str], path: tuple[str, ...] = ()) -> t.Any:
    if isinstance(value, dict):
        inside = {key: _verifiable(item, moved, (*path, key.lower())) for key, item in value.items()}
        return {key: item for key, item in inside.items() if (*path, key.lower()) not in (("log", "output"), ("log", "audit"))}
    if isinstance(value, list):
        return [_verifiable(item, moved, path) for item in value]
    return moved.get(value, value) if isinstance(value, str) else value


def _complaint(output: str) -> str:
    """cobra prints C(Error: ...) and then the usage; only the error helps."""
    found = re.search(r"^Error: (.*?)(?:^Usage:|\Z)", output, re.MULTILINE | re.DOTALL)
    return " ".join((found.group(1) if found else tail(output)).split())


def _undo(text: str, moved: dict[str, str], copy: str) -> str:
    for original, staged in moved.items():
        text = text.replace(staged, original)
    return text.replace(copy, "the configuration")
