# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins have in common: that contents of files are in no log of the connection."""

from __future__ import annotations

import types

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction


class Quiet(ZotAction):
    """An action on a host that answers, or does not; what its connection is told of logs meanwhile."""

    def __init__(self, *answers):
        self._connection = types.SimpleNamespace(_play_context=PlayContext())
        self.answers = list(answers)
        self.told = []

    def act(self, args, task_vars):
        raise NotImplementedError

    def answer(self):
        self.told.append(self._connection._play_context.no_log)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _hosts(monkeypatch):
    monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **_given: self.answer())
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda self, _command: self.answer())


def test_the_connection_prints_no_contents_of_files_and_everything_else_again():
    action = Quiet({"content": "c2VjcmV0"})
    assert action.content("/etc/zot/config.json", {}) == b"secret"
    assert action.told == [True]
    assert action._connection._play_context.no_log is False


def test_why_nobody_answers_is_told():
    action = Quiet(AnsibleConnectionFailure("<error censored>"), AnsibleConnectionFailure("refused"))
    with pytest.raises(AnsibleConnectionFailure, match="refused"):
        action.unseen("ansible.builtin.slurp", {}, {})
    assert action.told == [True, False]
    assert action._connection._play_context.no_log is False


def test_who_answers_after_all_was_not_reached_either():
    action = Quiet(AnsibleConnectionFailure("<error censored>"), {})
    with pytest.raises(AnsibleConnectionFailure, match="censored"):
        action.unseen("ansible.builtin.slurp", {}, {})


def test_another_failure_leaves_the_log_as_it_was():
    action = Quiet(RuntimeError())
    with pytest.raises(RuntimeError):
        action.unseen("ansible.builtin.slurp", {}, {})
    assert action._connection._play_context.no_log is False
