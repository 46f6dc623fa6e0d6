# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_check_report on the controller: what was registered of each host -> one table or one JSON object, and whether all is well."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import unreachable
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_declared import told
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_report import Lines, headline, settle, summary, table

CONTROLLER = "controller"


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "variable": {"type": "str", "required": True},
        "output": {"type": "str", "choices": ["table", "json"], "default": "table"},
        "path": {"type": "str"},
        "colour": {"type": "bool", "default": False},
        "fail_on": {"type": "str", "choices": ["red", "amber"], "default": "red"},
    }

    def act(self, args: Args, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        asked = list(dict.fromkeys([*map(str, args["hosts"]), "localhost"]))
        registered = {host: plain(task_vars["hostvars"][host].get(args["variable"]) or {}, host) for host in asked}
        found = {host: _lines(each) for host, each in registered.items() if _is_registry(each)}
        here = registered["localhost"].get("here")
        if "localhost" in found and "lines" not in registered["localhost"]:
            here = found.pop("localhost")[:1]  # of this machine nothing was asked but what it should have asked of others
        if not found:
            raise ZotError("no host has a registry: one that has is told by zot_grants, or zot_config_overrides")
        report = summary(settle({**found, **({CONTROLLER: here} if here else {})}), args["fail_on"])
        text = json.dumps(report, indent=1) + "\n" if args["output"] == "json" else table(report, args["colour"])
        if args["path"]:
            # Also in check mode: whoever asks for a report wants to read it.
            Path(args["path"]).write_text(text, encoding="utf-8")
        else:
            self._display.display(text.rstrip("\n"))
        failed = not report["ok"]
        return {"changed": False, "failed": failed, "msg": headline(report["counts"]), **({} if failed else {"report": report})}


def _is_registry(registered: dict[str, t.Any]) -> bool:
    """Skipped, or not asked at all: then it is none, or none that this report is about."""
    return bool(registered) and not registered.get("skipped") and ("lines" in registered or "here" not in registered)


def _lines(registered: dict[str, t.Any]) -> Lines:
    """Of a host whose check itself failed, why."""
    if isinstance(registered.get("lines"), list):
        return registered["lines"]
    return [line.as_dict() for line in unreachable(told([str(registered.get("msg") or "the check itself failed")]))]
