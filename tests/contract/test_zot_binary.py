# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper that finds, copies and runs a zot."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import zot_binary
from support.zot_binary import NotServingError, serving, standin_zot

from contract.ask import ask

if TYPE_CHECKING:
    from pathlib import Path


def test_a_copy_passes_for_the_release_it_is_told(tmp_path: Path) -> None:
    copy = standin_zot(tmp_path, "2.1.7")
    assert zot_binary.release_of(copy) == "2.1.7"
    assert zot_binary.is_standin(copy)
    assert os.access(copy, os.X_OK)
    assert copy.read_text(encoding="utf-8").splitlines()[0] == f"#!{sys.executable}"


def test_a_copy_needs_nothing_beside_it(tmp_path: Path) -> None:
    copy = standin_zot(tmp_path)
    alone = subprocess.run(
        [sys.executable, "-I", str(copy), "--help"], capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False
    )
    assert alone.returncode == 0


def test_the_stand_in_is_no_real_zot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other" / "zot"
    other.parent.mkdir()
    other.write_text('#!/bin/sh\necho "some other zot"\n', encoding="utf-8")
    other.chmod(0o755)
    for binary in (standin_zot(tmp_path / "standin"), other, tmp_path / "absent"):
        monkeypatch.setenv("ZOT_BINARY", str(binary))
        monkeypatch.setenv("PATH", str(binary.parent))
        assert zot_binary.real_zot() is None


def test_it_is_stopped_even_when_the_test_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), serving(standin_zot(tmp_path / "bin"), {}, tmp_path) as running:
        raise ZeroDivisionError
    assert running.process.poll() == 0


def test_a_zot_that_does_not_start_is_reported_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(NotServingError, match="has invalid keys: nope"), serving(standin_zot(tmp_path / "bin"), {"nope": 1}, tmp_path):
        pass


def test_a_given_port_and_folder_are_used(tmp_path: Path) -> None:
    port = zot_binary.free_port()
    config = {"http": {"port": str(port)}, "storage": {"rootDirectory": str(tmp_path / "here")}}
    with serving(standin_zot(tmp_path / "bin"), config, tmp_path) as running:
        assert running.url == f"http://127.0.0.1:{port}"
        assert (tmp_path / "here").is_dir()
        running.restart()
        assert ask(running.url, "GET", "/v2/").status == 200
        assert running.stop() == 0
        assert running.stop() == 0, "again does no harm"
