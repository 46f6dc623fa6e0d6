# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of 1Password's op, said of the stand-in: texts and shapes that were recorded of op v2."""

from __future__ import annotations

import json
import re

import pytest
from support.onepassword import Op

GET = ["op", "item", "get", "keys", "--vault", "blumeops", "--format", "json", "--reveal"]
EDIT = ["op", "item", "edit", "keys", "--vault", "blumeops"]
CLOCK = re.compile(r"\[ERROR\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d ")


@pytest.fixture
def op(tmp_path):
    return Op(tmp_path / "op", {"blumeops": {"keys": {"current": "canary-1", "empty": ""}, "notes": {}}})


def said(done):
    assert done.stdout == ""
    assert CLOCK.match(done.stderr)
    return done.rc, CLOCK.sub("", done.stderr).splitlines()[0]


def item(op, argv=GET):
    return json.loads(op(argv).stdout)


def edited(op, *more, **fields):
    document = item(op)
    kept = [field for field in document["fields"] if field["label"] not in fields]
    document["fields"] = kept + [{"type": "CONCEALED", "label": label, "value": value} for label, value in fields.items()]
    return op([*EDIT, *more], stdin=json.dumps(document).encode())


def test_one_value_is_read(op):
    assert op(["op", "read", "op://blumeops/keys/current"]).stdout == "canary-1\n"
    for flag in ("--no-newline", "-n"):
        assert op(["op", "read", flag, "op://blumeops/keys/current"]).stdout == "canary-1"
    assert said(op(["op", "read", "op://blumeops/keys/absent"]))[1].endswith("item 'keys' does not have a field 'absent'")


def test_an_item_is_told_whole_with_ids(op):
    found = item(op)
    assert {key: type(found[key]) for key in ("id", "title", "version", "vault", "category")} == {
        "id": str,
        "title": str,
        "version": int,
        "vault": dict,
        "category": str,
    }
    assert re.fullmatch(r"[a-z0-9]{26}", found["id"])
    current, empty = found["fields"]
    assert (current["type"], current["label"], current["value"]) == ("CONCEALED", "current", "canary-1")
    assert "value" not in empty, "a field without a value lacks the key"
    by_id = ["op", "item", "get", found["id"], "--vault", found["vault"]["id"], "--format", "json", "--reveal"]
    assert item(op, by_id) == found
    assert op(["op", "read", f"op://{found['vault']['id']}/{found['id']}/{current['id']}"]).stdout == "canary-1\n"


def test_what_is_concealed_is_told_with_reveal_only(op):
    assert "canary" not in op(GET[:-1]).stdout
    op.behaves(plain=True)
    assert "canary-1" in op(GET[:-1]).stdout
    assert said(op(GET)) == (1, "unknown flag: --reveal")


def test_an_edit_takes_a_document_on_stdin_and_counts(op):
    before = item(op)["version"]
    assert edited(op, current="canary-2", next="canary-3").rc == 0
    after = item(op)
    assert after["version"] == before + 1
    assert {field["label"]: field.get("value") for field in after["fields"]} == {"current": "canary-2", "next": "canary-3", "empty": None}
    assert op.items["blumeops"]["keys"] == {"current": "canary-2", "next": "canary-3", "empty": ""}


@pytest.mark.parametrize(("merge", "left"), [(False, set()), (True, {"current", "empty"})])
def test_what_an_edit_leaves_out_goes_or_stays(op, merge, left):
    op.behaves(merge=merge)
    document = item(op)
    assert op(EDIT, stdin=json.dumps({**document, "fields": []}).encode()).rc == 0
    assert set(op.items["blumeops"]["keys"]) == left


def test_what_is_no_plain_field_survives_an_edit(op):
    rich = {
        "category": "LOGIN",
        "passkey": {"rp": "x"},
        "fields": [{"id": "u", "label": "username", "type": "STRING", "purpose": "USERNAME"}],
    }
    op.items = {"blumeops": {"keys": rich}}
    assert edited(op, current="canary-2").rc == 0
    found = item(op)
    assert (found["category"], found["fields"][0]["purpose"], found["fields"][1]["value"]) == ("LOGIN", "USERNAME", "canary-2")
    assert "passkey" not in found, "an edit by a template destroys it"


def test_no_value_is_an_argument(op):
    done = edited(op, "next[password]=canary-4")
    assert said(done)[1].startswith("the stand-in takes one item, and no assignment")


def test_the_log_has_arguments_and_no_value(op):
    edited(op, current="canary-2")
    assert op.commands == ["item get", "item edit"]
    assert [call["stdin"] for call in op.calls] == [False, True]
    assert "canary" not in (op.folder / "calls.log").read_text()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (
            [*GET[:3], "absent", *GET[4:]],
            '"absent" isn\'t an item in the "blumeops" vault. Specify the item with its UUID, name, or domain.',
        ),
        ([*GET[:5], "absent", *GET[6:]], '"absent" isn\'t a vault in this account. Specify the vault with its ID or name.'),
        (GET[:4] + GET[6:], "a vault query must be provided when this command is called by a service account"),
        (["op", "item", "delete", "keys"], 'unknown command "item delete" for "op"'),
        ([*GET, "--nope"], "unknown flag: --nope"),
        (EDIT, "invalid JSON in template"),
    ],
)
def test_errors_are_those_recorded(op, argv, text):
    assert said(op(argv)) == (1, text)


def test_without_items_nobody_is_signed_in(tmp_path):
    assert said(Op(tmp_path)(GET))[1].startswith("You are not currently signed in.")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("signed_out", "You are not currently signed in."),
        ("locked", "authorization timeout"),
        ("token", "error initializing client: Authentication: (failed to auth.LookupAuth)"),
        ("rate_limit", "(429) Too Many Requests"),
        ("several", 'More than one item matches "keys". Try again and specify the item by its ID:'),
        ("unknown", "something unforeseen"),
    ],
)
def test_a_fault_is_met_once(op, fault, text):
    op.behaves({"on": "item get", "fault": fault, "after": 1})
    assert op(GET).rc == 0
    assert said(op(GET))[1].startswith(text)
    assert op(GET).rc == 0


def test_a_fault_may_stay(op):
    op.behaves({"fault": "locked", "times": None})
    assert [op(GET).rc for _ in range(3)] == [1, 1, 1]


def test_an_edit_is_lost_or_raced_or_mangled_or_told_to_have_failed(op):
    def tried(fault):
        op.behaves({"on": "item edit", "fault": fault})
        done = edited(op, current="canary-2")
        found = item(op)
        op.behaves()
        fields = {field["label"]: field.get("value") for field in found["fields"]}
        return done.rc, found["version"], fields["current"]

    assert tried("lost") == (0, 1, "canary-1")
    assert tried("unknown") == (1, 1, "canary-1")
    assert tried("after") == (1, 2, "canary-2")
    assert tried("raced") == (0, 4, "canary-2")
    assert tried("mangled") == (0, 5, "canary-")


def test_its_version(op):
    assert op(["op", "--version"]).stdout == "2.30.3\n"
    op.behaves(version="2.22.0")
    assert op(["op", "--version"]).stdout == "2.22.0\n"
