# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what must happen so that zot runs with what is wanted, and why."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

NONE = "none"
RESTART = "restart"


@dataclass(frozen=True)
class Plan:
    """``activation``: none or restart; ``reasons``: for people, one per difference. No reasons: nothing to do."""

    activation: str
    reasons: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        """For the diff."""
        return "".join([f"plan: {self.activation}\n", *(f"  - {reason}\n" for reason in self.reasons)])


def plan(found: t.Mapping[str, t.Any], config_name: str, binary: str, with_proof: bool = True) -> Plan:
    """Compare what the host has (the answer of M(blumeops.zot.zot_host) with O(state=look)) with what is wanted.

    What was proved last counts, not only what lies on disk: a run that stopped between write and restart left the right
    files and the wrong process. Every difference restarts zot, save those it does not notice (C(drift)). Where nobody proves and
    promotes (``with_proof`` false), only what lies on disk is compared.
    """
    if not with_proof:
        found = {**found, "record": None}
    reasons = [f"{path} is missing" for path in found["folders_missing"]]
    reasons += _document_reasons(found, config_name)
    for name, verdict in found["files"].items():
        if verdict["live"] != "same":
            reasons.append(f"{name} {'is missing' if verdict['live'] == 'absent' else 'differs'}")
        elif found["record"] and verdict["proved"] != "same":
            reasons.append(f"{name} was written but never proved")
    if with_proof:
        reasons += _record_reasons(found["record"], binary)
    return Plan(RESTART if reasons else NONE, (*reasons, *found["drift"]))


def _document_reasons(found: t.Mapping[str, t.Any], name: str) -> list[str]:
    record = found["record"]
    if found["live_error"]:
        return [found["live_error"]]
    if found["live"] is None:
        return [f"{name} is missing"]
    if found["live_differs"]:
        return [f"{name} differs: {', '.join(found['live_differs'])}"]
    if record and record["differs"]:
        return [f"{name} was written but never proved: {', '.join(record['differs'])}"]
    return []


def _record_reasons(record: t.Mapping[str, t.Any] | None, binary: str) -> list[str]:
    if record is None:
        return ["nothing has been proved on this host yet"]
    if not record["proved"]:
        return ["what was here before this collection has not been replaced by something proved yet"]
    reasons = [f"{name} is no longer wanted" for name in record["obsolete"]]
    if record["binary"] != binary:
        reasons.append(f"the binary changes from {record['binary']} to {binary}")
    return reasons
