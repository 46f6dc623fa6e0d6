# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the errors its host-side code raises.

They are raised low, with a message that names what, where and the next step, and become C(fail_json) once, in the module.
"""

from __future__ import annotations


class ZotError(Exception):
    """Something the user has to know; ``facts`` are extra return values for the failure."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
