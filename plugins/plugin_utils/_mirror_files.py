# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the files, whole, that make a client pull through the registry.

Nothing here reads or writes: files that are there are given as texts. What is there and contradicts is an error that names the file and
the key, and quotes nothing.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass

import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_formats import json_mapping, toml, toml_tree, yaml_mapping
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import (
    DOCKER,
    Registry,
    Upstream,
    file_path,
    is_at,
    origin,
    registry_of,
    upstreams_of,
)

MARK = "# Written by blumeops.zot from the upstreams of the registry. What is changed here is overwritten.\n"
CERTS_D = "/etc/containerd/certs.d"
_CRI = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}


class File(t.NamedTuple):
    """``secret``: nobody else may see the content; ``read``: how its text is read where others' settings are in it, so that its mode and
    owner stay as they are."""

    path: str
    content: str
    mode: str
    secret: bool = False
    read: t.Callable[[str, str], dict[str, t.Any]] | None = None

    @property
    def shared(self) -> bool:
        return self.read is not None


@dataclass(frozen=True)
class Wanted:
    """``path``: instead of the client's own; ``existing``: texts of files that are there, by their paths; ``proxy``: the URL that gives
    Docker Hub a root of its own; ``config_version``: of a containerd configuration that is yet to be written; ``folder``: where that is to
    look for C(hosts.toml)."""

    upstreams: list[Upstream]
    registry: Registry
    path: str
    existing: dict[str, str]
    proxy: str = ""
    config_version: int = 0
    folder: str = CERTS_D

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
        files.append(_own(wanted, path, MARK + toml(tables), bool(registry.basic), _replaceable(wanted, path, upstream)))
    return files


def _replaceable(wanted: Wanted, path: str, upstream: Upstream) -> bool:
    """Whether nothing is lost with somebody else's C(hosts.toml): it only says what containerd does without it, as minikube's node images
    do, or its mirrors are the registry itself, such as its bare root."""
    try:
        tree = toml_tree(wanted.existing.get(path, ""), path)
    except ZotError:
        return False
    hosts = tree.get("host", {})
    elsewhere = set(tree) - {"server", "host"} or tree.get("server", upstream.server) != upstream.server
    return bool(tree) and not elsewhere and isinstance(hosts, dict) and all(is_at(url, wanted.registry) for url in hosts)


def _containerd_config(wanted: Wanted) -> list[File]:
    """Where the folder of C(hosts.toml) is named. Without it CRI does not look there (until 2.2)."""
    folder, before = wanted.folder, wanted.before
    tree = toml_tree(before, wanted.path)
    version = tree.get("version") if tree else wanted.config_version
    if not isinstance(version, int) or version not in _CRI:
        raise ZotError(
            f"{wanted.path}: version is neither 2 (containerd 1.x) nor 3 (containerd 2.x)"
            + (
                "; rewrite it for version 2 first, or leave it alone (config: false) where CRI is not used"
                if tree
                else "; give config_version, or the text of the file in existing"
            )
        )
    plugin = _CRI[version]
    table = toml([(["plugins", plugin, "registry"], {"config_path": folder})])
    registry = _table(_table(_table(tree, "plugins"), plugin), "registry")
    if registry.get("mirrors") or any(isinstance(item, dict) and item.get("tls") for item in _table(registry, "configs").values()):
        raise ZotError(f"{wanted.path}: mirrors or configs.*.tls are set, with which containerd refuses config_path; remove them first")
    present = registry.get("config_path") or ""
    if isinstance(present, str) and folder in present.split(":"):
        return [_shared(wanted, toml_tree, before)]
    if present:
        raise ZotError(f"{wanted.path}: config_path names another folder; write the files there (path), or remove it first")
    after = (
        _with_config_path(before, plugin, table, f'config_path = "{folder}"')
        if tree
        else _appended(before, f"version = {version}\n\n{table}")
    )
    expected = {**tree, "version": version, "plugins": {**_table(tree, "plugins")}}
    expected["plugins"][plugin] = {**_table(expected["plugins"], plugin), "registry": {**registry, "config_path": folder}}
    return [_proved(wanted.path, after, expected, table)]


def needs_no_config(text: str, path: str, release: tuple[int, ...]) -> bool:
    """Whether containerd looks in its usual folder anyway: 2.2 and later do, as long as nothing is said of registries."""
    plugins = _table(toml_tree(text, path), "plugins")
    return release >= (2, 2) and not any(_table(plugins, name).get("registry") for name in _CRI.values())


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
    before = yaml_mapping(wanted.before, wanted.path)
    mirrors, configs = {**_section(before, "mirrors", wanted)}, {**_section(before, "configs", wanted)}
    registry = wanted.registry
    for upstream in wanted.upstreams:
        where, present = f"mirrors.{upstream.host}", {**_section(mirrors, upstream.host, wanted)}
        if present.get("rewrite"):
            raise _taken(wanted, f"{where}.rewrite", "it would change the path once more")
        others = present.get("endpoint") or []
        if not isinstance(others, list) or any(not is_at(url, registry) for url in others):
            raise _taken(wanted, f"{where}.endpoint", "there are other endpoints")
        mirrors[upstream.host] = {**present, "endpoint": [f"{registry.url}/v2/{upstream.name}"]}
    tls = {"ca_file": registry.ca} if registry.ca else {"insecure_skip_verify": True} if registry.skip_verify else {}
    login = {"username": registry.username, "password": registry.password} if registry.username else {}
    if tls or login:
        configs[registry.authority] = _k3s_config(wanted, {**_section(configs, registry.authority, wanted)}, tls, login)
    after = {**before, "mirrors": mirrors, **({"configs": configs} if configs else {})}
    text = wanted.before if after == before else MARKED_YAML + yaml.safe_dump(after, sort_keys=False, allow_unicode=True)
    return [_shared(wanted, yaml_mapping, text, secret=bool(login))]


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
    return [_own(wanted, wanted.path, MARK + "\n" + "\n".join(parts))]


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
    tree = toml_tree(wanted.before, wanted.path)
    present, missing = _table(tree, "registry"), []
    for host, table in tables.items():
        if host not in present:
            missing.append((["registry", host], table))
        elif any(_table(present, host).get(key) != value for key, value in table.items()):
            raise _taken(wanted, f'registry."{host}"', "it says otherwise")
    if not missing:
        return [_shared(wanted, toml_tree, wanted.before)]
    expected = {**tree, "registry": {**tables, **present}}
    return [_proved(wanted.path, _appended(wanted.before, toml(missing)), expected, toml(missing))]


def _docker(wanted: Wanted) -> list[File]:
    if not wanted.proxy:
        raise ZotError(
            "Docker's registry-mirrors cannot carry a path, so the daemon never reaches what is kept under docker.io/; give proxy, "
            "the URL of a host of its own that adds it (client caddy writes it), or let Docker use containerd's image store"
        )
    _hub(wanted)
    before = json_mapping(wanted.before, wanted.path)
    present = before.get("registry-mirrors") or []
    if not isinstance(present, list) or not all(isinstance(url, str) for url in present):
        raise _taken(wanted, "registry-mirrors", "it is no list of URLs")
    # The registry's bare root is a mirror that answers 404 for ever.
    others = [url for url in present if url.rstrip("/") != wanted.proxy and not is_at(url, wanted.registry)]
    kept = [url for url in present if url.rstrip("/") == wanted.proxy][:1] or [wanted.proxy]
    after = {**before, "registry-mirrors": [*kept, *others]}
    text = wanted.before if after == before else json.dumps(after, indent=2, ensure_ascii=False) + "\n"
    return [_shared(wanted, json_mapping, text)]


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
    return [_own(wanted, wanted.path, MARK + "\n".join(lines) + "\n", bool(registry.basic))]


CLIENTS: dict[str, tuple[t.Callable[[Wanted], list[File]], str]] = {
    "containerd": (_hosts, CERTS_D),
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
    folder: str = CERTS_D,
) -> list[File]:
    """The files of ``client``, one of CLIENTS, as they should be. Raises ZotError where one that is there contradicts."""
    if client not in CLIENTS:
        raise ZotError(f"client: one of {', '.join(sorted(CLIENTS))}")
    write, usual = CLIENTS[client]
    reached = registry_of(registry)
    if proxy:
        proxy = "://".join(origin(proxy, "proxy"))
        if is_at(proxy, reached):
            raise ZotError("proxy is the registry itself; it has to be a host of its own")
    path = path or usual
    file_path(path[1:] if client == "podman" and path.startswith("~/") else path, "path")
    known = upstreams_of(upstreams, reached)
    if not known:
        raise ZotError("upstreams: there is none, so there is nothing to pull through")
    return write(Wanted(known, reached, path, existing or {}, proxy, config_version, folder))


def _hub(wanted: Wanted) -> Upstream:
    for upstream in wanted.upstreams:
        if upstream.host == DOCKER:
            return upstream
    raise ZotError("upstreams: docker.io is not among them, and Docker's mirrors are for it alone")


def _own(wanted: Wanted, path: str, content: str, secret: bool = False, replaceable: bool = False) -> File:
    present = wanted.existing.get(path, "")
    if present.strip() and present != content and not present.startswith(MARK) and not replaceable:
        raise ZotError(f"{path} is there already and was written by somebody else; remove it first, or keep it and leave this client out")
    return File(path, content, "0600" if secret else "0644", secret)


def _shared(wanted: Wanted, read: t.Callable[[str, str], dict[str, t.Any]], content: str, secret: bool = False) -> File:
    return File(wanted.path, content, "0600", secret, read)


def _appended(text: str, part: str) -> str:
    return text.rstrip("\n") + "\n\n" + part if text.strip() else part


def _proved(path: str, text: str, expected: dict[str, t.Any], part: str) -> File:
    """The text is edited, so that comments stay; here it is read again, so that nothing else changed."""
    try:
        same = toml_tree(text, path) == expected
    except ZotError:
        same = False
    if not same:
        raise ZotError(f"{path} is written in a way that cannot be added to; add this to it yourself:\n{part}")
    return File(path, text, "0600", read=toml_tree)


def _taken(wanted: Wanted, key: str, why: str) -> ZotError:
    return ZotError(f"{wanted.path}: {key} is set already, and {why}; remove it there first")


def _section(tree: dict[str, t.Any], key: str, wanted: Wanted) -> dict[str, t.Any]:
    value = tree.get(key)
    if value is not None and not isinstance(value, dict):
        raise _taken(wanted, key, "it is no mapping")
    return value or {}


def _table(tree: dict[str, t.Any], key: str) -> dict[str, t.Any]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def auth_file(path: str, existing: str, logins: list[str], registry: Registry) -> File:
    """C(auth.json) of podman and its kin, or Docker's C(config.json), with the registry's login under each of ``logins``; others stay."""
    tree = json_mapping(existing, path)
    auths, helpers = tree.get("auths") or {}, tree.get("credHelpers") or {}
    if not isinstance(auths, dict) or not isinstance(helpers, dict):
        raise ZotError(f"{path}: auths or credHelpers is no mapping; correct it first")
    if registry.authority in helpers or tree.get("credsStore"):
        raise ZotError(f"{path}: a credential helper answers first for {registry.authority}; give it the login, or remove it there")
    ours = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    for key in logins:
        # The password of the same user may have been changed since.
        present = auths.get(key)
        if present and (not isinstance(present, dict) or set(present) != {"auth"} or _user(present["auth"]) != registry.username):
            raise ZotError(f"{path}: auths.{key} is set already, and it is another login; remove it there first")
    after = {**tree, "auths": {**auths, **{key: {"auth": ours} for key in logins}}}
    text = existing if after == tree else json.dumps(after, indent=2, ensure_ascii=False) + "\n"
    return File(path, text, "0600", secret=True, read=json_mapping)


def _user(auth: t.Any) -> str:
    try:
        return base64.b64decode(auth).decode().partition(":")[0]
    except (TypeError, ValueError):
        return ""
