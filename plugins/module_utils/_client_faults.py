# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: looks where a client has its settings, for `_mirror_faults` to say what is wrong with them."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._mirror_faults import (
    UNJUDGED,
    Mirror,
    Read,
    containers_fault,
    cri_fault,
    docker_fault,
    hosts_fault,
)
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner

HOSTS_DIRS = {
    "containerd": "/etc/containerd/certs.d",
    "minikube": "/etc/containerd/certs.d",
    "k3s": "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    "rke2": "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
}
_MIRRORS = ["info", "--format", "{{json .RegistryConfig.Mirrors}}"]


def fault_of(args: t.Mapping[str, t.Any], command: list[str], route: t.Mapping[str, t.Any], run: Runner) -> str:
    """``args``: the module's. ``command``: how the client is called. Empty where all is as it should be; UNJUDGED where nobody can tell."""
    mirror, client = mirror_of(route, args["url"]), args["client"]
    inside = _inside(client, command)
    read = _reader([*inside, "cat"], run) if inside else read_file
    if client in ("podman", "skopeo"):
        fault = containers_fault(
            _registries_conf(command, "" if client == "skopeo" else os.environ.get("CONTAINERS_REGISTRIES_CONF", "")), mirror
        )
    elif client == "docker":
        fault = docker_fault(run([*command, *_MIRRORS]).stdout, mirror)
    else:
        fault = _of_containerd(args, inside, mirror, read, run)
    if fault == UNJUDGED and args["files"]:
        fault = ""  # what they should be was given
    return fault or _not_as_made(args["files"], read)


def mirror_of(route: t.Mapping[str, t.Any], url: str) -> Mirror:
    """From a route: docker.io/library/nginx:1 is at registry.example/docker.io/library/nginx."""
    host, _slash, path = route["image"].partition("/")
    path = path[: -len(route["reference"]) - 1]
    authority, _slash, repository = route["registry"].partition("/")
    where = urlsplit(url)
    # The host that checks may reach it by another address than its client does.
    scheme = where.scheme if where.netloc.lower() == authority else ""
    return Mirror(host, scheme, authority, repository[: -len(path) - 1])


def _inside(client: str, command: list[str]) -> list[str]:
    """What runs a program in a node, where that is no host of its own: C(minikube ssh --), C(docker exec node)."""
    in_node = client == "minikube" or (client == "containerd" and len(command) > 1 and command[-1] == "crictl")
    return command[:-1] if in_node else []


def read_file(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return None


def _reader(cat: list[str], run: Runner) -> Read:
    def read(path: str) -> str | None:
        done = run([*cat, path])
        return None if done.rc else done.stdout

    return read


def _of_containerd(args: t.Mapping[str, t.Any], inside: list[str], mirror: Mirror, read: Read, run: Runner) -> str:
    client = args["client"]
    if client == "minikube":
        # A node with Docker has crictl too, and no use for containerd's folder.
        docker = run([*inside, "docker", *_MIRRORS])
        if not docker.rc and docker.stdout.strip().startswith(("[", "null")):
            return docker_fault(docker.stdout, mirror)
    folder = args["hosts_dir"] or HOSTS_DIRS[client]
    fault = hosts_fault(folder, mirror, read)
    if fault and fault != UNJUDGED and read(f"/etc/rancher/{client}/registries.yaml") is not None:
        return f"{fault}; {client} makes it of registries.yaml at its start: was it restarted since?"
    if fault not in ("", UNJUDGED) or client != "containerd":
        return fault
    dump = run([*inside, "containerd", "-c", args["config_path"], "config", "dump"])
    return (not dump.rc and cri_fault(dump.stdout, folder)) or fault


def _registries_conf(command: list[str], named: str) -> list[tuple[str, str]]:
    """In the order in which they are read; ``named``: by the environment, which skopeo does not look at.

    The user's own file stands for the system's; drop-ins add to either.
    """
    told = command[command.index("--registries-conf") + 1] if "--registries-conf" in command[:-1] else ""
    home = Path.home() / ".config" / "containers"
    own = home / "registries.conf"
    main = Path(told or named or (own if own.exists() else "/etc/containers/registries.conf"))
    folders = [Path("/etc/containers/registries.conf.d"), home / "registries.conf.d"]
    paths = [main, *(path for folder in folders for path in sorted(folder.glob("*.conf")))]
    return [(str(path), text) for path in paths for text in [read_file(str(path))] if text is not None]


def _not_as_made(files: t.Sequence[t.Mapping[str, t.Any]], read: Read) -> str:
    for file in files:
        text = read(file["path"])
        if text != file["content"]:
            return f"{file['path']} is {'not there' if text is None else 'not as mirror_files makes it'}"
    return ""
