# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_check on the controller: what is declared -> one look at the host -> the lines of its report."""

from __future__ import annotations

import contextlib
import json
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.blumeops.zot.plugins.action.zot_access_probe import Asker, asker_of, compare, difference, problems_of, witnesses_of
from ansible_collections.blumeops.zot.plugins.action.zot_config import ActionModule as ZotConfig
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ANONYMOUS
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import get
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._filled import Filled
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREY, Limits, Line, lines, unreachable
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_declared import Wanted, access, drift, told, unknown, wanted
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_here import HERE, look_here
from ansible_collections.blumeops.zot.plugins.plugin_utils._straight import StraightAction, pack

_MANAGERS = ["launchd", "systemd", "systemd_user"]
# What depends on the host's kind and on whose home it is.
_PLACE = ("config_path", "service", "data_dir", "owner", "group", "file_mode")
_DECLARED: dict[str, t.Any] = {
    "config_path": {"type": "str", "required": True},
    "service": ZotConfig.SPEC["service"] | {"required": True},
    "service_manager": {"type": "str", "choices": ["auto", *_MANAGERS], "default": "auto"},
    "release": {"type": "str"},
    "settings": ZotConfig.SPEC["settings"],
    "data_dir": {"type": "str"},
    "identities": {"type": "list", "elements": "dict", "default": []},
    **{name: ZotConfig.SPEC[name] | {"default": None} for name in ("owner", "group", "file_mode")},
}
# What may be in variables that begin with options_in.
_OF_VARIABLES = ("images", "ca_path", "timeout", "allowance_percent", "certificate_days", "disk_amber_percent", "disk_red_percent")
# zot checks a password anew for each question: a report that is read in seconds asks no more than this. The role's proof asks all.
_MOST_QUESTIONS = 150
# Where a path has no home yet: nothing that is asked before the host was seen depends on it.
_UNSEEN = {"home": "~", "user": "", "uid": 0, "system": "", "architecture": ""}


class ActionModule(StraightAction):
    """See the module's documentation."""

    STRAIGHT: t.ClassVar = {"blumeops.zot.zot_observe": pack("_check_observe", "answer")}

    SPEC: t.ClassVar = {
        "declared": {"type": "dict", "options": _DECLARED},
        "declared_in": {"type": "str"},
        "here": {"type": "dict", "options": HERE},
        "options_in": {"type": "str"},
        "images": {"type": "dict", "default": {}},
        "ca_path": {"type": "str"},
        "timeout": {"type": "float", "default": 5},
        "allowance_percent": {"type": "float", "default": Limits.allowance},
        "certificate_days": {"type": "float", "default": Limits.certificate},
        "disk_amber_percent": {"type": "float", "default": Limits.disk_amber},
        "disk_red_percent": {"type": "float", "default": Limits.disk_red},
    }
    RULES: t.ClassVar = {"mutually_exclusive": [("declared", "declared_in")], "required_one_of": [("declared", "declared_in", "here")]}

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        # Most of these variables are set nowhere, and a template for each of them would cost every host more than its comparison does.
        given, known = self._task.args, task_vars or {}
        for name in _OF_VARIABLES if given.get("options_in") else ():
            if name not in given and f"{given['options_in']}{name}" in known:
                given[name] = self._templar.template(known[f"{given['options_in']}{name}"])
        return super().run(tmp, task_vars)

    def act(self, args: Args, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if not args["timeout"] > 0:
            raise ZotError("timeout: seconds are wanted, more than 0")
        limits = Limits(args["allowance_percent"], args["certificate_days"], args["disk_amber_percent"], args["disk_red_percent"])
        found: dict[str, list[Line]] = {}
        if args["declared"] or args["declared_in"]:
            found["lines"] = self._lines(args, limits, task_vars)
        if args["here"]:
            found["here"] = look_here(plain(args["here"], "here"), args["timeout"])
        return {"changed": False, **{name: [line.as_dict() for line in lines] for name, lines in found.items()}}

    def _lines(self, args: Args, limits: Limits, task_vars: dict[str, t.Any]) -> list[Line]:
        declared, places = self._declared(args, task_vars)
        question = Access(declared)
        options = {
            "service_manager": declared["service_manager"],
            "places": places,
            "release": declared["release"],
            "identities": question.identities,
            "questions": question.questions,
            "images": plain(args["images"], "images"),
            "ca_path": args["ca_path"],
            "timeout": args["timeout"],
        }
        given = {key: value for key, value in options.items() if value is not None}
        try:
            answer = self._execute_module(module_name="blumeops.zot.zot_observe", module_args=given, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return unreachable(f"it cannot be reached: {told([str(error.message)])}")
        if answer.get("failed") or "seen" not in answer:
            return unreachable(f"it cannot be looked at: {told([str(answer.get('msg', 'no answer'))])}")
        host, seen = answer["host"], answer["seen"]
        actual = {**declared, "data_dir": _at_home(places[host["service_manager"]].get("data_dir"), host["home"])}
        return lines(host, seen, declared["release"], question.line(seen["access"]), _drift(actual, seen["config"]), limits)

    def _declared(self, args: Args, task_vars: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, dict[str, t.Any]]]:
        """What is declared, and where zot lies by the service manager that the host may turn out to have. Raises ZotError."""
        if args["declared"]:
            declared = plain(args["declared"], "declared")
            declared["service_manager"] = declared["service"]["manager"]
            return declared, {declared["service_manager"]: _place(declared)}
        name = args["declared_in"]
        if name not in task_vars:
            raise ZotError(f"declared_in: there is no variable {name}; it is the role zot's own, or give declared instead")
        raw = task_vars[name]
        declared = self._templated(name, raw, "launchd", task_vars)
        judged = ArgumentSpecValidator(_DECLARED).validate(declared)
        if judged.error_messages:
            raise ZotError(f"{name}: {'; '.join(judged.error_messages)}")
        declared, manager = judged.validated_parameters, declared["service_manager"]
        places = {"launchd": _place(declared)}
        # To fill in templates takes longer than all else here: no more of them than are needed.
        for other in ["systemd"] if manager == "auto" else [] if manager == "launchd" else [manager]:
            varying = {key: value for key, value in raw.items() if key in _PLACE}
            places[other] = _place(self._templated(name, varying, other, task_vars))
        return declared, places

    def _templated(self, name: str, value: t.Any, manager: str, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        variables = {**task_vars, "__zot_host": {**_UNSEEN, "service_manager": manager}}
        return plain(Filled(self._templar, variables, "__zot_")(value), name)


class Access:
    """Who may do what by what is declared: what to ask before the host is seen, and what came of it."""

    def __init__(self, declared: dict[str, t.Any]) -> None:
        self._askers, self._unheld, self._document = [Asker(ANONYMOUS)], [], {}
        self.questions: dict[str, list[str]] = {}
        self._line: Line | None = None
        if declared["settings"] is None or declared["release"] is None:
            self._line = Line("access", GREY, "nothing is declared to compare with")
            return
        self._release = Release(declared["release"])
        try:
            self._document = load(wanted(declared["settings"], declared["release"], "/").document, self._release, "settings")
        except ZotError as error:
            self._line = unknown("access", error)
            return
        if get(self._document, "http.auth.bearer"):
            self._line = Line("access", GREY, "with http.auth.bearer the tokens of another service say who may do what")
            return
        for given in declared["identities"]:
            try:
                self._askers.append(asker_of(self._document, {"password": None, "api_key": None, "groups": [], **given}))
            except ZotError as error:
                self._unheld.append(error.message)
        names, skipped = witnesses_of(self._document)
        if not names:
            self._line = Line("access", GREY, skipped[0]["reason"] if skipped else "there was nothing to ask")
        most = max(1, _MOST_QUESTIONS // (3 * len(self._askers)))
        self.questions = dict.fromkeys(("read", "create", "delete"), names[:most]) if names else {}

    @property
    def identities(self) -> str:
        return json.dumps([(asker.identity.name, asker.secret) for asker in self._askers])

    def line(self, answer: t.Any) -> Line:
        if self._line:
            return self._line
        if answer is None:
            return Line("access", AMBER, "it was not asked")  # grey, as what stands before it says why
        if "late" in answer:
            return Line("access", AMBER, f"the questions were not all answered within {answer['late']:g} s")
        if "error" in answer:
            return access([answer["error"]], [], self._unheld, 0)
        found = compare(self._document, self._askers, answer["answers"], min(self._release.number, NEWEST))
        problems = problems_of(found, [self._askers[number] for number in answer["refused"]])
        passing = [difference(row) for row in found["wrong"] if row["severity"] == "warning"]
        return access(problems, passing, self._unheld, len(answer["answers"]))


def _place(declared: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: declared[key] for key in _PLACE if declared.get(key) is not None}


def _at_home(path: str | None, home: str) -> str | None:
    return home + path[1:] if path and path.startswith("~/") else path


def _drift(declared: dict[str, t.Any], config: dict[str, t.Any]) -> Line:
    if declared["settings"] is None or declared["release"] is None:
        return Line("drift", GREY, "nothing is declared to compare with")
    try:
        settings = {**declared["settings"], "data_dir": declared["data_dir"] or declared["settings"]["data_dir"]}
        target: Wanted = wanted(settings, declared["release"], config["path"].rpartition("/")[0])
    except ZotError as error:
        return unknown("drift", error)
    return drift(config, target)


# The schema's library takes longer to load than all else does. Ansible loads this plugin before it forks: once for all hosts.
with contextlib.suppress(ZotError):
    load({"http": {}, "storage": {}}, Release("2.1.20"), "nothing")
