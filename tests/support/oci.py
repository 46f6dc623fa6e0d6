# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and the clients that push and pull them.

Two clients of one shape. `HttpClient` says which HTTP status decided, so a test can tell 401 from 403. `tool_client`
finds a program that people really use (skopeo, crane, oras, podman, docker) and moves the same image with it.
Registries are given as URLs; plain http is for loopback.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"

_TIMEOUT = 60.0


@dataclass(frozen=True)
class Image:
    """An OCI image layout on disk that holds exactly one image."""

    layout: Path
    digest: str  # of the manifest

    def blob(self, digest: str) -> bytes:
        return (self.layout / _path(digest)).read_bytes()

    @property
    def manifest(self) -> bytes:
        return self.blob(self.digest)

    @property
    def blobs(self) -> list[str]:
        """The digests the manifest names: configuration first, then the layers."""
        manifest = json.loads(self.manifest)
        return [part["digest"] for part in (manifest["config"], *manifest["layers"])]


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    ``status`` is the HTTP status that decided. A tool may not name one: then it is 0, whether it went well (``ok``) or not.
    """

    ok: bool
    status: int = 0
    error: str = ""
    digest: str = ""  # of the manifest pushed, pulled or deleted, where the client knows it
    tags: tuple[str, ...] = ()

    @property
    def denied(self) -> bool:
        return not self.ok and self.status in (401, 403)


def make_image(directory: Path, *, content: bytes = b"hello from blumeops.zot\n", random: bool = False) -> Image:
    """Write a small image into ``directory``; equal content gives an equal digest, ``random`` a new one each time."""
    if random:
        content += secrets.token_bytes(1024)
    layer = _tar({"hello.txt": content})
    config = {
        # An architecture that every tool can select: they look for the machine's own and would refuse a foreign one.
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Cmd": ["/hello.txt"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "blumeops.zot tests"}],
    }
    return _write_image(directory, _json(config), [layer])


def _write_image(directory: Path, config: bytes, layers: Sequence[bytes]) -> Image:
    """A layout from a configuration and uncompressed layers."""

    def described(media_type: str, data: bytes) -> dict[str, t.Any]:
        return {"mediaType": media_type, "digest": _store(directory, data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, config),
        "layers": [described(LAYER, gzip.compress(layer, mtime=0)) for layer in layers],
    }
    return _write_index(directory, described(MANIFEST, _json(manifest)))


def _write_index(directory: Path, entry: Mapping[str, t.Any]) -> Image:
    (directory / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return Image(directory, entry["digest"])


def read_image(directory: Path) -> Image:
    """The one image of a layout that some tool wrote."""
    (entry,) = json.loads((directory / "index.json").read_text())["manifests"]
    return Image(directory, entry["digest"])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Client(t.Protocol):
    """The shape both kinds of client have. ``name`` is what a test report calls it."""

    name: str

    def push(
        self, registry_url: str, repository: str, tag: str, *, image: Image, username: str | None = None, password: str | None = None
    ) -> Outcome: ...

    def pull(
        self, registry_url: str, repository: str, tag: str, *, into: Path, username: str | None = None, password: str | None = None
    ) -> Outcome: ...

    def delete(
        self, registry_url: str, repository: str, tag: str, *, username: str | None = None, password: str | None = None
    ) -> Outcome: ...

    def tags(self, registry_url: str, repository: str, *, username: str | None = None, password: str | None = None) -> Outcome: ...


class _RefusedError(Exception):
    """The answer that ended a conversation early."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


class _Conversation:
    """One repository at one registry, as one identity, over one connection."""

    def __init__(self, registry_url: str, repository: str, username: str | None, password: str | None) -> None:
        self.base = f"{registry_url.rstrip('/')}/v2/{repository}/"
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy, no .netrc: only what the test says
        if username is not None:
            self.session.auth = (username.encode(), (password or "").encode())

    def ask(self, method: str, path: str, expected: Sequence[int], **options: t.Any) -> requests.Response:
        answer = self.session.request(method, urljoin(self.base, path), timeout=_TIMEOUT, **options)
        if answer.status_code not in expected:
            text = f"{method} {urlsplit(answer.url).path}: {answer.status_code} {answer.reason}: {answer.text.strip()[:500]}"
            raise _RefusedError(Outcome(False, answer.status_code, text))
        return answer

    def upload(self, digest: str, data: bytes) -> None:
        # Every real client asks first, and a registry that has the blob is not asked to take it again.
        if self.ask("HEAD", f"blobs/{digest}", (200, 401, 403, 404)).status_code == 200:
            return
        location = self.ask("POST", "blobs/uploads/", (202,)).headers["Location"]
        query = "&" if urlsplit(location).query else "?"
        headers = {"Content-Type": "application/octet-stream"}
        self.ask("PUT", f"{location}{query}digest={digest}", (201,), data=data, headers=headers)

    def download(self, path: str, digest: str, **options: t.Any) -> requests.Response:
        answer = self.ask("GET", path, (200,), **options)
        found = "sha256:" + hashlib.sha256(answer.content).hexdigest()
        if digest not in ("", found):
            raise _RefusedError(Outcome(False, answer.status_code, f"{path}: its content has the digest {found}"))
        return answer


class HttpClient:
    """The registry API in plain requests."""

    name = "http"

    @contextlib.contextmanager
    def _talk(self, registry_url: str, repository: str, username: str | None, password: str | None) -> Iterator[_Conversation]:
        conversation = _Conversation(registry_url, repository, username, password)
        with conversation.session:
            yield conversation

    def push(
        self, registry_url: str, repository: str, tag: str, *, image: Image, username: str | None = None, password: str | None = None
    ) -> Outcome:
        """Upload the blobs, then the manifest: 201, or the status of the first refusal."""
        try:
            with self._talk(registry_url, repository, username, password) as registry:
                for digest in image.blobs:
                    registry.upload(digest, image.blob(digest))
                answer = registry.ask("PUT", f"manifests/{tag}", (201,), data=image.manifest, headers={"Content-Type": MANIFEST})
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, answer.status_code, digest=image.digest)

    def pull(
        self, registry_url: str, repository: str, tag: str, *, into: Path, username: str | None = None, password: str | None = None
    ) -> Outcome:
        """Download manifest and blobs into a layout at ``into``, checking every digest: 200, or the first refusal's status."""
        try:
            with self._talk(registry_url, repository, username, password) as registry:
                wanted = tag if ":" in tag else ""
                manifest = registry.download(f"manifests/{tag}", wanted, headers={"Accept": f"{MANIFEST}, {INDEX}"})
                parts = manifest.json()
                for digest in [part["digest"] for part in (parts["config"], *parts["layers"])]:
                    _store(into, registry.download(f"blobs/{digest}", digest).content)
        except _RefusedError as refused:
            return refused.outcome
        digest = _store(into, manifest.content)
        _write_index(into, {"mediaType": manifest.headers["Content-Type"], "digest": digest, "size": len(manifest.content)})
        return Outcome(True, manifest.status_code, digest=digest)

    def delete(self, registry_url: str, repository: str, tag: str, *, username: str | None = None, password: str | None = None) -> Outcome:
        """Remove a tag, or a manifest by digest: 202."""
        try:
            with self._talk(registry_url, repository, username, password) as registry:
                answer = registry.ask("DELETE", f"manifests/{tag}", (202,))
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, answer.status_code)

    def tags(self, registry_url: str, repository: str, *, username: str | None = None, password: str | None = None) -> Outcome:
        """Every tag, following the registry's pages: 200."""
        found: list[str] = []
        try:
            with self._talk(registry_url, repository, username, password) as registry:
                path: str | None = "tags/list"
                while path:
                    answer = registry.ask("GET", path, (200,))
                    found += answer.json().get("tags") or []
                    path = answer.links.get("next", {}).get("url")
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, answer.status_code, tags=tuple(sorted(found)))


def _store(layout: Path, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"sha256:{digest}"


@dataclass(frozen=True)
class _Call:
    """One call of a tool: a scratch folder of its own, and the program's environment, which knows nothing of the caller's logins."""

    program: str
    scratch: Path
    registry: str  # host:port
    plain: bool  # http rather than https

    @property
    def auth_file(self) -> str:
        return str(self.scratch / "config.json")

    def run(self, *argv: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "XDG_RUNTIME_DIR": str(self.scratch),
            "DOCKER_CONFIG": str(self.scratch),
            "LC_ALL": "C",
        }
        for passed in ("DOCKER_HOST", "SSL_CERT_FILE"):
            if passed in os.environ:
                environment[passed] = os.environ[passed]
        done = subprocess.run(
            [self.program, *argv], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        if done.returncode:
            raise _RefusedError(Outcome(False, _status(done.stderr), f"{Path(self.program).name}: {done.stderr.strip()[-1000:]}"))
        return done.stdout


def _status(text: str) -> int:
    """The HTTP status in a tool's words. Tools name the number, the registry's error code, or only its meaning."""
    for status, words in (
        (401, r"\b401\b|unauthorized|authentication required|credential not found|no basic auth credentials"),
        (403, r"\b403\b|\bdenied\b|forbidden"),
        (404, r"\b404\b|manifest[ _]unknown|name[ _]unknown|not found"),
    ):
        if re.search(words, text, re.IGNORECASE):
            return status
    return 0


class _Tool:
    """A program as a `Client`. Subclasses say how it is called; what a program cannot do is asked over HTTP instead."""

    name: t.ClassVar[str]

    def __init__(self, program: str) -> None:
        self.program = program

    def __repr__(self) -> str:
        return f"<client {self.name}>"

    @staticmethod
    def usable(_program: str) -> bool:
        """Whether being there is enough."""
        return True

    @contextlib.contextmanager
    def _call(self, registry_url: str, username: str | None, password: str | None) -> Iterator[_Call]:
        """Credentials go into a file in a folder that only this user may enter, never into the argument list."""
        with tempfile.TemporaryDirectory(prefix="oci-") as folder:  # mkdtemp: 0700
            url = urlsplit(registry_url)
            call = _Call(self.program, Path(folder), url.netloc, url.scheme == "http")
            logins: dict[str, t.Any] = {}
            if username is not None:
                logins[url.netloc] = {"auth": base64.b64encode(f"{username}:{password or ''}".encode()).decode()}
            Path(call.auth_file).write_bytes(_json({"auths": logins}))
            yield call

    def push(
        self, registry_url: str, repository: str, tag: str, *, image: Image, username: str | None = None, password: str | None = None
    ) -> Outcome:
        try:
            with self._call(registry_url, username, password) as call:
                digest = self._push(call, f"{call.registry}/{repository}:{tag}", image)
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, digest=digest)

    def pull(
        self, registry_url: str, repository: str, tag: str, *, into: Path, username: str | None = None, password: str | None = None
    ) -> Outcome:
        try:
            with self._call(registry_url, username, password) as call:
                digest = self._pull(call, f"{call.registry}/{repository}:{tag}", into)
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, digest=digest)

    def delete(self, registry_url: str, repository: str, tag: str, *, username: str | None = None, password: str | None = None) -> Outcome:
        try:
            with self._call(registry_url, username, password) as call:
                self._delete(call, f"{call.registry}/{repository}:{tag}")
        except NotImplementedError:
            return HttpClient().delete(registry_url, repository, tag, username=username, password=password)
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True)

    def tags(self, registry_url: str, repository: str, *, username: str | None = None, password: str | None = None) -> Outcome:
        try:
            with self._call(registry_url, username, password) as call:
                found = self._tags(call, f"{call.registry}/{repository}")
        except NotImplementedError:
            return HttpClient().tags(registry_url, repository, username=username, password=password)
        except _RefusedError as refused:
            return refused.outcome
        return Outcome(True, tags=tuple(sorted(found)))

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        raise NotImplementedError

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        raise NotImplementedError

    def _delete(self, call: _Call, reference: str) -> None:
        raise NotImplementedError

    def _tags(self, call: _Call, name: str) -> Sequence[str]:
        raise NotImplementedError


class Skopeo(_Tool):
    name = "skopeo"

    def _verify(self, call: _Call, side: str = "") -> str:
        return f"--{side}tls-verify={'false' if call.plain else 'true'}"

    def _copy(self, call: _Call, side: str, source: str, target: str) -> None:
        # --insecure-policy: a minimal machine has no policy.json, and what is tested here is not signatures.
        call.run(
            "--insecure-policy",
            "copy",
            "-q",
            "--preserve-digests",
            f"--{side}-authfile",
            call.auth_file,
            self._verify(call, f"{side}-"),
            source,
            target,
        )

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        self._copy(call, "dest", f"oci:{image.layout}", f"docker://{reference}")
        return image.digest

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        self._copy(call, "src", f"docker://{reference}", f"oci:{into}")
        return read_image(into).digest

    def _delete(self, call: _Call, reference: str) -> None:
        call.run("--insecure-policy", "delete", "--authfile", call.auth_file, self._verify(call), f"docker://{reference}")

    def _tags(self, call: _Call, name: str) -> Sequence[str]:
        out = call.run("--insecure-policy", "list-tags", "--authfile", call.auth_file, self._verify(call), f"docker://{name}")
        return json.loads(out)["Tags"] or []


class Crane(_Tool):
    name = "crane"

    def _run(self, call: _Call, *argv: str) -> str:
        return call.run(*argv, *(["--insecure"] if call.plain else []))

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        return self._run(call, "push", str(image.layout), reference).strip().rpartition("@")[2]

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        self._run(call, "pull", "--format=oci", reference, str(into))
        return read_image(into).digest

    def _delete(self, call: _Call, reference: str) -> None:
        self._run(call, "delete", reference)

    def _tags(self, call: _Call, name: str) -> Sequence[str]:
        return self._run(call, "ls", name).split()


class Oras(_Tool):
    name = "oras"

    def _plain(self, call: _Call, side: str = "") -> list[str]:
        return [f"--{side}plain-http"] if call.plain else []

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        argv = ["cp", "--no-tty", "--from-oci-layout", "--to-registry-config", call.auth_file, *self._plain(call, "to-")]
        call.run(*argv, f"{image.layout}@{image.digest}", reference)
        return image.digest

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        argv = ["cp", "--no-tty", "--to-oci-layout", "--from-registry-config", call.auth_file, *self._plain(call, "from-")]
        call.run(*argv, reference, f"{into}:pulled")
        return read_image(into).digest

    def _delete(self, call: _Call, reference: str) -> None:
        call.run("manifest", "delete", "--force", "--registry-config", call.auth_file, *self._plain(call), reference)

    def _tags(self, call: _Call, name: str) -> Sequence[str]:
        return call.run("repo", "tags", "--registry-config", call.auth_file, *self._plain(call), name).split()


class Podman(_Tool):
    """podman may compress layers anew: go by the digest of the outcome, not by the layout's."""

    name = "podman"

    @staticmethod
    def usable(program: str) -> bool:
        """Not for everybody: who is not root needs newuidmap and ids to map."""
        with tempfile.TemporaryDirectory() as scratch:
            return _answers(program, "--root", f"{scratch}/root", "--runroot", f"{scratch}/run", "--storage-driver", "vfs", "info")

    def _podman(self, call: _Call, *argv: str) -> str:
        # A store of its own that is gone with the scratch folder. vfs works on every file system, without mounts to undo.
        store = ["--root", str(call.scratch / "root"), "--runroot", str(call.scratch / "run"), "--storage-driver", "vfs"]
        return call.run(*store, "--events-backend", "none", *argv)

    def _remote(self, call: _Call) -> list[str]:
        return ["--authfile", call.auth_file, f"--tls-verify={'false' if call.plain else 'true'}"]

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        local = self._podman(call, "pull", "-q", f"oci:{image.layout}").split()[-1]
        digest_file = call.scratch / "digest"
        self._podman(call, "push", "-q", *self._remote(call), "--digestfile", str(digest_file), local, f"docker://{reference}")
        return digest_file.read_text().strip()

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        local = self._podman(call, "pull", "-q", *self._remote(call), f"docker://{reference}").split()[-1]
        digest = self._podman(call, "image", "inspect", "--format", "{{.Digest}}", local).strip()
        self._podman(call, "push", "-q", local, f"oci:{into}")
        return digest

    def _tags(self, call: _Call, name: str) -> Sequence[str]:
        # Not `search --list-tags`: it prints nothing, and succeeds, where the registry answers "denied".
        raise NotImplementedError


class Docker(_Tool):
    """docker goes through its daemon, in whose store the image is for the time of the call; it takes plain http for loopback by itself.

    It knows images in its own format: what it pushes has a digest of its own, and zot takes it only with ``http.compat: [docker2s2]``.
    """

    name = "docker"

    @staticmethod
    def usable(program: str) -> bool:
        """Not without its daemon."""
        return _answers(program, "version")

    def _push(self, call: _Call, reference: str, image: Image) -> str:
        archive = call.scratch / "image.tar"
        config, *layers = image.blobs
        listing = [{"Config": _path(config), "RepoTags": [reference], "Layers": [_path(layer) for layer in layers]}]
        archive.write_bytes(_tar({**{_path(blob): image.blob(blob) for blob in image.blobs}, "manifest.json": _json(listing)}))
        call.run("load", "-q", "-i", str(archive))
        try:
            return _docker_digest(call.run("push", reference))
        finally:
            call.run("image", "rm", "-f", reference)

    def _pull(self, call: _Call, reference: str, into: Path) -> str:
        digest = _docker_digest(call.run("pull", reference))
        archive = call.scratch / "image.tar"
        try:
            call.run("save", "-o", str(archive), reference)
        finally:
            call.run("image", "rm", "-f", reference)
        with tarfile.open(archive) as saved:

            def member(name: str) -> bytes:
                data = t.cast("t.IO[bytes]", saved.extractfile(name)).read()
                return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data

            (listed,) = json.loads(member("manifest.json"))
            _write_image(into, member(listed["Config"]), [member(layer) for layer in listed["Layers"]])
        return digest


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _docker_digest(text: str) -> str:
    found = re.search(r"[Dd]igest: (sha256:[0-9a-f]{64})", text)
    return found[1] if found else ""


_TOOLS: tuple[type[_Tool], ...] = (Skopeo, Crane, Oras, Podman, Docker)


def tool_clients() -> list[Client]:
    """A client for every usable program on PATH, the most convenient first."""
    found: list[Client] = []
    for kind in _TOOLS:
        program = shutil.which(kind.name)
        if program and kind.usable(program):
            found.append(kind(program))
    return found


def tool_client() -> Client | None:
    """The first of `tool_clients`; none means that the HTTP client has to do."""
    return next(iter(tool_clients()), None)


def _answers(*argv: str) -> bool:
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
