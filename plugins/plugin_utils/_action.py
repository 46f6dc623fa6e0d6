# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what its action plugins have in common: arguments in, errors told once, questions to the host."""

from __future__ import annotations

import base64
import typing as t
from abc import abstractmethod

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

Args = dict[str, t.Any]


class ZotAction(ActionBase):
    """``SPEC`` says which arguments there are, ``RULES`` how they go together; ``act`` does the work and may raise ZotError."""

    TRANSFERS_FILES = False
    SPEC: t.ClassVar[dict[str, t.Any]]
    RULES: t.ClassVar[dict[str, t.Any]] = {}

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        try:
            _validated, args = self.validate_argument_spec(argument_spec=self.SPEC, **self.RULES)
            return self.act(args, task_vars or {})
        except ZotError as error:
            return {"failed": True, "msg": error.message, **error.facts}

    @abstractmethod
    def act(self, args: Args, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result of the task."""

    def host(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The answer of zot_host; raises ZotError with what it failed of."""
        answer = self._execute_module(module_name="blumeops.zot.zot_host", module_args=arguments, task_vars=task_vars)
        if answer.get("failed"):
            raise ZotError(answer.get("msg", "zot_host failed"), **{key: answer[key] for key in ("verify", "exception") if key in answer})
        return answer

    def content(self, path: str, task_vars: dict[str, t.Any]) -> bytes:
        """What a file of the host holds; raises ZotError."""
        answer = self.unseen("ansible.builtin.slurp", {"src": path}, task_vars)
        if answer.get("failed"):
            raise ZotError(f"{path} cannot be read on the host: {answer.get('msg')}")
        return base64.b64decode(answer["content"])

    def unseen(self, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The answer of a module that has contents of files in it: ssh would print it at C(-vvv), unless it is told not to."""
        context = self._connection._play_context
        seen, context.no_log = context.no_log, True
        try:
            return self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure:
            # Why nobody answers is no secret, and is not told either then.
            context.no_log = seen
            self._low_level_execute_command(":")
            raise
        finally:
            context.no_log = seen
