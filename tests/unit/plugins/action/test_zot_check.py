# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import types

import pytest
from ansible.errors import AnsibleActionFail
from ansible.template import Templar as AnsiblesTemplar
from ansible.template import trust_as_template
from ansible_collections.blumeops.zot.plugins.action import zot_check
from ansible_collections.blumeops.zot.plugins.action.zot_check import ActionModule
from ansible_collections.blumeops.zot.plugins.module_utils import _transport
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import CHECKS
from support.modules import Action, launchd
from support.zot_binary import free_port, serving, standin_zot

SERVICE = {"manager": "launchd", "name": "zot"}
SETTINGS_OF = {
    **{name: option.get("default") for name, option in SETTINGS.items()},
    "data_dir": "~/zot",
    "grants": [{"anonymous": True, "actions": ["read"]}],
}


@pytest.fixture
def action():
    return Action(ActionModule)


def levels(answer):
    return {line["check"]: line["level"] for line in answer["lines"]}


def text(answer, check):
    return next(line["text"] for line in answer["lines"] if line["check"] == check)


# ---- declared as data


@pytest.mark.parametrize("check", [True, False])
def test_without_settings_only_what_runs_is_told(action, tmp_path, check):
    with serving(standin_zot(tmp_path / "bin"), {"extensions": {"search": {"enable": True}}}, tmp_path / "run") as running:
        declared = {"config_path": str(running.config_path), "service": launchd(tmp_path / "launchctl", running.process.pid)}
        answer = action(check, declared={**declared, "release": "2.1.20"}, disk_amber_percent=0, disk_red_percent=0)
    told = levels(answer)
    assert list(told) == list(CHECKS)
    assert {name for name, level in told.items() if level == "green"} == {"host", "ready", "release", "disk"}
    assert {name for name, level in told.items() if level == "grey"} == set(CHECKS) - {"host", "ready", "release", "disk"}
    assert text(answer, "drift") == text(answer, "access") == "nothing is declared to compare with"
    assert (answer["changed"], "here" in answer, len(action.ran)) == (False, False, 1)


def test_a_host_that_fails_is_a_red_line(action, monkeypatch):
    monkeypatch.setattr(action.plugin, "_execute_module", lambda *_given, **_more: {"failed": True, "msg": "no\npython"})
    answer = action(declared={"config_path": "/c", "service": SERVICE})
    assert (levels(answer)["host"], text(answer, "host")) == ("red", "it cannot be looked at: no python")
    monkeypatch.setattr(action.plugin, "_execute_module", lambda *_given, **_more: {})
    assert text(action(declared={"config_path": "/c", "service": SERVICE}), "host") == "it cannot be looked at: no answer"


def asked(action, **declared):
    action(declared={"config_path": "/c", "service": SERVICE, "release": "2.1.20", **declared})
    return action.ran[0]


def test_who_may_do_what_is_asked_of_each_kind_of_repository(action):
    call = asked(action, settings=SETTINGS_OF)
    assert call["questions"] == {"read": ["x"], "create": ["x"], "delete": ["x"]}
    assert json.loads(call["identities"]) == [["", ""]]


def test_identities_whose_password_is_known_are_asked_as(action):
    settings = {**SETTINGS_OF, "local_users": ["ci"]}
    call = asked(action, settings=settings, identities=[{"name": "ci", "password": "made-up"}])
    assert json.loads(call["identities"]) == [["", ""], ["ci", "made-up"]]
    lost = {"name": "ci", "store": {"kind": "environment", "field": "NO_SUCH_VARIABLE"}}
    assert json.loads(asked(action, settings=settings, identities=[lost])["identities"]) == [["", ""]]


def test_of_many_kinds_of_repositories_not_all_are_asked(action):
    grants = [{"users": ["ci"], "actions": ["read"], "repositories": [f"team{number:03}/**"]} for number in range(60)]
    call = asked(action, settings={**SETTINGS_OF, "grants": grants, "local_users": ["ci"]}, identities=[{"name": "ci", "password": "x"}])
    assert {action: len(names) for action, names in call["questions"].items()} == {"read": 25, "create": 25, "delete": 25}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**SETTINGS_OF, "grants": [{"anonymous": True, "actions": ["raed"]}]}, "raed"),
        ({**SETTINGS_OF, "overrides": {"http": {"auth": {"bearer": {"realm": "r"}}}}}, "the tokens of another service say who may do what"),
    ],
)
def test_settings_of_which_nothing_can_be_asked_say_so(action, settings, words):
    answer = action(declared={"config_path": "/c", "service": SERVICE, "release": "2.1.20", "settings": settings})
    assert action.ran[0]["questions"] == {}
    assert words in text(answer, "access") + text(answer, "drift")


def test_options_that_are_not_given_are_those_of_variables(action):
    variables = {"my_timeout": trust_as_template("{{ patience }}"), "patience": 7, "my_images": {"docker.io": "a:1"}, "my_ca_path": "/ca"}

    def sent(**options):
        task = types.SimpleNamespace(check_mode=False, async_val=0, diff=False)
        task.args = {"declared": {"config_path": "/c", "service": SERVICE}, "ca_path": "/given", **options}
        templar = AnsiblesTemplar(action.loader, variables=variables)
        module = action.plugin(task, types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir=None)), None, action.loader, templar, None)
        module.ran = []
        module.run(task_vars={"inventory_hostname": "registry", **variables})
        return {name: module.ran[0][name] for name in ("timeout", "images", "ca_path")}

    assert sent(options_in="my_") == {"timeout": 7, "images": {"docker.io": "a:1"}, "ca_path": "/given"}
    assert sent(options_in="my_", timeout=3)["timeout"] == 3
    assert sent() == {"timeout": 5, "images": {}, "ca_path": "/given"}


# ---- declared in a variable


class Templar:
    """Fills in {manager} and {home}, and notes what of, for which manager."""

    def __init__(self, variables=None, count=None):
        self.variables, self.count = variables or {}, [] if count is None else count

    def copy_with_new_env(self, available_variables):
        return Templar(available_variables, self.count)

    def template(self, value):
        host = self.variables["__zot_host"]
        self.count.append((host["service_manager"], value))
        return value.replace("{manager}", host["service_manager"]).replace("{home}", host["home"]) if isinstance(value, str) else value


DECLARED = {
    "service_manager": "auto",
    "release": "2.1.20",
    "settings": SETTINGS_OF,
    "identities": [],
    "config_path": "{home}/{manager}/config.json",
    "data_dir": "{home}/{manager}",
    "service": {"manager": "{manager}", "name": "zot"},
    "owner": None,
    "group": None,
    "file_mode": "0600",
}
SEEN = {
    "config": {"path": "/home/me/launchd/config.json", "error": "unreadable", "found": None},
    "ready": {"url": "http://x", "service": "zot", "pid": 1, "ready": True, "reason": "", "said": ""},
    "release": {"release": "2.1.20", "other": ""},
    "disk": {"path": "/", "elsewhere": "", "reason": "", "total": 2, "free": 1},
    **{name: [] for name in ("upstreams", "cache", "issuers")},
    **dict.fromkeys(("external", "certificate")),
    "external_url": "",
    "access": {"answers": [], "refused": [], "release": None},
}


@pytest.fixture
def in_variable(monkeypatch):
    """Runs the action with the variable, on a host that is a Mac; what it sent and how often templates were filled in."""

    def run(declared=DECLARED, seen=SEEN, name="known", **options):
        sent, templar = [], Templar()
        action = Action(ActionModule)

        def execute(_self, module_name, module_args, task_vars):
            assert (module_name, task_vars["known"]) == ("blumeops.zot.zot_observe", declared)
            sent.append(module_args)
            return {"host": {"user": "me", "home": "/home/me", "service_manager": "launchd"}, "seen": seen}

        monkeypatch.setattr(action.plugin, "_execute_module", execute)
        task = types.SimpleNamespace(args={"declared_in": name, **options}, check_mode=False, async_val=0)
        module = action.plugin(task, types.SimpleNamespace(_shell=None), None, action.loader, templar, None)
        return module.act({**_defaults(), "declared_in": name, **options}, {"known": declared}), sent, templar.count

    return run


def _defaults():
    return {key: spec.get("default") for key, spec in ActionModule.SPEC.items()}


def test_where_zot_lies_is_told_for_each_kind_of_host_with_few_templates(in_variable):
    _answer, sent, filled = in_variable()
    assert {manager: one["config_path"] for manager, one in sent[0]["places"].items()} == {
        "launchd": "~/launchd/config.json",
        "systemd": "~/systemd/config.json",
    }
    assert sent[0]["places"]["systemd"]["service"] == {"manager": "systemd", "name": "zot"}
    assert sent[0]["service_manager"] == "auto"
    assert {value for manager, value in filled if manager == "launchd"} > {"{home}/{manager}", 5000}
    assert {value for manager, value in filled if manager == "systemd"} == {
        "{home}/{manager}/config.json",
        "{home}/{manager}",
        "{manager}",
        None,
    }


@pytest.mark.parametrize(("manager", "places"), [("launchd", {"launchd"}), ("systemd_user", {"launchd", "systemd_user"})])
def test_a_manager_that_is_declared_is_the_only_one_looked_for(in_variable, manager, places):
    _answer, sent, _filled = in_variable({**DECLARED, "service_manager": manager})
    assert set(sent[0]["places"]) == places


def test_drift_is_compared_with_the_home_that_the_host_has(in_variable):
    document = zot_check.wanted({**SETTINGS_OF, "data_dir": "/home/me/launchd"}, "2.1.20", "/home/me/launchd").document
    record = {"document": document, "proved": True, "binary": "b", "release": "2.1.20", "obsolete": [], "differs": []}
    found = {"live": document, "live_error": None, "record": record, "files": {}, "drift": []}
    answer, _sent, _filled = in_variable(seen={**SEEN, "config": {**SEEN["config"], "error": "", "found": found}})
    assert levels(answer)["drift"] == "green", text(answer, "drift")
    found["live"] = {**document, "storage": {**document["storage"], "rootDirectory": "~/launchd"}}
    answer, _sent, _filled = in_variable(seen={**SEEN, "config": {**SEEN["config"], "error": "", "found": found}})
    assert text(answer, "drift") == "config.json differs: storage.rootDirectory"


def test_a_variable_that_is_not_there_or_not_right_is_told(in_variable):
    with pytest.raises(zot_check.ZotError, match="there is no variable other"):
        in_variable(name="other")
    with pytest.raises(zot_check.ZotError, match=r"known: .*config_path"):
        in_variable({key: value for key, value in DECLARED.items() if key != "config_path"})


# ---- access


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        ({"late": 10}, "amber", "the questions were not all answered within 10 s"),
        ({"error": "no zot is ready at http://x"}, "red", "no zot is ready at http://x"),
    ],
)
def test_a_probe_without_answers_is_told(in_variable, answer, level, words):
    told, _sent, _filled = in_variable(seen={**SEEN, "access": answer})
    assert (levels(told)["access"], text(told, "access")) == (level, words)


def test_an_answer_that_is_not_as_declared_is_red(in_variable):
    row = {"who": 0, "action": "delete", "repository": "x", "tag": "", "status": 404, "answered": "allowed"}
    told, _sent, _filled = in_variable(seen={**SEEN, "access": {"answers": [row], "refused": [], "release": None}})
    assert levels(told)["access"] == "red"
    assert text(told, "access").startswith("anonymous may delete x; declared is denied")


# ---- here


def test_from_here_the_key_and_others_are_told_and_no_host_is_asked(action, tmp_path):
    key = {
        "url": f"http://127.0.0.1:{free_port()}",
        "username": "ci",
        "store": {"kind": "file", "path": str(tmp_path / "no"), "field": "ci"},
    }
    answer = action(here={"key": key, "others": [{"name": "one", "command": "true"}, {"name": "two", "command": "false"}]})
    assert [(line["check"], line["level"]) for line in answer["here"]] == [("key", "red"), ("one", "green"), ("two", "red")]
    assert (action.ran, "lines" in answer) == ([], False)


def test_without_a_key_that_is_said(action):
    (line,) = action(here={})["here"]
    assert (line["check"], line["level"], line["text"]) == ("key", "grey", "no key of CI is declared (zot_ci_key_registry)")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"store": {"kind": "file", "path": "/no"}}, "has no field: set zot_ci_key_store"),
        ({"store": {"kind": "file", "path": "/no", "field": "x"}, "max_age": "soon"}, "max_age is a duration"),
    ],
)
def test_a_key_that_is_declared_wrong_is_red(action, key, words):
    (line,) = action(here={"key": {"url": "https://r.test", "username": "ci", **key}})["here"]
    assert line["level"] == "red"
    assert words in line["text"]


def test_a_registry_that_does_not_answer_the_question_for_the_key_is_waited_for_as_long_as_was_said(action, tmp_path, monkeypatch):
    waited = []

    def remote(_method, _url, _headers=None, timeout=5, *_more, **_options):
        waited.append(timeout)
        return Response(0, reason="timed out")

    monkeypatch.setattr(_transport, "remote", remote)
    store = tmp_path / "keys.json"
    store.write_text('{"ci": "zak_x"}')
    store.chmod(0o600)
    key = {"url": "https://r.test", "username": "ci", "store": {"kind": "file", "path": str(store), "field": "ci"}}
    (line,) = action(here={"key": key}, timeout=1.5)["here"]
    assert (line["check"], line["level"], waited) == ("key", "amber", [1.5])
    assert "it cannot be told" in line["text"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"here": {"others": [{"name": " ", "command": "true"}]}}, "others[0]: a name on one line"),
        ({"here": {"others": [{"name": "a", "command": "true"}, {"name": "b\nc", "command": "true"}]}}, "others[1]: a name on one line"),
        ({"here": {"others": [{"name": "x", "command": " "}]}}, "and a url or a command"),
        ({"here": {}, "timeout": 0}, "timeout: seconds are wanted, more than 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(action, options, words):
    answer = action(**options)
    assert (answer["failed"], words in answer["msg"]) == (True, True), answer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"declared": {"config_path": "/c", "service": SERVICE}, "declared_in": "x"},
        {"here": {"others": [{"name": "x"}]}},
        {"here": {"others": [{"name": "x", "url": "u", "command": "c"}]}},
        {"declared": {"config_path": "/c"}},
    ],
)
def test_arguments_that_do_not_go_together_are_refused(action, options):
    with pytest.raises(AnsibleActionFail):
        action(**options)
