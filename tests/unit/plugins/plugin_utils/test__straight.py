# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
import subprocess
import sys
import types
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible.plugins.shell.sh import ShellModule
from ansible.template import Templar, trust_as_template
from ansible_collections.blumeops.zot.plugins.plugin_utils._straight import Straight, StraightAction, pack

MODULE = "blumeops.zot.some_module"
SECRET = "made-up-secret"
OLDEST = "/usr/bin/python3"


class Connection:
    """This very host, through a shell; ``ran`` are its commands and what they were given on standard input."""

    transport, allow_executable, become, force_persistence = "ssh", True, None, False

    def __init__(self, pipelining=True, noise="", remote_is_local=False):
        self.ran, self.pipelining, self.noise = [], pipelining, noise
        self._shell = ShellModule()
        self._shell.set_options()
        self._remote_is_local = remote_is_local

    def is_pipelining_enabled(self, _wrap_async):
        return self.pipelining

    def exec_command(self, cmd, in_data, sudoable):
        self.ran.append((cmd, in_data))
        assert sudoable
        done = subprocess.run(["/bin/sh", "-c", cmd], input=in_data, capture_output=True, check=False, timeout=30)
        return done.returncode, self.noise.encode() + done.stdout, done.stderr


class Action(StraightAction):
    STRAIGHT: t.ClassVar = {"looks": pack("_check_observe", "answer")}

    def act(self, _args, _task_vars):
        return {}


@pytest.fixture
def call(monkeypatch):
    """Calls a packed function through the connection; ``call.asked`` are modules that went Ansible's way."""
    call_, asked = types.SimpleNamespace(), []

    def frame(_self, **given):
        asked.append(given["module_name"])
        return {"framed": True}

    monkeypatch.setattr(ActionBase, "_execute_module", frame)

    def run(connection, arguments, name=MODULE, delegate_to=None, straight=None, environment=None, **task_vars):
        task = Task()
        task.delegate_to, task.environment = delegate_to, environment
        action = Action(task, connection, PlayContext(), DataLoader(), Templar(DataLoader()), None)
        if straight:
            action.STRAIGHT = {MODULE: straight}
        return action._execute_module(name, arguments, {"ansible_python_interpreter": sys.executable, **task_vars})

    call_.run, call_.asked = run, asked
    return call_


LOOK = {"service_manager": "launchd", "places": {}, "identities": json.dumps([["ci", SECRET]]), "note": "\u00e4 {braces} 'quoted'"}


@pytest.mark.parametrize("python", [sys.executable, OLDEST])
def test_a_function_answers_on_the_host_without_a_file_or_an_argument(call, python, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    connection = Connection()
    answer = call.run(connection, LOOK, "looks", ansible_python_interpreter=python)
    assert answer == {"failed": True, "msg": "places: nothing says where zot lies under launchd"}
    ((command, given),) = connection.ran
    assert command == f"/bin/sh -c '{python} -I -S -'"
    assert SECRET.encode() in given
    assert (list(tmp_path.iterdir()), call.asked) == ([], [])


def test_what_a_login_prints_is_no_answer(call):
    answer = call.run(Connection(noise='welcome {"failed": false}\n'), LOOK, "looks")
    assert answer["msg"].startswith("places: ")


def test_only_what_is_imported_is_sent():
    packed = pack("_errors", "ZotError")
    assert isinstance(packed, Straight)
    assert len(packed.packed) < len(pack("_check_observe", "answer").packed) / 5


def test_an_exception_is_told_by_its_kind_alone(call):
    answer = call.run(Connection(), {"service_manager": SECRET}, straight=pack("_facts", "no_such"))
    assert answer == {"failed": True, "msg": "ImportError in no_such"}
    answer = call.run(Connection(), {SECRET: 1}, straight=pack("_check_observe", "answer"))
    assert (answer["failed"], SECRET in json.dumps(answer)) == (True, False)


@pytest.mark.parametrize(
    ("python", "words"),
    [("/no/such/python", r"its Python ends with 127: .*not found"), ("true", "its Python ends with 0: it says nothing")],
)
def test_a_host_without_an_answer_says_why(call, python, words):
    answer = call.run(Connection(), LOOK, "looks", ansible_python_interpreter=python)
    assert answer["failed"]
    assert re.match(words, answer["msg"])


@pytest.mark.parametrize(
    ("connection", "more"), [(Connection(pipelining=False), {}), (Connection(), {"delegate_to": "other"}), (Connection(), {"name": "else"})]
)
def test_what_cannot_be_called_so_goes_ansibles_way(call, connection, more):
    assert call.run(connection, LOOK, **{"name": "looks", **more}) == {"framed": True}
    assert call.asked == [more.get("name", "looks")]
    assert connection.ran == []


# ---- the interpreter


@pytest.mark.parametrize(
    ("task_vars", "command"),
    [
        ({"ansible_python_interpreter": trust_as_template("{{ where }}/python3"), "where": "/opt/x"}, "/opt/x/python3 -I -S -"),
        ({"ansible_python_interpreter": "auto", "ansible_facts": {"discovered_interpreter_python": "/found"}}, "/found -I -S -"),
        ({"ansible_python_interpreter": "sudo -u zot python3"}, "sudo -u zot python3 -I -S -"),
    ],
)
def test_the_interpreter_is_the_one_that_modules_have(task_vars, command):
    action = Action(Task(), Connection(), PlayContext(), DataLoader(), Templar(DataLoader(), variables=task_vars), None)
    assert action._python(task_vars) == command


@pytest.mark.parametrize("named", ["auto", "auto_silent", "auto_legacy", ""])
def test_without_a_named_interpreter_the_first_that_is_there_is_taken(call, named):
    known = ["no-such-python", "/usr/bin/python3"]
    connection = Connection()
    answer = call.run(connection, LOOK, "looks", ansible_python_interpreter=named, ansible_interpreter_python_fallback=known)
    assert answer["msg"].startswith("places: ")
    assert len(connection.ran) == 1


def test_a_host_without_any_is_told(call):
    given = {"ansible_python_interpreter": "auto", "ansible_interpreter_python_fallback": ["no-such-python", "it's"]}
    assert call.run(Connection(), LOOK, "looks", **given)["msg"] == "its Python ends with 127: no Python is found"


def test_here_it_is_ansibles_own(call):
    connection = Connection(remote_is_local=True)
    call.run(connection, LOOK, "looks", ansible_python_interpreter="/no/such", ansible_playbook_python=sys.executable)
    assert sys.executable in connection.ran[0][0]


def test_the_tasks_environment_is_the_programs(call):
    connection = Connection()
    call.run(connection, LOOK, "looks", environment=[{"https_proxy": "http://p"}])
    assert "https_proxy=http://p " in connection.ran[0][0]
