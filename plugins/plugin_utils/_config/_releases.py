# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which zot release can do what."""

from __future__ import annotations

import re

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

OLDEST = (2, 1, 0)
NEWEST = (2, 1, 21)

# The first release whose loader accepts the key or shows the behaviour (facts from zot's own sources and binaries).
_SINCE = {
    "session_keys_file": (2, 1, 2),
    "compat": (2, 1, 2),
    "preserve_digest": (2, 1, 3),
    "openid_credentials_file": (2, 1, 6),
    "secure_session": (2, 1, 11),
    "username_claim": (2, 1, 11),
    "timeouts": (2, 1, 17),
    "groups_claim": (2, 1, 17),
    "metrics_anonymous_policy": (2, 1, 18),
    "keep_untagged": (2, 1, 19),
}


class Release:
    """A zot release such as C(2.1.20); raises ZotError for what is not one or is older than 2.1.0."""

    def __init__(self, text: str) -> None:
        match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", str(text).strip())
        if not match:
            raise ZotError(f"'{text}' is not a zot release; write it like 2.1.20")
        self.number = tuple(int(part) for part in match.groups())
        if self.number < OLDEST:
            raise ZotError(f"zot {self} is older than {_text(OLDEST)}, the oldest release this collection knows")

    def __str__(self) -> str:
        return _text(self.number)

    @property
    def unknown(self) -> bool:
        """Newer than every release this collection knows; it is treated as the newest known one."""
        return self.number > NEWEST

    def has(self, feature: str) -> bool:
        return self.number >= _SINCE[feature]

    @staticmethod
    def since(feature: str) -> str:
        return _text(_SINCE[feature])


def _text(number: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in number)
