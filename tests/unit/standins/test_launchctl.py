# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of launchctl. On macOS these tests ask /bin/launchctl itself, which is how the stand-in is calibrated."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from support.launchd_job import REAL, SCALE, STUBBORN, error, stopwatch

# --- bootstrap, bootout, and the race between them


def test_a_loaded_job_runs_and_is_not_loaded_twice(launchd):
    launchd.load()
    launchd.await_field("state", "running")
    assert launchd.field("runs") == "1"
    again = launchd.call("bootstrap", launchd.domain, str(launchd.file))
    assert error(again) == (5, ["Bootstrap failed: 5: Input/output error", "Try re-running the command as root for richer errors."])


def test_bootout_returns_before_the_job_is_gone_and_bootstrap_fails_meanwhile(launchd):
    launchd.load(STUBBORN, ExitTimeOut=3)
    launchd.await_field("state", "running")
    pid = launchd.field("pid")
    assert launchd.rc("bootout", launchd.target) == 0
    assert launchd.field("state") == "SIGTERMed"
    assert launchd.field("pid") == pid
    assert launchd.rc("bootstrap", launchd.domain, str(launchd.file)) == 5
    launchd.await_gone()
    assert launchd.rc("bootstrap", launchd.domain, str(launchd.file)) == 0


@pytest.mark.parametrize(("definition", "seconds", "below"), [({}, 5, 19), ({"ExitTimeOut": 15}, 15, 60)])
def test_a_job_that_ignores_sigterm_is_killed_after_its_exit_timeout(launchd, definition, seconds, below):
    launchd.load(STUBBORN, **definition)
    launchd.await_field("state", "running")
    assert launchd.field("exit timeout") == str(seconds)
    elapsed = stopwatch()
    launchd.call("bootout", launchd.target)
    launchd.await_gone(60)
    assert seconds <= elapsed() < below


def test_bootout_of_what_is_not_loaded(launchd):
    launchd.write()
    assert error(launchd.call("bootout", launchd.target)) == (3, ["Boot-out failed: 3: No such process"])
    assert launchd.rc("bootout", launchd.domain, str(launchd.file)) == 5


def test_keepalive_does_not_bring_back_a_job_that_is_booted_out(launchd):
    launchd.load(KeepAlive=True)
    launchd.await_field("state", "running")
    launchd.call("bootout", launchd.target)
    launchd.await_gone()
    time.sleep(0.3)
    assert launchd.rc("print", launchd.target) == 113


# --- the definition


def test_launchd_reads_the_file_only_when_it_is_loaded(launchd):
    launchd.load(["/bin/sleep", "1001"], ThrottleInterval=1)
    launchd.await_field("state", "running")
    launchd.write(["/bin/sleep", "1002"])
    assert launchd.rc("kickstart", "-k", launchd.target) == 0
    assert "\t\t1001\n" in launchd.call("print", launchd.target).stdout
    launchd.call("bootout", launchd.target)
    launchd.await_gone()
    assert launchd.rc("bootstrap", launchd.domain, str(launchd.file)) == 0
    assert "\t\t1002\n" in launchd.call("print", launchd.target).stdout


@pytest.mark.parametrize(("mode", "rc"), [(0o644, 0), (0o600, 0), (0o664, 5), (0o646, 5)])
def test_others_may_not_write_the_file(launchd, mode, rc):
    assert launchd.rc("bootstrap", launchd.domain, launchd.write(mode=mode)) == rc


# --- keeping it alive


def test_the_throttle_counts_from_launch_to_launch(launchd):
    elapsed = stopwatch()
    launchd.load(["/bin/sh", "-c", "exit 1"], KeepAlive=True)
    launchd.await_field("state", "spawn scheduled")
    assert (launchd.field("runs"), launchd.field("last exit code")) == ("1", "1")
    launchd.await_field("runs", "2")
    assert elapsed() >= 10


def test_a_job_that_ran_long_enough_comes_back_at_once(launchd):
    launchd.load(KeepAlive=True, ThrottleInterval=40)
    launchd.await_field("state", "running")
    time.sleep(40.5 / SCALE)
    elapsed = stopwatch()
    launchd.kill(signal.SIGKILL)
    launchd.await_field("runs", "2")
    assert elapsed() < 36
    assert launchd.field("last terminating signal") in ("Killed: 9", None)


@pytest.mark.parametrize(
    ("keep", "number", "respawned"),
    [
        ({"Crashed": True}, signal.SIGKILL, False),
        ({"Crashed": True}, signal.SIGSEGV, True),
        ({"SuccessfulExit": False}, signal.SIGKILL, True),
        ({"SuccessfulExit": True}, signal.SIGKILL, False),
        ({"SuccessfulExit": True, "Crashed": True}, signal.SIGSEGV, True),
        (False, signal.SIGKILL, False),
    ],
)
def test_the_conditions_of_keepalive(launchd, keep, number, respawned):
    launchd.load(KeepAlive=keep, ThrottleInterval=1)
    launchd.await_field("state", "running")
    time.sleep(1.1 / SCALE)
    launchd.kill(number)
    if respawned:
        launchd.await_field("runs", "2", 60)
    else:
        launchd.await_field("state", "not running")
        time.sleep(0.3)
        assert launchd.field("runs") == "1"


# --- kickstart, kill


def test_kickstart(launchd):
    missing = launchd.call("kickstart", launchd.target)
    assert missing.returncode == 113
    assert f'Could not find service "{launchd.label}" in domain for' in missing.stderr
    launchd.load(RunAtLoad=False)
    assert (launchd.field("state"), launchd.field("runs")) == ("not running", "0")
    started = launchd.call("kickstart", "-p", launchd.target)
    assert started.returncode == 0
    pid = launchd.field("pid")
    assert started.stdout.split()[-1] == pid
    assert launchd.rc("kickstart", launchd.target) in (0, 37)
    assert launchd.field("pid") == pid


def test_kickstart_k_restarts_and_waits_for_the_throttle(launchd):
    elapsed = stopwatch()
    launchd.load()
    launchd.await_field("state", "running")
    pid = launchd.field("pid")
    assert launchd.rc("kickstart", "-k", launchd.target) == 0
    launchd.await_field("state", "running")
    assert elapsed() >= 10
    assert launchd.field("pid") != pid
    assert launchd.field("runs") == "2"


def test_kill_signals_the_job(launchd):
    launchd.load()
    launchd.await_field("state", "running")
    assert launchd.rc("kill", "SIGKILL", launchd.target) == 0
    launchd.await_field("state", "not running")
    assert launchd.rc("kill", "SIGTERM", launchd.target) == 3


# --- sessions


def test_what_print_says_of_domains(launchd):
    done = launchd.call("print", launchd.domain)
    assert done.returncode == 0
    assert "\n\ttype = login\n" in done.stdout
    missing = launchd.call("print", launchd.target)
    assert error(missing) == (113, ["Bad request.", f'Could not find service "{launchd.label}" in domain for user gui: {os.getuid()}'])


def test_disabled_outlives_job_file_and_reboot(launchd):
    launchd.load()
    assert launchd.rc("disable", launchd.target) == 0
    assert f'\t\t"{launchd.label}" => disabled\n' in launchd.call("print-disabled", launchd.domain).stdout
    assert launchd.field("state") in ("running", "not running", "spawning")
    launchd.call("bootout", launchd.target)
    launchd.await_gone()
    launchd.file.unlink()
    if not REAL:
        launchd.call("sim", "reboot")
        launchd.call("sim", "login", str(os.getuid()))
    refused = launchd.call("bootstrap", launchd.domain, launchd.write())
    assert refused.returncode in (5, 119)
    assert launchd.rc("enable", launchd.target) == 0
    assert launchd.rc("bootstrap", launchd.domain, str(launchd.file)) == 0
    assert f'\t\t"{launchd.label}" => enabled\n' in launchd.call("print-disabled", launchd.domain).stdout


# --- what it tells


def test_arguments_are_printed_raw(launchd):
    launchd.load(["/bin/sh", "-c", "exec /bin/sleep 1000 #\n}\npid = 99\n\tpid = 98"])
    launchd.await_field("state", "running")
    text = launchd.call("print", launchd.target).stdout
    assert "\n}\npid = 99\n\tpid = 98\n" in text
    assert re.findall(r"^\tpid = (\d+)$", text, re.MULTILINE)[0] == "98"


def test_small_answers(launchd):
    assert launchd.call("error", "113").stdout == "113: Could not find specified service\n"
    assert launchd.call("managername").stdout.strip() in ("Aqua", "Background", "System")
    assert error(launchd.call("nonsense")) == (1, ["Unrecognized subcommand: nonsense"])
    assert launchd.rc("print", "nonsense") == 64
