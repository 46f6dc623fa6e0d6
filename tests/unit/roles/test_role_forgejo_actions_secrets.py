# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source: specs and defaults agree."""

from __future__ import annotations

from pathlib import Path

import yaml

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
