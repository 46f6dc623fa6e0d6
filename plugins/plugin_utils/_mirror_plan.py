# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the clients of a host have -> what to write, whom to tell, and what people are shown of it.

Everything is computed before anything is written, so that one client's refusal leaves all of them as they were.
"""

from __future__ import annotations

import base64
import re
import typing as t
from dataclasses import dataclass, field, replace

import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._document import masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_clients import (
    RUNTIMES,
    USUAL,
    Client,
    Told,
    Usual,
    auth_path_of,
    ca_path_of,
    config_path_of,
    path_of,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import CERTS_D, CLIENTS, File, auth_file, files, needs_no_config
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_formats import toml_tree
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import origin, upstreams_of


@dataclass(frozen=True)
class Change:
    place: int
    node: str
    file: File
    mode: str
    before: str | None
    was_secret: bool
    header: str
    owner: str = ""

    def told(self) -> Told:
        """As the module for the host takes it."""
        folder = "0700" if self.file.secret and self.file.path.startswith("~") else "0755"
        where = {"place": self.place, "node": self.node, "path": self.file.path, **({"owner": self.owner} if self.owner else {})}
        return {**where, "content": _coded(self.file.content), "mode": self.mode, "folder_mode": folder}


@dataclass
class Plan:
    """``activations``: C(client), C(argv), C(why) and C(who); ``left``: what nobody here can do; ``owed``: who did not take yet what an
    earlier run wrote."""

    owed: list[str]
    changes: list[Change] = field(default_factory=list)
    activations: list[Told] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def who(self) -> list[str]:
        return [activation["who"] for activation in self.activations]

    def has_to_take(self, who: str, wish: Wish, changed: list[Change]) -> bool:
        return who in self.owed or any(change.file.path in wish.read_at_start for change in changed)


def plan(clients: list[Client], upstreams: t.Any, ca: str, answers: list[list[Told]], owed: list[str]) -> Plan:
    """From what the host answered to C(questions). Raises ZotError for what contradicts."""
    made = Plan(owed)
    nodes = iter(enumerate(answers[1:], 1))
    for client in clients:
        wish = Wish(client, "containerd" if client.in_nodes else client.name, upstreams, ca)
        try:
            if client.name == "minikube":
                _plan_minikube(made, wish, *next(nodes))
            elif client.name == "kind":
                _plan_kind(made, wish, *next(nodes))
            else:
                _plan_host(made, wish, answers[0][0])
        except ZotError as error:
            raise ZotError(f"{client.name}: {error.message}") from None
    return made


@dataclass(frozen=True)
class Wish:
    """What a client is to have. ``kind`` is the client in a node, where it is in nodes."""

    client: Client
    kind: str
    upstreams: t.Any
    ca: str

    @property
    def read_at_start(self) -> list[str]:
        """The files that are not looked at for each pull."""
        if self.kind == "containerd":
            return [config_path_of(self.client)]
        ca = [ca_path_of(self.client, self.kind)] if self.kind in ("buildkit", "caddy") else []
        return [path_of(self.client, self.kind), *ca]


def _plan_host(made: Plan, wish: Wish, answer: Told) -> None:
    name, usual, options = wish.kind, USUAL[wish.kind], wish.client.options
    changed = _changes(wish, answer["files"], answer)
    made.changes += [replace(change, owner=options.get("owner", "")) for change in changed]
    made.left += _shadows(wish, changed, name)
    # Another client may have its part in the same file.
    answer["files"].update({change.file.path: {"content": _coded(change.file.content), "mode": change.mode} for change in changed})
    if not made.has_to_take(name, wish, changed):
        return
    argv: list[str] | None = options.get("command")
    active = [unit for unit in usual.units if unit in answer["active"]]
    if not options.get("activate", True):
        made.left.append(f"{name}: {usual.verb} it when it suits; {usual.why}")
    elif argv or active:
        made.activations.append(_activation(name, argv or ["systemctl", usual.verb, *active], name, usual, name))
    elif name != "podman":  # of its kin only CRI-O runs all the time
        made.left.append(f"{name}: no unit {' or '.join(usual.units)} is active here; {usual.verb} it where it runs: {usual.why}")


def _plan_kind(made: Plan, wish: Wish, place: int, answers: list[Told]) -> None:
    for answer in answers:
        _plan_node(made, wish, place, answer, [wish.client.options.get("engine", "docker"), "exec", answer["node"]])


def _plan_minikube(made: Plan, wish: Wish, place: int, answers: list[Told]) -> None:
    options, runtime = wish.client.options, answers[0]["runtime"]
    profile, stopped = options.get("profile", "minikube"), answers[0]["node"] is None
    if runtime not in RUNTIMES:
        raise ZotError(f"profile {profile} has a runtime that is none of {', '.join(sorted(RUNTIMES))}")
    wish = replace(wish, kind=RUNTIMES[runtime])
    if wish.kind == "podman" and wish.client.registry.basic:
        raise ZotError("a login cannot be given to CRI-O in minikube; let the registry be read without one, or use another runtime")
    if wish.kind == "docker" and stopped:
        raise ZotError(f"profile {profile} is stopped, and its Docker's settings are in the node only; start it first")
    if wish.kind != "docker":
        # First where minikube takes the files of new nodes from.
        for change in _changes(wish, answers[0]["kept"], None):
            path = f"{answers[0]['folder']}{change.file.path}"
            made.changes.append(replace(change, file=change.file._replace(path=path), header=path))
    if stopped:
        made.left.append(f"minikube: profile {profile} is stopped; it takes the files at its next start")
        return
    before = len(made.changes)
    for answer in answers:
        node = ["-n", answer["node"]] if answer["node"] else []
        _plan_node(made, wish, place, answer, [options.get("program", "minikube"), "-p", profile, "ssh", *node, "--", "sudo"])
    if wish.kind == "docker" and len(made.changes) > before:
        made.left.append(f"minikube: run this again after each start of {profile}, which writes daemon.json anew, whatever its files are")


def _plan_node(made: Plan, wish: Wish, place: int, answer: Told, words: list[str]) -> None:
    """``words`` run a command there."""
    shown, usual = answer["node"] or wish.client.options.get("profile", "minikube"), USUAL[wish.kind]
    changed = _changes(wish, answer["files"], answer)
    made.changes += [replace(change, place=place, node=answer["node"], header=f"{shown}: {change.file.path}") for change in changed]
    who = f"{wish.client.name} {shown}"
    made.left += _shadows(wish, changed, who)
    if made.has_to_take(who, wish, changed):
        argv = [*words, "systemctl", usual.verb, usual.units[0]]
        made.activations.append(_activation(wish.client.name, argv, f"{usual.units[0]} in {shown}", usual, who))


def _shadows(wish: Wish, changed: list[Change], who: str) -> list[str]:
    """Tried with containerd 1.6: what a file imports goes before what it says itself, plugin by plugin, and not key by key."""
    path = config_path_of(wish.client)
    if wish.kind != "containerd" or not any(toml_tree(one.file.content, path).get("imports") for one in changed if one.file.path == path):
        return []
    why = "one that has the same plugin may take config_path away again; see what containerd config dump says"
    return [f"{who}: {path} imports files, which are not looked at: {why}"]


def _activation(client: str, argv: list[str], what: str, usual: Usual, who: str) -> Told:
    return {"client": client, "argv": argv, "why": f"{usual.verb} {what}: {usual.why}", "who": who}


def _changes(wish: Wish, found: dict[str, Told], answer: Told | None) -> list[Change]:
    """Which of the files are not as they should be; without an answer those that wait for nodes to be made."""
    texts = {path: _text(file, path) for path, file in found.items()}
    changed = []
    for file in _wanted(wish, texts, answer):
        present, mode = found.get(file.path), file.mode
        if file.shared and present:
            mode = f"{int(present['mode'], 8) & (0o700 if file.secret else 0o777):04o}"
        if not present or texts[file.path] != file.content or present["mode"] != mode:
            was_secret = present is not None and not int(present["mode"], 8) & 0o077
            changed.append(Change(0, "", file, mode, texts.get(file.path), was_secret, file.path))
    return changed


def _wanted(wish: Wish, texts: dict[str, str], answer: Told | None) -> list[File]:
    client, kind, registry = wish.client, wish.kind, wish.client.registry
    if kind == "docker" and client.proxy and _on_command_line(client, path_of(client, kind), answer["dockerds"] if answer else []):
        return []
    path, auth, ca_path = path_of(client, kind), USUAL[kind].auth, ca_path_of(client, kind)
    verified = client.proxy.startswith("https:") if kind == "docker" else registry.scheme == "https" and not registry.skip_verify
    # podman and Docker find an authority by the name of its folder; podman's and BuildKit's logins have a file of their own.
    named = bool(wish.ca) and verified and kind not in ("podman", "docker")
    given = {"url": registry.url, "skip_verify": registry.skip_verify, **({"ca": ca_path} if named else {})}
    login = {} if auth or kind == "docker" else {"username": registry.username, "password": registry.password}
    made = [File(ca_path, wish.ca, "0644")] if wish.ca and verified else []
    made += files(kind, wish.upstreams, {**given, **login}, path, texts, client.proxy)
    if kind == "containerd" and answer and client.options.get("config", True):
        made += _config(wish, given, texts, answer["said"].get("containerd", ""))
    if registry.basic and auth:
        auth = auth_path_of(client, kind)
        caches = [f"{registry.authority}/{upstream.name}" for upstream in upstreams_of(wish.upstreams)]
        made.append(auth_file(auth, texts.get(auth, ""), caches if kind == "podman" else [registry.authority], registry))
    return made


def _config(wish: Wish, registry: Told, texts: dict[str, str], said: str) -> list[File]:
    """containerd's own configuration, where it has to name the folder."""
    path, release, folder = config_path_of(wish.client), _release(said), path_of(wish.client, "containerd")
    if folder == CERTS_D and needs_no_config(texts.get(path, ""), path, release):
        return []
    if not texts.get(path, "").strip() and not release:
        why = "is not there, and containerd --version says nothing, so its format is not known"
        raise ZotError(f"{path} {why}; make it, or set config: false where CRI is not used")
    version = 3 if release >= (2,) else 2
    return files("containerd_config", wish.upstreams, registry, path, texts, config_version=version, folder=folder)


def _release(said: str) -> tuple[int, ...]:
    """C(containerd github.com/containerd/containerd v1.7.24 hash) -> 1, 7; nothing for what is not understood."""
    found = re.search(r"\bv?(\d+)\.(\d+)\.\d+", said)
    return (int(found[1]), int(found[2])) if found else ()


def _on_command_line(client: Client, path: str, dockerds: list[list[str]]) -> bool:
    """Whether the daemon was started with this mirror. With another one it would not start again after its file has one too."""
    mirrors = [
        url
        for words in dockerds
        if path in (_given(words, "--config-file") or [CLIENTS["docker"][1]])
        for url in _given(words, "--registry-mirror")
    ]
    if not mirrors:
        return False
    if "://".join(origin(client.proxy, "proxy")) in [url.rstrip("/").lower() for url in mirrors]:
        return True
    raise ZotError("the daemon was started with --registry-mirror, which excludes registry-mirrors in its file; take the option away first")


def _given(words: list[str], option: str) -> list[str]:
    """What an option was given, each time: behind C(=) or as the next word."""
    return [
        word.partition("=")[2] or next(iter(words[number + 1 :]), "")
        for number, word in enumerate(words)
        if word == option or word.startswith(f"{option}=")
    ]


def _coded(text: str) -> str:
    """As files travel between here and the host."""
    return base64.b64encode(text.encode()).decode()


def _text(file: Told, path: str) -> str:
    try:
        return base64.b64decode(file["content"]).decode()
    except ValueError:
        raise ZotError(f"{path} is no text in UTF-8; correct it first") from None


# --- what people read


def diff_of(change: Change) -> Told:
    """What changes. Of a secret only that it does, and of a file with others' settings only the part that is ours."""
    file, before = change.file, change.before
    header = {"before_header": f"{change.header} (mode {change.mode})", "after_header": f"{change.header} (mode {change.mode})"}
    if file.read and not file.secret:
        shown = _parts(*(file.read(text, file.path) for text in (before or "", file.content)))
    else:
        hides = file.secret or change.was_secret or "authorization" in (before or "").lower()  # whoever may read it there
        shown = ("(a secret)\n" if hides and before else before or "", "(with the login; a secret)\n" if file.secret else file.content)
    return {**header, "before": shown[0], "after": shown[1]}


def _parts(before: Told, after: Told) -> tuple[str, str]:
    parts = _differing(before, after)
    before_text, after_text = (yaml.safe_dump(masked(part), sort_keys=False) if part else "" for part in parts)
    return before_text, after_text


def _differing(before: t.Any, after: t.Any) -> tuple[t.Any, t.Any]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return before, after
    pairs = {key: _differing(before.get(key), after.get(key)) for key in [*before, *after] if before.get(key) != after.get(key)}
    return ({key: pair[0] for key, pair in pairs.items() if key in before}, {key: pair[1] for key, pair in pairs.items() if key in after})
