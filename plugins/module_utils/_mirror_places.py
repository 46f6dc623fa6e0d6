# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: where clients' files lie: on this host, or in the nodes that minikube and kind run on it.

A place is asked once for everything that a plan needs, and then told once what to write. Contents go to a node by its own tool's way for
files, or over stdin; no command line ever has one.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import pwd
import re
import shlex
import stat
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils import _files
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, Runner

Told = dict[str, t.Any]

_NODE_TIMEOUT = 120


# Who was to take what changed. It outlives a run that is stopped before, so that the next one sees to it.
_OWED = Path("~/.local/state/blumeops.zot/mirrors.json")


def owed() -> list[str]:
    """Who still has to take what an earlier run wrote."""
    try:
        found = json.loads(_OWED.expanduser().read_text())
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def owe(names: list[str]) -> None:
    """Note it, or forget it where nobody is left. Raises ZotError."""
    place = _OWED.expanduser()
    try:
        if names:
            _files.make_folders([{"path": str(place.parent), "mode": "0700"}], _files.Owner(), check_mode=False)
            _files.write_file(place, json.dumps(names).encode(), _files.Owner())
        else:
            place.unlink(missing_ok=True)
    except OSError as error:
        raise ZotError(f"{place} cannot be written: {error.strerror}") from None


class Place(t.Protocol):
    def look(self, asked: Told) -> list[Told]:
        """For each node (a host is its only one) what C(asked) wants: C(paths), C(units), C(programs)."""

    def write(self, node: str, files: list[Told]) -> None:
        """Each whole; folders are made. Raises ZotError."""


def place_of(kind: str, options: Told, runner: Runner) -> Place:
    """``kind``: host, minikube or kind."""
    return {"host": Host, "minikube": Minikube, "kind": Kind}[kind](options, runner)


class Host:
    """This very host."""

    def __init__(self, _options: Told, runner: Runner) -> None:
        self.runner = runner

    def look(self, asked: Told) -> list[Told]:
        files = {path: found for path in asked["paths"] if (found := _read(path)) is not None}
        units = asked["units"]
        # The order of the answers is that of the units; one that is not known is inactive.
        states = self.runner(["systemctl", "is-active", *units]).stdout.split() if units else []
        active = [unit for unit, state in zip(units, states) if state == "active"]
        said = {program: self.runner([program, "--version"]).stdout.strip() for program in asked["programs"]}
        return [{"node": "", "files": files, "active": active, "said": said, "dockerds": _dockerds()}]

    def write(self, node: str, files: list[Told]) -> None:
        del node
        for file in files:
            _write(file)

    def require(self, files: list[Told]) -> None:
        """Raises ZotError for what could not be written, as far as that can be told without."""
        for file in files:
            place = Path(file["path"]).expanduser().resolve()
            nearest = next(folder for folder in place.parents if folder.exists())
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                raise ZotError(f"{file['path']} cannot be written: {nearest} is no folder this user may write to; run the play with become")
            _owner(file)


def _read(path: str) -> Told | None:
    place = Path(path).expanduser()
    try:
        found = place.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ZotError(f"{path} is no file; remove it first, or give another path")
        return {"content": _coded(place.read_bytes()), "mode": f"{stat.S_IMODE(found.st_mode):04o}"}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ZotError(f"{path} cannot be read: {error.strerror}; run the play with the rights of whoever it belongs to") from None


def _write(file: Told) -> None:
    path = Path(file["path"]).expanduser()
    place = path.resolve()  # a link stays one
    try:
        if place.exists():
            found = place.stat()
            owner = _files.Owner(found.st_uid, found.st_gid, int(file["mode"], 8))
        else:
            owner = _owner(file)
        _files.make_folders([{"path": str(place.parent), "mode": file["folder_mode"]}], _files.Owner(), check_mode=False)
        _files.write_file(place, _decoded(file["content"]), owner)
    except OSError as error:
        raise ZotError(f"{file['path']} cannot be written: {error.strerror}; run the play with become, or give another path") from None


def _owner(file: Told) -> _files.Owner:
    mode = int(file["mode"], 8)
    if not file.get("owner"):
        return _files.Owner(mode=mode)
    try:
        account = pwd.getpwnam(file["owner"])
    except KeyError:
        raise ZotError(f"{file['path']}: there is no user {file['owner']} on the host, who is to own it") from None
    return _files.Owner(account.pw_uid, account.pw_gid, mode)


def _dockerds(proc: Path = Path("/proc")) -> list[list[str]]:
    """How the Docker daemons of this host were started. A mirror on the command line and one in the file exclude each other.

    Those in containers, such as minikube's nodes, are in the same list of processes, and not this host's.
    """
    found, ours = [], _namespace(proc / "self")
    for entry in proc.glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name == "dockerd" and _namespace(entry) == ours:
            found.append(words[1:-1])
    return found


def _namespace(process: Path) -> str:
    """Of its processes; empty where that may not be known."""
    try:
        return str((process / "ns" / "pid").readlink())
    except OSError:
        return ""


class _Nodes:
    """Nodes that are Linux hosts of their own, and are looked at by one script each."""

    what = "node"

    def __init__(self, options: Told, runner: Runner) -> None:
        self.options = options
        self.runner = runner

    def shell(self, node: str, script: str, stdin: bytes = b"") -> Completed:
        """Run as root in the node."""
        raise NotImplementedError

    def _looked(self, node: str, asked: Told) -> Told:
        done = self.shell(node, _look_script(asked))
        if done.rc != 0:
            raise ZotError(f"{self.what} {node or self.options['name']} cannot be looked at: {_last(done)}")
        return {"node": node, **_parsed(done.stdout, asked)}

    def _must(self, done: Completed, what: str) -> Completed:
        if done.rc != 0:
            raise ZotError(f"{what}: {_last(done)}")
        return done


class Minikube(_Nodes):
    """Nodes of a profile. Files that are to survive the node lie in minikube's folder C(files) on this host, which goes into every node of
    every profile at each start, before the runtime is set up."""

    what = "minikube node"

    def look(self, asked: Told) -> list[Told]:
        program, name = self.options["program"], self.options["name"]
        done = self._must(self.runner([program, "profile", "list", "-o", "json"], _NODE_TIMEOUT), f"{program} profile list")
        profile = _profile(done.stdout, name)
        if profile is None:
            raise ZotError(f"minikube has no profile {name}; start it first: minikube start -p {name}")
        runtime = profile["Config"]["KubernetesConfig"].get("ContainerRuntime") or "docker"
        common = {"runtime": runtime, "folder": str(self.folder), "kept": self._kept(asked)}
        # One whose Kubernetes is broken has nodes too; one that is stopped has none to speak to.
        if profile.get("Status") in ("Stopped", "Nonexistent"):
            return [{"node": None, **_parsed("", asked), **common}]
        # The first node is reached without a name: in some releases it has none.
        nodes = ["" if number == 0 else node["Name"] for number, node in enumerate(profile["Config"]["Nodes"])]
        return [{**self._looked(node, asked), **common} for node in nodes]

    @property
    def folder(self) -> Path:
        given = self.options.get("home") or os.environ.get("MINIKUBE_HOME") or ""
        home = Path(given).expanduser() if given else Path.home() / ".minikube"
        return (home if home.name == ".minikube" else home / ".minikube") / "files"

    def _kept(self, asked: Told) -> Told:
        found = {path: _read(f"{self.folder}{path}") for path in asked["paths"]}
        return {path: file for path, file in found.items() if file is not None}

    def shell(self, node: str, script: str, stdin: bytes = b"") -> Completed:
        del stdin  # minikube gives the node a terminal, which would echo it
        words = [self.options["program"], "-p", self.options["name"], "ssh", *(["-n", node] if node else []), "--"]
        return self.runner([*words, f"sudo sh -c {shlex.quote(script)}"], _NODE_TIMEOUT)

    def write(self, node: str, files: list[Told]) -> None:
        """C(minikube cp) makes files that everybody may read, so they pass through a folder where nobody looks."""
        places = [(file, Path(file["path"]), Path(file["path"]).parent / ".zot") for file in files]
        folders = [shlex.quote(str(folder)) for folder in sorted({folder for _file, _path, folder in places})]
        self._must(self.shell(node, " && ".join(f"mkdir -p {folder} && chmod 0700 {folder}" for folder in folders)), self._cannot(node))
        moves = []
        with tempfile.TemporaryDirectory(dir=self.options["tmp"]) as folder:
            for number, (file, path, passage) in enumerate(places):
                source = Path(folder) / str(number)
                _files.write_file(source, _decoded(file["content"]), _files.Owner())
                target = f"{node}:{passage / path.name}" if node else str(passage / path.name)
                words = [self.options["program"], "-p", self.options["name"], "cp", str(source), target]
                self._must(self.runner(words, _NODE_TIMEOUT), self._cannot(node))
                name = shlex.quote(str(passage / path.name))
                moves.append(f"chmod {file['mode']} {name} && mv -f {name} {shlex.quote(str(path))}")
        self._must(self.shell(node, " && ".join([*moves, f"rmdir {' '.join(folders)}"])), self._cannot(node))

    def _cannot(self, node: str) -> str:
        return f"{self.what} {node or self.options['name']} cannot be written to"


class Kind(_Nodes):
    """Nodes of a kind cluster: containers of Docker or podman on this host."""

    what = "kind node"

    def look(self, asked: Told) -> list[Told]:
        program, name = self.options["program"], self.options["name"]
        # Where there are several engines, kind would take the first.
        words = ["env", f"KIND_EXPERIMENTAL_PROVIDER={self.options['engine']}", program, "get", "nodes", "--name", name]
        done = self._must(self.runner(words, _NODE_TIMEOUT), f"{program} get nodes")
        nodes = done.stdout.split()
        if not nodes:
            raise ZotError(f"kind has no nodes of a cluster {name}; make it first: kind create cluster --name {name}")
        # A load balancer is no node that pulls.
        return [self._looked(node, asked) for node in nodes if not node.endswith("-external-load-balancer")]

    def shell(self, node: str, script: str, stdin: bytes = b"") -> Completed:
        words = [self.options["engine"], "exec", *(["-i"] if stdin else []), node, "sh", "-c", script]
        return self.runner(words, _NODE_TIMEOUT, stdin=stdin)

    def write(self, node: str, files: list[Told]) -> None:
        for file in files:
            path, parent = shlex.quote(file["path"]), shlex.quote(str(Path(file["path"]).parent))
            script = f"mkdir -p {parent} && umask 077 && cat > {path}.zot && chmod {file['mode']} {path}.zot && mv -f {path}.zot {path}"
            self._must(self.shell(node, script, _decoded(file["content"])), f"{self.what} {node} cannot be written to")


def _profile(text: str, name: str) -> Told | None:
    try:
        valid = json.loads(text)["valid"]
        return next((profile for profile in valid if profile["Name"] == name), None)
    except (ValueError, KeyError, TypeError):
        raise ZotError("minikube profile list -o json is not understood; is it minikube that answers?") from None


# Every line of an answer begins with @, as what else a terminal shows may stand between.
def _look_script(asked: Told) -> str:
    lines = []
    for number, path in enumerate(asked["paths"]):
        name = shlex.quote(path)
        lines.append(
            f'if [ -e {name} ]; then echo "@file {number} $(stat -L -c %a {name})"; base64 -w 0 < {name} | sed "s/^/@is /"; echo; fi'
        )
    lines += [f'systemctl is-active --quiet {unit} && echo "@active {unit}"' for unit in asked["units"]]
    lines += [f"{program} --version 2>/dev/null | sed 's/^/@said {program} /'" for program in asked["programs"]]
    lines.append(r'for p in $(pidof dockerd); do echo @dockerd; tr "\000" "\n" < /proc/$p/cmdline | sed "1d; s/^/@with /"; done')
    return "\n".join([*lines, "exit 0"])


def _parsed(text: str, asked: Told) -> Told:
    files: dict[str, Told] = {}
    path = ""
    told: Told = {"files": files, "active": [], "said": {}, "dockerds": []}
    for line in text.splitlines():
        word, _space, rest = line.partition(" ")
        if word == "@file":
            number, _space, mode = rest.partition(" ")
            path = asked["paths"][int(number)]
            files[path] = {"content": "", "mode": f"{int(mode, 8):04o}"}
        elif word == "@is":
            files[path]["content"] = rest.strip()
        elif word == "@active":
            told["active"].append(rest.strip())
        elif word == "@said":
            program, _space, said = rest.partition(" ")
            told["said"].setdefault(program, said.strip())
        elif word == "@dockerd":
            told["dockerds"].append([])
        elif word == "@with":
            told["dockerds"][-1].append(rest.strip())
    return told


def _last(done: Completed) -> str:
    """The end of what a program said, without what a terminal colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr.strip() or done.stdout.strip())
    return text.splitlines()[-1].strip()[:300] if text else f"it ended with {done.rc}"


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ZotError("a content is no base64") from None
