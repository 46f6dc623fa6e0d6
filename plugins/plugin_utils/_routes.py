# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how clients pull through the registry, and the files that make them do so.

zot finds its upstream by the repository's path alone, so every client has to put the upstream's name in front of it. A mirror named
without that is answered 404, and the client goes to the upstream itself without a word. Nothing here reads or writes: files that are
there are given as texts. No message quotes what was given, apart from names that were found to be names.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass

import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

MARK = "# Written by blumeops.zot from the upstreams of the registry. What is changed here is overwritten.\n"
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

_CRI = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}


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


class File(t.NamedTuple):
    path: str
    content: str
    mode: str


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
    given = _origin(url, f"{where}: url") if url else None
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
    scheme, authority = _origin(item.get("url"), "registry: url")
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


def _origin(url: t.Any, where: str) -> tuple[str, str]:
    """A URL without a path -> its scheme and authority."""
    scheme, _separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    authority = rest[:-1] if rest.endswith("/") else rest
    if scheme not in ("http", "https") or not _HOST.fullmatch(authority):
        raise ZotError(f"{where} has to be http:// or https:// and a host, with a port if need be; no path and no login")
    return scheme, authority.lower()


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


# --- files


@dataclass(frozen=True)
class Wanted:
    """``path``: instead of the client's own; ``existing``: texts of files that are there, by their paths; ``proxy``: the URL that gives
    Docker Hub a root of its own; ``config_version``: of a containerd configuration that is yet to be written."""

    upstreams: list[Upstream]
    registry: Registry
    path: str
    existing: dict[str, str]
    proxy: str = ""
    config_version: int = 0

    @property
    def before(self) -> str:
        return self.existing.get(self.path, "")


def _hosts(wanted: Wanted) -> list[File]:
    """containerd 1.6, 1.7 and 2.x. A slip in it would make them ignore the whole file without a word."""
    files = []
    for upstream in wanted.upstreams:
        path = f"{wanted.path.rstrip('/')}/{upstream.host}/hosts.toml"
        url, registry = f"{wanted.registry.url}/v2/{upstream.name}", wanted.registry
        trust = {"ca": registry.ca} if registry.ca else {"skip_verify": True} if registry.skip_verify else {}
        tables: list[tuple[list[str], dict[str, t.Any]]] = [
            ([], {"server": upstream.server}),
            (["host", url], {"capabilities": ["pull", "resolve"], "override_path": True, **trust}),
        ]
        if registry.basic:
            tables.append((["host", url, "header"], {"authorization": registry.basic}))
        files.append(_own(wanted, path, MARK + toml(tables), "0600" if registry.basic else "0644"))
    return files


def _containerd_config(wanted: Wanted) -> list[File]:
    """Where the folder of C(hosts.toml) is named. Without it CRI does not look there (until 2.2)."""
    folder = "/etc/containerd/certs.d"
    before = wanted.before
    tree = _toml_tree(before, wanted.path)
    version = tree.get("version") if tree else wanted.config_version
    if not isinstance(version, int) or version not in _CRI:
        raise ZotError(
            f"{wanted.path}: version is neither 2 (containerd 1.x) nor 3 (containerd 2.x)"
            + ("; migrate it first: containerd config migrate" if tree else "; give config_version, or the text of the file in existing")
        )
    plugin = _CRI[version]
    table = toml([(["plugins", plugin, "registry"], {"config_path": folder})])
    registry = _table(_table(_table(tree, "plugins"), plugin), "registry")
    if registry.get("mirrors") or any(isinstance(item, dict) and item.get("tls") for item in _table(registry, "configs").values()):
        raise ZotError(f"{wanted.path}: mirrors or configs.*.tls are set, with which containerd refuses config_path; remove them first")
    present = registry.get("config_path") or ""
    if isinstance(present, str) and folder in present.split(":"):
        return [File(wanted.path, before, "0600")]
    if present:
        raise ZotError(f"{wanted.path}: config_path names another folder; write the files there (path), or remove it first")
    after = _with_config_path(before, plugin, table, f'config_path = "{folder}"') if tree else f"version = {version}\n\n{table}"
    expected = {**tree, "version": version, "plugins": {**_table(tree, "plugins")}}
    expected["plugins"][plugin] = {**_table(expected["plugins"], plugin), "registry": {**registry, "config_path": folder}}
    return [_proved(wanted.path, after, expected, table)]


def _with_config_path(text: str, plugin: str, table: str, line: str) -> str:
    head = re.search(rf"^[ \t]*\[[ \t]*plugins\.([\"']){re.escape(plugin)}\1\.registry[ \t]*\][^\n]*\n?", text, re.MULTILINE)
    if not head:
        return _appended(text, table)
    following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(text, head.end())
    end = following.start() if following else len(text)
    body, count = re.subn(
        r"^([ \t]*)config_path[ \t]*=[ \t]*(?:\"\"|'')", rf"\1{line}", text[head.end() : end], count=1, flags=re.MULTILINE
    )
    opening = text[: head.end()] if text[: head.end()].endswith("\n") else text[: head.end()] + "\n"
    return opening + (body if count else f"  {line}\n{body}") + text[end:]


def _k3s(wanted: Wanted) -> list[File]:
    """k3s takes an endpoint's path as it is, so C(/v2) is part of it."""
    before = _yaml_mapping(wanted.before, wanted.path)
    mirrors, configs = {**_section(before, "mirrors", wanted)}, {**_section(before, "configs", wanted)}
    registry = wanted.registry
    for upstream in wanted.upstreams:
        where, present = f"mirrors.{upstream.host}", {**_section(mirrors, upstream.host, wanted)}
        if present.get("rewrite"):
            raise _taken(wanted, f"{where}.rewrite", "it would change the path once more")
        others = present.get("endpoint") or []
        if not isinstance(others, list) or any(not _is_at(url, registry) for url in others):
            raise _taken(wanted, f"{where}.endpoint", "there are other endpoints")
        mirrors[upstream.host] = {**present, "endpoint": [f"{registry.url}/v2/{upstream.name}"]}
    tls = {"ca_file": registry.ca} if registry.ca else {"insecure_skip_verify": True} if registry.skip_verify else {}
    login = {"username": registry.username, "password": registry.password} if registry.username else {}
    if tls or login:
        configs[registry.authority] = _k3s_config(wanted, {**_section(configs, registry.authority, wanted)}, tls, login)
    after = {**before, "mirrors": mirrors, **({"configs": configs} if configs else {})}
    text = wanted.before if after == before else MARKED_YAML + yaml.safe_dump(after, sort_keys=False, allow_unicode=True)
    return [File(wanted.path, text, "0600")]


MARKED_YAML = "# blumeops.zot keeps the mirrors of the registry's upstreams here. Other keys stay; comments do not.\n"


def _k3s_config(wanted: Wanted, config: dict[str, t.Any], tls: dict[str, t.Any], login: dict[str, t.Any]) -> dict[str, t.Any]:
    where = f"configs.{wanted.registry.authority}"
    if tls:
        present = _section(config, "tls", wanted)
        if any(present.get(key) and present[key] != tls.get(key) for key in ("ca_file", "insecure_skip_verify")):
            raise _taken(wanted, f"{where}.tls", "another trust is set")
        config["tls"] = {**present, **tls}
    if login:
        present = _section(config, "auth", wanted)
        # The password of the same user may have been changed since.
        if present and (set(present) - set(login) or present.get("username") != login["username"]):
            raise _taken(wanted, f"{where}.auth", "another login is set")
        config["auth"] = login
    return config


def _podman(wanted: Wanted) -> list[File]:
    """podman, skopeo, buildah and CRI-O. A scheme in a location would make them refuse all their configuration."""
    registry = wanted.registry
    if registry.ca:
        folder = f"/etc/containers/certs.d/{registry.authority}"
        raise ZotError(f"podman's mirrors name no authority: put it at {folder}/ca.crt, and leave ca out")
    if registry.basic:
        raise ZotError(f"podman's mirrors carry no login: podman login {registry.authority} keeps it; leave username and password out")
    insecure = {"insecure": True} if registry.scheme == "http" or registry.skip_verify else {}
    parts = []
    for upstream in wanted.upstreams:
        plain_http = {"insecure": True} if upstream.server.startswith("http://") else {}
        parts.append("[[registry]]\n" + toml([([], {"prefix": upstream.host, "location": upstream.host, **plain_http})]))
        parts.append("[[registry.mirror]]\n" + toml([([], {"location": f"{registry.authority}/{upstream.name}", **insecure})]))
    return [_own(wanted, wanted.path, MARK + "\n" + "\n".join(parts), "0644")]


def _buildkit(wanted: Wanted) -> list[File]:
    """BuildKit looks up http and trust under the mirror's own host."""
    registry = wanted.registry
    if registry.basic:
        raise ZotError(f"BuildKit's mirrors carry no login: docker login {registry.authority} where builds are started; leave it out here")
    options: dict[str, t.Any] = {"http": True} if registry.scheme == "http" else {"insecure": True} if registry.skip_verify else {}
    options = {"ca": [registry.ca]} if registry.ca else options
    tables = {up.host: {"mirrors": [f"{registry.authority}/{up.name}"]} for up in wanted.upstreams}
    if options:
        tables[registry.authority] = options
    tree = _toml_tree(wanted.before, wanted.path)
    present, missing = _table(tree, "registry"), []
    for host, table in tables.items():
        if host not in present:
            missing.append((["registry", host], table))
        elif any(_table(present, host).get(key) != value for key, value in table.items()):
            raise _taken(wanted, f'registry."{host}"', "it says otherwise")
    if not missing:
        return [File(wanted.path, wanted.before, "0600")]
    expected = {**tree, "registry": {**tables, **present}}
    return [_proved(wanted.path, _appended(wanted.before, toml(missing)), expected, toml(missing))]


def _docker(wanted: Wanted) -> list[File]:
    if not wanted.proxy:
        raise ZotError(
            "Docker's registry-mirrors cannot carry a path, so the daemon never reaches what is kept under docker.io/; give proxy, "
            "the URL of a host of its own that adds it (client caddy writes it), or let Docker use containerd's image store"
        )
    _hub(wanted)
    before = _json_mapping(wanted.before, wanted.path)
    present = before.get("registry-mirrors") or []
    if not isinstance(present, list) or not all(isinstance(url, str) for url in present):
        raise _taken(wanted, "registry-mirrors", "it is no list of URLs")
    # The registry's bare root is a mirror that answers 404 for ever.
    others = [url for url in present if url.rstrip("/") != wanted.proxy and not _is_at(url, wanted.registry)]
    kept = [url for url in present if url.rstrip("/") == wanted.proxy][:1] or [wanted.proxy]
    after = {**before, "registry-mirrors": [*kept, *others]}
    text = wanted.before if after == before else json.dumps(after, indent=2, ensure_ascii=False) + "\n"
    return [File(wanted.path, text, "0600")]


def _caddy(wanted: Wanted) -> list[File]:
    """A host that gives Docker Hub's cache a root of its own; it only reads. C(/v2/) itself has to stay, as clients knock there."""
    if not wanted.proxy:
        raise ZotError("caddy: give proxy, the URL of the host of its own under which Docker finds the cache of docker.io")
    registry, name = wanted.registry, _hub(wanted).name
    inner = [f'\t\theader_up Authorization "{registry.basic}"'] if registry.basic else []
    if registry.scheme == "https":
        inner.append("\t\theader_up Host {upstream_hostport}")
    if registry.ca or registry.skip_verify:
        trust = f"tls_trust_pool file {registry.ca}" if registry.ca else "tls_insecure_skip_verify"
        inner += ["\t\ttransport http {", f"\t\t\t{trust}", "\t\t}"]
    lines = [
        f"{wanted.proxy} {{",
        "\t@write not method GET HEAD",
        "\trespond @write 405",
        "\t@image path_regexp image ^/v2/(.+)$",
        f"\trewrite @image /v2/{name}/{{re.image.1}}",
        *([f"\treverse_proxy {registry.url} {{", *inner, "\t}"] if inner else [f"\treverse_proxy {registry.url}"]),
        "}",
    ]
    return [_own(wanted, wanted.path, MARK + "\n".join(lines) + "\n", "0600" if registry.basic else "0644")]


CLIENTS: dict[str, tuple[t.Callable[[Wanted], list[File]], str]] = {
    "containerd": (_hosts, "/etc/containerd/certs.d"),
    "containerd_config": (_containerd_config, "/etc/containerd/config.toml"),
    "k3s": (_k3s, "/etc/rancher/k3s/registries.yaml"),
    "rke2": (_k3s, "/etc/rancher/rke2/registries.yaml"),
    "podman": (_podman, "/etc/containers/registries.conf.d/50-zot.conf"),
    "buildkit": (_buildkit, "/etc/buildkit/buildkitd.toml"),
    "docker": (_docker, "/etc/docker/daemon.json"),
    "caddy": (_caddy, "/etc/caddy/sites/zot-docker.caddy"),
}


def files(
    client: str,
    upstreams: t.Any,
    registry: t.Any,
    path: str = "",
    existing: dict[str, str] | None = None,
    proxy: str = "",
    config_version: int = 0,
) -> list[File]:
    """The files of ``client``, one of CLIENTS, as they should be. Raises ZotError where one that is there contradicts."""
    if client not in CLIENTS:
        raise ZotError(f"client: one of {', '.join(sorted(CLIENTS))}")
    write, usual = CLIENTS[client]
    reached = registry_of(registry)
    if proxy:
        proxy = "://".join(_origin(proxy, "proxy"))
        if _is_at(proxy, reached):
            raise ZotError("proxy is the registry itself; it has to be a host of its own")
    known = upstreams_of(upstreams, reached)
    if not known:
        raise ZotError("upstreams: there is none, so there is nothing to pull through")
    return write(Wanted(known, reached, file_path(path or usual, "path"), existing or {}, proxy, config_version))


def _hub(wanted: Wanted) -> Upstream:
    for upstream in wanted.upstreams:
        if upstream.host == DOCKER:
            return upstream
    raise ZotError("upstreams: docker.io is not among them, and Docker's mirrors are for it alone")


def _own(wanted: Wanted, path: str, content: str, mode: str) -> File:
    present = wanted.existing.get(path, "")
    if present.strip() and present != content and not present.startswith(MARK):
        raise ZotError(f"{path} is there already and was written by somebody else; remove it first, or keep it and leave this client out")
    return File(path, content, mode)


def _taken(wanted: Wanted, key: str, why: str) -> ZotError:
    return ZotError(f"{wanted.path}: {key} is set already, and {why}; remove it there first")


def _is_at(url: t.Any, registry: Registry) -> bool:
    rest = url.partition("://")[2] if isinstance(url, str) else ""
    return rest.partition("/")[0].lower() == registry.authority


def _section(tree: dict[str, t.Any], key: str, wanted: Wanted) -> dict[str, t.Any]:
    value = tree.get(key)
    if value is not None and not isinstance(value, dict):
        raise _taken(wanted, key, "it is no mapping")
    return value or {}


def _table(tree: dict[str, t.Any], key: str) -> dict[str, t.Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


# --- formats


def toml(tables: list[tuple[list[str], dict[str, t.Any]]]) -> str:
    """Tables of texts, booleans and lists of texts."""
    parts = []
    for names, table in tables:
        head = [f"[{'.'.join(name if re.fullmatch('[a-z]+', name) else _quoted(name) for name in names)}]\n"] if names else []
        parts.append("".join([*head, *(f"{key} = {_value(value)}\n" for key, value in table.items())]))
    return "\n".join(parts)


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(_quoted, value))}]" if isinstance(value, list) else _quoted(value)


def _quoted(text: str) -> str:
    # JSON's text is TOML's, but for DEL and for characters beyond 16 bits when they are escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _appended(text: str, part: str) -> str:
    return text.rstrip("\n") + "\n\n" + part if text.strip() else part


def _proved(path: str, text: str, expected: dict[str, t.Any], part: str) -> File:
    """The text is edited, so that comments stay; here it is read again, so that nothing else changed."""
    try:
        same = _toml_tree(text, path) == expected
    except ZotError:
        same = False
    if not same:
        raise ZotError(f"{path} is written in a way that cannot be added to; add this to it yourself:\n{part}")
    return File(path, text, "0600")


def _toml_tree(text: str, path: str) -> dict[str, t.Any]:
    # Of Python 3.11, as is every ansible-core here.
    import tomllib  # type: ignore[import-not-found,unused-ignore]

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ZotError(f"{path} is no valid TOML; its own program would not read it either. Correct it first") from None


class _Strict(yaml.SafeLoader):
    """A key given twice is an error: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[t.Any, t.Any]:
        keys = [item.value for item, _value in node.value if isinstance(item, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError("twice")
        return super().construct_mapping(node, deep)


def _yaml_mapping(text: str, path: str) -> dict[str, t.Any]:
    try:
        tree = yaml.load(text, _Strict)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, ValueError):
        raise ZotError(f"{path} is no valid YAML, or has a key twice; correct it first") from None
    return _mapping(tree, path)


def _json_mapping(text: str, path: str) -> dict[str, t.Any]:
    def once(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    try:
        tree = json.loads(text, object_pairs_hook=once) if text.strip() else None
    except ValueError:
        raise ZotError(f"{path} is no valid JSON, or has a key twice; correct it first") from None
    return _mapping(tree, path)


def _mapping(tree: t.Any, path: str) -> dict[str, t.Any]:
    if tree is not None and not isinstance(tree, dict):
        raise ZotError(f"{path} is no mapping; correct it first")
    return tree or {}
