# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a judgement would like to know -> questions -> answers -> facts."""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import replace

from ansible_collections.blumeops.zot.plugins.module_utils._inspect import inspect
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Answer, Facts, Unseen

Question = tuple[str, str]


def questions(unseen: Unseen, folder: str) -> list[Question]:
    """Kind and absolute path of every file to look at; a relative path is one below ``folder``."""
    return [(kind, posixpath.join(folder, path)) for kind, path in unseen.files]


def answered(facts: Facts, unseen: Unseen, folder: str, answers: t.Mapping[str, Answer], here: bool, folder_known: bool) -> Facts:
    """``facts`` and what was told of the files, C(KIND PATH) -> answer.

    That a file is absent says something only where zot runs: on its host (``here``), and for a relative path in the folder that it
    is started from (``folder_known``). Elsewhere the file stays unseen.
    """
    files = dict(facts.files)
    for (kind, path), (_unused, where) in zip(unseen.files, questions(unseen, folder)):
        answer = answers[f"{kind} {where}"]
        certain = here if path.startswith("/") else folder_known
        if certain or (answer["state"] not in ("absent", "unreadable") and kind not in ("folder", "log")):
            files[f"{kind} {path}"] = answer
    return replace(facts, files=files)


def look(asked: t.Iterable[Question]) -> dict[str, Answer]:
    """The answers of this very machine."""
    return {f"{kind} {path}": inspect(kind, path) for kind, path in asked}
