# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: who may do what, decided as zot decides it.

zot takes the one entry whose pattern is the longest text that matches the repository, and nothing else but the administrators' policy.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob

READ, CREATE, UPDATE, DELETE = "read", "create", "update", "delete"
ACTIONS = (READ, CREATE, UPDATE, DELETE)

Control = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Identity:
    """Who asks: ``name`` is empty for everybody who is not logged in; ``groups`` are those of the login."""

    name: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        return self.name.strip() or "anonymous"


ANONYMOUS = Identity()


@dataclass(frozen=True)
class Decision:
    """``rule`` is the pattern that decides (None: none), ``why`` what in it allows or denies. ``certain`` is false where zot decides at
    random between patterns of one length, or where a condition decides that only a request can meet."""

    allowed: bool
    rule: str | None
    why: str
    certain: bool = True


NO_RULES = Decision(True, None, "there is no accessControl: everybody may do everything")


def control_of(document: t.Mapping[str, t.Any]) -> Control | None:
    """The accessControl of a loaded document (keys in lower case); None where there is none and everybody may do everything."""
    http = document.get("http") or {}
    control = http.get("accesscontrol")
    return control if control else None


def groups_of(control: Control | None, name: str) -> frozenset[str]:
    """The groups that the configuration itself puts a user into."""
    groups = (control or {}).get("groups") or {}
    return frozenset(group for group, members in groups.items() if name in ((members or {}).get("users") or []))


def member(control: Control | None, name: str, groups: t.Iterable[str] = ()) -> Identity:
    """A user with the groups of the configuration and others, such as those of an identity provider."""
    return Identity(name, groups_of(control, name) | frozenset(groups))


def decide(
    document: t.Mapping[str, t.Any],
    identity: Identity,
    action: str,
    repository: str,
    reference: str | None = None,
    release: tuple[int, ...] = (2, 1, 20),
) -> Decision:
    """Whether ``identity`` may do ``action`` in ``repository``; ``reference`` is the tag that is written, where one is."""
    control = control_of(document)
    outside = before_rules(document, identity)
    if outside or control is None:
        return outside or NO_RULES
    if action == UPDATE and reference == "latest" and release < (2, 1, 15):
        action = CREATE  # up to 2.1.14 this tag was overwritten by whoever may create
    return decided(control, deciding_patterns(control.get("repositories") or {}, repository), identity, action)


def before_rules(document: t.Mapping[str, t.Any], identity: Identity) -> Decision | None:
    """The decision, where zot makes one before it looks at any entry; None where it looks.

    Who has not logged in is let in where there is nothing to log in to, or where anonymous may do anything anywhere.
    """
    control = control_of(document)
    if not identity.name and has_login(document):
        entries = ((control or {}).get("repositories") or {}).values()
        if not any((entry or {}).get("anonymouspolicy") for entry in entries):
            return Decision(False, None, "there is no anonymousPolicy, so everybody has to log in")
    return None if control is not None else NO_RULES


def has_login(document: t.Mapping[str, t.Any]) -> bool:
    """Whether there is any way to log in with a password, a key or a certificate."""
    http = document.get("http") or {}
    auth, tls = http.get("auth") or {}, http.get("tls") or {}
    passwords = (auth.get("htpasswd") or {}).get("path") or auth.get("ldap")
    return bool(passwords or auth.get("apikey") or auth.get("openid") or all(tls.get(key) for key in ("cert", "key", "cacert")))


def decided(control: Control, deciding: t.Sequence[str], identity: Identity, action: str) -> Decision:
    """The decision where these patterns decide."""
    repositories = control.get("repositories") or {}
    found = [_in_entry(repositories[pattern] or {}, pattern, identity, action) for pattern in deciding]
    if not found:
        found = [Decision(False, None, "no pattern matches")]
    admin = _as_admin(control, identity, action)
    if admin:
        found = [decision if decision.allowed and decision.certain else _better(decision, admin) for decision in found]
    return _of_all(found)


def deciding_patterns(repositories: t.Iterable[str], repository: str) -> list[str]:
    """The longest patterns, in bytes, that match; several of one length decide at random. The empty pattern is for what none matches."""
    patterns = list(repositories)
    matching = [pattern for pattern in patterns if pattern and _glob.matches(pattern, repository)]
    if not matching:
        return [""] if "" in patterns else []
    longest = max(len(pattern.encode()) for pattern in matching)
    return [pattern for pattern in matching if len(pattern.encode()) == longest]


def listed(document: t.Mapping[str, t.Any], identity: Identity, repository: str) -> bool:
    """Whether the catalogue names the repository: whoever may read it, and administrators, whatever their actions are."""
    control = control_of(document)
    admin = control is not None and _is_admin(control, identity)
    return admin or decide(document, identity, READ, repository).allowed


def _in_entry(entry: Control, pattern: str, identity: Identity, action: str) -> Decision:
    conditional: Decision | None = None
    for policy in entry.get("policies") or []:
        held = _holds(policy, identity, action)
        if held and not policy.get("conditions"):
            return Decision(True, pattern, held)
        if held:
            conditional = Decision(True, pattern, f"{held}, where its conditions hold", certain=False)
    key, who = ("defaultpolicy", "everybody who is logged in") if identity.name else ("anonymouspolicy", "everybody who is not logged in")
    if action in (entry.get(key) or []):
        return Decision(True, pattern, f"{'defaultPolicy' if identity.name else 'anonymousPolicy'}: {who} may {action}")
    return conditional or Decision(False, pattern, f"nothing there allows {identity.label} to {action}")


def _as_admin(control: Control, identity: Identity, action: str) -> Decision | None:
    admin = control.get("adminpolicy") or {}
    held = _holds(admin, identity, action)
    if not held:
        return None
    certain = not admin.get("conditions")
    return Decision(True, None, f"adminPolicy: {held}{'' if certain else ', where its conditions hold'}", certain)


def _better(decision: Decision, admin: Decision) -> Decision:
    return admin if admin.certain or not decision.allowed else decision


def _holds(policy: Control, identity: Identity, action: str) -> str:
    """Why a policy grants the action, empty where it does not."""
    if action not in (policy.get("actions") or []):
        return ""
    if identity.name in (policy.get("users") or []):
        return f"user {identity.label} may {action}"
    shared = sorted(identity.groups & set(policy.get("groups") or []))
    return f"group {shared[0]} may {action}" if shared else ""


def _is_admin(control: Control, identity: Identity) -> bool:
    admin = control.get("adminpolicy") or {}
    return identity.name in (admin.get("users") or []) or bool(identity.groups & set(admin.get("groups") or []))


def _of_all(found: list[Decision]) -> Decision:
    """One decision of those that zot may take."""
    if len({decision.allowed for decision in found}) == 1:
        return found[0]
    patterns = " and ".join(f"'{decision.rule}'" for decision in found)
    return Decision(False, found[0].rule, f"{patterns} are of one length, and zot decides by either at random", certain=False)
