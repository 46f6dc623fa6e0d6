# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_stored_password on the controller: what a field of a store holds, made when it holds nothing."""

from __future__ import annotations

import os
import secrets
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_store
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

# 32 bytes of randomness; bcrypt looks at 72 letters.
_BYTES = 32


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {"store": {**STORE, "required": True}}

    def act(self, args: Args, _task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if not self._task.no_log:
            raise ZotError("the password would be shown: say no_log: true on the task")
        reference = plain(args["store"], "store")
        name = reference.get("field") or ""
        store = open_store(reference, run, os.environ)
        found = store.read([name]).get(name)
        if found:
            return {"changed": False, "password": found}
        if self._task.check_mode:
            return {"changed": True, "password": None}
        made = secrets.token_urlsafe(_BYTES)
        store.write({name: made})
        return {"changed": True, "password": made}
