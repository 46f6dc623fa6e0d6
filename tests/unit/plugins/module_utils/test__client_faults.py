# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a client's settings are looked for."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _client_faults, _mirror_faults
from ansible_collections.blumeops.zot.plugins.module_utils._client_faults import fault_of, mirror_of, read_file
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_faults import Mirror
from support.cache_check import ROUTE
from support.runners import Programs

DUMP = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{}"\n'
HOSTS = '[host."https://registry.test/v2/docker.io"]\noverride_path = true\n'

if _mirror_faults.tomllib is None:
    pytest.skip("this Python has no parser of TOML", allow_module_level=True)


class Settings:
    """What a host has: files below the root of the tests, and programs."""

    def __init__(self, monkeypatch, folder):
        self.folder = folder
        self.programs = Programs()
        self.files = {}
        monkeypatch.setattr(_client_faults, "read_file", self.files.get)
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF", raising=False)

    def fault(self, client, *command, route=ROUTE, **args):
        given = {"client": client, "url": "https://registry.test", "hosts_dir": None, "config_path": "/c.toml", "files": [], **args}
        return fault_of(given, list(command) or [client], route, self.programs)


@pytest.fixture
def host(monkeypatch, tmp_path):
    return Settings(monkeypatch, tmp_path)


def test_a_route_says_what_a_client_has_to_be_told():
    assert mirror_of(ROUTE, "https://registry.test") == Mirror("docker.io", "https", "registry.test", "docker.io")
    other = {**ROUTE, "image": "10.0.0.1:5000/a/b:2.0", "registry": "registry.test/my/local/a/b", "reference": "2.0"}
    assert mirror_of(other, "http://registry.test/") == Mirror("10.0.0.1:5000", "http", "registry.test", "my/local")
    assert mirror_of(ROUTE, "http://127.0.0.1:5050").scheme == ""


@pytest.mark.parametrize(
    ("client", "folder"),
    [
        ("containerd", "/etc/containerd/certs.d"),
        ("k3s", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"),
        ("rke2", "/var/lib/rancher/rke2/agent/etc/containerd/certs.d"),
    ],
)
def test_the_folder_of_each_containerd(host, client, folder):
    assert host.fault(client) == f"{folder}/docker.io/hosts.toml is not there, so containerd knows no mirror of docker.io"
    host.files[f"{folder}/docker.io/hosts.toml"] = HOSTS
    assert host.fault(client) == ""
    assert "/else/docker.io/hosts.toml is not there" in host.fault(client, hosts_dir="/else")


@pytest.mark.parametrize("client", ["k3s", "rke2"])
def test_what_makes_files_at_its_start_may_not_have_been_restarted(host, client):
    host.files[f"/etc/rancher/{client}/registries.yaml"] = "mirrors: {}"
    assert host.fault(client).endswith(f"; {client} makes it of registries.yaml at its start: was it restarted since?")


def test_containerd_is_asked_for_the_folder_of_cri(host):
    host.files["/etc/containerd/certs.d/docker.io/hosts.toml"] = HOSTS
    host.programs["containerd -c /c.toml config dump"] = DUMP.format("/etc/containerd/certs.d")
    assert host.fault("containerd") == ""
    host.programs["containerd -c /c.toml config dump"] = DUMP.format("")
    assert "names no folder" in host.fault("containerd")
    assert host.fault("k3s", hosts_dir="/etc/containerd/certs.d") == ""


def test_docker_is_asked_for_the_mirrors_that_it_has(host):
    host.programs["docker -H x info --format {{json .RegistryConfig.Mirrors}}"] = "[]"
    assert host.fault("docker", "docker", "-H", "x") == "the Docker daemon has no registry-mirrors"


MINIKUBE = ("minikube", "ssh", "--", "sudo", "crictl")


def test_a_node_of_minikube_with_docker(host):
    host.programs["minikube ssh -- sudo docker info --format {{json .RegistryConfig.Mirrors}}"] = "[]\n"
    assert host.fault("minikube", *MINIKUBE) == "the Docker daemon has no registry-mirrors"


def test_a_node_of_minikube_with_containerd(host):
    assert "/etc/containerd/certs.d/docker.io/hosts.toml is not there" in host.fault("minikube", *MINIKUBE)
    host.programs["minikube ssh -- sudo cat /etc/containerd/certs.d/docker.io/hosts.toml"] = HOSTS.replace("/v2/docker.io", "")
    assert "names the registry without a path" in host.fault("minikube", *MINIKUBE)


def test_a_node_of_kind(host):
    node = ("docker", "exec", "kind-control-plane", "crictl")
    assert "/etc/containerd/certs.d/docker.io/hosts.toml is not there" in host.fault("containerd", *node)
    host.programs["docker exec kind-control-plane cat /etc/containerd/certs.d/docker.io/hosts.toml"] = HOSTS
    assert host.fault("containerd", *node) == ""
    host.programs["docker exec kind-control-plane containerd -c /c.toml config dump"] = DUMP.format("")
    assert "names no folder" in host.fault("containerd", *node)


REGISTRIES = '[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "registry.test/docker.io"\n'


def test_the_files_of_podman(host):
    host.files["/etc/containers/registries.conf"] = REGISTRIES
    assert host.fault("podman") == ""
    own = host.folder / ".config" / "containers" / "registries.conf"
    (own.parent / "registries.conf.d").mkdir(parents=True)
    own.touch()
    host.files[str(own)] = ""
    assert "no registries.conf has a registry docker.io" in host.fault("podman")
    drop_in = own.parent / "registries.conf.d" / "50-zot.conf"
    drop_in.touch()
    host.files[str(drop_in)] = REGISTRIES
    assert host.fault("podman") == ""


def test_podman_and_skopeo_are_told_another_file_in_their_own_ways(host, monkeypatch):
    host.files.update({"/named": REGISTRIES, "/etc/containers/registries.conf": ""})
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/named")
    assert host.fault("podman") == ""
    assert "no registries.conf has" in host.fault("skopeo")
    assert host.fault("skopeo", "skopeo", "--registries-conf", "/named") == ""


def test_a_file_that_is_otherwise_is_the_reason_where_none_is_better(host):
    host.files["/etc/containerd/certs.d/docker.io/hosts.toml"] = HOSTS
    wanted = {"path": "/etc/containerd/certs.d/docker.io/hosts.toml", "content": HOSTS + "\n", "mode": "0644"}
    assert host.fault("containerd", files=[wanted]) == "/etc/containerd/certs.d/docker.io/hosts.toml is not as mirror_files makes it"
    assert host.fault("containerd", files=[{**wanted, "content": HOSTS}, {"path": "/b", "content": ""}]) == "/b is not there"
    assert "knows no mirror" in host.fault("containerd", hosts_dir="/else", files=[wanted])


def test_an_older_python_says_so_and_looks_at_what_it_can(host, monkeypatch):
    monkeypatch.setattr(_mirror_faults, "tomllib", None)
    path = "/etc/containerd/certs.d/docker.io/hosts.toml"
    host.files[path] = host.files["/etc/rancher/k3s/registries.yaml"] = HOSTS
    assert host.fault("containerd") == _mirror_faults.UNJUDGED
    assert host.fault("k3s", hosts_dir="/etc/containerd/certs.d") == _mirror_faults.UNJUDGED
    assert host.fault("containerd", files=[{"path": path, "content": HOSTS}]) == ""
    assert "is not as mirror_files makes it" in host.fault("containerd", files=[{"path": path, "content": "other"}])
    host.programs["containerd -c /c.toml config dump"] = DUMP.format("")
    assert "names no folder" in host.fault("containerd")


def test_files_are_read_as_they_are(tmp_path):
    path = tmp_path / "a"
    assert read_file(str(path)) is None
    path.write_bytes(b"\xff\n")
    assert read_file(str(path)) == "\ufffd\n"
