# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run


def python(code, **options):
    return run([sys.executable, "-c", code], **options)


def test_exit_code_and_both_outputs_are_told_apart():
    assert python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)") == Completed(3, "out\n", "err\n")


def test_a_signal_is_a_negative_exit_code():
    assert python("import os; os.kill(os.getpid(), 9)").rc == -9


def test_no_shell_sees_the_arguments():
    assert run(["/bin/echo", "$HOME; *"]).stdout == "$HOME; *\n"


def test_standard_input_is_closed():
    assert run(["/bin/cat"]) == Completed(0, "", "")


def test_output_that_is_no_text_does_not_raise():
    assert python(r"import sys; sys.stdout.buffer.write(b'a\xffb'); sys.stderr.buffer.write(b'\xfe')") == Completed(0, "a\ufffdb", "\ufffd")


def test_programs_speak_english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("CANARY", "kept")
    assert python("import os; print(os.environ['LC_ALL'], os.environ['CANARY'])").stdout == "C kept\n"


@pytest.mark.parametrize("make", [Path.exists, Path.touch, Path.mkdir])
def test_what_cannot_be_started_is_127_and_says_why(tmp_path, make):
    make(tmp_path / "program")
    done = run([str(tmp_path / "program")])
    assert (done.rc, done.stdout) == (127, "")
    assert done.stderr in ("No such file or directory", "Permission denied")


def test_a_program_reads_what_it_is_given_and_else_nothing():
    assert run(["/bin/cat"], stdin=b"word\n").stdout == "word\n"
    assert run(["/bin/cat"]) == Completed(0, "", "")


def test_what_takes_too_long_is_124():
    assert run(["/bin/sleep", "60"], timeout=0.05) == Completed(124, "", "no answer within 0.05 s")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_root_runs_as_another_user_without_roots_groups():
    nobody, groups = pwd.getpwnam("nobody"), os.getgroups()
    os.setgroups([4711])
    try:
        done = run(["/bin/sh", "-c", "id -u; id -g; id -G"], user=nobody.pw_uid, group=nobody.pw_gid)
    finally:
        os.setgroups(groups)
    assert done.stdout.split() == [str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do this")
def test_another_user_is_refused_without_a_crash():
    assert run(["/bin/echo"], user=0, group=0).rc == 127
