# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say is there: rules, modules, variables, files."""

from __future__ import annotations

import functools
import importlib.util
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import RULES

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
EXAMPLES = sorted((DOCS / "examples").rglob("*.yaml"))
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]

by_name = pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def test_the_reference_is_up_to_date_and_has_every_rule() -> None:
    spec = importlib.util.spec_from_file_location("docs_rules", DOCS / "rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert text == module.page(), "run: python docs/rules.py"
    assert all(f"### {rule.code}\n" in text for rule in RULES)


# --- names


@functools.cache
def variables() -> set[str]:
    """Of all roles."""
    specs = [yaml.safe_load(path.read_text()) for path in CHECKOUT.glob("roles/*/meta/argument_specs.yml")]
    return {name for spec in specs for name in spec["argument_specs"]["main"]["options"]}


@functools.cache
def metrics() -> set[str]:
    """What the role zot_monitoring asks for, or tells."""
    texts = [path.read_text() for path in CHECKOUT.glob("roles/zot_monitoring/templates/*.j2")]
    return {name for text in texts for name in re.findall(r"\bzot_[a-z_]+", text)}


@functools.cache
def parts() -> set[str]:
    """What is called blumeops.zot.NAME."""
    folders = ("plugins/modules/*.py", "plugins/filter/*.py", "playbooks/*.yml", "roles/*")
    return {path.stem for pattern in folders for path in CHECKOUT.glob(pattern)}


@by_name
def test_every_part_of_the_collection_that_is_named_is_there(path: Path) -> None:
    named = set(re.findall(r"\bblumeops\.zot\.(?!git\b)(\w+)", path.read_text()))
    assert named - parts() == set()


@by_name
def test_every_variable_that_is_named_is_one(path: Path) -> None:
    named = set(re.findall(r"(?<![\w.:/-])(?:zot|forgejo_actions_secrets)_[a-z_]+\b(?![.*(])", path.read_text()))
    tags = {"zot_prove"}
    assert named - variables() - parts() - metrics() - tags == set()


@page
def test_links_and_commands_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert {link for link in links if link and not (path.parent / link).exists()} == set()
    commands = set(re.findall(r"(?<![\w/.-])((?:bin|playbooks|tests|docs)/[\w./-]*\w)", text))
    assert {command for command in commands if not (CHECKOUT / command).exists()} == set()


# --- YAML


def blocks(path: Path) -> list[str]:
    text = path.read_text()
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if path.suffix == ".md" else [text]


@by_name
def test_every_example_can_be_parsed(path: Path) -> None:
    for block in blocks(path):
        # A continuation of the block before it is indented; one mapping on each line is no document.
        lines = [line for line in block.splitlines() if line.strip()]
        flow = all(line.startswith("{") for line in lines)
        assert [yaml.safe_load(line) for line in lines] if flow else yaml.safe_load(block)


def tasks(node: t.Any) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Modules of ours, with their arguments."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else ()):
        if str(key).startswith("blumeops.zot.") and isinstance(value, dict):
            yield str(key).removeprefix("blumeops.zot."), value
        yield from tasks(value)


@page
def test_the_options_of_tasks_are_those_of_their_modules(path: Path) -> None:
    for block in blocks(path):
        for name, given in tasks(yaml.safe_load(block) if "blumeops.zot." in block else None):
            text = (CHECKOUT / "plugins" / "modules" / f"{name}.py").read_text()
            documented = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])["options"]
            assert set(given) - set(documented) == set(), name
