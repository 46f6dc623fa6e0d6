# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a function of its module_utils, called on the host by one Python that reads it from standard input.

Ansible's own frame for modules costs each host three times what a question of ours does: it is unpacked to a file, compiled and
loaded before the module is. Here the sources that are needed, and no others, are packed once for all hosts; nothing is written on
any of them. Become, the connection's variables and the interpreter's are Ansible's, as ever.
"""

from __future__ import annotations

import ast
import base64
import json
import shlex
import sys
import typing as t
import zlib
from importlib import import_module
from pathlib import Path

from ansible import constants
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction

_PACKAGE = "ansible_collections.blumeops.zot.plugins.module_utils"
# Before the answer: what a login prints comes first.
_MARK = "blumeops.zot answers: "
# No user's or system's packages are searched for what is in the standard library.
_FLAGS = "-I -S -"
_DISCOVERED = "discovered_interpreter_python"

# Its end is abrupt: nobody waits for a question that is still open, and all that was to be told is.
_PROGRAM = """\
import json, os, sys, zlib, base64
from importlib.machinery import ModuleSpec
sources = json.loads(zlib.decompress(base64.b64decode({sources!r})))
class Sources:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=not sources[name]) if name in sources else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(sources[module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Sources())
sys.dont_write_bytecode = True
try:
    from {module} import {function} as function
    answer = function(json.loads({arguments!r}))
except Exception as error:
    answer = {{"failed": True, "msg": type(error).__name__ + " in {function}"}}
sys.stdout.write("\\n" + {mark!r} + json.dumps(answer) + "\\n")
sys.stdout.flush()
os._exit(0)
"""


class Straight(t.NamedTuple):
    """A function of a module_util that takes and returns what JSON can hold, and what it needs, packed."""

    module: str
    function: str
    packed: str

    def program(self, arguments: t.Mapping[str, t.Any]) -> bytes:
        """All of it is in this text, secrets among the arguments too: it is for standard input, and for nothing else."""
        given = {"sources": self.packed, "module": self.module, "function": self.function, "arguments": json.dumps(arguments)}
        return _PROGRAM.format(**given, mark=_MARK).encode("ascii")


def pack(name: str, function: str) -> Straight:
    """``function`` of the module_util ``name``."""
    sources: dict[str, str] = {}
    todo = [f"{_PACKAGE}.{name}"]
    while todo:
        module = todo.pop()
        if module not in sources:
            sources[module] = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
            todo += _imported(sources[module])
    parts = _PACKAGE.split(".")
    sources.update({".".join(parts[:number]): "" for number in range(1, len(parts) + 1)})
    return Straight(f"{_PACKAGE}.{name}", function, base64.b64encode(zlib.compress(json.dumps(sources).encode())).decode())


def _imported(source: str) -> list[str]:
    """The module_utils of this collection that it imports: as ``from PACKAGE.name import x`` or ``from PACKAGE import name``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            found += [f"{_PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{_PACKAGE}."):
            found.append(str(node.module))
    return found


class StraightAction(ZotAction):
    """An action whose modules of ``STRAIGHT`` are called straight, where the connection can be given a program on standard input."""

    STRAIGHT: t.ClassVar[dict[str, Straight]] = {}

    def _execute_module(
        self, module_name: str, module_args: dict[str, t.Any], task_vars: dict[str, t.Any], **more: t.Any
    ) -> dict[str, t.Any]:
        straight = self.STRAIGHT.get(module_name)
        if straight is None or self._task.delegate_to or not self._is_pipelining_enabled("new"):
            return super()._execute_module(module_name=module_name, module_args=module_args, task_vars=task_vars, **more)
        command = f"{self._compute_environment_string()} {self._python(task_vars)}".strip()
        self._display.vvv(f"{module_name} is called by a program on standard input", host=task_vars.get("inventory_hostname"))
        done = self._low_level_execute_command(command, in_data=straight.program(module_args))
        _before, mark, answer = done["stdout"].rpartition(_MARK)
        if mark:
            return json.loads(answer)
        why = next(iter(done["stderr"].strip().splitlines()[-1:]), "it says nothing")
        return {"failed": True, "msg": f"its Python ends with {done['rc']}: {why}"}

    def _python(self, task_vars: dict[str, t.Any]) -> str:
        """The command of the interpreter that modules run in; where none is named, the shell looks for those Ansible looks for."""
        if getattr(self._connection, "_remote_is_local", False):
            named = task_vars.get("ansible_playbook_python") or sys.executable
        else:
            named = self._templar.template(constants.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars))
        if not named or str(named).startswith("auto"):
            named = (task_vars.get("ansible_facts") or {}).get(_DISCOVERED)
        if named:
            return f"{named} {_FLAGS}"
        known = constants.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=task_vars)
        names = " ".join(shlex.quote(name) for name in known)
        return f'for p in {names}; do command -v "$p" >/dev/null && exec "$p" {_FLAGS}; done; echo "no Python is found" >&2; exit 127'
