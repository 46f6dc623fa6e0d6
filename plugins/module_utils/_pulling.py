# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: makes the clients of a registry pull an image, so that they really ask for it and keep nothing of it.

A client that has an image already may pull it without a question, so each is told apart from what its user has: podman and skopeo
write into a folder of their own, containerd into a namespace of its own, and of the others only an image is pulled that they do not
have, and removed again. What a user has is neither changed nor removed.
"""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping, masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, Runner

CLIENTS = ("containerd", "k3s", "rke2", "podman", "skopeo", "docker", "minikube")
NAMESPACE = "blumeops-zot-cache-check"

_COMMANDS = {
    "k3s": ["k3s", "crictl"],
    "rke2": ["/var/lib/rancher/rke2/bin/crictl", "--runtime-endpoint", "unix:///run/k3s/containerd/containerd.sock"],
    "podman": ["podman"],
    "skopeo": ["skopeo"],
    "docker": ["docker"],
    "minikube": ["minikube", "ssh", "--", "sudo", "crictl"],
}


class Puller(t.Protocol):
    """One client. ``name`` is the program as people know it; ``stands_in``: others than it pull on such a host, by more settings.

    Every method raises ZotError where the client cannot be asked.
    """

    name: str
    command: list[str]
    stands_in: bool

    def has(self, image: str) -> bool:
        """Whether it has the image, so that a pull would prove nothing."""

    def pull(self, image: str, timeout: float) -> Completed:
        """Have it; only an image that it does not have."""

    def had(self, image: str) -> bool:
        """Whether it had the content, under another name: looked at after a pull of which the registry knows nothing."""

    def drop(self, image: str) -> str:
        """Remove what `pull` brought. What is left, in words; empty if nothing is."""


def puller(client: str, command: list[str], hosts_dir: str, scratch: str, run: Runner) -> Puller:
    """The client of that kind, one of CLIENTS; ``command`` is its program with global options, instead of the usual one."""
    if client == "containerd":
        return _containerd(command, hosts_dir, run)
    words = command or _COMMANDS[client]
    kinds: dict[str, t.Callable[[], Puller]] = {
        "podman": lambda: Podman(words, scratch, run),
        "skopeo": lambda: Skopeo(words, scratch, run),
        "docker": lambda: Docker(words, run),
    }
    return kinds.get(client, lambda: Crictl(words, run))()


def _containerd(command: list[str], hosts_dir: str, run: Runner) -> Puller:
    """By CRI, as Kubernetes pulls, where C(crictl) gets an answer; else by C(ctr), which has to be told the folder."""
    if command:
        is_ctr = os.path.basename(command[0]) == "ctr"  # noqa: PTH119 - a word of a command
        return Ctr(command, hosts_dir, run) if is_ctr else Crictl(command, run)
    if run(["crictl", "images", "-o", "json"]).rc == 0:
        return Crictl(["crictl"], run)
    return Ctr(["ctr"], hosts_dir, run)


class _Client:
    name = ""
    stands_in = False

    def __init__(self, command: list[str], run: Runner) -> None:
        self.command, self._run = command, run

    def ask(self, *words: str) -> str:
        done = self._run([*self.command, *words])
        if done.rc:
            raise ZotError(f"{self.name} cannot be asked what it has ({self.command[0]}): {last_words(done)}")
        return done.stdout

    def _do(self, *words: str) -> str:
        done = self._run([*self.command, *words])
        return f"{self.name} does not remove it: {last_words(done)}" if done.rc else ""

    def has(self, _image: str) -> bool:
        return False

    def had(self, _image: str) -> bool:
        return False


class Crictl(_Client):
    """A Kubernetes node. To remove a name through CRI takes the image's other names with it, so those are looked at first."""

    name = "crictl"
    _before: t.ClassVar[set[str]] = set()

    def _images(self) -> list[dict[str, t.Any]]:
        try:
            listed = mapping(json.loads(self.ask("images", "-o", "json"))).get("images")
        except ValueError:
            raise ZotError("crictl does not list images as JSON") from None
        return [mapping(one) for one in listed or []]

    def has(self, image: str) -> bool:
        images = self._images()
        self._before = {one.get("id", "") for one in images}
        return any(image in (one.get("repoTags") or []) for one in images)

    def pull(self, image: str, timeout: float) -> Completed:
        return self._run([*self.command, "pull", image], timeout)

    def had(self, image: str) -> bool:
        return any(image in (one.get("repoTags") or []) and one.get("id") in self._before for one in self._images())

    def drop(self, image: str) -> str:
        if self.had(image):
            return f"{image}, a further name of an image that was there: ctr -n k8s.io images rm {image} removes the name alone"
        return self._do("rmi", image) if any(image in (one.get("repoTags") or []) for one in self._images()) else ""


class Ctr(_Client):
    """containerd without CRI. Its namespaces share content: what is in one is not fetched for another."""

    name = "ctr"
    stands_in = True

    def __init__(self, command: list[str], hosts_dir: str, run: Runner) -> None:
        super().__init__(command, run)
        self._hosts_dir = hosts_dir

    def _others(self) -> list[str]:
        return [name for name in self.ask("namespaces", "ls", "-q").split() if name != NAMESPACE]

    def has(self, image: str) -> bool:
        return any(image in self.ask("-n", name, "images", "ls", "-q").split() for name in self._others())

    def pull(self, image: str, timeout: float) -> Completed:
        self.drop(image)  # of a run that was stopped
        words = ["-n", NAMESPACE, "content", "fetch", "--hosts-dir", self._hosts_dir, image]
        return self._run([*self.command, *words], timeout)

    def had(self, image: str) -> bool:
        rows = [line.split() for line in self.ask("-n", NAMESPACE, "images", "ls").splitlines()]
        digests = {row[2] for row in rows if row[:1] == [image] and len(row) > 2}
        return any(digests & set(self.ask("-n", name, "content", "ls", "-q").split()) for name in self._others())

    def drop(self, image: str) -> str:
        if NAMESPACE not in self.ask("namespaces", "ls", "-q").split():
            return ""
        removed = self._do("-n", NAMESPACE, "images", "rm", "--sync", image)
        return self._do("namespaces", "rm", NAMESPACE) or removed


class Podman(_Client):
    """Into a store of its own, by the same settings. vfs works on every file system, without mounts to undo."""

    name = "podman"

    def __init__(self, command: list[str], scratch: str, run: Runner) -> None:
        super().__init__(command, run)
        self._store = ["--root", f"{scratch}/s", "--runroot", f"{scratch}/r", "--storage-driver", "vfs", "--events-backend", "none"]

    def pull(self, image: str, timeout: float) -> Completed:
        return self._run([*self.command, *self._store, "pull", "--quiet", image], timeout)

    def drop(self, image: str) -> str:
        return "" if self._run([*self.command, *self._store, "image", "exists", image]).rc else self._do(*self._store, "rmi", image)


class Skopeo(_Client):
    """Into a folder, which is removed with the scratch folder."""

    name = "skopeo"

    def __init__(self, command: list[str], scratch: str, run: Runner) -> None:
        super().__init__(command, run)
        self._folder = f"{scratch}/image"

    def pull(self, image: str, timeout: float) -> Completed:
        # A Mac would want an image for macOS.
        return self._run([*self.command, "--override-os", "linux", "copy", f"docker://{image}", f"dir:{self._folder}"], timeout)

    def drop(self, _image: str) -> str:
        return ""


class Docker(_Client):
    """The daemon. It removes an image's name, and the image with the last one."""

    name = "docker"

    def has(self, image: str) -> bool:
        # A list would have docker.io's names without their host.
        done = self._run([*self.command, "image", "inspect", "--format", "{{.Id}}", image])
        if done.rc and "no such image" not in done.stderr.lower():
            raise ZotError(f"{self.name} cannot be asked what it has: {last_words(done)}")
        return not done.rc

    def pull(self, image: str, timeout: float) -> Completed:
        return self._run([*self.command, "pull", "--quiet", image], timeout)

    def drop(self, image: str) -> str:
        return self._do("image", "rm", image) if self.has(image) else ""


def last_words(done: Completed) -> str:
    """The last line of what a program said, with passwords in URLs covered."""
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return str(masked(lines[-1][-400:])) if lines else f"exit status {done.rc}"
