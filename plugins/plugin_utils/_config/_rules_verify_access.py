# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT2xx of who logs in and who may do what: what C(zot verify) refuses.

zot stops at the first that fails; here each is asked of the whole configuration.
"""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _cel, _go, _regex
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Answer, Case, get, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, Example, Hits, rule

_LDAP = "http: {auth: {ldap: {credentialsFile: '@DIR@/ldap.json', address: a, baseDN: b, userAttribute: c}}}"


_OPENID = "http: {auth: {openid: {providers: {oidc: {credentialsFile: '@DIR@/oidc.json', issuer: i, scopes: [openid]}}}}}"


_TLS = "tls: {cert: /c, key: /k, cacert: /ca}"


def _secret_file(answer: Answer, known: tuple[str, ...], needed: tuple[str, ...]) -> str:
    """What zot says of a file with secrets; empty when nothing."""
    if answer["state"] != "ok":
        return f"{answer['reason'] or answer['state']}"
    keys = answer["keys"]
    if not set(keys) & set(known):
        return "none of the keys that belong there"
    unknown = sorted(set(keys) - set(known))
    if unknown:
        return f"unknown key {unknown[0]}"
    missing = [key for key in needed if key not in keys]
    return f"no {missing[0]}" if missing else ""


@rule(
    "ZOT202",
    ERROR,
    "the file with the LDAP credentials is missing or incomplete",
    "Give a JSON or YAML file with bindDN and bindPassword.",
    fires=Example(_LDAP, {"ldap.json": '{"bindDN": "x"}'}),
    passes=Example(_LDAP, {"ldap.json": '{"bindDN": "x", "bindPassword": "y"}'}),
)
def ldap_credentials(case: Case) -> Hits:
    path = case.get("http.auth.ldap.credentialsFile")
    answer = case.file("keys", path) if path else None
    keys = ("binddn", "bindpassword")
    problem = _secret_file(answer, keys, keys) if answer else ""
    if problem:
        yield "http.auth.ldap.credentialsFile", f"{path}: {problem}"


@rule(
    "ZOT203",
    ERROR,
    "the file with an identity provider's credentials is missing or incomplete",
    "Give a JSON or YAML file with clientid and clientsecret.",
    fires=Example(_OPENID, {"oidc.json": '{"clientid": "x"}'}),
    passes=Example(_OPENID, {"oidc.json": '{"clientid": "x", "clientsecret": "y"}'}),
    since="2.1.6",
)
def openid_credentials(case: Case) -> Hits:
    for path, _name, provider in case.providers:
        file = provider.get("credentialsfile")
        answer = case.file("keys", file) if file else None
        keys = ("clientid", "clientsecret")
        problem = _secret_file(answer, keys, keys) if answer else ""
        if problem:
            yield f"{path}.credentialsFile", f"{file}: {problem}"


@rule(
    "ZOT204",
    ERROR,
    "the file with the session keys cannot be read",
    "Give a JSON or YAML file with hashKey and encryptKey, and nothing else.",
    fires=Example("http: {auth: {sessionKeysFile: '@DIR@/keys.json'}}", {"keys.json": '{"hash": "x"}'}),
    passes=Example("http: {auth: {sessionKeysFile: '@DIR@/keys.json'}}", {"keys.json": '{"hashKey": "x"}'}),
    since="2.1.2",
)
def session_keys(case: Case) -> Hits:
    path = case.get("http.auth.sessionKeysFile")
    answer = case.file("keys", path) if path else None
    problem = _secret_file(answer, ("hashkey", "encryptkey"), ()) if answer else ""
    if problem:
        yield "http.auth.sessionKeysFile", f"{path}: {problem}"


@rule(
    "ZOT216",
    ERROR,
    "LDAP without a key that it needs",
    "Give userAttribute, address and baseDN.",
    fires="http: {auth: {ldap: {address: ldap.example.org, port: 636}}}",
    passes="http: {auth: {ldap: {address: ldap.example.org, port: 636, baseDN: 'dc=x', userAttribute: uid}}}",
)
def ldap_keys(case: Case) -> Hits:
    ldap = case.get("http.auth.ldap")
    for name in ("userAttribute", "address", "baseDN"):
        if ldap is not None and not ldap.get(name.lower()):
            yield f"http.auth.ldap.{name}", f"LDAP needs {name}"


def has_mtls(case: Case) -> bool:
    return all(case.get(f"http.tls.{key}") for key in ("cert", "key", "cacert"))


@rule(
    "ZOT217",
    ERROR,
    "client certificates need TLS with a CA certificate",
    "Give http.tls.cert, key and cacert.",
    fires="http: {auth: {mtls: {identityAttributes: [CommonName]}}}",
    passes=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [CommonName]}}}}}}",
    since="2.1.12",
)
def mtls_needs_tls(case: Case) -> Hits:
    if case.get("http.auth.mtls") is not None and not has_mtls(case):
        yield "http.auth.mtls", ""


_IDENTITY = ("commonname", "cn", "subject", "dn", "email", "rfc822name", "uri", "url", "dnsname", "dns")


def _attributes(case: Case) -> list[str]:
    return [name.strip().lower() for name in case.get("http.auth.mtls.identityAttributes", [])]


@rule(
    "ZOT218",
    ERROR,
    "no attribute of a certificate that zot takes a name from",
    "Use CommonName, Subject, Email, URI or DNSName.",
    fires=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [Serial]}}}}}}",
    passes=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [URI]}}}}}}",
    since="2.1.12",
)
def mtls_attributes(case: Case) -> Hits:
    for name in _attributes(case):
        if name not in _IDENTITY:
            yield "http.auth.mtls.identityAttributes", f"'{name}' is no attribute that zot takes a name from"


@rule(
    "ZOT219",
    ERROR,
    "needs URI or URL among the identityAttributes, whatever its own name says",
    "Add URI to identityAttributes, or leave the key out.",
    fires=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [DNSName], dnsSanIndex: 1}}}}}}",
    passes=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [DNSName, URI], dnsSanIndex: 1}}}}}}",
    since="2.1.12",
)
def mtls_only_for_uri(case: Case) -> Hits:
    if {"uri", "url"} & set(_attributes(case)):
        return
    for name in ("dnsSanIndex", "emailSanIndex", "uriSanIndex", "uriSanPattern"):
        if case.get(f"http.auth.mtls.{name}"):
            yield f"http.auth.mtls.{name}", ""


@rule(
    "ZOT221",
    ERROR,
    "no regular expression",
    "Use Go's regular expressions (RE2).",
    fires=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [URI], uriSanPattern: '('}}}}}}",
    passes=f"http: {{{_TLS}, auth: {{mtls: {{identityAttributes: [URI], uriSanPattern: 'spiffe://x/(.*)'}}}}}}",
    since="2.1.12",
)
def mtls_pattern(case: Case) -> Hits:
    problem = _regex.problem(case.get("http.auth.mtls.uriSanPattern", ""))
    if problem:
        yield "http.auth.mtls.uriSanPattern", f"no regular expression: {problem}"


def _provider(keys: str, name: str = "oidc") -> str:
    return f"http: {{auth: {{openid: {{providers: {{{name}: {{{keys}}}}}}}}}}}"


@rule(
    "ZOT222",
    ERROR,
    "no identity provider that zot knows",
    "Name it google, gitlab, github or oidc; oidc serves every other provider.",
    fires=_provider("clientid: a, clientsecret: b, issuer: c, scopes: [openid]", "dex"),
    passes=_provider("clientid: a, clientsecret: b, issuer: c, scopes: [openid]"),
)
def openid_name(case: Case) -> Hits:
    for path, name, _provider in case.providers:
        if name not in ("google", "gitlab", "github", "oidc"):
            yield path, f"'{name}' is no provider that zot knows"


def _unknown_file(case: Case, provider: dict[str, t.Any]) -> bool:
    """Whether its client id stands in a file that nobody has looked at, or that ZOT203 has something to say of."""
    file = provider.get("credentialsfile")
    if not file or not case.since(2, 1, 6):
        return False
    answer = case.file("keys", file)
    return answer is None or bool(_secret_file(answer, ("clientid", "clientsecret"), ("clientid", "clientsecret")))


def _has_client(case: Case, provider: dict[str, t.Any]) -> bool:
    file = provider.get("credentialsfile")
    if not file or not case.since(2, 1, 6):
        return bool(provider.get("clientid"))
    answer = case.file("keys", file)
    held = (answer or {}).get("keys", {}).get("clientid")
    # An empty text counts as set in the file, and as missing here.
    return held is None or held["kind"] != "string" or held["length"] > 0


@rule(
    "ZOT223",
    ERROR,
    "an OpenID provider needs clientid, issuer and scopes",
    "Give all three; clientid may stand in the credentialsFile.",
    fires=_provider("clientid: a, clientsecret: b, issuer: c"),
    passes=_provider("clientid: a, clientsecret: b, issuer: c, scopes: [openid]"),
)
def openid_keys(case: Case) -> Hits:
    for path, name, provider in case.providers:
        if name in ("google", "gitlab", "oidc"):
            yield from _missing(case, path, provider, ("issuer", "scopes"))


@rule(
    "ZOT224",
    ERROR,
    "github needs clientid and scopes",
    "Give both; clientid may stand in the credentialsFile.",
    fires=_provider("clientid: a, clientsecret: b", "github"),
    passes=_provider("clientid: a, clientsecret: b, scopes: [read:org]", "github"),
)
def github_keys(case: Case) -> Hits:
    for path, name, provider in case.providers:
        if name == "github":
            yield from _missing(case, path, provider, ("scopes",))


def _missing(case: Case, path: str, provider: dict[str, t.Any], keys: tuple[str, ...]) -> Hits:
    for key in keys:
        if not provider.get(key):
            yield f"{path}.{key}", f"{key} is missing"
    if not _unknown_file(case, provider) and not _has_client(case, provider):
        yield f"{path}.clientid", "clientid is missing"


_BEARER = "realm: 'https://auth.example.org/token', service: registry"


_MANAGER = "awsSecretsManager: {region: eu-west-1, secretName: keys}"


@rule(
    "ZOT225",
    ERROR,
    "the bearer's key comes from two places",
    "Keep cert or awsSecretsManager.",
    fires=f"http: {{auth: {{bearer: {{{_BEARER}, cert: /c, {_MANAGER}}}}}}}",
    passes=f"http: {{auth: {{bearer: {{{_BEARER}, {_MANAGER}}}}}}}",
    since="2.1.15",
)
def bearer_key(case: Case) -> Hits:
    if case.get("http.auth.bearer.cert") and case.get("http.auth.bearer.awsSecretsManager") is not None:
        yield "http.auth.bearer.cert", "cert and awsSecretsManager are both given"


def _endpoint(keys: str) -> str:
    return f"http: {{auth: {{bearer: {{{_BEARER}, cert: /c, upstreamTokenEndpoint: {{{keys}}}}}}}}}"


_ENDPOINT = "http.auth.bearer.upstreamTokenEndpoint"


@rule(
    "ZOT226",
    ERROR,
    "upstreamTokenEndpoint needs realm and service",
    "Give both.",
    fires=_endpoint("realm: 'https://a'"),
    passes=_endpoint("realm: 'https://a', service: b"),
    since="2.1.19",
)
def endpoint_keys(case: Case) -> Hits:
    endpoint = case.get(_ENDPOINT)
    for key in ("realm", "service"):
        if endpoint is not None and not endpoint.get(key):
            yield f"{_ENDPOINT}.{key}", f"{key} is missing; upstreamTokenEndpoint.realm and upstreamTokenEndpoint.service go together"


def _realm(case: Case) -> _go.Url | None:
    try:
        return _go.parse_url(case.get(f"{_ENDPOINT}.realm", ""))
    except ValueError:
        return None


@rule(
    "ZOT227",
    ERROR,
    "upstreamTokenEndpoint.realm is no absolute URL",
    "Begin it with https:// and a host.",
    fires=_endpoint("realm: auth.example.org, service: b"),
    passes=_endpoint("realm: 'https://auth.example.org', service: b"),
    since="2.1.19",
)
def endpoint_absolute(case: Case) -> Hits:
    realm = _realm(case)
    if case.get(f"{_ENDPOINT}.realm") and not (realm and realm.scheme and realm.host):
        yield f"{_ENDPOINT}.realm", ""


@rule(
    "ZOT228",
    ERROR,
    "upstreamTokenEndpoint.realm is not https",
    "Use https, or say allowInsecureHttp for an http realm: credentials then cross the network in clear.",
    fires=_endpoint("realm: 'http://a', service: b"),
    passes=_endpoint("realm: 'http://a', service: b, allowInsecureHttp: true"),
    since="2.1.19",
)
def endpoint_https(case: Case) -> Hits:
    realm = _realm(case)
    if not (realm and realm.scheme and realm.host) or realm.scheme.lower() == "https":
        return
    if realm.scheme.lower() != "http" or not case.get(f"{_ENDPOINT}.allowInsecureHttp"):
        yield f"{_ENDPOINT}.realm", ""


@rule(
    "ZOT229",
    ERROR,
    "awsSecretsManager is incomplete",
    "Give region and secretName, and a refreshInterval of 0 or more.",
    fires=f"http: {{auth: {{bearer: {{{_BEARER}, awsSecretsManager: {{region: eu-west-1}}}}}}}}",
    passes=f"http: {{auth: {{bearer: {{{_BEARER}, {_MANAGER}}}}}}}",
    since="2.1.15",
)
def secrets_manager(case: Case) -> Hits:
    path = "http.auth.bearer.awsSecretsManager"
    manager = case.get(path)
    if manager is None:
        return
    for key in ("region", "secretName"):
        if not manager.get(key.lower()):
            yield f"{path}.{key}", f"awsSecretsManager {key} is missing"
    if manager.get("refreshinterval", 0) < 0:
        yield f"{path}.refreshInterval", "awsSecretsManager refreshInterval is negative"


@rule(
    "ZOT243",
    ERROR,
    "a store of sessions that zot does not have",
    "Name it local or redis; with redis leave sessionKeysFile out.",
    fires="http: {auth: {sessionDriver: {name: memcached}}}",
    passes="http: {auth: {sessionDriver: {name: local}}}",
    since="2.1.9",
)
def session_driver(case: Case) -> Hits:
    driver = case.get("http.auth.sessionDriver")
    if driver is None:
        return
    if driver.get("name") not in ("local", "redis"):
        yield "http.auth.sessionDriver.name", "the name is missing" if "name" not in driver else "no store of sessions that zot has"
    if driver.get("name") == "redis" and case.get("http.auth.sessionKeysFile"):
        yield "http.auth.sessionKeysFile", "session keys do not go with a sessionDriver in redis"


def _authenticates(case: Case) -> bool:
    """Whether there is a way to log in that counts for an accessControl with more than anonymous policies."""
    auth = case.get("http.auth", {})
    openid, bearer = auth.get("openid"), auth.get("bearer", {})
    if get(auth, "htpasswd.path") or auth.get("ldap") is not None:
        return True
    if openid is not None and (openid.get("providers") or not case.since(2, 1, 10)):
        return True
    if (auth.get("apikey") and case.since(2, 1, 10)) or (has_mtls(case) and case.since(2, 1, 12)):
        return True
    return case.since(2, 1, 14) and bearer_enabled(bearer)


def bearer_enabled(bearer: dict[str, t.Any]) -> bool:
    """Whether zot takes bearer tokens with these settings."""
    traditional = bearer.get("realm") and bearer.get("service") and (bearer.get("cert") or "awssecretsmanager" in bearer)
    return bool(traditional) or any(entry.get("issuer") and entry.get("audiences") for entry in bearer.get("oidc", []))


def _only_anonymous(case: Case) -> bool:
    admin = case.get("http.accessControl.adminPolicy", {})
    entries = [entry for _unused, entry in case.repositories]
    rest = [policy for entry in entries for policy in entry.get("policies", [])]
    if admin.get("actions") or admin.get("users") or any(policy.get("actions") or policy.get("users") for policy in rest):
        return False
    return not any(entry.get("defaultpolicy") for entry in entries) and any(entry.get("anonymouspolicy") for entry in entries)


def _only_metrics(case: Case) -> bool:
    control = case.get("http.accessControl", {})
    others = any(control.get(key) for key in ("repositories", "groups", "adminpolicy"))
    return case.since(2, 1, 18) and not others and "read" in get(control, "metrics.anonymousPolicy", [])


@rule(
    "ZOT247",
    ERROR,
    "accessControl has more than anonymousPolicy, and nobody can log in",
    "Configure htpasswd, ldap, openid, API keys, client certificates or bearer tokens, or use anonymousPolicy alone.",
    fires="http: {accessControl: {repositories: {'**': {defaultPolicy: [read]}}}}",
    passes="http: {accessControl: {repositories: {'**': {anonymousPolicy: [read]}}}}",
)
def access_needs_login(case: Case) -> Hits:
    control = case.get("http.accessControl")
    if control is not None and not (_authenticates(case) or _only_anonymous(case) or _only_metrics(case)):
        yield "http.accessControl", ""


@rule(
    "ZOT248",
    ERROR,
    "a condition is no CEL expression that zot compiles",
    "Correct the expression; what it may look at is req (req.repository, req.tag, req.user.groups and so on).",
    fires=(
        "http: {auth: {htpasswd: {path: /h}}, accessControl: {repositories: {'**': {policies: "
        "[{users: [a], actions: [read], conditions: [{expression: 'request.tag'}]}]}}}}"
    ),
    passes=(
        "http: {auth: {htpasswd: {path: /h}}, accessControl: {repositories: {'**': {policies: "
        "[{users: [a], actions: [read], conditions: [{expression: 'req.tag == \"v1\"'}]}]}}}}"
    ),
    since="2.1.17",
)
def conditions(case: Case) -> Hits:
    for path, policy in case.policies:
        for place, condition in numbered(f"{path}.conditions", policy.get("conditions", [])):
            problem = _cel.problem(condition.get("expression", ""))
            if problem:
                yield f"{place}.expression", problem


@rule(
    "ZOT252",
    ERROR,
    "a repository pattern is no glob",
    "Close every bracket and brace of the pattern.",
    fires="http: {accessControl: {repositories: {'a[': {anonymousPolicy: [read]}}}}",
    passes="http: {accessControl: {repositories: {'a/**': {anonymousPolicy: [read]}}}}",
)
def access_pattern(case: Case) -> Hits:
    for path, _entry in case.repositories:
        pattern = path.partition("[")[2][1:-2]
        if not _glob.is_valid(pattern):
            yield path, f"'{pattern}' is no glob"
