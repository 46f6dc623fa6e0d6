# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is wrong with a blueprint, whoever wrote it, and where the two sides of a login differ.

AK1.. authentik does not apply the file; AK2.. the registry wants something else; AK3.. it is applied and then does otherwise than it says.
"""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import (
    APPLICATION,
    BINDING,
    GROUP,
    META,
    PROVIDER,
    USER,
    Authentik,
    Side,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_read import (
    UNKNOWN,
    Blueprint,
    Entry,
    is_name,
    known,
    may_be_null,
    tags,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, load
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, ERROR, SEVERITIES, WARNING, Finding
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._yaml import YamlError

Hits = t.Iterator[tuple[str, str]]
Check = t.Callable[[Blueprint], Hits]


class Rule(t.NamedTuple):
    """A code, how bad it is, how to mend it, and the function that yields a path and a message for each case."""

    code: str
    severity: str
    mend: str
    check: Check


RULES: list[Rule] = []
_UNREADABLE = ("AK101", ERROR, "mend the YAML; authentik takes version 1 and a list of entries")


def rule(code: str, severity: str, mend: str) -> t.Callable[[Check], Check]:
    def register(check: Check) -> Check:
        RULES.append(Rule(code, severity, mend, check))
        return check

    return register


def validate(text: str, side: Side, release: Authentik, everyone: bool = False) -> list[Finding]:
    """Everything that is wrong, the worst first. ``everyone``: that all who have a login may use the registry is meant."""
    try:
        blueprint = Blueprint.read(text, side, release, everyone)
    except YamlError as error:
        return [Finding(*_UNREADABLE[:2], "", f"no YAML: {error}", _UNREADABLE[2])]
    rules = [one for one in RULES if one.code < "AK102"]
    findings = [Finding(one.code, one.severity, path, said, one.mend) for one in rules for path, said in one.check(blueprint)]
    if not findings:
        findings = [Finding(one.code, one.severity, path, said, one.mend) for one in RULES for path, said in one.check(blueprint)]
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.code, one.path, one.message))


def told(findings: list[Finding], fail_on: str, release: Authentik) -> dict[str, t.Any]:
    """The findings as return values of an action, with a message for people."""
    errors, warnings = ([one for one in findings if one.severity == severity] for severity in (ERROR, WARNING))
    bad = {"error": errors, "warning": [*errors, *warnings], "never": []}[fail_on]
    counts = [f"{len(some)} {name}{'' if len(some) == 1 else 's'}" for some, name in ((errors, ERROR), (warnings, WARNING)) if some]
    summary = ", ".join(counts) or "the two sides agree"
    newer = [f"authentik {release} is newer than all whose fields are known here; it is judged as the newest of them"]
    return {
        "failed": bool(bad),
        "ok": not errors,
        "summary": summary,
        "msg": "\n".join([summary, *(f"- {one}" for one in bad)]),
        "findings": [one.as_dict() for one in findings],
        "warnings": [*(newer if release.unknown else []), *(str(one) for one in findings if one.severity != ADVICE and one not in bad)],
    }


def environment(text: str) -> list[str]:
    """Names of the variables that authentik's worker has to have; empty for what is no YAML."""
    try:
        return sorted({tag.text for _path, tag in tags(load(text)) if tag.name == "Env"})
    except YamlError:
        return []


def is_without_secret(text: str) -> bool:
    """Whether a blueprint can be shown: one of ours, into which nobody wrote a secret since."""
    try:
        entries = mapping(load(text)).get("entries")
    except YamlError:
        return False
    found = [mapping(mapping(entry).get("attrs")) for entry in entries] if isinstance(entries, list) else [{"key": ""}]
    return all(isinstance(attrs.get(name, Tag("Env", "")), Tag) for attrs in found for name in ("client_secret", "password", "key"))


# --- authentik does not apply it

_ENTRY = {"model", "id", "identifiers", "attrs", "state", "conditions", "permissions"}
_STATES = {"present", "created", "must_created", "absent"}


@rule(*_UNREADABLE)
def unreadable(blueprint: Blueprint) -> Hits:
    tree = blueprint.tree
    if not tree:
        yield "", "no mapping, so authentik passes the file over"
        return
    if tree.get("version") != 1 or isinstance(tree.get("version"), bool):
        yield "version", "it is not 1, so authentik passes the file over"
    if not blueprint.entries:
        yield "entries", "there is none"
    if isinstance(tree.get("entries"), dict) and not blueprint.release.since(2026, 2):
        yield "entries", "lists with names are newer than this authentik"
    name = mapping(tree.get("metadata")).get("name")
    if "metadata" in tree and not isinstance(name, str):
        yield "metadata.name", "it is wanted where there is metadata"
    for path, tag in tags(tree):
        if tag.problem:
            yield path, tag.problem
        elif tag.name == "FindObject" and not blueprint.release.since(2025, 8):
            yield path, "authentik knows !FindObject since 2025.8"


@rule("AK102", ERROR, "an entry has model, identifiers and attrs, and may have id, state, conditions and permissions")
def shape(blueprint: Blueprint) -> Hits:
    for entry in blueprint.entries:
        if not entry.model:
            yield entry.path, "no model, so authentik cannot read the file"
        for key in sorted(set(map(str, entry.raw)) - _ENTRY):
            yield f"{entry.path}.{key}", "authentik knows no such key, and passes it over without a word"
        if not isinstance(entry.raw.get("state"), Tag) and entry.state not in _STATES:
            yield f"{entry.path}.state", f"one of {', '.join(sorted(_STATES))} is wanted"
        if not entry.identifiers and entry.model != META:
            yield f"{entry.path}.identifiers", "none, by which authentik would find what is there already"


@rule("AK103", ERROR, "give the entry that is meant this id, and let it stand before; for another file's use !Find")
def order(blueprint: Blueprint) -> Hits:
    before: set[str] = set()
    for entry in blueprint.entries:
        for path, tag in tags({key: value for key, value in entry.raw.items() if key != "id"}):
            if tag.name == "KeyOf" and tag.text not in before:
                there = blueprint.named(tag.text)
                yield f"{entry.path}.{path}", "!KeyOf: " + ("the entry stands after this one" if there else "no entry has this id")
        if entry.name and entry.name in before:
            yield f"{entry.path}.id", "it was given before, and !KeyOf means the first"
        if entry.name and entry.state != "absent":
            before.add(entry.name)


_REQUIRED = {
    PROVIDER: ("name", "authorization_flow", "redirect_uris"),
    APPLICATION: ("name", "slug"),
    GROUP: ("name",),
    USER: ("username", "name"),
    BINDING: ("target", "order"),
}
_CHOICES: dict[str, dict[str, set[str]]] = {
    PROVIDER: {
        "client_type": {"confidential", "public"},
        "sub_mode": {"hashed_user_id", "user_id", "user_uuid", "user_username", "user_email", "user_upn"},
        "issuer_mode": {"global", "per_provider"},
    },
    APPLICATION: {"policy_engine_mode": {"any", "all"}},
    USER: {"type": {"internal", "external", "service_account", "internal_service_account"}},
}


@rule("AK104", ERROR, "authentik's models want it so; nothing of the file is applied as long as one entry is wrong")
def fields(blueprint: Blueprint) -> Hits:
    for model, names in _REQUIRED.items():
        needs_flow = model == PROVIDER and blueprint.release.since(2024, 10)
        for entry in blueprint.of(model):
            for name in [*names, *(["invalidation_flow"] if needs_flow else [])]:
                if entry.data.get(name) is None:
                    yield entry.where(name), f"{name} is wanted"
    for entry in blueprint.of(APPLICATION):
        slug = entry.value("slug")
        if isinstance(slug, str) and not is_name(slug):
            yield entry.where("slug"), "a slug has letters, digits, - and _ alone"
    for entry in blueprint.of(BINDING):
        if len([name for name in ("policy", "group", "user") if entry.data.get(name) is not None]) != 1:
            yield entry.path, "just one of policy, group and user is wanted"


@rule("AK105", ERROR, "since 2024.12 a list of {matching_mode: strict, url: ...}; before it was one text, one address a line")
def redirect_shape(blueprint: Blueprint) -> Hits:
    for entry in blueprint.of(PROVIDER):
        given = entry.value("redirect_uris")
        where = entry.where("redirect_uris")
        if given is None or given is UNKNOWN:
            continue
        if not blueprint.release.since(2024, 10):
            if not isinstance(given, str):
                yield where, f"authentik {blueprint.release} wants a text"
        elif not isinstance(given, list):
            yield where, f"authentik {blueprint.release} wants a list"
        else:
            for number, item in enumerate(given):
                if not isinstance(item, dict) or not item.get("url") or item.get("matching_mode") not in ("strict", "regex"):
                    yield f"{where}[{number}]", "matching_mode (strict or regex) and url are wanted"


# Fields, by model, with the releases that know them; the others of an entry are not judged.
_SINCE: dict[str, dict[str, tuple[tuple[int, int], tuple[int, int] | None]]] = {
    PROVIDER: {
        "grant_types": ((2026, 5), None),
        "logout_uri": ((2026, 2), None),
        "invalidation_flow": ((2024, 10), None),
        "jwks_sources": ((2022, 5), (2025, 2)),
    },
    GROUP: {"parents": ((2025, 12), None), "parent": ((2022, 1), (2025, 12))},
    USER: {"roles": ((2025, 12), None)},
}


@rule("AK106", WARNING, "authentik passes over what its release does not know; use the release's own fields")
def releases(blueprint: Blueprint) -> Hits:
    now = blueprint.release.number
    for model, names in _SINCE.items():
        for entry in blueprint.of(model):
            for name, (since, until) in names.items():
                if name in entry.data and now < since:
                    yield entry.where(name), f"authentik knows it since {since[0]}.{since[1]}"
                elif name in entry.data and until and now >= until:
                    yield entry.where(name), f"authentik {until[0]}.{until[1]} and newer have it no more"


@rule("AK107", ERROR, "authentik's models want one of these; nothing of the file is applied as long as one entry is wrong")
def choices(blueprint: Blueprint) -> Hits:
    for model, names in _CHOICES.items():
        for entry in blueprint.of(model):
            for name, allowed in names.items():
                value = entry.value(name)
                if value is not UNKNOWN and value is not None and not (isinstance(value, str) and value in allowed):
                    yield entry.where(name), f"one of {', '.join(sorted(allowed))} is wanted"


# --- the registry wants something else


@rule("AK201", ERROR, "an entry of authentik_providers_oauth2.oauth2provider, and one of authentik_core.application with it as provider")
def there(blueprint: Blueprint) -> Hits:
    if blueprint.provider is None:
        count = len(blueprint.of(PROVIDER))
        yield "entries", f"{count} OAuth2 providers, and none has the registry's client id" if count else "no OAuth2 provider"
    elif blueprint.application is None:
        yield "entries", "no application for the provider, so that it has no issuer"
    elif blueprint.leads_to(blueprint.application.data.get("provider")) is not blueprint.provider:
        yield blueprint.application.where("provider"), "the application is not the provider's"


@rule("AK202", ERROR, "let client_id and zot_oidc.client_id be the same")
def client(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and blueprint.side.client_id:
        given = provider.value("client_id")
        if given is not UNKNOWN and given != blueprint.side.client_id:
            said = f"the registry's is {blueprint.side.client_id}"
            yield provider.where("client_id"), f"{said}, this is {given}" if given else f"{said}; authentik would make one up"


def _redirects(provider: Entry) -> list[dict[str, t.Any]]:
    """The addresses to which people may be sent back after the login, as mappings."""
    given = provider.value("redirect_uris")
    if isinstance(given, str):
        given = [{"matching_mode": "strict", "url": line} for line in given.split("\n") if line]
    listed = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    return [item for item in listed if item.get("redirect_uri_type", "authorization") == "authorization"]


@rule("AK203", ERROR, "matching_mode: strict, and the address byte for byte: zot_external_url, /zot/auth/callback/ and the provider's key")
def redirect(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and provider.value("redirect_uris") is not UNKNOWN:
        wanted, found = blueprint.side.redirect_uri, _redirects(provider)
        urls = [provider_url for item in found if (provider_url := _plain(item.get("url"), provider)) is not UNKNOWN]
        if not any(item.get("matching_mode") == "strict" and _plain(item.get("url"), provider) in (wanted, UNKNOWN) for item in found):
            near = f"; there is {', '.join(map(str, urls))}" if urls else ""
            yield provider.where("redirect_uris"), f"the registry sends people to {wanted}{near}"


@rule("AK204", WARNING, "leave the registry's one strict address")
def redirects(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    for number, item in enumerate(_redirects(provider) if provider else []):
        if item.get("matching_mode") == "regex":
            yield f"{t.cast('Entry', provider).where('redirect_uris')}[{number}]", "a pattern lets more addresses in than it looks"
        elif _plain(item.get("url"), t.cast("Entry", provider)) not in (blueprint.side.redirect_uri, UNKNOWN):
            yield f"{t.cast('Entry', provider).where('redirect_uris')}[{number}]", "the registry never uses it"


def _plain(value: t.Any, entry: Entry) -> t.Any:

    return known(value, entry.context)


@rule(
    "AK205",
    ERROR,
    "authentik's is https://HOST/application/o/SLUG/ with the application's slug and the slash; zot compares byte for byte",
)
def issuer(blueprint: Blueprint) -> Hits:
    side, application = blueprint.side, blueprint.application
    if not side.slug:
        yield "", f"the registry's issuer {side.issuer} is none of authentik's"
    elif application:
        slug = application.value("slug")
        if slug is not UNKNOWN and slug != side.slug:
            yield application.where("slug"), f"the registry's issuer says {side.slug}, this is {slug}"


@rule("AK206", ERROR, "issuer_mode: per_provider, which is authentik's own choice too, and no issuer_override")
def issuer_mode(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and provider.value("issuer_mode") == "global":
        yield provider.where("issuer_mode"), "the issuer would be the host's root, where there is no discovery document"
    if provider and provider.data.get("issuer_override") and provider.value("issuer_override") != blueprint.side.issuer:
        yield provider.where("issuer_override"), "the issuer would be another than the registry's"


@rule(
    "AK207",
    ERROR,
    "attach a mapping that has the claim, for a scope that is asked for; authentik's profile has preferred_username",
)
def username(blueprint: Blueprint) -> Hits:
    claims, more = blueprint.claims()
    wanted = blueprint.side.username_claim
    if blueprint.provider and wanted not in claims and not more:
        yield blueprint.provider.where("property_mappings"), f"nothing says {wanted}, by which the registry names people"


@rule("AK208", ERROR, "attach authentik's mapping of the scope profile, which has groups, or one of your own with the claim")
def groups_claim(blueprint: Blueprint) -> Hits:
    claims, more = blueprint.claims()
    side = blueprint.side
    if blueprint.provider and side.groups and side.groups_claim not in claims and not more:
        yield blueprint.provider.where("property_mappings"), f"nothing says {side.groups_claim}, so that nobody is in a group"


@rule("AK209", ERROR, "attach authentik's mapping of the scope openid")
def openid(blueprint: Blueprint) -> Hits:
    scopes = [scope for scope, _claims in blueprint.mappings()]
    if blueprint.provider and "openid" not in scopes and UNKNOWN not in scopes:
        yield blueprint.provider.where("property_mappings"), "without a mapping of openid authentik drops the scope, and there is no login"


@rule("AK210", WARNING, "attach a mapping for it, or take it out of zot_oidc.scopes")
def dropped(blueprint: Blueprint) -> Hits:
    scopes = [scope for scope, _claims in blueprint.mappings()]
    for scope in blueprint.side.scopes if blueprint.provider and UNKNOWN not in scopes else ():
        if scope not in scopes and scope != "openid":
            yield blueprint.provider.where("property_mappings"), f"the registry asks for {scope}, and authentik drops it without a word"


@rule("AK211", ERROR, "make the group by its name, or find it; names are compared exactly, so write them in lower case on both sides")
def groups(blueprint: Blueprint) -> Hits:
    made, sought = blueprint.groups()
    there = made | sought
    for name in blueprint.side.groups:
        if name not in there and name not in blueprint.side.local_groups:
            other = next((one for one in sorted(there) if one.lower() == name.lower()), "")
            yield "entries", f"no group {name}, which the registry's policy names" + (f"; {other} is another" if other else "")


@rule("AK212", WARNING, "make it here too, by its name alone; or name the other file's blueprint in a metaapplyblueprint before")
def found_groups(blueprint: Blueprint) -> Hits:
    made, sought = blueprint.groups()
    if not blueprint.of(META):
        for name in sorted((sought - made) & set(blueprint.side.groups)):
            yield "entries", f"the group {name} is only looked for, and nothing here says what makes it"


@rule("AK213", WARNING, "set zot_oidc.username_claim: preferred_username, or give the user an e-mail address")
def nameless(blueprint: Blueprint) -> Hits:
    for entry in blueprint.of(USER):
        if blueprint.side.username_claim == "email" and not entry.data.get("email"):
            yield entry.path, "the registry names people by their e-mail address, and this user has none"


# --- it is applied, and does otherwise than it says


@rule("AK301", ERROR, "signing_key: !Find [authentik_crypto.certificatekeypair, [name, authentik Self-signed Certificate]], guarded by !If")
def signing_key(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and provider.data.get("signing_key") is None:
        yield provider.where("signing_key"), "none, so authentik signs with the client secret, and zot wants a key of its own"


@rule("AK302", WARNING, "!If [!Find X, !Find X, some words]: authentik refuses words for a key, and says them, where it takes null")
def signing_key_null(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    value = provider.data.get("signing_key") if provider else None
    if provider and value is not None and may_be_null(value):
        yield provider.where("signing_key"), "null where the certificate is not found, which authentik takes without a word"


@rule("AK303", ERROR, "client_secret: !Env NAME or !File PATH, of the worker; nothing else of it in the file")
def secret(blueprint: Blueprint) -> Hits:
    for entry in blueprint.of(PROVIDER):
        value = entry.data.get("client_secret")
        where = entry.where("client_secret")
        if value is None:
            if entry is blueprint.provider and entry.value("client_type") != "public":
                yield where, "none, so authentik makes one up that the registry does not know"
        elif not isinstance(value, Tag):
            yield where, "the secret itself stands in the file"
        elif value.name in ("Env", "File", "Context") and len(value.parts) > 1 and value.parts[1]:
            yield where, f"!{value.name} with a default is a secret that stands in the file"
        elif value.name not in ("Env", "File", "Context"):
            yield where, f"!{value.name} is made of what stands in the file"


@rule("AK304", ERROR, "bind the groups of the policy to the application; where everybody is meant, bound_groups: []")
def unbound(blueprint: Blueprint) -> Hits:
    if blueprint.application and not blueprint.bindings and not blueprint.everyone:
        yield blueprint.application.path, "no binding, so that everybody who has a login at authentik may use the registry"


@rule("AK305", ERROR, "policy_engine_mode: any")
def engine(blueprint: Blueprint) -> Hits:
    groups = {blueprint.group_of(one.data.get("group")) for one in blueprint.bindings if one.data.get("group") is not None}
    if blueprint.application and len(groups) > 1 and blueprint.application.value("policy_engine_mode") == "all":
        yield blueprint.application.where("policy_engine_mode"), "only who is in all the groups could log in"


@rule("AK306", WARNING, "bind the group too, or take it out of the policy")
def unbound_group(blueprint: Blueprint) -> Hits:
    bindings = blueprint.bindings
    if not bindings or not blueprint.application or any(one.data.get("group") is None for one in bindings):
        return
    bound = {blueprint.group_of(one.data.get("group")) for one in bindings if one.value("negate") is not True}
    for name in blueprint.side.groups:
        if name not in bound and name not in blueprint.side.local_groups and None not in bound:
            yield blueprint.application.path, f"the policy gives rights to {name}, whose members cannot log in"


@rule("AK307", WARNING, "negate: false")
def negated(blueprint: Blueprint) -> Hits:
    for entry in blueprint.bindings:
        if entry.value("negate") is True and entry.data.get("group") is not None:
            yield entry.where("negate"), "it lets in everybody who is not in the group"


@rule("AK308", ERROR, "find it by what is always there, or add conditions: [!Find ...] with the same")
def null_identifier(blueprint: Blueprint) -> Hits:
    for entry in blueprint.entries:
        guards = [*entry.raw.get("conditions")] if isinstance(entry.raw.get("conditions"), list) else []
        for name, value in entry.identifiers.items() if entry.state == "absent" else ():
            if isinstance(value, Tag) and may_be_null(value) and value not in guards:
                yield entry.where(name), "where it is null authentik deletes the first that has none"


@rule("AK309", WARNING, "client_type: confidential, as the registry has a secret")
def public(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and provider.value("client_type") == "public":
        yield provider.where("client_type"), "anybody can use the client's name"


@rule("AK310", ERROR, "leave it out: zot reads tokens that are signed, not encrypted ones")
def encrypted(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and provider.data.get("encryption_key") is not None:
        yield provider.where("encryption_key"), "tokens would be encrypted"


@rule("AK311", ERROR, "grant_types: [authorization_code]")
def grant_types(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and blueprint.release.since(2026, 5) and "grant_types" in provider.data:
        given = provider.value("grant_types")
        if given is not UNKNOWN and "authorization_code" not in (given or []):
            yield provider.where("grant_types"), "the registry's kind of login is not among them"


@rule("AK312", WARNING, "grant_types: [authorization_code]")
def no_grant_types(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    if provider and blueprint.release.since(2026, 5) and "grant_types" not in provider.data:
        yield provider.where("grant_types"), "none given; where authentik's own choice is an empty list, nobody can log in"


@rule("AK313", ADVICE, "!Find [authentik_providers_oauth2.scopemapping, [managed, goauthentik.io/providers/oauth2/scope-...]]")
def by_scope_name(blueprint: Blueprint) -> Hits:
    provider = blueprint.provider
    for path, tag in tags(provider.data.get("property_mappings"), provider.where("property_mappings")) if provider else ():
        if tag.name == "Find" and any(isinstance(part, list) and part[:1] == ["scope_name"] for part in tag.parts):
            yield path, "several mappings may have the scope, and authentik takes the first"


@rule(
    "AK314",
    WARNING,
    "blueprints come in no order; begin with authentik_blueprints.metaapplyblueprint for what is looked for",
)
def unordered(blueprint: Blueprint) -> Hits:
    if not blueprint.of(META) and any(tag.name in ("Find", "FindObject") for _path, tag in tags(blueprint.tree)):
        yield "entries", "other blueprints make what is looked for here, and nothing has them applied first"
