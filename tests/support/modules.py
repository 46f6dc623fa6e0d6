# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules in this process, and action plugins with their modules really run on this very host."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import types
import typing as t
from pathlib import Path
from unittest import mock

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible.modules import get_url, slurp
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible_collections.blumeops.zot.plugins.modules import zot_host, zot_observe


def run_module(main: t.Callable[[], None], check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """What the module answers, with what it warns of. What Ansible calls deprecated is an error."""
    said, warned = io.StringIO(), []

    def deprecated(*given: t.Any, **more: t.Any) -> t.NoReturn:
        raise AssertionError(f"deprecated: {given or more}")

    # In this process Ansible would show warnings rather than return them.
    telling = {"warn": lambda _module, text, **_more: warned.append(text), "deprecate": deprecated}
    given = patch_module_args({**options, "_ansible_check_mode": check})
    with given, contextlib.redirect_stdout(said), mock.patch.multiple(AnsibleModule, **telling):
        try:
            main()
        except SystemExit:
            return {**json.loads(said.getvalue()), **({"warnings": warned} if warned else {})}
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


_MODULES = {
    "blumeops.zot.zot_host": zot_host,
    "blumeops.zot.zot_observe": zot_observe,
    "ansible.builtin.get_url": get_url,
    "ansible.builtin.slurp": slurp,
}


class _OnThisHost:
    """An action plugin without a connection: its modules run here, and folders of this host pass for those of another."""

    ran: list[dict[str, t.Any]]
    folder: Path

    def _execute_module(self, module_name: str, module_args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        module = _MODULES[module_name]
        answer = run_module(module.main, check=self._task.check_mode, **module_args)
        self.ran.append({**module_args, "answer": answer, "task_vars": task_vars})
        return answer

    def _make_tmp_path(self) -> str:
        self.folder.mkdir()
        return str(self.folder)

    def _transfer_file(self, local_path: str, remote_path: str) -> None:
        shutil.copyfile(local_path, remote_path)

    def _fixup_perms2(self, remote_paths: tuple[str, ...]) -> None:
        """Nobody else has to read it."""


class Action:
    """A task of one action plugin; ``ran`` are the calls of its modules, with their answers. ``playbook`` is where relative paths begin."""

    def __init__(self, plugin: type[ActionBase], folder: Path = Path("/nowhere"), playbook: Path = Path("/nowhere")) -> None:
        self.plugin = type("OnThisHost", (_OnThisHost, plugin), {"folder": folder})
        self.loader = DataLoader()
        self.loader.set_basedir(str(playbook))
        self.ran: list[dict[str, t.Any]] = []

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        task = Task()
        task.args, task.check_mode, task.async_val = options, check, 0
        action = self.plugin(task, _Connection(), None, self.loader, None, None)
        self.ran = action.ran = []
        return action.run(task_vars={"inventory_hostname": "registry"})

    @property
    def states(self) -> list[str]:
        return [call["state"] for call in self.ran if "state" in call]


class _Connection:
    """As much of a connection as `ActionBase.run` looks at."""

    _shell = types.SimpleNamespace(tmpdir="/nowhere", join_path=os.path.join)
    _play_context = PlayContext()
