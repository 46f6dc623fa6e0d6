# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: is the right zot running, and does it stay?"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service, command_line
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Transport
from ansible_collections.blumeops.zot.plugins.module_utils._zot import ask

_POLL = 0.1


class Clock(t.Protocol):
    """What of M(time) is used here."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Expected:
    """What must answer at ``url``; None: anything. ``steady``: seconds after which the same process must be there."""

    url: str
    release: str | None = None
    binary: str | None = None
    steady: float = 0


@dataclass(frozen=True)
class Seen:
    """What answered: the release it says it is (None: it does not tell) and the process that serves."""

    release: str | None
    pid: int


def wait_ready(expected: Expected, service: Service, timeout: float, transport: Transport, runner: Runner, clock: t.Any) -> Seen:
    """Poll until zot is as expected; raises ZotError with the last reason why not."""
    deadline = clock.monotonic() + timeout
    while True:
        seen, reason = _look(expected, service, transport, runner)
        if seen:
            break
        if clock.monotonic() >= deadline:
            raise ZotError(f"zot is not ready after {timeout:g} s: {reason}")
        clock.sleep(_POLL)
    if expected.steady:
        clock.sleep(expected.steady)
        again, reason = _look(expected, service, transport, runner)
        if again is None or again.pid != seen.pid:
            raise ZotError(f"zot does not stay: process {seen.pid} served, {expected.steady:g} s later {reason or 'another process does'}")
    return seen


def _look(expected: Expected, service: Service, transport: Transport, runner: Runner) -> tuple[Seen | None, str]:
    pid = service.pid(runner)
    if pid is None:
        return None, f"{service.name} has no running process"
    answer = ask(expected.url, transport)
    if not answer.ready:
        return None, answer.reason
    if expected.release and answer.release and answer.release != expected.release:
        return None, f"{expected.url} is zot {answer.release}, not {expected.release}"
    # A whole word: the binaries of other releases lie beside it, with names that begin like its own.
    if expected.binary and f" {expected.binary} " not in f" {command_line(pid, runner)} ":
        return None, f"process {pid} does not run {expected.binary}"
    return Seen(answer.release, pid), ""
