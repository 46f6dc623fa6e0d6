# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_validate on the controller: a configuration of anybody's -> the judge -> findings."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Facts
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._facts import answered, look, questions
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Judgement, judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._report import table, told
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

_SPEC: dict[str, t.Any] = {
    "path": {"type": "str"},
    "content": {"type": "raw"},
    "remote_src": {"type": "bool", "default": False},
    "chdir": {"type": "str"},
    "release": {"type": "str", "required": True},
    "suppress": {"type": "dict", "default": {}},
    "advice": {"type": "bool", "default": False},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    "show": {"type": "bool", "default": False},
    "oidc_users": {"type": "list", "elements": "str", "default": []},
    "oidc_images": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC = _SPEC
    RULES: t.ClassVar = {"mutually_exclusive": [("path", "content")], "required_one_of": [("path", "content")]}

    def act(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given, name = self._given(args, task_vars)
        release, suppress = Release(args["release"]), plain(args["suppress"], "suppress")
        facts = Facts(oidc_users=args["oidc_users"], oidc_images=args["oidc_images"])
        judged = judge(given, release, facts, suppress, name)
        judged.unseen.port = False  # whose a busy port is cannot be told here
        if judged.unseen:
            facts = self._looked(args, judged, facts, task_vars)
            judged = judge(given, release, replace(facts, port=""), suppress, name)
        if args["show"]:
            self._display.display(table(judged, args["path"] or "content", args["advice"]))
        failed = args["fail_on"] != "never" and (not judged.ok or (args["fail_on"] == "warning" and judged.of("warning")))
        return {"changed": False, "failed": bool(failed), **told(judged, args["advice"])}

    def _given(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> tuple[bytes | dict[str, t.Any], str]:
        content, path = args["content"], args["path"]
        if isinstance(content, dict):
            return plain(content, "content"), "content"
        if content is not None:
            return str(content).encode("utf-8", "surrogatepass"), "content"
        if args["remote_src"]:
            return self.content(path, task_vars), path
        try:
            return Path(self._loader.path_dwim(path)).read_bytes(), path
        except OSError as error:
            raise ZotError(f"{path}: {error.strerror} on the controller; with remote_src: true it is read on the host") from None
        except ValueError:
            raise ZotError(f"{path!r} is no path on the controller") from None

    def _looked(self, args: dict[str, t.Any], judged: Judgement, facts: Facts, task_vars: dict[str, t.Any]) -> Facts:
        """On the host where the configuration lies there; beside it, on the controller, where it does not."""
        here, unseen = args["remote_src"], judged.unseen
        folder = args["chdir"] or (args["path"] or "").rpartition("/")[0] or "."
        if not here:
            folder = self._loader.path_dwim(folder)
            answers = look(questions(unseen, folder))
        else:
            asked = [{"kind": kind, "path": path} for kind, path in questions(unseen, folder)]
            arguments = {"state": "preflight", "inspect": asked, "issuers": list(unseen.issuers)}
            try:
                answer = self.host(arguments, task_vars)
            except ZotError as error:
                raise ZotError(f"the host could not be asked for the files that the configuration names: {error.message}") from None
            answers = answer["facts"]["files"]
            facts = replace(facts, issuers=answer["facts"]["issuers"])
        return answered(facts, unseen, folder, answers, here, folder_known=bool(args["chdir"]))
