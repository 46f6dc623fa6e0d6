# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which zot release can do what."""

from __future__ import annotations

import re

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import FIRST, Number, find, text_of

OLDEST = FIRST
NEWEST: Number = (2, 1, 21)


class Release:
    """A zot release such as C(2.1.20); raises ZotError for what is not one or is older than 2.1.0."""

    def __init__(self, text: str) -> None:
        match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", str(text).strip())
        if not match:
            raise ZotError(f"'{text}' is not a zot release; write it like 2.1.20")
        self.number = tuple(int(part) for part in match.groups())
        if self.number < OLDEST:
            raise ZotError(f"zot {self} is older than {text_of(OLDEST)}, the oldest release this collection knows")

    def __str__(self) -> str:
        return text_of(self.number)

    @property
    def unknown(self) -> bool:
        """Newer than every release this collection knows; it is treated as the newest known one."""
        return self.number > NEWEST

    def takes(self, key: str) -> bool:
        """Whether the loader knows a key, by its documented path."""
        return self.number >= find(key).since
