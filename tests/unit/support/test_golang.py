# SPDX-License-Identifier: GPL-3.0-or-later
"""How programs of Go come into the cache. That they do what they are for is told by the tests that use them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from testbed import golang
from testbed._common import BedError

# Answers as Go does: it installs into GOBIN, and builds what it is told to.
GO = """case "$1" in
  install) program="$GOBIN/$(basename "${2%@*}")"; mkdir -p "$GOBIN" && echo "$2" >"$program" && chmod +x "$program" ;;
  list) echo "${LISTED:-v1.7.35}" ;;
  build) while [ "$1" != -o ]; do shift; done; cp main.go "$2" && chmod +x "$2" ;;
esac"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    def make(script: str) -> None:
        path = tmp_path / "bin" / "go"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return make


def test_what_was_built_is_found_and_not_built_again(
    go: t.Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert golang.absent("actionlint") == "not built: actionlint (bin/test system builds them where Go is)"
    go(GO)
    built = golang.build("actionlint")
    assert built.read_text() == f"github.com/rhysd/actionlint/cmd/actionlint@{golang.PROGRAMS['actionlint'].release}\n"
    go("exit 1")
    assert golang.main(["actionlint"]) == 0
    assert capsys.readouterr().out == f"{built}\n"
    assert golang.find("actionlint") == built
    assert golang.absent("actionlint", "caddy") == "not built: caddy (bin/test system builds them where Go is)"
    assert sorted(path.name for path in (tmp_path / "cache" / "blumeops.zot").iterdir()) == [built.parent.name, "actionlint.lock"]


@pytest.mark.parametrize(("name", "package"), [("resolver-1.7", "containerd/remotes"), ("resolver-2", "containerd/v2/core/remotes")])
def test_our_resolver_takes_the_packages_where_that_release_has_them(go: t.Callable[[str], None], name: str, package: str) -> None:
    go(GO.replace("v1.7.35", golang.PROGRAMS[name].release))
    text = golang.build(name).read_text()
    assert f'"github.com/containerd/{package}/docker/config"' in text
    assert text.count("containerd/v2") == (3 if name == "resolver-2" else 0)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo refused >&2; exit 1", "exit status 1: refused"),
        (GO.replace("v1.7.35", "v1.7.36"), r"resolver-1\.7 would be v1\.7\.36, and not v1\.7\.35"),
        (GO.replace('cp main.go "$2"', ':>"$2.other"').replace('chmod +x "$2"', ":"), "was built and has no resolver-1.7"),
    ],
    ids=["refused", "another release", "nothing came of it"],
)
def test_what_cannot_be_built_says_why(go: t.Callable[[str], None], script: str, told: str, tmp_path: Path) -> None:
    go(script)
    with pytest.raises(BedError, match=told):
        golang.build("resolver-1.7")
    assert golang.find("resolver-1.7") is None
    assert not list((tmp_path / "cache").rglob("*building*"))


@pytest.mark.usefixtures("go")
def test_without_go_it_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert golang.main(["caddy"]) == 1
    assert capsys.readouterr().err == "No caddy can be built: Go is not installed\n"
    with pytest.raises(SystemExit):
        golang.main(["nginx"])
    assert "no such program: nginx; there are actionlint" in capsys.readouterr().err
