# SPDX-License-Identifier: GPL-3.0-or-later
"""Real clients that pull through a registry: containerd (by CRI and by ctr), its resolvers, podman, skopeo, and Docker.

Each has folders of its own, and is as fresh as one that has never pulled: `pull` forgets first what it has.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import image_of

from support.programs import Background, call

# Of filesystems that a test machine may not have.
_NO_SNAPSHOTTERS = ["aufs", "btrfs", "devmapper", "zfs"]


class Pulled(t.NamedTuple):
    ok: bool
    said: str


class Client(t.Protocol):
    """``checked``: the options of zot_cache_check that say which client this is."""

    name: str
    checked: dict[str, t.Any]

    def pull(self, image: str) -> Pulled: ...


class Containerd(Background):
    """A daemon with its own root, state and sockets. CRI reads ``hosts_dir`` for mirrors."""

    def __init__(self, folder: Path, hosts_dir: Path | None) -> None:
        super().__init__(folder)
        self.address = folder / "grpc.sock"
        self.config = folder / "config.toml"
        disabled = [f"io.containerd.snapshotter.v1.{name}" for name in _NO_SNAPSHOTTERS]
        mirrors = f'[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "{hosts_dir}"\n' if hosts_dir else ""
        self.config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\ndisabled_plugins = {json.dumps(disabled)}\n'
            f'[grpc]\naddress = "{self.address}"\n[ttrpc]\naddress = "{folder}/ttrpc.sock"\n{mirrors}'
        )
        self.argv = ["containerd", "-c", str(self.config)]

    def is_ready(self) -> bool:
        return call("ctr", "-a", self.address, "version").returncode == 0

    @property
    def images(self) -> set[str]:
        """In every namespace."""
        names = call("ctr", "-a", self.address, "namespaces", "ls", "-q").stdout.split()
        return {
            f"{name}/{image}"
            for name in names
            for image in call("ctr", "-a", self.address, "-n", name, "images", "ls", "-q").stdout.split()
        }


class Cri:
    """As Kubernetes pulls."""

    def __init__(self, daemon: Containerd, crictl: Path, hosts_dir: Path) -> None:
        self.name = "crictl"
        self.command = [str(crictl), "--runtime-endpoint", f"unix://{daemon.address}"]
        self.checked = {"client": "containerd", "command": self.command, "hosts_dir": str(hosts_dir), "config_path": str(daemon.config)}

    def pull(self, image: str) -> Pulled:
        call(*self.command, "rmi", image)
        done = call(*self.command, "pull", image)
        return Pulled(not done.returncode, done.stdout)


class Ctr:
    def __init__(self, daemon: Containerd, hosts_dir: Path) -> None:
        self.name = "ctr"
        self.hosts_dir = hosts_dir
        self.command = ["ctr", "-a", str(daemon.address)]
        self.checked = {"client": "containerd", "command": self.command, "hosts_dir": str(hosts_dir), "config_path": str(daemon.config)}

    def pull(self, image: str) -> Pulled:
        words = [*self.command, "-n", "test"]
        call(*words, "images", "rm", "--sync", image_of(image).name)
        done = call(*words, "images", "pull", "--hosts-dir", self.hosts_dir, image_of(image).name)
        return Pulled(not done.returncode, done.stdout)


class Resolver:
    """The library of a later containerd, without its daemon."""

    checked: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self, program: Path, hosts_dir: Path) -> None:
        self.name, self.program, self.hosts_dir = program.name, program, hosts_dir

    def pull(self, image: str) -> Pulled:
        done = call(self.program, "--hosts-dir", self.hosts_dir, image_of(image).name)
        return Pulled(not done.returncode, done.stdout)


class Podman:
    """``conf``: its registries.conf; ``auth``: its logins."""

    def __init__(self, folder: Path, conf: Path, auth: Path | None = None) -> None:
        self.name, self.conf, self.folder = "podman", conf, folder
        self.environment = {"CONTAINERS_REGISTRIES_CONF": str(conf), **({"REGISTRY_AUTH_FILE": str(auth)} if auth else {})}
        self.checked = {"client": "podman"}

    def pull(self, image: str) -> Pulled:
        shutil.rmtree(self.folder, ignore_errors=True)
        store = ["--root", self.folder / "s", "--runroot", self.folder / "r", "--storage-driver", "vfs", "--events-backend", "none"]
        done = call("podman", *store, "pull", "-q", image, **self.environment)
        return Pulled(not done.returncode, done.stdout)


class Skopeo:
    """Debian's does not look into the environment for its registries.conf."""

    def __init__(self, folder: Path, conf: Path, auth: Path | None = None) -> None:
        self.name, self.folder = "skopeo", folder
        self.command = ["skopeo", "--registries-conf", str(conf)]
        self.environment = {"REGISTRY_AUTH_FILE": str(auth)} if auth else {}
        self.checked = {"client": "skopeo", "command": self.command}

    def pull(self, image: str) -> Pulled:
        shutil.rmtree(self.folder, ignore_errors=True)
        done = call(*self.command, "copy", f"docker://{image}", f"dir:{self.folder}", **self.environment)
        return Pulled(not done.returncode, done.stdout)


class DockerDaemon(Background):
    """Without a network of its own: it only pulls. ``settings`` is its daemon.json."""

    def __init__(self, folder: Path, containerd: Containerd, settings: Path) -> None:
        super().__init__(folder)
        self.host = f"unix://{folder}/docker.sock"
        own = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid", "--host", self.host]
        little = ["--iptables=false", "--bridge=none", "--storage-driver=vfs", "--containerd", str(containerd.address)]
        self.argv = [_debian("dockerd"), "--config-file", str(settings), *own, *little]

    def is_ready(self) -> bool:
        return call(_debian("docker"), "-H", self.host, "version").returncode == 0


class Docker:
    def __init__(self, daemon: DockerDaemon) -> None:
        self.name = "docker"
        self.command = [_debian("docker"), "-H", daemon.host]
        self.checked = {"client": "docker", "command": self.command}

    def pull(self, image: str) -> Pulled:
        call(*self.command, "image", "rm", image)
        done = call(*self.command, "pull", "-q", image)
        return Pulled(not done.returncode, done.stdout)


def _debian(name: str) -> str:
    """Debian's, where another one comes first on the PATH."""
    return next((path for path in (f"/usr/bin/{name}", f"/usr/sbin/{name}") if os.access(path, os.X_OK)), name)


class Caddy(Background):
    """The proxy that gives Docker Hub's cache a root of its own."""

    def __init__(self, folder: Path, program: Path, site: str, port: int) -> None:
        super().__init__(folder)
        self.port = port
        config = folder / "Caddyfile"
        config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + site, encoding="utf-8")
        self.argv = ["env", f"HOME={folder}", f"XDG_DATA_HOME={folder}", str(program), "run", "--config", str(config)]

    def is_ready(self) -> bool:
        from support.zot_binary import ask

        return ask(f"http://127.0.0.1:{self.port}/v2/", "", "")[0] == 200
