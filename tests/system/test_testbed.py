# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts other system tests stand on: Ansible reaches them, and nothing of them is left."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import until
from testbed import _common, maclike, nspawn
from testbed._common import BedError

pytestmark = pytest.mark.usefixtures("system")

CHECKOUT = _common.CHECKOUT


def processes() -> dict[int, str]:
    """Every process but zombies, whose parent has yet to look at them, and threads of the kernel; by id, with its command."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if command and _common.started(int(entry.name)):
                found[int(entry.name)] = command
    return found


MARKS = ("systemd", "sshd", "[mux]", "nsenter", "zot-bed-", "zot-mac-", "testbed")


def traces() -> dict[str, set[str]]:
    """Whatever a host could leave on this computer."""
    return {
        "processes": {f"{pid} {command}" for pid, command in processes().items() if any(mark in command for mark in MARKS)},
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
        "accounts": {line for name in ("passwd", "group", "shadow", "subuid") for line in _lines(Path("/etc") / name)},
        "control groups": {
            folder for folder, _, _ in os.walk("/sys/fs/cgroup") if re.search(r"/(zot-testbed\.[^/]*|payload|supervisor)$", folder)
        },
        "files": {str(path) for folder in ("/", "/tmp", "/run/systemd/nspawn/propagate") for path in Path(folder).glob("*") if _ours(path)},
    }


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _ours(path: Path) -> bool:
    return path.parent == Path("/") or path.parent.name == "propagate" or path.name.startswith("zot-")


@pytest.fixture
def nothing_left() -> Iterator[Callable[[], None]]:
    """What was not there before the test is not there after it, give or take the moment a process takes to end."""
    before = traces()

    def left() -> dict[str, set[str]]:
        return {kind: new for kind, found in traces().items() if (new := found - before[kind])}

    def check() -> None:
        until(lambda: not left(), 15)
        assert left() == {}

    yield check
    check()


def ansible(inventory: Path, *arguments: str) -> str:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    command = [str(Path(sys.executable).with_name("ansible")), "-i", str(inventory), "all", *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("nothing_left")
def test_ansible_reaches_linux_hosts(tmp_path: Path) -> None:
    shown = tmp_path / "shown: this"  # a colon means something to systemd-nspawn
    shown.write_text("seen")
    with nspawn.hosts("one", "two", bind_ro={shown: "/srv/shown"}) as bed:
        assert ansible(bed.inventory_file, "-m", "ping").count("pong") == 2
        for name in ("one", "two"):
            assert bed[name].run(["hostname"]).stdout.strip() == name
            assert bed[name].run(["systemctl", "is-system-running"]).stdout.strip() == "running"
            assert bed[name].run(["cat", "/srv/shown"]).stdout == "seen"
            assert bed[name].run(["tee", "/srv/shown"], stdin="changed", check=False).returncode != 0
        # Each systemd has its control groups to itself: 0 stands for a process that the host cannot see.
        members = (
            bed["one"].run(["find", "/sys/fs/cgroup", "-path", "*/ssh.service/cgroup.procs", "-exec", "cat", "{}", "+"]).stdout.split()
        )
        assert members
        assert "0" not in members
        bed["one"].run(["systemctl", "stop", "ssh"])
        assert bed["two"].run(["systemctl", "is-active", "ssh"]).stdout.strip() == "active"
        # A change is the host's alone.
        bed["one"].run(["touch", "/etc/changed"])
        assert bed["two"].run(["test", "-e", "/etc/changed"], check=False).returncode == 1
        assert not (nspawn.image() / "etc/changed").exists()
    assert shown.read_text() == "seen"


@pytest.mark.usefixtures("nothing_left")
def test_a_linux_host_has_a_network_of_its_own() -> None:
    own = Path("/proc/thread-self/ns/net").readlink()
    with nspawn.hosts("one", "two") as bed:
        bed["one"].run(["systemd-run", "--quiet", "--unit=web", "python3", "-m", "http.server", "--bind", "127.0.0.1", "8000"])
        with bed["one"].network():
            assert until(lambda: _status("http://127.0.0.1:8000/etc/hostname") == 404, 10)
            # Programs started meanwhile are there too.
            program = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/', timeout=5)"
            subprocess.run([sys.executable, "-c", program], check=True)
            assert Path("/proc/thread-self/net/dev").read_text().count(":") == 1, "only loopback"
        assert Path("/proc/thread-self/ns/net").readlink() == own
        with bed["two"].network():
            assert _status("http://127.0.0.1:8000/") is None
        assert _status("http://127.0.0.1:8000/") is None


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


@pytest.mark.usefixtures("nothing_left")
def test_an_ordinary_user_has_a_systemd_that_lingers() -> None:
    with nspawn.hosts("one") as bed:
        host = bed["one"]
        uid = host.add_user()
        assert uid >= 1000
        host.run(["systemd-run", "--user", "--quiet", "--unit=mine", "sleep", "1000"], user=nspawn.USER)
        assert host.run(["systemctl", "--user", "is-active", "mine"], user=nspawn.USER).stdout.strip() == "active"
        # And over ssh, as a play would.
        _common.write_inventory(bed.state / "user.yml", {"one": host.vars(user=nspawn.USER)})
        told = ansible(bed.state / "user.yml", "-m", "command", "-a", "systemctl --user is-active mine")
        assert "active" in told.splitlines()


@pytest.mark.usefixtures("nothing_left")
def test_a_host_that_cannot_start_says_why_and_takes_the_others_along(tmp_path: Path) -> None:
    with (
        pytest.raises(BedError, match=r"(?s)ended with exit status 1: .*absent"),
        nspawn.hosts("one", "two", bind_ro={tmp_path / "absent": "/x"}),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_hosts_end_with_the_process_that_made_them(number: signal.Signals, nothing_left: Callable[[], None]) -> None:
    script = "import time\nfrom testbed import nspawn\nwith nspawn.hosts('one') as bed:\n  print(bed.state, flush=True)\n  time.sleep(60)"
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")}, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout
        state = Path(maker.stdout.readline().strip())
        assert any("systemd-nspawn" in command and f"one-{maker.pid}" in command for command in processes().values())
        maker.send_signal(number)
    gone = lambda: not any(f"one-{maker.pid}" in command for command in processes().values())  # noqa: E731 - one use
    assert until(gone, 20)
    nspawn.Bed.load(state).down()  # files are all that is left of it
    nothing_left()


@pytest.mark.usefixtures("nothing_left")
def test_a_host_whose_nspawn_was_killed_is_still_switched_off() -> None:
    with nspawn.hosts("one") as bed:
        os.kill(bed["one"].pid, signal.SIGKILL)
        assert until(lambda: not _common.started(bed["one"].pid), 5)
        assert any("/systemd/systemd" in command for command in processes().values()), "its first process lives on"


@pytest.mark.usefixtures("nothing_left")
def test_commands_bring_linux_hosts_up_and_down(tmp_path: Path) -> None:
    state = tmp_path / "state"

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "testbed.nspawn", *words, "--state", str(state)]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    try:
        assert command("up", "one", "--bind-ro", f"{tmp_path}:/srv").stdout.strip() == str(state / "inventory.yml")
        assert command("up", "two").returncode == 0
        assert "already up: one" in command("up", "one").stderr
        assert ansible(state / "inventory.yml", "-m", "ping").count("pong") == 2
        assert command("down", "one").returncode == 0
        assert ansible(state / "inventory.yml", "-m", "ping").count("pong") == 1
    finally:
        assert command("down").returncode == 0
    assert not state.exists()


@pytest.mark.usefixtures("nothing_left")
def test_ansible_reaches_a_mac_like_host() -> None:
    with maclike.maclike("indri") as host:
        assert host.home == Path("/Users/erichblume")
        ansible(host.inventory_file, "-m", "ping")
        ansible(host.inventory_file, "-m", "copy", "-a", "content=hello dest=~/Library/hello mode=0600")
        written = host.home / "Library" / "hello"
        assert written.read_text() == "hello"
        assert written.owner() == "erichblume"
        assert written.group() != "erichblume", "a Mac's users have no group of their own name"

        tool = host.bin / "launchctl"
        tool.write_text("#!/bin/sh\necho mine\n")
        tool.chmod(0o755)
        assert host.run("launchctl").stdout == "mine\n"
        # What a play starts on the host ends with it, even in a session of its own.
        host.run("setsid sleep 1000 >/dev/null 2>&1 &")
        assert _common.processes_of(pwd.getpwnam("erichblume").pw_uid)
        # Ansible's persistent connection is still open, and `nothing_left` looks for it.
        assert list(host.control.iterdir())


@pytest.mark.usefixtures("nothing_left")
def test_a_users_account_is_not_touched() -> None:
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", maclike.USER], check=True)
    try:
        with pytest.raises(BedError, match="was not made by these tests"), maclike.maclike():
            pass
        assert pwd.getpwnam(maclike.USER).pw_dir == "/nonexistent"
    finally:
        subprocess.run(["userdel", maclike.USER], check=True)


def test_what_a_killed_run_left_is_cleared_and_what_runs_is_not(nothing_left: Callable[[], None], tmp_path: Path) -> None:
    first = maclike.up(tmp_path / "first")
    try:
        with pytest.raises(BedError, match="in use by another test run"), maclike.maclike():
            pass
        assert first.run("id -un").stdout.strip() == maclike.USER
        _common.close_masters(first.control)
        os.kill(first.pid, signal.SIGKILL)
        assert until(lambda: not _common.started(first.pid), 5)
        with maclike.maclike() as second:
            assert second.run("id -un").stdout.strip() == maclike.USER
    finally:
        maclike.down(tmp_path / "first")
    nothing_left()


@pytest.mark.usefixtures("nothing_left")
def test_a_stopped_build_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nspawn, "CACHE", tmp_path)

    def interrupt() -> None:
        until(lambda: any("mmdebstrap" in command and str(tmp_path) in command for command in processes().values()), 20)
        time.sleep(1)  # well into it
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        nspawn.image()
    thread.join()
    assert {path.name for path in tmp_path.iterdir()} == {"lock"}


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces mmdebstrap by a shell script; its last argument is the folder to fill."""
    monkeypatch.setattr(nspawn, "CACHE", tmp_path / "cache")

    def use(script: str) -> None:
        program = tmp_path / "mmdebstrap"
        program.write_text(f"#!/bin/sh\nfor folder; do :; done\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(nspawn, "sbin", lambda _name: str(program))

    return use


def test_a_complete_build_becomes_the_image(builder: Callable[[str], None]) -> None:
    builder('echo whole >"$folder/etc"')
    image = nspawn.image()
    assert (image / "etc").read_text() == "whole\n"
    assert image.stat().st_mode & 0o777 == 0o755
    builder("exit 1")
    assert nspawn.image() == image, "built once"
    assert {path.name for path in image.parent.iterdir()} == {"lock", image.name}


def test_a_failed_build_says_why(builder: Callable[[str], None]) -> None:
    builder('touch "$folder/etc"; echo no mirror >&2; exit 3')
    with pytest.raises(BedError, match=r"exit status 3: no mirror"):
        nspawn.image()
    assert [path.name for path in nspawn.CACHE.iterdir()] == ["lock"]


@pytest.mark.usefixtures("nothing_left")
def test_a_killed_build_is_no_image(builder: Callable[[str], None], tmp_path: Path) -> None:
    builder('echo half >"$folder/etc"; sleep 1000')
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            nspawn.image()
        os._exit(1)
    assert until(lambda: any(nspawn.CACHE.glob("*/etc")), 10)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert until(lambda: not any(str(tmp_path) in command for command in processes().values()), 5), "the build goes on"

    builder('echo whole >"$folder/etc"')
    image = nspawn.image()
    assert (image / "etc").read_text() == "whole\n"
    assert {path.name for path in image.parent.iterdir()} == {"lock", image.name}


def test_another_recipe_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nspawn, "CACHE", tmp_path)
    monkeypatch.setattr(nspawn, "_build", lambda path: path.mkdir())
    first = nspawn.image()
    assert nspawn.image() == first
    monkeypatch.setattr(nspawn, "SUITE", "trixie")
    assert nspawn.image() != first
