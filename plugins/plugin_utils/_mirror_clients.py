# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the clients of a host, where their files are, and what to look at before anything is planned."""

from __future__ import annotations

import posixpath
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import CLIENTS
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import Registry, Upstream, file_path, registry_of

Told = dict[str, t.Any]

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----", re.ASCII)


@dataclass(frozen=True)
class Usual:
    """What is usual for a client on a host. ``units``: of systemd, who read its files; ``verb``: how they take what changed; ``auth``:
    where its logins are, apart from its other files."""

    units: tuple[str, ...]
    verb: str
    why: str
    auth: str = ""


USUAL = {
    "containerd": Usual(("containerd",), "restart", "it reads config_path at its start only; containers run on"),
    "k3s": Usual(("k3s", "k3s-agent"), "restart", "it reads registries.yaml at its start only; pods run on"),
    "rke2": Usual(("rke2-server", "rke2-agent"), "restart", "it reads registries.yaml at its start only; pods run on"),
    "podman": Usual(("crio",), "reload", "it keeps registries.conf in memory", "~/.config/containers/auth.json"),
    "buildkit": Usual(
        ("buildkit", "buildkitd"), "restart", "it reads buildkitd.toml at its start only; builds break off", "~/.docker/config.json"
    ),
    "docker": Usual(("docker",), "reload", "it reads registry-mirrors again at SIGHUP; containers run on"),
    "caddy": Usual(("caddy",), "reload", "it takes sites on without a pause"),
}
NODES = ("minikube", "kind")
# The client inside a node of minikube, by what its profile calls the runtime.
RUNTIMES = {"docker": "docker", "containerd": "containerd", "crio": "podman", "cri-o": "podman"}


@dataclass(frozen=True)
class Client:
    """One of the list, complete. ``where`` names it in messages."""

    where: str
    name: str
    registry: Registry
    proxy: str
    options: Told

    @property
    def in_nodes(self) -> bool:
        return self.name in NODES


# --- what is given


def clients_of(given: list[Told], registry: t.Any, proxy: str) -> list[Client]:
    """The clients, each with its own registry and proxy where it has some. Raises ZotError."""
    if not given:
        raise ZotError("clients: there is none; name those of this host")
    common = {"url": registry} if isinstance(registry, str) else registry
    if not isinstance(common, dict) or "ca" in common:
        raise ZotError("registry: a URL is wanted, or a mapping of url, skip_verify, username and password; an authority's text is in ca")
    found: list[Client] = []
    for number, item in enumerate(given):
        where, options = f"clients[{number}]", {key: value for key, value in item.items() if value is not None}
        for key in ("path", "config_path", "ca_path", "auth_file"):
            if key in options:
                # A user has podman's files and Docker's logins at home.
                at_home = key == "auth_file" or (key == "path" and options["name"] == "podman")
                file_path(options[key][1:] if at_home and options[key].startswith("~/") else options[key], f"{where}.{key}")
        reached = registry_of({**common, **({"url": options["registry"]} if "registry" in options else {})})
        client = Client(where, options["name"], reached, options.get("proxy", proxy), options)
        same = [other for other in found if _identity(other) == _identity(client)]
        if same:
            raise ZotError(f"{where}: {client.name} is there twice; give another path, profile or cluster, or leave one out")
        found.append(client)
    return found


def _identity(client: Client) -> tuple[str, str]:
    usual = {"minikube": ("profile", "minikube"), "kind": ("cluster", "kind")}
    if client.in_nodes:
        return client.name, client.options.get(*usual[client.name])
    return client.name, posixpath.normpath(path_of(client, client.name))


def authority_of(text: str) -> str:
    """Certificates in PEM, one after the other; empty for none. Raises ZotError where it is something else, such as a key."""
    parts = text.replace("\r\n", "\n").strip()
    if parts and (not _PEM.search(parts) or _PEM.sub("", parts).strip()):
        raise ZotError("ca: certificates in PEM are wanted, and nothing else; the text of the file, not its path")
    return parts + "\n" if parts else ""


# --- what to look at


def questions(clients: list[Client], upstreams: list[Upstream]) -> list[Told]:
    """Places for the module for the host: the host itself first, then those of minikube and kind in their order."""
    host: Told = {"kind": "host", "paths": [], "units": [], "programs": []}
    places = [host]
    for client in clients:
        if client.in_nodes:
            places.append(_node_question(client, upstreams))
            continue
        host["paths"] += _paths(client, client.name, upstreams)
        host["units"] += USUAL[client.name].units
        if client.name == "containerd":
            host["programs"].append("containerd")
    return places


def _node_question(client: Client, upstreams: list[Upstream]) -> Told:
    kinds = ["containerd"] if client.name == "kind" else ["containerd", "docker", "podman"]
    paths = [path for kind in kinds for path in _paths(client, kind, upstreams)]
    place = {"kind": client.name, "paths": paths, "units": [], "programs": ["containerd"]}
    options = client.options
    if client.name == "kind":
        named = {"name": options.get("cluster", "kind"), "engine": options.get("engine", "docker")}
    else:
        named = {"name": options.get("profile", "minikube"), **({"home": options["home"]} if "home" in options else {})}
    return {**place, **named, "program": options.get("program", client.name)}


def _paths(client: Client, kind: str, upstreams: list[Upstream]) -> list[str]:
    path = path_of(client, kind)
    own = [f"{path}/{upstream.host}/hosts.toml" for upstream in upstreams] if kind == "containerd" else [path]
    config = [config_path_of(client)] if kind == "containerd" else []
    auth = [auth_path_of(client, kind)] if client.registry.basic and USUAL[kind].auth else []
    return [*own, *config, *auth, *([ca_path_of(client, kind)] if kind != "docker" or client.proxy else [])]


def path_of(client: Client, kind: str) -> str:
    given = "" if client.in_nodes else client.options.get("path", "")
    return (given or CLIENTS[kind][1]).rstrip("/")


def config_path_of(client: Client) -> str:
    return client.options.get("config_path") or CLIENTS["containerd_config"][1]


def auth_path_of(client: Client, kind: str) -> str:
    return client.options.get("auth_file") or USUAL[kind].auth


def ca_path_of(client: Client, kind: str) -> str:
    """Where the client looks for an authority, or where its own file says that it is."""
    path, given = path_of(client, kind), "" if client.in_nodes else client.options.get("ca_path", "")
    if given:
        return given
    if kind == "podman":
        return f"{'~/.config' if path.startswith('~') else '/etc'}/containers/certs.d/{client.registry.authority}/ca.crt"
    if kind == "docker":
        return f"/etc/docker/certs.d/{client.proxy.partition('://')[2].rstrip('/').lower()}/ca.crt"
    folder = path if kind == "containerd" else path.rpartition("/")[0]
    # Whoever imports all of the folder of sites would take it for one.
    return f"{folder.rpartition('/')[0] if kind == 'caddy' else folder}/zot-ca.crt"
