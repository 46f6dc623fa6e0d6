# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._binary import require_release, tail, verify
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from support.zot_binary import standin_zot

BINARY = Path("/opt/zot")
VERSION = '{"level":"info","distribution-spec":"1.1.1","commit":"v2.1.20-0-g123abc","binary-type":"-full"}\n'


def answering(rc=0, stdout="", stderr=""):
    return lambda *_argv, **_options: Completed(rc, stdout, stderr)


@pytest.mark.parametrize("release", ["2.1.8", "2.1.20"])
def test_a_binary_of_the_release_is_let_through(tmp_path, release):
    require_release(standin_zot(tmp_path, release=release), release, run)


def test_another_release_is_named_with_the_mend(tmp_path):
    binary = standin_zot(tmp_path, release="2.1.19")
    with pytest.raises(ZotError, match=rf"{binary} is zot 2\.1\.19, not 2\.1\.20; .*set zot_version"):
        require_release(binary, "2.1.20", run)


@pytest.mark.parametrize("outputs", [{"stdout": VERSION}, {"stderr": VERSION}, {"stdout": VERSION.replace("v2", "2")}])
def test_the_release_is_read_from_either_output(outputs):
    require_release(BINARY, "2.1.20", answering(**outputs))
    with pytest.raises(ZotError, match=r"is zot 2\.1\.20, not 2\.1\.2;"):
        require_release(BINARY, "2.1.2", answering(**outputs))


@pytest.mark.parametrize("output", ["", "zot, home-made\n", VERSION.replace("v2.1.20", "main")])
def test_a_build_that_does_not_say_its_release_is_let_through(output):
    require_release(BINARY, "2.1.20", answering(stdout=output))


def test_a_binary_that_does_not_run_fails_with_its_last_words():
    with pytest.raises(ZotError, match=r"/opt/zot --version failed \(exit 126\): cannot execute binary file$"):
        require_release(BINARY, "2.1.20", answering(126, VERSION, "cannot execute binary file\n"))
    with pytest.raises(ZotError, match=r"\(exit 1\): said on the other output$"):
        require_release(BINARY, "2.1.20", answering(1, "said on the other output\n"))


@pytest.mark.parametrize("rc", [-9, 137])
def test_a_binary_that_macos_kills_is_to_be_signed(rc):
    with pytest.raises(ZotError, match=r"codesign --force --sign - FILE$"):
        require_release(BINARY, "2.1.20", answering(rc))


def test_it_is_asked_for_its_version():
    asked = []
    require_release(BINARY, "2.1.20", lambda argv, timeout: asked.append((argv, timeout)) or Completed(0, VERSION, ""))
    assert asked == [(["/opt/zot", "--version"], 60)]


# --- verify


def judged(tmp_path, document, moved=None, rc=0, stdout="", stderr="", owner=None):
    """The verdict, and what the binary was given to judge."""
    given = {}

    def runner(argv, timeout):
        copy = Path(argv[-1])
        given.update(argv=argv, timeout=timeout, text=copy.read_text(), mode=stat.S_IMODE(copy.stat().st_mode))
        return Completed(rc, stdout, stderr)

    verdict = verify(BINARY, document, tmp_path, moved or {}, owner or Owner(), runner)
    assert list(tmp_path.iterdir()) == []
    return verdict, given


def test_a_good_document_has_no_complaint(tmp_path):
    document = {"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "5000"}}
    assert verify(standin_zot(tmp_path / "bin"), document, tmp_path, {}, Owner(), run) is None


def test_the_complaint_is_zots_own_on_one_line(tmp_path):
    document = {"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "5000", "nope": 1}}
    complaint = verify(standin_zot(tmp_path / "bin"), document, tmp_path, {}, Owner(), run)
    assert complaint == "decoding failed due to the following error(s): 'HTTP' has invalid keys: nope"


def test_the_binary_gets_a_copy_with_the_mode_of_the_files(tmp_path):
    verdict, given = judged(tmp_path, {"http": {"port": "5000"}}, owner=Owner(mode=0o640))
    assert verdict is None
    assert given["argv"] == ["/opt/zot", "verify", str(tmp_path / "verify.json")]
    assert json.loads(given["text"]) == {"http": {"port": "5000"}}
    assert (given["mode"], given["timeout"]) == (0o640, 60)


def test_no_copy_stays_when_the_runner_raises(tmp_path):
    def runner(*_argv, **_options):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(BINARY, {}, tmp_path, {}, Owner(), runner)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("log", "output", "audit"), [("log", "output", "audit"), ("Log", "OUTPUT", "Audit")])
def test_log_files_are_not_opened_by_the_verdict(tmp_path, log, output, audit):
    kept = {"other": {"output": "kept", log: {output: "kept"}}}
    _verdict, given = judged(tmp_path, {log: {"level": "debug", output: "/var/log/zot.log", audit: "/var/log/audit.log"}, **kept})
    assert json.loads(given["text"]) == {log: {"level": "debug"}, **kept}


def test_files_that_are_not_in_their_place_yet_are_read_elsewhere_and_named_as_they_will_be(tmp_path):
    document = {"a": {"path": "/etc/zot/htpasswd"}, "b": ["/etc/zot/htpasswd", {"c": "/etc/zot/htpasswd2"}], "d": 1}
    moved = {"/etc/zot/htpasswd": "/etc/zot/.staged/htpasswd"}
    message = f"Error: {tmp_path}/verify.json: cannot open /etc/zot/.staged/htpasswd\n"
    verdict, given = judged(tmp_path, document, moved, rc=1, stderr=message)
    staged = "/etc/zot/.staged/htpasswd"
    assert json.loads(given["text"]) == {"a": {"path": staged}, "b": [staged, {"c": "/etc/zot/htpasswd2"}], "d": 1}
    assert verdict == "the configuration: cannot open /etc/zot/htpasswd"
    assert document["a"] == {"path": "/etc/zot/htpasswd"}


@pytest.mark.parametrize(
    ("stdout", "stderr", "complaint"),
    [
        ("logged", "Error: bad\n  config\nUsage:\n  zot verify [flags]\n", "bad config"),
        ("logged", "Error: bad config\n", "bad config"),
        ("Error: told here\n", "", "told here"),
        ("", "panic: one\n\ntwo\n", "panic: one | | two"),
        ("", "", "(no output)"),
    ],
)
def test_of_a_refusal_only_the_error_is_told(tmp_path, stdout, stderr, complaint):
    verdict, _given = judged(tmp_path, {}, rc=1, stdout=stdout, stderr=stderr)
    assert verdict == complaint


def test_the_tail_is_five_lines():
    assert tail("".join(f"{number}\n" for number in range(9))) == "4 | 5 | 6 | 7 | 8"
    assert tail(" \n") == "(no output)"
