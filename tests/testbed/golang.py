# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that Debian does not have, built once from their Go modules into a cache.

    python -m testbed.golang          # builds all that is not there (two minutes), and prints where they are
    python -m testbed.golang caddy    # that one

They are looked for in the cache only ($XDG_CACHE_HOME, ~/.cache, for root /var/cache), so that it is known which release it is. No
network is needed once they are built.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import _common
from testbed._common import BedError

_HERE = Path(__file__).parent
_RESOLVER = _HERE / "resolver" / "main.go"


@dataclass(frozen=True)
class Program:
    """``package``: what is installed; or of which a program of ours (``source``) uses ``module``, by its release."""

    release: str
    package: str = ""
    source: Path | None = None
    module: str = ""


PROGRAMS = {
    "actionlint": Program("v1.7.12", "github.com/rhysd/actionlint/cmd/actionlint"),
    "caddy": Program("v2.11.9", "github.com/caddyserver/caddy/v2/cmd/caddy"),
    "crictl": Program("v1.34.0", "sigs.k8s.io/cri-tools/cmd/crictl"),
    "kind": Program("v0.33.0", "sigs.k8s.io/kind"),
    # k3s's own reading of registries.yaml.
    "registries": Program("v0.7.1", source=_HERE / "registries" / "main.go", module="github.com/rancher/wharfie"),
    # containerd's own reading of hosts.toml, and its requests, without its daemon.
    "resolver-1.7": Program("v1.7.35", source=_RESOLVER, module="github.com/containerd/containerd"),
    "resolver-2": Program("v2.4.2", source=_RESOLVER, module="github.com/containerd/containerd/v2"),
}


def cache() -> Path:
    """Where all that is built for the tests is. Some of it may not run as root, and who runs it then may not look into root's home."""
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home) / "blumeops.zot"


def find(name: str) -> Path | None:
    """The program, if it was built."""
    binary = _target(name) / name
    return binary if os.access(binary, os.X_OK) else None


def absent(*names: str) -> str:
    """What is missing, in words for a skipped test; empty if nothing is."""
    lacking = [name for name in names if find(name) is None]
    return f"not built: {', '.join(lacking)} (bin/test system builds them where Go is)" if lacking else ""


def build(name: str) -> Path:
    """Into the cache, where a build is complete or not at all. Raises BedError."""
    if not shutil.which("go"):
        raise BedError("Go is not installed")
    target = _target(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with (target.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find(name) is None:  # another run may have built it meanwhile
            _build(name, target)
    found = find(name)
    if found is None:
        raise BedError(f"{target} was built and has no {name}")
    return found


def _target(name: str) -> Path:
    return cache() / f"{name}-{PROGRAMS[name].release}"


def _build(name: str, target: Path) -> None:
    program = PROGRAMS[name]
    sys.stderr.write(f"Building {name} {program.release} for the tests, once.\n")
    building = Path(tempfile.mkdtemp(prefix=f"{name}-building-", dir=target.parent))
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(building / "bin"), "GOFLAGS": "-buildvcs=false"}
    try:
        if program.source:
            _build_ours(name, program, building, environment)
        else:
            _common.check(["go", "install", f"{program.package}@{program.release}"], env=environment, timeout=1800)
        (building / "bin").chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        (building / "bin").replace(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _build_ours(name: str, program: Program, building: Path, environment: dict[str, str]) -> None:
    text = program.source.read_text(encoding="utf-8") if program.source else ""
    if program.module == "github.com/containerd/containerd":
        text = text.replace("containerd/v2/core/", "containerd/")  # where its packages lay before
    (building / "main.go").write_text(text, encoding="utf-8")
    (building / "bin").mkdir()
    for words in (["mod", "init", "resolver"], ["get", f"{program.module}@{program.release}"], ["mod", "tidy"]):
        _common.check(["go", *words], cwd=building, env=environment, timeout=900)
    listed = _common.check(["go", "list", "-m", "-f", "{{.Version}}", program.module], cwd=building, env=environment).strip()
    if listed != program.release:
        raise BedError(f"{name} would be {listed}, and not {program.release}")
    _common.check(["go", "build", "-trimpath", "-o", Path("bin", name), "."], cwd=building, env=environment, timeout=1800)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.golang", description="Build programs for the tests, and print where they are.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(PROGRAMS)}; all of them by default")
    names = parser.parse_args(words).names
    if unknown := sorted({*names} - {*PROGRAMS}):
        parser.error(f"no such program: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    failed = False
    for name in names or PROGRAMS:
        try:
            print(find(name) or build(name))
        except (BedError, OSError, subprocess.SubprocessError) as error:
            failed = True
            sys.stderr.write(f"No {name} can be built: {error}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
