# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_mirror on the controller: what the host has -> the files of its clients -> written there."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_clients import NODES, USUAL, authority_of, clients_of, questions
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_plan import diff_of, plan
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import upstreams_of

_TEXT: dict[str, t.Any] = {"type": "str"}
_PATHS = ("path", "config_path", "ca_path", "auth_file")
_CLIENT: dict[str, t.Any] = {
    "name": {"type": "str", "choices": [*USUAL, *NODES], "required": True},
    **dict.fromkeys((*_PATHS, "registry", "proxy", "owner", "profile", "cluster", "home", "program"), _TEXT),
    "engine": {"type": "str", "choices": ["docker", "podman", "nerdctl"]},
    "config": {"type": "bool"},
    "activate": {"type": "bool"},
    "command": {"type": "list", "elements": "str"},
    "check_command": {"type": "list", "elements": "str"},
}


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "registry": {"type": "raw", "required": True},
        "upstreams": {"type": "list", "elements": "raw", "required": True},
        "clients": {"type": "list", "elements": "dict", "options": _CLIENT, "required": True},
        "proxy": {"type": "str", "default": ""},
        "username": {"type": "str", "default": ""},
        "password": {"type": "str", "default": "", "no_log": True},
        "ca": {"type": "str", "default": ""},
    }

    def act(self, args: Args, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given = plain(args, "arguments")
        registry = given["registry"]
        if isinstance(registry, str):
            registry = {"url": registry}
        if (given["username"] or given["password"]) and isinstance(registry, dict):
            registry = {**registry, "username": given["username"], "password": given["password"]}
        ca = authority_of(given["ca"])
        clients = clients_of(given["clients"], registry, given["proxy"])
        asked = questions(clients, upstreams_of(given["upstreams"]))
        looked = self._host({"state": "looked", "places": asked}, task_vars)
        made = plan(clients, given["upstreams"], ca, looked["answers"], looked["owed"])
        files = [change.told() for change in made.changes]
        if files:
            self._host({"state": "written", "places": asked, "files": files, "owed": made.who}, task_vars)
        return {
            "changed": bool(files or made.activations),
            "diff": [diff_of(change) for change in made.changes],
            "files": [change.header for change in made.changes],
            "activations": made.activations,
            "left": made.left,
        }

    def _host(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        answer = self.unseen("blumeops.zot.zot_mirror_host", arguments, task_vars)
        if answer.get("failed"):
            raise ZotError(answer.get("msg", "the host's side failed"))
        return answer
