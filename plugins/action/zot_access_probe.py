# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_access_probe on the controller: configuration -> what each may do -> asked of a live zot -> where it answers otherwise."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_here
from ansible_collections.blumeops.zot.plugins.module_utils._zot import local_url
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._cells import TooManyError, matching
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import (
    ACTIONS,
    ANONYMOUS,
    Identity,
    control_of,
    decide,
    member,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import EVERYWHERE, cached, patterns_of, places
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import get
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import UnreadableError, read
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._passwords import stored_password
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

_SECRET = {"type": "str", "no_log": True}
_IDENTITY: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "password": _SECRET,
    "api_key": _SECRET,
    "store": STORE,
    "groups": {"type": "list", "elements": "str", "default": []},
}
_ONE_SECRET = [("password", "api_key", "store")]
_SPEC: dict[str, t.Any] = {
    "config_path": {"type": "str"},
    "document": {"type": "dict"},
    "release": {"type": "str", "required": True},
    "url": {"type": "str"},
    "identities": {
        "type": "list",
        "elements": "dict",
        "options": _IDENTITY,
        "mutually_exclusive": _ONE_SECRET,
        "required_one_of": _ONE_SECRET,
        "default": [],
    },
    "repositories": {"type": "list", "elements": "str", "default": []},
    "wait_timeout": {"type": "int", "default": 10},
    "fail": {"type": "bool", "default": True},
}

# How zot spells the names it takes for repositories: any other would be asked of no rule.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_CANDIDATES = 3
_SHOWN = 20

Document = dict[str, t.Any]
Rows = list[dict[str, t.Any]]


@dataclass(frozen=True)
class Asker:
    """Somebody who asks; ``by_key``: with an API key, whose groups are those of its owner's last login."""

    identity: Identity
    secret: str = field(default="", repr=False)
    by_key: bool = False

    @property
    def label(self) -> str:
        return f"{self.identity.label} (API key)" if self.by_key else self.identity.label


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC = _SPEC
    RULES: t.ClassVar = {"mutually_exclusive": [("config_path", "document")], "required_one_of": [("config_path", "document")]}

    def act(self, args: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        release = Release(args["release"])
        document = self._document(args, release, task_vars)
        if get(document, "http.auth.bearer"):
            return _nothing_asked("with http.auth.bearer the tokens of another service say who may do what")
        askers = [Asker(ANONYMOUS), *(asker_of(document, given) for given in args["identities"])]
        own = _require_names(args["repositories"])
        witnesses, skipped = witnesses_of(document)
        url = _require_url(args["url"]) if args["url"] else local_url(document)
        host = {
            "state": "probe",
            "url": url,
            "validate_certs": bool(args["url"]),
            "release": str(release),
            "identities": json.dumps([(asker.identity.name, asker.secret) for asker in askers]),
            "wait_timeout": args["wait_timeout"],
            "fail_delay": get(document, "http.auth.failDelay", 0),
        }
        names = list(dict.fromkeys([*witnesses, *own]))
        first = self.host({**host, "questions": {"read": names, "create": names, "delete": names}}, task_vars)
        answers, numbers = list(first["answers"]), set(first["refused"])
        candidates, unstored = _candidates(document, first["stored"], witnesses, own)
        if candidates:
            second = self.host({**host, "questions": {"update": candidates}}, task_vars)
            answers += second["answers"]
            unstored += second["unasked"]
            numbers |= set(second["refused"])
        found = compare(document, askers, answers, min(release.number, NEWEST))
        refused = [askers[number] for number in sorted(numbers)]
        result = {"changed": False, "url": url, "release": first["release"], "asked": len(answers), **found, "unasked": skipped + unstored}
        told = {**result, "refused": [asker.label for asker in refused], **_outcome(result, refused, release, args["fail"])}
        if told["failed"]:
            del told["answers"]  # Ansible shows people the whole result of a failure
        return told

    def _document(self, args: dict[str, t.Any], release: Release, task_vars: dict[str, t.Any]) -> Document:
        path = args["config_path"]
        if path is None:
            return load(plain(args["document"], "document"), release, "document")
        try:
            return load(read(self.content(path, task_vars), path).tree, release, path)
        except UnreadableError as error:
            raise ZotError(f"{path}: {error}") from None


# ---- what is declared


def compare(document: Document, askers: list[Asker], answers: Rows, release: tuple[int, ...]) -> dict[str, Rows]:
    """Every answer beside what is declared; C(wrong) where they differ, C(unsure) where it cannot be told what zot should say."""
    found: dict[str, Rows] = {"answers": [], "wrong": [], "unsure": [], "untold": []}
    for answer in answers:
        asker, action, repository = askers[answer["who"]], answer["action"], answer["repository"]
        decision = decide(document, asker.identity, action, repository, answer["tag"] or None, release)
        row = {
            "who": asker.label,
            "repository": repository,
            "action": action,
            "expected": "allowed" if decision.allowed else "denied",
            "answered": answer["answered"],
            "rule": decision.rule,
            "why": decision.why,
        }
        if answer["answered"] is None:
            found["untold"].append({**row, "status": answer["status"]})
        elif not decision.certain:
            found["unsure"].append(row)
        elif row["answered"] != row["expected"]:
            found["wrong"].append({**row, "severity": "warning" if asker.by_key else "error"})
        found["answers"].append({**row, "certain": decision.certain})
    return found


def _takes_passwords(document: Document) -> bool:
    return bool(get(document, "http.auth.htpasswd.path") or get(document, "http.auth.ldap"))


def _takes_keys(document: Document) -> bool:
    return bool(get(document, "http.auth.apikey") or get(document, "http.auth.openid"))


def asker_of(document: Document, given: dict[str, t.Any]) -> Asker:
    name, by_key = str(given["name"]), given["api_key"] is not None
    if not name or ":" in name:
        raise ZotError(f"identities: '{name}' cannot log in: a name is not empty and has no colon")
    if not (_takes_keys(document) if by_key else _takes_passwords(document)):
        wanted = "API keys (http.auth.apikey)" if by_key else "passwords (http.auth.htpasswd or ldap)"
        raise ZotError(f"identities: {name} cannot be asked for, as this configuration takes no {wanted}")
    secret = given["api_key"] if by_key else given["password"]
    if secret is None:
        secret = stored_password(name, plain(given["store"], "store"), open_here)
    return Asker(member(control_of(document), name, map(str, given["groups"])), str(secret), by_key)


def _require_names(names: list[str]) -> list[str]:
    for name in names:
        if not _REPOSITORY.fullmatch(name):
            raise ZotError(f"repositories: '{name}' is no name of a repository: parts of small letters and digits, joined by . _ __ - or /")
    return list(map(str, names))


def _require_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        more = [parts.path.strip("/"), parts.query, parts.fragment, "@" in parts.netloc, parts.port == 0]
        fits = parts.scheme in ("http", "https") and parts.hostname and re.fullmatch(r"[!-~]+", url) and not any(more)
    except ValueError:  # no port
        fits = False
    if not fits:
        # Not quoted: it may hold a password.
        raise ZotError("url: scheme, host and port are wanted, such as https://registry.example.org:5000, and no login")
    return f"{parts.scheme}://{parts.netloc}"


def witnesses_of(document: Document) -> tuple[list[str], Rows]:
    """One repository of each kind that the configuration tells apart."""
    try:
        return [where.witness for where in places(document)], []
    except TooManyError:
        return [], _everything_skipped("the patterns meet in more ways than can be followed; only what repositories name is asked")


def _candidates(document: Document, stored: list[str], witnesses: list[str], own: list[str]) -> tuple[list[list[str]], Rows]:
    """Stored repositories of the kind of each witness, which have tags to be updated; and the witnesses that have none."""
    patterns = list(dict.fromkeys([*patterns_of(document), *cached(document)]))
    kinds: dict[frozenset[str], list[str]] = {matching(patterns, witness): [] for witness in witnesses}
    for name in stored:
        kind = kinds.get(matching(patterns, name), [])
        if len(kind) < _CANDIDATES:
            kind.append(name)
    wanted = [(witness, kinds[matching(patterns, witness)]) for witness in witnesses]
    wanted += [(name, [name] if name in stored else []) for name in own if name not in witnesses]
    reason = "only a tag that is there can be updated, and no such repository is stored, or nobody who was asked sees it"
    skipped = [{"repository": name, "action": "update", "reason": reason} for name, found in wanted if not found]
    return [list(found) for found in dict.fromkeys(tuple(found) for _unused, found in wanted if found)], skipped


# ---- what is said


def _nothing_asked(reason: str) -> dict[str, t.Any]:
    """No failure: the configuration may be right, and is not one that can be asked for."""
    empty: dict[str, t.Any] = {key: [] for key in ("answers", "wrong", "unsure", "untold", "refused")}
    more = {"changed": False, "failed": False, "asked": 0, "unasked": _everything_skipped(reason)}
    return {**empty, **more, "msg": f"nothing was asked: {reason}", "warnings": [f"zot was not asked who may do what: {reason}"]}


def _everything_skipped(reason: str) -> Rows:
    return [{"repository": EVERYWHERE, "action": action, "reason": reason} for action in ACTIONS]


def problems_of(result: dict[str, t.Any], refused: list[Asker]) -> list[str]:
    """What is wrong whatever anybody's last login was, in words."""
    problems = [
        f"the {'API key' if asker.by_key else 'password'} of {asker.identity.name} is refused: "
        + ("expired, revoked, or of another name" if asker.by_key else "it is another, or there is no such user")
        for asker in refused
    ]
    problems += [difference(row) for row in result["wrong"] if row["severity"] == "error"]
    return problems + [f"{row['who']}, {row['action']} {row['repository']}: zot answers {row['status']}" for row in result["untold"]]


def _outcome(result: dict[str, t.Any], refused: list[Asker], release: Release, fail: bool) -> dict[str, t.Any]:
    """C(failed), C(msg) and C(warnings)."""
    problems = problems_of(result, refused)
    warnings = []
    passing = [difference(row) for row in result["wrong"] if row["severity"] == "warning"]
    if passing:
        head = "An API key has the groups of its owner's last login, so that these answers may be right until the next one:"
        warnings.append("\n".join([head, *_listed(passing)]))
    if result["release"] and result["release"] != str(release):
        warnings.append(f"{result['url']} is zot {result['release']}, and what is declared was read as zot {release} reads it")
    outcome: dict[str, t.Any] = {"failed": bool(problems) and fail, "msg": _summary(result)}
    if problems:
        head = f"zot at {result['url']} does not answer as its configuration says ({len(problems)} problems in {result['asked']} answers):"
        mend = "zot may run with another configuration than this: restart it, or mend what differs"
        outcome["msg"] = "\n".join([head, *_listed(problems), mend])
        if not fail:
            warnings.append(outcome["msg"])
    return {**outcome, **({"warnings": warnings} if warnings else {})}


def _summary(result: dict[str, t.Any]) -> str:
    text = f"zot at {result['url']} answers {result['asked']} questions as its configuration says"
    for key, words in (("unsure", "of them up to chance or conditions"), ("unasked", "not asked")):
        text += f", {len(result[key])} {words}" if result[key] else ""
    return text


def difference(row: dict[str, t.Any]) -> str:
    may = "may" if row["answered"] == "allowed" else "may not"
    rule = f"'{row['rule']}': " if row["rule"] is not None else ""
    return f"{row['who']} {may} {row['action']} {row['repository']}; declared is {row['expected']} ({rule}{row['why']})"


def _listed(lines: list[str]) -> list[str]:
    shown = [f"- {line}" for line in lines[:_SHOWN]]
    return shown + ([f"- and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])
