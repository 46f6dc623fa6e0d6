# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the judge. A configuration, a release and what is known of the host -> everything that is wrong with it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import (
    _rules_access,
    _rules_advice,
    _rules_shape,
    _rules_silent,
    _rules_start,
    _rules_verify_access,
    _rules_verify_server,
    _rules_verify_storage,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, Facts, Unseen, with_defaults
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, RULES, SEVERITIES, WARNING, Finding
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import Flat, Text, UnreadableError, flatten, normal, read
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import require_shape

UNREADABLE = "ZOT101"
# Rules register themselves when they are imported.
_ALL = (
    _rules_access,
    _rules_advice,
    _rules_shape,
    _rules_silent,
    _rules_start,
    _rules_verify_access,
    _rules_verify_server,
    _rules_verify_storage,
)


@dataclass
class Judgement:
    """``findings`` sorted, the worst first; ``suppressed`` those that were asked not to count; ``unseen`` what nobody looked at."""

    release: Release
    findings: list[Finding]
    suppressed: list[Finding] = field(default_factory=list)
    unseen: Unseen = field(default_factory=Unseen)

    @property
    def ok(self) -> bool:
        """Whether nothing forbids to use the configuration."""
        return not any(finding.severity == ERROR for finding in self.findings)

    @property
    def refused(self) -> list[Finding]:
        """Why C(zot verify) refuses it, suppressed or not."""
        return [finding for finding in (*self.findings, *self.suppressed) if finding.refused]

    def of(self, *severities: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity in severities]

    @property
    def summary(self) -> str:
        """For people, such as C(1 error, 2 warnings)."""
        counts = [(len(self.of(severity)), severity) for severity in (ERROR, WARNING)]
        told = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in counts if count)
        return told or "nothing is wrong"


def judge(
    given: bytes | dict[str, t.Any],
    release: Release,
    facts: Facts | None = None,
    suppress: t.Mapping[str, str] | None = None,
    name: str = "config.json",
) -> Judgement:
    """Judge a document, or the bytes of a file called ``name``. Raises ZotError only for a wrong ``suppress``."""
    reasons = _require_reasons(suppress or {})
    case = _case(given, name, release, facts or Facts())
    rules = [rule for rule in RULES if rule.applies(case.release) and (rule.code == UNREADABLE) == bool(case.text.problem)]
    findings = [finding for rule in rules for finding in rule.findings(case)]
    findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.code, finding.path, finding.message))
    kept = [finding for finding in findings if finding.code not in reasons]
    return Judgement(release, kept, [finding for finding in findings if finding.code in reasons], case.unseen)


def _case(given: bytes | dict[str, t.Any], name: str, release: Release, facts: Facts) -> Case:
    number = min(release.number, NEWEST)
    try:
        text = read(given, name) if isinstance(given, bytes) else Text(given)
        flat = flatten(text.tree)
    except UnreadableError as error:
        return Case({}, number, release.unknown, Text({}, problem=str(error)), Flat({}, {}), [], facts)
    document = normal(flat.tree, splits_commas=number < (2, 1, 3))
    problems = require_shape(document, number)
    return Case(with_defaults(document, flat), number, release.unknown, text, flat, problems, facts)


def _require_reasons(suppress: t.Mapping[str, str]) -> t.Mapping[str, str]:
    known = {rule.code for rule in RULES}
    for code, reason in suppress.items():
        if code not in known:
            raise ZotError(f"suppress: there is no rule {code}; docs/rules.md lists them")
        if not isinstance(reason, str) or not reason.strip():
            raise ZotError(f"suppress: {code} needs a reason, in words, why it does not count here")
    return suppress
