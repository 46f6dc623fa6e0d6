# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: files of the controller, as action plugins read and write them."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner, write_file


def read_local(path: Path) -> bytes | None:
    """What the file holds; None where there is none. Raises ZotError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ZotError(f"{path} on the controller: {error.strerror}") from None


def write_local(path: Path, content: bytes) -> None:
    """A new file gets the mode that any other program would give it; one that is there keeps its own. Raises ZotError."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask
        write_file(path, content, Owner(None, None, mode))
    except OSError as error:
        raise ZotError(f"{path} cannot be written on the controller: {error.strerror}") from None
