# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the door. What comes from a playbook becomes plain data here, once."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError


def plain(value: t.Any, path: str) -> t.Any:
    """``value`` as plain dict, list, str, int, float, bool or None, free of Ansible's tags.

    Raises ZotError for a key that is not a string and for a value of any other type. No message quotes a value:
    it may be a secret.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return {_key(key, path): plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{number}]") for number, item in enumerate(value)]
    raise ZotError(f"{path}: a value of type {type(value).__name__} cannot be used here; use text, numbers, booleans, lists or mappings")


def _key(key: t.Any, path: str) -> str:
    if isinstance(key, str):
        return str(key)
    hint = "; YAML reads on, off, yes and no as booleans: quote the key" if isinstance(key, bool) else "; quote it"
    raise ZotError(f"{path}: the key {key} is a {type(key).__name__}, not text{hint}")
