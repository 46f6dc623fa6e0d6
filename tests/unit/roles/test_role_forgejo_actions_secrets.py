# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source: specs and defaults agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.blumeops.zot.plugins.action.forgejo_actions_secrets import ActionModule

ROLE = Path(__file__).resolve().parents[3] / "roles/forgejo_actions_secrets"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def test_specs_and_defaults_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_secrets_are_marked():
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == {"forgejo_actions_secrets_token"}


def test_its_own_variables_are_private():
    assert all(name.startswith("__forgejo_actions_secrets_") for name in yaml.safe_load((ROLE / "vars/main.yml").read_text()))


def test_task_files_are_tables_of_contents():
    for path in (ROLE / "tasks").glob("*.yml"):
        assert path.read_text().count("\n") <= 40, path.name


@pytest.mark.parametrize(("option", "value"), [("lock_wait", 5), ("lock_lease", 90), ("force", ["A"]), ("validate_certs", False)])
def test_each_variable_is_an_option_and_its_default_that_of_the_module(option: str, value: object):
    loader = DataLoader()
    (task,) = loader.load_from_file(str(ROLE / "tasks/main.yml"), trusted_as_template=True)
    text = task["blumeops.zot.forgejo_actions_secrets"][option]
    variable = f"forgejo_actions_secrets_{option}"
    assert Templar(loader, variables={variable: value}).template(text) == value
    assert DEFAULTS[variable] == ActionModule.SPEC[option]["default"]
