# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source: specs, defaults and the action's settings agree."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/zot"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def test_specs_and_defaults_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_secrets_are_marked():
    secret = {name for name, option in OPTIONS.items() if option.get("no_log")}
    assert secret == {"zot_oidc_client_secret", "zot_upstream_passwords", "zot_local_passwords"}


def test_role_and_action_agree_about_the_settings():
    for name, setting in SETTINGS.items():
        option = OPTIONS.get(f"zot_{name}") or OPTIONS[f"zot_config_{name}"]
        assert option["type"] == setting["type"], name
        assert option.get("choices") == setting.get("choices"), name
        if name not in ("data_dir", "oidc"):
            assert option["default"] == setting["default"], name


def test_task_files_are_tables_of_contents():
    for path in (ROLE / "tasks").glob("*.yml"):
        lines = path.read_text().count("\n")
        assert lines <= (40 if path.name == "main.yml" else 80), path.name
