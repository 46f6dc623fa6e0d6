# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a rule is, and what it finds.

Rules are small generator functions, each registered with everything that people are told of it; the reference page, the tests of the
examples and the judge all read this one list.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Number

if t.TYPE_CHECKING:
    from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case

ERROR, WARNING, ADVICE = "error", "warning", "advice"
SEVERITIES = (ERROR, WARNING, ADVICE)

Hits = t.Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: ``code`` such as C(ZOT210), ``severity``, ``path`` in the configuration, and what to do."""

    code: str
    severity: str
    path: str
    message: str
    hint: str

    @property
    def refused(self) -> bool:
        """Whether C(zot verify) refuses the configuration for it; the codes from ZOT300 on are of what it lets pass."""
        return self.severity == ERROR and self.code < "ZOT300"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.code} {self.path + ': ' if self.path else ''}{self.message} ({self.hint})"


@dataclass(frozen=True)
class Example:
    """A smallest configuration: ``text`` is YAML; C(@DIR@) in it stands for a folder with ``files`` (name -> content)."""

    text: str
    files: t.Mapping[str, str] = field(default_factory=dict)
    # What a host would tell: issuers, port, oidc_users, oidc_images.
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    # The file's name, where the text is not YAML.
    name: str = "config.yaml"


@dataclass(frozen=True)
class Rule:
    """A rule: ``reason`` and ``mend`` are for people, ``fires`` and ``passes`` smallest configurations that it finds and does not."""

    code: str
    severity: str
    reason: str
    mend: str
    fires: Example
    passes: Example
    since: Number
    until: Number | None
    check: t.Callable[[Case], Hits]

    def applies(self, release: Number) -> bool:
        return self.since <= release and (self.until is None or release <= self.until)

    def findings(self, case: Case) -> t.Iterator[Finding]:
        for path, message in self.check(case):
            yield Finding(self.code, self.severity, path, message or self.reason, self.mend)


RULES: list[Rule] = []


def rule(
    code: str,
    severity: str,
    reason: str,
    mend: str,
    *,
    fires: str | Example,
    passes: str | Example,
    since: str = "2.1.0",
    until: str | None = None,
) -> t.Callable[[t.Callable[[Case], Hits]], t.Callable[[Case], Hits]]:
    """Register a function that yields a path and a message (empty: the reason) for each thing it finds."""

    def register(check: t.Callable[[Case], Hits]) -> t.Callable[[Case], Hits]:
        RULES.append(
            Rule(code, severity, reason, mend, _example(fires), _example(passes), _number(since), _number(until) if until else None, check)
        )
        return check

    return register


def _example(given: str | Example) -> Example:
    return Example(given) if isinstance(given, str) else given


def _number(release: str) -> Number:
    return tuple(int(part) for part in release.split("."))
