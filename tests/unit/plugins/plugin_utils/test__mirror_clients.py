# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of a host: what is taken, and what is looked at for each."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_clients import authority_of, clients_of, questions
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import upstreams_of

CANARY = "canary-81d0"
URL = "https://registry.test:5000"
LOGIN = {"url": URL, "username": "node", "password": CANARY}
PEM = "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n"


def asked(*clients, registry=URL, proxy="https://hub.test"):
    return questions(clients_of(list(clients), registry, proxy), upstreams_of(["docker.io", "ghcr.io"]))


def refused(message, *clients, registry=URL):
    with pytest.raises(ZotError) as raised:
        clients_of(list(clients), registry, "")
    assert message in raised.value.message
    assert CANARY not in raised.value.message


def test_a_host_is_asked_once_for_all_its_clients():
    (host,) = asked({"name": "containerd"}, {"name": "podman"}, {"name": "docker"}, {"name": "caddy"})
    assert host["paths"] == [
        "/etc/containerd/certs.d/docker.io/hosts.toml",
        "/etc/containerd/certs.d/ghcr.io/hosts.toml",
        "/etc/containerd/config.toml",
        "/etc/containerd/certs.d/zot-ca.crt",
        "/etc/containers/registries.conf.d/50-zot.conf",
        "/etc/containers/certs.d/registry.test:5000/ca.crt",
        "/etc/docker/daemon.json",
        "/etc/docker/certs.d/hub.test/ca.crt",
        "/etc/caddy/sites/zot-docker.caddy",
        "/etc/caddy/zot-ca.crt",
    ]
    assert host["units"] == ["containerd", "crio", "docker", "caddy"]
    assert host["programs"] == ["containerd"]


@pytest.mark.parametrize(
    ("client", "paths"),
    [
        ({"name": "k3s"}, ["/etc/rancher/k3s/registries.yaml", "/etc/rancher/k3s/zot-ca.crt"]),
        ({"name": "rke2", "path": "/r/x.yaml", "ca_path": "/ca"}, ["/r/x.yaml", "/ca"]),
        ({"name": "buildkit"}, ["/etc/buildkit/buildkitd.toml", "~/.docker/config.json", "/etc/buildkit/zot-ca.crt"]),
        (
            {"name": "podman", "path": "~/.config/containers/registries.conf.d/zot.conf", "auth_file": "/auth"},
            ["~/.config/containers/registries.conf.d/zot.conf", "/auth", "~/.config/containers/certs.d/registry.test:5000/ca.crt"],
        ),
        (
            {"name": "containerd", "path": "/c/", "config_path": "/c.toml"},
            ["/c/docker.io/hosts.toml", "/c/ghcr.io/hosts.toml", "/c.toml", "/c/zot-ca.crt"],
        ),
    ],
)
def test_files_are_looked_for_where_they_are_said_to_be(client, paths):
    assert asked(client, registry=LOGIN)[0]["paths"] == paths


def test_docker_without_a_proxy_has_no_authority():
    assert asked({"name": "docker"}, proxy="")[0]["paths"] == ["/etc/docker/daemon.json"]


def test_nodes_are_asked_for_what_their_runtime_may_have():
    host, minikube, kind = asked(
        {"name": "minikube", "profile": "p", "home": "/m", "program": "/mk"}, {"name": "kind", "engine": "podman", "path": "/ignored"}
    )
    assert host["paths"] == []
    assert {key: minikube[key] for key in ("kind", "name", "home", "program")} == {
        "kind": "minikube",
        "name": "p",
        "home": "/m",
        "program": "/mk",
    }
    assert {key: kind[key] for key in ("kind", "name", "engine", "program")} == {
        "kind": "kind",
        "name": "kind",
        "engine": "podman",
        "program": "kind",
    }
    assert {"/etc/docker/daemon.json", "/etc/containers/registries.conf.d/50-zot.conf"} < set(minikube["paths"])
    assert kind["paths"] == asked({"name": "containerd"})[0]["paths"]
    assert asked({"name": "minikube"})[1]["name"] == "minikube"


def test_a_client_may_reach_the_registry_elsewhere():
    first, second = clients_of([{"name": "podman"}, {"name": "minikube", "registry": "http://host:5050", "proxy": "http://p"}], LOGIN, "x")
    assert (first.registry.url, first.proxy) == (URL, "x")
    assert (second.registry.url, second.registry.username, second.proxy) == ("http://host:5050", "node", "http://p")


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ([], "there is none"),
        ([{"name": "podman"}, {"name": "podman", "path": None}], "clients[1]: podman is there twice"),
        ([{"name": "kind", "cluster": "a"}, {"name": "kind", "cluster": "a"}], "clients[1]: kind is there twice"),
        ([{"name": "kind"}, {"name": "kind", "cluster": "kind"}], "clients[1]: kind is there twice"),
        ([{"name": "minikube"}, {"name": "minikube", "profile": "minikube"}], "clients[1]: minikube is there twice"),
        ([{"name": "k3s"}, {"name": "k3s", "path": "/etc/rancher//k3s/registries.yaml"}], "clients[1]: k3s is there twice"),
        ([{"name": "podman", "path": f"relative/{CANARY}"}], "clients[0].path has to be an absolute path"),
        ([{"name": "k3s", "path": f"~/{CANARY}"}], "clients[0].path has to be an absolute path"),
        ([{"name": "podman", "auth_file": f"/a b/{CANARY}"}], "clients[0].auth_file has to be"),
        ([{"name": "podman", "ca_path": f"~{CANARY}"}], "clients[0].ca_path has to be"),
        ([{"name": "containerd", "config_path": f"{CANARY}"}], "clients[0].config_path has to be"),
        ([{"name": "podman", "registry": f"https://x:{CANARY}@y"}], "registry: url has to be"),
    ],
)
def test_clients_that_are_none_are_refused(clients, message):
    refused(message, *clients)


def test_two_of_one_kind_differ_in_what_they_are():
    pairs = [[{"name": "podman"}, {"name": "podman", "path": "/x"}], [{"name": "kind"}, {"name": "kind", "cluster": "b"}]]
    assert [len(clients_of(pair, URL, "")) for pair in [*pairs, [{"name": "minikube"}, {"name": "minikube", "profile": "b"}]]] == [2, 2, 2]


@pytest.mark.parametrize("registry", [None, {"url": URL, "ca": f"/{CANARY}"}, [CANARY]])
def test_an_authority_is_given_by_its_text(registry):
    refused("an authority's text is in ca", {"name": "podman"}, registry=registry)


@pytest.mark.parametrize(
    ("text", "kept"), [("", ""), ("\n", ""), (PEM, PEM), (PEM.replace("\n", "\r\n"), PEM), (f"\n{PEM}{PEM.strip()}", f"{PEM}{PEM}")]
)
def test_certificates_are_taken_as_they_are(text, kept):
    assert authority_of(text) == kept


@pytest.mark.parametrize(
    "text", ["/etc/ca.pem", PEM.replace("CERTIFICATE", "PRIVATE KEY"), f"{PEM}{CANARY}", PEM[:-10], f"# {CANARY}\n{PEM}"]
)
def test_anything_else_is_no_authority(text):
    with pytest.raises(ZotError, match="certificates in PEM are wanted") as raised:
        authority_of(text)
    assert CANARY not in raised.value.message
