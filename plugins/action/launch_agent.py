# SPDX-License-Identifier: GPL-3.0-or-later
"""launch_agent on the controller: its options, checked; the work is done by the module zot_host."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

_OPTIONS = {
    "RunAtLoad": {"type": "bool"},
    "KeepAlive": {"type": "raw"},
    "ThrottleInterval": {"type": "int"},
    "ExitTimeOut": {"type": "int"},
    "ProcessType": {"type": "str", "choices": ["Adaptive", "Background", "Interactive", "Standard"]},
    "EnvironmentVariables": {"type": "dict"},
    "WorkingDirectory": {"type": "str"},
    "StandardOutPath": {"type": "str"},
    "StandardErrorPath": {"type": "str"},
    "Umask": {"type": "str"},
    "SoftResourceLimits": {"type": "dict"},
    "HardResourceLimits": {"type": "dict"},
    "LimitLoadToSessionType": {"type": "list", "elements": "str"},
}
_SPEC: dict[str, t.Any] = {
    "label": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "loaded", "started", "stopped", "absent"], "default": "started"},
    "program_arguments": {"type": "list", "elements": "str"},
    "options": {"type": "dict", "options": _OPTIONS},
    "definition": {"type": "dict"},
    "user": {"type": "str"},
    "domain": {"type": "str", "choices": ["auto", "gui", "user"], "default": "auto"},
    "plist_dir": {"type": "str", "default": "~/Library/LaunchAgents"},
    "mode": {"type": "str", "default": "0644"},
    "enabled": {"type": "bool", "default": True},
    "restart": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 60},
    "allow_unloaded": {"type": "bool", "default": False},
    "launchctl": {"type": "str", "default": "/bin/launchctl"},
    "redact_env": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    TRANSFERS_FILES = False

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(
            argument_spec=_SPEC,
            mutually_exclusive=[("program_arguments", "definition"), ("options", "definition")],
            required_by={"options": "program_arguments"},
        )
        asked = {"state": "agent", "agent": args}
        return self._execute_module(module_name="blumeops.zot.zot_host", module_args=asked, task_vars=task_vars)
