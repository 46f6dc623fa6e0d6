# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _service
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service, command_line

PRINTED = """gui/501/net.example.zot = {
\tactive count = 1
\tspawn type = daemon
\tpid = 4711
\tmach services = {
\t\tpid = 9
\t}
}
"""


class Scripted:
    """Answers by the first word of what is asked for; keeps every argv."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def __call__(self, argv):
        self.asked.append(argv)
        return Completed(0, next((text for key, text in self.answers.items() if key in argv[-1]), ""), "")


def agent(*logs, launchctl="/bin/launchctl"):
    return Service("launchd", "net.example.zot", launchctl, tuple(str(log) for log in logs), 501)


def test_launchd_tells_the_process_of_the_session_on_the_screen():
    runner = Scripted(gui=PRINTED)
    assert agent(launchctl="/sim/launchctl").pid(runner) == 4711
    assert runner.asked == [["/sim/launchctl", "print", "gui/501/net.example.zot"]]


def test_launchd_tells_the_process_of_any_other_session():
    runner = Scripted(user=PRINTED)
    assert agent().pid(runner) == 4711
    assert [argv[-1] for argv in runner.asked] == ["gui/501/net.example.zot", "user/501/net.example.zot"]


@pytest.mark.parametrize("printed", ["", "Could not find service", "x = {\n\tstate = not running\n\t\tpid = 9\n}\n"])
def test_an_agent_that_does_not_run_has_no_process(printed):
    assert agent().pid(Scripted(gui=printed, user=printed)) is None


@pytest.mark.parametrize(
    ("manager", "argv"),
    [
        ("systemd", ["systemctl", "show", "-p", "MainPID", "zot.service"]),
        ("systemd_user", ["env", "XDG_RUNTIME_DIR=/run/user/501", "systemctl", "--user", "show", "-p", "MainPID", "zot.service"]),
    ],
)
def test_systemd_tells_the_main_process(manager, argv):
    runner = Scripted(zot="MainPID=4711\n")
    assert Service(manager, "zot.service", uid=501).pid(runner) == 4711
    assert runner.asked == [argv]


@pytest.mark.parametrize("shown", ["MainPID=0\n", "", "ControlPID=4711\n"])
def test_a_unit_that_does_not_run_has_no_process(shown):
    assert Service("systemd", "zot.service").pid(Scripted(zot=shown)) is None


# --- last words


def test_of_zots_own_lines_only_level_message_and_error_are_told(tmp_path):
    log = tmp_path / "zot.log"
    line = {"level": "error", "message": "cannot start", "error": "disk full", "headers": {"Authorization": ["canary"]}, "time": "now"}
    hidden = [{"level": level, "message": "hidden"} for level in ("debug", "trace")]
    entries = [json.dumps(entry) for entry in (*hidden, line, {"level": "info", "message": "up", "error": ""}, ["canary"], "canary")]
    log.write_text("\n".join([*entries, "panic: " + "x" * 600]) + "\n")
    assert agent(log).last_words(run) == ["error cannot start disk full", "info up", "panic: " + "x" * 493]


def test_at_most_twenty_lines_are_told_the_last_ones(tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("".join(f"out {number}\n" for number in range(30)))
    err.write_text("".join(f"err {number}\n" for number in range(5)))
    told = agent(out, err).last_words(run)
    assert told == [*(f"out {number}" for number in range(15, 30)), *(f"err {number}" for number in range(5))]


def test_of_a_large_log_only_the_end_is_read(tmp_path):
    log = tmp_path / "zot.log"
    log.write_bytes(b"".join(b"%d" % number + b" \xff" * 5000 + b"\n" for number in range(20)))
    told = agent(log).last_words(run)
    assert [line.split(" ")[0] for line in told[1:]] == ["14", "15", "16", "17", "18", "19"]
    assert told[-1].startswith("19 \ufffd \ufffd")


def test_a_log_that_is_not_there_says_nothing(tmp_path):
    assert agent(tmp_path / "none", tmp_path).last_words(run) == []


USERS = ["_UID=501", "_SYSTEMD_USER_UNIT=zot.service", "+", "_UID=501", "USER_UNIT=zot.service", "+", "_UID=501", "SYSLOG_IDENTIFIER=zot"]


@pytest.mark.parametrize(("manager", "scope"), [("systemd", ["-u", "zot.service"]), ("systemd_user", ["--user", *USERS])])
def test_a_units_last_words_are_in_the_journal(manager, scope):
    asked = []

    def runner(argv):
        asked.append(argv)
        return Completed(0, "".join(f"line {number}\n" for number in range(25)), "hint: you are not seeing messages")

    assert Service(manager, "zot.service", uid=501).last_words(runner) == [f"line {number}" for number in range(5, 25)]
    assert asked == [["journalctl", *scope, "-n", "200", "-o", "cat", "-q"]]


@pytest.mark.parametrize(
    ("manager", "told"),
    [
        ("systemd", []),
        ("systemd_user", ["(nothing that this user may read in the journal; as root: journalctl _UID=501 SYSLOG_IDENTIFIER=zot)"]),
    ],
)
@pytest.mark.parametrize("name", ["zot", "zot.service"])
def test_of_a_users_unit_it_is_said_who_can_read_the_journal(manager, told, name):
    assert Service(manager, name, uid=501).last_words(lambda _argv: Completed(0, "", "")) == told


def test_what_follows_the_cause_is_left_out():
    lines = [
        *("Starting zot.service - zot OCI registry...", "Started zot.service - zot OCI registry."),
        '{"level":"error","message":"failed to create root dir","error":"mkdir /x: read-only file system"}',
        *("panic: runtime error: invalid memory address", "[signal SIGSEGV: segmentation violation code=0x1]", ""),
        *("goroutine 1 [running]:", "zot/v2/pkg/api.(*Controller).Run(0x3d1d)", "\tzot/v2/pkg/api/controller.go:148 +0x5b", "main.main()"),
        *("Error: open /nope: no such file or directory", "Usage:", "  zot serve <config> [flags]", "", "Flags:", "  -h, --help   help"),
        *("zot.service: Main process exited, code=exited, status=1/FAILURE", "zot.service: Failed with result 'exit-code'."),
        *("zot.service: Scheduled restart job, restart counter is at 2.", "Stopped zot.service - zot OCI registry."),
    ]
    assert Service("systemd", "zot").last_words(lambda _argv: Completed(0, "\n".join(lines), "")) == [
        "error failed to create root dir mkdir /x: read-only file system",
        "panic: runtime error: invalid memory address",
        "[signal SIGSEGV: segmentation violation code=0x1]",
        "Error: open /nope: no such file or directory",
        "zot.service: Main process exited, code=exited, status=1/FAILURE",
    ]


# --- the command line


@pytest.fixture
def sleeper():
    argv = [sys.executable, "-c", "print(flush=True) or input()", "serve", "/a b/config.json"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


def test_the_command_line_of_a_process(sleeper):
    assert command_line(sleeper.pid, run) == f"{sys.executable} -c print(flush=True) or input() serve /a b/config.json"


def test_where_there_is_a_proc_no_program_is_needed(tmp_path, monkeypatch):
    (tmp_path / "cmdline").write_bytes(b"/opt/zot\0serve\0/\xff\0")
    monkeypatch.setattr(_service, "Path", lambda path: tmp_path / path.replace("/proc/4711/", ""))
    runner = Scripted()
    assert command_line(4711, runner) == "/opt/zot serve /\ufffd"
    assert runner.asked == []


def test_where_there_is_no_proc_ps_tells(tmp_path, monkeypatch):
    runner = Scripted(**{"4711": "/opt/zot serve /etc/zot/config.json\n"})
    monkeypatch.setattr(_service, "Path", lambda _path: tmp_path / "none")
    assert command_line(4711, runner) == "/opt/zot serve /etc/zot/config.json"
    assert runner.asked == [["/bin/ps", "-ww", "-o", "args=", "-p", "4711"]]


def test_a_process_that_is_gone_has_none(tmp_path, monkeypatch):
    assert command_line(2**30, run) == ""
    monkeypatch.setattr(_service, "Path", lambda _path: tmp_path)  # there when looked for, not to be read: it went in between
    assert command_line(2**30, run) == ""
