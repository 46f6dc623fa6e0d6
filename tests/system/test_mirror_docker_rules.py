# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json as Debian's dockerd reads it: at its start, when the role has it read again, and what it refuses. It pulls nothing here."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from integration.playbook import Play
from support.programs import absent, call, skip
from support.pullers import Containerd, Docker, DockerDaemon

HUB = "https://hub.example"


@pytest.fixture(scope="module")
def containerd() -> t.Iterator[Containerd]:
    if reason := "needs root" if os.geteuid() else absent("dockerd", "docker", "containerd"):
        skip(reason)
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="zot-") as folder, Containerd(Path(folder), None) as daemon:
        yield daemon


@pytest.fixture
def folder() -> t.Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zot-") as path:
        yield Path(path)
        # A daemon that does not start leaves its root mounted.
        for line in Path("/proc/mounts").read_text().splitlines():
            if (mounted := line.split()[1]).startswith(f"{path}/"):
                call("umount", mounted)


def mirrors(daemon: DockerDaemon) -> list[str]:
    """Those that it uses."""
    done = call(*Docker(daemon).command, "info", "--format", "{{json .RegistryConfig.Mirrors}}")
    return json.loads(done.stdout.splitlines()[-1]) or []


def provision(folder: Path, settings: Path, *command: str, **more: t.Any) -> t.Any:
    """The role, for this daemon alone."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(folder / "remote"),
        "registry_mirror_registry": "https://registry.example",
        "registry_mirror_upstreams": ["docker.io"],
        "registry_mirror_clients": [{"name": "docker", "path": str(settings), **({"command": list(command)} if command else {})}],
        "registry_mirror_proxy": HUB,
        **more,
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": variables}}}))
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["blumeops.zot.registry_mirror"]}]))
    return Play(folder / "play.yml", [folder / "hosts.yml"], folder / "controller", {"HOME": str(folder)})()


def test_a_daemon_that_runs_takes_the_roles_file_and_starts_with_it_too(containerd: Containerd, folder: Path) -> None:
    settings = folder / "daemon.json"
    settings.write_text('{"log-driver": "json-file", "log-opts": {"max-size": "100m"}, "registry-mirrors": ["https://theirs.example"]}')
    with DockerDaemon(folder / "docker", containerd, settings) as daemon:
        assert mirrors(daemon) == ["https://theirs.example/"]
        pid = (folder / "docker/pid").read_text()
        done = provision(folder, settings, "kill", "-HUP", pid)
        assert done.changed == 2, done.stdout
        assert mirrors(daemon) == [f"{HUB}/", "https://theirs.example/"]
        assert (folder / "docker/pid").read_text() == pid
    assert json.loads(settings.read_text())["log-opts"] == {"max-size": "100m"}
    with DockerDaemon(folder / "docker", containerd, settings) as daemon:
        assert mirrors(daemon) == [f"{HUB}/", "https://theirs.example/"]
        assert provision(folder, settings).changed == 0


def test_a_mirror_on_the_command_line_is_found_there(containerd: Containerd, folder: Path) -> None:
    """The daemon would not start with one in its file as well, so the role writes none."""
    settings = folder / "daemon.json"
    settings.write_text("{}")
    daemon = DockerDaemon(folder / "docker", containerd, settings)
    daemon.argv = [*daemon.argv, "--registry-mirror", HUB]
    with daemon:
        assert provision(folder, settings).changed == 0
        refused = provision(folder, settings, registry_mirror_proxy="https://other.example")
        assert "the daemon was started with --registry-mirror, which excludes registry-mirrors in its file" in refused.errors[0]
    assert settings.read_text() == "{}"
    settings.write_text(json.dumps({"registry-mirrors": [HUB]}))
    with pytest.raises(AssertionError, match="specified both as a flag and in the configuration file: registry-mirrors"):
        daemon.start()


def test_a_mirror_with_a_path_stops_the_daemon(containerd: Containerd, folder: Path) -> None:
    settings = folder / "daemon.json"
    settings.write_text(json.dumps({"registry-mirrors": ["https://registry.example/v2/docker.io"]}))
    with pytest.raises(AssertionError, match="invalid mirror: path, query, or fragment at end of the URI"):
        DockerDaemon(folder / "docker", containerd, settings).start()
