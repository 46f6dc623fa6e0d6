# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules in this process, and the action plugin zot_config with its module really run on this very host."""

from __future__ import annotations

import contextlib
import io
import json
import os
import types
import typing as t
from pathlib import Path

from ansible.module_utils.testing import patch_module_args
from ansible.playbook.task import Task
from ansible_collections.blumeops.zot.plugins.action.zot_config import ActionModule
from ansible_collections.blumeops.zot.plugins.modules import zot_files


def run_module(main: t.Callable[[], None], check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """What the module answers."""
    said = io.StringIO()
    with patch_module_args({**options, "_ansible_check_mode": check}), contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit:
            return json.loads(said.getvalue())
    raise AssertionError("a module ends with exit_json or fail_json")


def program(path: Path, text: str) -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def launchd(path: Path, pid: int) -> dict[str, t.Any]:
    """A service whose launchctl knows this process (0: none)."""
    line = f"\\tpid = {pid}\\n" if pid else ""
    launchctl = program(path, f"[ $2 = gui/{os.geteuid()}/net.example.zot ] && printf '{line}'")
    return {"manager": "launchd", "name": "net.example.zot", "launchctl": str(launchctl)}


class _OnThisHost(ActionModule):
    """The action plugin without a connection: its module runs here."""

    ran: list[dict[str, t.Any]]

    def _execute_module(self, module_name: str, module_args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        assert module_name == "blumeops.zot.zot_files"
        answer = run_module(zot_files.main, check=self._task.check_mode, **module_args)
        self.ran.append({**module_args, "answer": answer, "task_vars": task_vars})
        return answer


class ZotConfig:
    """The task zot_config; ``ran`` are the calls of its module, with their answers."""

    def __init__(self) -> None:
        self.ran: list[dict[str, t.Any]] = []

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        task = Task()
        task.args, task.check_mode, task.async_val = options, check, 0
        action = _OnThisHost(task, _Connection(), *[None] * 4)
        self.ran = action.ran = []
        return action.run(task_vars={"inventory_hostname": "registry"})

    @property
    def states(self) -> list[str]:
        return [call["state"] for call in self.ran]


class _Connection:
    """As much of a connection as `ActionBase.run` looks at."""

    _shell = types.SimpleNamespace(tmpdir="/nowhere")
