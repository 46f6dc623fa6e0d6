# SPDX-License-Identifier: GPL-3.0-or-later
"""The role registry_mirror as people run it: on a host of its own, and on one where minikube or kind run (stand-ins).

That real clients pull with these files is shown in tests/system/test_mirrors.py.
"""

from __future__ import annotations

import json
import stat
import sys
import typing as t
from pathlib import Path

import pytest
import tomllib
import yaml
from integration.playbook import Outcome, Play
from support.nodes import KindSim, MinikubeSim

CANARY = "canary-90fe-must-stay-secret"
HUB, HUB_FILE = "https://hub.example", "etc/containerd/certs.d/docker.io/hosts.toml"
ROLE = [{"hosts": "all", "gather_facts": False, "roles": [{"role": "blumeops.zot.registry_mirror"}]}]


class Machine:
    """A host whose clients' files are in a folder, and the role for it."""

    def __init__(self, folder: Path, *clients: dict[str, t.Any], registry: str = "https://registry.example", **environment: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(folder / "remote"),
            "registry_mirror_registry": registry,
            "registry_mirror_upstreams": [{"name": "docker.io"}, {"name": "ghcr.io"}],
            "registry_mirror_clients": list(clients),
            "registry_mirror_proxy": HUB,
        }
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": variables}}}))
        (folder / "play.yml").write_text(yaml.safe_dump(ROLE))
        given = {"HOME": str(self.home), **environment}
        self.play = Play(folder / "play.yml", [folder / "hosts.yml"], folder / "controller", given)

    def __call__(self, *arguments: str, **more: t.Any) -> Outcome:
        return self.play(*arguments, **more)

    def tree(self, of: Path | None = None) -> dict[str, tuple[str, str]]:
        """Everything below, but what Ansible keeps: content and mode."""
        of = of or self.folder / "etc"
        return {str(path.relative_to(of)): (path.read_text(), mode(path)) for path in sorted(of.rglob("*")) if path.is_file()}


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


@pytest.fixture
def host(tmp_path: Path) -> Machine:
    """One with every client; each tells who called it, as there is no systemd."""
    etc = tmp_path / "etc"
    (tmp_path / "tell").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path / "told"}\n')
    (tmp_path / "tell").chmod(0o755)

    def client(name: str, path: str, **more: str) -> dict[str, t.Any]:
        return {
            "name": name,
            "path": str(etc / path),
            "command": [str(tmp_path / "tell"), name],
            **{key: str(etc / more[key]) for key in more},
        }

    etc.mkdir()
    (etc / "config.toml").write_text("version = 2\n# theirs\n")
    (etc / "daemon.json").write_text('{"log-driver": "journald"}\n')
    return Machine(
        tmp_path,
        client("containerd", "certs.d", config_path="config.toml"),
        client("k3s", "k3s/registries.yaml"),
        client("podman", "conf.d/50-zot.conf", auth_file="auth.json", ca_path="podman/ca.crt"),
        client("buildkit", "buildkit/buildkitd.toml", auth_file="docker/config.json"),
        client("docker", "daemon.json", ca_path="docker/ca.crt"),
        client("caddy", "caddy/sites/hub.caddy"),
    )


def told(host: Machine) -> list[str]:
    log = host.folder / "told"
    return log.read_text().split() if log.exists() else []


def test_a_host_is_checked_provisioned_and_then_left_alone(host: Machine) -> None:
    before = host.tree()
    checked = host("--check", "--diff")
    assert checked.changed == 1
    assert host.tree() == before
    assert told(host) == []
    for line in ('+server = "https://registry-1.docker.io"', '+location = "registry.example/ghcr.io"', "+registry-mirrors:", f"+{HUB} {{"):
        assert line in checked.stdout
    assert "theirs" not in checked.stdout
    assert "journald" not in checked.stdout
    assert checked.stdout.count("restart containerd: it reads config_path at its start only") == 1

    made = host("--diff")
    assert made.changed == 2  # and the handler
    assert told(host) == ["containerd", "k3s", "podman", "buildkit", "docker", "caddy"]
    assert [line for line in checked.stdout.splitlines() if line[:1] == "+"] == [
        line for line in made.stdout.splitlines() if line[:1] == "+"
    ]
    files = host.tree()
    assert files["config.toml"][0].startswith("version = 2\n# theirs\n")
    assert tomllib.loads(files["config.toml"][0])["plugins"]["io.containerd.grpc.v1.cri"]["registry"] == {
        "config_path": str(host.folder / "etc/certs.d")
    }
    assert json.loads(files["daemon.json"][0]) == {"log-driver": "journald", "registry-mirrors": [HUB]}
    assert files["daemon.json"][1] == "0644"

    for arguments in ([], ["--check"]):
        assert host(*arguments).changed == 0
    assert host.tree() == files
    assert len(told(host)) == 6


def test_a_login_and_an_authority_are_in_their_files_and_nowhere_else(host: Machine) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    login = {"registry_mirror_username": "node", "registry_mirror_password": CANARY, "registry_mirror_ca": pem}
    for arguments in (["--check", "--diff", "-vvv"], ["--diff", "-vvv"], ["--diff", "-vvv"]):
        done = host(*arguments, **login)
        assert done.rc == 0, done.stdout
        assert CANARY not in done.stdout
        assert "bm9kZTpjYW5hcnk" not in done.stdout  # node:canary in base64
    assert done.changed == 0
    files = host.tree()
    secret = {name for name, (text, _mode) in files.items() if CANARY in text or "bm9kZTpjYW5hcnk" in text}
    assert secret == {
        *("certs.d/docker.io/hosts.toml", "certs.d/ghcr.io/hosts.toml", "k3s/registries.yaml", "auth.json", "docker/config.json"),
        "caddy/sites/hub.caddy",
    }
    assert {files[name][1] for name in secret} == {"0600"}
    assert {name for name, (text, _mode) in files.items() if text == pem} == {
        *("certs.d/zot-ca.crt", "k3s/zot-ca.crt", "podman/ca.crt", "buildkit/zot-ca.crt", "docker/ca.crt", "caddy/zot-ca.crt")
    }
    state = host.home / ".local/state/blumeops.zot"
    assert list(state.iterdir()) == []
    # Back to none: what was secret is not shown when it goes.
    assert CANARY not in host("--diff", registry_mirror_ca=pem).stdout
    assert mode(host.folder / "etc/certs.d/docker.io/hosts.toml") == "0644"


def test_a_refusal_leaves_everything_as_it_was(host: Machine) -> None:
    site = host.folder / "etc/caddy/sites/hub.caddy"
    site.parent.mkdir(parents=True)
    site.write_text(f"# {CANARY}\n")
    before = host.tree()
    refused = host()
    assert refused.rc == 2
    assert refused.errors == [
        f"Task failed: Action failed: caddy: {site} is there already and was written by somebody else; remove it first, "
        "or keep it and leave this client out"
    ]
    assert CANARY not in refused.stdout
    assert (host.tree(), told(host)) == (before, [])


def test_a_client_that_did_not_take_it_is_told_again(host: Machine) -> None:
    tell = host.folder / "tell"
    good = tell.read_text()
    tell.write_text(f'{good}[ "$1" != podman ]\n')
    assert host().rc == 2
    files = host.tree()
    tell.write_text(good)
    again = host()
    assert again.changed == 2
    assert host.tree() == files
    assert told(host)[6:] == ["containerd", "k3s", "podman", "buildkit", "docker", "caddy"]
    assert host().changed == 0


def minikube(tmp_path: Path, runtime: str, **more: t.Any) -> tuple[MinikubeSim, Machine]:
    sim = MinikubeSim(tmp_path / "sim", runtime, **more)
    client = {"name": "minikube", "registry": "http://host.minikube.internal:5050"}
    return sim, Machine(tmp_path, client, **sim.environment)


def test_minikube_with_containerd_has_its_mirrors_in_every_life(tmp_path: Path) -> None:
    sim, mac = minikube(tmp_path, "containerd", nodes=("", "m02"))
    assert mac("--check").changed == 1
    assert not sim.kept.exists()
    assert mac().changed == 1
    nodes = [sim.node("minikube"), sim.node("minikube-m02")]
    (host,) = {next(iter(tomllib.loads((node / HUB_FILE).read_text())["host"])) for node in nodes}
    assert host == "http://host.minikube.internal:5050/v2/docker.io"
    assert mac().changed == 0
    assert [sim.told("minikube"), sim.told("minikube-m02")] == [[], []]  # nobody has to be told

    profile = json.loads((tmp_path / "sim/profiles.json").read_text())
    assert sim("minikube", "delete").returncode == 0
    (tmp_path / "sim/profiles.json").write_text(json.dumps(profile))
    assert sim("minikube", "start").returncode == 0
    assert host in (nodes[1] / HUB_FILE).read_text()
    assert mac().changed == 0


def test_minikube_with_containerd_and_a_login_shuts_the_files(tmp_path: Path) -> None:
    sim, mac = minikube(tmp_path, "containerd")
    done = mac("--diff", "-vvv", registry_mirror_username="node", registry_mirror_password=CANARY)
    assert done.changed == 1
    assert {mode(sim.kept / HUB_FILE), mode(sim.node("minikube") / HUB_FILE)} == {"0600"}
    calls = json.dumps(sim.calls())
    for secret in (CANARY, "bm9kZTpjYW5hcnk"):
        assert secret not in done.stdout + calls
    assert sim("minikube", "start").returncode == 0
    assert mode(sim.node("minikube") / HUB_FILE) == "0600"


def test_minikube_that_is_stopped_finds_the_files_when_it_starts(tmp_path: Path) -> None:
    sim, mac = minikube(tmp_path, "containerd")
    sim("minikube", "stop")
    done = mac()
    assert done.changed == 1
    assert "it takes the files at its next start" in done.stdout
    sim("minikube", "start")
    assert "override_path" in (sim.node("minikube") / HUB_FILE).read_text()
    assert mac().changed == 0


def test_minikube_with_docker_has_its_mirror_until_its_next_start(tmp_path: Path) -> None:
    sim, mac = minikube(tmp_path, "docker")
    daemon = sim.node("minikube") / "etc/docker/daemon.json"
    theirs = json.loads(daemon.read_text())
    assert mac("--check").changed == 1
    done = mac()
    assert done.changed == 2
    assert "run this again after each start of minikube" in done.stdout
    assert json.loads(daemon.read_text()) == {**theirs, "registry-mirrors": [HUB]}
    assert sim.told("minikube") == ["reload docker"]
    assert mac().changed == 0
    assert sim("minikube", "start").returncode == 0
    assert json.loads(daemon.read_text()) == theirs  # whatever lies in its folder of files
    assert mac().changed == 2


def test_minikube_that_was_made_with_the_mirror_keeps_it(tmp_path: Path) -> None:
    sim, mac = minikube(tmp_path, "docker", registry_mirror=[HUB])
    assert mac().changed == 0
    assert sim.told("minikube") == []


def test_kinds_nodes_get_files_and_a_configuration_that_names_them(tmp_path: Path) -> None:
    sim = KindSim(tmp_path / "sim", ("kind-control-plane", "kind-worker"))
    mac = Machine(tmp_path, {"name": "kind"}, **sim.environment)
    assert mac("--check").changed == 1
    assert not (sim.node("kind-worker") / HUB_FILE).exists()
    assert mac().changed == 2
    for name in ("kind-control-plane", "kind-worker"):
        assert "https://registry.example/v2/docker.io" in (sim.node(name) / HUB_FILE).read_text()
        config = tomllib.loads((sim.node(name) / "etc/containerd/config.toml").read_text())
        assert config["plugins"]["io.containerd.grpc.v1.cri"]["registry"] == {"config_path": "/etc/containerd/certs.d"}
        assert sim.told(name) == ["restart containerd"]
