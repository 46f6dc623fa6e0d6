# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source, and become arguments that its module takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.blumeops.zot.plugins.action.zot_authentik_blueprint import ActionModule
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from support.blueprints import GRANTS, SETTINGS

ROLE = Path(__file__).resolve().parents[3] / "roles/zot_authentik"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
REGISTRY = {"zot_external_url": SETTINGS["external_url"], "zot_oidc": SETTINGS["oidc"], "zot_grants": GRANTS}
PLACE = {"zot_authentik_path": "/srv/zot.yaml"}


def arguments(**given):
    """What the module is given with these variables, as it sees it."""
    loader = DataLoader()
    variables, tasks = (
        loader.load_from_file(str(ROLE / path), trusted_as_template=True) for path in ("defaults/main.yml", "tasks/blueprint.yml")
    )
    templar = Templar(loader, variables={**variables, "inventory_hostname": "indri", "omit": "omitted", **given})
    rendered = plain(templar.template(tasks[0]["blumeops.zot.zot_authentik_blueprint"]), "arguments")
    settings = {name: value for name, value in rendered["settings"].items() if value != "omitted"}
    wanted = {name: value for name, value in {**rendered, "settings": settings}.items() if value != "omitted"}
    found = ArgumentSpecValidator(ActionModule.SPEC).validate(wanted)
    assert found.error_messages == []
    return found.validated_parameters


def test_specs_and_defaults_agree_in_keys_and_values():
    assert {name: option.get("default") for name, option in OPTIONS.items()} == DEFAULTS


def test_no_variable_is_a_secret():
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == set()


def test_task_files_are_tables_of_contents():
    for path in (ROLE / "tasks").glob("*.yml"):
        assert path.read_text().count("\n") <= 40, path.name


def test_the_defaults_are_those_of_the_module():
    given = arguments(**REGISTRY, **PLACE)
    spec = {name: option.get("default") for name, option in ActionModule.SPEC.items()}
    own = ("path", "settings", "release", "authentik_release")
    assert {name: given[name] for name in spec if name not in own} == {name: spec[name] for name in spec if name not in own}


def test_the_registrys_variables_are_the_registrys_side():
    settings = arguments(
        **REGISTRY, **PLACE, zot_version="2.1.19", zot_groups={"a": ["b"]}, zot_local_users=["b"], zot_config_overrides={"http": {}}
    )
    assert settings["release"] == "2.1.19"
    given = settings["settings"]
    assert (given["external_url"], given["grants"], given["groups"]) == (SETTINGS["external_url"], GRANTS, {"a": ["b"]})
    assert (given["local_users"], given["overrides"], given["oidc"]["issuer"]) == (["b"], {"http": {}}, SETTINGS["oidc"]["issuer"])


def test_without_a_provider_the_module_says_what_is_missing():
    assert arguments(**PLACE)["settings"]["oidc"] is None


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("config_map", {"name": "m", "namespace": "n", "key": "k.yaml"}, "config_map"),
        ("replace", True, "replace"),
        ("state", "judged", "state"),
        ("fail_on", "warning", "fail_on"),
        ("zot_version", "2.1.18", "release"),
        ("provider", "second", "provider"),
        ("release", "2026.5", "authentik_release"),
        ("name", "Home", "name"),
        ("client_secret_env", "X", "client_secret_env"),
        ("client_secret_file", "/x", "client_secret_file"),
        ("signing_key", "Mine", "signing_key"),
        ("authorization_flow", "a", "authorization_flow"),
        ("invalidation_flow", "b", "invalidation_flow"),
        ("bound_groups", [], "bound_groups"),
        ("bound_groups", ["a"], "bound_groups"),
        ("retired_groups", ["a"], "retired_groups"),
        ("after", ["Common"], "after"),
        ("discovery", True, "discovery"),
        ("validate_certs", False, "validate_certs"),
        ("ca_path", "/ca.pem", "ca_path"),
    ],
)
def test_each_variable_is_an_option(name, value, option):
    assert arguments(**REGISTRY, **{**PLACE, f"zot_authentik_{name}": value})[option] == value


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("external_url", "https://other.example.org", "external_url"),
        ("local_users", ["x"], "local_users"),
        ("groups", {"x": ["y"]}, "groups"),
        ("grants", [], "grants"),
        ("config_overrides", {"http": {"port": "1"}}, "overrides"),
    ],
)
def test_each_variable_of_the_registry_is_a_setting(name, value, setting):
    assert arguments(**REGISTRY, **PLACE, **{f"zot_authentik_{name}": value})["settings"][setting] == value


def test_users_for_programs_are_those_of_the_module():
    (user,) = arguments(**REGISTRY, **PLACE, zot_authentik_service_users=[{"username": "bot", "groups": ["a"]}])["service_users"]
    assert (user["username"], user["groups"]) == ("bot", ["a"])
