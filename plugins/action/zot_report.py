# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_report on the controller: a configuration and what a run learned -> one page, and the same as JSON beside it."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import tree_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._page import page
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._story import MARK, OTHERWISE, story
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._local import read_local, write_local
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

_TOLD: dict[str, t.Any] = {
    "title": {"type": "str"},
    "findings": {"type": "list", "elements": "dict"},
    "suppressed": {"type": "list", "elements": "dict"},
    "suppress": {"type": "dict"},
    "activation": {"type": "str"},
    "reasons": {"type": "list", "elements": "str"},
    "answers": {"type": "list", "elements": "dict"},
    "keys": {"type": "list", "elements": "dict", "no_log": False},  # what is told of them, never a key itself
}
_SPEC: dict[str, t.Any] = {
    "path": {"type": "str", "required": True},
    "document": {"type": "dict"},
    "config_path": {"type": "str"},
    "release": {"type": "str", "required": True},
    **_TOLD,
}


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC = _SPEC
    RULES: t.ClassVar = {"mutually_exclusive": [("document", "config_path")], "required_one_of": [("document", "config_path")]}

    def act(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        path = _target(self._loader.path_dwim(args["path"]))
        beside = path.with_suffix(".json")
        before = _report_of(read_local(beside), beside)
        release, tree = Release(args["release"]), self._tree(args, task_vars)
        data = story(tree, release, {key: plain(args[key], key) for key in _TOLD}, before)
        wanted = {beside: canonical(data), path: page(data, beside.name)}
        stale = {file: text for file, text in wanted.items() if read_local(file) != _bytes(text)}
        if stale and not self._task.check_mode:
            for file, text in stale.items():
                write_local(file, _bytes(text))
        result: dict[str, t.Any] = {"changed": bool(stale), "path": str(path), "json": str(beside), "as_expected": _as_expected(data)}
        if stale:
            header = {"before_header": str(beside), "after_header": str(beside)}
            result["diff"] = [{**header, "before": canonical(before) if before else "", "after": wanted[beside]}]
        return result

    def _tree(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if args["document"] is not None:
            return plain(args["document"], "document")
        path = args["config_path"]
        return tree_of(self.content(path, task_vars), path)


def _as_expected(data: dict[str, t.Any]) -> bool:
    return all(item["verdict"] != OTHERWISE for item in data["answers"] or [])


def _target(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".html":
        raise ZotError(f"path: {path} must end in .html; the same as data is written beside it, with .json in its place")
    if not path.parent.is_dir():
        raise ZotError(f"{path.parent} is no folder on the controller; make it first")
    return path


def _report_of(content: bytes | None, path: Path) -> dict[str, t.Any] | None:
    """The report that lies there. Another file, such as a configuration, is not written over."""
    if content is None:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(content)
        if isinstance(found, dict) and found.get("report") == MARK:
            return found
    raise ZotError(f"{path} is there and is no report; choose another path, or move that file away")


def _bytes(text: str) -> bytes:
    """What is no text, such as half a surrogate pair, is written as JSON and people would spell it."""
    return text.encode("utf-8", "backslashreplace")
