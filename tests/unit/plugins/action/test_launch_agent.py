# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the launchctl stand-in: states, options, what a change does."""

from __future__ import annotations

import json
import os
import plistlib
import pwd
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _launch_agent
from ansible_collections.blumeops.zot.plugins.module_utils._plist import DIGEST
from support.launch_agent import CRASHING, GUI, LABEL, OTHER, UID, USER, Agent, facts
from support.launchd_job import SCALE, SLEEP, STUBBORN
from support.launchd_sim import LaunchctlSim

# --- create, no-op, check, failure


def test_create(agent):
    result = agent(program_arguments=SLEEP, options={"KeepAlive": True, "Umask": "077"})
    job = agent.job()
    assert result["actions"] == ["write", "bootstrap"]
    assert facts(result, "changed", "domain", "plist", "loaded", "enabled") == (True, GUI, str(agent.file), True, True)
    assert facts(result, "state", "pid", "runs", "last_exit_code", "gui_session") == ("running", job["pid"], 1, None, True)
    assert facts(result, "label", "rolled_back") == (LABEL, False)
    written = plistlib.loads(agent.file.read_bytes())
    digest = written.pop("EnvironmentVariables")[DIGEST]
    assert len(digest) == 16
    assert written == {"Label": LABEL, "ProgramArguments": SLEEP, "RunAtLoad": True, "KeepAlive": True, "Umask": "077"}
    assert agent.file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in agent.folder.iterdir()] == [agent.file.name]
    assert agent.warnings == []


def test_no_op(agent):
    before = agent(program_arguments=SLEEP)
    content = agent.file.stat()
    result = agent(program_arguments=SLEEP)
    assert facts(result, "changed", "actions", "pid", "runs") == (False, [], before["pid"], 1)
    assert result["diff"]["before"].splitlines()[:5] == result["diff"]["after"].splitlines()[:5]
    assert agent.sim.verbs() == ["print", "print", "print-disabled"]
    assert agent.clock.slept == []
    assert agent.file.stat() == content


def test_check_changes_nothing(agent):
    result = agent(check=True, program_arguments=SLEEP)
    assert facts(result, "changed", "actions", "loaded", "pid") == (True, ["write", "bootstrap"], False, None)
    assert not agent.folder.exists()
    assert set(agent.sim.verbs()) == {"print", "print-disabled"}
    assert result["diff"]["before"] == f"domain: {GUI}\nloaded: no\nrunning: no\nenabled: yes\nfile: none\n"
    assert f"<string>{LABEL}</string>" in result["diff"]["after"]
    assert result["diff"]["after"].startswith(f"domain: {GUI}\nloaded: yes\nrunning: yes\nenabled: yes\nfile: 0644, uid {UID}\n<?xml")


def test_a_crash_loop_fails_and_shows_the_log(agent, tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"old {number}\n" for number in range(30)))
    result = agent(program_arguments=CRASHING, options={"KeepAlive": True, "StandardOutPath": str(log)})
    assert result["failed"]
    assert "does not keep running: state spawn scheduled after 1 runs, last exit code 3" in result["msg"]
    assert len(result["log"]) == 20
    assert result["log"][-2:] == ["first", "cannot open the store"]
    assert "cannot open the store" in result["msg"]
    assert facts(result, "runs", "last_exit_code", "rolled_back", "actions") == (1, 3, False, ["write", "bootstrap"])


def test_the_error_log_is_preferred(agent, tmp_path):
    options = {"StandardOutPath": str(tmp_path / "out"), "StandardErrorPath": str(tmp_path / "err")}
    result = agent(program_arguments=["/bin/sh", "-c", "echo out; echo err >&2; exit 1"], options=options)
    assert result["log"] == ["err"]


@pytest.mark.parametrize("argv", [["/none/zot"], ["/bin/sh", "-c", "exit 0"]])
def test_a_program_that_does_not_stay_fails(agent, argv):
    result = agent(program_arguments=argv)
    assert "does not keep running: state not running after 1 runs" in result["msg"]
    assert ("is the program there and executable" in result["msg"]) == (argv[0] != "/bin/sh")


def test_a_program_that_dies_within_the_second_probe_fails(agent):
    result = agent(program_arguments=["/bin/sleep", "0.03"], options={"KeepAlive": True, "ThrottleInterval": 1})
    assert "does not keep running" in result["msg"]


# --- what a change does


def test_a_changed_definition_is_reloaded_in_order_and_at_the_first_try(agent, monkeypatch):
    agent(program_arguments=STUBBORN, options={"ExitTimeOut": 2})
    seen = {}
    real = _launch_agent.Launchctl.bootout

    def bootout(self, *arguments):
        seen["at bootout"] = plistlib.loads(agent.file.read_bytes())["ProgramArguments"]
        real(self, *arguments)
        seen["after bootout"] = agent.job()

    monkeypatch.setattr(_launch_agent.Launchctl, "bootout", bootout)
    result = agent(program_arguments=OTHER)
    assert result["actions"] == ["bootout", "write", "bootstrap"]
    assert seen == {"at bootout": STUBBORN, "after bootout": None}
    assert agent.calls("bootout", "bootstrap") == [(["bootout", f"{GUI}/{LABEL}"], 0), (["bootstrap", GUI, str(agent.file)], 0)]
    assert agent.calls("kickstart") == []
    assert agent.argv() == OTHER
    assert result["runs"] == 1
    assert "running: yes (restarted)" in result["diff"]["after"]


def test_a_file_that_drifted_is_mended_without_a_restart(agent):
    pid = agent(program_arguments=SLEEP)["pid"]
    content = agent.file.read_bytes()
    for damage in (agent.file.unlink, lambda: agent.file.write_bytes(b"junk"), lambda: agent.file.chmod(0o666)):
        damage()
        result = agent(program_arguments=SLEEP)
        assert facts(result, "actions", "pid") == (["write"], pid)
        assert (agent.file.read_bytes(), agent.file.stat().st_mode & 0o777) == (content, 0o644)
        assert result["diff"]["before"] != result["diff"]["after"]
        assert not agent(program_arguments=SLEEP)["changed"]


def test_a_link_is_replaced_by_a_file(agent, tmp_path):
    agent(program_arguments=SLEEP)
    agent.file.rename(tmp_path / "elsewhere")
    agent.file.symlink_to(tmp_path / "elsewhere")
    assert agent(program_arguments=SLEEP)["actions"] == ["write"]
    assert not agent.file.is_symlink()


def test_a_job_whose_file_was_removed_is_still_reloaded(agent):
    agent(program_arguments=SLEEP)
    agent.file.unlink()
    assert agent(program_arguments=OTHER)["actions"] == ["bootout", "write", "bootstrap"]
    assert agent.argv() == OTHER


def test_a_new_file_beside_an_old_job_is_noticed(agent):
    agent(program_arguments=SLEEP)
    agent(program_arguments=OTHER, state="present")
    assert agent.argv() == SLEEP
    assert agent(program_arguments=OTHER)["actions"] == ["bootout", "bootstrap"]
    assert agent.argv() == OTHER


def test_restart(agent):
    first = agent(program_arguments=SLEEP)
    result = agent(program_arguments=SLEEP, restart=True)
    assert facts(result, "changed", "actions", "runs") == (True, ["restart"], 2)
    assert result["pid"] == agent.job()["pid"] != first["pid"]
    assert agent.calls("kickstart") == [(["kickstart", "-k", f"{GUI}/{LABEL}"], 0)]
    reloaded = agent(program_arguments=OTHER, restart=True)
    assert facts(reloaded, "actions", "runs") == (["bootout", "write", "bootstrap"], 1)


def test_a_restart_that_fails_is_seen(agent, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    agent(program_arguments=["/bin/sh", "-c", f"test -e {flag} && exec /bin/sleep 1000"], options={"KeepAlive": True})
    flag.unlink()
    result = agent(restart=True)
    assert "does not keep running" in result["msg"]
    assert result["rolled_back"] is False


def test_a_restart_that_does_not_happen_is_seen(agent, sim):
    agent(program_arguments=SLEEP)
    sim.sim("fail", "kickstart", "37", "1")
    assert "does not run after 5 s (state running" in agent(restart=True, wait_timeout=5)["msg"]


def test_a_job_on_its_way_out_is_waited_for(agent):
    options = {"program_arguments": STUBBORN, "options": {"ExitTimeOut": 3}}
    agent(**options)
    agent.sim("bootout", f"{GUI}/{LABEL}")
    result = agent(**options)
    assert facts(result, "actions", "state", "runs") == (["bootout", "bootstrap"], "running", 1)
    assert [rc for _argv, rc in agent.calls("bootstrap")] == [0]


def test_a_loaded_job_that_does_not_run_is_started(agent):
    agent(program_arguments=SLEEP)
    os.kill(agent.job()["pid"], signal.SIGKILL)
    while agent.job()["pid"]:
        time.sleep(0.02)
    assert agent(check=True, program_arguments=SLEEP)["actions"] == ["kickstart"]
    result = agent(program_arguments=SLEEP)
    assert facts(result, "changed", "actions", "state", "runs") == (True, ["kickstart"], "running", 2)


def test_the_nudge_in_the_first_seconds_of_a_login(agent, sim):
    sim.config(time_scale=SCALE, on_demand_only=True)
    result = agent(program_arguments=SLEEP, options={"KeepAlive": True})
    assert facts(result, "actions", "state", "runs") == (["write", "bootstrap"], "running", 1)
    assert agent.calls("kickstart") == [(["kickstart", f"{GUI}/{LABEL}"], 0)]


def test_a_job_that_was_switched_off_in_login_items_fails(agent, sim):
    sim.sim("btm-block", LABEL)
    assert "does not keep running" in agent(program_arguments=SLEEP, options={"KeepAlive": True})["msg"]


# --- the switch


@pytest.mark.parametrize("as_5", [False, True])
def test_a_disabled_label_is_enabled_before_it_is_loaded(agent, sim, as_5):
    sim.config(time_scale=SCALE, disabled_as_5=as_5)
    sim("disable", f"{GUI}/{LABEL}")
    result = agent(program_arguments=SLEEP)
    assert facts(result, "actions", "enabled") == (["write", "enable", "bootstrap"], True)
    assert [rc for _argv, rc in agent.calls("bootstrap")] == [0]


def test_enabled_is_kept_apart_from_what_runs(agent):
    agent(program_arguments=SLEEP)
    result = agent(program_arguments=SLEEP, enabled=False)
    assert facts(result, "actions", "enabled", "state") == (["disable"], False, "running")
    assert not agent(program_arguments=SLEEP, enabled=False)["changed"]
    result = agent(program_arguments=OTHER, enabled=False)
    assert result["actions"] == ["bootout", "write", "enable", "bootstrap", "disable"]
    assert not agent(program_arguments=OTHER, enabled=False)["changed"]
    assert agent(program_arguments=OTHER)["actions"] == ["enable"]


# --- the other states


def test_stopped(agent):
    agent(program_arguments=STUBBORN, options={"ExitTimeOut": 2})
    result = agent(state="stopped")
    assert facts(result, "actions", "loaded", "state") == (["bootout"], False, None)
    assert agent.job() is None
    assert agent.file.exists()
    assert not agent(state="stopped")["changed"]
    assert agent(state="stopped", enabled=False)["actions"] == ["disable"]
    assert not agent(state="stopped", enabled=False)["changed"]


def test_absent(agent):
    agent(program_arguments=STUBBORN, options={"ExitTimeOut": 2}, enabled=False)
    result = agent(state="absent")
    assert facts(result, "actions", "enabled", "loaded") == (["bootout", "remove", "enable"], True, False)
    assert agent.job() is None
    assert not agent.file.exists()
    assert not agent(state="absent")["changed"]


def test_absent_empties_both_sessions(agent):
    agent.by_hand(USER)
    agent.by_hand(GUI)
    assert agent(state="absent")["actions"] == ["bootout", "bootout", "remove"]
    assert agent.sim.jobs() == {}


def test_present_leaves_alone_what_is_loaded(agent):
    result = agent(program_arguments=SLEEP, state="present")
    assert facts(result, "actions", "loaded") == (["write"], False)
    assert not agent(program_arguments=SLEEP, state="present")["changed"]
    assert agent(program_arguments=SLEEP, state="present", enabled=False)["actions"] == ["disable"]


# --- secrets, users, arguments


def test_the_environment_stays_out_of_the_output(agent):
    secret = {"program_arguments": SLEEP, "options": {"EnvironmentVariables": {"TOKEN": "canary"}}}
    results = [agent(check=True, **secret), agent(**secret), agent(**secret)]
    assert "canary" not in json.dumps([{**result, "invocation": None} for result in results])
    assert results[2]["diff"]["before"] == results[2]["diff"]["after"]
    changed = agent(program_arguments=SLEEP, options={"EnvironmentVariables": {"TOKEN": "canary2"}})
    assert changed["diff"]["before"] != changed["diff"]["after"]
    assert "canary2" in agent(redact_env=False)["diff"]["before"]


@pytest.mark.skipif(UID != 0, reason="only root manages another user's agents")
def test_root_manages_the_agent_of_another_user(monkeypatch):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    try:
        with LaunchctlSim(folder / "launchd", time_scale=SCALE) as sim:
            agent = Agent(sim, folder / "home" / "LaunchAgents", monkeypatch)
            result = agent(program_arguments=SLEEP, user="nobody")
            assert facts(result, "domain", "state") == (f"gui/{nobody.pw_uid}", "running")
            owners = [path.stat().st_uid for path in (folder / "home", agent.folder, agent.file, Path(f"/proc/{result['pid']}"))]
            assert owners == [nobody.pw_uid] * 4
            assert not agent(program_arguments=SLEEP, user="nobody")["changed"]
            os.chown(agent.file, 0, 0)
            assert agent(program_arguments=SLEEP, user="nobody")["actions"] == ["write"]
            assert agent(state="absent", user="nobody")["actions"] == ["bootout", "remove"]
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "a/b"}, "label a/b may only have"),
        ({"user": "no-such-user"}, "there is no user no-such-user"),
        ({"mode": "0664"}, "mode 0664"),
        ({"mode": "384"}, "mode 384"),
        ({"program_arguments": ["sleep"]}, "absolute path"),
        ({"program_arguments": SLEEP, "options": {"EnvironmentVariables": {"A": 1}}}, "quote numbers"),
        ({"program_arguments": SLEEP, "options": {"Umask": "99"}}, "Umask must be octal"),
        ({"program_arguments": SLEEP, "options": {"KeepAlive": "yes"}}, "KeepAlive must be"),
        ({"definition": {"Program": "/x", "Nested": [None]}}, "cannot be written as a property list"),
        ({"definition": {"Program": "/x"}, "program_arguments": SLEEP}, "mutually exclusive"),
        ({"options": {"KeepAlive": True}}, "missing parameter(s) required by 'options'"),
        ({"launchctl": "/none/launchctl"}, "needs macOS"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(agent, options, message):
    assert message in agent(**{"program_arguments": SLEEP, **options} if not set(options) & {"definition", "options"} else options)["msg"]
    assert agent.sim.verbs() == []


def test_only_root_manages_others(agent, monkeypatch):
    monkeypatch.setattr(_launch_agent.os, "geteuid", lambda: 4711)
    assert "only root and root can manage" in agent(user="root")["msg"] or "root can manage the agents of root" in agent(user="root")["msg"]


def test_a_raw_definition_may_have_any_key(agent):
    result = agent(definition={"Program": "/bin/sleep", "ProgramArguments": SLEEP, "RunAtLoad": True, "Nice": 5})
    assert result["state"] == "running"
    assert plistlib.loads(agent.file.read_bytes())["Nice"] == 5


def test_a_home_is_that_of_the_user(agent, tmp_path, monkeypatch):
    home = tmp_path / "home"
    account = pwd.getpwuid(UID)
    fake = pwd.struct_passwd((*account[:5], str(home), account.pw_shell))
    monkeypatch.setattr(_launch_agent.pwd, "getpwuid", lambda _uid: fake)
    monkeypatch.setenv("HOME", "/somebody/else")
    (home / "work").mkdir(parents=True)
    options = {"WorkingDirectory": "~/work", "StandardOutPath": "~/Library/Logs/a.log"}
    result = agent(program_arguments=SLEEP, options=options, plist_dir="~/Library/LaunchAgents")
    assert result["plist"] == f"{home}/Library/LaunchAgents/{LABEL}.plist"
    assert agent.job()["definition"]["WorkingDirectory"] == f"{home}/work"
    assert (home / "Library/Logs/a.log").exists()
