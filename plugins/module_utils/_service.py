# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the service manager's view of zot: which process it runs, and what that logged last."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner

ARGUMENT_SPEC = {
    "manager": {"type": "str", "choices": ["launchd", "systemd", "systemd_user"], "required": True},
    "name": {"type": "str", "required": True},
    "launchctl": {"type": "path", "default": "/bin/launchctl"},
    "log_paths": {"type": "list", "elements": "path", "default": []},
}

_LOG_LINES = 20
_READ_LINES = 200
_TAIL_BYTES = 65536

# What follows the cause: cobra's usage, Go's trace of a panic, and systemd's account of starting again.
_AFTERMATH = re.compile(
    r"|\s.*|(Usage|Aliases|Flags):|goroutine \d+ \[.*|created by .*|\S+\(.*\)"
    r"|(Starting|Started|Stopping|Stopped) \S+\.service.*|\S+\.service: (Failed with result|Scheduled restart job).*"
)


class Service(t.NamedTuple):
    """A launchd label or a systemd unit, as its manager knows it."""

    manager: str
    name: str
    launchctl: str = "/bin/launchctl"
    log_paths: tuple[str, ...] = ()
    uid: int = 0

    def pid(self, runner: Runner) -> int | None:
        """The main process, or None when there is none or the manager does not answer."""
        if self.manager == "launchd":
            for domain in (f"gui/{self.uid}", f"user/{self.uid}"):
                found = re.search(r"^\tpid = (\d+)$", runner([self.launchctl, "print", f"{domain}/{self.name}"]).stdout, re.MULTILINE)
                if found:
                    return int(found.group(1))
            return None
        found = re.search(r"^MainPID=([1-9]\d*)$", runner([*self._systemctl(), "show", "-p", "MainPID", self.name]).stdout, re.MULTILINE)
        return int(found.group(1)) if found else None

    def last_words(self, runner: Runner) -> list[str]:
        """What it logged last, at most 20 lines. Of zot's JSON lines only level, message and error: others hold headers."""
        if self.manager == "launchd":
            lines = [line for path in self.log_paths for line in _tail(Path(path))]
        else:
            lines = runner(["journalctl", *self._journal(), "-n", str(_READ_LINES), "-o", "cat", "-q"]).stdout.splitlines()
            if not lines and self.manager == "systemd_user":
                return [f"(nothing that this user may read in the journal; as root: journalctl {' '.join(self._identified())})"]
        return [shown for shown in map(_readable, lines) if shown][-_LOG_LINES:]

    def _systemctl(self) -> list[str]:
        if self.manager == "systemd":
            return ["systemctl"]
        # Whoever became the user has no session of the user's.
        return ["env", f"XDG_RUNTIME_DIR=/run/user/{self.uid}", "systemctl", "--user"]

    def _journal(self) -> list[str]:
        if self.manager == "systemd":
            return ["-u", self.name]
        unit, own = f"{self.name.removesuffix('.service')}.service", f"_UID={self.uid}"
        return ["--user", own, f"_SYSTEMD_USER_UNIT={unit}", "+", own, f"USER_UNIT={unit}", "+", *self._identified()]

    def _identified(self) -> list[str]:
        """Of a user's process that has ended the journal may not know the unit any more, but what it called itself."""
        return [f"_UID={self.uid}", f"SYSLOG_IDENTIFIER={self.name.removesuffix('.service')}"]


def command_line(pid: int, runner: Runner) -> str:
    """The arguments of a process, separated by blanks; empty when it is gone."""
    proc = Path(f"/proc/{pid}/cmdline")
    if proc.exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it ended in between
            return ""
    return runner(["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]).stdout.strip()


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()[-_READ_LINES:]
    except OSError:
        return []


def _readable(line: str) -> str:
    try:
        entry: t.Any = json.loads(line)
    except ValueError:
        return "" if _AFTERMATH.fullmatch(line) else line[:500]
    if not isinstance(entry, dict) or entry.get("level") in ("debug", "trace"):
        return ""
    return " ".join(str(entry[key]) for key in ("level", "message", "error") if entry.get(key))
