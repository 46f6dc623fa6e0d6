# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/rotate_ci_key.yml and revoke_keys.yml killed, as a power cut would, at what they change; then run again.

What must hold is what tests/contract/test_rotation.py holds the code to. Here it is the command that people run, and SIGKILL. No root is
needed, and what is real where there is a real one: zot and Gitea.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from integration.playbook import CHECKOUT, Outcome, Play
from support.forge import real_forge, standin, standin_forge
from support.onepassword import STANDIN
from support.rotation_bed import DAY, LEASE, OWNER, Bed, Project, assert_settles, bed, configuration, whole
from support.zot_binary import real_zot, serving, standin_zot
from testbed import gitea

ROTATE, REVOKE = "rotate_ci_key.yml", "revoke_keys.yml"
REQUESTS = {
    "mint": ("POST", "/zot/auth/apikey"),
    "revoke": ("DELETE", "/zot/auth/apikey"),
    "lock": ("POST", "/variables/ANSIBLE_SECRETS_LOCK"),
    "publish": ("PUT", "/secrets/ZOT_CI_API_KEY"),
    "fingerprint": ("PUT", "/variables/ANSIBLE_SECRETS_FINGERPRINTS"),
    "unlock": ("DELETE", "/variables/ANSIBLE_SECRETS_LOCK"),
}


@pytest.fixture(scope="module")
def servers() -> t.Iterator[t.Callable[[], t.ContextManager[Bed]]]:
    """Makes a bed at one zot and one forge: each has a clock of its own."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zot-kills-")))
        folder.chmod(0o755)
        (folder / "forge").mkdir()
        forge: t.Any = stack.enter_context(real_forge(folder / "forge") if gitea.find() else standin_forge())
        binary = real_zot() or standin_zot(folder / "standin")
        running = stack.enter_context(serving(binary, configuration(folder), folder / "zot"))
        yield lambda: bed(running, forge, folder, numbers)


class Command:
    """The playbooks, for one project."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.process: t.Any = None
        store = {**project.spec, "field": project.fields.key}
        self.variables = {
            "zot_monitoring_key_host": "",  # of the example inventory, and none that can be reached
            "zot_ci_key_registry": project.bed.front.url,
            "zot_ci_key_username": project.owner,
            "zot_ci_key_store": store,
            "forgejo_actions_secrets_api_url": project.bed.forge.url,
            "forgejo_actions_secrets_token": project.token,
            "forgejo_actions_secrets_zot_ci_store": store,
            "forgejo_actions_secrets_zot_ci_repositories": [f"{OWNER}/{project.repository}"],
        }

    def _play(self, playbook: str, op: Path) -> Play:
        environment = {"PATH": f"{op}:/usr/bin:/bin", **({"OP_SIM_FOLDER": str(self.project.op.folder)} if self.project.op else {})}
        return Play(CHECKOUT / "playbooks" / playbook, [], self.folder / "controller", environment)

    def killed(self, playbook: str, op: Path | None = None) -> None:
        """Run it until it is killed; it has to be."""
        with (self.folder / "output").open("w") as output:
            self.process = self._play(playbook, op or self._op()).start(output=output, **self.variables)
        assert self.process.wait(120) == -signal.SIGKILL, (self.folder / "output").read_text()

    def __call__(self, playbook: str) -> Outcome:
        return self._play(playbook, self._op())(**self.variables)

    def _op(self) -> Path:
        return self.project.op.on_path() if self.project.op else self.folder

    def kill(self) -> None:
        """Every process of it, at once."""
        for pid in (self.process.pid, *_descendants(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def deadly_op(self, nth: int, when: str) -> Path:
        """A folder with an op that kills the run before or after its edit with this number, counted from one."""
        folder = self.folder / "deadly"
        folder.mkdir()
        path = folder / "op"
        path.write_text(
            f"#!{sys.executable} -IS\n"
            "import os, signal, subprocess, sys\n"
            "from pathlib import Path\n"
            "def kill():\n"
            "    run, pid = [], os.getppid()\n"
            f"    while pid not in (1, {os.getpid()}):\n"
            "        run.append(pid)\n"
            '        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])\n'
            "    for pid in reversed(run):\n"
            "        os.kill(pid, signal.SIGKILL)\n"
            "    sys.exit(1)\n"
            f"count = Path({str(folder / 'count')!r})\n"
            "edits = len(count.read_text()) if count.exists() else 0\n"
            "hit = False\n"
            'if sys.argv[1:3] == ["item", "edit"]:\n'
            '    count.write_text("x" * (edits + 1))\n'
            f"    hit = edits + 1 == {nth}\n"
            f"if hit and {when!r} == 'before':\n"
            "    kill()\n"
            f"done = subprocess.run([sys.executable, '-IS', {str(STANDIN)!r}, *sys.argv[1:]])\n"
            "if hit:\n"
            "    kill()\n"
            "sys.exit(done.returncode)\n"
        )
        path.chmod(0o755)
        return folder


def _descendants(pid: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def armed(server: t.Any, effect: str, when: str, kill: t.Callable[[], None]) -> t.Callable[[], None]:
    """The first request that has this effect is the last; returns what ends that."""
    method, path = REQUESTS[effect]

    def hook(request: t.Any) -> None:
        if (request.method, request.path.endswith(path)) == (method, True):
            disarm()
            if when == "before":
                server.faults.append(standin.Fault())
            kill()

    def disarm() -> None:
        server.before = server.after = lambda _request: None

    setattr(server, when, hook)
    return disarm


def due(made: Bed, store: str = "file") -> Project:
    """A key that is old enough to be replaced, published and in use."""
    project = made.project(store)
    project.run(whole)
    made.clock.leap(61 * DAY)
    assert project.job() == 200
    return project


def assert_survived(command: Command, playbook: str, needed: str | None) -> None:
    """``needed`` is the secret that a job began with."""
    project = command.project
    project.bed.heal()
    project.watch("after it was killed")
    assert project.job() == 200
    project.bed.clock.leap(LEASE + 10)
    done = command(playbook)
    assert done.rc == 0, done.stdout
    assert project.kept.current
    assert project.secret == project.kept.current.secret
    assert project.kept.current.uuid == project.made_last()
    assert needed is None or project.job(needed) == 200
    assert_settles(project)


@pytest.mark.parametrize(
    ("effect", "when"),
    [
        ("mint", "before"),
        ("mint", "after"),
        ("lock", "after"),
        ("publish", "before"),
        ("publish", "after"),
        ("fingerprint", "after"),
        ("unlock", "after"),
        ("revoke", "before"),
        ("revoke", "after"),
    ],
)
def test_a_run_that_was_killed_is_finished_by_the_next(servers: t.Any, tmp_path: Path, effect: str, when: str) -> None:
    with servers() as made:
        project = due(made)
        playbook, needed = (REVOKE, None) if effect == "revoke" else (ROTATE, project.secret)
        command = Command(project, tmp_path)
        server = made.front if effect in ("mint", "revoke") else made.forge.server
        disarm = armed(server, effect, when, command.kill)
        try:
            command.killed(playbook)
        finally:
            disarm()
        assert_survived(command, playbook, needed)


@pytest.mark.parametrize(("nth", "when"), [(1, "before"), (1, "after"), (2, "before"), (2, "after")])
def test_a_run_that_was_killed_at_an_edit_of_the_store_is_finished_by_the_next(servers: t.Any, tmp_path: Path, nth: int, when: str) -> None:
    with servers() as made:
        project = due(made, "op")
        needed = project.secret
        command = Command(project, tmp_path)
        command.killed(ROTATE, command.deadly_op(nth, when))
        assert_survived(command, ROTATE, needed)
