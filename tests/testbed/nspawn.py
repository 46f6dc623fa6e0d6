# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian hosts with a real systemd, booted in half a second by systemd-nspawn. Linux and root.

A host has no network but its own loopback and keeps its changes in RAM, so it cannot be rebooted, only made anew. ssh reaches it
through its namespaces.

    with nspawn.hosts("zot1", bind_ro={Path("/usr/local/bin/zot"): "/usr/local/bin/zot"}) as bed:
        bed.inventory_file                  # for ansible-playbook -i
        bed["zot1"].run(["systemctl", "--failed"])
        with bed["zot1"].network():         # this thread, and what it starts, is on the host's loopback
            requests.get("http://127.0.0.1:5050/readyz")

For systemd's user scope: ``bed["zot1"].add_user()`` makes the ordinary user ``zotuser``, lets it linger, and opens ssh to it
(``host.vars(user="zotuser")``); ``host.run([...], user="zotuser")`` runs a command as it, where `systemctl --user` works.

On the command line: ``python -m testbed.nspawn image | up NAME... | down [NAME...]``.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import functools
import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support.waiting import until

from testbed import _common
from testbed._common import CACHE, BedError, sbin, started

PROGRAMS = ("mmdebstrap", "systemd-nspawn", "nsenter", "setpriv", "ssh", "ssh-keygen")
USER = "zotuser"

SUITE = "bookworm"
PACKAGES = [
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "polkitd"),
    *("python3", "python3-bcrypt"),
    *("openssh-server", "sudo", "iproute2", "procps", "ca-certificates"),
]
_OPTIONS = [
    "--variant=minbase",
    # Root makes plain files and folders; the other modes need subordinate ids or another program.
    "--mode=root",
    "--format=directory",
    f"--include={','.join(PACKAGES)}",
    '--aptopt=Acquire::Languages "none"',
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
    # A host's name is the one it is booted with, and this computer's own settings are none of its business.
    '--customize-hook=rm "$1/etc/hostname" "$1/etc/resolv.conf"',
    # Without a network they only fail, at a time nobody chose.
    '--customize-hook=chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer',
]
_GROUP_PREFIX = "zot-testbed."


# The image


def image() -> Path:
    """The root file system all hosts start from, built on first use (under a minute) and kept under `.cache`.

    The name holds a hash of the recipe, and a build gets its name only when it is complete.
    """
    recipe = json.dumps([SUITE, platform.machine(), _OPTIONS])
    path = CACHE / f"debian-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if path.is_dir():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_dir():  # another run may have built it meanwhile
            for abandoned in CACHE.glob("building-*"):
                shutil.rmtree(abandoned)
            _build(path)
    return path


def _build(path: Path) -> None:
    sys.stderr.write("Building the Debian image for the test hosts, once; this takes a minute.\n")
    building = Path(tempfile.mkdtemp(prefix="building-", dir=CACHE))
    log = CACHE / "build.log"
    try:
        building.chmod(0o755)  # it becomes the hosts' /, and every user in them has to enter it
        # Namespaces of its own: if the build is stopped, its processes and mounts end with the first of them.
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        # Without a mirror, mmdebstrap takes Debian's, with the updates and security updates of the suite.
        process = _common.spawn([*isolated, sbin("mmdebstrap"), "--quiet", *_OPTIONS, SUITE, str(building)], log, tied="KILL")
        try:
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if code:
            raise BedError(f"mmdebstrap failed with exit status {code}: {_common.tail(log)}")
        building.rename(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        log.unlink(missing_ok=True)


# Hosts


@dataclass(frozen=True)
class Host:
    """A booted host."""

    name: str
    machine: str  # unique on this computer, as the name need not be
    pid: int  # of systemd-nspawn
    start: str
    groups: tuple[str, ...]  # control groups made for it
    state: str
    control: str

    @property
    def leader(self) -> int:
        """The host's process 1 as this computer sees it."""
        for child in _common.children(self.pid):
            # While systemd-nspawn sets the host up, its child is still in our namespaces.
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
                    return child
        raise BedError(f"{self.name} is not running: {_common.tail(Path(self.state) / f'{self.name}.log')}")

    def vars(self, user: str = "root") -> dict[str, str]:
        """Inventory variables; ``user`` is root or one that `add_user` made."""
        return _common.host_vars(self.name, user, Path(self.state), Path(self.control))

    def run(
        self, argv: Sequence[str], *, user: str | None = None, stdin: str = "", check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host, as root or as ``user`` with a user's environment."""
        command = [
            "nsenter",
            "--all",
            f"--target={self.leader}",
            "env",
            "-i",
            "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LC_ALL=C",
        ]
        if user:
            uid = int(self.run(["id", "-u", user]).stdout)
            command += [f"XDG_RUNTIME_DIR=/run/user/{uid}", "runuser", "-u", user, "--"]
        done = subprocess.run([*command, *argv], input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise BedError(
                f"{self.name}: {shlex.join(argv)}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
            )
        return done

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Put this thread, and every program it starts, on the host's network, for clients of what listens there."""
        with Path("/proc/thread-self/ns/net").open("rb") as own, Path(f"/proc/{self.leader}/ns/net").open("rb") as theirs:
            _enter_network(theirs.fileno())
            try:
                yield
            finally:
                _enter_network(own.fileno())

    def add_user(self, name: str = USER, *, linger: bool = True) -> int:
        """Make an ordinary user that ssh may log in as, and return its id; one that lingers has a systemd of its own from now on."""
        self.run(["useradd", "--create-home", "--shell", "/bin/bash", name])
        self.run(["install", "-d", "-m", "0700", "-o", name, "-g", name, f"/home/{name}/.ssh"])
        self.run(["install", "-m", "0600", "-o", name, "-g", name, "/root/.ssh/authorized_keys", f"/home/{name}/.ssh/authorized_keys"])
        if linger:
            self.run(["loginctl", "enable-linger", name])
            ready = functools.partial(self._is_up, "systemctl", "--user", user=name)
            if not until(ready, 20):
                raise BedError(f"{self.name}: the systemd of user {name} does not come up")
        return int(self.run(["id", "-u", name]).stdout)

    def _is_up(self, *systemctl: str, user: str | None = None) -> bool:
        try:
            state = self.run([*systemctl, "is-system-running"], user=user, check=False, timeout=20).stdout.strip()
        except (BedError, subprocess.TimeoutExpired):
            return False
        return state in ("running", "degraded")


def _enter_network(descriptor: int) -> None:
    clone_newnet = 0x40000000
    if hasattr(os, "setns"):  # Python 3.12
        os.setns(descriptor, clone_newnet)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, clone_newnet):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Bed:
    """Some hosts, and the folder that holds what is known of them: `ssh_config`, `inventory.yml`, the key, the hosts' console logs."""

    state: Path
    hosts: dict[str, Host] = field(default_factory=dict)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def load(cls, state: Path) -> Bed:
        """The hosts of an earlier process."""
        state = state.resolve()
        try:
            known = json.loads((state / "hosts.json").read_text())
        except FileNotFoundError:
            known = {}
        return cls(state, {name: Host(**{**host, "groups": tuple(host["groups"])}) for name, host in known.items()})

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def ssh_config(self) -> Path:
        return self.state / "ssh_config"

    @property
    def inventory_file(self) -> Path:
        return self.state / "inventory.yml"

    def inventory(self) -> dict[str, dict[str, str]]:
        """The hosts' inventory variables by host name."""
        return {name: host.vars() for name, host in self.hosts.items()}

    def up(self, names: Sequence[str], bind_ro: Mapping[Path, str] | None = None, *, tied: bool = False) -> None:
        """Boot hosts, together, and wait until systemd has started everything. All or none come up."""
        if again := [name for name in names if name in self.hosts and started(self.hosts[name].pid) == self.hosts[name].start]:
            raise BedError(f"already up: {', '.join(again)}")
        root = image()
        self.down([name for name, host in self.hosts.items() if started(host.pid) != host.start])  # what is left of those that died
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.state / "key").exists():
            _common.make_key(self.state / "key")
        key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (self.state / "known_hosts").write_text(f"* {key}")
        try:
            for name in names:
                self._start(name, root, bind_ro or {}, tied)
            for name in names:
                if not until(lambda host=self.hosts[name]: self._booted(host), 60):
                    raise BedError(f"{name} did not come up in time: {_common.tail(self._log(name))}")
            self._write()
        except BaseException:
            self.down(list(names))
            raise

    def _log(self, name: str) -> Path:
        return self.state / f"{name}.log"

    def _booted(self, host: Host) -> bool:
        child = self._children[host.name]
        if child.poll() is not None:
            raise BedError(f"{host.name} ended with exit status {child.returncode}: {_common.tail(self._log(host.name))}")
        return host._is_up("systemctl")

    def _start(self, name: str, root: Path, bind_ro: Mapping[Path, str], tied: bool) -> None:
        machine = f"{name}-{os.getpid()}"
        binds = {self.state / "key.pub": "/root/.ssh/authorized_keys", **bind_ro}
        argv = [sbin("systemd-nspawn"), "--quiet", "--register=no", f"--machine={machine}", f"--hostname={name}"]
        argv += ["--volatile=overlay", "--link-journal=no", "--private-network", f"--directory={root}"]
        argv += [f"--bind-ro={_escaped(source.resolve())}:{_escaped(target)}" for source, target in binds.items()]
        groups: list[Path] = []
        if not Path("/run/systemd/system").is_dir():
            # No systemd here to ask for a scope, so the host stays in our control group. Without one of its own, two
            # hosts would share one tree, and each systemd would take the other's services for its own.
            groups = _make_groups(machine)
            argv += ["--keep-unit"]
        argv += ["--boot"]
        control = _common.make_control_dir()
        log = self._log(name)
        child: subprocess.Popen[bytes] | None = None
        try:
            child = self._children[name] = _common.spawn([*_joining(groups), *argv], log, tied="TERM" if tied else "")
        finally:
            # Noted even if we are being stopped, so that `down` finds what there is.
            pid = child.pid if child else 0
            names = tuple(map(str, groups))
            self.hosts[name] = Host(name, machine, pid, started(pid) if pid else "", names, str(self.state), str(control))
            self._save()

    def _save(self) -> None:
        fresh = self.state / "hosts.json.new"
        fresh.write_text(json.dumps({name: asdict(host) for name, host in self.hosts.items()}))
        fresh.rename(self.state / "hosts.json")

    def _write(self) -> None:
        stanzas = []
        for host in self.hosts.values():
            # An sshd of its own for each connection, started inside. The host is not asked to listen anywhere.
            options = {"ProxyCommand": f"nsenter --all --target={host.leader} /usr/sbin/sshd -i"}
            stanzas.append(_common.ssh_stanza(host.name, "root", self.state, Path(host.control), options))
        self.ssh_config.write_text("".join(stanzas))
        _common.write_inventory(self.inventory_file, self.inventory())

    def down(self, names: Sequence[str] | None = None) -> None:
        """Switch hosts off, all of them if none is named. What they held is lost, so their power is simply cut."""
        for name in list(self.hosts) if names is None else names:
            if host := self.hosts.get(name):
                _common.close_masters(Path(host.control))
                self._cut(host)
                del self.hosts[name]
                self._save()
        if not self.hosts:
            shutil.rmtree(self.state, ignore_errors=True)
        elif self.inventory_file.exists():
            _common.write_inventory(self.inventory_file, self.inventory())

    def _cut(self, host: Host) -> None:
        if host.start and started(host.pid) == host.start:
            with contextlib.suppress(BedError, ProcessLookupError):
                os.kill(host.leader, signal.SIGKILL)  # takes every process in the host along
                until(lambda: started(host.pid) != host.start, 10)
            _common.stop(host.pid, host.start)
        if child := self._children.pop(host.name, None):
            child.wait(timeout=10)
        for group in map(Path, host.groups):
            for pid in _members(group):  # some only if systemd-nspawn was killed: it does not take the host along
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not until(lambda group=group: _remove_group(group), 10):
                raise BedError(f"{host.name} left processes in {group}")
        # systemd-nspawn leaves these where /run is not a file system of its own.
        for part in ("propagate", "unix-export"):
            shutil.rmtree(f"/run/systemd/nspawn/{part}/{host.machine}", ignore_errors=True)


def _escaped(path: Path | str) -> str:
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


def _hierarchies() -> Iterator[tuple[str, str]]:
    """Where the control groups that systemd uses are mounted, and the group in each that we are in."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = left.split()[4]
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            mounts["name=systemd"] = left.split()[4]
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers in mounts:
            yield mounts[controllers], own


def _make_groups(machine: str) -> list[Path]:
    groups = []
    for mount, own in _hierarchies():
        parent = Path(mount) / own.lstrip("/")
        for old in parent.glob(f"{_GROUP_PREFIX}*"):
            # Of a run that was killed. One whose maker still lives may be about to be used.
            if not started(int(old.name.rpartition("-")[2])):
                _remove_group(old)
        group = parent / f"{_GROUP_PREFIX}{machine}"
        group.mkdir()
        groups.append(group)
    return groups


def _members(group: Path) -> list[int]:
    """The processes in a control group and in those below it."""
    found: list[int] = []
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()]
    return found


def _remove_group(group: Path) -> bool:
    """Remove a control group and those below it, unless processes are left in them."""
    if _members(group):
        return False
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(folder).rmdir()
    return True


def _joining(groups: Sequence[Path]) -> list[str]:
    """A command in front of another that puts it into control groups first."""
    if not groups:
        return []
    script = 'until [ "$1" = -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
    return ["sh", "-c", script, "sh", *map(str, groups), "--"]


@contextlib.contextmanager
def hosts(*names: str, bind_ro: Mapping[Path, str] | None = None) -> Iterator[Bed]:
    """Hosts that live until the block ends. ``bind_ro`` shows files or folders of this computer in every one, read-only."""
    bed = Bed(Path(tempfile.mkdtemp(prefix="zot-bed-")))
    try:
        bed.up(names, bind_ro, tied=True)
        yield bed
    finally:
        bed.down()


def _bind(text: str) -> tuple[Path, str]:
    source, _, target = text.partition(":")
    if not Path(source).exists():
        raise argparse.ArgumentTypeError(f"{source} does not exist")
    return Path(source), target or str(Path(source).absolute())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="testbed.nspawn", description="Debian test hosts with a real systemd. Needs root.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image", help="build the image if need be and print where it is")
    up = commands.add_parser("up", help="boot hosts and print the inventory file")
    down = commands.add_parser("down", help="remove hosts, all if none is named")
    up.add_argument("names", nargs="+", metavar="NAME")
    up.add_argument(
        "--bind-ro", action="append", default=[], type=_bind, metavar="SOURCE[:TARGET]", help="show a file or folder, read-only"
    )
    down.add_argument("names", nargs="*", metavar="NAME")
    for command in (up, down):
        command.add_argument("--state", type=Path, default=CACHE / "nspawn", help="folder for what is known of the hosts")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being stopped cleans up, as Ctrl-C does
    try:
        if reason := _common.missing(PROGRAMS):
            raise BedError(reason)
        if options.command == "image":
            _print(image())
        elif options.command == "up":
            bed = Bed.load(options.state)
            bed.up(options.names, dict(options.bind_ro))
            _print(bed.inventory_file)
        else:
            Bed.load(options.state).down(options.names or None)
    except BedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _print(value: t.Any) -> None:
    sys.stdout.write(f"{value}\n")


if __name__ == "__main__":
    sys.exit(main())
