# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: zot binaries side by side, each named by its release and sum."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Binary:
    """Where a binary belongs, the sum it must have, and the sum of what lies there (None: nothing)."""

    path: Path
    sha256: str
    found: str | None

    @property
    def installed(self) -> bool:
        return self.found == self.sha256


def look(folder: Path, release: str, sha256: str, given: Path | None) -> Binary:
    """The binary that is wanted in ``folder``: that at ``given``, or else the one of this sum. Raises ZotError."""
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ZotError("zot_binary_sha256 is no sha256: 64 hexadecimal digits in lower case are wanted")
    if given is not None:
        found = sum_of(given)
        if found is None:
            raise ZotError(f"zot_binary_path: there is no file {given} on the host; put the binary there or leave the variable empty")
        sha256 = require_sum(found, sha256 or found, str(given))
    path = folder / f"zot-{release}-{sha256[:12]}"
    return Binary(path, sha256, sum_of(path))


def install(binary: Binary, source: Path) -> None:
    """Copy ``source`` to its place; the sum is that of the bytes written, and nothing stays when it is not the one wanted."""
    descriptor, name = tempfile.mkstemp(dir=binary.path.parent, prefix=f".{binary.path.name}.")
    temporary = Path(name)
    try:
        with source.open("rb") as incoming, os.fdopen(descriptor, "wb") as stream:
            require_sum(_digest(incoming, stream), binary.sha256, str(source))
            stream.flush()
            os.fchmod(stream.fileno(), 0o755)
            os.fsync(stream.fileno())
        temporary.replace(binary.path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sum_of(path: Path) -> str | None:
    """The sha256 of a file, as hexadecimal digits; None where there is no file."""
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return _digest(stream)


def require_sum(found: str, wanted: str, source: str) -> str:
    """Returns ``found``; raises ZotError unless it is the one wanted."""
    if found != wanted:
        raise ZotError(
            f"{source} has the sha256 {found}, not {wanted}: mend zot_binary_sha256 or get the right binary; nothing was installed"
        )
    return found


def _digest(stream: t.BinaryIO, copy: t.BinaryIO | None = None) -> str:
    digest = hashlib.sha256()
    for chunk in iter(lambda: stream.read(_CHUNK), b""):
        digest.update(chunk)
        if copy:
            copy.write(chunk)
    return digest.hexdigest()
