# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how host-side code runs a program. Tests pass a scripted runner of the same shape."""

from __future__ import annotations

import os
import subprocess
import typing as t


class Completed(t.NamedTuple):
    """What a program answered. ``rc`` is 127 when it could not be started and 124 when it ran out of time."""

    rc: int
    stdout: str
    stderr: str


class Runner(t.Protocol):
    """Runs ``argv`` without a shell; it reads ``stdin``, or nothing. Never raises for what the program does."""

    def __call__(self, argv: list[str], timeout: float = 30, *, stdin: bytes = b"") -> Completed: ...


def run(argv: list[str], timeout: float = 30, user: int | None = None, group: int | None = None, stdin: bytes = b"") -> Completed:
    """The real `Runner`; as another user (ids) when root says so."""
    identity: dict[str, t.Any] = {} if user is None else {"user": user, "group": group, "extra_groups": []}
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # because run_command has no timeout and no other user
            argv,
            check=False,
            **({"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}),
            capture_output=True,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C"},
            **identity,
        )
    except subprocess.TimeoutExpired:
        return Completed(124, "", f"no answer within {timeout:g} s")
    except OSError as error:
        return Completed(127, "", str(error.strerror))
    return Completed(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
