# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether a TCP port can be had, and who has it."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner

_LISTEN = "0A"


def port_problem(address: str, port: int, ours: int | None, runner: Runner) -> str | None:
    """Why ``address``:``port`` cannot be listened on, or None: it is free, or process ``ours`` has it."""
    host = address.strip("[]") or "127.0.0.1"
    try:
        family, _type, _protocol, _name, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name of a host"
        return f"the address {host} is unknown ({why}); set zot_address to one of this host's"
    except OSError as error:
        return _explain(error, host, port, ours, runner)
    return None


def _explain(error: OSError, host: str, port: int, ours: int | None, runner: Runner) -> str | None:
    if error.errno == errno.EADDRINUSE:
        pids = listeners(port, runner)
        if ours is not None and ours in pids:
            return None
        who = f"process {', '.join(str(pid) for pid in sorted(pids))}" if pids else "a process of another user"
        return f"port {port} of {host} is in use by {who}; stop it or set zot_port to a free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"the address {host} is not one of this host's; set zot_address"
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for root; set zot_port to one above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror}"


def listeners(port: int, runner: Runner) -> set[int]:
    """The processes that listen on TCP ``port``, as far as this user may see them."""
    if Path("/proc/net/tcp").exists():
        return _from_proc(port)
    done = runner(["/usr/sbin/lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"])
    return {int(line) for line in done.stdout.split() if line.isdigit()}


def _from_proc(port: int) -> set[int]:
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    pids = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_opened(link) in sockets for link in (process / "fd").iterdir()):
                pids.add(int(process.name))
    return pids


def _opened(link: Path) -> str:
    """What a descriptor stands for; empty when it was closed meanwhile, as happens all the time in a busy process."""
    try:
        return str(link.readlink())
    except OSError:
        return ""
