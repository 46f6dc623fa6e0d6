# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the report tells, as plain data: the same in the page and in the JSON beside it."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical, mapping, masked
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import access, load
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._cells import matching
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import control_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import EVERYWHERE, Document, cached, patterns_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import SEVERITIES
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import RULES
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release

Data = dict[str, t.Any]
Items = list[dict[str, t.Any]]

# What became of a question: answered as expected, otherwise, or so that nothing can be said of it.
SO, OTHERWISE, UNSURE = "as expected", "otherwise", "unsure"

# By this a file is known to be a report.
MARK = "blumeops.zot.zot_report"

_FINDING = ("code", "severity", "path", "message", "hint")
_ANSWER = ("who", "repository", "action", "expected", "answered", "certain")
_SEVERITIES = {severity: number for number, severity in enumerate(SEVERITIES)}
_KEY = ("label", "owner", "created", "expires", "last_used")


def story(tree: dict[str, t.Any], release: Release, given: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any] | None = None) -> Data:
    """``given`` are the options of M(blumeops.zot.zot_report), None where there is nothing to tell; ``before`` is the last report."""
    shown = masked(tree)
    document = load(shown, release)
    head = {
        "report": MARK,
        "release": str(release),
        "configuration": hashlib.sha256(canonical(shown).encode("utf-8", "surrogatepass")).hexdigest(),
    }
    if before is not None and all(before.get(key) == value for key, value in head.items()):
        given = _recalled(given, before)
    entries = access(document, release)
    suppress = given.get("suppress") or {}
    suppressed = [{**item, "reason": suppress.get(item["code"]) or ""} for item in _listed(given.get("suppressed"), _FINDING) or []]
    needless = sorted(set(suppress) - {item["code"] for item in suppressed})
    return masked(
        {
            **head,
            "title": given.get("title") or "Who may do what",
            "access": entries,
            "rules": _rules(document),
            "groups": {name: sorted((group or {}).get("users") or []) for name, group in (_control(document).get("groups") or {}).items()},
            "answers": _answers(given.get("answers"), document, entries),
            "findings": _listed(given.get("findings"), _FINDING),
            "suppressed": suppressed,
            "needless": [{"code": code, "reason": suppress[code]} for code in needless],
            "activation": given.get("activation"),
            "reasons": list(given.get("reasons") or []),
            "keys": _listed(given.get("keys"), _KEY),
        }
    )


def _recalled(given: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """With what the report before told of the very same configuration, where this run has nothing to tell.

    A run that changes nothing restarts nothing, and does not look at the host: why zot was restarted last, and what the host told then,
    stay true.
    """
    found = dict(given)
    if given.get("suppress") is None:
        told = [item for key in ("suppressed", "needless") for item in _listed(before.get(key), ("code", "reason")) or []]
        found["suppress"] = {item["code"]: item["reason"] for item in told}
    if given.get("findings") is None:
        found["findings"], found["suppressed"] = (_listed(before.get(key), _FINDING) for key in ("findings", "suppressed"))
    for key, keys in (("answers", _ANSWER), ("keys", _KEY)):
        if given.get(key) is None:
            found[key] = _listed(before.get(key), keys)
    if given.get("activation") in (None, "none") and not given.get("reasons") and before.get("activation"):
        found["activation"], found["reasons"] = before["activation"], before["reasons"] if isinstance(before.get("reasons"), list) else []
        if given.get("findings") is not None:
            found.update(_with_the_hosts(found, before))
    return found


def _with_the_hosts(found: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any]) -> dict[str, Items]:
    """The findings with those that depend on files and answers of the host, which this run did not look at."""
    findings, suppressed = (_listed(found.get(key), _FINDING) or [] for key in ("findings", "suppressed"))
    looks = {rule.code for rule in RULES if rule.fires.files or set(rule.fires.facts) & {"files", "issuers", "port"}}
    looks -= {item["code"] for item in (*findings, *suppressed)}
    theirs = [item for key in ("findings", "suppressed") for item in _listed(before.get(key), _FINDING) or [] if item["code"] in looks]
    suppress = found.get("suppress") or {}
    return {
        "findings": sorted([*findings, *(item for item in theirs if item["code"] not in suppress)], key=_rank),
        "suppressed": sorted([*suppressed, *(item for item in theirs if item["code"] in suppress)], key=_rank),
    }


def _rank(item: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """The judge's own order."""
    return (str(_SEVERITIES.get(item["severity"], 9)), *(str(item[key]) for key in ("code", "path", "message")))


def _listed(items: t.Any, keys: t.Iterable[str]) -> Items | None:
    """The keys that are told; whatever else a caller, or a file, has in there is left out."""
    return [{key: mapping(item).get(key) for key in keys} for item in items] if isinstance(items, list) else None


def _answers(items: t.Any, document: Document, entries: Items) -> Items | None:
    """Each with its row and its place in the table, None where it has none there, and whether it was as expected."""
    patterns = [EVERYWHERE, *patterns_of(document), *cached(document)]
    places = {matching(patterns, entry["witness"]): entry["where"] for entry in entries}
    rows = {entry["who"] for entry in entries if entry["kind"] != "group"}
    found = _listed(items, _ANSWER)
    for item in found or []:
        name = _name(item)
        item["row"] = name if name in rows else None
        item["where"] = places.get(matching(patterns, str(item["repository"])))
        item["verdict"] = _verdict(item)
    return found


def _verdict(item: t.Mapping[str, t.Any]) -> str:
    if item["certain"] is False or item["answered"] is None:
        return UNSURE
    return SO if item["expected"] == item["answered"] else OTHERWISE


def _name(item: t.Mapping[str, t.Any]) -> str:
    """M(blumeops.zot.zot_access_probe) says so of whoever asked with an API key."""
    return str(item["who"]).removesuffix(" (API key)")


def _control(document: Document) -> t.Mapping[str, t.Any]:
    return control_of(document) or {}


def _rules(document: Document) -> Items:
    """What zot reads, in the order in which it looks: the longest pattern first."""
    control = _control(document)
    entries = control.get("repositories") or {}
    found = [
        {
            "pattern": pattern,
            "anonymous": (entry or {}).get("anonymouspolicy") or [],
            "authenticated": (entry or {}).get("defaultpolicy") or [],
            "policies": [_policy(policy) for policy in (entry or {}).get("policies") or []],
        }
        for pattern, entry in sorted(entries.items(), key=lambda item: (-len(item[0].encode("utf-8", "replace")), item[0]))
    ]
    admin = control.get("adminpolicy")
    return [*([{"pattern": None, "anonymous": [], "authenticated": [], "policies": [_policy(admin)]}] if admin else []), *found]


def _policy(policy: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    found = {key: list(policy.get(key) or []) for key in ("users", "groups", "actions")}
    return {**found, "conditional": bool(policy.get("conditions"))}
