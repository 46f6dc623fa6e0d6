# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the htpasswd file of zot's local users."""

from __future__ import annotations

import re

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

try:
    import bcrypt

    _MISSING = None
except ImportError as error:  # reported by `htpasswd`, and only to those who have local users
    _MISSING = error

_ROUNDS = 10


def htpasswd(passwords: dict[str, str], salts: dict[str, str]) -> str:
    """The file's text. ``salts`` (C($2y$10$<22 characters>)) are those of the file on the host: a password that is
    still the same gives the same line, so that a file is compared and not made anew. Raises ZotError.
    """
    if _MISSING:
        raise ZotError("local users need the Python package 'bcrypt' on the controller: pip install bcrypt")
    lines = []
    for name in sorted(passwords):
        if not name or re.search(r"[\s:]", name):
            raise ZotError("zot_local_users: a name may not be empty nor hold a colon or a blank")
        secret = passwords[name].encode()
        if len(secret) > 72:
            raise ZotError(f"zot_local_passwords: the password of {name} is longer than the 72 bytes that bcrypt takes into account")
        salt = salts.get(name)
        hashed = bcrypt.hashpw(secret, salt.encode() if salt else bcrypt.gensalt(_ROUNDS)).decode()
        lines.append(f"{name}:{hashed}")
    return "".join(f"{line}\n" for line in lines)
