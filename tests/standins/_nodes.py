# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-ins for minikube and kind have in common: a folder that passes for a Linux node.

A command line meant for the node runs on this very host with C(/etc/), C(/proc/) and C(/run/) taken for folders of the node's, and with
programs of the node's own: sudo, pidof, systemctl and containerd. units.log gets what systemctl was told.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_PROGRAMS = {
    "sudo": 'exec "$@"',
    "pidof": 'cat "$NODE/proc/$1.pid" 2>/dev/null',
    "systemctl": 'if [ "$1" = is-active ]; then grep -qx "$3" "$NODE/active"; else echo "$*" >> "$NODE/units.log"; fi',
    "containerd": 'cat "$NODE/containerd.version"',
}
# As containerd says it in both images; the hash is made up.
_SAYS = "containerd github.com/containerd/containerd v1.7.28 0000000000000000000000000000000000000000\n"


def make(node: Path, files: dict[str, str], active: tuple[str, ...]) -> None:
    for name, body in _PROGRAMS.items():
        program = node / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    (node / "active").write_text("".join(f"{unit}\n" for unit in active))
    (node / "containerd.version").write_text(_SAYS)
    (node / "proc").mkdir()
    if "docker" in active:
        starts(node, "--host=unix:///var/run/docker.sock")
    for path, text in files.items():
        place = node / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o644)


def starts(node: Path, *arguments: str) -> None:
    """The Docker daemon, with these arguments."""
    (node / "proc/7").mkdir(exist_ok=True)
    (node / "proc/dockerd.pid").write_text("7\n")
    (node / "proc/7/cmdline").write_text("".join(f"{word}\0" for word in ("/usr/bin/dockerd", *arguments)))


def run(node: Path, argv: list[str], stdin: bytes | None, terminal: bool) -> subprocess.CompletedProcess[bytes]:
    """With a terminal, both outputs are one, and each line ends as lines of terminals do."""
    inside = [re.sub(r"(?<![\w./])/(?=(?:etc|proc|run)/)", f"{node}/", word) for word in argv]
    done = subprocess.run(
        inside,
        check=False,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if terminal else subprocess.PIPE,
        env={"PATH": f"{node / 'bin'}:/usr/bin:/bin", "NODE": str(node), "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")},
    )
    if terminal:
        done.stdout = done.stdout.replace(b"\n", b"\r\n")
    return done
