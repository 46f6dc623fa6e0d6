# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_info on the controller: passes the question on to the module zot_host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.blumeops.zot.plugins.module_utils._service import ARGUMENT_SPEC as SERVICE

_SPEC: dict[str, t.Any] = {
    "config_path": {"type": "str", "required": True},
    "release": {"type": "str"},
    "binary": {"type": "str"},
    "steady": {"type": "float", "default": 0},
    "wait_timeout": {"type": "int", "default": 60},
    "service": {"type": "dict", "required": True, "options": SERVICE},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    TRANSFERS_FILES = False

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=_SPEC)
        asked = {"state": "serving", **{key: value for key, value in args.items() if value is not None}}
        return self._execute_module(module_name="blumeops.zot.zot_host", module_args=asked, task_vars=task_vars)
