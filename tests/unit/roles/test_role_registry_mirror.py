# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source, and become arguments that its module takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.blumeops.zot.plugins.action.zot_mirror import ActionModule
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

ROLE = Path(__file__).resolve().parents[3] / "roles/registry_mirror"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
TASKS = yaml.safe_load((ROLE / "tasks/main.yml").read_text())


def arguments(**given):
    """What the module is given with these variables, as it sees it."""
    loader = DataLoader()
    variables, tasks = (loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True) for part in ("defaults", "tasks"))
    rendered = plain(Templar(loader, variables={**variables, **given}).template(tasks[0]["blumeops.zot.zot_mirror"]), "arguments")
    found = ArgumentSpecValidator(ActionModule.SPEC).validate(rendered)
    assert found.error_messages == []
    return rendered


def test_specs_and_defaults_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_secrets_are_marked():
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == {"registry_mirror_password"}


def test_task_files_are_tables_of_contents():
    for path in [*(ROLE / "tasks").glob("*.yml"), *(ROLE / "handlers").glob("*.yml")]:
        assert path.read_text().count("\n") <= 40, path.name


def test_each_option_of_the_module_is_a_variable():
    assert {f"registry_mirror_{name}" for name in ActionModule.SPEC} == set(OPTIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", {"url": "https://r.test"}),
        ("upstreams", ["quay.io"]),
        ("clients", [{"name": "podman"}]),
        ("proxy", "https://hub.test"),
        ("username", "node"),
        ("password", "canary"),
        ("ca", "PEM"),
    ],
)
def test_each_variable_is_an_option(name, value):
    assert arguments(**{f"registry_mirror_{name}": value})[name] == value


def test_the_registry_is_that_of_the_play():
    given = arguments(zot_external_url="https://registry.example.org", zot_upstreams=[{"name": "docker.io"}])
    assert (given["registry"], given["upstreams"]) == ("https://registry.example.org", [{"name": "docker.io"}])


def test_what_is_notified_is_a_handler_and_every_task_has_the_tag():
    handlers = yaml.safe_load((ROLE / "handlers/main.yml").read_text())
    notified = {item["notify"] for item in [*TASKS, *handlers] if "notify" in item}
    assert notified == {handler["name"] for handler in handlers}
    assert all(task["tags"] == ["registry_mirror"] for task in TASKS)
