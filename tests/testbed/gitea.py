# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Gitea, whose Actions API Forgejo shares: built once from its Go module, and started in half a second. No network is needed then.

    python -m testbed.gitea          # prints the path of a binary, building one first if there is none (Go >= 1.26.4, five minutes)
    python -m testbed.gitea --find   # only looks

A binary is looked for in GITEA_BINARY, in the cache ($XDG_CACHE_HOME, ~/.cache, for root /var/cache) and on PATH. One that does not
have its templates within is given their folder by GITEA_STATIC_ROOT, or has it beside it, as `share` or `src`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.waiting import until

from testbed import _common, golang
from testbed._common import BedError

VERSION = "1.27.3"
MODULE = f"code.gitea.io/gitea@v{VERSION}"
GO = (1, 26, 4)
ADMIN, ADMIN_PASSWORD = "root1", "password-of-root1"
SECRET_KEY = "made-up-by-the-tests"
NO_GITEA = "no real Gitea: bin/test system builds one where Go is; or set GITEA_BINARY"
START_SECONDS = 60.0

# Three of its requirements cannot be downloaded. The first has one user, which the API does not need; the others have another name.
UNAVAILABLE = ("services/migrations/gitea_downloader.go", "services/migrations/gitea_downloader_test.go")
EDITS = (
    *("-droprequire", "gitea.dev/sdk"),
    *("-replace", "gitea.dev/actions-proto-go=code.gitea.io/actions-proto-go@v0.6.0"),
    *("-replace", "gitlab.com/gitlab-org/api/client-go/v2=gitlab.com/gitlab-org/api/client-go/v2@v2.43.0"),
)
STATIC = ("options", "public", "templates")  # read while it runs


@dataclass(frozen=True)
class Program:
    binary: Path
    static_root: Path | None


# Building


def cache() -> Path:
    return golang.cache() / f"gitea-{VERSION}"


def find() -> Program | None:
    for candidate in (os.environ.get("GITEA_BINARY"), cache() / "gitea", shutil.which("gitea")):
        if candidate and os.access(candidate, os.X_OK) and _reachable(Path(candidate).resolve()):
            binary = Path(candidate).resolve()
            given = os.environ.get("GITEA_STATIC_ROOT")
            roots = [Path(given)] if given else [binary.parent / "share", binary.parent / "src"]
            return Program(binary, next((root for root in roots if (root / "templates").is_dir()), None))
    return None


def _reachable(path: Path) -> bool:
    """By the user who runs it."""
    return os.geteuid() != 0 or all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents if folder.exists())


def build() -> Program:
    """Into the cache, where a build is complete or not at all."""
    if version := _go_version():
        raise BedError(f"{version}, and Gitea {VERSION} is built with Go {'.'.join(map(str, GO))} or later")
    _common.check(["git", "--version"])
    target = cache()
    if not _reachable(target):
        raise BedError(f"{_runner().pw_name}, who runs it because Gitea refuses to run as root, may not enter {target.parent}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with (target.parent / "gitea.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "gitea").exists():  # another run may have built it meanwhile
            for abandoned in target.parent.glob("gitea-building-*"):
                shutil.rmtree(abandoned)
            sys.stderr.write(f"Building Gitea {VERSION} for the tests, once; this takes about five minutes.\n")
            _build(target)
    found = find()
    if found is None:
        raise BedError(f"{target} was built and is not found")
    return found


def _go_version() -> str:
    """What is wrong with Go, in words; empty if nothing is."""
    if not shutil.which("go"):
        return "Go is not installed"
    text = _common.check(["go", "env", "GOVERSION"]).strip()
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    return "" if tuple(numbers) >= GO else f"this is {text or 'an unknown Go'}"


def _build(target: Path) -> None:
    source = Path(json.loads(_common.check(["go", "mod", "download", "-json", MODULE], timeout=600))["Dir"])
    building = Path(tempfile.mkdtemp(prefix="gitea-building-", dir=target.parent))
    try:
        work, result = building / "src", building / "result"
        # The module cache is read-only, and Go refuses overlays over it.
        shutil.copytree(source, work)
        _open(work)
        for name in UNAVAILABLE:
            (work / name).unlink()
        _common.check(["go", "mod", "edit", *EDITS], cwd=work)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOEXPERIMENT": "jsonv2", "GOFLAGS": "-mod=mod -buildvcs=false"}
        flags = f"-s -w -X main.Version={VERSION}"
        argv = ["go", "build", "-trimpath", "-ldflags", flags, "-o", result / "gitea", "."]
        _common.check(argv, cwd=work, env=environment, timeout=3600)
        for name in STATIC:
            shutil.copytree(work / name, result / "share" / name)
        _open(result)
        result.replace(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _open(folder: Path) -> None:
    """For its owner to write and for everybody to read."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))


# Running


def _runner() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


SETTINGS = """\
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {data}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
{static_root}
[database]
DB_TYPE = sqlite3
PATH = {data}/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret_key}
INTERNAL_TOKEN = made-up
PASSWORD_HASH_ALGO = pbkdf2$1000$16
MIN_PASSWORD_LENGTH = 1
PASSWORD_COMPLEXITY = off
[service]
DISABLE_REGISTRATION = true
[actions]
ENABLED = true
[session]
PROVIDER = memory
[indexer]
ISSUE_INDEXER_TYPE = db
REPO_INDEXER_ENABLED = false
[log]
MODE = console
[cron]
ENABLED = false
[mailer]
ENABLED = false
[oauth2]
ENABLED = false
[packages]
ENABLED = false
"""


def _settings(folder: Path, program: Program, port: int, url: str) -> str:
    static = f"STATIC_ROOT_PATH = {program.static_root}" if program.static_root else ""
    values = {"user": _runner().pw_name, "data": folder / "data", "port": port, "url": url, "static_root": static}
    return SETTINGS.format(secret_key=SECRET_KEY, **values)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder / "data"), "GITEA_WORK_DIR": str(folder / "data"), "LANG": "C.UTF-8"}


def _user() -> dict[str, t.Any]:
    """Options of subprocess: another user, if this one is root."""
    who = _runner()
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        who = _runner()
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, who.pw_uid, who.pw_gid)


class Gitea:
    """A running one, whose data are in ``folder``/data; `.port` is its own, `url` the one it is told that people use."""

    def __init__(self, program: Program, folder: Path, url: str) -> None:
        self.program, self.folder, self.port = program, folder, _common.free_port()
        self.config, self.log = folder / "app.ini", folder / "gitea.log"
        self.database = folder / "data" / "gitea.db"
        (folder / "data").mkdir(exist_ok=True)
        self.config.write_text(_settings(folder, program, self.port, url), encoding="utf-8")
        _own(folder)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        argv = [str(self.program.binary), "--config", str(self.config), "web"]
        if shutil.which("setpriv") and threading.current_thread() is threading.main_thread():
            argv = ["setpriv", "--pdeathsig", "TERM", *argv]  # it ends with us
        options = {"stdin": subprocess.DEVNULL, "env": _environment(self.folder), "cwd": "/", **_user()}
        with self.log.open("wb") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, **options)

    def wait_ready(self) -> None:
        if not until(lambda: self.process.poll() is not None or self._answers(), START_SECONDS) or self.process.poll() is not None:
            raise BedError(f"Gitea did not become ready: {_common.tail(self.log)}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/healthz", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def command(self, *words: str) -> str:
        argv = [str(self.program.binary), "--config", str(self.config), *words]
        return _common.check(argv, env=_environment(self.folder), cwd="/", **_user())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running(program: Program, folder: Path, url: str = "http://127.0.0.1") -> t.Iterator[Gitea]:
    """One that answers, in a folder that the user who runs it may enter."""
    gitea = Gitea(program, folder, url)
    try:
        gitea.wait_ready()
        yield gitea
    finally:
        gitea.stop()


def make_seed(program: Program, folder: Path) -> Path:
    """Data that others start from: a migrated database, and the administrator. A copy of them starts sooner."""
    with running(program, folder) as gitea:
        user = ["--username", ADMIN, "--password", ADMIN_PASSWORD, "--email", f"{ADMIN}@example.com"]
        gitea.command("admin", "user", "create", *user, "--admin", "--must-change-password=false")
    return folder / "data"


def main(words: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m testbed.gitea", description="Print the path of a real Gitea, built first if there is none."
    )
    parser.add_argument("--find", action="store_true", help="do not build")
    options = parser.parse_args(words)
    try:
        found = find() or (None if options.find else build())
    except (BedError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"No real Gitea can be built: {error}\n")
        return 1
    if found is None:
        sys.stderr.write(f"{NO_GITEA}\n")
        return 1
    print(found.binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
