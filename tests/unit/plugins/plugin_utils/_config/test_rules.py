# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule fires on its smallest configuration and not on the other; it applies to its releases alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, RULES, SEVERITIES, Rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, OLDEST, Release
from support.rule_examples import lay_out, release_for

CODES = [rule.code for rule in RULES]


def found(rule: Rule, example: str, folder: Path, release: str) -> list[str]:
    judged = lay_out(getattr(rule, example), folder, release).judged()
    return [finding.path for finding in judged.findings if finding.code == rule.code]


@pytest.mark.parametrize("rule", RULES, ids=CODES)
def test_a_rule_fires_on_its_example_alone(rule: Rule, tmp_path: Path) -> None:
    (tmp_path / "fires").mkdir()
    (tmp_path / "passes").mkdir()
    assert found(rule, "fires", tmp_path / "fires", release_for(rule))
    assert not found(rule, "passes", tmp_path / "passes", release_for(rule))


@pytest.mark.parametrize("rule", RULES, ids=CODES)
def test_what_passes_is_refused_by_no_other_rule(rule: Rule, tmp_path: Path) -> None:
    judged = lay_out(rule.passes, tmp_path, release_for(rule)).judged()
    assert not judged.refused


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.since > OLDEST], ids=lambda rule: rule.code)
def test_a_rule_does_not_apply_before_its_release(rule: Rule, tmp_path: Path) -> None:
    before = (*rule.since[:2], rule.since[2] - 1)
    assert not rule.applies(before)
    if "release" not in rule.fires.facts:
        assert not found(rule, "fires", tmp_path, ".".join(map(str, before)))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.until], ids=lambda rule: rule.code)
def test_a_rule_does_not_apply_after_its_release(rule: Rule) -> None:
    assert rule.until is not None
    assert rule.applies(rule.until)
    assert not rule.applies((*rule.until[:2], rule.until[2] + 1))


def test_codes_are_unique_and_say_what_kind_of_rule_it_is() -> None:
    assert len(set(CODES)) == len(CODES)
    for rule in RULES:
        assert re.fullmatch(r"ZOT[1-4]\d\d", rule.code)
        assert rule.severity in SEVERITIES
        assert OLDEST <= rule.since <= NEWEST
        # What zot verify refuses is an error; the rest of its kind only shows.
        assert rule.severity == ERROR or not rule.code.startswith("ZOT2")
        assert rule.severity != ERROR or not rule.code.startswith("ZOT4")


def test_what_people_are_told_reads_as_sentences() -> None:
    for rule in RULES:
        assert rule.reason[0].islower() or rule.reason.split()[0].rstrip(":,") in {"LDAP", "API", "startTLS", "*"}, rule.code
        assert not rule.reason.endswith("."), rule.code
        assert rule.mend[0].isupper() and rule.mend.endswith("."), rule.code


EMPTY, FORGOTTEN, UNKNOWN = "ZOT115", "ZOT114", "ZOT103"


@pytest.mark.parametrize(
    ("text", "release", "told"),
    [
        ("accesControl: {}", "2.1.20", [(EMPTY, "accescontrol")]),
        ("http: {accesControl: {repositories: {'**': {}}}}", "2.1.20", [(EMPTY, "http.accescontrol")]),
        ("http: {accesControl: {a: {}, b: null}}", "2.1.20", [(EMPTY, "http.accescontrol")]),  # once
        ("http: {prot: null}", "2.1.20", [(EMPTY, "http.prot")]),
        ("'http::prot': {}", "2.1.20", [(EMPTY, "http.prot")]),
        ("http: {auth: {mtls: {}}}", "2.1.11", [(EMPTY, "http.auth.mtls")]),  # known later
        ("http: {auth: {mtls: {}}}", "2.1.12", [(FORGOTTEN, "http.auth.mtls")]),
        ("http: {auth: {openid: {providers: {oidc: {}}}}}", "2.1.20", [(FORGOTTEN, 'http.auth.openid.providers["oidc"]')]),
        ("http: {port: {deep: {}}}", "2.1.20", [(FORGOTTEN, "http.port.deep")]),
        ("storage: {retention: {policies: {any: {}}}}", "2.1.20", [(FORGOTTEN, "storage.retention.policies.[]")]),
        # With a value beside it zot refuses the key, and says so itself.
        ("http: {accesControl: {a: {}, b: 1}}", "2.1.20", [(UNKNOWN, "http.accescontrol")]),
    ],
)
def test_an_unknown_key_is_told_also_where_nothing_is_left_of_it(text: str, release: str, told: list[tuple[str, str]]) -> None:
    judged = judge(text.encode(), Release(release), name="config.yaml")
    assert [(finding.code, finding.path) for finding in judged.findings if finding.code in (EMPTY, FORGOTTEN, UNKNOWN)] == told


def test_what_was_meant_is_told() -> None:
    judged = judge({"http": {"port": "5000", "accesControl": {}}}, Release("2.1.20"))
    (finding,) = (found for found in judged.findings if found.code == EMPTY)
    assert finding.message == "unknown key; did you mean accessControl?"
