# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold however a run goes: adoption, rollback, check mode, and a run that is stopped anywhere."""

from __future__ import annotations

import plistlib
import shutil
import typing as t

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _launch_agent, _runner
from support.launch_agent import CRASHING, GUI, LABEL, OTHER, UID, USER, Agent, facts
from support.launchd_job import SCALE, SLEEP
from support.waiting import until

# --- the file as what is wanted


def test_the_file_says_what_is_wanted(agent):
    old = agent(program_arguments=SLEEP)
    backup = agent.file.read_bytes()
    agent(program_arguments=OTHER)
    agent.file.write_bytes(backup)
    result = agent(restart=True)
    assert result["actions"] == ["bootout", "bootstrap"]
    assert agent.argv() == SLEEP
    assert result["pid"] != old["pid"]
    assert agent.file.read_bytes() == backup
    assert not agent()["changed"]
    assert "program_arguments" in agent(label="net.example.none")["msg"]


def test_a_handmade_file_is_taken_as_it_is(agent):
    agent.by_hand(argv=SLEEP)
    assert not agent()["changed"]
    for changed in ({"argv": OTHER}, {"StandardOutPath": "/dev/null"}, {"EnvironmentVariables": {"A": "b"}}):
        definition = {"Label": LABEL, "RunAtLoad": True, "ProgramArguments": changed.pop("argv", SLEEP), **changed}
        agent.file.write_bytes(content := plistlib.dumps(definition, sort_keys=False))
        assert agent()["actions"] == ["bootout", "bootstrap"]
        assert agent.job()["definition"] == definition
        assert agent.file.read_bytes() == content
        assert not agent()["changed"]


def test_our_file_that_somebody_edited_gets_a_new_digest(agent):
    agent(program_arguments=SLEEP)
    agent.file.write_bytes(agent.file.read_bytes().replace(b"1000", b"3000"))
    assert agent()["actions"] == ["bootout", "write", "bootstrap"]
    assert agent.argv() == ["/bin/sleep", "3000"]
    assert not agent()["changed"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk", "is not a property list"),
        (b"<plist><dict><key>Label</key><string>a</string><key>Label</key><string>b</string></dict></plist>", "Label given twice"),
        (plistlib.dumps({"Label": "other", "ProgramArguments": SLEEP}), "defines other"),
        (plistlib.dumps({"Label": LABEL}), "say what to run"),
    ],
)
def test_a_bad_file_is_not_loaded(agent, content, message):
    agent.folder.mkdir()
    agent.file.write_bytes(content)
    assert message in agent()["msg"]
    assert agent.sim.jobs() == {}


# --- jobs that end

ENDING = ["/bin/sh", "-c", "exit 0"]


def test_a_job_that_ends_is_loaded_and_left_alone(agent):
    result = agent(state="loaded", program_arguments=ENDING, options={"RunAtLoad": True})
    assert result["actions"] == ["write", "bootstrap"]
    assert until(lambda: (agent.job()["runs"], agent.job()["pid"]) == (1, None))
    assert not agent(state="loaded", program_arguments=ENDING, options={"RunAtLoad": True}, restart=True)["changed"]
    assert agent.job()["runs"] == 1
    result = agent(check=True, state="loaded", program_arguments=OTHER)
    assert result["actions"] == ["bootout", "write", "bootstrap"]
    assert "running: when it is due" in result["diff"]["after"]
    assert agent(state="loaded", program_arguments=OTHER)["actions"] == ["bootout", "write", "bootstrap"]


def test_a_job_that_is_not_due_is_not_started(agent):
    result = agent(state="loaded", definition={"ProgramArguments": ENDING, "StartInterval": 3600})
    assert (result["actions"], agent.calls("kickstart"), agent.job()["runs"]) == (["write", "bootstrap"], [], 0)


def test_a_job_that_is_refused_is_rolled_back(agent, sim):
    agent(state="loaded", program_arguments=ENDING)
    sim.sim("fail", "bootstrap", "134", "1", "Bootstrap failed: 134: Service cannot load in requested session")
    assert agent(state="loaded", program_arguments=SLEEP)["rolled_back"] is True
    assert agent.job()["definition"]["ProgramArguments"] == ENDING


def test_a_job_needs_a_session_too(agent, sim):
    sim.config(time_scale=SCALE, uids={str(UID): {"gui": False}})
    assert "there is no session" in agent(state="loaded", program_arguments=ENDING, domain="gui")["msg"]


# --- sessions, adoption


@pytest.mark.parametrize("domain", [GUI, USER])
def test_a_handmade_agent_is_adopted_where_it_is(agent, domain):
    agent.by_hand(domain)
    result = agent(program_arguments=OTHER)
    assert facts(result, "actions", "domain") == (["bootout", "write", "bootstrap"], domain)
    assert list(agent.sim.jobs()) == [f"{domain}/{LABEL}"]
    assert not agent(program_arguments=OTHER)["changed"]


def test_an_agent_loaded_from_another_file_is_adopted(agent, tmp_path):
    agent.by_hand()
    agent.sim("bootout", f"{GUI}/{LABEL}")
    agent(program_arguments=SLEEP, plist_dir=str(tmp_path / "elsewhere"))
    assert agent(program_arguments=SLEEP)["actions"] == ["bootout", "write", "bootstrap"]
    assert agent.job()["path"] == str(agent.file)


def test_a_double_in_the_other_session_goes_first(agent):
    agent.by_hand(USER)
    result = agent(program_arguments=SLEEP, domain="gui")
    assert facts(result, "actions", "domain") == (["bootout", "write", "bootstrap"], GUI)
    assert list(agent.sim.jobs()) == [f"{GUI}/{LABEL}"]
    agent.by_hand(USER)
    assert agent(program_arguments=SLEEP)["actions"] == ["bootout", "write"]
    assert list(agent.sim.jobs()) == [f"{GUI}/{LABEL}"]


def test_without_a_gui_session_it_runs_until_the_reboot_and_says_so(agent, sim):
    sim.config(time_scale=SCALE, uids={str(UID): {"gui": False}})
    for changed in (True, False):
        result = agent(program_arguments=SLEEP)
        assert facts(result, "changed", "domain", "gui_session", "state") == (changed, USER, False, "running")
        assert "not started after a reboot" in agent.warnings[0]
    assert plistlib.loads(agent.file.read_bytes())["LimitLoadToSessionType"] == "Background"


def test_an_explicit_gui_session_that_is_missing(agent, sim):
    sim.config(time_scale=SCALE, uids={str(UID): {"gui": False}})
    for check in (True, False):
        result = agent(check=check, program_arguments=SLEEP, domain="gui")
        assert all(way in result["msg"] for way in ("log in", "automatic login", "LaunchDaemon"))
        assert not agent.file.exists()
    result = agent(program_arguments=SLEEP, domain="gui", allow_unloaded=True)
    assert facts(result, "actions", "loaded", "gui_session") == (["write"], False, False)
    assert "not loaded" in agent.warnings[0]
    assert not agent(program_arguments=SLEEP, domain="gui", allow_unloaded=True)["changed"]
    assert agent(state="stopped", domain="gui", enabled=False)["actions"] == ["disable"]
    assert agent(state="absent", domain="gui")["actions"] == ["remove", "enable"]


# --- rollback


def test_a_change_that_does_not_come_up_is_rolled_back(agent, tmp_path):
    agent(program_arguments=SLEEP, mode="0600")
    before = agent.file.read_bytes()
    log = tmp_path / "log"
    result = agent(program_arguments=CRASHING, options={"KeepAlive": True, "StandardErrorPath": str(log)}, mode="0644")
    assert result["failed"]
    assert result["rolled_back"] is True
    assert "the former agent was brought back" in result["msg"]
    assert (agent.file.read_bytes(), agent.file.stat().st_mode & 0o777) == (before, 0o600)
    agent.await_process()
    assert agent.argv() == SLEEP
    assert not agent(program_arguments=SLEEP, mode="0600")["changed"]


def test_a_refused_change_is_rolled_back(agent, sim):
    agent(program_arguments=SLEEP)
    sim.sim("fail", "bootstrap", "134", "1", "Bootstrap failed: 134: Service cannot load in requested session")
    result = agent(program_arguments=OTHER)
    assert "LimitLoadToSessionType" in result["msg"]
    assert result["rolled_back"] is True
    agent.await_process()
    assert agent.argv() == SLEEP


def test_an_agent_from_another_session_is_brought_back_there(agent):
    agent.by_hand(USER)
    before = agent.file.read_bytes()
    result = agent(program_arguments=CRASHING, domain="gui")
    assert result["rolled_back"] is True
    assert list(agent.sim.jobs()) == [f"{USER}/{LABEL}"]
    assert agent.file.read_bytes() == before


def test_a_rollback_that_fails_says_so(agent, sim):
    agent(program_arguments=SLEEP)
    sim.sim("fail", "bootstrap", "122", "9", "Bootstrap failed: 122: Path had bad ownership/permissions")
    result = agent(program_arguments=OTHER)
    assert result["rolled_back"] is False
    assert "bringing back the former agent failed too" in result["msg"]


def test_a_former_agent_that_does_not_come_up_again_was_not_brought_back(agent, sim):
    agent(program_arguments=SLEEP)
    sim.sim("btm-block", LABEL)
    result = agent(program_arguments=OTHER)
    assert result["rolled_back"] is False
    assert result["msg"].count("does not keep running") == 2


def test_an_unwritable_folder_costs_nothing(agent, monkeypatch):
    agent(program_arguments=SLEEP)

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(_launch_agent, "write_file", refuse)
        result = agent(program_arguments=OTHER)
    assert "cannot be written: Permission denied" in result["msg"]
    agent.await_process()
    assert agent.argv() == SLEEP


# --- check mode and a real run agree


def _nothing(_agent: Agent) -> None:
    pass


def _ours(agent: Agent) -> None:
    agent(program_arguments=SLEEP)


def _ours_disabled(agent: Agent) -> None:
    agent(program_arguments=SLEEP, enabled=False)


def _doubled(agent: Agent) -> None:
    agent.by_hand(USER)
    agent.by_hand(GUI)
    agent.sim("disable", f"{GUI}/{LABEL}")


@pytest.mark.parametrize(
    ("prepare", "options"),
    [
        (_nothing, {"program_arguments": SLEEP}),
        (_ours, {"program_arguments": SLEEP}),
        (_ours, {"program_arguments": OTHER, "restart": True}),
        (_ours, {"restart": True}),
        (_ours_disabled, {"program_arguments": OTHER}),
        (_ours_disabled, {"state": "absent"}),
        (_doubled, {"program_arguments": OTHER, "domain": "user"}),
        (_doubled, {"state": "stopped"}),
        (_nothing, {"program_arguments": SLEEP, "state": "present", "enabled": False}),
    ],
)
def test_check_mode_tells_what_a_real_run_does(agent, prepare, options):
    prepare(agent)
    predicted = agent(check=True, **options)
    assert set(agent.sim.verbs()) <= {"print", "print-disabled"}
    real = agent(**options)
    assert facts(predicted, "changed", "actions", "domain") == facts(real, "changed", "actions", "domain")
    order = [argv[0] for argv, _rc in agent.calls("bootout", "enable", "disable", "bootstrap", "kickstart")]
    assert order == ["kickstart" if action == "restart" else action for action in real["actions"] if action not in ("write", "remove")]
    again = agent(**{**options, "restart": False})
    assert facts(again, "changed", "actions") == (False, [])
    found = [line for line in again["diff"]["before"].splitlines()[:5] if not line.startswith("running")]
    assert found == [line for line in predicted["diff"]["after"].splitlines()[:5] if not line.startswith("running")]


# --- a run that is stopped anywhere is finished by the next


class KilledError(BaseException):
    """Stands for SIGKILL: no handler of the module sees it."""


def _stop_at(cut: int, patch: pytest.MonkeyPatch) -> None:
    """Stops before (even) or after (odd) the cut//2-th thing that changes the host."""
    counter = iter(range(1000))

    def stopping(function: t.Callable[..., t.Any], changes: t.Callable[..., bool]) -> t.Callable[..., t.Any]:
        def wrapped(*arguments: t.Any, **named: t.Any) -> t.Any:
            if not changes(*arguments):
                return function(*arguments, **named)
            number = next(counter)
            if cut == 2 * number:
                raise KilledError
            answer = function(*arguments, **named)
            if cut == 2 * number + 1:
                raise KilledError
            return answer

        return wrapped

    patch.setattr(_runner, "run", stopping(_runner.run, lambda argv, *_more: argv[1] not in ("print", "print-disabled")))
    patch.setattr(_launch_agent, "write_file", stopping(_launch_agent.write_file, lambda *_any: True))


@pytest.mark.parametrize(
    ("prepare", "options", "cuts"),
    [
        (_ours_disabled, {"program_arguments": OTHER}, 8),
        (_doubled, {"program_arguments": OTHER, "domain": "user", "enabled": False}, 12),
    ],
)
def test_a_run_killed_anywhere_is_finished_by_the_next(agent, monkeypatch, prepare, options, cuts):
    for cut in range(cuts + 1):
        agent.sim.sim("shutdown")
        shutil.rmtree(agent.folder, ignore_errors=True)
        agent.sim("enable", f"{GUI}/{LABEL}")
        prepare(agent)
        with monkeypatch.context() as patch:
            _stop_at(cut, patch)
            try:
                agent(**options)
                finished = True
            except KilledError:
                finished = False
        assert finished == (cut == cuts), cut
        result = agent(**options)
        assert "failed" not in result, (cut, result)
        assert [job["definition"]["ProgramArguments"] for job in agent.sim.jobs().values()] == [OTHER], cut
        assert facts(result, "state", "enabled") == ("running", options.get("enabled", True)), cut
        assert plistlib.loads(agent.file.read_bytes())["ProgramArguments"] == OTHER
        assert [rc for _argv, rc in agent.calls("bootstrap") if rc] == [], cut
        if cut > cuts - 2:
            assert not agent(**options)["changed"]
