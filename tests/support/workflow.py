# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a job of a workflow file as a runner in host mode does: its own steps and those of actions beside it, with bash, on this machine.

It knows what the examples in docs/examples need: `run`, `uses` of a composite action in ./.forgejo/actions (`actions/checkout` is done
already), `env`, `with`, outputs of steps, references such as `${{ env.IMAGE }}`, and `if` with one comparison.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from support.processes import Watch

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
OURS = "./.forgejo/actions/"

# A shell's name, as it stands in `shell`; the first is for a step that names none.
SHELLS = {"": ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]}

Tree = dict[str, t.Any]


def example(name: str) -> Tree:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


@dataclass
class Done:
    """``ran``: the steps that ran, by name. ``outputs``: of steps that have an id, of actions too."""

    returncode: int = 0
    output: str = ""
    ran: list[str] = field(default_factory=list)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)


class Runner:
    """A host whose runner takes jobs: ``work`` is the workspace, and all that is written on it is below ``folder``."""

    def __init__(self, folder: Path, path: str, **environment: str) -> None:
        self.folder, self.work, self.temporary = folder, folder / "work", folder / "temporary"
        for made in (self.work, self.temporary, folder / "home"):
            made.mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": path, "HOME": str(folder / "home"), "TMPDIR": str(self.temporary), **environment}
        self.watch = Watch()
        self.kill_at = ""

    def use(self, registry: str) -> None:
        """Let the host's skopeo talk to a registry without TLS."""
        settings = self.folder / "home" / ".config" / "containers"
        settings.mkdir(parents=True)
        settings.joinpath("registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n', encoding="utf-8")
        settings.joinpath("policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")

    def __call__(self, workflow: Tree, **known: Mapping[str, str]) -> Done:
        """Run its only job. ``known``: contexts, such as C(secrets) and C(github); C(env) goes before what the job has."""
        (job,) = workflow["jobs"].values()
        contexts: dict[str, t.Any] = {**known}
        given = contexts.pop("env", {})
        contexts["env"] = {**{name: filled(value, contexts) for name, value in job.get("env", {}).items()}, **given}
        done = Done()
        self._steps(job["steps"], contexts, done, {})
        return done

    def _steps(self, steps: list[Tree], contexts: Mapping[str, t.Any], done: Done, inherited: Mapping[str, str]) -> dict[str, t.Any]:
        """What the steps put out. They end at the first failure."""
        outputs: dict[str, t.Any] = {}
        for step in steps:
            here = {**contexts, "steps": {name: {"outputs": told} for name, told in outputs.items()}}
            if done.returncode or not holds(step.get("if", ""), here) or str(step.get("uses", "")).startswith("actions/checkout@"):
                continue
            done.ran.append(step.get("name", step.get("id", "")))
            told = self._action(step, here, done) if "uses" in step else self._run(step, here, done, inherited)
            if "id" in step:
                outputs[step["id"]] = told
        done.outputs.update(outputs)
        return outputs

    def _action(self, step: Tree, contexts: Mapping[str, t.Any], done: Done) -> dict[str, str]:
        action = example(f"{step['uses'].removeprefix(OURS)}/action.yaml")
        given = {name: filled(str(value), contexts) for name, value in step.get("with", {}).items()}
        declared = action["inputs"]
        if unknown := set(given) - set(declared):
            raise AssertionError(f"{step['uses']} has no inputs {sorted(unknown)}")
        inputs = {name: given.get(name, option.get("default", "")) for name, option in declared.items()}
        if missing := [name for name, option in declared.items() if option.get("required") and name not in given]:
            raise AssertionError(f"{step['uses']} needs {missing}")
        # A runner gives its composite actions their inputs in the environment too.
        inherited = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
        told = self._steps(action["runs"]["steps"], {**contexts, "inputs": inputs}, done, inherited)
        within = {"steps": {name: {"outputs": outputs} for name, outputs in told.items()}}
        return {name: filled(option["value"], within) for name, option in action.get("outputs", {}).items()}

    def _run(self, step: Tree, contexts: Mapping[str, t.Any], done: Done, inherited: Mapping[str, str]) -> dict[str, str]:
        if REFERENCE.search(step["run"]):
            raise AssertionError("what comes from outside goes through the environment, never into the text of a script")
        script, output, log = (self.folder / name for name in ("step.sh", "step.outputs", "step.log"))
        script.write_text(step["run"], encoding="utf-8")
        output.write_text("", encoding="utf-8")
        own = {name: filled(value, contexts) for name, value in step.get("env", {}).items()}
        environment = {**self.environment, **contexts["env"], **inherited, **own, "GITHUB_OUTPUT": str(output)}
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*SHELLS[step.get("shell", "")], str(script)],
                env=environment,
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            done.returncode = self._watched(process)
        done.output += log.read_text(encoding="utf-8", errors="replace")
        return dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())

    def _watched(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit code; a job that is cancelled while a program runs whose arguments have ``kill_at`` is told to end, with all of it."""
        while self.kill_at and process.poll() is None:
            self.watch.look()
            if any(self.kill_at.encode() in seen.arguments.replace(b"\0", b" ") for seen in self.watch.seen):
                os.killpg(process.pid, signal.SIGTERM)
                break
        return self.watch.until_end(process)


def filled(text: str, contexts: Mapping[str, t.Any]) -> str:
    return REFERENCE.sub(lambda match: _value(match[1], contexts), text)


def holds(condition: str, contexts: Mapping[str, t.Any]) -> bool:
    if not condition:
        return True
    reference, operator, text = condition.split(" ", 2)
    equal = _value(reference, contexts) == text.strip("'")
    return {"==": equal, "!=": not equal}[operator]


def _value(reference: str, contexts: Mapping[str, t.Any]) -> str:
    """Empty for what is not there, as in a real runner: a secret that nobody set, above all."""
    context, *names = reference.split(".")
    value: t.Any = contexts[context]
    for name in names:
        value = value.get(name, "")
        if value == "":
            return ""
    return str(value)
