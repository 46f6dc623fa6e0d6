# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_rotating_key on the controller: what a key's rotation needs, one run of it, and what came of it in words."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import shown
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, portable_name
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Target
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_here, require
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Sender, sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import scope_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Demand, Report, drive, rotate
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating_ports import Fields, Place, RealPorts, Rights
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy, told

_ACTIONS = {"type": "list", "elements": "str", "choices": ["read", "create", "update", "delete"]}
_TLS: dict[str, t.Any] = {"validate_certs": {"type": "bool", "default": True}, "ca_path": {"type": "path"}}
_SCOPE = {"repository": {"type": "str"}, "organization": {"type": "str"}, "user": {"type": "bool", "default": False}}
_PLACES = {
    "url": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "token_store": STORE,
    **_TLS,
    "scopes": {"type": "list", "elements": "dict", "required": True, "options": {**_SCOPE, "name": {"type": "str", "required": True}}},
}


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "url": {"type": "str", "required": True},
        "username": {"type": "str", "required": True},
        **_TLS,
        "state": {"type": "str", "choices": ["fresh", "renewed", "sole"], "default": "fresh"},
        "store": {**STORE, "required": True},
        "password_field": {"type": "str", "no_log": False},
        "max_age": {"type": "str", "default": "90d"},
        "renew_after": {"type": "str"},
        "overlap": {"type": "str", "default": "24h"},
        "grace": {"type": "str", "default": "1h"},
        "label": {"type": "str", "default": "blumeops.zot"},
        "repositories": {"type": "list", "elements": "str", "required": True},
        "may": {**_ACTIONS, "default": ["read", "create"]},
        "may_not": {**_ACTIONS, "default": ["update", "delete"]},
        "published_in": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": _PLACES,
            "mutually_exclusive": [("token", "token_store")],
            "required_one_of": [("token", "token_store")],
        },
    }
    clock: t.ClassVar[t.Any] = time

    def act(self, args: Args, _task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given = plain(args, "arguments")
        store = open_here(given["store"])
        name = given["store"].get("field")
        if given["store"]["kind"] == "environment" or not name:
            raise ZotError("store: a rotating key needs a store that can be written, 1Password or a file, and a field of it")
        policy = Policy.of(given)
        target = Target(given["url"].rstrip("/"), given["validate_certs"], ca_path=given["ca_path"])
        ports = RealPorts(
            store,
            Fields(name, f"{name}-rotation", given["password_field"] or f"{name}-password"),
            target,
            given["username"],
            _trusting(given),
            policy,
            Rights(tuple(given["repositories"]), tuple(given["may"]), tuple(given["may_not"])),
            [place for forge in given["published_in"] for place in self._places(forge)],
            self.clock,
            os.urandom,
        )
        demand = Demand(given["state"] == "renewed", given["state"] == "sole", self._task.check_mode)
        report: Report = drive(rotate(policy, demand, f"{store.where}, field '{name}'"), ports)
        current = report.kept.current
        # One that a check foresees has no secret.
        key = next((key for key in report.keys if current and current.secret and key.uuid == current.uuid), None)
        return {
            "changed": bool(report.steps),
            "steps": [told(step) for step in report.steps],
            "key": shown(key) if key else None,
            "waiting": [{"uuid": uuid, "reason": why} for uuid, why in report.waiting],
            **({"diff": {"before": "", "after": "".join(f"{told(step)}\n" for step in report.steps)}} if report.steps else {}),
        }

    def _places(self, given: dict[str, t.Any]) -> t.Iterator[Place]:
        reference, token = given["token_store"], given["token"]
        if reference:
            token = require(open_here(reference), reference.get("field") or "")
        forge = Forge(given["url"], token, _trusting(given), self.clock)
        for number, scope in enumerate(given["scopes"]):
            where = f"published_in.scopes[{number}]"
            yield Place(forge, scope_of(scope, where), portable_name(scope["name"], where)[0])


def _trusting(given: dict[str, t.Any]) -> Sender:
    if given["ca_path"] and not Path(given["ca_path"]).is_file():
        raise ZotError(f"ca_path: there is no file {given['ca_path']} on the controller")
    return sender(given["validate_certs"], given["ca_path"])
