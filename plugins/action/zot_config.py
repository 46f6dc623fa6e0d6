# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_config on the controller: settings -> document -> judge -> plan -> diff; the host's part is the module zot_host."""

from __future__ import annotations

import importlib
import threading
import types
import typing as t
from dataclasses import replace

from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical, effective, mapping, masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import HTPASSWD_FILE, SESSION_FILE
from ansible_collections.blumeops.zot.plugins.module_utils._inspect import inspect_content
from ansible_collections.blumeops.zot.plugins.module_utils._stores import open_here
from ansible_collections.blumeops.zot.plugins.module_utils._zot import local_url
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._activation import plan
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import Desired, SecretFile, build, require_text
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._htpasswd import htpasswd
from ansible_collections.blumeops.zot.plugins.plugin_utils._passwords import stored_passwords
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

if t.TYPE_CHECKING:
    from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import Change
    from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Facts, Unseen
    from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Judgement

_SECRETS = ("oidc_client_secret", "upstream_passwords", "local_passwords")
_HOST = ("folders", "owner", "group", "file_mode", "run_as", "service_file", "service")
_SPEC: dict[str, t.Any] = {
    "release": {"type": "str", "required": True},
    "binary": {"type": "str", "required": True},
    "config_path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["staged", "written"], "default": "written"},
    "settings": {"type": "dict", "options": SETTINGS},
    "document": {"type": "dict"},
    "oidc_client_secret": {"type": "str", "no_log": True},
    "upstream_passwords": {"type": "dict", "no_log": True, "default": {}},
    "local_passwords": {"type": "dict", "no_log": True, "default": {}},
    "local_password_stores": {"type": "dict", "no_log": False, "default": {}},
    "folders": {"type": "list", "elements": "dict", "default": []},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "file_mode": {"type": "str", "choices": ["0600", "0640"], "default": "0600"},
    "run_as": {"type": "str"},
    "service_file": {"type": "str"},
    "service": {"type": "dict"},
    "suppress": {"type": "dict", "default": {}},
    "advice": {"type": "bool", "default": False},
    "forbid_widening": {"type": "bool", "default": False},
    "confirm_widening": {"type": "bool", "default": False},
}

# Where a service manager starts zot, and so where relative paths begin.
_STARTED_IN = "/"


def _late() -> types.ModuleType:
    """The judge and the access model. Ansible compiles a collection's code anew in each run: theirs is loaded while the host answers."""
    return importlib.import_module("ansible_collections.blumeops.zot.plugins.plugin_utils._verdict")


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC = _SPEC
    RULES: t.ClassVar = {"mutually_exclusive": [("settings", "document")], "required_one_of": [("settings", "document")]}

    def act(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        threading.Thread(target=_late, daemon=True).start()
        release = Release(args["release"])
        folder = args["config_path"].rpartition("/")[0]
        desired = self._desired(args, release, folder)
        files = self._with_htpasswd(desired, args, task_vars)
        found = self._host("look", args, desired, files, task_vars)["found"]
        planned = plan(found, args["config_path"].rpartition("/")[2], args["binary"], with_proof=args["state"] == "staged")
        judged = self._judge(args, desired, files, release, task_vars, with_facts=planned.changed)
        changes = access_changes(found, desired.document, release) if planned.changed else []
        _require_confirmed(args, found, changes)
        self._require_secrets(files)
        result: dict[str, t.Any] = {
            **{key: value for key, value in _late().told(judged, args["advice"]).items() if key not in ("ok", "msg", "release")},
            "changed": planned.changed,
            "activation": planned.activation,
            "reasons": list(planned.reasons),
            "url": local_url(effective(desired.document)),
            "access_diff": [change.as_dict() for change in changes],
            "diff": [],
        }
        if planned.changed:
            rights = [{"prepared": f"who may do what:\n{_late().table(changes)}"}] if changes else []
            result["diff"] = [{"prepared": str(planned)}, *_diff(found, desired, args["config_path"]), *rights]
        warnings = [str(finding) for finding in _late().shown(judged, args["advice"])]
        if warnings:
            result["warnings"] = warnings
        if planned.changed:
            result["verified"] = self._stage(args, desired, files, judged, task_vars)
            if args["state"] == "written":
                self._host("written", args, desired, files, task_vars)
        return result

    def _desired(self, args: dict[str, t.Any], release: Release, folder: str) -> Desired:
        if args["document"] is not None:
            return Desired(plain(args["document"], "document"))
        secrets = {key: plain(args[key], key) for key in _SECRETS}
        return build(plain(args["settings"], "settings"), secrets, release, folder)

    def _with_htpasswd(self, desired: Desired, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[SecretFile]:
        files = [*desired.files, *([SecretFile(SESSION_FILE)] if desired.session_keys else [])]
        users = (args["settings"] or {}).get("local_users") or []
        if not users:
            return files
        passwords = plain(args["local_passwords"], "local_passwords")
        require_text(passwords, "local_passwords")
        stores = plain(args["local_password_stores"], "local_password_stores")
        if not self._task.check_mode:
            wanted = {user: stores[user] for user in users if user in stores and not passwords.get(user)}
            passwords = {**passwords, **stored_passwords(wanted, open_here)}
        missing = [f"zot_local_passwords['{user}']" for user in users if not passwords.get(user)]
        if missing:
            return [*files, SecretFile(HTPASSWD_FILE, missing)]
        salts = self._host("look", args, desired, files, task_vars)["found"]["salts"]
        return [*files, SecretFile(HTPASSWD_FILE, content=htpasswd({user: passwords[user] for user in users}, salts))]

    def _judge(
        self,
        args: dict[str, t.Any],
        desired: Desired,
        files: list[SecretFile],
        release: Release,
        task_vars: dict[str, t.Any],
        with_facts: bool,
    ) -> Judgement:
        """Raises ZotError with every error. The host is looked at where something is about to change."""
        oidc = (args["settings"] or {}).get("oidc") or {}
        facts = _late().Facts(oidc_users=oidc.get("users") or (), oidc_images=oidc.get("images") or ())
        suppress = plain(args["suppress"], "suppress")
        judged = _late().judge(desired.document, release, facts, suppress)
        if with_facts or not judged.ok:
            facts = self._facts(args, desired, files, judged.unseen, facts, task_vars)
            judged = _late().judge(desired.document, release, facts, suppress)
        if judged.ok:
            return judged
        problem = f"{_late().message(judged)}\nnothing was changed: mend the settings and run again"
        if judged.refused and self._host("judged", args, desired, files, task_vars)["complaint"] == "":
            codes = _codes(judged)
            problem += (
                f"\n`zot verify` of {args['binary']} accepts this configuration, so {codes} is wrong here: {_whose_fault(release)}. "
                f"Until it is mended, suppress {codes} with a reason."
            )
        raise ZotError(problem, findings=[finding.as_dict() for finding in _late().shown(judged, args["advice"])])

    def _stage(
        self, args: dict[str, t.Any], desired: Desired, files: list[SecretFile], judged: Judgement, task_vars: dict[str, t.Any]
    ) -> bool:
        """Whether C(zot verify) was asked. Where it refuses what the judge let pass, that is told with both verdicts."""
        try:
            return self._host("staged", args, desired, files, task_vars)["verified"]
        except ZotError as error:
            if "verify" not in error.facts:
                raise
            verdict = f"The judge let it pass ({judged.summary}): {_whose_fault(judged.release)}"
            if judged.refused:
                verdict = f"The judge refuses it too, but {_codes(judged)} is suppressed"
            raise ZotError(f"{error.message}\n{verdict}", **error.facts) from None

    def _facts(
        self, args: dict[str, t.Any], desired: Desired, files: list[SecretFile], unseen: Unseen, facts: Facts, task_vars: dict[str, t.Any]
    ) -> Facts:
        """Files that are about to be written are judged by their content, all others where they lie."""
        folder = args["config_path"].rpartition("/")[0]
        ours = {f"{folder}/{file.name}": file for file in files}
        asked = _late().questions(unseen, _STARTED_IN)
        theirs = [(kind, path) for kind, path in asked if path not in ours]
        http = _listens(desired.document)
        found = self._host(
            "preflight",
            args,
            desired,
            files,
            task_vars,
            inspect=[{"kind": kind, "path": path} for kind, path in theirs],
            issuers=list(unseen.issuers),
            listen={"address": str(http.get("address") or ""), "port": str(http.get("port") or "")} if unseen.port else None,
        )["facts"]
        answers = dict(found["files"])
        for kind, path in asked:
            if path in ours:
                answers[f"{kind} {path}"] = _inspected(kind, ours[path])
        port = (found["port"] or "") if args["service"] else None
        known = replace(facts, issuers=found["issuers"], port=port)
        return _late().answered(known, unseen, _STARTED_IN, answers, here=True, folder_known=True)

    def _require_secrets(self, files: list[SecretFile]) -> None:
        missing = [name for file in files for name in file.missing]
        if missing and not self._task.check_mode:
            raise ZotError(f"not given: {', '.join(missing)}; secrets are needed for a real run (not for --check)")

    def _host(
        self, state: str, args: dict[str, t.Any], desired: Desired, files: list[SecretFile], task_vars: dict[str, t.Any], **more: t.Any
    ) -> dict[str, t.Any]:
        arguments = {
            **{key: value for key, value in more.items() if value is not None},
            "state": state,
            "document": canonical(desired.document),
            "files": [{"name": file.name, "content": file.content} for file in files],
            **{key: args[key] for key in ("config_path", "binary", "release", *_HOST) if args[key] is not None},
        }
        answer = self.host(arguments, task_vars)
        if "found" not in answer and state == "look":
            raise AnsibleActionFail("zot_host gave no answer", result=answer)
        return answer


def _codes(judged: Judgement) -> str:
    return ", ".join(sorted({finding.code for finding in judged.refused}))


def _whose_fault(release: Release) -> str:
    if release.unknown:
        return f"zot {release} is newer than blumeops.zot knows, please update it"
    return "a bug of blumeops.zot: please report it with this message"


def _listens(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """The settings of http as zot reads them, in whatever case they are written."""
    try:
        return mapping(_late().flatten(document).tree.get("http"))
    except _late().UnreadableError:
        return {}


def _running(found: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """The document that was proved last, or else lies there; None on a host that has nothing yet."""
    record = found["record"]
    return record["document"] if record and record["proved"] else found["live"]


def access_changes(found: dict[str, t.Any], document: dict[str, t.Any], release: Release) -> list[Change]:
    """How the rights differ from what runs now. Nothing is told where patterns meet in too many ways to be followed."""
    before, record = _running(found), found["record"]
    try:
        old = _late().load(before, Release(record["release"]) if record and record["proved"] else release) if before is not None else None
    except ZotError:
        old = None  # what lies there is no configuration
    try:
        return _late().changes_of(old, _late().load(document, release))
    except _late().TooManyError:
        return []


def _require_confirmed(args: dict[str, t.Any], found: dict[str, t.Any], changes: list[Change]) -> None:
    widening = [change for change in changes if change.widens]
    if args["forbid_widening"] and not args["confirm_widening"] and widening and _running(found) is not None:
        raise ZotError(
            f"this change widens rights, which zot_forbid_widening forbids:\n{_late().table(widening)}nothing was changed: "
            "narrow the grants, or confirm it once with -e zot_confirm_widening=true",
            access_diff=[change.as_dict() for change in changes],
        )


def _inspected(kind: str, file: SecretFile) -> dict[str, t.Any]:
    """A file whose secret was not given, or whose keys the host makes, cannot be told."""
    if file.content is None:
        return {"state": "unjudged", "reason": "its secret was not given"}
    return inspect_content(kind, file.content.encode(), file.name)


def _diff(found: dict[str, t.Any], desired: Desired, path: str) -> list[dict[str, str]]:
    """The document as it takes effect, and one line for each secret file that differs."""
    record = found["record"]
    before = found["live"]
    if record and not found["live_differs"] and record["differs"]:
        before = record["document"]  # the right file lies there, but zot runs with what was proved before
    diffs = [
        {
            "before_header": f"{path} (effective)",
            "after_header": f"{path} (effective)",
            "before": canonical(before) if before is not None else "",
            "after": canonical(masked(effective(desired.document))),
        }
    ]
    folder = path.rpartition("/")[0]
    for name, verdict in found["files"].items():
        if verdict["live"] != "same":
            before_text = "" if verdict["live"] == "absent" else "(other content, not shown)\n"
            header = f"{folder}/{name}"
            diffs.append({"before_header": header, "after_header": header, "before": before_text, "after": "(content not shown)\n"})
    return diffs
