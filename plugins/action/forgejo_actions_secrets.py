# SPDX-License-Identifier: GPL-3.0-or-later
"""forgejo_actions_secrets on the controller: declaration -> plan of every scope -> one scope after the other."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, portable_name
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_here
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import Publisher, Reference, declare, diff, read_stores, told

_NAMED = {"name": {"type": "str", "required": True}}
_SECRET = {**_NAMED, "value": {"type": "raw", "no_log": True}, "store": STORE, "pending": {"type": "bool", "default": False}}
_SCOPE = {
    "repository": {"type": "str"},
    "organization": {"type": "str"},
    "user": {"type": "bool", "default": False},
    "secrets": {"type": "list", "elements": "dict", "default": [], "no_log": False, "options": _SECRET},
    "variables": {"type": "list", "elements": "dict", "default": [], "options": {**_NAMED, "value": {"type": "raw", "required": True}}},
    "prune": {"type": "bool", "default": False},
}


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "url": {"type": "str", "required": True},
        "token": {"type": "str", "no_log": True},
        "token_store": STORE,
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "scopes": {"type": "list", "elements": "dict", "required": True, "options": _SCOPE},
        "force": {"type": "list", "elements": "str", "default": []},
        "lock_wait": {"type": "int", "default": 30},
        "lock_lease": {"type": "int", "default": 300},
    }
    RULES: t.ClassVar = {"mutually_exclusive": [("token", "token_store")], "required_one_of": [("token", "token_store")]}
    clock: t.ClassVar[t.Any] = time

    def act(self, args: Args, _task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given = plain(args, "arguments")
        declarations, warnings = declare(given["scopes"], self._task.check_mode)
        token = Reference.of(given["token_store"]) if given["token_store"] else None
        stored = read_stores([*([token] if token else []), *(ref for one in declarations for ref in one.references)], open_here)
        publisher = self._publisher(given, stored[token] if token else given["token"])
        planned = [publisher.plan(declaration, stored) for declaration in declarations]
        if not self._task.check_mode:
            for number, one in enumerate(planned):
                try:
                    planned[number] = publisher.apply(one)
                except ZotError as error:
                    done = [told(earlier) for earlier in planned[:number]]
                    raise ZotError(error.message, scopes=done, changed=any(row["changed"] for row in done)) from None
        scopes = [told(one) for one in planned]
        warnings += [
            f"{one.declaration.scope}: the fingerprint variable could not be read, and is written afresh"
            for one in planned
            if one.observed.fingerprints.damaged
        ]
        return {
            "changed": any(row["changed"] for row in scopes),
            "scopes": scopes,
            "diff": [diff(one) for one in planned if one.plan.changed],
            **({"warnings": warnings} if warnings else {}),
        }

    def _publisher(self, given: dict[str, t.Any], token: str) -> Publisher:
        if given["ca_path"] and not Path(given["ca_path"]).is_file():
            raise ZotError(f"ca_path: there is no file {given['ca_path']} on the controller")
        if given["lock_lease"] < 60 or given["lock_wait"] < 0:
            raise ZotError("lock_lease has to be 60 seconds or more, and lock_wait not negative")
        forge = Forge(given["url"], token, sender(given["validate_certs"], given["ca_path"]), self.clock)
        force = frozenset(portable_name(name, "force")[0] for name in given["force"])
        return Publisher(forge, open_here, os.urandom, given["lock_wait"], given["lock_lease"], force)
