# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the registry's side of a login -> authentik's side of it, as a blueprint.

Sources: authentik's C(blueprints/v1) and C(providers/oauth2), and the models of authentik-client 2024.8 to 2026.8.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, dump

Entry = dict[str, t.Any]

APPLICATION = "authentik_core.application"
BINDING = "authentik_policies.policybinding"
CERTIFICATE = "authentik_crypto.certificatekeypair"
FLOW = "authentik_flows.flow"
GROUP = "authentik_core.group"
MAPPING = "authentik_providers_oauth2.scopemapping"
META = "authentik_blueprints.metaapplyblueprint"
PROVIDER = "authentik_providers_oauth2.oauth2provider"
USER = "authentik_core.user"

# What authentik's own mappings say of a user, by the scope that asks for it. The stable name of each is its `managed`.
MANAGED = "goauthentik.io/providers/oauth2/scope-"
DEFAULT_CLAIMS: dict[str, frozenset[str]] = {
    "openid": frozenset(),
    "email": frozenset({"email", "email_verified"}),
    "profile": frozenset({"name", "given_name", "preferred_username", "nickname", "groups"}),
    "entitlements": frozenset({"entitlements", "roles"}),
    "offline_access": frozenset(),
}
# Said of everybody, whatever is asked for.
ALWAYS = frozenset({"sub", "iss", "aud"})

# How a blueprint of ours begins.
MARK = "# Made from the registry's variables by blumeops.zot; changes made here are lost.\n"

NEWEST = (2026, 8)
OLDEST = (2024, 2)

_ISSUER = re.compile(r"(?P<base>https?://[^/?#]+(?:/[^?#]+)?)/application/o/(?P<slug>[^/?#]+)/")
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")


@dataclass(frozen=True, order=True)
class Authentik:
    """A release of authentik, such as C(2026.2) or C(2026.2.3): year and month count."""

    number: tuple[int, int]

    @staticmethod
    def of(text: str) -> Authentik:
        found = re.fullmatch(r"(?:version/)?(\d{4})\.(\d{1,2})(?:\.\d+)?", str(text).strip())
        if not found:
            raise ZotError("authentik_release: a release such as 2026.2 is wanted, in quotes")
        number = (int(found[1]), int(found[2]))
        if number[1] == 1:
            raise ZotError(f"authentik_release: there is no {number[0]}.1; YAML reads {number[0]}.10 so, unless it is in quotes")
        if number < OLDEST:
            raise ZotError(f"authentik {number[0]}.{number[1]} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that is known here")
        return Authentik(number)

    def __str__(self) -> str:
        return f"{self.number[0]}.{self.number[1]}"

    @property
    def unknown(self) -> bool:
        """Newer than every release whose fields are known here; it is treated as the newest of them."""
        return self.number > NEWEST

    def since(self, year: int, month: int) -> bool:
        return self.number >= (year, month)


@dataclass(frozen=True)
class Side:
    """What the registry's configuration wants of the provider. ``client_id`` is empty where only its file knows it."""

    external_url: str
    provider: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    username_claim: str
    groups_claim: str
    groups: tuple[str, ...]
    local_groups: frozenset[str]

    @property
    def redirect_uri(self) -> str:
        """The one address to which the provider may send people back."""
        return f"{self.external_url.rstrip('/')}/zot/auth/callback/{self.provider}"

    @property
    def slug(self) -> str:
        """The application's, as the issuer has it; empty where the issuer is none of authentik's."""
        found = _ISSUER.fullmatch(self.issuer)
        return found["slug"] if found else ""


def side_of(loaded: dict[str, t.Any], client_id: str, provider: str = "") -> Side:
    """From a configuration as zot loads it (keys in lower case). Raises ZotError where nobody could log in.

    ``provider`` is the key of one of several providers.
    """
    http = mapping(loaded.get("http"))
    providers = mapping(mapping(mapping(http.get("auth")).get("openid")).get("providers"))
    known = sorted(providers)
    if not known:
        raise ZotError("the registry has no OpenID provider; set zot_oidc, or http.auth.openid.providers in its configuration")
    if provider.lower() not in providers and (provider or len(known) > 1):
        raise ZotError(f"provider: the registry's are {', '.join(known)}; name the one that authentik is")
    name = provider.lower() or known[0]
    one, control = mapping(providers[name]), mapping(http.get("accesscontrol"))
    address = str(http.get("externalurl") or "")
    if not urlsplit(address).netloc:
        raise ZotError("zot_external_url is needed: it is where the provider sends people back to, such as https://registry.example.org")
    claims = mapping(one.get("claimmapping"))
    return Side(
        external_url=address,
        provider=name,
        issuer=str(one.get("issuer") or ""),
        client_id=client_id or str(one.get("clientid") or ""),
        # zot adds this one by itself.
        scopes=tuple(dict.fromkeys(["openid", *map(str, one.get("scopes") or [])])),
        username_claim=str(claims.get("username") or "email"),
        groups_claim=str(claims.get("groups") or "groups"),
        groups=_groups(control),
        local_groups=frozenset(mapping(control.get("groups"))),
    )


def _groups(control: dict[str, t.Any]) -> tuple[str, ...]:
    """Every group that some policy gives a right."""
    policies = [mapping(control.get("adminpolicy"))]
    for repository in mapping(control.get("repositories")).values():
        policies += [mapping(policy) for policy in mapping(repository).get("policies") or []]
    return tuple(sorted({str(group) for policy in policies for group in policy.get("groups") or []}))


@dataclass(frozen=True)
class Wanted:
    """What the registry's side does not say. ``bound_groups`` None: those of the policy; empty: everybody who has a login."""

    release: Authentik
    name: str = "Zot"
    secret_env: str = "AUTHENTIK_ZOT_CLIENT_SECRET"  # noqa: S105 - a name
    secret_file: str = ""
    signing_key: str = "authentik Self-signed Certificate"
    authorization_flow: str = "default-provider-authorization-implicit-consent"
    invalidation_flow: str = "default-provider-invalidation-flow"
    bound_groups: tuple[str, ...] | None = None
    retired_groups: tuple[str, ...] = ()
    service_users: tuple[dict[str, t.Any], ...] = field(default_factory=tuple)
    after: tuple[str, ...] = ()

    def bound(self, side: Side) -> tuple[str, ...]:
        """The groups that may use the application."""
        return side.groups if self.bound_groups is None else self.bound_groups


def build(side: Side, wanted: Wanted) -> str:
    """The blueprint's text. Raises ZotError for what authentik could not have; no secret is in it."""
    _require(side, wanted)
    own_mapping = side.groups_claim not in claims_of_defaults(side.scopes)
    entries = [
        ("What authentik's own blueprints make has to be there first.", _before(wanted)),
        (
            "By name alone: the file that comes first makes them, and what else is known of them stays.",
            [_entry(GROUP, f"group-{name}", {"name": name}) for name in _all_groups(side, wanted)],
        ),
        ("Who logs in for programs.", [_user(user) for user in wanted.service_users]),
        (
            f"authentik's own mappings say nothing of the claim {side.groups_claim}.",
            [_mapping(side, wanted)] if own_mapping else [],
        ),
        ("", [_provider(side, wanted, own_mapping)]),
        ("", [_application(side, wanted)]),
        ("Who may use it: without a binding everybody could.", _bindings(side, wanted)),
        ("Who may no longer.", [_retired(name) for name in wanted.retired_groups]),
    ]
    head = {
        "version": 1,
        "metadata": {
            "name": f"{wanted.name} SSO",
            "labels": {"blueprints.goauthentik.io/description": f"The login of the registry {side.external_url}"},
        },
    }
    text = MARK + dump(head) + "entries:\n"
    for comment, group in entries:
        if comment and group:
            text += f"  # {comment}\n"
        for entry in group:
            text += "".join(f"  {line}" for line in dump([entry]).splitlines(keepends=True))
    return text


def claims_of_defaults(scopes: t.Iterable[str]) -> frozenset[str]:
    """What authentik's own mappings say where these scopes are asked for."""
    return ALWAYS.union(*(DEFAULT_CLAIMS.get(scope, frozenset()) for scope in scopes))


def find(model: str, by: str, value: str) -> Tag:
    """A reference that is null where nothing is found: for fields in which authentik refuses null."""
    return Tag("Find", [model, [by, value]])


def _require(side: Side, wanted: Wanted) -> None:
    if not side.client_id:
        raise ZotError("zot_oidc.client_id is needed: it is the client's name at the provider")
    if not side.slug or not _SLUG.fullmatch(side.slug):
        raise ZotError(
            "zot_oidc.issuer: authentik's is https://HOST/application/o/SLUG/, with the slash at its end; zot compares it byte for byte"
        )
    if not wanted.release.since(2024, 10):
        raise ZotError("a blueprint can be made for authentik 2024.10 and newer; for an older one judge your own with state: judged")
    if bool(wanted.secret_env) == bool(wanted.secret_file):
        raise ZotError("the client secret comes from an environment variable or from a file of the worker: name one of them")
    if wanted.secret_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", wanted.secret_env):
        raise ZotError("client_secret_env: the name of an environment variable is wanted, never its value")
    if wanted.bound_groups is None and not side.groups:
        raise ZotError("no policy names a group, so that everybody could use the application; name bound_groups, or [] if that is meant")
    unknown = set(side.scopes) - set(DEFAULT_CLAIMS) - {side.groups_claim}
    if unknown:
        raise ZotError(f"zot_oidc.scopes: authentik has no mapping for {', '.join(sorted(unknown))} and would drop it without a word")
    if side.username_claim not in claims_of_defaults(side.scopes):
        raise ZotError(f"zot_oidc.username_claim: no scope that is asked for has authentik say {side.username_claim}")
    for name in wanted.retired_groups:
        if name in _all_groups(side, wanted):
            raise ZotError(f"retired_groups: {name} is named by a policy or bound, and cannot be retired as well")


def _all_groups(side: Side, wanted: Wanted) -> list[str]:
    of_users = (group for user in wanted.service_users for group in user.get("groups") or [])
    return sorted({*side.groups, *wanted.bound(side), *of_users})


def _entry(model: str, name: str, identifiers: dict[str, t.Any], attrs: dict[str, t.Any] | None = None) -> Entry:
    named = {"id": name} if name else {}
    return {"model": model, **named, "identifiers": identifiers, **({"attrs": attrs} if attrs else {})}


def _before(wanted: Wanted) -> list[Entry]:
    """In this order authentik applies them; one that an administrator took away is no error as long as what it made is there."""
    ours = [("System - OAuth2 Provider - Scopes", False)]
    if wanted.authorization_flow == Wanted.authorization_flow:
        ours.append(("Default - Provider authorization flow (implicit consent)", False))
    if wanted.invalidation_flow == Wanted.invalidation_flow:
        ours.append(("Default - Provider invalidation flow", False))
    named = [*ours, *((name, True) for name in wanted.after)]
    return [{"model": META, "attrs": {"identifiers": {"name": name}, "required": required}} for name, required in named]


def _user(user: dict[str, t.Any]) -> Entry:
    """Its groups are just these: authentik replaces the list."""
    attrs: dict[str, t.Any] = {"name": user.get("name") or user["username"], "type": "service_account", "path": "service-accounts"}
    if user.get("email"):
        attrs["email"] = user["email"]
    attrs["groups"] = [Tag("KeyOf", f"group-{group}") for group in user.get("groups") or []]
    return _entry(USER, "", {"username": user["username"]}, attrs)


def _mapping(side: Side, wanted: Wanted) -> Entry:
    """Asked for with a scope that zot asks for: one of the claim's own name, else openid, which is always among them."""
    relation = "groups" if wanted.release.since(2026, 2) else "ak_groups"
    attrs = {
        "name": f"{wanted.name}: groups",
        "scope_name": side.groups_claim if side.groups_claim in side.scopes else "openid",
        "expression": f"return {{{json.dumps(side.groups_claim)}: [group.name for group in request.user.{relation}.all()]}}\n",
    }
    return _entry(MAPPING, "zot-groups", {"name": attrs["name"]}, attrs)


def _provider(side: Side, wanted: Wanted, own_mapping: bool) -> Entry:
    redirect = {"matching_mode": "strict", "url": side.redirect_uri}
    key = find(CERTIFICATE, "name", wanted.signing_key)
    attrs: dict[str, t.Any] = {
        "name": wanted.name,
        "authorization_flow": find(FLOW, "slug", wanted.authorization_flow),
        "invalidation_flow": find(FLOW, "slug", wanted.invalidation_flow),
        "client_type": "confidential",
        "client_secret": Tag("File", wanted.secret_file) if wanted.secret_file else Tag("Env", wanted.secret_env),
        "redirect_uris": [redirect],
        # authentik takes null for a signing key, and signs with the secret then; what is no key at all it refuses, in these words.
        "signing_key": Tag("If", [key, key, f"there is no certificate named {wanted.signing_key}"]),
        "property_mappings": [
            *(find(MAPPING, "managed", MANAGED + scope) for scope in side.scopes if scope in DEFAULT_CLAIMS),
            *([Tag("KeyOf", "zot-groups")] if own_mapping else []),
        ],
        "sub_mode": "hashed_user_id",
        "include_claims_in_id_token": True,
        "issuer_mode": "per_provider",
    }
    if wanted.release.since(2026, 5):
        # Where it is left out a later release allows none.
        attrs["grant_types"] = ["authorization_code"]
        redirect["redirect_uri_type"] = "authorization"
    return _entry(PROVIDER, "zot-provider", {"client_id": side.client_id}, attrs)


def _application(side: Side, wanted: Wanted) -> Entry:
    attrs = {
        "name": wanted.name,
        "provider": Tag("KeyOf", "zot-provider"),
        "meta_launch_url": side.external_url,
        "policy_engine_mode": "any",
    }
    return _entry(APPLICATION, "zot-application", {"slug": side.slug}, attrs)


def _bindings(side: Side, wanted: Wanted) -> list[Entry]:
    target = Tag("KeyOf", "zot-application")
    return [
        _entry(
            BINDING,
            "",
            {"target": target, "group": Tag("KeyOf", f"group-{name}")},
            {"order": order, "enabled": True, "negate": False},
        )
        for order, name in enumerate(wanted.bound(side))
    ]


def _retired(name: str) -> Entry:
    """Only where the group is there: with null for a group authentik would delete the first binding that has none."""
    group = find(GROUP, "name", name)
    identifiers = {"target": Tag("KeyOf", "zot-application"), "group": group}
    return {"model": BINDING, "state": "absent", "conditions": [group], "identifiers": identifiers}
