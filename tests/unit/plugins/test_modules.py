# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection promises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))


def documentation(path: Path, name: str = "DOCUMENTATION") -> dict:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{path.name} has no {name}")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_each_module_declares_its_attributes(path):
    text = documentation(path)
    declared = set(text["attributes"])
    if "blumeops.zot.attributes.info_module" in text["extends_documentation_fragment"]:
        declared |= {"check_mode", "diff_mode", "idempotent"}
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= declared
    assert "blumeops.zot.attributes.actiongroup_zot" in text["extends_documentation_fragment"]
    assert documentation(path, "EXAMPLES")
    assert documentation(path, "RETURN")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_each_module_supports_check_mode(path):
    source = path.read_text()
    has_action = (ROOT / "plugins/action" / path.name).exists()
    assert has_action or "supports_check_mode=True" in source


def test_the_action_group_is_whole():
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["zot"] == [path.stem for path in MODULES]
