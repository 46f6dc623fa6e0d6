# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_config on the controller: settings -> document -> plan -> diff; the host's part is the module zot_host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical, effective, masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import HTPASSWD_FILE, SESSION_FILE
from ansible_collections.blumeops.zot.plugins.module_utils._zot import local_url
from ansible_collections.blumeops.zot.plugins.plugin_utils._activation import plan
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import Desired, SecretFile, build, require_text
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._htpasswd import htpasswd
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

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
    "folders": {"type": "list", "elements": "dict", "default": []},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "file_mode": {"type": "str", "choices": ["0600", "0640"], "default": "0600"},
    "run_as": {"type": "str"},
    "service_file": {"type": "str"},
    "service": {"type": "dict"},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    TRANSFERS_FILES = False

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        try:
            _validated, args = self.validate_argument_spec(
                argument_spec=_SPEC,
                mutually_exclusive=[("settings", "document")],
                required_one_of=[("settings", "document")],
            )
            return self._provide(args, task_vars or {})
        except ZotError as error:
            return {"failed": True, "msg": error.message, **error.facts}

    def _provide(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        release = Release(args["release"])
        folder = args["config_path"].rpartition("/")[0]
        desired = self._desired(args, release, folder)
        files = self._with_htpasswd(desired, args, task_vars)
        self._require_secrets(files)
        found = self._host("look", args, desired, files, task_vars)["found"]
        planned = plan(found, args["config_path"].rpartition("/")[2], args["binary"], with_proof=args["state"] == "staged")
        result: dict[str, t.Any] = {
            "changed": planned.changed,
            "activation": planned.activation,
            "reasons": list(planned.reasons),
            "url": local_url(effective(desired.document)),
            "diff": [{"prepared": str(planned)}, *_diff(found, desired, args["config_path"])] if planned.changed else [],
        }
        if release.unknown:
            result["warnings"] = [f"zot {release} is newer than this collection knows; it is treated as the newest known release"]
        if planned.changed:
            result["verified"] = self._host("staged", args, desired, files, task_vars)["verified"]
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
        missing = [f"zot_local_passwords['{user}']" for user in users if not passwords.get(user)]
        if missing:
            return [*files, SecretFile(HTPASSWD_FILE, missing)]
        salts = self._host("look", args, desired, files, task_vars)["found"]["salts"]
        return [*files, SecretFile(HTPASSWD_FILE, content=htpasswd({user: passwords[user] for user in users}, salts))]

    def _require_secrets(self, files: list[SecretFile]) -> None:
        missing = [name for file in files for name in file.missing]
        if missing and not self._task.check_mode:
            raise ZotError(f"not given: {', '.join(missing)}; secrets are needed for a real run (not for --check)")

    def _host(
        self, state: str, args: dict[str, t.Any], desired: Desired, files: list[SecretFile], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        arguments = {
            "state": state,
            "document": canonical(desired.document),
            "files": [{"name": file.name, "content": file.content} for file in files],
            **{key: args[key] for key in ("config_path", "binary", "release", *_HOST) if args[key] is not None},
        }
        answer = self._execute_module(module_name="blumeops.zot.zot_host", module_args=arguments, task_vars=task_vars)
        if answer.get("failed"):
            raise ZotError(answer.get("msg", "zot_host failed"), **{key: answer[key] for key in ("verify", "exception") if key in answer})
        if "found" not in answer and state == "look":
            raise AnsibleActionFail("zot_host gave no answer", result=answer)
        return answer


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
