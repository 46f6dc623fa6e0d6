# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: small pure operations on a zot document."""

from __future__ import annotations

import json
import re
import typing as t

_SECRET_KEYS = frozenset(
    {
        "accesskey",
        "clientsecret",
        "hashkey",
        "password",
        "secretkey",
        "sentinel_password",
        "sessionencryptkey",
        "sessionhashkey",
        "token",
    }
)

_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]+@")


def merge_patch(target: t.Any, patch: t.Any) -> t.Any:
    """RFC 7386: mappings merge, null removes, everything else replaces. Returns new data."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def effective(document: t.Any) -> t.Any:
    """The document without what zot's loader drops: nulls and empty objects that stand outside lists."""
    if not isinstance(document, dict):
        return document
    kept = {key: effective(value) for key, value in document.items()}
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def mapping(value: t.Any) -> dict[str, t.Any]:
    """``value`` where it is a mapping, else nothing: a document may have any shape, and what is wrong with it is zot's to say."""
    return value if isinstance(value, dict) else {}


def canonical(document: t.Any) -> str:
    """The one spelling in which documents are written and compared."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def masked(document: t.Any) -> t.Any:
    """A copy to show: the values of keys that hold secrets are covered, and passwords inside URLs."""
    if isinstance(document, list):
        return [masked(item) for item in document]
    if isinstance(document, str):
        return _URL_PASSWORD.sub(r"\1(secret)@", document)
    if not isinstance(document, dict):
        return document
    return {
        key: "(secret)" if key.lower() in _SECRET_KEYS and not isinstance(value, (dict, list)) else masked(value)
        for key, value in document.items()
    }


def changed_paths(before: t.Any, after: t.Any, path: str = "") -> list[str]:
    """The dotted paths at which two documents differ, at the highest level where one side has nothing."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(set(before) | set(after))
        return [found for key in keys for found in changed_paths(before.get(key), after.get(key), f"{path}.{key}" if path else key)]
    return [path or "(whole document)"]
