# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook from this checkout, as its users do, and tells what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """A finished run. `stdout` has standard error too: warnings are part of what people read."""

    rc: int
    stdout: str

    def recap(self, name: str) -> int:
        """A number of the recap, such as `changed`; of the only host."""
        found = re.search(rf"\b{name}=(\d+)", self.stdout.rpartition("PLAY RECAP")[2])
        assert found, self.stdout
        return int(found[1])

    @property
    def changed(self) -> int:
        assert self.rc == 0, self.stdout
        return self.recap("changed")

    @property
    def errors(self) -> list[str]:
        """What each failed task said."""
        return re.findall(r"^\[ERROR\]: (.*?)$", self.stdout, re.MULTILINE)


class Play:
    """A playbook, its inventories, a scratch folder for what Ansible keeps, what the environment has besides ours, and where it is run."""

    def __init__(
        self,
        playbook: Path,
        inventories: list[Path],
        scratch: Path,
        environment: t.Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
    ) -> None:
        self.playbook = playbook
        self.inventories = inventories
        self.scratch = scratch
        self.environment = environment or {}
        self.cwd = cwd
        scratch.mkdir(exist_ok=True, mode=0o700)

    def start(self, *arguments: str, output: t.IO[str], **extra_vars: t.Any) -> subprocess.Popen[str]:
        """Variables go through a file: secrets on a command line would be the test's own leak."""
        given = self.scratch / "given.yml"
        given.touch(mode=0o600)
        given.write_text(yaml.safe_dump(extra_vars), encoding="utf-8")
        inventories = [word for path in self.inventories for word in ("-i", str(path))]
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        home = {"ANSIBLE_HOME": str(self.scratch / "ansible"), "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        # As on a user's controller, where Python keeps what it compiled.
        home["PYTHONPYCACHEPREFIX"] = str(CHECKOUT / ".cache" / "pycache")
        dropped = ("ZOT_", "OP_", "PYTHONDONTWRITEBYTECODE")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return subprocess.Popen(
            [program, *inventories, str(self.playbook), "-e", f"@{given}", *arguments],
            cwd=self.cwd,
            env={**ours, **home, "PWD": str(self.cwd), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *arguments: str, **extra_vars: t.Any) -> Outcome:
        log = self.scratch / "output"
        with log.open("w") as output:  # no pipe: what a run leaves behind may hold it open
            process = self.start(*arguments, output=output, **extra_vars)
        rc = process.wait(timeout=120)
        return Outcome(rc, log.read_text())
