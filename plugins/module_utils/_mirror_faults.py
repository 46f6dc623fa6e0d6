# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: why a client goes past the registry, read in the client's own files.

Clients say nothing when they ignore a file or a mirror, so this reads as they do. No message quotes what is in a file: there may be
logins in it.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping

try:
    import tomllib  # type: ignore[import-not-found,unused-ignore] # since Python 3.11
except ImportError:
    tomllib = None  # type: ignore[assignment,unused-ignore] # since that is how it is absent

Read = t.Callable[[str], t.Optional[str]]
# Instead of a fault, where none can be looked for.
UNJUDGED = "this host's Python is older than 3.11 and cannot read the client's files, so why is not known"
_CAPABILITIES = {"pull", "resolve", "push"}
_CRI = r"io\.containerd\.(?:grpc\.v1\.cri|cri\.v1\.images)"
_CRI_REGISTRY = re.compile(rf"\[plugins\.[\"']{_CRI}[\"']\.registry\]\s+config_path = [\"']([^\"']*)[\"']")


@dataclass(frozen=True)
class Mirror:
    """What a client has to be told: images of ``host`` are at the registry (``scheme``, ``authority``) under ``name``.
    ``scheme`` is empty where it is not known."""

    host: str
    scheme: str
    authority: str
    name: str

    @property
    def url(self) -> str:
        """As containerd takes it."""
        return f"{self.scheme or 'https'}://{self.authority}/v2/{self.name}"


def hosts_fault(folder: str, mirror: Mirror, read: Read) -> str:
    """What is wrong with containerd's C(hosts.toml) for this host; empty if nothing is."""
    names = [mirror.host, "_default"]
    if ":" in mirror.host:
        names.insert(0, mirror.host.replace(":", "_") + "_")
    paths = [f"{folder.rstrip('/')}/{name}/hosts.toml" for name in names]
    path, text = next(((path, text) for path in paths for text in [read(path)] if text is not None), ("", ""))
    if not path:
        return f"{folder.rstrip('/')}/{mirror.host}/hosts.toml is not there, so containerd knows no mirror of {mirror.host}"
    tree, fault = _toml(text, path, "containerd ignores the whole file")
    if fault or tree is None:
        return fault
    hosts = mapping(tree.get("host"))
    for number, table in enumerate(hosts.values(), 1):
        words = mapping(table).get("capabilities", [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or set(words) - _CAPABILITIES:
            return (
                f"{path}: the capabilities of host {number} have a word that is none of pull, resolve and push, "
                "so containerd ignores the whole file"
            )
    if not hosts:
        return f"{path} names no host, so there is no mirror"
    return _host_fault(path, hosts, mirror)


def _host_fault(path: str, hosts: dict[str, t.Any], mirror: Mirror) -> str:
    ours = [(urlsplit(url), mapping(table)) for url, table in hosts.items() if _is_at(url, mirror.authority)]
    if not ours:
        return f"{path} does not name the registry {mirror.authority}"
    where, table = ours[0]
    if where.path.rstrip("/") != f"/v2/{mirror.name}":
        named = "without a path" if not where.path.strip("/") else "with another path"
        return f"{path} names the registry {named}, where zot answers 404: it has to be {mirror.url}"
    if table.get("override_path") is not True:
        return f"{path}: override_path = true is missing, so containerd appends /v2 to the path and is answered 404"
    if mirror.scheme and where.scheme != mirror.scheme:
        return f"{path} names the registry with another scheme than {mirror.scheme}://"
    words = table.get("capabilities", _CAPABILITIES)
    if not {"pull", "resolve"} <= set(words):
        return f"{path}: the registry's capabilities are not both pull and resolve"
    return ""


def cri_fault(dump: str, folder: str) -> str:
    """What is wrong with the configuration that containerd says it has (C(containerd config dump)); empty if nothing is."""
    disabled = re.search(r"^disabled_plugins = \[(.*)\]", dump, re.MULTILINE)
    if disabled and re.search(r"[\"'](?:io\.containerd\.grpc\.v1\.)?cri[\"']", disabled[1]):
        return ""
    found = _CRI_REGISTRY.search(dump)
    if not found or folder.rstrip("/") in [one.rstrip("/") for one in found[1].split(":")]:
        return ""
    named = "another folder" if found[1] else "no folder"
    return f"config_path in containerd's configuration names {named}, so CRI does not look into {folder}"


def containers_fault(files: t.Sequence[tuple[str, str]], mirror: Mirror) -> str:
    """The same for C(registries.conf) and its drop-ins, as (path, text) in the order in which podman and skopeo read them."""
    found: tuple[str, dict[str, t.Any]] | None = None
    for path, text in files:
        tree, fault = _toml(text, path, "podman and skopeo refuse all of their configuration")
        if fault or tree is None:
            return fault
        for entry in map(mapping, tree.get("registry") or []):
            if mirror.host in (entry.get("prefix"), entry.get("prefix") or entry.get("location")):
                found = path, entry
    if not found:
        return f"no registries.conf has a registry {mirror.host} with a mirror"
    path, entry = found
    mirrors = [mapping(one) for one in entry.get("mirror") or []]
    ours = [one for one in mirrors if str(one.get("location") or "").partition("/")[0] == mirror.authority]
    if not ours:
        return f"{path}: {mirror.host} has no mirror at {mirror.authority}"
    if ours[0].get("location") != f"{mirror.authority}/{mirror.name}":
        return f"{path} names the registry without its path, where zot answers 404: it has to be {mirror.authority}/{mirror.name}"
    if mirror.scheme == "http" and not ours[0].get("insecure"):
        return f"{path}: the registry speaks http, and its mirror is not insecure = true"
    return ""


def docker_fault(mirrors: str, mirror: Mirror) -> str:
    """The same for the mirrors that the daemon says it has, as JSON."""
    if mirror.host != "docker.io":
        return f"Docker's mirrors are for docker.io alone, and the image is of {mirror.host}"
    try:
        urls = json.loads(mirrors)
    except ValueError:
        return ""
    if not urls:
        return "the Docker daemon has no registry-mirrors"
    if any(_is_at(url, mirror.authority) for url in urls):
        return "registry-mirrors names the registry itself, where zot answers 404: it has to be the host that adds the path"
    return ""


def _is_at(url: t.Any, authority: str) -> bool:
    rest = url.partition("://")[2] if isinstance(url, str) else ""
    return rest.partition("/")[0].lower() == authority


def _toml(text: str, path: str, so: str) -> tuple[dict[str, t.Any] | None, str]:
    """The tree, or what is wrong; UNJUDGED where this Python cannot tell."""
    if tomllib is None:
        return None, UNJUDGED
    try:
        return tomllib.loads(text), ""
    except ValueError as error:
        line = re.search(r"line \d+", str(error))
        return None, f"{path} is no valid TOML{' (' + line[0] + ')' if line else ''}, so {so}"
