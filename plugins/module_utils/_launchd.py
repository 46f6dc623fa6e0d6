# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: launchd, asked and told through launchctl.

Exit codes of launchctl say little: 5 stands for almost anything, C(bootout) returns before the job is gone and a successful
C(bootstrap) does not mean that anything runs. So every effect is looked at with C(launchctl print), within a deadline, and only
its 113 means "not loaded".
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._plist import Definition
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, Runner

_POLL = 0.25
_RETRY = 0.5
_STEADY = 1.0
_IDLE = 2.0  # seconds a fresh job may wait for launchd before it is nudged
_SLACK = 10  # seconds beyond ExitTimeOut
_EXIT_TIMEOUT = 5  # launchd's, where the definition has none
_TRIES = 5

_NOT_LOADED = (3, 113)
_NO_DOMAIN = (112, 125)
_TRANSIENT = (5, 17, 36, 37)
_LEAVING = ("SIGTERMed", "SIGKILLed")
_HINTS = {
    5: "launchd hides its reason; see: log show --last 5m --predicate 'subsystem == \"com.apple.xpc.launchd\" AND processID == 1'",
    109: "the file is no property list",
    112: "that user has no session",
    119: "the label is disabled, perhaps in System Settings > Login Items",
    122: "the file must belong to the user and be writable by nobody else",
    124: "the session is ending",
    125: "that user has no such session",
    134: "LimitLoadToSessionType does not allow this session",
    161: "it was switched off in System Settings > Login Items, or by a device profile",
}

Clock = t.Any
"""M(time), or what a test has instead: C(monotonic) and C(sleep)."""


@dataclass(frozen=True)
class Job:
    """A loaded job as C(launchctl print) shows it. The format is no interface, so whatever is not understood is None or empty."""

    domain: str
    state: str | None = None
    pid: int | None = None
    runs: int | None = None
    last_exit_code: int | None = None  # negative: a signal
    path: str | None = None
    exit_timeout: int = _EXIT_TIMEOUT
    fields: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] | None = None  # the raw lines
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def leaving(self) -> bool:
        """It was told to end; its label is not free yet."""
        return self.state in _LEAVING

    @property
    def running(self) -> bool:
        """It has a process; also where nothing tells, since unknown output must not cause a restart."""
        if self.state is None:
            return True
        return self.state == "running" and self.pid is not None

    def shows(self, definition: Definition) -> bool:
        """Whether nothing that is printed contradicts the definition."""
        lines = tuple("\n".join("\t\t" + item for item in definition.get("ProgramArguments", [definition.get("Program", "")])).split("\n"))
        if self.arguments is not None and "\t}" not in lines and self.arguments != lines:
            return False
        named = {"working directory": "WorkingDirectory", "stdout path": "StandardOutPath", "stderr path": "StandardErrorPath"}
        if any(name in self.fields and self.fields[name] != definition.get(key) for name, key in named.items()):
            return False
        variables = definition.get("EnvironmentVariables", {})
        return not self.environment or all("\n" in value or self.environment.get(name) == value for name, value in variables.items())


@dataclass(frozen=True)
class Probe:
    """What a domain holds of a label."""

    exists: bool
    job: Job | None = None


def parse_job(domain: str, text: str) -> Job:
    """The answer of C(launchctl print DOMAIN/LABEL); never fails. Nested blocks repeat names of the top level and are skipped."""
    fields: dict[str, str] = {}
    blocks: dict[str, tuple[str, ...]] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        found = re.match(r"\t(\w[\w ]*) = (.*)$", line)
        if found and found[2] == "{":
            blocks.setdefault(found[1], tuple(iter(lambda: next(lines, "\t}"), "\t}")))
        elif found:
            fields.setdefault(found[1], found[2])
    pairs = (re.match(r"\t\t([^ ]+) => (.*)$", line) for line in blocks.get("environment", ()))
    return Job(
        domain=domain,
        state=fields.get("state"),
        pid=_number(fields.get("pid")),
        runs=_number(fields.get("runs")),
        last_exit_code=_last_exit_code(fields),
        path=fields.get("path"),
        exit_timeout=_number(fields.get("exit timeout")) or _EXIT_TIMEOUT,
        fields=fields,
        arguments=blocks.get("arguments"),
        environment={pair[1]: pair[2] for pair in pairs if pair},
    )


def parse_disabled(text: str, label: str) -> bool | None:
    """Whether C(launchctl print-disabled) lists the label as disabled; None when the answer is not understood."""
    head = re.search(r"^\tdisabled services = (.*)$", text, re.MULTILINE)
    if not head:
        return None
    store = text[head.end() :].split("\n\t}", 1)[0] if head[1] == "{" else ""
    found = re.search(rf'^\t\t"{re.escape(label)}" => (\w+)$', store, re.MULTILINE)
    return bool(found) and found[1] in ("disabled", "true")


class Launchctl:
    """launchctl for the agents of one user. Tests pass a scripted runner and a clock that does not wait."""

    def __init__(self, runner: Runner, clock: Clock, path: str = "/bin/launchctl", wait_timeout: float = 60) -> None:
        self._runner = runner
        self._clock = clock
        self._path = path
        self._wait_timeout = wait_timeout

    def call(self, *arguments: str, timeout: float = 30) -> Completed:
        """Run it; raises ZotError only when there is no launchctl."""
        done = self._runner([self._path, *arguments], timeout=timeout)
        if done.rc == 127:
            raise ZotError(f"{self._path} cannot be run ({done.stderr}): launch_agent needs macOS")
        return done

    def has_domain(self, domain: str) -> bool:
        """Whether the user has such a session; fails closed."""
        done = self.call("print", domain)
        if done.rc not in (0, *_NO_DOMAIN):
            raise _failed(done, "print", domain)
        return done.rc == 0

    def probe(self, domain: str, label: str) -> Probe:
        """What the domain holds of the label; an answer that is neither "loaded" nor "not loaded" raises ZotError."""
        done = self.call("print", f"{domain}/{label}")
        if done.rc == 0:
            return Probe(True, parse_job(domain, done.stdout))
        if done.rc in _NOT_LOADED:
            return Probe(True)
        if done.rc in _NO_DOMAIN:
            return Probe(False)
        raise _failed(done, "print", f"{domain}/{label}")

    def disabled(self, domain: str, label: str) -> bool | None:
        """Whether the label is switched off in the user's store, which outlives the job and the file; None: unknown."""
        done = self.call("print-disabled", domain)
        return parse_disabled(done.stdout, label) if done.rc == 0 else None

    def switch(self, domain: str, label: str, on: bool) -> None:
        """Enable or disable the label for this and every later session."""
        verb = "enable" if on else "disable"
        done = self.call(verb, f"{domain}/{label}")
        if done.rc != 0:
            raise _failed(done, verb, f"{domain}/{label}")

    def bootout(self, domain: str, label: str, exit_timeout: int) -> None:
        """Unload the job and wait until its label is free, at least ``exit_timeout`` (seconds) and some more."""
        target = f"{domain}/{label}"
        done = self.call("bootout", target)
        if done.rc == 5 and not self.probe(domain, label).job:
            return
        if done.rc not in (0, 36, 37, *_NOT_LOADED, *_NO_DOMAIN):
            raise _failed(done, "bootout", target)
        timeout = max(self._wait_timeout, exit_timeout + _SLACK)
        deadline = self._clock.monotonic() + timeout
        while True:
            job = self.probe(domain, label).job
            if job is None:
                return
            if self._clock.monotonic() >= deadline:
                raise ZotError(f"{target} was told to end, but is still there after {timeout:g} s (state {job.state}, pid {job.pid})")
            self._clock.sleep(_POLL)

    def bootstrap(self, domain: str, label: str, path: str, exit_timeout: int | None = None) -> None:
        """Load the file. ``exit_timeout`` (seconds) is that of the job just booted out, after which launchd may refuse for a while."""
        deadline = None if exit_timeout is None else self._clock.monotonic() + exit_timeout + _SLACK
        enabled = False
        for tries in range(1, 1000):
            done = self.call("bootstrap", domain, path)
            if done.rc == 0:
                return
            if done.rc == 119 and not enabled:
                self.switch(domain, label, on=True)
                enabled = True
                continue
            expired = tries >= _TRIES if deadline is None else self._clock.monotonic() >= deadline
            if done.rc not in _TRANSIENT or expired:
                break
            job = self.probe(domain, label).job
            if job:  # another definition is loaded, or is still on its way out
                self.bootout(domain, label, job.exit_timeout)
            else:
                self._clock.sleep(_RETRY)
        raise _failed(done, "bootstrap", f"{domain} {path}")

    def kickstart(self, domain: str, label: str, kill: bool = False) -> None:
        """Start the job, or with ``kill`` restart it from the definition launchd holds. What comes of it is for `wait_running`."""
        flags = ["-k"] if kill else []
        for _try in range(_TRIES):
            done = self.call("kickstart", *flags, f"{domain}/{label}", timeout=min(60, self._wait_timeout))
            if done.rc != 5:
                break
            self._clock.sleep(_RETRY)
        if done.rc not in (0, 37, 124):
            raise _failed(done, " ".join(["kickstart", *flags]), f"{domain}/{label}")

    def wait_running(self, domain: str, label: str, before: Job | None = None, started: float | None = None) -> Job:
        """Wait until it runs, another process than ``before``'s, and still does a second later.

        Raises ZotError when it dies or does not come within the timeout, which counts from ``started`` (the clock's time).
        """
        deadline = (self._clock.monotonic() if started is None else started) + self._wait_timeout
        own_run = 1 if before is None else None if before.runs is None else before.runs + 1
        nudge_at: float | None = self._clock.monotonic() + _IDLE
        steady: Job | None = None
        while True:
            job = self.probe(domain, label).job
            if job is None:
                raise ZotError(f"{domain}/{label} is not loaded any more: was it switched off in System Settings > Login Items?")
            if job.state is None:
                return job
            fresh = job.running and (before is None or job.pid != before.pid)
            if steady and not (fresh and (job.pid, job.runs) == (steady.pid, steady.runs)):
                raise _died(job, domain, label)
            if steady:
                return job
            if fresh:
                steady = job
                self._clock.sleep(_STEADY)
                continue
            if _has_died(job, own_run):
                raise _died(job, domain, label)
            now = self._clock.monotonic()
            if nudge_at and now >= nudge_at and job.state == "not running" and not job.runs:
                self.kickstart(domain, label)  # a session that has just begun starts jobs on demand only
                nudge_at = None
            if now >= deadline:
                raise ZotError(
                    f"{domain}/{label} does not run after {self._wait_timeout:g} s (state {job.state}, pid {job.pid})", **_seen(job)
                )
            self._clock.sleep(_POLL)


def _has_died(job: Job, own_run: int | None) -> bool:
    """It ran and ended, as opposed to not having been started yet."""
    if job.running or job.leaving or job.state not in ("not running", "spawn scheduled", "exited"):
        return False
    if job.runs is None or own_run is None:
        return job.state != "not running"
    return job.runs >= own_run


def _died(job: Job, domain: str, label: str) -> ZotError:
    why = ""
    if job.last_exit_code == 78:
        why = " (launchd could not start it: is the program there and executable, do WorkingDirectory and the logs' folder exist?)"
    return ZotError(
        f"{domain}/{label} does not keep running: state {job.state} after {job.runs} runs, last exit code {job.last_exit_code}{why}",
        **_seen(job),
    )


def _seen(job: Job) -> dict[str, t.Any]:
    return {"state": job.state, "pid": job.pid, "runs": job.runs, "last_exit_code": job.last_exit_code}


def _failed(done: Completed, verb: str, target: str) -> ZotError:
    """What launchctl said, without its advice to become root, and what usually is the reason."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and "for richer errors" not in line]
    hint = f" ({_HINTS[done.rc]})" if done.rc in _HINTS else ""
    return ZotError(f"launchctl {verb} {target} failed with {done.rc}: {' '.join(lines) or 'it said nothing'}{hint}", rc=done.rc)


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None


def _last_exit_code(fields: dict[str, str]) -> int | None:
    """C(78: EX_CONFIG) is 78, C(Killed: 9) is -9, C((never exited\\)) is None."""
    signalled = re.search(r": (\d+)$", fields.get("last terminating signal", ""))
    if signalled:
        return -int(signalled[1])
    code = re.match(r"-?\d+", fields.get("last exit code", ""))
    return int(code[0]) if code else None
