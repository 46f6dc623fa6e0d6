# SPDX-License-Identifier: GPL-3.0-or-later
"""How launchctl's answers are understood; the texts and exit codes are those measured on macOS."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._launchd import Job, Launchctl, Probe, parse_disabled, parse_job
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed

LABEL = "io.example.zot"
GUI = "gui/501"
TARGET = f"{GUI}/{LABEL}"
PLIST = f"/Users/u/Library/LaunchAgents/{LABEL}.plist"
ABSENT = (113, f'Bad request.\nCould not find service "{LABEL}" in domain for user gui: 501\n')
AS_ROOT = "Try re-running the command as root for richer errors."

PRINTED = f"""{TARGET} = {{
	active count = 1
	path = {PLIST}
	type = LaunchAgent
	state = running

	program = /usr/local/bin/zot
	arguments = {{
		/usr/local/bin/zot
		serve
}}
pid = 99
	state = odd
	}}

	working directory = /Users/u/zot

	stdout path = /Users/u/zot.log
	inherited environment = {{
		SSH_AUTH_SOCK => /private/tmp/com.apple.launchd.X/Listeners
	}}

	environment = {{
		EMPTY =>
		FOO => bar => baz
		XPC_SERVICE_NAME => {LABEL}
	}}

	domain = {GUI} [100007]
	exit timeout = 30
	runs = 2
	pid = 4711
	last exit code = 78: EX_CONFIG

	resource coalition = {{
		state = active
		pid = 1
	}}

	properties = keepalive | runatload
}}
"""


def printed(state: str, pid: int | None = None, runs: int = 1, code: str = "(never exited)") -> tuple[int, str]:
    process = f"\tpid = {pid}\n" if pid else ""
    return 0, f"{TARGET} = {{\n\tpath = {PLIST}\n\tstate = {state}\n\n\truns = {runs}\n{process}\tlast exit code = {code}\n}}\n"


RUNNING = printed("running", 10)


class Script:
    """A runner that answers each subcommand from a list (the last answer stays), and a clock that only counts."""

    def __init__(self, **answers: t.Any) -> None:
        self.answers = {verb.replace("_", "-"): itertools.chain(given[:-1], itertools.repeat(given[-1])) for verb, given in answers.items()}
        self.calls: list[list[str]] = []
        self.timeouts: list[float] = []
        self.now = 0.0
        self.launchctl = Launchctl(self, self, wait_timeout=60)

    def __call__(self, argv: list[str], timeout: float = 30) -> Completed:
        assert argv[0] == "/bin/launchctl"
        self.calls.append(argv[1:])
        self.timeouts.append(timeout)
        rc, text = next(self.answers.get(argv[1], itertools.repeat((0, ""))))
        return Completed(rc, "" if rc else text, text if rc else "")

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def verbs(self) -> list[str]:
        return [call[0] for call in self.calls]


# --- what print says


def test_print_is_read_at_its_top_level_only():
    job = parse_job(GUI, PRINTED)
    assert (job.state, job.pid, job.runs, job.last_exit_code, job.path, job.exit_timeout) == ("running", 4711, 2, 78, PLIST, 30)
    assert job.arguments == ("\t\t/usr/local/bin/zot", "\t\tserve", "}", "pid = 99", "\tstate = odd")
    assert job.environment == {"FOO": "bar => baz", "XPC_SERVICE_NAME": LABEL}
    assert job.running
    assert not job.leaving


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("\tlast exit code = (never exited)", None),
        ("\tlast exit code = 0", 0),
        ("\tlast exit code = 1", 1),
        ("\tlast exit code = 78: EX_CONFIG", 78),
        ("\tlast terminating signal = Killed: 9", -9),
        ("", None),
    ],
)
def test_how_it_ended(lines, code):
    assert parse_job(GUI, f"{LABEL} = {{\n{lines}\n}}\n").last_exit_code == code


@pytest.mark.parametrize("text", ["", "something else", "x = {\n\targuments = {\n", "\tstate\n\t = \n"])
def test_unknown_output_is_no_error_and_no_reason_to_act(text):
    job = parse_job(GUI, text)
    assert (job.state, job.pid, job.runs, job.path, job.environment) == (None, None, None, None, {})
    assert job.running


@pytest.mark.parametrize(
    ("state", "running", "leaving"),
    [("running", True, False), ("not running", False, False), ("spawn scheduled", False, False), ("SIGTERMed", False, True)],
)
def test_states(state, running, leaving):
    job = Job(GUI, state, 1)
    assert (job.running, job.leaving) == (running, leaving)
    assert not Job(GUI, "running", None).running


@pytest.mark.parametrize(
    ("definition", "shown"),
    [
        ({}, True),
        ({"ProgramArguments": ["/usr/local/bin/zot", "serve"]}, False),
        ({"WorkingDirectory": "/else"}, False),
        ({"WorkingDirectory": None}, False),
        ({"EnvironmentVariables": {"FOO": "bar => baz"}}, True),
        ({"EnvironmentVariables": {"FOO": "other"}}, False),
        ({"EnvironmentVariables": {"NEW": "x"}}, False),
        ({"StandardErrorPath": "/not/printed"}, True),
    ],
)
def test_what_is_printed_can_contradict_a_definition(definition, shown):
    mine = {
        "ProgramArguments": ["/usr/local/bin/zot", "serve\n}\npid = 99\n\tstate = odd"],
        "WorkingDirectory": "/Users/u/zot",
        "StandardOutPath": "/Users/u/zot.log",
    }
    assert parse_job(GUI, PRINTED).shows({**mine, **definition}) is shown


@pytest.mark.parametrize(
    ("text", "disabled"),
    [
        (f'\n\tdisabled services = {{\n\t\t"{LABEL}" => disabled\n\t}}\n', True),
        (f'\n\tdisabled services = {{\n\t\t"{LABEL}" => enabled\n\t}}\n', False),
        (f'\tdisabled services = {{\n\t\t"{LABEL}" => true\n\t}}\n', True),
        (f'\tdisabled services = {{\n\t\t"{LABEL}" => false\n\t}}\n', False),
        (f'\tdisabled services = {{\n\t\t"x.{LABEL}" => disabled\n\t\t"{LABEL}.x" => disabled\n\t}}\n', False),
        (f'\n\tdisabled services = {{\n\t}}\n\n\tlogin item associations = {{\n\t\t"{LABEL}" => disabled\n\t}}\n', False),
        (f'\tdisabled services = (no disabled services)\n\tx = {{\n\t\t"{LABEL}" => disabled\n\t}}\n', False),
        ("something else", None),
        ("", None),
    ],
)
def test_the_store_of_disabled_labels(text, disabled):
    assert parse_disabled(text, LABEL) is disabled
    assert Script(print_disabled=[(0, text)]).launchctl.disabled(GUI, LABEL) is disabled
    assert Script(print_disabled=[(1, text)]).launchctl.disabled(GUI, LABEL) is None


@pytest.mark.parametrize(
    ("rc", "probe"),
    [(113, Probe(True)), (3, Probe(True)), (112, Probe(False)), (125, Probe(False))],
)
def test_probe(rc, probe):
    assert Script(print=[(rc, "")]).launchctl.probe(GUI, LABEL) == probe
    assert Script(print=[RUNNING]).launchctl.probe(GUI, LABEL).job.pid == 10


@pytest.mark.parametrize("rc", [1, 5, 64, 124])
def test_what_print_does_not_tell_is_an_error(rc):
    script = Script(print=[(rc, f"Could not print domain: {rc}: Operation not permitted\n")])
    with pytest.raises(ZotError, match=f"launchctl print {TARGET} failed with {rc}: Could not print domain: {rc}"):
        script.launchctl.probe(GUI, LABEL)
    with pytest.raises(ZotError, match=f"launchctl print {GUI} failed with {rc}"):
        script.launchctl.has_domain(GUI)


def test_domains():
    assert [Script(print=[(rc, "")]).launchctl.has_domain(GUI) for rc in (0, 112, 125)] == [True, False, False]


def test_there_is_no_launchctl():
    with pytest.raises(ZotError, match="needs macOS"):
        Script(print=[(127, "No such file or directory")]).launchctl.probe(GUI, LABEL)


# --- bootout


@pytest.mark.parametrize("rc", [0, 3, 36, 37, 112, 113, 125])
def test_bootout_waits_until_the_label_is_free(rc):
    script = Script(bootout=[(rc, "Boot-out failed")], print=[printed("SIGTERMed", 10), printed("SIGTERMed", 10), ABSENT])
    script.launchctl.bootout(GUI, LABEL, 5)
    assert script.calls == [["bootout", TARGET], *[["print", TARGET]] * 3]
    assert script.now == 0.5


def test_bootout_may_fail_because_there_is_nothing():
    script = Script(bootout=[(5, "Boot-out failed: 5: Input/output error")], print=[ABSENT])
    script.launchctl.bootout(GUI, LABEL, 5)
    assert script.now == 0


@pytest.mark.parametrize(("rc", "calls"), [(5, 2), (1, 1), (64, 1)])
def test_bootout_fails(rc, calls):
    script = Script(bootout=[(rc, f"Boot-out failed: {rc}: text\n{AS_ROOT}")], print=[RUNNING])
    with pytest.raises(ZotError) as caught:
        script.launchctl.bootout(GUI, LABEL, 5)
    assert f"launchctl bootout {TARGET} failed with {rc}: Boot-out failed: {rc}: text" in caught.value.message
    assert "as root" not in caught.value.message
    assert len(script.calls) == calls


@pytest.mark.parametrize(("exit_timeout", "waited"), [(5, 60), (55, 65)])
def test_bootout_has_a_deadline_that_no_exit_timeout_exceeds(exit_timeout, waited):
    script = Script(print=[printed("SIGTERMed", 10)])
    with pytest.raises(ZotError, match=f"still there after {waited} s \\(state SIGTERMed, pid 10\\)"):
        script.launchctl.bootout(GUI, LABEL, exit_timeout)
    assert script.now == waited


# --- bootstrap


def test_bootstrap_at_once():
    script = Script()
    script.launchctl.bootstrap(GUI, LABEL, PLIST)
    assert script.calls == [["bootstrap", GUI, PLIST]]


@pytest.mark.parametrize("rc", [5, 17, 36, 37])
def test_bootstrap_is_tried_again_while_launchd_still_cleans_up(rc):
    script = Script(bootstrap=[(rc, "")] * 3 + [(0, "")], print=[ABSENT])
    script.launchctl.bootstrap(GUI, LABEL, PLIST, exit_timeout=5)
    assert script.verbs() == ["bootstrap", "print"] * 3 + ["bootstrap"]
    assert script.now == 1.5


def test_bootstrap_gives_up_after_the_exit_timeout_and_some_more_or_five_tries():
    text = f"Bootstrap failed: 5: Input/output error\n{AS_ROOT}\n"
    script = Script(bootstrap=[(5, text)], print=[ABSENT])
    with pytest.raises(ZotError) as caught:
        script.launchctl.bootstrap(GUI, LABEL, PLIST, exit_timeout=20)
    assert 30 <= script.now < 31
    assert "failed with 5: Bootstrap failed: 5: Input/output error (launchd hides its reason; see: log show" in caught.value.message
    assert "as root" not in caught.value.message
    script = Script(bootstrap=[(5, text)], print=[ABSENT])
    with pytest.raises(ZotError):
        script.launchctl.bootstrap(GUI, LABEL, PLIST)
    assert script.verbs().count("bootstrap") == 5


def test_bootstrap_replaces_what_is_unexpectedly_loaded():
    script = Script(bootstrap=[(37, ""), (0, "")], print=[RUNNING, ABSENT])
    script.launchctl.bootstrap(GUI, LABEL, PLIST)
    assert script.verbs() == ["bootstrap", "print", "bootout", "print", "bootstrap"]


def test_bootstrap_enables_a_disabled_label_once():
    script = Script(bootstrap=[(119, "Service is disabled"), (0, "")])
    script.launchctl.bootstrap(GUI, LABEL, PLIST)
    assert script.calls == [["bootstrap", GUI, PLIST], ["enable", TARGET], ["bootstrap", GUI, PLIST]]
    with pytest.raises(ZotError, match="failed with 119"):
        Script(bootstrap=[(119, "Service is disabled")]).launchctl.bootstrap(GUI, LABEL, PLIST)


@pytest.mark.parametrize(
    ("rc", "hint"),
    [
        (109, "no property list"),
        (110, "it said nothing"),
        (112, "no session"),
        (122, "must belong to the user"),
        (125, "no such session"),
        (134, "LimitLoadToSessionType"),
        (161, "Login Items"),
    ],
)
def test_bootstrap_is_not_tried_again_where_that_cannot_help(rc, hint):
    script = Script(bootstrap=[(rc, "")])
    with pytest.raises(ZotError, match=hint) as caught:
        script.launchctl.bootstrap(GUI, LABEL, PLIST, exit_timeout=5)
    assert script.verbs() == ["bootstrap"]
    assert caught.value.facts == {"rc": rc}


# --- kickstart, enable


@pytest.mark.parametrize("rc", [0, 37, 124])
def test_kickstart_is_judged_by_what_comes_of_it(rc):
    script = Script(kickstart=[(rc, "")])
    script.launchctl.kickstart(GUI, LABEL, kill=True)
    assert script.calls == [["kickstart", "-k", TARGET]]
    assert script.timeouts == [60]


def test_kickstart_keeps_within_the_timeout():
    script = Script()
    Launchctl(script, script, wait_timeout=7).kickstart(GUI, LABEL)
    assert script.calls == [["kickstart", TARGET]]
    assert script.timeouts == [7]


def test_kickstart_is_tried_again_after_a_5_and_fails_otherwise():
    script = Script(kickstart=[(5, ""), (0, "")])
    script.launchctl.kickstart(GUI, LABEL)
    assert script.verbs() == ["kickstart", "kickstart"]
    for rc in (113, 125, 150):
        with pytest.raises(ZotError, match=f"kickstart -k {TARGET} failed with {rc}"):
            Script(kickstart=[(rc, "")]).launchctl.kickstart(GUI, LABEL, kill=True)


def test_the_switch():
    script = Script()
    script.launchctl.switch(GUI, LABEL, on=True)
    script.launchctl.switch(GUI, LABEL, on=False)
    assert script.calls == [["enable", TARGET], ["disable", TARGET]]
    with pytest.raises(ZotError, match="enable"):
        Script(enable=[(1, "Could not enable service: 1: Operation not permitted")]).launchctl.switch(GUI, LABEL, on=True)


# --- waiting for it to run


def wait(*answers: tuple[int, str], before: Job | None = None) -> tuple[Job | str, Script]:
    script = Script(print=list(answers))
    try:
        return script.launchctl.wait_running(GUI, LABEL, before), script
    except ZotError as error:
        return error.message, script


def test_it_runs_when_the_same_process_is_there_a_second_later():
    job, script = wait(printed("spawning", runs=0), RUNNING)
    assert isinstance(job, Job)
    assert (job.pid, script.now) == (10, 1.25)
    assert script.verbs() == ["print"] * 3


@pytest.mark.parametrize(
    "answers",
    [
        (printed("spawn scheduled", code="1"),),
        (printed("exited", code="1"),),
        (printed("not running", code="1"),),
        (RUNNING, printed("spawn scheduled", code="1")),
        (RUNNING, printed("running", 11, runs=2, code="1")),
        (RUNNING, printed("running", 10, runs=2, code="1")),
    ],
)
def test_it_does_not_keep_running(answers):
    message, script = wait(*answers)
    assert "does not keep running" in message
    assert "last exit code 1" in message
    assert script.now <= 1


def test_a_job_held_back_after_login_is_nudged_once():
    waiting = printed("not running", runs=0)
    job, script = wait(*[waiting] * 12, RUNNING)
    assert isinstance(job, Job)
    assert script.verbs().count("kickstart") == 1
    assert script.verbs().index("kickstart") == 9


def test_it_never_runs():
    message, script = wait(printed("spawning", runs=0))
    assert "does not run after 60 s (state spawning, pid None)" in message
    assert script.now == 60
    assert "kickstart" not in script.verbs()


def test_it_is_gone():
    assert "not loaded any more" in wait(ABSENT)[0]


def test_unknown_output_is_believed():
    job, _script = wait((0, "something else"))
    assert isinstance(job, Job)


def test_after_a_restart_the_old_process_does_not_count_and_the_throttle_is_no_crash():
    before = parse_job(GUI, RUNNING[1])
    job, script = wait(RUNNING, printed("SIGTERMed", 10), printed("spawn scheduled"), printed("running", 11, runs=2), before=before)
    assert isinstance(job, Job)
    assert (job.pid, script.now) == (11, 1.75)
    assert "does not keep running" in wait(printed("spawn scheduled", runs=2), before=before)[0]


def test_the_time_a_kickstart_took_counts():
    script = Script(print=[printed("spawn scheduled", runs=1)])
    script.now = 100
    with pytest.raises(ZotError, match="does not run after 60 s"):
        script.launchctl.wait_running(GUI, LABEL, parse_job(GUI, RUNNING[1]), started=60)
    assert script.now == 120
