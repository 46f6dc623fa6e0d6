# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what zot_config asks of the judge and of the access model, in one place, to be loaded when it is needed."""

from __future__ import annotations

from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._cells import TooManyError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import Change, table
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import changes as changes_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Facts, Unseen
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._facts import answered, questions
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Judgement, judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import UnreadableError, flatten
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._report import message, shown, told

__all__ = [
    "Change",
    "Facts",
    "Judgement",
    "TooManyError",
    "UnreadableError",
    "Unseen",
    "answered",
    "changes_of",
    "flatten",
    "judge",
    "load",
    "message",
    "questions",
    "shown",
    "table",
    "told",
]
