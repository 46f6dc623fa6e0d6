# SPDX-License-Identifier: GPL-3.0-or-later
"""The same tests against the stand-in and, where there is one, against a real zot.

A test that takes `zot` runs twice: `standin`, and `real`, which is skipped where no real zot is found.
The recorded answers are many: by default some tests take an even spread of them, and say so at the end of the run.
ZOT_VECTORS=all takes every one.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support import zot_binary
from support.forge import DEFAULT_FLAVOUR, real_forge, standin_forge
from testbed import gitea as real_gitea

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from support.forge import Forge

NO_REAL_ZOT = "no real zot: set ZOT_BINARY or put one on PATH"
EVERYTHING = os.environ.get("ZOT_VECTORS") == "all"
REPORT: pytest.StashKey[list[str]] = pytest.StashKey()
VECTORS = Path(__file__).parents[1] / "vectors"


class Binary(NamedTuple):
    path: Path
    release: str
    real: bool

    def since(self, release: str) -> bool:
        return [int(part) for part in self.release.split(".")] >= [int(part) for part in release.split(".")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "zot" in metafunc.fixturenames:
        kinds = [pytest.param("standin"), pytest.param("real", marks=pytest.mark.real_zot)]
        metafunc.parametrize("zot", kinds, indirect=True)
    if "forge" in metafunc.fixturenames:
        forgejo = [] if "gitea" in metafunc.fixturenames else ["standin-forgejo-14"]
        kinds = ["standin", *forgejo, pytest.param("real", marks=pytest.mark.real_gitea)]
        metafunc.parametrize("forge", kinds, indirect=True)


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(REPORT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(REPORT, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Binary | None]:
    """Both kinds of zot, each looked for once."""
    found: dict[str, Binary | None] = {}

    def look(kind: str) -> Binary | None:
        if kind not in found:
            real = zot_binary.real_zot() if kind == "real" else None
            if kind == "real":
                found[kind] = Binary(real, zot_binary.release_of(real) or "2.1.20", True) if real else None
            else:
                found[kind] = Binary(zot_binary.standin_zot(tmp_path_factory.mktemp("standin")), "2.1.20", False)
        return found[kind]

    return look


@pytest.fixture
def zot(request: pytest.FixtureRequest, binaries: Callable[[str], Binary | None]) -> Binary:
    found = binaries(request.param)
    if found is None:
        pytest.skip(NO_REAL_ZOT)
    return found


@pytest.fixture(scope="session")
def gitea_seed() -> Iterator[Path]:
    """What a real Gitea starts from. Not in pytest's folders: another user runs it, and may not enter them."""
    program = real_gitea.find()
    if program is None:
        pytest.skip(real_gitea.NO_GITEA)
    with tempfile.TemporaryDirectory(prefix="zot-gitea-") as folder:
        Path(folder).chmod(0o755)
        yield real_gitea.make_seed(program, Path(folder))


@pytest.fixture
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    """A forge with Actions: the stand-in as Gitea and as Forgejo, and a real Gitea where there is one. Each test has it to itself."""
    if request.param == "real":
        seed = request.getfixturevalue("gitea_seed")
        with tempfile.TemporaryDirectory(prefix="zot-gitea-") as folder:
            Path(folder).chmod(0o755)
            with real_forge(Path(folder), seed=seed) as running:
                yield running
    else:
        with standin_forge(request.param.removeprefix("standin").removeprefix("-") or DEFAULT_FLAVOUR) as running:
            yield running


@pytest.fixture
def gitea(forge: Forge) -> Forge:
    """Like `forge`, but never Forgejo."""
    return forge


@pytest.fixture
def standin(binaries: Callable[[str], Binary | None]) -> Binary:
    found = binaries("standin")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def standin_module() -> Callable[[str], ModuleType]:
    """The stand-in as a Python module that passes for a release: for rows too many to start a process for each."""
    modules: dict[str, ModuleType] = {}

    def load(release: str) -> ModuleType:
        if release not in modules:
            name = "standin_zot_" + release.replace(".", "_")
            loader = importlib.machinery.SourceFileLoader(name, str(zot_binary.STANDIN))
            spec = importlib.util.spec_from_loader(name, loader)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no cache beside a file that is no .py
            try:
                loader.exec_module(module)
            finally:
                sys.dont_write_bytecode = writes
            setattr(module, "RELEASE", release)  # noqa: B010  a module's constant, set as the copies' is rewritten
            modules[release] = module
        return modules[release]

    return load


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a line to the end of the run's output."""
    return request.config.stash[REPORT].append


def spread(rows: Sequence[Any], at_most: int) -> list[Any]:
    """All rows when everything is asked for, else about `at_most` of them, evenly spread and always the same."""
    if EVERYTHING or len(rows) <= at_most:
        return list(rows)
    return [rows[index * len(rows) // at_most] for index in range(at_most)]
