# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the module launch_agent does: observe -> plan -> apply.

A run may be stopped anywhere. No step leaves a new file beside an old job, and whatever a stopped run leaves behind is seen and
finished by the next: there is no record of progress.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import pwd
import secrets
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils import _plist
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner, sync_folder, write_file
from ansible_collections.blumeops.zot.plugins.module_utils._launchd import Clock, Job, Launchctl
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner, run
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service

_LOADED = ("started", "loaded")
_NOT_AFTER_REBOOT = "{domain}: the agent runs now, but is not started after a reboot; that needs a GUI login of its user (automatic login)"
_WAYS_OUT = (
    "there is no session {domain}: log in on the Mac's screen, or turn on automatic login, or run the program as a LaunchDaemon; "
    "allow_unloaded writes the file for the next login"
)


@dataclass(frozen=True)
class Desired:
    """What the user asked for. ``definition`` is None where the file on the host says it."""

    label: str
    state: str
    path: Path
    uid: int
    gid: int
    definition: _plist.Definition | None = None
    domain: str = "auto"
    mode: int = 0o644
    enabled: bool = True
    restart: bool = False
    allow_unloaded: bool = False
    redact: bool = True


@dataclass(frozen=True)
class Current:
    """What is there: the label in both sessions, the file, the switch (None: unknown).

    ``domain`` is the session to use, ``store`` the one to ask for the switch: all sessions of a user share it, but they must exist.
    """

    domain: str
    reachable: bool
    store: str
    gui_session: bool
    job: Job | None
    strays: tuple[Job, ...]  # in another session, where they would fight for the same port
    disabled: bool | None
    file: _plist.PlistFile

    @property
    def loaded(self) -> tuple[Job, ...]:
        return (*self.strays, *([self.job] if self.job else []))


class Step(t.NamedTuple):
    """One change: bootout, write, remove, enable, disable, bootstrap, kickstart or restart."""

    verb: str
    domain: str


@dataclass(frozen=True)
class Plan:
    """The changes, in order, and the definition that is wanted."""

    steps: tuple[Step, ...] = ()
    definition: _plist.Definition | None = None
    warnings: tuple[str, ...] = ()

    @property
    def actions(self) -> list[str]:
        return [step.verb for step in self.steps]

    def last(self, *verbs: str) -> str | None:
        """The last of these verbs that the plan has."""
        return next((verb for verb in reversed(self.actions) if verb in verbs), None)


def desired_from(params: dict[str, t.Any]) -> Desired:
    """The module's options, checked; raises ZotError."""
    account = _account(params["user"])
    if os.geteuid() not in (0, account.pw_uid):
        raise ZotError(f"only {account.pw_name} and root can manage the agents of {account.pw_name}: use become or become_user")
    _plist.require_label(params["label"])
    home = account.pw_dir
    options = {key: value for key, value in (params["options"] or {}).items() if value is not None}
    sessions = options.get("LimitLoadToSessionType")
    if sessions and len(sessions) == 1:
        options["LimitLoadToSessionType"] = sessions[0]  # launchd versions differ on lists
    definition = _plist.build(params["label"], params["program_arguments"], options, params["definition"], home)
    return Desired(
        label=params["label"],
        state=params["state"],
        path=Path(_plist.expand(params["plist_dir"], home)) / f"{params['label']}.plist",
        uid=account.pw_uid,
        gid=account.pw_gid,
        definition=definition,
        domain=params["domain"],
        mode=_mode(params["mode"]),
        enabled=params["enabled"],
        restart=params["restart"],
        allow_unloaded=params["allow_unloaded"],
        redact=params["redact_env"],
    )


def observe(desired: Desired, launchctl: Launchctl) -> Current:
    """Look, and choose the session once: the one it is loaded in, else the GUI session if there is one, else the background one."""
    gui, user = (f"{kind}/{desired.uid}" for kind in ("gui", "user"))
    probes = {domain: launchctl.probe(domain, desired.label) for domain in (gui, user)}
    found = {domain: probe.job for domain, probe in probes.items() if probe.job}
    gui_session = probes[gui].exists and (bool(found) or launchctl.has_domain(gui))
    domain = next(iter(found), gui if gui_session else user) if desired.domain == "auto" else f"{desired.domain}/{desired.uid}"
    reachable = gui_session if domain == gui else probes[user].exists
    store = domain if reachable else user
    return Current(
        domain=domain,
        reachable=reachable,
        store=store,
        gui_session=gui_session,
        job=found.get(domain),
        strays=tuple(job for where, job in found.items() if where != domain),
        disabled=launchctl.disabled(store, desired.label),
        file=_plist.look(desired.path),
    )


def plan(desired: Desired, current: Current) -> Plan:
    """What to change, and in which order; raises ZotError where the wanted state cannot be reached."""
    if desired.state == "absent":
        return _plan_absent(current)
    definition = _definition(desired, current)
    steps = []
    if definition and not current.file.fits(definition, desired.mode, desired.uid):
        steps.append(Step("write", current.domain))
    warnings = [current.file.problem and f"{current.file.path} {current.file.problem}; it is replaced"] if desired.definition else []
    if desired.state in _LOADED:
        if not current.reachable:
            if not desired.allow_unloaded:
                raise ZotError(_WAYS_OUT.format(domain=current.domain))
            warnings.append(f"the agent is not loaded: {_WAYS_OUT.format(domain=current.domain).split(';')[0]}")
        else:
            steps = _plan_started(desired, current, definition or {}, steps)
            warnings += [_NOT_AFTER_REBOOT.format(domain=current.domain)] if current.domain.startswith("user/") else []
    else:
        if desired.state == "stopped":
            steps = [*(Step("bootout", job.domain) for job in current.loaded), *steps]
        steps += _switch(desired.enabled, current.disabled, current.store)
    return Plan(tuple(steps), definition, tuple(warning for warning in warnings if warning))


def _plan_absent(current: Current) -> Plan:
    steps = [Step("bootout", job.domain) for job in current.loaded]
    steps += [Step("remove", current.domain)] if current.file.content is not None or current.file.link else []
    steps += _switch(True, current.disabled, current.store)  # leave no entry that would hold back a later agent
    return Plan(tuple(steps))


def _plan_started(desired: Desired, current: Current, definition: _plist.Definition, write: list[Step]) -> list[Step]:
    """Bootout comes before the file is written, so that a run stopped between them leaves no new file beside an old job."""
    job = current.job
    reload = job is not None and (job.leaving or not is_current(job, current.file, definition))
    out = [Step("bootout", stray.domain) for stray in current.strays] + ([Step("bootout", job.domain)] if job and reload else [])
    if job is None or reload:
        start = [Step("bootstrap", current.domain)]
    elif desired.state == "loaded":
        start = []  # it runs when it is due
    elif not job.running:
        start = [Step("kickstart", current.domain)]
    else:
        start = [Step("restart", current.domain)] if desired.restart else []
    unlock: list[Step] = []
    if start and (current.disabled or (current.disabled is None and start[0].verb == "bootstrap")):
        unlock = [Step("enable", current.domain)]
    disabled = False if unlock else current.disabled
    return [*out, *write, *unlock, *start, *_switch(desired.enabled, disabled, current.domain)]


def _switch(wanted: bool, disabled: bool | None, domain: str) -> list[Step]:
    """An unknown switch is left alone when it should be on: it is turned on before anything is loaded anyway."""
    if wanted:
        return [Step("enable", domain)] if disabled else []
    return [] if disabled else [Step("disable", domain)]


def _definition(desired: Desired, current: Current) -> _plist.Definition | None:
    """The wanted definition: the user's, rendered for the session and sealed, or else what the file says."""
    if desired.definition is not None:
        background = current.domain.startswith("user/")
        session = {"LimitLoadToSessionType": "Background"} if background else {}  # without the key a job is for GUI sessions only
        return _plist.sealed({**session, **desired.definition})
    if desired.state == "stopped":
        return None
    found = current.file
    if found.definition is None:
        raise ZotError(f"{found.path} {found.problem or 'is not there'}: give program_arguments or definition")
    if found.definition.get("Label") != desired.label:
        raise ZotError(f"{found.path} defines {found.definition.get('Label')}, not {desired.label}: give program_arguments or definition")
    _plist.require_sound(found.definition)
    return _plist.sealed(found.definition) if _plist.digest_of(found.definition) else found.definition


def is_current(job: Job, file: _plist.PlistFile, definition: _plist.Definition) -> bool:
    """Whether the loaded job was made from this definition, read from this path; where nothing tells, the file decides."""
    if job.path and os.path.realpath(job.path) != os.path.realpath(file.path):
        return False
    wanted, loaded = _plist.digest_of(definition), job.environment.get(_plist.DIGEST)
    if job.environment and (wanted or loaded):
        return wanted == loaded
    return file.definition == definition and (wanted is not None or job.shows(definition))


def texts(desired: Desired, current: Current, planned: Plan) -> dict[str, str]:
    """The diff: what is loaded, running and enabled, and the file. The environment's values are veiled; one veil for both sides."""
    key = secrets.token_bytes(16)

    def veil(value: str) -> str:
        return "hidden:" + hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:8]

    def text(loaded: bool, running: str, disabled: bool | None, file: str, definition: _plist.Definition | None) -> str:
        enabled = "unknown" if disabled is None else "no" if disabled else "yes"
        body = _plist.shown(definition, veil if desired.redact else None) if definition else ""
        return (
            f"domain: {current.domain}\nloaded: {'yes' if loaded else 'no'}\nrunning: {running}\nenabled: {enabled}\nfile: {file}\n{body}"
        )

    found = current.file
    ran = "yes" if current.job and current.job.running else "no"
    file = "a link" if found.link else "none" if found.content is None else f"{found.mode:04o}, uid {found.uid}"
    before = text(bool(current.loaded), ran, current.disabled, file, found.definition)

    started, out = planned.last("bootstrap", "kickstart", "restart"), planned.last("bootout")
    runs = "when it is due" if desired.state == "loaded" else "yes (restarted)" if ran == "yes" else "yes"
    running = runs if started else "no" if out else ran
    definition = found.definition
    if planned.last("write"):
        file, definition = f"{desired.mode:04o}, uid {desired.uid}", planned.definition
    elif planned.last("remove"):
        file, definition = "none", None
    after = text(bool(started) or (bool(current.loaded) and not out), running, _disabled_after(current, planned), file, definition)
    header = str(desired.path)
    return {"before": before, "after": after, "before_header": header, "after_header": header}


def _disabled_after(current: Current, planned: Plan) -> bool | None:
    switch = planned.last("enable", "disable")
    return current.disabled if switch is None else switch == "disable"


@dataclass
class Applier:
    """Does what was planned. When a job was unloaded and its successor does not run, brings back what was there."""

    desired: Desired
    current: Current
    plan: Plan
    launchctl: Launchctl
    clock: Clock
    _gone: list[Job] = field(default_factory=list)

    def apply(self) -> None:
        """Raises ZotError, with C(rolled_back) among its facts."""
        try:
            for step in self.plan.steps:
                getattr(self, f"_{step.verb}")(step.domain)
        except (ZotError, OSError) as problem:
            error = problem if isinstance(problem, ZotError) else ZotError(f"{self.desired.path} cannot be written: {problem.strerror}")
            log = self._last_words() if "runs" in error.facts else []
            said = "".join(f"\n  {line}" for line in log)
            back, note = self._roll_back()
            facts = {**error.facts, **({"log": log} if log else {}), "rolled_back": back}
            raise ZotError(f"{error.message}{note}{'; it logged last:' + said if said else ''}", **facts) from None

    def _roll_back(self) -> tuple[bool, str]:
        """Whether what ran before was loaded again, and a note about it."""
        old = self.current.file
        usable = [job for job in self._gone if job.path and (job.path != str(old.path) or old.content is not None)]
        if self.desired.state not in _LOADED or not usable:
            return False, ""
        try:
            now = self.launchctl.probe(self.current.domain, self.desired.label).job
            if now:
                self.launchctl.bootout(now.domain, self.desired.label, now.exit_timeout)
            if _plist.look(old.path) != old:
                self._restore_file(old)
            for job in usable:
                self.launchctl.bootstrap(job.domain, self.desired.label, str(job.path), job.exit_timeout)
                if job.running:
                    self.launchctl.wait_running(job.domain, self.desired.label)
        except (ZotError, OSError) as error:
            return False, f"; bringing back the former agent failed too: {getattr(error, 'message', error)}"
        return True, "; the former agent was brought back"

    def _restore_file(self, old: _plist.PlistFile) -> None:
        if old.content is None:
            old.path.unlink(missing_ok=True)
        else:
            write_file(old.path, old.content, self._owner(old.mode))

    def _owner(self, mode: int) -> Owner:
        root = os.geteuid() == 0
        return Owner(self.desired.uid if root else None, self.desired.gid if root else None, mode)

    def _last_words(self) -> list[str]:
        definition = self.plan.definition or {}
        path = definition.get("StandardErrorPath") or definition.get("StandardOutPath")
        return Service("launchd", self.desired.label, log_paths=(path,)).last_words(run) if path else []

    def _bootout(self, domain: str) -> None:
        job = next(job for job in self.current.loaded if job.domain == domain)
        wanted = (self.plan.definition or {}).get("ExitTimeOut", 0)
        self.launchctl.bootout(domain, self.desired.label, max(job.exit_timeout, wanted))
        self._gone.append(job)

    def _write(self, _domain: str) -> None:
        definition, found = self.plan.definition or {}, self.current.file
        same = found.content is not None and found.definition == definition
        _plist.make_folder(self.desired.path.parent, self.desired.uid, self.desired.gid)
        write_file(self.desired.path, t.cast("bytes", found.content) if same else _plist.render(definition), self._owner(self.desired.mode))
        sync_folder(self.desired.path.parent)

    def _remove(self, _domain: str) -> None:
        self.desired.path.unlink(missing_ok=True)

    def _enable(self, domain: str) -> None:
        self.launchctl.switch(domain, self.desired.label, on=True)

    def _disable(self, domain: str) -> None:
        self.launchctl.switch(domain, self.desired.label, on=False)

    def _bootstrap(self, domain: str) -> None:
        grace = max((job.exit_timeout for job in self._gone), default=None)
        self.launchctl.bootstrap(domain, self.desired.label, str(self.desired.path), grace)
        if self.desired.state == "started":
            self.launchctl.wait_running(domain, self.desired.label)

    def _kickstart(self, domain: str, kill: bool = False) -> None:
        started = self.clock.monotonic()
        self.launchctl.kickstart(domain, self.desired.label, kill)
        self.launchctl.wait_running(domain, self.desired.label, self.current.job, started)

    def _restart(self, domain: str) -> None:
        self._kickstart(domain, kill=True)


def manage(params: dict[str, t.Any], check_mode: bool, runner: Runner, clock: Clock) -> tuple[dict[str, t.Any], dict[str, str], list[str]]:
    """Run the module: (its return values, its diff, its warnings). Raises ZotError."""
    desired = desired_from(params)
    launchctl = Launchctl(runner, clock, params["launchctl"], params["wait_timeout"])
    current = observe(desired, launchctl)
    planned = plan(desired, current)
    facts: dict[str, t.Any] = {"actions": planned.actions, "label": desired.label, "domain": current.domain, "plist": str(desired.path)}
    job, disabled = current.job or next(iter(current.strays), None), current.disabled
    if planned.steps and not check_mode:
        try:
            Applier(desired, current, planned, launchctl, clock).apply()
        except ZotError as error:
            raise ZotError(error.message, **{**facts, **error.facts}) from None
        job = launchctl.probe(current.domain, desired.label).job
        disabled = _disabled_after(current, planned)
    facts.update(
        changed=bool(planned.steps),
        loaded=job is not None,
        enabled=None if disabled is None else not disabled,
        state=job.state if job else None,
        pid=job.pid if job else None,
        runs=job.runs if job else None,
        last_exit_code=job.last_exit_code if job else None,
        gui_session=current.gui_session,
        rolled_back=False,
    )
    return facts, texts(desired, current, planned), list(planned.warnings)


def _mode(text: str) -> int:
    """Octal digits as a number; a mode launchd refuses raises ZotError."""
    mode = int(text, 8) if text.isdigit() and set(text) <= set("01234567") else 0
    if not 0 < mode <= 0o777 or mode & 0o022 or mode & 0o600 != 0o600:
        raise ZotError(f"mode {text}: give octal digits in quotes; the owner must be able to read and write, nobody else to write ('0644')")
    return mode


def _account(user: str | None) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ZotError(f"there is no user {user or os.geteuid()} on this host") from None
