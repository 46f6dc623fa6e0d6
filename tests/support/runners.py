# SPDX-License-Identifier: GPL-3.0-or-later
"""A Runner whose programs answer what they are told to."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed


class Programs(dict[str, t.Any]):
    """By command line: an output, or what a program ends with, or something to call for either. ``ran`` are those that were called."""

    def __init__(self, *args: t.Any) -> None:
        super().__init__(*args)
        self.ran: list[str] = []

    def __call__(self, argv: list[str], timeout: float = 30, *, stdin: bytes = b"") -> Completed:  # noqa: ARG002
        line = " ".join(argv)
        self.ran.append(line)
        answer = self.get(line, Completed(127, "", "no such program"))
        answer = answer() if callable(answer) else answer
        return Completed(0, answer, "") if isinstance(answer, str) else answer
