# SPDX-License-Identifier: GPL-3.0-or-later
"""The three stores: what is read and written, what is refused, and that no value is told."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, File, StoreError, open_store, require
from support.onepassword import Op

CANARY = "canary-5e1f"
REFERENCE = {"kind": "onepassword", "vault": "blumeops", "item": "Forgejo Secrets"}
WHERE = "the item 'Forgejo Secrets' of the vault 'blumeops'"


def failure(call, *arguments):
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert CANARY not in repr(caught.value.__context__) + repr(caught.value.facts)
    return caught.value.kind, caught.value.message


# --- the reference


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "onepassword", "vault": "v", "item": "i", "field": "f"}, ""),
        ({"kind": "onepassword", "vault": "v"}, "kind is onepassword but all of the following are missing: item"),
        ({"kind": "onepassword", "item": "i"}, "kind is onepassword but all of the following are missing: vault"),
        ({"kind": "file"}, "kind is file but all of the following are missing: path"),
        ({"kind": "file", "path": "~/x"}, ""),
        ({"kind": "environment", "field": "X"}, ""),
        ({"kind": "paper"}, "must be one of: onepassword, file, environment"),
        ({"field": "x"}, "missing required arguments: kind"),
    ],
)
def test_an_argument_spec_takes_a_store(given, problem):
    messages = ArgumentSpecValidator({"store": STORE}).validate({"store": given}).error_messages
    assert (problem in " ".join(messages)) if problem else messages == []


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "the kind of a store is onepassword, file or environment"),
        ({"kind": "file", "path": None}, "a store of the kind file needs its path"),
        ({"kind": "file", "path": "keys.json"}, "has to be absolute"),
        ({"kind": "onepassword", "item": "i", "vault": None}, "a store of the kind onepassword needs its vault"),
        ({"kind": "onepassword", "vault": "v"}, "a store of the kind onepassword needs its item"),
        ({**REFERENCE, "item": "-x"}, "the item of a store begins with a dash"),
        ({**REFERENCE, "account": "--help"}, "the account of a store begins with a dash"),
    ],
)
def test_a_wrong_reference_is_told(spec, text):
    kind, message = failure(open_store, spec, run, {})
    assert kind == "wrong_reference"
    assert text in message


# --- the environment


def test_the_environment_is_read():
    store = open_store({"kind": "environment"}, run, {"A": CANARY, "EMPTY": ""})
    assert store.read(["A", "EMPTY", "ABSENT"]) == {"A": CANARY}
    assert require(store, "A") == CANARY
    for name in ("EMPTY", "ABSENT"):
        assert failure(require, store, name) == (
            "missing",
            f"the environment has no field '{name}', or it is empty: store the value there once",
        )


def test_the_environment_is_not_written():
    store = open_store({"kind": "environment"}, run, {})
    kind, message = failure(store.write, {"KEY": CANARY})
    assert kind == "read_only"
    assert message.startswith("the environment cannot keep KEY")
    assert failure(store.read, [""])[0] == "wrong_reference"


# --- a file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def file(path):
    return open_store({"kind": "file", "path": str(path)}, run, {})


def written(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_readable_by_its_owner_alone(file, path):
    old = os.umask(0)
    try:
        file.write({"current": CANARY, "next": "x"})
    finally:
        os.umask(old)
    assert mode(path) == 0o600
    assert file.read(["current", "next", "absent"]) == {"current": CANARY, "next": "x"}
    assert file.where == str(path)
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - hidden ones too


def test_other_fields_of_a_file_stay(file, path):
    written(path, json.dumps({"a": "1", "b": "2"}))
    file.write({"b": "3", "c": "4"})
    file.write({"a": None, "absent": None})
    assert json.loads(path.read_text()) == {"b": "3", "c": "4"}


def test_a_file_that_says_so_already_is_not_written(file, path):
    file.write({"a": "1"})
    before = path.stat()
    file.write({"a": "1"})
    file.write({})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_without_fields_is_one_value(file, path):
    assert file.read([""]) == {}
    file.write({"": CANARY})
    assert path.read_text() == CANARY + "\n"
    assert (mode(path), file.read([""])) == (0o600, {"": CANARY})
    path.write_text("no newline")
    assert require(file, "") == "no newline"
    path.write_text("\r\n")
    assert failure(require, file, "") == ("missing", f"{path} is missing or empty: store the value there once")
    file.write({"": None})
    assert not path.exists()
    file.write({"": None})


def test_one_value_and_fields_are_not_asked_together(file):
    assert failure(file.write, {"": CANARY, "a": "x"})[0] == "wrong_reference"
    written(Path(file.where), "x")
    assert failure(file.read, ["", "a"])[0] == "wrong_reference"


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_is_refused(file, path, bits):
    written(path, json.dumps({"a": CANARY}), bits)
    for call in (lambda: file.read(["a"]), lambda: file.write({"b": "1"})):
        kind, message = failure(call)
        assert (kind, "chmod 600 it" in message) == ("unsafe", True)
    assert json.loads(path.read_text()) == {"a": CANARY}


@pytest.mark.parametrize("text", [f'{{"a": "{CANARY}"', f'["{CANARY}"]', f'{{"a": "{CANARY}", "b": 1}}', ""])
def test_a_broken_file_is_told_and_not_overwritten(file, path, text):
    written(path, text)
    for call in (lambda: file.read(["a"]), lambda: file.write({"b": "1"})):
        kind, message = failure(call)
        assert kind == "broken"
        assert "is not a JSON object of names and texts" in message
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_told(file, path):
    path.write_bytes(b"\xff" + CANARY.encode())
    path.chmod(0o600)
    assert failure(file.read, ["a"])[0] == "broken"
    written(path, '{"a": "' + "x" * (1 << 20) + '"}')
    assert failure(file.read, ["a"])[0] == "broken"


def test_what_is_no_file_is_refused(file, path):
    os.mkfifo(path, 0o600)
    assert failure(file.read, ["a"]) == ("unsafe", f"{path} is not a file")
    path.unlink()
    path.mkdir()
    assert failure(file.read, ["a"])[0] == "unsafe"


def test_without_its_folder_nothing_is_made(tmp_path):
    file = open_store({"kind": "file", "path": str(tmp_path / "absent" / "keys.json")}, run, {})
    assert file.read(["a"]) == {}
    kind, message = failure(file.write, {"a": CANARY})
    assert kind == "unsafe"
    assert "cannot be written: No such file or directory; its folder has to be there" in message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_everybody_may_write_to_is_refused(file, path):
    path.parent.chmod(0o777)
    assert failure(file.write, {"a": CANARY})[1].startswith(f"everybody may write to the folder {path.parent}: chmod o-w it")
    assert not path.exists()
    path.parent.chmod(0o1777)
    file.write({"a": CANARY})


def test_a_link_is_followed_and_stays(tmp_path, file, path):
    target = written(tmp_path / "elsewhere", "{}")
    path.symlink_to(target)
    file.write({"a": CANARY})
    assert path.is_symlink()
    assert json.loads(target.read_text()) == {"a": CANARY}


def test_what_belongs_to_somebody_else_is_refused(monkeypatch, tmp_path, file, path):
    written(path, json.dumps({"a": CANARY}))
    if os.geteuid():
        pytest.skip("only root can make a file of somebody else")
    os.chown(path, 12345, 12345)
    assert file.read(["a"]) == {"a": CANARY}, "root may"
    file.write({"a": "new"})
    assert (path.stat().st_uid, mode(path)) == (12345, 0o600), "and leaves it to its owner"
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert failure(file.read, ["a"]) == ("unsafe", f"{path} belongs to somebody else: give a path of your own")
    link = tmp_path / "link"
    link.symlink_to(written(tmp_path / "mine", "{}"))
    os.chown(link, 12345, 12345, follow_symlinks=False)
    os.chown(tmp_path / "mine", 54321, 54321)
    assert failure(File(str(link)).write, {"a": CANARY})[0] == "unsafe"
    assert (tmp_path / "mine").read_text() == "{}"
    own = tmp_path / "own"
    own.symlink_to(path)
    os.chown(own, 54321, 54321, follow_symlinks=False)
    assert failure(File(str(own)).read, ["a"])[0] == "unsafe"


def test_a_run_that_was_killed_leaves_no_second_copy(file, path):
    written(path.with_name(f".{path.name}.part"), CANARY)
    file.write({"a": "1"})
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(file, path, monkeypatch):
    written(path, '{"a": "1"}')

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in failure(file.write, {"a": CANARY})[1]
    assert [(one.name, one.read_text()) for one in path.parent.iterdir()] == [(path.name, '{"a": "1"}')]


def test_a_file_that_somebody_else_replaces_meanwhile_is_told(file, path, monkeypatch):
    replace = Path.replace

    def raced(part, target):
        replace(part, target)
        return written(path, '{"a": "of somebody else"}')

    monkeypatch.setattr(Path, "replace", raced)
    assert failure(file.write, {"a": CANARY}) == (
        "conflict",
        f"{path} was changed by somebody else meanwhile: run again, and let one program write it",
    )


WRITER = """
import sys
from ansible_collections.blumeops.zot.plugins.module_utils._stores import File
for number in range(30):
    File(sys.argv[1]).write({f"{sys.argv[2]}{number}": "x"})
"""


def test_two_writers_lose_no_edit(path):
    search = os.pathsep.join(sys.path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], env={**os.environ, "PYTHONPATH": search}) for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(json.loads(path.read_text())) == 60


def test_a_lock_that_stays_is_told(path):
    waited = []
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        kind, message = failure(File(str(path), waited.append).write, {"a": CANARY})
    finally:
        os.close(folder)
    assert (kind, sum(waited)) == ("timeout", pytest.approx(10))
    assert message.startswith(f"another program keeps the folder {path.parent} locked")
    File(str(path)).write({"a": CANARY})


def test_a_home_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store({"kind": "file", "path": "~/keys.json"}, run, {}).write({"a": "1"})
    assert (tmp_path / "keys.json").exists()


# --- 1Password


@pytest.fixture
def op(tmp_path):
    return Op(tmp_path / "op", {"blumeops": {"Forgejo Secrets": {"zot-ci-api": CANARY, "empty": "", "other": "stays"}}})


@pytest.fixture
def store(op):
    return open_store(REFERENCE, op, {"OP_SERVICE_ACCOUNT_TOKEN": f"ops_{CANARY}"})


def fields(op):
    return op.items["blumeops"]["Forgejo Secrets"]


def test_fields_are_read_in_one_call(op, store):
    assert store.read(["zot-ci-api", "empty", "absent"]) == {"zot-ci-api": CANARY}
    assert (op.commands, store.where) == (["item get"], WHERE)
    assert op.calls[0]["stdin"] is False
    assert failure(require, store, "absent") == ("missing", f"{WHERE} has no field 'absent', or it is empty: store the value there once")
    assert failure(store.read, [""])[0] == "wrong_reference"


def test_a_field_has_an_id_too(op, store):
    op.items = {"blumeops": {"Forgejo Secrets": {"fields": [{"id": "abc", "label": "key", "value": CANARY}]}}}
    assert store.read(["abc"]) == {"abc": CANARY}


def test_an_edit_changes_its_fields_and_no_other(op, store):
    store.write({"zot-ci-api": "new", "next": CANARY, "empty": None})
    assert fields(op) == {"zot-ci-api": "new", "empty": "", "other": "stays", "next": CANARY}
    assert op.commands == ["item get", "--version", "item edit", "item get"]
    assert [call["stdin"] for call in op.calls] == [False, False, True, False]
    assert CANARY not in json.dumps(op.calls)
    store.write({"next": "newer"})
    assert op.commands[4:] == ["item get", "item edit", "item get"], "the version is asked once"


@pytest.mark.parametrize("merge", [True, False])
def test_an_emptied_field_is_gone_whatever_op_does_with_what_is_left_out(op, store, merge):
    op.behaves(merge=merge)
    store.write({"zot-ci-api": None, "next": "x", "absent": None})
    assert "absent" not in fields(op)
    assert store.read(["zot-ci-api", "next", "other"]) == {"next": "x", "other": "stays"}


def test_what_is_stored_already_is_not_edited(op, store):
    store.write({"zot-ci-api": CANARY, "absent": None})
    assert op.commands == ["item get"]


def test_a_new_field_is_concealed_and_the_rest_of_the_item_survives(op, store):
    login = {"id": "username", "type": "STRING", "purpose": "USERNAME", "label": "username", "value": "zot-ci"}
    op.items = {"blumeops": {"Forgejo Secrets": {"category": "LOGIN", "tags": ["ci"], "fields": [login]}}}
    store.write({"next": CANARY})
    kept = fields(op)
    assert (kept["category"], kept["tags"]) == ("LOGIN", ["ci"])
    assert kept["fields"] == [login, {"type": "CONCEALED", "label": "next", "value": CANARY}]


def test_two_fields_of_one_name_are_refused(op, store):
    twice = [{"id": one, "label": "key", "value": CANARY} for one in ("a", "b")]
    op.items = {"blumeops": {"Forgejo Secrets": {"fields": twice}}}
    expected = ("several", f"{WHERE} has 2 fields named 'key': rename all but one, or give the ID of the field")
    assert failure(store.read, ["key"]) == failure(store.write, {"key": "x"}) == expected
    assert store.read(["b"]) == {"b": CANARY}


@pytest.mark.parametrize(
    "item",
    [
        {"passkey": {"rp": "example.org"}, "fields": []},
        {"fields": [{"id": "p", "label": "passkey", "type": "PASSKEY"}]},
    ],
)
def test_an_item_with_a_passkey_is_read_and_not_edited(op, store, item):
    op.items = {"blumeops": {"Forgejo Secrets": item}}
    assert store.read(["next"]) == {}
    kind, message = failure(store.write, {"next": CANARY})
    assert kind == "passkey"
    assert message.endswith("keep the keys in an item of their own")
    assert "item edit" not in op.commands


def test_an_old_op_reads_and_does_not_write(op, store):
    op.behaves(version="2.22.1", plain=True)
    assert store.read(["zot-ci-api"]) == {"zot-ci-api": CANARY}
    assert failure(store.write, {"next": "x"}) == ("old", "op is 2.22: to write, 2.23 or newer is needed; update it")
    op.behaves(version="dunno", plain=True)
    assert failure(store.write, {"next": "x"})[1].startswith("op is of an unknown version")
    assert "item edit" not in op.commands
    op.behaves({"on": "--version", "fault": "unknown"}, plain=True)
    assert failure(store.write, {"next": "x"})[0] == "unknown"
    op.behaves(version="2.23.0", plain=True)
    store.write({"next": "x"})
    assert fields(op)["next"] == "x"


def test_an_account_is_named(op):
    open_store({**REFERENCE, "account": "blume.1password.com"}, op, {}).write({"next": "x"})
    asked = [call["argv"] for call in op.calls if call["argv"][0] == "item"]
    assert [argv[argv.index("--account") + 1] for argv in asked] == ["blume.1password.com"] * 3


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("signed_out", "signed_out", "op is not signed in: run `op signin`, or set OP_SERVICE_ACCOUNT_TOKEN"),
        ("locked", "locked", "1Password's app did not let op in: unlock it"),
        ("token", "token", "the service account's token is revoked, expired or mistyped"),
        ("forbidden", "forbidden", "whoever is signed in may not do that"),
        ("rate_limit", "rate_limit", "limit of requests is reached: run again later"),
        ("several", "several", "several match: give the ID instead of the name"),
        ("unreachable", "unreachable", "1Password cannot be reached from here"),
        ("unknown", "unknown", "op failed with 1: something unforeseen happened"),
    ],
)
def test_each_failure_of_op_is_told_apart(op, store, fault, kind, text):
    for command, call in (("item get", lambda: store.read(["zot-ci-api"])), ("item edit", lambda: store.write({"next": "x"}))):
        op.behaves({"on": command, "fault": fault})
        told = failure(call)
        assert told[0] == kind
        assert told[1].startswith(f"{WHERE}: ")
        assert text in told[1]
        assert ("whether the fields were stored is not known" in told[1]) == (command == "item edit" and kind in ("unknown", "unreachable"))
    assert "next" not in fields(op)


def test_a_vault_and_an_item_that_are_not_there_are_told_apart(op):
    for changed, kind in (({"vault": "locked rate limit"}, "vault"), ({"item": "not signed in (429)"}, "item")):
        assert failure(open_store({**REFERENCE, **changed}, op, {}).read, ["x"])[0] == kind
    (op.folder / "items.json").unlink()
    assert failure(open_store(REFERENCE, op, {}).read, ["x"])[0] == "signed_out"


def test_the_name_of_an_item_is_no_cause():
    done = Completed(1, "", '[ERROR] 2026/01/01 00:00:00 cannot open "locked (429)" in "not signed in"\n')
    store = open_store({**REFERENCE, "item": "locked (429)", "vault": "not signed in"}, lambda *_arguments, **_more: done, {})
    assert failure(store.read, ["x"])[0] == "unknown"


@pytest.mark.parametrize(
    ("done", "kind", "text"),
    [
        (Completed(127, "", "No such file or directory"), "not_installed", "op cannot be run here (No such file or directory): install it"),
        (Completed(124, "", "no answer within 90 s"), "timeout", "op gave no answer within 90 s"),
        (Completed(0, CANARY, ""), "unknown", "op answered something else than an item"),
        (Completed(0, "[]", ""), "unknown", "op answered something else than an item"),
        (Completed(0, '{"id": "x", "vault": {}}', ""), "unknown", "op answered something else than an item"),
        (Completed(3, "", ""), "unknown", "op failed with 3: it said nothing"),
    ],
)
def test_what_is_no_answer_is_told(done, kind, text):
    told = failure(open_store(REFERENCE, lambda *_arguments, **_more: done, {}).read, ["x"])
    assert (told[0], text in told[1]) == (kind, True)


def test_an_op_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failure(open_store(REFERENCE, run, {}).read, ["x"])[0] == "not_installed"


class Told:
    """An op whose edit fails with a text."""

    def __init__(self, op, text):
        self.op, self.text = op, text

    def __call__(self, argv, timeout=30, *, stdin=b""):
        return Completed(1, "", self.text) if argv[2:3] == ["edit"] else self.op(argv, timeout, stdin=stdin)


@pytest.mark.parametrize("secret", [CANARY, f'{CANARY}"quoted\\', f"line one\n{CANARY}-two"])
@pytest.mark.parametrize(
    "text",
    [
        "[ERROR] 2026/01/01 00:00:00 cannot use {json}: nope",
        "cannot use {plain} here",
        "[WARN] {plain}\n[ERROR] 2026/01/01 00:00:00 bad token ops_canary-5e1f-abc",
    ],
)
def test_what_op_says_is_told_without_a_secret(op, secret, text):
    said = text.format(json=json.dumps(secret), plain=secret.splitlines()[-1])
    kind, message = failure(open_store(REFERENCE, Told(op, said), {}).write, {"next": secret})
    assert kind == "unknown"
    assert "***" in message
    assert "[WARN]" not in message


def test_a_token_is_not_told_wherever_it_comes_from(op):
    message = failure(open_store(REFERENCE, Told(op, "bad ops_eyJhbGciOi-x_9, sorry"), {}).write, {"next": CANARY})[1]
    assert "op failed with 1: bad ***, sorry" in message
    session = {"OP_SESSION_blume": "s3ss", "OP_ACCOUNT": "blume"}
    message = failure(open_store(REFERENCE, Told(op, "s3ss of blume ended"), session).write, {"next": CANARY})[1]
    assert "op failed with 1: *** of blume ended" in message


def test_a_piece_of_a_secret_is_not_told_either(op):
    message = failure(open_store(REFERENCE, Told(op, "bad value 0123456789 here"), {}).write, {"next": "x0123456789abcdef"})[1]
    assert "op failed with 1: bad value *** here" in message


# --- somebody else, and lost edits


def test_an_edit_that_was_lost_is_told(op, store):
    op.behaves({"on": "item edit", "fault": "lost"})
    kind, message = failure(store.write, {"next": "x", "other": "y"})
    assert kind == "not_stored"
    assert message == f"next, other was not stored in {WHERE}, though op reported no error: run again"
    store.write({"next": "x"})
    assert fields(op)["next"] == "x"


def test_a_value_that_was_stored_otherwise_is_told(op, store):
    op.behaves({"on": "item edit", "fault": "mangled"})
    assert failure(store.write, {"next": CANARY})[0] == "not_stored"


def test_an_edit_of_somebody_else_in_between_is_told(op, store):
    op.behaves({"on": "item edit", "fault": "raced"})
    kind, message = failure(store.write, {"next": CANARY})
    assert kind == "conflict"
    assert message.startswith(f"{WHERE} was changed by somebody else meanwhile: run again")
    store.write({"next": CANARY})


def test_an_edit_of_somebody_else_just_after_is_told(op):
    class After:
        def __call__(self, argv, timeout=30, *, stdin=b""):
            done = op(argv, timeout, stdin=stdin)
            if argv[2:3] == ["edit"]:
                open_store(REFERENCE, op, {}).write({"next": "of somebody else"})
            return done

    assert failure(open_store(REFERENCE, After(), {}).write, {"next": CANARY})[0] == "conflict"


def test_an_edit_that_took_effect_and_failed_is_found_by_the_next_run(op, store):
    op.behaves({"on": "item edit", "fault": "after"})
    assert failure(store.write, {"next": CANARY})[1].endswith("whether the fields were stored is not known: a new run looks first")
    op.behaves()
    before = op.commands
    store.write({"next": CANARY})
    assert op.commands == [*before, "item get"]


def test_a_store_error_is_an_error_of_the_collection():
    assert issubclass(StoreError, ZotError)
