# SPDX-License-Identifier: GPL-3.0-or-later
"""The task zot_authentik_blueprint: made, made again, checked, refused; and compared."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_authentik_blueprint import ActionModule
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import MARK
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from support.blueprints import SETTINGS as GIVEN
from support.blueprints import changed
from support.modules import Action

MAP = {"name": "authentik-blueprints", "namespace": "authentik"}
MANIFEST = """# theirs
apiVersion: v1
kind: ConfigMap
metadata:
  name: authentik-blueprints
data:
  common.yaml: |
    version: 1
"""
BLUEOPS = """version: 1
metadata: {name: SSO}
entries:
  - {model: authentik_core.group, id: workloads, identifiers: {name: artifact-workloads}}
  - model: authentik_providers_oauth2.oauth2provider
    id: provider
    identifiers: {name: Zot}
    attrs:
      authorization_flow: !Find [authentik_flows.flow, [slug, default-provider-authorization-implicit-consent]]
      invalidation_flow: !Find [authentik_flows.flow, [slug, default-provider-invalidation-flow]]
      client_type: confidential
      client_id: zot
      client_secret: !Env AUTHENTIK_ZOT_CLIENT_SECRET
      redirect_uris:
        - {matching_mode: strict, url: "https://registry.example.org/zot/auth/callback/oidc"}
      signing_key: !Find [authentik_crypto.certificatekeypair, [name, authentik Self-signed Certificate]]
      property_mappings:
        - !Find [authentik_providers_oauth2.scopemapping, [scope_name, openid]]
        - !Find [authentik_providers_oauth2.scopemapping, [scope_name, email]]
        - !Find [authentik_providers_oauth2.scopemapping, [scope_name, profile]]
  - model: authentik_core.application
    id: application
    identifiers: {slug: zot}
    attrs: {name: Zot, provider: !KeyOf provider, policy_engine_mode: any}
  - model: authentik_policies.policybinding
    identifiers: {order: 0, target: !KeyOf application, group: !Find [authentik_core.group, [name, admins]]}
  - model: authentik_policies.policybinding
    identifiers: {order: 1, target: !KeyOf application, group: !KeyOf workloads}
"""


class Blueprint:
    """The task, and a folder for its playbook."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "zot.yaml"
        self.task = Action(ActionModule, playbook=folder)

    def __call__(self, check=False, **options):
        common = {"path": "zot.yaml", "release": "2.1.20", "authentik_release": "2026.2"}
        settings = {} if "document" in options else {"settings": GIVEN}
        given = {**common, **settings, **options}
        return self.task(check, **{name: value for name, value in given.items() if value is not None})


@pytest.fixture
def blueprint(tmp_path):
    return Blueprint(tmp_path)


def codes(result):
    return [finding["code"] for finding in result["findings"]]


def test_it_is_made(blueprint):
    result = blueprint()
    assert (result["changed"], result["failed"], result["ok"], result["summary"]) == (True, False, True, "the two sides agree")
    assert blueprint.path.read_text() == result["blueprint"]
    assert result["blueprint"].startswith(MARK)
    assert result["environment"] == ["AUTHENTIK_ZOT_CLIENT_SECRET"]
    assert result["redirect_uri"] == "https://registry.example.org/zot/auth/callback/oidc"
    (diff,) = result["diff"]
    assert (diff["before"], diff["after"]) == ("", result["blueprint"])


def test_it_is_made_once(blueprint):
    blueprint()
    again = blueprint()
    assert (again["changed"], "diff" in again) == (False, False)


def test_a_check_tells_the_same_and_writes_nothing(blueprint):
    planned = blueprint(check=True)
    assert not blueprint.path.exists()
    assert planned == blueprint()


def test_a_link_stays_one(blueprint):
    (blueprint.folder / "elsewhere").mkdir()
    blueprint.path.symlink_to("elsewhere/zot.yaml")
    for _new_and_then_there in range(2):
        assert blueprint(name="Home" if blueprint.path.exists() else "Zot")["changed"]
        assert blueprint.path.is_symlink()
    assert "name: Home" in (blueprint.folder / "elsewhere" / "zot.yaml").read_text()


@pytest.mark.parametrize(("key", "warned"), [("zot.yaml", False), ("zot.yml", True), ("zot", True)])
def test_a_key_that_authentik_would_not_read_is_told(blueprint, key, warned):
    result = blueprint(config_map={**MAP, "key": key})
    assert result["changed"]
    assert any("authentik reads files that end in .yaml alone" in text for text in result["warnings"]) is warned


def test_without_a_path_it_is_only_returned(blueprint):
    result = blueprint(path=None)
    assert (result["changed"], list(blueprint.folder.iterdir())) == (False, [])
    assert "entries:" in result["blueprint"]


def test_it_is_one_key_of_a_manifest(blueprint):
    blueprint.path.write_text(MANIFEST)
    result = blueprint(config_map=MAP)
    text = blueprint.path.read_text()
    assert text.startswith(MANIFEST)
    assert yaml.safe_load(text)["data"]["zot.yaml"] == result["blueprint"]
    (diff,) = result["diff"]
    assert (diff["before"], diff["after"]) == ("", result["blueprint"])
    assert "key zot.yaml of authentik-blueprints" in diff["after_header"]
    assert not blueprint(config_map=MAP)["changed"]
    assert not blueprint(config_map=MAP, state="judged")["changed"]


@pytest.mark.parametrize("place", [None, MAP])
def test_what_was_made_by_hand_is_not_lost_without_a_word(blueprint, place):
    text = BLUEOPS if place is None else MANIFEST + "  zot.yaml: |\n    version: 1\n"
    blueprint.path.write_text(text)
    for check in (True, False):
        result = blueprint(check, config_map=place)
        assert result["failed"]
        assert "replace: true" in result["msg"]
        assert blueprint.path.read_text() == text
    assert blueprint(config_map=place, replace=True)["changed"]


def test_an_empty_file_is_nobodys(blueprint):
    blueprint.path.write_text("\n")
    assert blueprint()["changed"]


@pytest.mark.parametrize("key", ["external_url", "oidc", "grants"])
def test_each_setting_is_one_of_both_sides(blueprint, key):
    other = {
        "external_url": "https://other.example.org",
        "oidc": {**GIVEN["oidc"], "client_id": "other"},
        "grants": [{"groups": ["others"], "actions": ["read"]}],
    }
    first = blueprint()["blueprint"]
    second = blueprint(settings={**GIVEN, key: other[key]})
    assert second["blueprint"] != first
    assert second["ok"]


def test_a_policy_and_a_provider_may_come_from_the_overrides(blueprint):
    policy = {"repositories": {"**": {"policies": [{"groups": ["others"], "actions": ["read"]}]}}}
    http = {"accessControl": policy, "externalUrl": "https://third.example.org"}
    result = blueprint(settings={**GIVEN, "grants": [], "overrides": {"http": http}})
    assert "name: others" in result["blueprint"]
    assert result["redirect_uri"].startswith("https://third.example.org/")


@pytest.mark.parametrize(
    ("option", "value", "piece"),
    [
        ("name", "Home", "name: Home"),
        ("client_secret_env", "ELSE", "!Env ELSE"),
        ("client_secret_file", "/run/zot", "!File '/run/zot'"),
        ("signing_key", "Mine", "[name, Mine]"),
        ("authorization_flow", "mine", "[slug, mine]"),
        ("invalidation_flow", "mine", "[slug, mine]"),
        ("bound_groups", ["admins", "more"], "name: more"),
        ("retired_groups", ["old"], "[name, old]"),
        ("service_users", [{"username": "bot"}], "username: bot"),
        ("after", ["Common"], "name: Common"),
        ("authentik_release", "2026.5", "grant_types: [authorization_code]"),
    ],
)
def test_each_option_of_authentiks_side(blueprint, option, value, piece):
    assert piece not in blueprint()["blueprint"]
    assert piece in blueprint(**{option: value})["blueprint"]


def test_a_client_that_is_named_apart_goes_before(blueprint):
    assert "client_id: apart" in blueprint(client_id="apart")["blueprint"]


def test_everybody_may_be_let_in(blueprint):
    result = blueprint(bound_groups=[])
    assert result["ok"]
    assert "policybinding" not in result["blueprint"]


def test_a_blueprint_with_warnings_is_written_unless_they_count(blueprint):
    result = blueprint(bound_groups=["admins"], fail_on="warning")
    assert result["failed"]
    assert "AK306" in result["msg"]
    assert (result["changed"], "diff" in result) == (False, False)
    assert not blueprint.path.exists()
    assert blueprint(bound_groups=["admins"])["warnings"]
    assert blueprint.path.exists()


# --- compared


def test_a_blueprint_that_was_made_by_hand_is_compared(blueprint):
    """The reference house's, in shape: what it lacks, and what is right."""
    blueprint.path.write_text(BLUEOPS)
    result = blueprint(state="judged")
    assert (result["changed"], result["failed"]) == (False, False)
    assert sorted(set(codes(result))) == ["AK212", "AK302", "AK313", "AK314"]
    assert blueprint.path.read_text() == BLUEOPS
    wrong = blueprint(state="judged", settings={**GIVEN, "external_url": "https://registry.example.net"})
    assert wrong["failed"]
    assert "AK203" in wrong["msg"]


def test_a_blueprint_of_theirs_lets_in_everybody_only_where_that_is_meant(blueprint):
    blueprint.path.write_text(BLUEOPS[: BLUEOPS.index("  - model: authentik_policies")])
    given = {"state": "judged", "settings": {**GIVEN, "grants": [{"authenticated": True, "actions": ["read"]}]}}
    assert "AK304" in codes(blueprint(**given))
    assert blueprint(**given, bound_groups=[])["ok"]


def test_a_whole_configuration_is_the_other_side(blueprint):
    blueprint.path.write_text(BLUEOPS)
    provider = {
        "issuer": GIVEN["oidc"]["issuer"],
        "credentialsFile": "/c.json",
        "scopes": ["openid", "profile"],
        "claimMapping": {"username": "preferred_username"},
    }
    http = {"externalUrl": GIVEN["external_url"], "auth": {"openid": {"providers": {"oidc": provider, "second": provider}}}}
    result = blueprint(state="judged", document={"http": http}, provider="oidc", client_id="zot")
    assert result["ok"]
    assert "AK202" in codes(blueprint(state="judged", document={"http": http}, provider="oidc", client_id="x"))
    assert "AK203" in codes(blueprint(state="judged", document={"http": http}, provider="second", client_id="zot"))


def test_the_provider_is_asked_when_that_is_wanted(blueprint, monkeypatch):
    asked = []

    def transport(_method, url, verify=True, ca_path=None):
        asked.append((url, verify, ca_path))
        return Response(200, json.dumps({"issuer": "https://other.example.org/"}).encode())

    monkeypatch.setattr(ActionModule, "transport", staticmethod(transport))
    assert blueprint()["ok"]
    assert asked == []
    result = blueprint(discovery=True, validate_certs=False, ca_path="/ca.pem")
    assert codes(result) == ["AK402"]
    assert asked == [(GIVEN["oidc"]["issuer"] + ".well-known/openid-configuration", False, "/ca.pem")]


# --- refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "nowhere/zot.yaml"}, "is no folder on the controller"),
        ({"state": "judged"}, "there is no blueprint on the controller"),
        ({"settings": {}}, "no OpenID provider"),
        ({"settings": {**GIVEN, "external_url": ""}}, "zot_external_url"),
        ({"settings": {**GIVEN, "grants": [{"groups": ["a"]}]}}, "no actions"),
        ({"authentik_release": "new"}, "authentik_release"),
        ({"release": "1.4.3"}, "zot 1.4.3 is older"),
    ],
)
def test_what_cannot_be_is_refused(blueprint, options, message):
    result = blueprint(**options)
    assert result["failed"]
    assert message in result["msg"]
    assert list(blueprint.folder.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"state": "judged", "path": None},
        {"path": None, "config_map": MAP},
        {"document": {}, "settings": GIVEN},
        {"settings": None},
        {"nonsense": 1},
        {"state": "absent"},
    ],
)
def test_options_go_together(blueprint, options):
    with pytest.raises(AnsibleActionFail):
        blueprint(**options)


def test_a_key_that_is_not_there_cannot_be_compared(blueprint):
    blueprint.path.write_text(MANIFEST)
    assert "key zot.yaml of authentik-blueprints: there is no blueprint" in blueprint(state="judged", config_map=MAP)["msg"]


def test_what_is_no_text_is_left_alone(blueprint):
    blueprint.path.write_bytes(b"\xff")
    assert "is no text" in blueprint()["msg"]
    assert blueprint.path.read_bytes() == b"\xff"


def test_a_secret_in_a_blueprint_is_found_and_not_told(blueprint):
    blueprint.path.write_text(changed(BLUEOPS, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", "canary-2f6a"))
    result = blueprint(state="judged")
    assert "AK303" in result["msg"]
    assert "canary" not in json.dumps(result)


@pytest.mark.parametrize(
    "edit",
    [
        lambda _ours: changed(BLUEOPS, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", "canary-2f6a"),
        lambda ours: changed(ours, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", "canary-2f6a"),
        lambda ours: ours + "  - {model: authentik_core.user, identifiers: {username: x}, attrs: {password: canary-2f6a}}\n",
        lambda ours: ours + "  broken: [canary-2f6a\n",
        lambda _ours: f"{MARK}entries: canary-2f6a\n",
    ],
)
def test_a_secret_that_somebody_wrote_into_it_is_not_shown_when_it_goes(blueprint, edit):
    ours = blueprint()["blueprint"]
    blueprint.path.write_text(edit(ours))
    result = blueprint(replace=True)
    assert result["changed"]
    assert "canary" not in json.dumps(result)
    assert blueprint.path.read_text() == ours


def test_what_was_ours_is_shown_as_it_was(blueprint):
    before = blueprint()["blueprint"]
    (diff,) = blueprint(name="Home")["diff"]
    assert diff["before"] == before


def test_the_settings_are_those_of_the_configuration():
    options = ActionModule.SPEC["settings"]["options"]
    assert options == {name: SETTINGS[name] for name in options}
