# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action import zot_stored_password
from ansible_collections.blumeops.zot.plugins.plugin_utils._htpasswd import htpasswd
from support.modules import Action
from support.onepassword import Op

CANARY = "canary-3f1e-password"
FIELD = "zot-ci-api-password"
ITEM = {"kind": "onepassword", "vault": "blumeops", "item": "Forgejo Secrets", "field": FIELD}


class Hidden(zot_stored_password.ActionModule):
    """A task with no_log: true."""

    def run(self, *arguments, **named):
        self._task.no_log = True
        return super().run(*arguments, **named)


stored_password = Action(Hidden)


@pytest.fixture
def file(tmp_path):
    return {"kind": "file", "path": str(tmp_path / "keys.json"), "field": FIELD}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def keep(path, **fields):
    path.touch(mode=0o600)
    path.write_text(json.dumps(fields))


def test_a_password_is_made_once_and_stays(file, path):
    keep(path, other="stays")
    made = stored_password(store=file)
    assert made["changed"]
    assert json.loads(path.read_text()) == {"other": "stays", FIELD: made["password"]}
    assert stored_password(store=file) == {"changed": False, "password": made["password"]}
    assert stored_password(check=True, store=file) == {"changed": False, "password": made["password"]}


def test_each_one_is_another_and_zot_takes_it(file):
    made = {stored_password(store={**file, "field": name})["password"] for name in "abc"}
    assert len(made) == 3
    assert all(len(password) >= 43 and htpasswd({"zot-ci": password}, {}) for password in made)


def test_check_mode_makes_none(file, path):
    assert stored_password(check=True, store=file) == {"changed": True, "password": None}
    assert not path.exists()


def test_an_item_of_1password_keeps_it_and_no_argument_has_it(tmp_path, monkeypatch):
    op = Op(tmp_path / "op", {"blumeops": {"Forgejo Secrets": {"api-token": "t"}}})
    monkeypatch.setattr(zot_stored_password, "run", op)
    made = stored_password(store=ITEM)
    assert op.items["blumeops"]["Forgejo Secrets"] == {"api-token": "t", FIELD: made["password"]}
    assert made["password"] not in json.dumps(op.calls)
    assert stored_password(store=ITEM) == {"changed": False, "password": made["password"]}


def test_a_write_that_fails_gives_no_password(tmp_path, monkeypatch):
    op = Op(tmp_path / "op", {"blumeops": {"Forgejo Secrets": {}}})
    op.behaves({"on": "item edit", "fault": "forbidden"})
    monkeypatch.setattr(zot_stored_password, "run", op)
    result = stored_password(store=ITEM)
    assert result["failed"]
    assert "may not do that" in result["msg"]
    assert "password" not in result


def test_the_environment_may_have_one_but_can_keep_none(monkeypatch):
    store = {"kind": "environment", "field": "ZOT_CI_PASSWORD"}
    monkeypatch.setenv("ZOT_CI_PASSWORD", CANARY)
    assert stored_password(store=store) == {"changed": False, "password": CANARY}
    monkeypatch.delenv("ZOT_CI_PASSWORD")
    result = stored_password(store=store)
    assert (result["failed"], "the environment cannot keep ZOT_CI_PASSWORD" in result["msg"]) == (True, True)


@pytest.mark.parametrize("check", [True, False])
def test_a_task_that_would_show_it_is_refused_before_anything_is_done(file, path, check):
    for fields in ({FIELD: CANARY}, {}):
        keep(path, **fields)
        result = Action(zot_stored_password.ActionModule)(check, store=file)
        assert result == {"failed": True, "msg": "the password would be shown: say no_log: true on the task"}
        assert json.loads(path.read_text()) == fields


def test_a_file_that_others_can_read_is_refused(file, path):
    keep(path, **{FIELD: CANARY})
    path.chmod(0o644)
    result = stored_password(store=file)
    assert result["failed"]
    assert "chmod 600" in result["msg"]
    assert CANARY not in json.dumps(result)


def test_a_field_of_an_item_has_to_be_named():
    result = stored_password(store={**ITEM, "field": None})
    assert result["failed"]
    assert "say which field is meant" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "missing required arguments: store"),
        ({"store": {"kind": "file"}}, "kind is file but all of the following are missing: path found in store"),
        ({"store": {"kind": "keychain"}}, "value of kind must be one of: onepassword, file, environment"),
    ],
)
def test_what_is_no_store_is_refused(options, words):
    with pytest.raises(AnsibleActionFail, match=words):
        stored_password(**options)
