# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: passwords of local users that a store keeps, and that nobody has to know: made once, at random."""

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, Store, require

OpenStore = t.Callable[[t.Mapping[str, t.Any]], Store]

# 43 letters; bcrypt takes 72 into account.
_BYTES = 32


def stored_password(user: str, reference: t.Any, open_store: OpenStore) -> str:
    """What the store has; raises ZotError where that is nothing."""
    return require(open_store(_checked(user, reference)), reference["field"])


def stored_passwords(references: t.Mapping[str, t.Mapping[str, t.Any]], open_store: OpenStore) -> dict[str, str]:
    """Of each user what the store has, made where that is nothing. Raises ZotError."""
    found = {}
    for user, reference in references.items():
        store, name = open_store(_checked(user, reference)), reference["field"]
        password = store.read([name]).get(name)
        if not password:
            password = secrets.token_urlsafe(_BYTES)
            store.write({name: password})
        found[user] = password
    return found


def _checked(user: str, reference: t.Any) -> t.Mapping[str, t.Any]:
    known = set(STORE["options"])
    if not isinstance(reference, dict) or not reference.get("field") or set(reference) - known:
        raise ZotError(f"the store of {user}'s password is a mapping of {', '.join(sorted(known))}, and needs a field")
    return reference
