# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a judgement as results, as a message and as a table for people."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, ERROR, WARNING, Finding
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Judgement

_WIDTH = 110


def shown(judged: Judgement, advice: bool) -> list[Finding]:
    """The findings that people want to see."""
    return judged.of(ERROR, WARNING, *([ADVICE] if advice else []))


def told(judged: Judgement, advice: bool) -> dict[str, t.Any]:
    """The judgement as return values of an action."""
    return {
        "ok": judged.ok,
        "msg": message(judged),
        "summary": judged.summary,
        "findings": [finding.as_dict() for finding in shown(judged, advice)],
        "suppressed": [finding.as_dict() for finding in judged.suppressed],
        "unseen": judged.unseen.names(),
        "release": str(judged.release),
    }


def message(judged: Judgement) -> str:
    """The summary, and each error in a line of its own."""
    return "\n".join([f"{judged.summary} for zot {judged.release}", *(f"- {finding}" for finding in judged.of(ERROR))])


def table(judged: Judgement, name: str, advice: bool) -> str:
    """Every finding in three lines at the most, for a terminal."""
    lines = [f"{name}, judged for zot {judged.release}: {judged.summary}"]
    for finding in shown(judged, advice):
        lines += ["", f"{finding.severity.upper():<8} {finding.code}  {finding.path}"]
        lines += textwrap.wrap(finding.message, _WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
        lines += textwrap.wrap(finding.hint, _WIDTH, initial_indent=" " * 9 + "-> ", subsequent_indent=" " * 12)
    if judged.suppressed:
        lines += ["", f"suppressed: {', '.join(sorted({finding.code for finding in judged.suppressed}))}"]
    if judged.unseen:
        lines += ["", f"not looked at: {', '.join(judged.unseen.names())}"]
    return "\n".join(lines)
