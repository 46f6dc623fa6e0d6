# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how clients pull through the registry.

zot finds its upstream by the repository's path alone, so every client has to put the upstream's name in front of it. A mirror named
without that is answered 404, and the client goes to the upstream itself without a word. No message quotes what was given, apart from
names that were found to be names.
"""

from __future__ import annotations

import base64
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

DOCKER = "docker.io"
# Spellings that zot and clients take for Docker Hub, and the host that answers for it.
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HUB = "registry-1.docker.io"

# The grammar of github.com/distribution/reference, which all these clients share.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_MAX_NAME = 255
# Needs no quoting in any of the formats.
_FILE = re.compile(r"/[A-Za-z0-9_./@+=,-]*")


@dataclass(frozen=True)
class Upstream:
    """``name``: under which it is cached; ``host``: as names of images have it; ``asked``: the host that the registry asks;
    ``server``: the URL of the host itself, where clients go when the registry does not answer."""

    name: str
    host: str
    asked: str
    server: str


@dataclass(frozen=True)
class Registry:
    """As clients reach it. ``authority`` is its host, with the port if the URL has one."""

    scheme: str
    authority: str
    ca: str = ""
    skip_verify: bool = False
    username: str = ""
    password: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def basic(self) -> str:
        """The header's value; empty without a login. A secret."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


# --- what is given


def upstreams_of(given: t.Any, registry: Registry | None = None) -> list[Upstream]:
    """``zot_upstreams`` of the role, or their names alone. Raises ZotError where a name or URL is none, or two meet."""
    if not isinstance(given, list):
        raise ZotError("upstreams: a list is wanted, of names or of mappings as in zot_upstreams")
    found: list[Upstream] = []
    for number, item in enumerate(given):
        made = _upstream({"name": item} if isinstance(item, str) else item, f"upstreams[{number}]")
        for other in found:
            if made.host == other.host:
                raise ZotError(f"upstreams[{number}]: {made.host} is there twice; clients can be sent to one cache of it only")
            if f"{made.name}/".startswith(f"{other.name}/") or f"{other.name}/".startswith(f"{made.name}/"):
                raise ZotError(f"upstreams[{number}]: {made.name} and {other.name} share repositories; give each a name of its own")
        if registry and made.host == registry.authority:
            raise ZotError(f"upstreams[{number}]: {made.host} is the registry itself, which cannot be its own mirror")
        found.append(made)
    return found


def _upstream(item: t.Any, where: str) -> Upstream:
    if not isinstance(item, dict) or set(item) - {"name", "url", "username", "retention"}:
        raise ZotError(f"{where}: a name is wanted, or a mapping of name and url as in zot_upstreams")
    name, url = item.get("name"), item.get("url")
    if not isinstance(name, str) or not _PATH.fullmatch(name):
        raise ZotError(f"{where}: name has to be lower-case letters, digits, dots and dashes, as it becomes a part of repositories' names")
    given = origin(url, f"{where}: url") if url else None
    is_host = bool(_HOST.fullmatch(name)) and ("." in name or name == "localhost")
    if not is_host and not given:
        raise ZotError(f"{where}: {name} is no host that names of images can begin with; give its url")
    scheme, asked = given or ("https", name)
    host = name if is_host else asked
    if host in _HUB_HOSTS:
        return Upstream(name, DOCKER, _HUB if asked in _HUB_HOSTS else asked, f"https://{_HUB}")
    return Upstream(name, host, _HUB if asked in _HUB_HOSTS else asked, f"{scheme if asked == host else 'https'}://{host}")


def registry_of(given: t.Any) -> Registry:
    """A URL, or a mapping of C(url), C(ca), C(skip_verify), C(username) and C(password). Raises ZotError."""
    item = {"url": given} if isinstance(given, str) else given
    if not isinstance(item, dict) or set(item) - {"url", "ca", "skip_verify", "username", "password"}:
        raise ZotError("registry: a URL is wanted, or a mapping of url, ca, skip_verify, username and password")
    scheme, authority = origin(item.get("url"), "registry: url")
    ca, skip_verify = item.get("ca") or "", item.get("skip_verify", False)
    if not isinstance(skip_verify, bool):
        raise ZotError("registry: skip_verify is true or false")
    if ca:
        file_path(ca, "registry: ca")
    if ca and (scheme == "http" or skip_verify):
        raise ZotError("registry: ca is of no use over http, or with skip_verify; leave one of them out")
    username, password = item.get("username") or "", item.get("password") or ""
    if not all(isinstance(value, str) for value in (username, password)) or bool(username) != bool(password):
        raise ZotError("registry: username and password are two texts, and go together")
    if ":" in username or not (username + password).isprintable():
        raise ZotError("registry: a username has no colon, and neither it nor the password has control characters")
    return Registry(scheme, authority, ca, skip_verify, username, password)


def origin(url: t.Any, where: str) -> tuple[str, str]:
    """A URL without a path -> its scheme and authority."""
    scheme, _separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    authority = rest[:-1] if rest.endswith("/") else rest
    if scheme not in ("http", "https") or not _HOST.fullmatch(authority):
        raise ZotError(f"{where} has to be http:// or https:// and a host, with a port if need be; no path and no login")
    return scheme, authority.lower()


def is_at(url: t.Any, registry: Registry) -> bool:
    """Whether a URL is one of the registry itself, whatever its path."""
    rest = url.partition("://")[2] if isinstance(url, str) else ""
    return rest.partition("/")[0].lower() == registry.authority


def file_path(value: t.Any, where: str) -> str:
    if not isinstance(value, str) or not _FILE.fullmatch(value):
        raise ZotError(f"{where} has to be an absolute path of letters, digits and the characters _ . / @ + = , -")
    return value


# --- images


@dataclass(frozen=True)
class Image:
    """``reference``: the digest if there is one, else the tag: what clients ask for."""

    host: str
    path: str
    reference: str

    @property
    def name(self) -> str:
        return f"{self.host}/{self.path}{'@' if ':' in self.reference else ':'}{self.reference}"


def image_of(text: t.Any, where: str = "image") -> Image:
    """The name of an image as clients read it: C(nginx) is C(docker.io/library/nginx:latest). Raises ZotError."""
    if not isinstance(text, str):
        raise ZotError(f"{where}: no text")
    name, _at, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        first, rest = DOCKER, name
    host = DOCKER if first == "index.docker.io" else first
    path, colon, tag = rest.partition(":")
    if host == DOCKER and "/" not in path:
        path = f"library/{path}"
    fits = _HOST.fullmatch(host) and _PATH.fullmatch(path) and len(f"{host}/{path}") <= _MAX_NAME
    if not fits or (colon and not _TAG.fullmatch(tag)) or ("@" in text and not _DIGEST.fullmatch(digest)):
        raise ZotError(f"{where}: no name of an image, such as docker.io/library/nginx:1 or ghcr.io/owner/name@sha256:...")
    return Image(host, path, digest or tag or "latest")


def route(image: Image, upstreams: list[Upstream], registry: Registry) -> dict[str, t.Any]:
    """What a client whose files are right asks of the registry, and the registry of the upstream; or why neither."""
    if image.host == registry.authority:
        return _written_out(image, upstreams, registry)
    for upstream in upstreams:
        if upstream.host == image.host:
            return _told(image, f"{registry.authority}/{upstream.name}/{image.path}", f"{upstream.asked}/{image.path}")
    asked = f"{_HUB if image.host == DOCKER else image.host}/{image.path}"
    return _told(image, "", asked, f"{image.host} is none of the registry's upstreams; clients ask it themselves")


def _written_out(image: Image, upstreams: list[Upstream], registry: Registry) -> dict[str, t.Any]:
    asked = f"{registry.authority}/{image.path}"
    for upstream in upstreams:
        if not image.path.startswith(f"{upstream.name}/"):
            continue
        path = image.path[len(upstream.name) + 1 :]
        if upstream.host == DOCKER and "/" not in path:
            why = f"Docker Hub has it as library/{path}, which is not added to a name that is written out"
            return _told(image, asked, f"{upstream.asked}/{path}", why)
        return _told(image, asked, f"{upstream.asked}/{path}")
    return _told(image, asked, "", "it is kept in the registry itself, and comes from no upstream")


def _told(image: Image, asked: str, upstream: str, why: str = "") -> dict[str, t.Any]:
    told = {"image": image.name, "cached": not why, "registry": asked, "upstream": upstream, "reference": image.reference, "why": why}
    steps = [f"{image.host}/{image.path}", asked, upstream]
    return {**told, "route": " -> ".join(step for number, step in enumerate(steps) if step and step not in steps[:number])}
