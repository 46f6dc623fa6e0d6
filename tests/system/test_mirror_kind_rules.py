# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for kind answers as kind does, whose own program asks the stand-in for its container engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.nodes import KindSim
from testbed import golang


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("cluster", ["kind", "other"])
def test_kind_lists_nodes_as_the_stand_in_does(tmp_path: Path, engine: str, cluster: str) -> None:
    sim = KindSim(tmp_path / "sim", ("kind-control-plane", "kind-worker"), engine)
    words = ["get", "nodes", "--name", cluster]
    environment = {**os.environ, **sim.environment, "KIND_EXPERIMENTAL_PROVIDER": engine}
    answers = [
        subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
        for program in (golang.find("kind") or pytest.skip(golang.absent("kind")), sim.bin / "kind")
    ]
    assert answers[0].stdout == answers[1].stdout == ("kind-control-plane\nkind-worker\n" if cluster == "kind" else "")
    assert answers[0].returncode == answers[1].returncode == 0
    assert ("No kind nodes found" in answers[0].stderr) == ("No kind nodes found" in answers[1].stderr) == (cluster == "other")
    assert ["ps", "-a", "--filter", f"label=io.x-k8s.kind.cluster={cluster}", "--format", "{{.Names}}"] in [
        call[1:] for call in sim.calls()
    ]
