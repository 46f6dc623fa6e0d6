# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._local import read_local, write_local


def test_what_is_written_is_read_and_what_is_not_there_is_none(tmp_path):
    path = tmp_path / "file"
    assert read_local(path) is None
    write_local(path, b"x")
    assert read_local(path) == b"x"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_mode_of_any_program_and_one_that_is_there_keeps_its_own(tmp_path, mask, mode):
    path = tmp_path / "file"
    before = os.umask(mask)
    try:
        write_local(path, b"x")
        assert path.stat().st_mode & 0o777 == mode
        path.chmod(0o640)
        write_local(path, b"y")
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_what_cannot_be_is_told_with_the_path(tmp_path):
    with pytest.raises(ZotError, match="on the controller"):
        read_local(tmp_path)
    with pytest.raises(ZotError, match="cannot be written on the controller"):
        write_local(tmp_path / "nowhere" / "file", b"x")
