# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_read import UNKNOWN, Blueprint, claims_of, known, may_be_null
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, load
from support.blueprints import RELEASE, SIDE, blueprint, changed

FIND = "!Find [a.b, [c, d]]"


@pytest.mark.parametrize(
    ("expression", "claims"),
    [
        ('return {"groups": [], "name": 1}', {"groups", "name"}),
        ('claims = {"a": 1}\nclaims["b"] = 2\nreturn claims', {"a", "b"}),
        ("return dict(a=1, b=2)", {"a", "b"}),
        ("return {}", set()),
        ("", set()),
        ("return {key: 1}", UNKNOWN),
        ('return {**request.user.attributes, "a": 1}', UNKNOWN),
        ("return {", UNKNOWN),
        ("\0", UNKNOWN),
    ],
)
def test_the_claims_of_an_expression(expression, claims):
    assert claims_of(expression) == claims


@pytest.mark.parametrize(
    ("text", "null"),
    [
        ("x", False),
        ("null", True),
        (FIND, True),
        ("!FindObject [a.b, [c, d]]", True),
        ("!KeyOf x", False),
        ("!Env X", True),
        ("!Env [X, null]", True),
        ("!Env [X, y]", False),
        ("!File /x", True),
        (f"!If [{FIND}, {FIND}, words]", False),
        (f"!If [{FIND}, {FIND}, null]", True),
        (f"!If [!Context x, {FIND}, words]", True),
        ("!Format [x]", False),
    ],
)
def test_what_may_be_null(text, null):
    assert may_be_null(load(f"a: {text}")["a"]) is null


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ("!Context a", "yes"),
        ("!Context [b, other]", "other"),
        ("!Context b", UNKNOWN),
        ("!Format ['%s/%s', !Context a, x]", "yes/x"),
        ("!Format ['%s', !Env X]", UNKNOWN),
        ("!Format ['%s']", UNKNOWN),
        ("!Env X", UNKNOWN),
    ],
)
def test_what_is_known_without_a_worker(text, value):
    assert known(load(f"a: {text}")["a"], {"a": "yes"}) == value


def read(text):
    return Blueprint.read(text, SIDE, RELEASE)


def test_references_lead_to_entries():
    found = read(blueprint())
    assert found.leads_to(Tag("KeyOf", "zot-provider")) is found.provider
    assert found.leads_to(Tag("Find", ["authentik_core.group", ["name", "admins"]])).name == "group-admins"
    for nowhere in (Tag("KeyOf", "x"), Tag("Find", ["authentik_core.group", ["name", "x"]]), Tag("Env", "X"), "zot-provider", None):
        assert found.leads_to(nowhere) is None


def test_one_with_the_clients_name_is_the_registrys_provider():
    other = "  - {model: authentik_providers_oauth2.oauth2provider, id: other, identifiers: {client_id: other}}\n"
    assert read(blueprint() + other).provider.name == "zot-provider"
    assert read(changed(blueprint(), "client_id: zot", "client_id: x")).provider.name == "zot-provider"
    assert read(changed(blueprint(), "client_id: zot", "client_id: x") + other).provider is None


def test_the_application_is_that_of_the_provider_whatever_its_slug():
    other = "  - {model: authentik_core.application, id: other, identifiers: {slug: zot}}\n"
    assert read(changed(blueprint(), "slug: zot", "slug: registry") + other).application.name == "zot-application"
    assert read(changed(blueprint(), "!KeyOf zot-provider", "1") + other).application.name == "zot-application"


def test_the_claims_are_those_of_the_scopes_that_are_asked_for():
    claims, more = read(blueprint()).claims()
    assert {"sub", "email", "groups", "preferred_username"} <= claims
    assert not more
    own = changed(blueprint(), "[managed, goauthentik.io/providers/oauth2/scope-email]", "[name, mine]")
    assert read(own).claims()[1]
