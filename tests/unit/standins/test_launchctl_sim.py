# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the stand-in cannot be held against the machine's own launchctl: another macOS, another caller, a reboot, and its own tools."""

from __future__ import annotations

import os
import plistlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from support.launchd_job import SCALE, SLEEP, STUBBORN, Launchd, error, stopwatch
from support.launchd_sim import STAND_IN, LaunchctlSim, running

# --- bootstrap, bootout, and the race between them


@pytest.mark.parametrize(("macos", "rc"), [(15, 64), (26, 0)])
def test_bootout_wait_is_new(job, sim, macos, rc):
    sim.config(time_scale=SCALE, root=True, macos=macos)
    job.load()
    assert sim("bootout", "--wait", job.target).returncode == rc
    assert sim("print", job.target).returncode == (0 if rc else 113)


def test_old_macos_says_in_progress_and_does_it(job, sim):
    sim.config(time_scale=SCALE, root=True, macos=11)
    job.load()
    job.await_field("state", "running")
    assert error(sim("bootout", job.target)) == (36, ["Boot-out failed: 36: Operation now in progress"])
    job.await_gone()


def test_root_is_told_more(job, sim):
    job.load(STUBBORN)
    job.await_field("state", "running")
    assert sim("bootstrap", job.domain, str(job.file)).returncode == 37
    sim("bootout", job.target)
    assert sim("bootout", job.target).returncode == 0
    draining = sim("bootstrap", job.domain, str(job.file))
    assert error(draining) == (37, [f"{job.file}: Operation already in progress", "Bootstrap failed: 37: Operation already in progress"])
    assert sim("kickstart", job.target).returncode == 37


# --- the definition


@pytest.mark.parametrize(
    ("domain", "sessions", "code"),
    [("gui", None, 0), ("user", None, 134), ("user", "Background", 0), ("gui", "Background", 134), ("gui", ["Aqua", "Background"], 0)],
)
def test_a_job_belongs_to_sessions(job, sim, domain, sessions, code):
    job.write(**({} if sessions is None else {"LimitLoadToSessionType": sessions}))
    assert sim("bootstrap", f"{domain}/{os.getuid()}", str(job.file)).returncode == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<plist><dict>", 109),
        (plistlib.dumps(["a"]), 109),
        (plistlib.dumps({"ProgramArguments": SLEEP}), 110),
        (plistlib.dumps({"Label": "x"}), 111),
        (None, 108),
    ],
)
def test_a_bad_file_is_refused(job, sim, content, code):
    if content is not None:
        job.file.write_bytes(content)
    assert sim("bootstrap", job.domain, str(job.file)).returncode == code
    sim.config(root=False)
    assert sim("bootstrap", job.domain, str(job.file)).returncode == 5


def test_a_job_gets_what_its_definition_says(job, tmp_path):
    out, folder = tmp_path / "logs" / "out", tmp_path / "work"
    folder.mkdir()
    script = "env >&2; ulimit -n; pwd; umask; exec /bin/sleep 1000"
    out.parent.mkdir()
    out.write_text("before\n")
    job.load(
        ["/bin/sh", "-c", script],
        WorkingDirectory=str(folder),
        StandardOutPath=str(out),
        StandardErrorPath=str(tmp_path / "made" / "err"),
        EnvironmentVariables={"FOO": "bar", "NUMBER": 1},
        Umask="027",
    )
    job.until(lambda: out.read_text().count("\n") >= 4, "output")
    assert out.read_text().splitlines() == ["before", "256", str(folder), "0027"]
    environment = dict(line.split("=", 1) for line in (tmp_path / "made" / "err").read_text().splitlines())
    assert {name: environment.get(name) for name in ("FOO", "NUMBER", "PATH", "HOME", "XPC_SERVICE_NAME")} == {
        "FOO": "bar",
        "NUMBER": None,
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": pwd.getpwuid(os.getuid()).pw_dir,
        "XPC_SERVICE_NAME": job.label,
    }


def test_limits_can_be_given(job, tmp_path):
    out = tmp_path / "out"
    job.load(
        ["/bin/sh", "-c", "ulimit -n; ulimit -Hn; exec /bin/sleep 1000"],
        StandardOutPath=str(out),
        SoftResourceLimits={"NumberOfFiles": 300},
        HardResourceLimits={"NumberOfFiles": 400},
    )
    job.until(lambda: out.exists() and out.read_text() == "300\n400\n", "limits")


@pytest.mark.parametrize("broken", [{"WorkingDirectory": "/none"}, {"StandardOutPath": "/dev/null/x"}, {"ProgramArguments": ["/none"]}])
def test_what_cannot_be_spawned_counts_as_a_failed_run(job, broken):
    job.load(**broken)
    job.await_field("last exit code", "78: EX_CONFIG")
    assert (job.field("runs"), job.field("state"), job.field("pid")) == ("1", "not running", None)


# --- keeping it alive


def test_a_path_keeps_a_job_alive(job, tmp_path):
    flag = tmp_path / "flag"
    job.load(RunAtLoad=False, KeepAlive={"PathState": {str(flag): True}})
    assert job.field("state") == "not running"
    flag.touch()
    job.await_field("state", "running")


def test_crashes_can_back_off(job, sim):
    sim.config(time_scale=SCALE, root=True, backoff=True)
    elapsed = stopwatch()
    job.load(["/bin/sh", "-c", "exit 1"], KeepAlive=True, ThrottleInterval=5)
    job.await_field("runs", "3")
    assert elapsed() >= 15


def test_a_job_that_dies_takes_its_process_group_along(job, tmp_path):
    pids = tmp_path / "pids"
    job.load(["/bin/sh", "-c", f"/bin/sleep 1000 & echo $! >{pids}; wait"])
    job.until(lambda: pids.exists() and pids.read_text().strip() != "", "a child")
    job.kill(signal.SIGKILL)
    child = int(pids.read_text())
    job.until(lambda: not running(child), "dead")


# --- sessions


def test_missing_sessions(job, sim):
    sim.config(root=True, uids={str(os.getuid()): {"gui": False}})
    unsupported = "Domain does not support specified action"
    assert error(sim("print", job.domain)) == (125, [f"Could not print domain: 125: {unsupported}"])
    assert error(sim("print", "gui/4711")) == (112, ["Bad request.", "Could not find domain for user gui: 4711"])
    assert error(sim("bootstrap", job.domain, job.write())) == (125, [f"Bootstrap failed: 125: {unsupported}"])
    assert error(sim("bootout", job.target)) == (125, [f"Boot-out failed: 125: {unsupported}"])
    assert sim("print", f"user/{os.getuid()}").stdout.splitlines()[1] == "\ttype = user"
    sim.config(root=False)
    assert error(sim("print", f"gui/{os.getuid() + 1}")) == (1, ["Could not print domain: 1: Operation not permitted"])


def test_a_reboot_loses_the_background_session_and_login_fills_the_gui_session(job, sim, tmp_path):
    sim.config(time_scale=SCALE, root=True, uids={str(os.getuid()): {"gui": True, "launch_agents": str(tmp_path)}})
    job.load()
    other = Launchd(sim, tmp_path)
    link = Launchd(sim, tmp_path)
    switched_off = Launchd(sim, tmp_path)
    background = f"user/{os.getuid()}/{other.label}"
    other.write(LimitLoadToSessionType="Background")
    assert sim("bootstrap", f"user/{os.getuid()}", str(other.file)).returncode == 0
    switched_off.write()
    sim("disable", switched_off.target)
    link.file.symlink_to(shutil.move(link.write(), tmp_path / "elsewhere"))

    sim.sim("reboot")
    assert sim.jobs() == {}
    assert sim("print", job.domain).returncode == 125
    sim.sim("login", str(os.getuid()))
    job.await_field("state", "running")
    assert sim("print", background).returncode == 113
    assert set(sim.jobs()) == {job.target}

    sim.sim("logout", str(os.getuid()))
    job.until(lambda: sim.jobs() == {}, "empty")


def test_the_disabled_error(job, sim):
    sim("disable", job.target)
    refused = sim("bootstrap", job.domain, job.write())
    assert error(refused) == (119, [f"{job.file}: Service is disabled", "Bootstrap failed: 119: Service is disabled"])
    sim.config(root=True, disabled_as_5=True)
    assert sim("bootstrap", job.domain, job.write()).returncode == 5
    sim.config(macos=12)
    assert f'"{job.label}" => true' in sim("print-disabled", job.domain).stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root has agents of several users")
def test_a_job_runs_as_its_user():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    try:
        with LaunchctlSim(folder / "launchd") as sim:
            file = folder / "n.plist"
            definition = {"Label": "n", "ProgramArguments": SLEEP, "KeepAlive": True, "LimitLoadToSessionType": "Aqua"}
            file.write_bytes(plistlib.dumps(definition))
            os.chown(file, nobody.pw_uid, nobody.pw_gid)
            assert sim("bootstrap", f"gui/{nobody.pw_uid}", str(file)).returncode == 0
            deadline = time.monotonic() + 5
            while not (job := sim.job("n", f"gui/{nobody.pw_uid}"))["pid"]:
                assert time.monotonic() < deadline, job
                time.sleep(0.02)
            assert [Path(f"/proc/{job[key]}").stat().st_uid for key in ("pid", "supervisor")] == [nobody.pw_uid] * 2
            assert sim("bootout", f"gui/{nobody.pw_uid}/n").returncode == 0
    finally:
        shutil.rmtree(folder)


# --- what it tells


def test_print_byte_for_byte(job, sim, tmp_path):
    argv = ["/bin/sleep", "1000"]
    job.load(
        argv,
        KeepAlive=True,
        WorkingDirectory=str(tmp_path),
        StandardOutPath="/dev/null",
        StandardErrorPath="/dev/null",
        EnvironmentVariables={"FOO": "bar"},
    )
    job.await_field("state", "running")
    uid, pid = os.getuid(), job.field("pid")
    assert sim("print", job.target).stdout == (Path(__file__).parent / "print.txt").read_text().format(
        uid=uid, pid=pid, label=job.label, path=job.file, folder=tmp_path
    )


def test_list(job, sim):
    job.load(StandardOutPath="/dev/null", KeepAlive=True)
    job.await_field("state", "running")
    pid = job.field("pid")
    assert sim("list").stdout == f"PID\tStatus\tLabel\n{pid}\t0\t{job.label}\n"
    listed = sim("list", job.label).stdout.splitlines()
    assert listed[0] == "{"
    assert listed[-1] == "};"
    assert {'\t"OnDemand" = false;', f'\t"PID" = {pid};', '\t"LastExitStatus" = 0;', '\t"ProgramArguments" = (', '\t\t"1000";'} <= set(
        listed
    )
    assert error(sim("list", "none")) == (113, ['Could not find service "none" in domain for port'])
    sim("kill", "9", job.target)
    job.await_field("last terminating signal", "Killed: 9")
    assert f"\t-9\t{job.label}\n" in sim("list").stdout


def test_load_and_unload_fail_with_success(job, sim):
    assert sim("load", job.write(mode=0o666)).returncode == 0
    assert sim.jobs() == {}
    failed = sim("load", str(job.file))
    assert failed.stderr.splitlines()[-2:] == [
        "Load failed: 5: Input/output error",
        "Try running `launchctl bootstrap` as root for richer errors.",
    ]
    job.file.chmod(0o644)
    sim("disable", job.target)
    sim("load", "-w", str(job.file))
    job.await_field("state", "running")
    sim("unload", str(job.file))
    job.await_gone()
    assert sim("unload", str(job.file)).returncode == 0


# --- the stand-in itself


def test_faults_and_delays(job, sim):
    sim.sim("fail", "bootstrap", "36", "2", "odd")
    assert [error(sim("bootstrap", job.domain, job.write())) for _ in range(3)] == [(36, ["odd"]), (36, ["odd"]), (0, [])]
    sim.sim("delay", "version", "3")
    start = time.monotonic()
    sim("version")
    assert time.monotonic() - start > 3 / SCALE


def test_lingering(job, sim):
    job.load()
    sim.sim("linger", "3")
    sim("bootout", job.target)
    time.sleep(0.3)
    assert [sim("print", job.target).returncode for _ in range(3)] == [0, 0, 0]
    job.await_gone()


def test_on_demand_only(job, sim):
    sim.config(time_scale=SCALE, root=True, on_demand_only=True)
    job.load(KeepAlive=True)
    time.sleep(0.2)
    assert (job.field("state"), job.field("runs"), job.field("last exit code")) == ("not running", "0", "(never exited)")
    other = Launchd(sim, job.folder)
    other.load()
    assert sim("kickstart", job.target).returncode == 0
    job.await_field("state", "running")
    assert other.field("state") == "not running"
    sim.sim("leave-on-demand")
    other.await_field("state", "running")


def test_switched_off_in_login_items(job, sim):
    sim.sim("btm-block", job.label)
    job.load(KeepAlive=True)
    job.await_field("runs", "2")
    assert "161: Service cannot be launched because of BTM policy." in (sim.folder / "sim.log").read_text()
    sim.sim("btm-allow", job.label)
    job.await_field("state", "running")


def test_calls_are_recorded(sim):
    sim("print", "nonsense")
    assert [(call["argv"], call["uid"], call["rc"]) for call in sim.calls()] == [(["print", "nonsense"], os.getuid(), 64)]
    assert sim.verbs() == ["print"]


def test_nothing_outlives_the_folder(tmp_path):
    with LaunchctlSim(tmp_path / "launchd", time_scale=SCALE) as sim:
        job = Launchd(sim, tmp_path)
        job.load(STUBBORN, KeepAlive=True)
        job.await_field("state", "running")
        record = sim.job(job.label)
        shutil.rmtree(sim.folder)
        job.until(lambda: not any(running(record[key]) for key in ("pid", "supervisor")), "dead")


def test_shutdown_kills_what_ignores_signals_and_even_a_lost_supervisor_takes_its_job_along(job, sim):
    job.load(STUBBORN, KeepAlive=True)
    job.await_field("state", "running")
    record = sim.job(job.label)
    sim.sim("shutdown")
    assert not running(record["pid"])
    assert not running(record["supervisor"])
    job.load()
    job.await_field("state", "running")
    record = sim.job(job.label)
    os.kill(record["supervisor"], signal.SIGKILL)
    job.until(lambda: not running(record["pid"]), "dead")


def test_a_caller_does_not_wait_for_the_job(job, sim):
    """A supervisor that kept the caller's output open would make an ssh session hang."""
    start = time.monotonic()
    done = subprocess.run(["/bin/sh", "-c", f"{sim.path} bootstrap {job.domain} {job.write()} | cat"], check=False, timeout=10)
    assert done.returncode == 0
    assert time.monotonic() - start < 5


def test_it_refuses_to_run_without_a_folder():
    environment = {key: value for key, value in os.environ.items() if key != "LAUNCHCTL_SIM_DIR"}
    done = subprocess.run([sys.executable, str(STAND_IN), "version"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "LAUNCHCTL_SIM_DIR" in done.stderr
