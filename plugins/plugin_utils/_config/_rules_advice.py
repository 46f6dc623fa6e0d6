# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT4xx: what works as written, and is seldom wise."""

from __future__ import annotations

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, get
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, WARNING, Example, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._rules_verify_access import bearer_enabled, has_mtls

_LOGIN = "auth: {htpasswd: {path: /h}}"
_READ = "accessControl: {repositories: {'**': {defaultPolicy: [read]}}}"
_OPENID = "openid: {providers: {oidc: {clientid: a, issuer: 'https://i', scopes: [openid]}}}"
_READERS_MAY_PUSH = f"http: {{{_LOGIN}, accessControl: {{repositories: {{'**': {{defaultPolicy: [read, create]}}}}}}}}"
_LDAP = "address: ldap.example.org, port: 389, baseDN: 'dc=x', userAttribute: uid"
_CERTIFICATES = "tls: {cert: /c, key: /k, cacert: /ca}"
_UPSTREAM = "extensions: {{sync: {{registries: [{{urls: ['{}'], onDemand: true{}}}]}}}}"


def logs_in(case: Case) -> bool:
    """Whether there is any way to log in."""
    auth = case.get("http.auth", {})
    known = get(auth, "htpasswd.path") or auth.get("ldap") or auth.get("openid") or auth.get("apikey")
    return bool(known or has_mtls(case) or bearer_enabled(auth.get("bearer", {})))


def _is_public(case: Case) -> bool:
    address = case.get("http.address") or "127.0.0.1"
    return not (address.startswith("127.") or address in ("localhost", "[::1]", "::1"))


@rule(
    "ZOT401",
    WARNING,
    "without accessControl everybody who logs in is an administrator, and may delete everything",
    "Say who may do what in http.accessControl.",
    fires=f"http: {{{_LOGIN}}}",
    passes=f"http: {{{_LOGIN}, {_READ}}}",
)
def all_are_admins(case: Case) -> Hits:
    if logs_in(case) and case.get("http.accessControl") is None:
        yield "http.accessControl", ""


@rule(
    "ZOT402",
    WARNING,
    "an open registry: whoever reaches the port may push and delete",
    "Configure a login and accessControl, or listen on 127.0.0.1.",
    fires="http: {address: 0.0.0.0}",
    passes="http: {address: 127.0.0.1}",
)
def open_registry(case: Case) -> Hits:
    if _is_public(case) and not logs_in(case) and case.get("http.accessControl") is None:
        yield "http.address", ""


@rule(
    "ZOT403",
    WARNING,
    "passwords and API keys cross the network in clear",
    "Configure http.tls, or put a proxy with TLS before it and say so with an externalUrl that begins with https.",
    fires=f"http: {{address: 0.0.0.0, {_LOGIN}, {_READ}}}",
    passes=f"http: {{address: 0.0.0.0, externalUrl: 'https://r.example.org', {_LOGIN}, {_READ}}}",
)
def clear_passwords(case: Case) -> Hits:
    with_tls = case.get("http.tls.cert") or case.get("http.externalUrl", "").startswith("https://")
    if _is_public(case) and logs_in(case) and not with_tls:
        yield "http.address", ""


@rule(
    "ZOT404",
    WARNING,
    "whoever reaches the port may change what is stored",
    "Let anonymousPolicy have read alone.",
    fires="http: {accessControl: {repositories: {'**': {anonymousPolicy: [read, create]}}}}",
    passes="http: {accessControl: {repositories: {'**': {anonymousPolicy: [read]}}}}",
)
def anonymous_writes(case: Case) -> Hits:
    for path, entry in case.repositories:
        changes = [action for action in entry.get("anonymouspolicy", []) if action in ("create", "update", "delete")]
        if changes:
            yield f"{path}.anonymousPolicy", f"whoever reaches the port may {' and '.join(changes)}"


@rule(
    "ZOT405",
    WARNING,
    "a release with known vulnerabilities",
    "Use 2.1.15 or newer; before it, who may create may also overwrite the tag latest (CVE-2026-31801).",
    fires=Example("http: {port: 5000}", facts={"release": "2.1.14"}),
    passes=Example("http: {port: 5000}", facts={"release": "2.1.15"}),
    until="2.1.14",
)
def vulnerable(case: Case) -> Hits:
    known = [("2.1.15", "CVE-2026-31801: the tag latest can be overwritten with create alone")]
    known += [("2.1.3", "secrets are printed in the log at the start")] if not case.since(2, 1, 3) else []
    known += [("2.1.2", "CVE-2025-23208: who left a group keeps its rights")] if not case.since(2, 1, 2) else []
    for mended, what in known:
        yield "", f"{what}; mended in {mended}"


@rule(
    "ZOT406",
    ADVICE,
    "who may create a tag may also move existing ones, by pushing a digest with ?tag=",
    "Use 2.1.19 or newer where tags must not change.",
    fires=Example(_READERS_MAY_PUSH, facts={"release": "2.1.17"}),
    passes=Example(f"http: {{{_LOGIN}, {_READ}}}", facts={"release": "2.1.17"}),
    since="2.1.16",
    until="2.1.18",
)
def moving_tags(case: Case) -> Hits:
    for path, actions in _rights(case):
        if "create" in actions and "update" not in actions:
            yield path, ""


def _rights(case: Case) -> list[tuple[str, list[str]]]:
    found = [(path, policy.get("actions", [])) for path, policy in case.policies]
    for path, entry in case.repositories:
        found += [(f"{path}.{key}", entry.get(key.lower(), [])) for key in ("defaultPolicy", "anonymousPolicy")]
    return found


@rule(
    "ZOT407",
    ADVICE,
    "rights that are of no use alone: clients read before they push or delete, and an overwritten tag comes with new blobs",
    "Add read to create and delete, and create to update.",
    fires=f"http: {{{_LOGIN}, accessControl: {{repositories: {{'**': {{defaultPolicy: [create]}}}}}}}}",
    passes=_READERS_MAY_PUSH,
)
def useless_rights(case: Case) -> Hits:
    for path, actions in _rights(case):
        if ("create" in actions or "delete" in actions) and "read" not in actions:
            yield path, f"{'create' if 'create' in actions else 'delete'} without read"
        elif "update" in actions and "create" not in actions:
            yield path, "update without create"


@rule(
    "ZOT408",
    ADVICE,
    "people choose this claim themselves at many providers, and with it who they are here",
    "Use sub, or make sure that nobody can take another's name at the provider.",
    fires="http: {auth: {" + _OPENID.replace("issuer", "claimMapping: {username: preferred_username}, issuer") + "}}",
    passes="http: {auth: {" + _OPENID.replace("issuer", "claimMapping: {username: sub}, issuer") + "}}",
    since="2.1.11",
)
def chosen_names(case: Case) -> Hits:
    for path, _name, provider in case.providers:
        claim = get(provider, "claimMapping.username", "")
        if claim and claim != "sub":
            yield f"{path}.claimMapping.username", f"people choose {claim} themselves at many providers"


@rule(
    "ZOT409",
    WARNING,
    "passwords reach the LDAP server in clear, or whoever poses as it",
    "Use LDAPS (port 636), or insecure with startTLS, and leave skipVerify out.",
    fires=f"http: {{auth: {{ldap: {{{_LDAP}, insecure: true}}}}}}",
    passes=f"http: {{auth: {{ldap: {{{_LDAP}, insecure: true, startTLS: true}}}}}}",
)
def clear_ldap(case: Case) -> Hits:
    ldap = case.get("http.auth.ldap", {})
    if ldap.get("insecure") and not ldap.get("starttls"):
        yield "http.auth.ldap.insecure", ""
    if ldap.get("skipverify"):
        yield "http.auth.ldap.skipVerify", ""


@rule(
    "ZOT410",
    ADVICE,
    "each use of an API key asks the LDAP server first, with the key as a password: accounts lock, a server that is away stalls all",
    "Let CI use local users, or a server that does not lock.",
    fires=f"http: {{auth: {{apikey: true, ldap: {{{_LDAP}, insecure: true, startTLS: true}}}}}}",
    passes="http: {auth: {apikey: true, htpasswd: {path: /h}}}",
)
def keys_at_ldap(case: Case) -> Hits:
    if case.get("http.auth.ldap") is not None and case.get("http.auth.apikey"):
        yield "http.auth.apikey", ""


@rule(
    "ZOT411",
    ADVICE,
    "clients without a certificate are let in too, as anonymous",
    "Grant nothing to anonymousPolicy where a certificate is to be required.",
    fires=f"http: {{{_CERTIFICATES}, accessControl: {{repositories: {{'**': {{anonymousPolicy: [read]}}}}}}}}",
    passes=f"http: {{{_CERTIFICATES}, {_READ}}}",
    since="2.1.12",
)
def certificates_not_required(case: Case) -> Hits:
    if has_mtls(case) and any(entry.get("anonymouspolicy") for _unused, entry in case.repositories):
        yield "http.tls.cacert", ""


@rule(
    "ZOT412",
    WARNING,
    "whoever reaches the port reads the metrics, with the names of repositories in them",
    "Configure a login and accessControl.metrics.",
    fires="{http: {address: 0.0.0.0}, extensions: {metrics: {enable: true}}}",
    passes="{http: {address: 127.0.0.1}, extensions: {metrics: {enable: true}}}",
)
def public_metrics(case: Case) -> Hits:
    if case.enabled("metrics") and _is_public(case) and not logs_in(case) and case.get("http.accessControl") is None:
        yield "extensions.metrics", ""


@rule(
    "ZOT413",
    ADVICE,
    "search tells everybody the release, the build and the ways to log in, without asking who it is",
    "Keep it in mind, or disable extensions.search.",
    fires=f"{{http: {{{_LOGIN}, {_READ}}}, extensions: {{search: {{enable: true}}}}}}",
    passes=f"{{http: {{{_LOGIN}, {_READ}}}, extensions: {{search: {{enable: false}}}}}}",
)
def search_tells(case: Case) -> Hits:
    readers = any(entry.get("anonymouspolicy") for _unused, entry in case.repositories)
    if case.enabled("search") and logs_in(case) and not readers:
        yield "extensions.search", ""


@rule(
    "ZOT414",
    ADVICE,
    "each request and answer may take a minute with its body: large layers and first pulls from an upstream are cut",
    "Set http.readTimeout and http.writeTimeout to what the largest layer takes, such as 1h.",
    fires="http: {port: 5000}",
    passes="http: {readTimeout: 1h, writeTimeout: 1h}",
    since="2.1.17",
)
def one_minute(case: Case) -> Hits:
    for key in ("readTimeout", "writeTimeout"):
        if case.get(f"http.{key}") is None:
            yield f"http.{key}", ""


@rule(
    "ZOT415",
    ADVICE,
    "the log holds each request's headers, session cookies among them",
    "Set log.level to warn where others read the log.",
    fires="log: {level: debug}",
    passes="log: {level: warn}",
)
def cookies_in_log(case: Case) -> Hits:
    level = case.get("log.level", "debug").lower()
    if level in ("debug", "trace", ""):
        yield "log.level", ""


@rule(
    "ZOT416",
    ADVICE,
    "with accessControl zot opens this file anew for each request",
    "Let zot log to its standard output, and the service manager keep it.",
    fires=f"{{log: {{output: /var/log/zot.log}}, http: {{{_LOGIN}, {_READ}}}}}",
    passes=f"{{log: {{level: info}}, http: {{{_LOGIN}, {_READ}}}}}",
)
def log_file(case: Case) -> Hits:
    if case.get("log.output") and case.get("http.accessControl") is not None:
        yield "log.output", ""


@rule(
    "ZOT417",
    ADVICE,
    "every restart logs everybody out, the keys of sessions being made anew",
    "Give http.auth.sessionKeysFile.",
    fires="http: {auth: {" + _OPENID + "}}",
    passes=Example("http: {auth: {sessionKeysFile: '@DIR@/keys.json', " + _OPENID + "}}", {"keys.json": '{"hashKey": "x"}'}),
    since="2.1.2",
)
def sessions_end(case: Case) -> Hits:
    driver = get(case.document, "http.auth.sessionDriver.name")
    if case.providers and not case.get("http.auth.sessionKeysFile") and driver != "redis":
        yield "http.auth.sessionKeysFile", ""


@rule(
    "ZOT418",
    WARNING,
    "an upstream over a connection that others can change on the way; what they put in is cached",
    "Use https and leave tlsVerify out.",
    fires=_UPSTREAM.format("http://mirror.example.org", ""),
    passes=_UPSTREAM.format("https://mirror.example.org", ""),
)
def unsafe_upstream(case: Case) -> Hits:
    for path, registry in case.registries:
        if any(url.lower().startswith("http://") for url in registry.get("urls", [])):
            yield f"{path}.urls", ""
        if registry.get("tlsverify") is False:
            yield f"{path}.tlsVerify", ""


@rule(
    "ZOT419",
    WARNING,
    "a secret in the configuration itself",
    "Put it into a file of its own (credentialsFile, sessionKeysFile).",
    fires="http: {auth: {openid: {providers: {oidc: {clientid: a, clientsecret: b, issuer: 'https://i', scopes: [openid]}}}}}",
    passes=Example(
        "http: {auth: {openid: {providers: {oidc: {credentialsFile: '@DIR@/c.json', issuer: 'https://i', scopes: [openid]}}}}}",
        {"c.json": '{"clientid": "a", "clientsecret": "b"}'},
    ),
    since="2.1.6",
)
def secrets_inside(case: Case) -> Hits:
    for path, _name, provider in case.providers:
        if provider.get("clientsecret"):
            yield f"{path}.clientsecret", ""
    for key in ("sessionHashKey", "sessionEncryptKey"):
        if case.get(f"http.auth.{key}"):
            yield f"http.auth.{key}", ""


@rule(
    "ZOT420",
    ADVICE,
    "each denied request waits this long, people's too",
    "Use a few seconds.",
    fires=f"http: {{auth: {{failDelay: 60, htpasswd: {{path: /h}}}}, {_READ}}}",
    passes=f"http: {{auth: {{failDelay: 5, htpasswd: {{path: /h}}}}, {_READ}}}",
)
def long_delay(case: Case) -> Hits:
    if case.get("http.auth.failDelay", 0) > 10:
        yield "http.auth.failDelay", ""


@rule(
    "ZOT421",
    ADVICE,
    "zot starts only while the identity provider answers",
    "Let the service manager start zot again and again, and keep a local user for the day it does not answer.",
    fires="http: {auth: {" + _OPENID + "}}",
    passes="http: {auth: {htpasswd: {path: /h}, " + _OPENID + "}}",
)
def provider_needed(case: Case) -> Hits:
    if any(name != "github" for _unused, name, _unused in case.providers) and not case.get("http.auth.htpasswd.path"):
        yield "http.auth.openid", ""


@rule(
    "ZOT422",
    ADVICE,
    "a local user and one of the identity provider with the same name are one person for zot",
    "Tell the provider's users (oidc_users), or give local users names that nobody has there.",
    fires="http: {auth: {htpasswd: {path: /h}, " + _OPENID + "}}",
    passes=Example("http: {auth: {htpasswd: {path: /h}, " + _OPENID + "}}", facts={"oidc_users": ["jane"]}),
)
def names_may_meet(case: Case) -> Hits:
    if case.providers and case.get("http.auth.htpasswd.path") and not case.facts.oidc_users:
        yield "http.auth.htpasswd.path", ""


@rule(
    "ZOT423",
    ADVICE,
    "every browser's page may ask zot in its reader's name",
    "Name the one origin that needs it.",
    fires="http: {allowOrigin: '*'}",
    passes="http: {allowOrigin: 'https://ui.example.org'}",
)
def any_origin(case: Case) -> Hits:
    if case.get("http.allowOrigin") == "*":
        yield "http.allowOrigin", ""


@rule(
    "ZOT424",
    WARNING,
    "without accessControl every token of this issuer may do everything",
    "Say in http.accessControl who may do what.",
    fires="http: {auth: {bearer: {oidc: [{issuer: 'https://i', audiences: [zot]}]}}}",
    passes=f"http: {{auth: {{bearer: {{oidc: [{{issuer: 'https://i', audiences: [zot]}}]}}}}, {_READ}}}",
    since="2.1.14",
)
def tokens_may_all(case: Case) -> Hits:
    if case.get("http.auth.bearer.oidc") and case.get("http.accessControl") is None:
        yield "http.auth.bearer.oidc", ""


@rule(
    "ZOT425",
    ADVICE,
    "what a client says of its address can be made up; behind a proxy zot sees the proxy's address and no TLS",
    "Let the proxy decide, or compare client.ip with the proxy's own address as well.",
    fires=(
        f"http: {{{_LOGIN}, accessControl: {{repositories: {{'**': {{policies: [{{users: [a], actions: [read], "
        "conditions: [{expression: 'req.client.forwardedFor == \"10.0.0.1\"'}]}]}}}}"
    ),
    passes=(
        f"http: {{{_LOGIN}, accessControl: {{repositories: {{'**': {{policies: [{{users: [a], actions: [read], "
        "conditions: [{expression: 'req.tag == \"v1\"'}]}]}}}}"
    ),
    since="2.1.17",
)
def made_up_address(case: Case) -> Hits:
    for path, policy in case.policies:
        for index, condition in enumerate(policy.get("conditions", [])):
            if any(word in condition.get("expression", "") for word in ("forwardedFor", "client.ip", "tls.enabled")):
                yield f"{path}.conditions[{index}].expression", ""


@rule(
    "ZOT426",
    ADVICE,
    "zot looks for new vulnerabilities every two hours at the most, and scrubs no oftener than that",
    "Give 2h or more.",
    fires="extensions: {scrub: {interval: 30m}}",
    passes="extensions: {scrub: {interval: 24h}}",
)
def too_often(case: Case) -> Hits:
    least = 2 * 3600 * 10**9
    for path in ("extensions.search.cve.updateInterval", "extensions.scrub.interval"):
        if case.get(path) is not None and case.get(path) < least:
            yield path, ""


@rule(
    "ZOT427",
    ADVICE,
    "extensions that became part of zot; the settings are ignored",
    "Leave them out; API keys are switched on in http.auth.apikey.",
    fires="extensions: {mgmt: {enable: true}}",
    passes="extensions: {search: {enable: true}}",
)
def former_extensions(case: Case) -> Hits:
    for name in ("mgmt", "apikey"):
        if case.get(f"extensions.{name}") is not None:
            yield f"extensions.{name}", ""


@rule(
    "ZOT428",
    ADVICE,
    "tags that match no pattern of keepTags are deleted",
    "Add a last entry with the pattern .* and what may be deleted of the rest.",
    fires="storage: {rootDirectory: /a, retention: {policies: [{repositories: ['**'], keepTags: [{patterns: ['v.*']}]}]}}",
    passes="storage: {rootDirectory: /a, retention: {policies: [{repositories: ['**'], keepTags: [{patterns: ['.*']}]}]}}",
)
def tags_deleted(case: Case) -> Hits:
    for path, store in case.stores:
        for index, policy in enumerate(get(store, "retention.policies", [])):
            patterns = [pattern for tags in policy.get("keeptags", []) for pattern in tags.get("patterns", [])]
            if patterns and ".*" not in patterns:
                yield f"{path}.retention.policies[{index}].keepTags", ""
