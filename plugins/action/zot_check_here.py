# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_check_here on the controller: CI's key in its store and at the registry, and other services, all at the same time."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone
from functools import partial

from ansible_collections.blumeops.zot.plugins.module_utils._check_observe import together
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_here
from ansible_collections.blumeops.zot.plugins.module_utils._transport import remote, sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import GREY, RED, Line
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_key import Registry, look_at_command, look_at_key, look_at_url

_KEY: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "str"},
    "store": {**STORE, "required": True},
    "max_age": {"type": "str", "default": "90d"},
    "renew_after": {"type": "str"},
    "overlap": {"type": "str", "default": "24h"},
}
_OTHER: dict[str, t.Any] = {"name": {"type": "str", "required": True}, "url": {"type": "str"}, "command": {"type": "str"}}
# Of the store: 1Password's app may wait for a finger.
_PATIENCE = 30.0


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "key": {"type": "dict", "options": _KEY},
        "others": {
            "type": "list",
            "elements": "dict",
            "options": _OTHER,
            "default": [],
            "mutually_exclusive": [("url", "command")],
            "required_one_of": [("url", "command")],
        },
        "ca_path": {"type": "str"},
        "timeout": {"type": "float", "default": 5},
    }

    def act(self, args: Args, _task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given = plain(args, "arguments")
        calls: dict[str, t.Callable[[], Line]] = {}
        if given["key"]:
            calls["key"] = partial(_key, given["key"])
        for number, other in enumerate(given["others"]):
            ask = partial(remote, ca_path=given["ca_path"])
            looks = partial(look_at_url, other["name"], other["url"], ask) if other["url"] else None
            calls[f"other {number}"] = partial(looks or partial(look_at_command, other["name"], other["command"], run), given["timeout"])
        answers = together(calls, max(_PATIENCE, given["timeout"] + 1))
        names = {"key": "key", **{f"other {number}": other["name"] for number, other in enumerate(given["others"])}}
        found = [answer if isinstance(answer, Line) else _none(names[name], answer) for name, answer in answers.items()]
        if not given["key"]:
            found.insert(0, Line("key", GREY, "no key of CI is declared (zot_ci_key_registry)"))
        return {"changed": False, "lines": [line.as_dict() for line in found]}


def _key(given: dict[str, t.Any]) -> Line:
    name = given["store"].get("field")
    if not name:
        raise ZotError("the store of the key has no field: set zot_ci_key_store")
    policy = Policy.of({**given, "grace": "1h", "label": "blumeops.zot"})
    registry = Registry(given["url"].rstrip("/"), given["username"], sender(given["validate_certs"], given["ca_path"]))
    return look_at_key(registry, open_here(given["store"]), name, policy, datetime.now(timezone.utc))


def _none(name: str, answer: dict[str, t.Any]) -> Line:
    return Line(name, RED, answer.get("error") or f"no answer within {answer['late']:g} s")
