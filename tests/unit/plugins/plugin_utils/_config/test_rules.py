# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule fires on its smallest configuration and not on the other; it applies to its releases alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, RULES, SEVERITIES, Rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, OLDEST
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
