# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a real Gitea comes from. That it runs is tested by the contract tests, which use it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from testbed import gitea
from testbed._common import BedError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str, str], Path]:
    """Nothing is there but what a test puts on PATH; everybody may look into its folder."""
    monkeypatch.setattr(gitea, "_reachable", lambda _path: True)
    for name in ("GITEA_BINARY", "GITEA_STATIC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    def make(name: str, script: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


# Answers as Go does; the module is a folder beside it, and a build makes the program it is told to.
GO = """case "$1" in
  env) echo ${VERSION:-go1.26.8} ;;
  mod) [ "$2" = edit ] || echo "{\\"Dir\\": \\"$(dirname "$0")/../module\\"}" ;;
  build) while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; echo made >"$2"; chmod +x "$2" ;;
esac"""


def _module(folder: Path) -> None:
    """Read-only, as Go keeps them."""
    for name in (*gitea.UNAVAILABLE, *(f"{static}/file" for static in gitea.STATIC)):
        path = folder / "module" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
        path.chmod(0o444)


def test_one_that_is_named_goes_before_the_cache_and_the_cache_before_path(program: t.Callable[[str, str], Path], tmp_path: Path) -> None:
    assert gitea.find() is None
    on_path = program("bin/gitea", "")
    assert gitea.find() == gitea.Program(on_path, None)
    cached = program(f"cache/blumeops.zot/gitea-{gitea.VERSION}/gitea", "")
    (cached.parent / "share" / "templates").mkdir(parents=True)
    assert gitea.find() == gitea.Program(cached, cached.parent / "share")
    named = program("mine/gitea", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITEA_BINARY", str(named))
        patch.setenv("GITEA_STATIC_ROOT", str(tmp_path / "mine"))
        (tmp_path / "mine" / "templates").mkdir()
        assert gitea.find() == gitea.Program(named, tmp_path / "mine")


def test_a_build_is_kept(program: t.Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program("bin/go", GO)
    _module(tmp_path)
    assert gitea.main([]) == 0
    built = gitea.cache() / "gitea"
    assert capsys.readouterr().out.strip() == str(built)
    assert built.read_text(encoding="utf-8") == "made\n"
    assert sorted(path.name for path in (gitea.cache() / "share").iterdir()) == sorted(gitea.STATIC)
    assert (gitea.cache() / "share" / "options" / "file").stat().st_mode & 0o044 == 0o044
    program("bin/go", "exit 1")
    assert gitea.main([]) == 0, "it is built once"
    assert sorted(path.name for path in gitea.cache().parent.iterdir()) == ["gitea-" + gitea.VERSION, "gitea.lock"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo go1.25.1", r"this is go1\.25\.1, and Gitea 1\.27\.3 is built with Go 1\.26\.4 or later"),
        (GO.replace("mkdir -p", "echo no space >&2; exit 3; mkdir -p"), "exit status 3: no space"),
        (GO.replace('[ "$2" = edit ] ||', "echo refused >&2; exit 1;"), "exit status 1: refused"),
    ],
    ids=["old Go", "failed build", "no module"],
)
def test_what_cannot_be_built_says_why_and_leaves_nothing(
    script: str, told: str, program: t.Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program("bin/go", script)
    _module(tmp_path)
    with pytest.raises(BedError, match=told):
        gitea.build()
    assert not list((tmp_path / "cache").rglob("gitea-*"))
    assert gitea.main([]) == 1
    assert "No real Gitea can be built: " in capsys.readouterr().err


def test_without_go_it_says_so(program: t.Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("bin/unused", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(BedError, match="Go is not installed"):
        gitea.build()


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root runs it as himself")
def test_where_nobody_may_look_nothing_is_found_or_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed"))
    binary = gitea.cache() / "gitea"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    monkeypatch.setenv("GITEA_BINARY", str(binary))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found = gitea.find()
    assert found is None
    monkeypatch.setattr(gitea, "_go_version", lambda: "")
    with pytest.raises(BedError, match="nobody, who runs it because Gitea refuses to run as root, may not enter"):
        gitea.build()
