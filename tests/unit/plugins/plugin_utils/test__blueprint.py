# SPDX-License-Identifier: GPL-3.0-or-later
"""What a blueprint says, and what authentik's importer, as far as it is modelled, makes of it."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import load as load_document
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Authentik, side_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from support.authentik import CERTIFICATE, BlueprintError
from support.authentik import Authentik as Model
from support.blueprints import SIDE, blueprint, changed

ENVIRONMENT = {"AUTHENTIK_ZOT_CLIENT_SECRET": "canary-5e1d"}
PROVIDER = {"issuer": "https://a.example.org/application/o/zot/", "credentialsFile": "/c.json"}
GROUP, USER = "authentik_core.group", "authentik_core.user"
BINDING = "authentik_policies.policybinding"
OAUTH = "authentik_providers_oauth2.oauth2provider"


def entries(text: str, model: str) -> list[dict[str, t.Any]]:
    return [entry for entry in load(text)["entries"] if entry["model"] == model]


def attrs(text: str, model: str = OAUTH) -> dict[str, t.Any]:
    (entry,) = entries(text, model)
    return {**entry["attrs"], **entry["identifiers"]}


def side(http: dict[str, t.Any], client_id: str = "zot", provider: str = "") -> t.Any:
    tree = {"http": {"externalUrl": "https://r.example.org", **http}}
    return side_of(load_document(tree, Release("2.1.20")), client_id, provider)


def openid(**providers: t.Any) -> dict[str, t.Any]:
    return {"auth": {"openid": {"providers": providers}}}


# --- the registry's side


def test_the_side_is_what_zot_reads():
    found = side(
        {
            **openid(OIDC={**PROVIDER, "scopes": ["email"], "claimMapping": {"username": "preferred_username", "groups": "roles"}}),
            "accessControl": {
                "adminPolicy": {"groups": ["root"], "actions": ["read"]},
                "repositories": {
                    "A/**": {"policies": [{"groups": ["b", "a"], "actions": ["read"]}, {"users": ["x"], "actions": ["read"]}]}
                },
                "groups": {"Local": {"users": ["x"]}},
            },
        }
    )
    assert found.redirect_uri == "https://r.example.org/zot/auth/callback/oidc"
    assert (found.issuer, found.slug, found.client_id) == (PROVIDER["issuer"], "zot", "zot")
    assert (found.username_claim, found.groups_claim) == ("preferred_username", "roles")
    assert found.scopes == ("openid", "email")
    assert (found.groups, found.local_groups) == (("a", "b", "root"), frozenset({"local"}))


def test_without_a_claim_mapping_zot_takes_the_email_address_and_groups():
    found = side(openid(oidc=PROVIDER))
    assert (found.username_claim, found.groups_claim, found.scopes, found.groups) == ("email", "groups", ("openid",), ())


def test_an_address_with_a_slash_at_its_end_gets_no_second():
    assert replace(SIDE, external_url="https://r.example.org/").redirect_uri == "https://r.example.org/zot/auth/callback/oidc"


def test_one_of_several_providers_is_named():
    two = openid(oidc=PROVIDER, other={**PROVIDER, "issuer": "https://b.example.org/application/o/x/"})
    assert side(two, provider="Other").slug == "x"
    for name in ("", "third"):
        with pytest.raises(ZotError, match="the registry's are oidc, other"):
            side(two, provider=name)
    with pytest.raises(ZotError, match="the registry's are oidc"):
        side(openid(oidc=PROVIDER), provider="github")


@pytest.mark.parametrize(
    ("http", "message"),
    [
        ({}, "no OpenID provider"),
        ({**openid(oidc=PROVIDER), "externalUrl": ""}, "zot_external_url"),
        ({**openid(oidc=PROVIDER), "externalUrl": "r"}, "zot_external_url"),
    ],
)
def test_where_nobody_could_log_in_is_an_error(http, message):
    with pytest.raises(ZotError, match=message):
        side(http)


def test_a_client_id_may_stand_in_an_old_configuration():
    assert side(openid(oidc={**PROVIDER, "clientid": "old"}), client_id="").client_id == "old"


# --- releases


@pytest.mark.parametrize(("text", "number"), [("2026.2", (2026, 2)), ("2026.12.3", (2026, 12)), ("version/2025.8", (2025, 8))])
def test_releases(text, number):
    assert Authentik.of(text).number == number


@pytest.mark.parametrize("text", ["2026", "v1", "", "2026.2-rc1", 2026.2e6, "2023.10", 2026.10])
def test_what_is_no_release_is_an_error(text):
    with pytest.raises(ZotError):
        Authentik.of(text)


def test_a_newer_release_is_taken_for_the_newest_that_is_known():
    assert Authentik.of("2027.2").unknown
    assert not Authentik.of("2026.8").unknown
    assert blueprint(release=Authentik.of("2027.2")) == blueprint(release=Authentik.of("2026.8"))


def test_each_release_gets_the_fields_it_knows():
    old, new = (attrs(blueprint(release=Authentik.of(release))) for release in ("2026.2", "2026.5"))
    assert "grant_types" not in old
    assert new["grant_types"] == ["authorization_code"]
    assert old["redirect_uris"] == [{"matching_mode": "strict", "url": SIDE.redirect_uri}]
    assert new["redirect_uris"] == [{"matching_mode": "strict", "url": SIDE.redirect_uri, "redirect_uri_type": "authorization"}]


@pytest.mark.parametrize(("release", "relation"), [("2025.12", "ak_groups"), ("2026.2", "groups")])
def test_a_mapping_of_our_own_asks_for_the_groups_as_the_release_has_them(release, relation):
    text = blueprint(replace(SIDE, groups_claim='say "x"'), Authentik.of(release))
    (mapping,) = entries(text, "authentik_providers_oauth2.scopemapping")
    assert mapping["attrs"]["expression"] == f'return {{"say \\"x\\"": [group.name for group in request.user.{relation}.all()]}}\n'
    assert mapping["attrs"]["scope_name"] == "openid"


def test_authentiks_own_mapping_of_groups_is_enough_where_it_is_asked_for():
    assert entries(blueprint(), "authentik_providers_oauth2.scopemapping") == []
    assert (
        len(
            entries(blueprint(replace(SIDE, scopes=("openid", "email"), username_claim="email")), "authentik_providers_oauth2.scopemapping")
        )
        == 1
    )


# --- what cannot be


@pytest.mark.parametrize(
    ("changes", "wanted", "message"),
    [
        ({"client_id": ""}, {}, "client_id"),
        ({"issuer": "https://a.example.org/application/o/zot"}, {}, "slash at its end"),
        ({"issuer": "https://a.example.org/application/o/a b/"}, {}, "slash at its end"),
        ({"issuer": "https://a.example.org/"}, {}, "slash at its end"),
        ({}, {"release": Authentik.of("2024.8")}, "2024.10 and newer"),
        ({}, {"secret_env": ""}, "environment variable or from a file"),
        ({}, {"secret_file": "/run/secret"}, "environment variable or from a file"),
        ({}, {"secret_env": "canary-5e1d"}, "never its value"),
        ({"groups": ()}, {}, "no policy names a group"),
        ({"scopes": ("openid", "profile", "x")}, {}, "no mapping for x"),
        ({"username_claim": "nick"}, {}, "has authentik say nick"),
        ({"scopes": ("openid", "email")}, {}, "has authentik say preferred_username"),
        ({}, {"retired_groups": ("admins",)}, "admins is named"),
        ({}, {"retired_groups": ("others",), "bound_groups": ("others",)}, "others is named"),
    ],
)
def test_what_authentik_could_not_have_is_an_error(changes, wanted, message):
    with pytest.raises(ZotError, match=message) as caught:
        blueprint(replace(SIDE, **changes), **wanted)
    assert "canary" not in str(caught.value)


# --- at authentik


@pytest.fixture
def model():
    made = Model(ENVIRONMENT)
    made.person("ada", "admins", "others")
    return made


def test_all_is_there_after_it_was_applied_and_a_second_time_changes_nothing(model):
    text = blueprint(service_users=({"username": "zot-ci", "groups": ["artifact-workloads"]},))
    model.apply(text)
    provider, application = model.one(OAUTH), model.one("authentik_core.application")
    assert (provider["client_id"], provider["client_secret"]) == ("zot", "canary-5e1d")
    assert provider["signing_key"] == model.one("authentik_crypto.certificatekeypair", name=CERTIFICATE)["pk"]
    assert (application["slug"], application["provider"]) == ("zot", provider["pk"])
    user = model.one(USER, username="zot-ci")
    assert [model.by_key(key, GROUP)["name"] for key in user["groups"]] == ["artifact-workloads"]
    assert (user["type"], "email" in user) == ("service_account", False)
    before = [dict(one) for one in model.objects]
    model.apply(text)
    assert model.objects == before


def test_what_is_there_already_is_taken_over(model):
    """As the reference house has it, whose provider was made by another blueprint."""
    there = model.add(OAUTH, name="Zot", client_id="zot", client_secret="old", jwt="kept")
    group = model.one(GROUP, name="admins")
    group["attributes"] = {"kept": True}
    model.apply(blueprint())
    assert len(model.all(OAUTH)) == 1
    assert (there["jwt"], there["client_secret"]) == ("kept", "canary-5e1d")
    assert group["attributes"] == {"kept": True}
    assert len(model.all(GROUP, name="admins")) == 1


def test_who_is_bound_gets_in(model):
    model.person("eve", "others")
    model.apply(blueprint())
    application = model.one("authentik_core.application")
    assert model.allows("ada", application)
    assert not model.allows("eve", application)
    assert [model.by_key(one["group"], GROUP)["name"] for one in model.all(BINDING)] == ["admins", "artifact-workloads"]


def test_nothing_is_applied_without_the_secret():
    model = Model({"AUTHENTIK_ZOT_CLIENT_SECRET": ""})
    before = list(model.objects)
    with pytest.raises(BlueprintError, match="client_secret: This field may not be null"):
        model.apply(blueprint())
    assert model.objects == before


def test_nothing_is_applied_without_the_certificate_where_a_bare_find_would_pass():
    model = Model(ENVIRONMENT, certificates=())
    before, text = list(model.objects), blueprint()
    with pytest.raises(BlueprintError, match=f"signing_key: there is no certificate named {CERTIFICATE}"):
        model.apply(text)
    assert model.objects == before
    guard = text[text.index("!If [") : text.index("\n", text.index("!If ["))]
    bare = f"!Find [authentik_crypto.certificatekeypair, [name, {CERTIFICATE}]]"
    model.apply(changed(text, guard, bare))
    assert model.one(OAUTH)["signing_key"] is None


@pytest.mark.parametrize("missing", ["authentik_flows.flow", "authentik_providers_oauth2.scopemapping"])
def test_nothing_is_applied_where_what_it_looks_for_is_missing(missing):
    model = Model(ENVIRONMENT)
    model.objects = [one for one in model.objects if one["model"] != missing]
    with pytest.raises(BlueprintError, match=r"null|does not exist"):
        model.apply(blueprint())


def test_a_retired_group_loses_its_binding_and_no_other_does(model):
    model.apply(blueprint(bound_groups=("admins", "others")))
    model.apply(blueprint(retired_groups=("others", "never-there")))
    assert [model.by_key(one["group"], GROUP)["name"] for one in model.all(BINDING)] == ["admins", "artifact-workloads"]


def test_what_has_to_come_before_is_named():
    names = [
        (entry["attrs"]["identifiers"]["name"], entry["attrs"]["required"])
        for entry in entries(blueprint(after=("Common",)), "authentik_blueprints.metaapplyblueprint")
    ]
    assert names[-1] == ("Common", True)
    assert [required for _name, required in names[:-1]] == [False] * 3
    own = blueprint(authorization_flow="mine", invalidation_flow="mine-too")
    assert len(entries(own, "authentik_blueprints.metaapplyblueprint")) == 1
    assert (attrs(own)["authorization_flow"].parts[1][1], attrs(own)["invalidation_flow"].parts[1][1]) == ("mine", "mine-too")


def test_the_secret_may_come_from_a_file_of_the_worker():
    secret = attrs(blueprint(secret_env="", secret_file="/run/secrets/zot"))["client_secret"]
    assert (secret.name, secret.value) == ("File", "/run/secrets/zot")


def test_names_are_those_that_were_given():
    text = blueprint(
        name="Registry: home", signing_key="a 'key'", service_users=({"username": "ci", "name": "CI", "email": "ci@x", "groups": []},)
    )
    assert attrs(text)["name"] == attrs(text, "authentik_core.application")["name"] == "Registry: home"
    assert load(text)["metadata"]["name"] == "Registry: home SSO"
    assert attrs(text)["signing_key"].parts[2] == "there is no certificate named a 'key'"
    assert attrs(text, USER) == {
        "username": "ci",
        "name": "CI",
        "email": "ci@x",
        "type": "service_account",
        "path": "service-accounts",
        "groups": [],
    }
