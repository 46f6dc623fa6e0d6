# SPDX-License-Identifier: GPL-3.0-or-later
"""A zot to test against: the real one where there is one, and the stand-in under tests/standins everywhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STANDIN = Path(__file__).parents[1] / "standins" / "zot"
START_SECONDS = 20.0
STOP_SECONDS = 15.0


class NotServingError(AssertionError):
    """The binary ended, or did not become ready: the message has its last words."""


def version_line(binary: Path) -> dict[str, Any]:
    """What `--version` prints, which zot does as one line of JSON (on stderr up to 2.1.8); {} when it is no zot."""
    try:
        answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    for line in (answer.stdout + answer.stderr).splitlines():
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "distribution-spec" in found:
                return found
    return {}


def is_standin(binary: Path) -> bool:
    return "STANDIN" in str(version_line(binary).get("commit", ""))


def release_of(binary: Path) -> str:
    """The release in the commit that zot reports (`v2.1.20-0-g…`), or "" when it names none."""
    match = re.match(r"v?(\d+\.\d+\.\d+)", str(version_line(binary).get("commit", "")))
    return match[1] if match else ""


def real_zot() -> Path | None:
    """The zot of ZOT_BINARY, else of PATH; None when there is none. The stand-in does not count."""
    for candidate in (os.environ.get("ZOT_BINARY"), shutil.which("zot")):
        if candidate:
            path = Path(candidate).absolute()
            if version_line(path) and not is_standin(path):
                return path
    return None


def standin_zot(directory: Path, release: str = "2.1.20", python: str = sys.executable) -> Path:
    """A copy of the stand-in that passes for this release and runs under the Python that runs the tests, unless another is named."""
    text = STANDIN.read_text(encoding="utf-8")
    text, shebangs = re.subn(r"\A#!.*", f"#!{python}", text)
    text, releases = re.subn(r'^RELEASE = ".*"', f'RELEASE = "{release}"', text, flags=re.MULTILINE)
    if (shebangs, releases) != (1, 1):
        raise AssertionError(f"{STANDIN} has lost its shebang or its RELEASE line")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "zot"
    part = directory / ".zot.part"
    part.write_text(text, encoding="utf-8")
    part.chmod(0o755)
    part.replace(path)  # a running copy keeps its own file
    return path


def crashing_zot(path: Path, good: str) -> Path:
    """A build that passes every look at it, as ``good`` does, and ends as soon as it serves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\n[ "$1" != serve ] || {{ echo "cannot open the store" >&2; exit 1; }}\nexec {good} "$@"\n', encoding="utf-8"
    )
    path.chmod(0o755)
    return path


def ask(url: str, username: str, password: str) -> tuple[int | None, bytes]:
    """Status and body of what a user is answered; None where nobody answers."""
    try:
        answer = requests.get(url, auth=(username, password), timeout=5)
    except requests.ConnectionError:
        return None, b""
    return answer.status_code, answer.content


def write_htpasswd(path: Path, passwords: Mapping[str, str], rounds: int = 4) -> Path:
    """An htpasswd file; few rounds, because tests log in often."""
    lines = [f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(rounds)).decode()}\n" for user, word in passwords.items()]
    path.write_text("".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Serving:
    """A running zot: `.url`, `.process`, `.log` (what it wrote so far), `.config_path`, `.stop()`."""

    def __init__(self, binary: Path, config: dict[str, Any], directory: Path) -> None:
        self.binary, self.directory = binary, directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config = json.loads(json.dumps(config))
        address = self.config.setdefault("http", {}).setdefault("address", "127.0.0.1")
        self.port = int(self.config["http"].setdefault("port", str(free_port())))
        self.config.setdefault("storage", {}).setdefault("rootDirectory", str(directory / "registry"))
        host = "127.0.0.1" if address in ("", "0.0.0.0") else address
        self.url = f"http{'s' if self.config['http'].get('tls') else ''}://{host}:{self.port}"
        self.config_path = directory / "config.json"
        self.config_path.write_text(json.dumps(self.config), encoding="utf-8")
        self._output = directory / "zot.out"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as output:
            return subprocess.Popen([str(self.binary), "serve", str(self.config_path)], stdout=output, stderr=output, cwd=self.directory)

    @property
    def log(self) -> str:
        written = Path(self.config.get("log", {}).get("output") or self._output)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in {self._output, written} if path.exists()]
        return "".join(texts)

    def wait_ready(self) -> None:
        """Poll until it answers at all: /v2/ exists in every release, and 401 is an answer."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotServingError(f"{self.binary} ended with {self.process.returncode}:\n{self.log[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                if self._answers():
                    return
            time.sleep(0.01)
        raise NotServingError(f"{self.binary} was not ready in {START_SECONDS:g} s:\n{self.log[-2000:]}")

    def _answers(self) -> bool:
        if self.url.startswith("https"):
            return True  # tests that use TLS bring their own certificates; the open port has to do here
        try:
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return error.code in (401, 403)
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that does not help; returns the exit code. May be called twice."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.process = self._start()
        self.wait_ready()


@contextlib.contextmanager
def serving(binary: Path, config: dict[str, Any], directory: Path) -> Iterator[Serving]:
    """A zot that serves this configuration (a free port and a storage folder are filled in) and is stopped afterwards."""
    handle = Serving(binary, config, directory)
    try:
        handle.wait_ready()
        yield handle
    finally:
        handle.stop()
