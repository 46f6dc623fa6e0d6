# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule finds a smallest change of a blueprint that is right, and nothing in that one."""

from __future__ import annotations

import copy
import datetime
import re
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils import _blueprint_read
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Authentik
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_rules import RULES, environment, told, validate
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, load
from support.blueprints import RELEASE, SIDE, blueprint, changed, without

CANARY = "canary-9f1c"
MANAGED = "goauthentik.io/providers/oauth2/scope-"
FIND_MAPPING = "!Find [authentik_providers_oauth2.scopemapping, "
KEY = "!Find [authentik_crypto.certificatekeypair, [name, authentik Self-signed Certificate]]"
GUARDED = f"!If [{KEY}, {KEY}, there is no certificate named authentik Self-signed Certificate]"
REDIRECT = "https://registry.example.org/zot/auth/callback/oidc"
GOOD = blueprint()
META = GOOD[GOOD.index("  - model: authentik_blueprints") : GOOD.index("  # By name alone")]
BINDINGS = GOOD[GOOD.index("  - model: authentik_policies") :]
PROVIDER = GOOD[GOOD.index("  - model: authentik_providers_oauth2.oauth2provider") : GOOD.index("  - model: authentik_core.application")]
NEWER = Authentik.of("2026.5")
OLDER = Authentik.of("2024.8")
USER = "  - model: authentik_core.user\n    identifiers: {username: bot}\n    attrs: {name: bot, type: service_account}\n"
ABSENT = """  - model: authentik_policies.policybinding
    state: absent
    identifiers: {target: !KeyOf zot-application, group: !Find [authentik_core.group, [name, old]]}
"""


def found(text: str, side: t.Any = SIDE, release: Authentik = RELEASE, **more: t.Any) -> dict[str, list[str]]:
    """Codes, each with its paths."""
    codes: dict[str, list[str]] = {}
    for finding in validate(text, side, release, **more):
        codes.setdefault(finding.code, []).append(finding.path)
    return codes


def swapped(**fields: t.Any) -> t.Any:
    return replace(SIDE, **fields)


# A code, the changed blueprint, the path that is named, and another side or release.
CASES: list[tuple[str, str, str, dict[str, t.Any]]] = [
    ("AK101", "", "", {}),
    ("AK101", "entries: [", "", {}),
    ("AK101", changed(GOOD, "version: 1", "version: 2"), "version", {}),
    ("AK101", changed(GOOD, "version: 1", "version: true"), "version", {}),
    ("AK101", "version: 1\nentries: []\n", "entries", {}),
    (
        "AK101",
        changed(GOOD, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", "!Env [AUTHENTIK_ZOT_CLIENT_SECRET]"),
        "entries[5].attrs.client_secret",
        {},
    ),
    ("AK101", changed(GOOD, "!KeyOf zot-provider", "!KeyOff zot-provider"), "entries[6].attrs.provider", {}),
    ("AK101", changed(GOOD, "!KeyOf zot-provider", "!Find zot-provider"), "entries[6].attrs.provider", {}),
    ("AK101", changed(GOOD, GUARDED, f"!If [{KEY}, {KEY}]"), "entries[5].attrs.signing_key", {}),
    (
        "AK101",
        changed(GOOD, GUARDED, KEY.replace("Find", "FindObject")),
        "entries[5].attrs.signing_key",
        {"release": Authentik.of("2025.6")},
    ),
    ("AK101", changed(GOOD, "  name: Zot SSO\n", ""), "metadata.name", {}),
    ("AK101", "version: 1\nentries: {first: [{model: a.b, identifiers: {a: 1}}]}\n", "entries", {"release": Authentik.of("2025.12")}),
    ("AK102", changed(GOOD, "    attrs:\n      name: Zot\n", "    attr:\n      name: Zot\n"), "entries[5].attr", {}),
    ("AK102", changed(GOOD, "  - model: authentik_core.application\n    id:", "  - id:"), "entries[6]", {}),
    ("AK102", changed(GOOD, "    identifiers:\n      slug: zot\n    attrs:", "    attrs:\n      slug: zot"), "entries[6].identifiers", {}),
    ("AK102", changed(GOOD, "    id: zot-provider\n", "    id: zot-provider\n    state: here\n"), "entries[5].state", {}),
    ("AK103", changed(GOOD, "!KeyOf zot-provider", "!KeyOf provider"), "entries[6].attrs.provider", {}),
    ("AK103", changed(GOOD, PROVIDER, "") + PROVIDER, "entries[5].attrs.provider", {}),
    ("AK103", changed(GOOD, "id: group-admins", "id: group-artifact-workloads"), "entries[4].id", {}),
    ("AK104", without(GOOD, "invalidation_flow"), "entries[5].attrs.invalidation_flow", {}),
    ("AK104", without(GOOD, "authorization_flow"), "entries[5].attrs.authorization_flow", {}),
    ("AK104", changed(GOOD, "      order: 0\n", ""), "entries[7].attrs.order", {}),
    ("AK104", changed(GOOD, "      slug: zot\n", "      slug: a registry\n"), "entries[6].identifiers.slug", {}),
    ("AK104", changed(GOOD, "      order: 0\n", "      order: 0\n      user: 1\n"), "entries[7]", {}),
    ("AK104", changed(GOOD, "      group: !KeyOf group-admins\n", ""), "entries[7]", {}),
    ("AK105", re.sub(r"redirect_uris:\n.*\n.*\n", f"redirect_uris: {REDIRECT}\n", GOOD), "entries[5].attrs.redirect_uris", {}),
    ("AK105", changed(GOOD, "matching_mode: strict", "matching_mode: exact"), "entries[5].attrs.redirect_uris[0]", {}),
    ("AK105", GOOD, "entries[5].attrs.redirect_uris", {"release": OLDER}),
    ("AK106", blueprint(release=NEWER), "entries[5].attrs.grant_types", {}),
    ("AK106", changed(GOOD, "      name: admins\n", "      name: admins\n      parent: x\n"), "entries[3].identifiers.parent", {}),
    ("AK107", changed(GOOD, "client_type: confidential", "client_type: secret"), "entries[5].attrs.client_type", {}),
    ("AK107", changed(GOOD, "policy_engine_mode: any", "policy_engine_mode: some"), "entries[6].attrs.policy_engine_mode", {}),
    ("AK201", changed(GOOD, PROVIDER, "").replace("!KeyOf zot-provider", "1"), "entries", {}),
    ("AK201", changed(GOOD, "    id: zot-provider\n", "    id: zot-provider\n    state: absent\n"), "entries", {}),
    (
        "AK201",
        GOOD + PROVIDER.replace("client_id: zot", "client_id: two").replace("zot-provider", "two"),
        "entries",
        {"side": swapped(client_id="x")},
    ),
    (
        "AK201",
        changed(GOOD, "!KeyOf zot-provider", "!Find [authentik_providers_oauth2.oauth2provider, [name, x]]"),
        "entries[6].attrs.provider",
        {},
    ),
    ("AK202", changed(GOOD, "client_id: zot", "client_id: Zot"), "entries[5].identifiers.client_id", {}),
    (
        "AK202",
        changed(
            without(GOOD, "client_id"), "    identifiers:\n    attrs:\n      name: Zot\n", "    identifiers:\n      name: Zot\n    attrs:\n"
        ),
        "entries[5].attrs.client_id",
        {},
    ),
    ("AK203", changed(GOOD, REDIRECT, REDIRECT + "/"), "entries[5].attrs.redirect_uris", {}),
    ("AK203", changed(GOOD, REDIRECT, REDIRECT.replace("https", "http")), "entries[5].attrs.redirect_uris", {}),
    ("AK203", changed(GOOD, "matching_mode: strict", "matching_mode: regex"), "entries[5].attrs.redirect_uris", {}),
    ("AK203", GOOD, "entries[5].attrs.redirect_uris", {"side": swapped(provider="authentik")}),
    (
        "AK203",
        changed(blueprint(release=NEWER), "redirect_uri_type: authorization", "redirect_uri_type: logout"),
        "entries[5].attrs.redirect_uris",
        {"release": NEWER},
    ),
    (
        "AK204",
        changed(
            GOOD,
            "        - matching_mode: strict\n",
            f"        - {{matching_mode: strict, url: {REDIRECT}x}}\n        - matching_mode: strict\n",
        ),
        "entries[5].attrs.redirect_uris[0]",
        {},
    ),
    (
        "AK204",
        changed(GOOD, "        - matching_mode: strict\n", "        - {matching_mode: regex, url: .*}\n        - matching_mode: strict\n"),
        "entries[5].attrs.redirect_uris[0]",
        {},
    ),
    ("AK205", GOOD, "", {"side": swapped(issuer="https://authentik.example.org/application/o/zot")}),
    ("AK205", GOOD, "entries[6].identifiers.slug", {"side": swapped(issuer="https://authentik.example.org/application/o/registry/")}),
    ("AK206", changed(GOOD, "issuer_mode: per_provider", "issuer_mode: global"), "entries[5].attrs.issuer_mode", {}),
    ("AK206", changed(GOOD, "issuer_mode: per_provider", "issuer_override: https://x"), "entries[5].attrs.issuer_override", {}),
    ("AK207", changed(GOOD, MANAGED + "profile", MANAGED + "entitlements"), "entries[5].attrs.property_mappings", {}),
    ("AK207", GOOD, "entries[5].attrs.property_mappings", {"side": swapped(scopes=("openid", "email"))}),
    ("AK208", changed(GOOD, MANAGED + "profile", MANAGED + "entitlements"), "entries[5].attrs.property_mappings", {}),
    ("AK208", GOOD, "entries[5].attrs.property_mappings", {"side": swapped(groups_claim="roles")}),
    ("AK209", changed(GOOD, MANAGED + "openid", MANAGED + "entitlements"), "entries[5].attrs.property_mappings", {}),
    ("AK210", GOOD, "entries[5].attrs.property_mappings", {"side": swapped(scopes=("openid", "profile", "email", "groups"))}),
    ("AK211", GOOD, "entries", {"side": swapped(groups=("admins", "artifact-workloads", "builders"))}),
    ("AK211", changed(GOOD, "name: admins", "name: Admins"), "entries", {}),
    (
        "AK212",
        changed(
            changed(GOOD, META, ""), "  - model: authentik_core.group\n    id: group-admins\n    identifiers:\n      name: admins\n", ""
        ).replace("!KeyOf group-admins", "!Find [authentik_core.group, [name, admins]]"),
        "entries",
        {},
    ),
    ("AK213", GOOD + USER, "entries[9]", {"side": swapped(username_claim="email")}),
    ("AK301", without(GOOD, "signing_key"), "entries[5].attrs.signing_key", {}),
    ("AK301", changed(GOOD, GUARDED, "null"), "entries[5].attrs.signing_key", {}),
    ("AK302", changed(GOOD, GUARDED, KEY), "entries[5].attrs.signing_key", {}),
    (
        "AK302",
        changed(GOOD, "there is no certificate named authentik Self-signed Certificate]", "null]"),
        "entries[5].attrs.signing_key",
        {},
    ),
    ("AK302", changed(GOOD, GUARDED, "!Env KEY"), "entries[5].attrs.signing_key", {}),
    ("AK303", changed(GOOD, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", CANARY), "entries[5].attrs.client_secret", {}),
    ("AK303", changed(GOOD, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", f"!Env [A, {CANARY}]"), "entries[5].attrs.client_secret", {}),
    ("AK303", changed(GOOD, "!Env AUTHENTIK_ZOT_CLIENT_SECRET", f"!Format [{CANARY}]"), "entries[5].attrs.client_secret", {}),
    ("AK303", without(GOOD, "client_secret"), "entries[5].attrs.client_secret", {}),
    ("AK304", changed(GOOD, BINDINGS, ""), "entries[6]", {}),
    ("AK304", changed(GOOD, "enabled: true", "enabled: false"), "entries[6]", {}),
    ("AK305", changed(GOOD, "policy_engine_mode: any", "policy_engine_mode: all"), "entries[6].attrs.policy_engine_mode", {}),
    ("AK306", blueprint(bound_groups=("admins",)), "entries[6]", {}),
    (
        "AK306",
        changed(GOOD, "      order: 0\n      enabled: true\n      negate: false", "      order: 0\n      negate: true"),
        "entries[6]",
        {},
    ),
    (
        "AK307",
        changed(GOOD, "      order: 0\n      enabled: true\n      negate: false", "      order: 0\n      negate: true"),
        "entries[7].attrs.negate",
        {},
    ),
    ("AK308", GOOD + ABSENT, "entries[9].identifiers.group", {}),
    ("AK309", changed(GOOD, "client_type: confidential", "client_type: public"), "entries[5].attrs.client_type", {}),
    ("AK310", changed(GOOD, "issuer_mode:", f"encryption_key: {KEY}\n      issuer_mode:"), "entries[5].attrs.encryption_key", {}),
    ("AK311", changed(blueprint(release=NEWER), "[authorization_code]", "[implicit]"), "entries[5].attrs.grant_types", {"release": NEWER}),
    ("AK311", changed(blueprint(release=NEWER), "[authorization_code]", "[]"), "entries[5].attrs.grant_types", {"release": NEWER}),
    ("AK312", GOOD, "entries[5].attrs.grant_types", {"release": NEWER}),
    (
        "AK313",
        changed(GOOD, f"{FIND_MAPPING}[managed, {MANAGED}email]", f"{FIND_MAPPING}[scope_name, email]"),
        "entries[5].attrs.property_mappings[2]",
        {},
    ),
    ("AK314", changed(GOOD, META, ""), "entries", {}),
]


@pytest.mark.parametrize("release", ["2024.10", "2024.12", "2025.10", "2025.12", "2026.2", "2026.5", "2026.8", "2027.2"])
def test_what_is_made_has_no_finding_at_any_release(release):
    number = Authentik.of(release)
    text = blueprint(
        release=number,
        retired_groups=("old",),
        after=("Common",),
        service_users=({"username": "zot-ci", "groups": ["artifact-workloads"]},),
    )
    assert found(text, release=number) == {}


@pytest.mark.parametrize(("code", "text", "path", "other"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)])
def test_each_rule_finds_its_case(code, text, path, other):
    assert path in found(text, **other).get(code, [])


def test_of_what_authentik_does_not_read_nothing_else_is_told():
    assert list(found(changed(changed(GOOD, "version: 1", "version: 2"), "client_id: zot", "client_id: x"))) == ["AK101"]


def test_all_that_keeps_authentik_from_reading_is_told():
    wrong = changed(changed(GOOD, "version: 1", "version: 2"), "!KeyOf zot-provider", "!KeyOff zot-provider")
    assert found(wrong) == {"AK101": ["entries[6].attrs.provider", "version"]}


def test_a_mapping_of_openid_that_is_missing_is_told_once():
    assert set(found(changed(GOOD, MANAGED + "openid", MANAGED + "entitlements"))) == {"AK209"}


def test_a_policy_without_groups_needs_no_claim_of_them():
    assert found(GOOD, swapped(groups_claim="roles", groups=())) == {}


def test_who_is_in_all_of_one_group_is_in_it():
    text = changed(blueprint(bound_groups=("admins",)), "policy_engine_mode: any", "policy_engine_mode: all")
    assert "AK305" not in found(text)


def test_a_field_is_gone_from_the_release_on_that_dropped_it():
    text = changed(GOOD, "      name: admins\n", "      name: admins\n      parent: x\n")
    assert "AK106" in found(text, release=Authentik.of("2025.12"))
    assert "AK106" not in found(text, release=Authentik.of("2025.10"))


def test_each_rule_has_a_case_and_a_line_in_the_page():
    page = (Path(__file__).resolve().parents[4] / "docs/authentik.md").read_text()
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert {case[0] for case in CASES} == set(codes)
    assert set(re.findall(r"\bAK\d+\b", page)) >= {*codes, "AK401", "AK402", "AK403", "AK404", "AK405"}


def test_no_finding_quotes_a_secret():
    for code, text, _path, other in CASES:
        if code == "AK303":
            assert all(CANARY not in str(finding) for finding in validate(text, SIDE, RELEASE, **other))
    assert CANARY not in str(validate(f"secret: '{CANARY}\nb: ]", SIDE, RELEASE))


def test_the_worst_comes_first():
    text = changed(changed(GOOD, "client_id: zot", "client_id: x"), GUARDED, KEY)
    severities = [finding.severity for finding in validate(text, SIDE, RELEASE)]
    assert severities == ["error", "warning"]


def test_everybody_may_be_meant():
    text = blueprint(bound_groups=())
    assert "AK304" in found(text)
    assert found(text, everyone=True) == {}


def test_groups_of_the_registry_itself_need_not_be_at_the_provider():
    side = swapped(groups=("admins", "artifact-workloads", "local"), local_groups=frozenset({"local"}))
    assert found(GOOD, side) == {}


def test_a_client_id_that_nobody_knows_is_not_compared():
    assert found(GOOD, swapped(client_id="")) == {}


@pytest.mark.parametrize(
    "text",
    [
        changed(GOOD, "client_id: zot", "client_id: !Context client").replace("entries:\n", "context: {client: zot}\nentries:\n", 1),
        changed(GOOD, REDIRECT, '!Format ["%s/zot/auth/callback/oidc", !Context url]').replace(
            "entries:\n", "context: {url: https://registry.example.org}\nentries:\n", 1
        ),
        changed(GOOD, REDIRECT, "!Env REDIRECT"),
        changed(GOOD, "slug: zot\n", "slug: !Env SLUG\n"),
        changed(GOOD, "!KeyOf group-admins", "!Find [authentik_core.group, [name, admins]]"),
    ],
)
def test_what_a_tag_says_is_taken_into_account_and_what_only_the_worker_knows_is_not_guessed(text):
    assert found(text) == {}


def test_a_text_of_addresses_is_right_for_an_old_authentik():
    text = re.sub(r"redirect_uris:\n.*\n.*\n", f"redirect_uris: {REDIRECT}\n", without(GOOD, "invalidation_flow"))
    assert found(text, release=OLDER) == {}


def test_named_lists_of_entries_are_read_too():
    lists = changed(changed(GOOD, "entries:\n", "entries:\n  all:\n"), "\n  - model", "\n  - model")
    assert found(lists) == {}
    assert "AK202" in found(changed(lists, "client_id: zot", "client_id: x"))


@pytest.mark.parametrize(("fail_on", "failed"), [("error", False), ("warning", True), ("never", False)])
def test_what_counts_is_said(fail_on, failed):
    findings = validate(changed(GOOD, GUARDED, KEY), SIDE, RELEASE)
    result = told(findings, fail_on, RELEASE)
    assert (result["failed"], result["ok"], result["summary"]) == (failed, True, "1 warning")
    assert ("AK302" in result["msg"]) is failed
    assert any("AK302" in warning for warning in result["warnings"]) is not failed


def test_a_release_that_nobody_knows_is_said():
    assert "2027.2" in told([], "error", Authentik.of("2027.2"))["warnings"][0]
    assert told([], "error", RELEASE)["warnings"] == []


def test_the_workers_environment_is_told():
    assert environment(GOOD) == ["AUTHENTIK_ZOT_CLIENT_SECRET"]
    assert environment(blueprint(secret_env="", secret_file="/run/secrets/zot")) == []
    assert environment("a: [") == []


def paths(node: t.Any, here: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    """The way to every value, also within tags."""
    inner = node.value if isinstance(node, Tag) else node
    items = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
    for key, value in items:
        yield (*here, key)
        yield from paths(value, (*here, key))


ODD = [
    None, True, 1, 1.5, "", "x", [], {}, [["a"]], {"a": {"b": 1}}, datetime.date(2020, 1, 1),
    Tag("KeyOf", ""), Tag("Value", "0"), Tag("Context", "a"), Tag("Env", ["A", "b"]), Tag("Format", ["%s", Tag("Context", "a")]),
    Tag("Find", ["a.b", ["c", Tag("Context", "q")]]), Tag("Find", ["authentik_core.group", ["name", Tag("Context", "q")]]),
    Tag("If", [Tag("Context", "a"), [], {}]),
]  # fmt: skip


def test_whatever_stands_somewhere_is_judged_and_nothing_breaks(monkeypatch):
    tree = load(blueprint(retired_groups=("old",), service_users=({"username": "bot", "groups": ["admins"]},)))
    ways = list(paths(tree))
    assert len(ways) > 100
    quiet = 0
    for way in ways:
        for odd in ODD:
            changed_tree = copy.deepcopy(tree)
            node = changed_tree
            for key in way[:-1]:
                node = (node.value if isinstance(node, Tag) else node)[key]
            (node.value if isinstance(node, Tag) else node)[way[-1]] = odd
            monkeypatch.setattr(_blueprint_read, "load", lambda _text, found=changed_tree: found)
            findings = validate("", SIDE, RELEASE)
            assert all(finding.message and finding.hint for finding in findings)
            quiet += not findings
    assert quiet < len(ways) * len(ODD) / 2
