# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that resembles the Mac as far as ssh can tell: an sshd of its own on loopback, and a user with a home under /Users.

    with maclike("indri") as host:
        host.inventory_file                 # for ansible-playbook -i
        host.run("launchctl print gui/501") # over ssh, as the user

Run by root it makes the user `erichblume`, home /Users/erichblume, primary group `staff`, and removes both afterwards with every
process of that user; an account of that name that it did not make is not touched. Run by anyone else the host is the same, but its
user is the one who runs it, with the real home: sshd takes the home from the account, so there is no scratch one to be had without
root, and what was started there is not ended either.

`host.bin`, ~/bin for the made user, comes first on the user's PATH: the place for a `launchctl`. The rest of the PATH is macOS's own.

On the command line: ``python -m testbed.maclike up | down``.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from support.waiting import until

from testbed import _common
from testbed._common import CACHE, BedError, check, sbin, started

PROGRAMS = ("sshd", "ssh", "ssh-keygen", "setpriv", "useradd", "usermod", "userdel")
USER = "erichblume"
USERS = Path("/Users")

# In the account's comment: whose account it is, followed by the sshd it was made for (process id and start time).
_MARK = "blumeops.zot test host"


@dataclass(frozen=True)
class MacLike:
    """A running host, and the folder that holds what is known of it: `ssh_config`, `inventory.yml`, the key, `sshd.log`."""

    name: str
    state: Path
    user: str
    home: Path
    made_user: bool
    port: int
    pid: int
    start: str
    control: Path

    @property
    def bin(self) -> Path:
        """A folder in front of the user's PATH; it exists."""
        return _bin(self.state, self.home, self.made_user)

    @property
    def ssh_config(self) -> Path:
        return self.state / "ssh_config"

    @property
    def inventory_file(self) -> Path:
        return self.state / "inventory.yml"

    def vars(self) -> dict[str, str]:
        """Inventory variables."""
        return _common.host_vars(self.name, self.user, self.state, self.control)

    def inventory(self) -> dict[str, dict[str, str]]:
        return {self.name: self.vars()}

    def run(self, command: str, *, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command as the user, over ssh."""
        argv = ["ssh", "-F", str(self.ssh_config), self.name, command]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise BedError(f"{self.name}: {command}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done


def _bin(state: Path, home: Path, made_user: bool) -> Path:
    return (home if made_user else state) / "bin"


def up(state: Path, name: str = "maclike", *, tied: bool = False) -> MacLike:
    """Start the host. Undo it with `down`, from this process or another."""
    state = state.resolve()
    if (state / "host.json").exists():
        raise BedError(f"already up in {state}")
    made_user = os.geteuid() == 0
    if made_user:
        _remove_stale_account()
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    user = USER if made_user else getpass.getuser()
    home = USERS / USER if made_user else Path(pwd.getpwuid(os.geteuid()).pw_dir)
    child: subprocess.Popen[bytes] | None = None
    control = _common.make_control_dir()
    try:
        public_key = _common.make_key(state / "key")
        port, child = _start_sshd(state, user, home, made_user, tied)
        _CHILDREN[child.pid] = child
        host = MacLike(name, state, user, home, made_user, port, child.pid, started(child.pid), control)
        (state / "host.json").write_text(json.dumps(asdict(host), default=str))
        if made_user:
            _make_account(host, public_key)
        else:
            host.bin.mkdir()
            (state / "authorized_keys").write_text(public_key)
        host_key = (state / "host_key.pub").read_text()
        (state / "known_hosts").write_text(f"{name} {host_key}")
        options = {"HostName": "127.0.0.1", "Port": str(port)}
        host.ssh_config.write_text(_common.ssh_stanza(name, user, state, control, options))
        _common.write_inventory(host.inventory_file, host.inventory())
        host.run("true")
    except BaseException:
        _undo(state, control, child.pid if child else 0, started(child.pid) if child else "")
        raise
    return host


# Reaped by `down` if it runs in the process that started them.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def down(state: Path) -> None:
    """Stop the host and remove all that it brought; nothing happens if there is none."""
    state = state.resolve()
    try:
        known = json.loads((state / "host.json").read_text())
    except FileNotFoundError:
        return
    _undo(state, Path(known["control"]), known["pid"], known["start"])


def _undo(state: Path, control: Path, pid: int, start: str) -> None:
    _common.close_masters(control)
    sessions = _common.descendants(pid) if started(pid) == start else {}
    for process, since in {pid: start, **sessions}.items():
        _common.stop(process, since)
    if child := _CHILDREN.pop(pid, None):
        child.wait(timeout=10)
    if os.geteuid() == 0 and (account := _account()) and account.pw_gecos == _comment(pid, start):
        _remove_account(account)
    shutil.rmtree(state, ignore_errors=True)


def _start_sshd(state: Path, user: str, home: Path, made_user: bool, tied: bool) -> tuple[int, subprocess.Popen[bytes]]:
    check(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", state / "host_key"])
    if made_user:
        # Where sshd locks up its unprivileged part. Left behind: other sshds on this computer use the same.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = state / "sshd.log"
    for _ in range(3):
        port = _common.free_port()
        (state / "sshd_config").write_text(_sshd_config(state, user, home, made_user, port))
        # -D keeps it our child; the full path is what sshd asks for, it starts itself anew for each connection.
        child = _common.spawn([sbin("sshd"), "-D", "-e", "-f", str(state / "sshd_config")], log, tied="TERM" if tied else "")
        try:
            if until(lambda child=child: child.poll() is not None or "Server listening" in _common.tail(log), 10) and child.poll() is None:
                return port, child
        except BaseException:
            child.kill()
            child.wait()
            raise
        child.kill()
        child.wait()
        if "in use" not in _common.tail(log):  # else somebody was quicker to take the port
            break
    raise BedError(f"sshd does not start: {_common.tail(log)}")


def _sshd_config(state: Path, user: str, home: Path, made_user: bool, port: int) -> str:
    keys = home / ".ssh" / "authorized_keys" if made_user else state / "authorized_keys"
    return "".join(
        f"{line}\n"
        for line in (
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            f'HostKey "{state / "host_key"}"',
            f'AuthorizedKeysFile "{keys}"',
            f"AllowUsers {user}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "Subsystem sftp internal-sftp",
            f'SetEnv "PATH={_bin(state, home, made_user)}:/usr/bin:/bin:/usr/sbin:/sbin"',
        )
    )


# The account


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def _comment(pid: int, start: str) -> str:
    return f"{_MARK} {pid} {start}"


def _make_account(host: MacLike, public_key: str) -> None:
    # As on a Mac, the group is not the user's own. The password matches nothing: without one the account would be locked, to keys too.
    try:
        groups = ["--gid", grp.getgrnam("staff").gr_name, "--no-user-group"]
    except KeyError:
        groups = []
    comment = _comment(host.pid, host.start)
    check(
        [
            "useradd",
            "--home-dir",
            host.home,
            "--no-create-home",
            "--shell",
            "/bin/bash",
            "--password",
            "*",
            "--comment",
            comment,
            *groups,
            USER,
        ]
    )
    USERS.mkdir(mode=0o755, exist_ok=True)
    host.home.mkdir(mode=0o750)
    for folder in (host.home / "Library", host.home / ".ssh", host.bin):
        folder.mkdir(mode=0o700)
    (host.home / ".ssh" / "authorized_keys").write_text(public_key)
    account = pwd.getpwnam(USER)
    for path in (host.home, *host.home.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)


def _remove_stale_account() -> None:
    """Remove what a run that was killed left; refuse an account that is somebody's, or in use by another run."""
    if account := _account():
        mark, _, rest = account.pw_gecos.partition(f"{_MARK} ")
        if mark or not rest:
            raise BedError(f"the user {USER} exists and was not made by these tests: they will not touch it")
        pid, _, start = rest.partition(" ")
        if start and started(int(pid)) == start:
            raise BedError(f"the user {USER} is in use by another test run (sshd process {pid})")
        _remove_account(account)
    elif (USERS / USER).exists():
        raise BedError(f"{USERS / USER} exists, but there is no user {USER}: remove it if it is of no use")


def _remove_account(account: pwd.struct_passwd) -> None:
    for pid, start in _common.processes_of(account.pw_uid).items():
        _common.stop(pid, start)
    check(["userdel", USER])
    shutil.rmtree(USERS / USER, ignore_errors=True)
    with contextlib.suppress(OSError):  # if it was there before, it holds something
        USERS.rmdir()


@contextlib.contextmanager
def maclike(name: str = "maclike") -> Iterator[MacLike]:
    """A host that lives until the block ends."""
    state = Path(tempfile.mkdtemp(prefix="zot-mac-"))
    try:
        yield up(state, name, tied=True)
    finally:
        down(state)
        shutil.rmtree(state, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="testbed.maclike", description="A test host on loopback that resembles the Mac.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start it and print the inventory file")
    stop = commands.add_parser("down", help="remove it")
    start.add_argument("--name", default="maclike", help="its name in the inventory")
    for command in (start, stop):
        command.add_argument("--state", type=Path, default=CACHE / "maclike", help="folder for what is known of it")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being stopped cleans up, as Ctrl-C does
    try:
        if options.command == "up":
            sys.stdout.write(f"{up(options.state, options.name).inventory_file}\n")
        else:
            down(options.state)
    except BedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
