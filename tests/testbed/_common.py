# SPDX-License-Identifier: GPL-3.0-or-later
"""What both kinds of host share: ssh's files, and processes that are told apart from later ones with the same id."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from support.programs import absent
from support.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "testbed"


class BedError(Exception):
    """A host could not be made or undone; says why and what is missing."""


def sbin(program: str) -> str:
    """Where a program is. Administrators' programs are not on every user's PATH."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if not found:
        raise BedError(f"{program} is not installed; .ci/install-debian installs what the system tests need")
    return found


def missing(programs: Iterable[str]) -> str:
    """Why these hosts cannot be had here, in words for a skipped test; empty if they can."""
    if os.geteuid() != 0:
        return "needs root"
    return absent(*programs)


def check(argv: Sequence[str | Path], **options: t.Any) -> str:
    """Run a program that has to succeed; its output."""
    done = subprocess.run(
        [str(word) for word in argv], check=False, capture_output=True, text=True, **{"stdin": subprocess.DEVNULL, "timeout": 60, **options}
    )
    if done.returncode:
        raise BedError(f"{shlex.join(map(str, argv))}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


# Processes


def started(pid: int) -> str:
    """When a process started, in kernel ticks; empty if it does not run (any more). With the id it names one process for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def stop(pid: int, start: str, timeout: float = 5) -> None:
    """End one process, politely first. A process that merely has the same id is left alone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not start or started(pid) != start:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        until(lambda: started(pid) != start, timeout)
    if started(pid) == start:
        raise BedError(f"process {pid} does not end")


def processes_of(uid: int) -> dict[int, str]:
    """A user's processes, with their start times."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # Not the folder's owner: that is root for whatever changed its user, such as sshd.
            line = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("Uid:"))
            if str(uid) in line.split()[1:] and (start := started(int(entry.name))):
                found[int(entry.name)] = start
    return found


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> dict[int, str]:
    found: dict[int, str] = {}
    for child in children(pid):
        found[child] = started(child)
        found.update(descendants(child))
    return found


def spawn(argv: Sequence[str], log: Path, *, tied: str = "") -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl-C reaches us and not it: we end it in our order.

    A ``tied`` one gets that signal when we are killed. The kernel ties it to the thread that starts it, hence only the main one.
    """
    if tied and threading.current_thread() is threading.main_thread():
        argv = ["setpriv", "--pdeathsig", tied, *argv]
    with log.open("wb") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


def tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-2000:] if log.exists() else ""


# Ssh


def make_key(path: Path) -> str:
    """Make a key pair; returns the public line."""
    check(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "blumeops.zot testbed", "-f", path])
    return path.with_suffix(".pub").read_text()


def make_control_dir() -> Path:
    """A folder for ssh's persistent connections, of our own so that they can be found and closed.

    Not in the state folder: the path of a socket may have about a hundred characters.
    """
    return Path(tempfile.mkdtemp(prefix="zot-cp-"))


def ssh_stanza(name: str, user: str, state: Path, control: Path, options: Mapping[str, str]) -> str:
    settings = {
        "User": user,
        "IdentityFile": _quoted(state / "key"),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": _quoted(state / "known_hosts"),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": name,
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ControlPath": _quoted(control / "%C"),
        "LogLevel": "ERROR",
        **options,
    }
    return f"Host {name}\n" + "".join(f"  {key} {value}\n" for key, value in settings.items())


def _quoted(path: Path) -> str:
    return f'"{path}"'


def host_vars(name: str, user: str, state: Path, control: Path) -> dict[str, str]:
    """What an inventory says of such a host."""
    return {
        "ansible_connection": "ssh",
        "ansible_host": name,  # a Host of the ssh configuration, which has the rest
        "ansible_user": user,
        "ansible_ssh_common_args": f"-F {shlex.quote(str(state / 'ssh_config'))}",
        "ansible_control_path_dir": str(control),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def write_inventory(path: Path, hosts: Mapping[str, Mapping[str, str]]) -> None:
    path.write_text(yaml.safe_dump({"all": {"hosts": {name: dict(values) for name, values in hosts.items()}}}, sort_keys=False))


def close_masters(control: Path) -> None:
    """End the persistent ssh connections whose sockets are in ``control``, then remove it."""
    if not control.is_dir():
        return
    for path in control.iterdir():
        if path.is_socket():
            command = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "testbed"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
            until(lambda path=path: not path.exists(), 2)
    shutil.rmtree(control, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
