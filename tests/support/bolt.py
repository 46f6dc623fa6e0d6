# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bolt database, such as zot's meta.db, says: its file differs after each transaction, also after one that changes nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

_HEADER = 16
_BRANCH, _LEAF, _BUCKET = 1, 2, 1
_MAGIC = 0xED0CDAED


def content(path: Path) -> dict[bytes, Any]:
    """Key to value, or to such a dictionary where a bucket is. Source: go.etcd.io/bbolt, page.go and bucket.go."""
    data = path.read_bytes()
    metas = [struct.unpack_from("<IIIIQQQQQ", data, start + _HEADER) for start in (0, struct.unpack_from("<I", data, _HEADER + 8)[0])]
    newest = max((meta for meta in metas if meta[0] == _MAGIC), key=lambda meta: meta[8])
    return _page(data, newest[2], newest[4] * newest[2])


def _page(data: bytes, size: int, start: int) -> dict[bytes, Any]:
    flags, count = struct.unpack_from("<HH", data, start + 8)
    found: dict[bytes, Any] = {}
    for place in range(start + _HEADER, start + _HEADER + 16 * count, 16):
        if flags & _BRANCH:
            found |= _page(data, size, struct.unpack_from("<Q", data, place + 8)[0] * size)
        else:
            assert flags & _LEAF, flags
            kind, offset, key, value = struct.unpack_from("<IIII", data, place)
            behind = place + offset + key
            found[data[place + offset : behind]] = _bucket(data, size, behind) if kind & _BUCKET else data[behind : behind + value]
    return found


def _bucket(data: bytes, size: int, start: int) -> dict[bytes, Any]:
    """A small one has its page in place."""
    root = struct.unpack_from("<Q", data, start)[0]
    return _page(data, size, root * size if root else start + 16)
