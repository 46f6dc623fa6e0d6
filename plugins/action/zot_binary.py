# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_binary on the controller: brings to the host what the module does not find there."""

from __future__ import annotations

import hashlib
import typing as t

from ansible.errors import AnsibleError
from ansible.utils.hashing import secure_hash
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._install import require_sum
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction

_SPEC: dict[str, t.Any] = {
    "release": {"type": "str", "required": True},
    "install_dir": {"type": "str", "required": True},
    "path": {"type": "str"},
    "file": {"type": "str"},
    "url": {"type": "str"},
    "sha256": {"type": "str", "default": ""},
}
_DOWNLOAD_TIMEOUT = 30


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC = _SPEC

    def act(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if args["path"] and args["file"]:
            raise ZotError("zot_binary_path (on the host) and zot_binary_file (on the controller) are both set; keep one")
        file = self._find(args["file"]) if args["file"] else None
        if file:
            found = secure_hash(file, hashlib.sha256)
            args["sha256"] = require_sum(found, args["sha256"] or found, file)
        elif not args["path"] and not args["sha256"]:
            raise ZotError(f"no sha256 is known for {args['url']}; set zot_binary_sha256, or give zot_binary_path or zot_binary_file")
        answer = self._ask(args, task_vars)
        if not answer["installed"] and not self._task.check_mode:
            answer = self._ask({**args, "source": self._bring(file, args["url"], task_vars)}, task_vars)
        return {
            **{key: answer[key] for key in ("changed", "binary", "sha256")},
            "diff": _diff(answer, args["path"] or file or args["url"]) if answer["changed"] else [],
        }

    def _bring(self, file: str | None, url: str, task_vars: dict[str, t.Any]) -> str:
        """The binary's path in a folder of the host that goes with the task."""
        folder = self._make_tmp_path()
        incoming = self._connection._shell.join_path(folder, "zot")
        if file:
            self._transfer_file(file, incoming)
            self._fixup_perms2((folder, incoming))
        else:
            self._download(url, incoming, task_vars)
        return incoming

    def _find(self, name: str) -> str:
        try:
            return self._find_needle("files", name)
        except AnsibleError:
            raise ZotError(f"zot_binary_file: there is no file {name} on the controller") from None

    def _download(self, url: str, dest: str, task_vars: dict[str, t.Any]) -> None:
        arguments = {"url": url, "dest": dest, "timeout": _DOWNLOAD_TIMEOUT}
        answer = self._execute_module(module_name="ansible.builtin.get_url", module_args=arguments, task_vars=task_vars)
        if answer.get("failed"):
            raise ZotError(
                f"{url} could not be downloaded ({answer.get('msg')}); nothing was installed: "
                "set zot_release_url to a mirror, or give zot_binary_path or zot_binary_file"
            )

    def _ask(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        asked = {"state": "binary", **{key: args[key] for key in ("release", "install_dir", "path", "source", "sha256") if args.get(key)}}
        return self.host(asked, task_vars)


def _diff(answer: dict[str, t.Any], origin: str) -> dict[str, str]:
    header = answer["binary"]
    before = f"sha256 {answer['found_sha256']}\n" if answer["found_sha256"] else ""
    after = f"sha256 {answer['sha256']}\nfrom {origin}\n"
    return {"before_header": header, "after_header": header, "before": before, "after": after}
