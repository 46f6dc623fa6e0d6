# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference of the rules is what the rules say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import RULES

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_reference_is_up_to_date_and_has_every_rule() -> None:
    spec = importlib.util.spec_from_file_location("docs_rules", DOCS / "rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert text == module.page(), "run: python docs/rules.py"
    assert all(f"### {rule.code}\n" in text for rule in RULES)
