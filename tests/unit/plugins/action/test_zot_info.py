# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_info import ActionModule
from ansible_collections.blumeops.zot.plugins.module_utils import _states
from support.modules import Action, launchd, program
from support.zot_binary import serving, standin_zot

zot_info = Action(ActionModule)


class Clock:
    """Passes when somebody sleeps."""

    def __init__(self):
        self.now, self.slept, self.then = 0.0, [], lambda: None

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        self.then()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_states, "time", clock)
    return clock


@pytest.fixture
def zot(tmp_path):
    config = {"extensions": {"search": {"enable": True}}}
    with serving(standin_zot(tmp_path / "bin"), config, tmp_path / "run") as running:
        yield running


@pytest.fixture
def ask(zot, tmp_path):
    def module(check=False, pid=zot.process.pid, log_paths=(), **options):
        service = {**launchd(tmp_path / "launchctl", pid), "log_paths": [str(path) for path in log_paths]}
        return zot_info(check, **{"config_path": str(zot.config_path), "service": service, "wait_timeout": 0, **options})

    return module


def facts(answer):
    return {key: value for key, value in answer.items() if key != "invocation"}


@pytest.mark.parametrize("check", [True, False])
def test_what_runs_is_told_and_nothing_is_changed(zot, ask, check):
    answer = ask(check, release="2.1.20", binary=str(zot.binary))
    assert facts(answer) == {"changed": False, "ready": True, "url": zot.url, "release": "2.1.20", "pid": zot.process.pid}


def test_it_waits_for_zot_and_then_looks_whether_it_stays(ask, clock, tmp_path, zot):
    clock.then = lambda: launchd(tmp_path / "launchctl", zot.process.pid)
    assert ask(pid=0, wait_timeout=5, steady=2.5)["pid"] == zot.process.pid
    assert clock.slept == [0.1, 2.5]


def test_a_unit_of_systemd_is_asked_for_on_the_path(zot, tmp_path, monkeypatch):
    program(tmp_path / "path/systemctl", f'[ "$*" = "show -p MainPID zot" ] && echo MainPID={zot.process.pid}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    service = {"manager": "systemd", "name": "zot"}
    assert zot_info(config_path=str(zot.config_path), service=service, wait_timeout=0)["pid"] == zot.process.pid


def test_without_a_process_it_fails_after_the_time_given(ask, clock):
    answer = ask(pid=0, wait_timeout=7)
    assert answer["failed"]
    assert answer["msg"] == "zot is not ready after 7 s: net.example.zot has no running process"
    assert answer["log"] == []
    assert 7 <= clock.now < 8


def test_another_release_fails(ask, zot):
    assert f"{zot.url} is zot 2.1.20, not 2.1.19" in ask(release="2.1.19")["msg"]


def test_another_binary_fails(ask, zot):
    assert f"process {zot.process.pid} does not run /opt/zot" in ask(binary="/opt/zot")["msg"]


def test_a_process_that_changes_fails(ask, clock, tmp_path):
    clock.then = lambda: launchd(tmp_path / "launchctl", 1)
    assert "another process does" in ask(steady=1)["msg"]


def test_a_failure_shows_what_zot_logged_last_without_headers(ask, tmp_path):
    out, err = tmp_path / "out.log", tmp_path / "err.log"
    out.write_text('{"level":"error","message":"no","error":"disk full","headers":{"Cookie":["canary"]}}\n')
    err.write_text("".join(f"line {number}\n" for number in range(6)))
    answer = ask(pid=0, log_paths=[out, err])
    assert answer["log"] == ["error no disk full", *(f"line {number}" for number in range(6))]
    assert answer["msg"].endswith("; it logged last: line 1 | line 2 | line 3 | line 4 | line 5")
    assert "canary" not in str(answer)


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ({"manager": "runit", "name": "zot"}, "value of manager must be one of: launchd, systemd, systemd_user"),
        ({"manager": "systemd"}, "missing required arguments: name"),
        ({"name": "zot"}, "missing required arguments: manager"),
        (None, "missing required arguments: service"),
    ],
)
def test_the_service_is_judged(tmp_path, service, message):
    given = {"config_path": str(tmp_path / "config.json"), **({"service": service} if service else {})}
    with pytest.raises(AnsibleActionFail, match=re.escape(message)):
        zot_info(**given)


@pytest.mark.parametrize(("content", "reason"), [(None, "is not there"), ("{", "cannot be read as JSON")])
def test_without_a_configuration_it_says_so(ask, zot, content, reason):
    zot.config_path.unlink() if content is None else zot.config_path.write_text(content)
    answer = ask()
    assert answer["failed"]
    assert answer["msg"].startswith(f"{zot.config_path} {reason}")
