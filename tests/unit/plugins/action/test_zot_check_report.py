# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import types

import pytest
from ansible_collections.blumeops.zot.plugins.action.zot_check_report import ActionModule
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from support.modules import Action

GREEN = {"check": "ready", "level": "green", "text": "fine", "facts": {}}
RED = {**GREEN, "level": "red", "text": "no"}
KEY = {**GREEN, "check": "key"}


class Display:
    def __init__(self):
        self.shown = []

    def display(self, text):
        self.shown.append(text)


def report(registered, check=False, **options):
    action = Action(ActionModule)
    task = types.SimpleNamespace(args={}, check_mode=check, async_val=0)
    module = action.plugin(task, types.SimpleNamespace(_shell=None), None, action.loader, None, None)
    module._display = Display()
    defaults = {key: spec.get("default") for key, spec in ActionModule.SPEC.items()}
    hosts = {name: ({} if result is None else {"checked": result}) for name, result in {"localhost": None, **registered}.items()}
    names = [name for name in registered if name != "localhost"]
    answer = module.act({**defaults, "hosts": names, "variable": "checked", **options}, {"hostvars": hosts})
    return answer, module._display.shown


@pytest.mark.parametrize("check", [True, False])
def test_what_is_well_is_shown_and_returned(check):
    answer, shown = report({"indri": {"lines": [GREEN]}, "localhost": {"here": [KEY]}}, check)
    assert (answer["failed"], answer["changed"], answer["msg"]) == (False, False, "2 green")
    assert answer["report"]["hosts"] == {"indri": [GREEN], "controller": [KEY]}
    assert shown == ["indri       ready  green  fine\ncontroller  key    green  fine\n2 green"]


def test_what_is_red_fails_and_is_not_shown_twice():
    answer, shown = report({"indri": {"lines": [RED]}})
    assert (answer["failed"], answer["msg"], "report" in answer) == (True, "1 red", False)
    assert len(shown) == 1


@pytest.mark.parametrize("check", [True, False])
def test_a_file_has_one_json_object_and_nothing_is_shown(tmp_path, check):
    answer, shown = report({"indri": {"lines": [GREEN]}}, check, output="json", path=str(tmp_path / "report"))
    assert json.loads((tmp_path / "report").read_text()) == answer["report"]
    assert shown == []


def test_amber_fails_where_that_is_asked_for():
    amber = {"indri": {"lines": [{**GREEN, "level": "amber"}]}}
    assert [report(amber, fail_on=level)[0]["failed"] for level in ("red", "amber")] == [False, True]


def test_colours_where_somebody_sees_them():
    assert "\033[32mgreen" in report({"indri": {"lines": [GREEN]}}, colour=True)[1][0]


def test_one_that_has_no_registry_or_was_not_asked_is_left_out():
    found = {"indri": {"lines": [GREEN]}, "nas": {"skipped": True}, "other": None}
    assert list(report(found)[0]["report"]["hosts"]) == ["indri"]


def test_one_whose_check_failed_is_a_red_line():
    _answer, shown = report({"indri": {"lines": [GREEN]}, "bad": {"failed": True, "msg": "'x' is\nundefined"}, "worse": {"failed": True}})
    assert "bad    host         red    'x' is undefined" in shown[0]
    assert "worse  host         red    the check itself failed" in shown[0]


def test_the_controller_may_have_a_registry_itself():
    answer, _shown = report({"localhost": {"lines": [GREEN], "here": [KEY]}}, hosts=["localhost"])
    assert answer["report"]["hosts"] == {"localhost": [GREEN], "controller": [KEY]}


def test_without_any_registry_that_is_a_failure():
    with pytest.raises(ZotError, match="no host has a registry"):
        report({"nas": {"skipped": True}, "localhost": {"here": [KEY]}})


def test_what_this_machine_could_not_ask_is_one_line_of_its_own():
    found = {"indri": {"lines": [GREEN]}, "localhost": {"failed": True, "msg": "no such kind of store"}}
    (line,) = report(found)[1]
    assert line.splitlines()[1:] == ["controller  host   red    no such kind of store", "1 red, 1 green"]
    with pytest.raises(ZotError, match="no host has a registry"):
        report({"localhost": found["localhost"]})
