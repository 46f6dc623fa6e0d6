# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry's side of a login, the blueprint that is made from it, and small changes of its text."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Authentik, Side, Wanted, build

GRANTS: list[dict[str, t.Any]] = [
    {"anonymous": True, "actions": ["read"]},
    {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
    {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
]
SETTINGS: dict[str, t.Any] = {
    "external_url": "https://registry.example.org",
    "oidc": {"issuer": "https://authentik.example.org/application/o/zot/", "client_id": "zot", "username_claim": "preferred_username"},
    "grants": GRANTS,
}
SIDE = Side(
    external_url="https://registry.example.org",
    provider="oidc",
    issuer="https://authentik.example.org/application/o/zot/",
    client_id="zot",
    scopes=("openid", "profile", "email"),
    username_claim="preferred_username",
    groups_claim="groups",
    groups=("admins", "artifact-workloads"),
    local_groups=frozenset(),
)
RELEASE = Authentik.of("2026.2")


def blueprint(side: Side = SIDE, release: Authentik = RELEASE, **wanted: t.Any) -> str:
    return build(side, Wanted(release, **wanted))


def changed(text: str, old: str, new: str) -> str:
    """The text with one piece changed everywhere; the piece has to be there."""
    assert old in text, old
    return text.replace(old, new)


def without(text: str, *fields: str) -> str:
    """The text without the lines of these fields."""
    kept = [line for line in text.splitlines(keepends=True) if not line.strip().startswith(tuple(f"{field}:" for field in fields))]
    assert len(kept) < text.count("\n"), fields
    return "".join(kept)
