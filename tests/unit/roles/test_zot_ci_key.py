# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source, and become arguments that its module takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.blumeops.zot.plugins.action.zot_rotating_key import ActionModule
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy

ROLE = Path(__file__).resolve().parents[3] / "roles/zot_ci_key"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
FORGE = {
    "forgejo_actions_secrets_api_url": "https://forge.example.org",
    "forgejo_actions_secrets_zot_ci_repositories": ["eblume/blumeops", "eblume/cv"],
}


def arguments(**given):
    """What the module is given with these variables, as it sees it."""
    loader = DataLoader()
    variables, vars_of_role, tasks = (
        loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True) for part in ("defaults", "vars", "tasks")
    )
    task = tasks[0]
    templar = Templar(loader, variables={**variables, **vars_of_role, "omit": "omitted", **given})
    rendered = plain(templar.template(task["blumeops.zot.zot_rotating_key"]), "arguments")
    wanted = {name: value for name, value in rendered.items() if value != "omitted"}
    found = ArgumentSpecValidator(ActionModule.SPEC).validate(wanted)
    assert found.error_messages == []
    return found.validated_parameters


def test_specs_and_defaults_agree_in_keys_and_values():
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_secrets_are_marked():
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == {"zot_ci_key_forge_token"}


def test_its_own_variables_are_private():
    assert all(name.startswith("__zot_ci_key_") for name in yaml.safe_load((ROLE / "vars/main.yml").read_text()))


def test_task_files_are_tables_of_contents():
    for path in (ROLE / "tasks").glob("*.yml"):
        assert path.read_text().count("\n") <= 40, path.name


def test_the_defaults_are_those_of_the_module():
    given = arguments(zot_external_url="https://registry.example.org")
    assert given["url"] == "https://registry.example.org"
    of_module = {
        name: ActionModule.SPEC[name]["default"]
        for name in ("state", "max_age", "overlap", "grace", "label", "may", "may_not", "validate_certs")
    }
    assert {name: given[name] for name in of_module} == of_module
    assert given["published_in"] == []
    assert (given["password_field"], given["renew_after"], given["ca_path"]) == (None, None, None)
    assert Policy.of(given) == Policy()


def test_the_key_is_published_where_the_publisher_puts_it():
    (forge,) = arguments(**FORGE)["published_in"]
    assert (forge["url"], forge["validate_certs"], forge["ca_path"]) == ("https://forge.example.org", True, None)
    scopes = [(scope["repository"], scope["name"]) for scope in forge["scopes"]]
    assert scopes == [("eblume/blumeops", "ZOT_CI_API_KEY"), ("eblume/cv", "ZOT_CI_API_KEY")]
    assert forge["token"] is None
    assert forge["token_store"]["field"] == "api-token"


def test_a_token_that_is_given_goes_before_the_store():
    (forge,) = arguments(**FORGE, forgejo_actions_secrets_token="canary")["published_in"]
    assert (forge["token"], forge["token_store"]) == ("canary", None)


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("registry", "https://elsewhere.example.org", "url"),
        ("username", "robot", "username"),
        ("validate_certs", False, "validate_certs"),
        ("ca_path", "/etc/ca.pem", "ca_path"),
        ("password_field", "pw", "password_field"),
        ("max_age", "30d", "max_age"),
        ("renew_after", "10d", "renew_after"),
        ("overlap", "2d", "overlap"),
        ("grace", "2h", "grace"),
        ("label", "homelab", "label"),
        ("state", "sole", "state"),
        ("repositories", ["a/b"], "repositories"),
        ("may", ["read"], "may"),
        ("may_not", [], "may_not"),
    ],
)
def test_each_variable_is_an_option(name, value, option):
    assert arguments(**{f"zot_ci_key_{name}": value})[option] == value


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("forge_url", "https://other.example.org", lambda forge: forge["url"]),
        ("forge_validate_certs", False, lambda forge: forge["validate_certs"]),
        ("forge_ca_path", "/etc/forge.pem", lambda forge: forge["ca_path"]),
        ("secret_name", "OTHER", lambda forge: forge["scopes"][0]["name"]),
        ("forge_repositories", ["a/b"], lambda forge: [scope["repository"] for scope in forge["scopes"]]),
        ("vault", "home", lambda forge: forge["token_store"]["vault"]),
    ],
)
def test_each_variable_of_the_forge_is_an_option(name, value, found):
    (forge,) = arguments(**{**FORGE, f"zot_ci_key_{name}": value})["published_in"]
    assert found(forge) == value


def test_the_vault_is_that_of_both_stores():
    assert arguments(zot_ci_key_vault="home")["store"]["vault"] == "home"


@pytest.mark.parametrize(
    ("result", "pending"),
    [
        (None, False),
        ({"changed": False, "skipped": True}, False),
        ({"changed": True, "key": {"uuid": "1"}}, False),  # only others are revoked
        ({"changed": True, "key": None}, True),
    ],
)
def test_a_check_of_the_publisher_knows_whether_the_key_would_be_a_new_one(result, pending):
    """In check mode this role has made nothing: what it registers tells the role that publishes."""
    task, *_rest = yaml.safe_load((ROLE / "tasks/main.yml").read_text())
    publisher, loader = ROLE.parent / "forgejo_actions_secrets", DataLoader()
    parts = [loader.load_from_file(str(publisher / part / "main.yml"), trusted_as_template=True) for part in ("defaults", "vars")]
    given = {"forgejo_actions_secrets_zot_ci_repositories": ["a/b"], **({task["register"]: result} if result else {})}
    (scope,) = Templar(loader, variables={**parts[0], **parts[1], **given}).template(parts[1]["__forgejo_actions_secrets_zot_ci"])
    assert scope["secrets"][0]["pending"] is pending
