# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the report over all hosts: one table for people, one object for machines, and whether all is well."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, GREY, RED
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_key import REGISTRY

Lines = list[dict[str, t.Any]]
LEVELS = (RED, AMBER, GREEN, GREY)
_COLOURS = {GREEN: "\033[32m", AMBER: "\033[33m", RED: "\033[31m", GREY: "\033[90m"}
_PLAIN = "\033[0m"
# Where one of these fails, the registry is what fails, and not whoever could not reach it.
_REGISTRY_CHECKS = ("host", "ready", "external")


def settle(hosts: t.Mapping[str, Lines]) -> dict[str, Lines]:
    """A line that only says that the registry does not answer is grey where a line of the registry says so itself."""
    fails = any(line["level"] == RED and line["check"] in _REGISTRY_CHECKS for found in hosts.values() for line in found)
    return {
        name: [
            {**line, "level": GREY, "text": "not asked, since the registry does not answer"}
            if fails and line["facts"].get("since") == REGISTRY
            else line
            for line in found
        ]
        for name, found in hosts.items()
    }


def summary(hosts: t.Mapping[str, Lines], fail_on: str) -> dict[str, t.Any]:
    """For machines: C(ok), how many lines are of which colour, and all of them."""
    counts = {level: sum(line["level"] == level for found in hosts.values() for line in found) for level in LEVELS}
    bad = counts[RED] + (counts[AMBER] if fail_on == AMBER else 0)
    return {"ok": not bad, "counts": counts, "hosts": dict(hosts)}


def headline(counts: t.Mapping[str, int]) -> str:
    return ", ".join(f"{counts[level]} {level}" for level in LEVELS if counts[level]) or "nothing was checked"


def table(report: t.Mapping[str, t.Any], colour: bool) -> str:
    """Aligned, the host named once; a name of a colour, and the colour itself where somebody can see it."""
    hosts: t.Mapping[str, Lines] = report["hosts"]
    rows = [(name if not number else "", line) for name, found in hosts.items() for number, line in enumerate(found)]
    wide = max((len(name) for name in hosts), default=0)
    check_wide = max((len(line["check"]) for _name, line in rows), default=0)
    text = [
        f"{name:{wide}}  {line['check']:{check_wide}}  {_painted(line['level'], colour)}  {_printable(line['text'])}" for name, line in rows
    ]
    return "\n".join([*text, headline(report["counts"])]) + "\n"


def _painted(level: str, colour: bool) -> str:
    word = f"{level:5}"
    return f"{_COLOURS[level]}{word}{_PLAIN}" if colour else word


def _printable(text: str) -> str:
    """On one line, without what would move a terminal's cursor: some of it comes from the network."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
