# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins for minikube and kind, each with a folder of its own and its programs in a folder for PATH."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

STANDINS = Path(__file__).resolve().parents[1] / "standins"


class _Sim:
    def __init__(self, folder: Path, variable: str, **programs: str) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        for name, standin in programs.items():
            (self.bin / name).symlink_to(STANDINS / standin)
        self.environment = {variable: str(folder), "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def __call__(self, *argv: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        given: dict[str, t.Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        words = [str(self.bin / argv[0]), *argv[1:]]
        return subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, check=False, timeout=60, **given)

    def calls(self) -> list[list[str]]:
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def node(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def told(self, name: str) -> list[str]:
        """What its systemctl was told."""
        log = self.node(name) / "units.log"
        return log.read_text().splitlines() if log.exists() else []


class MinikubeSim(_Sim):
    """A profile that was started."""

    def __init__(self, folder: Path, runtime: str, nodes: tuple[str, ...] = ("",), name: str = "minikube", **more: object) -> None:
        super().__init__(folder, "MINIKUBE_SIM_FOLDER", minikube="minikube")
        self.environment["MINIKUBE_HOME"] = str(folder / "home")
        self.kept = folder / "home" / ".minikube" / "files"
        (folder / "profiles.json").write_text(json.dumps({name: {"runtime": runtime, "nodes": nodes, **more}}))
        assert self("minikube", "-p", name, "start").returncode == 0


class KindSim(_Sim):
    """A cluster that was made."""

    def __init__(self, folder: Path, nodes: tuple[str, ...] = ("kind-control-plane",), engine: str = "docker") -> None:
        super().__init__(folder, "KIND_SIM_FOLDER", kind="kind", docker="kind", podman="kind")
        (folder / "clusters.json").write_text(json.dumps({"kind": nodes}))
        (folder / "engine").write_text(engine)
        assert self("kind", "create", "cluster", "--name", "kind").returncode == 0
