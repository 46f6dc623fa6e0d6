# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT2xx: what C(zot verify) refuses, in zot's own order.

zot stops at the first that fails; here each is asked of the whole configuration.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _cel, _go, _regex
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Answer, Case, get, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, Example, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import text_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import convert

# Where zot runs is not known, and relative paths only matter among themselves.
_SOMEWHERE = "/\0"
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
    "ZOT201",
    ERROR,
    "no level that zot's log has",
    "Use debug, info, warn or error.",
    fires="log: {level: verbose}",
    passes="log: {level: info}",
)
def log_level(case: Case) -> Hits:
    level = case.get("log.level", "debug")
    known = ["debug", "info", "warn", "error"]
    if case.since(2, 1, 12):
        known += ["trace", "warning", "fatal", "panic"]
    elif case.since(2, 1, 9):
        known += ["warning"]
    elif re.fullmatch(r"[-+]?\d+", level) and -128 <= int(level) <= 127:
        return  # another library then, which took numbers
    else:
        known += ["trace", "fatal", "panic", "disabled", ""]
    if level.lower() not in known:
        how = "zot does not know" if case.since(2, 1, 12) else "makes zot panic"
        yield "log.level", f"the level '{level}' {how}; it knows {', '.join(known)}"


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
    "ZOT205",
    ERROR,
    "the log cannot be opened, of which zot panics",
    "Make the folder, give zot the right to write there, or leave log.output out.",
    fires="log: {output: '@DIR@/missing/zot.log'}",
    passes="log: {output: '@DIR@/zot.log'}",
)
def log_output(case: Case) -> Hits:
    path = case.get("log.output")
    answer = case.file("log", path) if path else None
    if answer and answer["state"] != "ok":
        yield "log.output", f"{path}: {answer['reason']}"


@rule(
    "ZOT210",
    ERROR,
    "no TCP port",
    "Give a number from 0 to 65535.",
    fires="http: {port: 70000}",
    passes="http: {port: 5000}",
)
def http_port(case: Case) -> Hits:
    port = case.get("http.port", "8080")
    try:
        right = not port or 0 <= _go.atoi(port) <= 65535
    except ValueError:
        right = False
    if not right:
        yield "http.port", f"'{port}' is no TCP port"


@rule(
    "ZOT211",
    ERROR,
    "the delay before garbage is collected is negative",
    "Give a duration of 0 or more.",
    fires="storage: {gcDelay: -1h}",
    passes="storage: {gcDelay: 1h}",
)
def gc_delay(case: Case) -> Hits:
    yield from _negative(case, "storage.gcDelay")


@rule(
    "ZOT212",
    ERROR,
    "the interval between garbage collections is negative",
    "Give a duration of 0 or more.",
    fires="storage: {gcInterval: -1h}",
    passes="storage: {gcInterval: 1h}",
)
def gc_interval(case: Case) -> Hits:
    yield from _negative(case, "storage.gcInterval")


def _negative(case: Case, path: str) -> Hits:
    value = case.get(path, 0)
    if value < 0:
        yield path, f"{_go.duration_text(value)} is negative"


def _retention(case: Case) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for path, store in case.stores:
        yield from numbered(f"{path}.retention.policies", get(store, "retention.policies", []))


@rule(
    "ZOT213",
    ERROR,
    "a retention policy's repositories are no glob",
    "Close every bracket and brace of the pattern.",
    fires="storage: {retention: {policies: [{repositories: ['a[']}]}}",
    passes="storage: {retention: {policies: [{repositories: ['a/**']}]}}",
)
def retention_glob(case: Case) -> Hits:
    for path, policy in _retention(case):
        for pattern in policy.get("repositories", []):
            if not _glob.is_valid(pattern):
                yield f"{path}.repositories", f"'{pattern}' is no glob"


@rule(
    "ZOT214",
    ERROR,
    "a retention policy's tags are no regular expression",
    "Use Go's regular expressions (RE2): no look-around and no back-references.",
    fires="storage: {retention: {policies: [{repositories: ['**'], keepTags: [{patterns: ['(']}]}]}}",
    passes="storage: {retention: {policies: [{repositories: ['**'], keepTags: [{patterns: ['v.*']}]}]}}",
)
def retention_regex(case: Case) -> Hits:
    for path, policy in _retention(case):
        for place, tags in numbered(f"{path}.keepTags", policy.get("keeptags", [])):
            for pattern in tags.get("patterns", []):
                problem = _regex.problem(pattern)
                if problem:
                    yield f"{place}.patterns", f"'{pattern}' is no regular expression: {problem}"


@rule(
    "ZOT215",
    ERROR,
    "garbage collection of a sub-path without a delay",
    "Give its gcDelay a duration above 0.",
    fires="storage: {rootDirectory: /a, subPaths: {/b: {rootDirectory: /b, gc: true, gcDelay: 0s}}}",
    passes="storage: {rootDirectory: /a, subPaths: {/b: {rootDirectory: /b, gc: true, gcDelay: 1h}}}",
)
def sub_path_gc_delay(case: Case) -> Hits:
    for path, store in case.stores[1:]:
        if store.get("gc") and store["gcdelay"] <= 0:
            yield f"{path}.gcDelay", f"{_go.duration_text(store['gcdelay'])} is not above 0"


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


def _registry(keys: str, rest: str = "") -> str:
    return f"{{{rest}extensions: {{sync: {{registries: [{{urls: ['https://a'], onDemand: true, {keys}}}]}}}}}}"


@rule(
    "ZOT230",
    ERROR,
    "maxRetries needs retryDelay",
    "Give retryDelay a duration, such as 5m.",
    fires=_registry("maxRetries: 3"),
    passes=_registry("maxRetries: 3, retryDelay: 5m"),
)
def retries(case: Case) -> Hits:
    for path, registry in case.registries:
        if "maxretries" in registry and "retrydelay" not in registry:
            yield f"{path}.maxRetries", "retryDelay is required when using maxRetries"


@rule(
    "ZOT231",
    ERROR,
    "maxRetryDelay needs retryDelay",
    "Give retryDelay a duration, such as 5m.",
    fires=_registry("maxRetryDelay: 1h"),
    passes=_registry("maxRetryDelay: 1h, retryDelay: 5m"),
    since="2.1.19",
)
def retry_delay(case: Case) -> Hits:
    for path, registry in case.registries:
        if "maxretrydelay" in registry and "retrydelay" not in registry:
            yield f"{path}.maxRetryDelay", "retryDelay is required when using maxRetryDelay"


@rule(
    "ZOT232",
    ERROR,
    "maxRetryDelay is shorter than retryDelay",
    "Give maxRetryDelay at least the duration of retryDelay.",
    fires=_registry("maxRetryDelay: 1m, retryDelay: 5m"),
    passes=_registry("maxRetryDelay: 5m, retryDelay: 5m"),
    since="2.1.19",
)
def retry_delays(case: Case) -> Hits:
    for path, registry in case.registries:
        longest, delay = registry.get("maxretrydelay"), registry.get("retrydelay")
        if longest is not None and delay is not None and longest < delay:
            told = f"maxRetryDelay {_go.duration_text(longest)} is shorter than retryDelay {_go.duration_text(delay)}"
            yield f"{path}.maxRetryDelay", told


_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_OAUTH2_KEYS = (
    "tokenURL assertionFile signingFile grantType clientID clientSecretFile scopes username audience subjectTokenType requestedTokenType"
)


def _oauth2(keys: str) -> str:
    return _registry(f"credentialHelper: oauth2, oauth2CredentialHelper: {{{keys}}}")


@rule(
    "ZOT233",
    ERROR,
    "the settings of the oauth2 credential helper do not fit together",
    "Give tokenURL and one of assertionFile and signingFile; audience and token types belong to the grant type token-exchange.",
    fires=_oauth2("assertionFile: /a"),
    passes=_oauth2("tokenURL: 'https://a', assertionFile: /a"),
    since="2.1.19",
)
def oauth2_helper(case: Case) -> Hits:
    for path, registry in case.registries:
        if registry.get("credentialhelper") == "oauth2":
            for key, message in _oauth2_problems(registry.get("oauth2credentialhelper", {})):
                yield f"{path}.oauth2CredentialHelper{key}", message


def _oauth2_problems(helper: dict[str, t.Any]) -> Hits:
    known = {name.lower(): name for name in _OAUTH2_KEYS.split()}
    if not helper:
        yield "", "the oauth2 helper has no settings"
        return
    held: dict[str, str] = {}
    for key, value in helper.items():
        try:
            held[key] = "" if key == "scopes" else convert("str", value).strip()
        except ValueError:
            yield f".{known.get(key, key)}", "text is wanted here"
        if key not in known:
            yield f".{key}", "unknown key"
    if not held.get("tokenurl"):
        yield ".tokenURL", "tokenURL is missing"
    if bool(held.get("assertionfile")) == bool(held.get("signingfile")):
        yield ".assertionFile", "exactly one of assertionFile and signingFile is wanted"
    exchange = held.get("granttype") == _EXCHANGE
    given = [name for name in ("audience", "subjectTokenType", "requestedTokenType") if held.get(name.lower())]
    if given and not exchange:
        yield f".{given[0]}", f"only for the grantType {_EXCHANGE}"
    if exchange and not held.get("audience"):
        yield ".audience", "audience is missing"
    for name in given:
        if exchange and name != "audience" and not _is_absolute(held[name.lower()]):
            yield f".{name}", "no absolute URI"


def _is_absolute(text: str) -> bool:
    try:
        return bool(_go.parse_url(text).scheme)
    except ValueError:
        return False


@rule(
    "ZOT234",
    ERROR,
    "preserveDigest needs http.compat",
    "Set http.compat to [docker2s2].",
    fires=_registry("preserveDigest: true"),
    passes=_registry("preserveDigest: true", "http: {compat: [docker2s2]}, "),
    since="2.1.3",
)
def preserve_digest(case: Case) -> Hits:
    for path, registry in case.registries:
        if registry.get("preservedigest") and not case.get("http.compat"):
            yield f"{path}.preserveDigest", "preserveDigest needs http.compat"


def _contents(case: Case) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for path, registry in case.registries:
        yield from numbered(f"{path}.content", registry.get("content", []))


@rule(
    "ZOT235",
    ERROR,
    "the prefix of cached content is no glob",
    "Close every bracket and brace of the pattern.",
    fires=_registry("content: [{prefix: 'a['}]"),
    passes=_registry("content: [{prefix: 'a/**'}]"),
)
def sync_prefix(case: Case) -> Hits:
    for path, content in _contents(case):
        if not _glob.is_valid(content.get("prefix", "")):
            yield f"{path}.prefix", f"'{content['prefix']}' is no glob"


@rule(
    "ZOT236",
    ERROR,
    "the tags of cached content are no regular expression",
    "Use Go's regular expressions (RE2).",
    fires=_registry("content: [{prefix: a, tags: {regex: '('}}]"),
    passes=_registry("content: [{prefix: a, tags: {regex: 'v.*'}}]"),
)
def sync_regex(case: Case) -> Hits:
    for path, content in _contents(case):
        for key in ("regex", "excludeRegex"):
            problem = _regex.problem(get(content, f"tags.{key}", ""))
            if problem:
                yield f"{path}.tags.{key}", f"no regular expression: {problem}"


@rule(
    "ZOT237",
    ERROR,
    "stripPrefix to the destination / needs a prefix with /*",
    "Give another destination, or a prefix that ends in /* or /**.",
    fires=_registry("content: [{prefix: a, destination: /, stripPrefix: true}]"),
    passes=_registry("content: [{prefix: a/**, destination: /, stripPrefix: true}]"),
)
def sync_strip(case: Case) -> Hits:
    for path, content in _contents(case):
        if content.get("stripprefix") and content.get("destination") == "/" and "/*" not in content.get("prefix", ""):
            yield f"{path}.stripPrefix", ""


def _driver(store: dict[str, t.Any]) -> str:
    return str(get(store, "storageDriver.name", "")) if "storagedriver" in store else "local"


@rule(
    "ZOT238",
    ERROR,
    "two stores use the same folder, or one lies inside the other",
    "Give each store a rootDirectory of its own, beside the others.",
    fires="storage: {rootDirectory: /srv/zot, subPaths: {/a: {rootDirectory: /srv/zot}}}",
    passes="storage: {rootDirectory: /srv/zot, subPaths: {/a: {rootDirectory: /srv/a}}}",
)
def storage_roots(case: Case) -> Hits:
    if not case.since(2, 1, 12):
        yield from _old_storage_roots(case)
        return
    for index, (path, store) in enumerate(case.stores):
        for other_path, other in case.stores[:index]:
            root, other_root = store.get("rootdirectory", ""), other.get("rootdirectory", "")
            if _driver(store) != _driver(other):
                continue
            if _go.equal_fold(root, other_root):
                yield f"{path}.rootDirectory", f"the same folder as {other_path}.rootDirectory"
            elif _go.is_inside(root, other_root, _SOMEWHERE):
                yield f"{path}.rootDirectory", f"it lies inside {other_path}.rootDirectory"
            elif _go.is_inside(other_root, root, _SOMEWHERE):
                yield f"{path}.rootDirectory", f"{other_path}.rootDirectory lies inside it"


_SAME = ("dedupe", "gc", "gcdelay", "gcinterval", "storagedriver")


def _old_storage_roots(case: Case) -> Hits:
    (_, default), *others = case.stores
    first: dict[str, dict[str, t.Any]] = {}
    for path, store in others:
        root = store.get("rootdirectory", "")
        if _go.equal_fold(root, default.get("rootdirectory", "")):
            yield f"{path}.rootDirectory", "the same folder as storage.rootDirectory"
        known = first.setdefault(root, store)
        if any((known.get(key) or None) != (store.get(key) or None) for key in _SAME):
            yield f"{path}.rootDirectory", "another sub-path has the same folder and other settings"


def _remote_cache(case: Case, store: dict[str, t.Any]) -> bool:
    """Whether the cache is a remote database. A cache that was left in the driver's folder by deduplication decides against it."""
    if "storagedriver" in store and not store.get("dedupe"):
        folder = get(store, "storageDriver.rootdirectory", "")
        left = case.file("exists", posixpath.join(folder if isinstance(folder, str) else "", "cache.db"))
        if left and left["state"] == "ok":
            return False
    return bool(store.get("remotecache"))


_S3 = "storageDriver: {name: s3, region: us-east-2, bucket: b}"


@rule(
    "ZOT239",
    ERROR,
    "deduplication on remote storage needs a remote database",
    "Give a cacheDriver (dynamodb, or redis for the default store), or set dedupe to false.",
    fires=f"storage: {{rootDirectory: /srv/zot, {_S3}}}",
    passes=f"storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}",
)
def remote_database(case: Case) -> Hits:
    for path, store in case.stores:
        if store.get("dedupe") and "storagedriver" in store and _remote_cache(case, store) and "cachedriver" not in store:
            yield f"{path}.dedupe", "dedupe with remote storage, and no cacheDriver"


def _databases(case: Case) -> t.Iterator[tuple[str, dict[str, t.Any], bool]]:
    """Path and store of each remote database in use, and whether redis may be it."""
    for path, store in case.stores:
        if "cachedriver" in store and _remote_cache(case, store):
            yield path, store, path == "storage" and case.since(2, 1, 3)


@rule(
    "ZOT240",
    ERROR,
    "local storage with a remote database",
    "Use redis (for the default store, from 2.1.3 on), set remoteCache to false, or leave cacheDriver out.",
    fires="storage: {rootDirectory: /srv/zot, remoteCache: true, cacheDriver: {name: dynamodb}}",
    passes=f"storage: {{rootDirectory: /srv/zot, remoteCache: true, cacheDriver: {{name: dynamodb}}, {_S3}}}",
)
def local_storage(case: Case) -> Hits:
    for path, store, redis in _databases(case):
        if "storagedriver" not in store and not (redis and store["cachedriver"].get("name") == "redis"):
            yield f"{path}.cacheDriver", ""


@rule(
    "ZOT241",
    ERROR,
    "no remote database that zot knows",
    "Use dynamodb, or redis for the default store from 2.1.3 on.",
    fires=f"storage: {{rootDirectory: /srv/zot, remoteCache: true, cacheDriver: {{name: mysql}}, {_S3}}}",
    passes=f"storage: {{rootDirectory: /srv/zot, remoteCache: true, cacheDriver: {{name: dynamodb}}, {_S3}}}",
)
def database_driver(case: Case) -> Hits:
    for path, store, redis in _databases(case):
        name = store["cachedriver"].get("name")
        if name != "dynamodb" and not (redis and name == "redis"):
            yield f"{path}.cacheDriver", "no remote database that zot can use here"


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


@rule(
    "ZOT244",
    ERROR,
    "no path for metrics",
    "Begin it with /, without // and without a / at the end, and let it be neither / nor /v2.",
    fires="extensions: {metrics: {enable: true, prometheus: {path: metrics}}}",
    passes="extensions: {metrics: {enable: true, prometheus: {path: /metrics}}}",
    since="2.1.18",
)
def metrics_path(case: Case) -> Hits:
    prometheus = case.get("extensions.metrics.prometheus")
    path = (prometheus or {}).get("path", "")
    if prometheus is not None and (path != _go.clean_path(path) or not path.startswith("/") or path in ("/", "/v2")):
        yield "extensions.metrics.prometheus.path", f"'{path}' is no path for metrics"


@rule(
    "ZOT245",
    ERROR,
    "the web page needs search",
    "Enable extensions.search, or disable extensions.ui.",
    fires="extensions: {ui: {enable: true}}",
    passes="extensions: {ui: {enable: true}, search: {enable: true}}",
)
def ui_needs_search(case: Case) -> Hits:
    if case.enabled("ui") and not case.enabled("search"):
        yield "extensions.ui.enable", ""


@rule(
    "ZOT246",
    ERROR,
    "scanning for vulnerabilities does not work with remote storage",
    "Leave extensions.search.cve out.",
    fires=f"{{storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}, extensions: {{search: {{cve: {{updateInterval: 24h}}}}}}}}",
    passes="{storage: {rootDirectory: /srv/zot}, extensions: {search: {cve: {updateInterval: 24h}}}}",
)
def cve_with_remote_storage(case: Case) -> Hits:
    if case.enabled("search") and case.get("extensions.search.cve") is not None and any("storagedriver" in s for _, s in case.stores):
        yield "extensions.search.cve", ""


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
    entries = [entry for _, entry in case.repositories]
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
    "ZOT249",
    ERROR,
    "redirectBlobURL needs remote storage",
    "Leave it out: local storage has no URL to redirect to.",
    fires="storage: {rootDirectory: /srv/zot, redirectBlobURL: true}",
    passes=f"storage: {{rootDirectory: /srv/zot, dedupe: false, redirectBlobURL: true, {_S3}}}",
    since="2.1.18",
)
def redirect_blob_url(case: Case) -> Hits:
    for path, store in case.stores:
        if store.get("redirectbloburl") and not store.get("storagedriver"):
            yield f"{path}.redirectBlobURL", ""


@rule(
    "ZOT250",
    ERROR,
    "no storage driver that zot has",
    "Name it s3, gcs (from 2.1.15 on) or azure (from 2.1.18 on); for local storage leave storageDriver out.",
    fires="storage: {rootDirectory: /srv/zot, dedupe: false, storageDriver: {name: swift}}",
    passes=f"storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}",
)
def storage_driver(case: Case) -> Hits:
    known = ["s3", *(["gcs"] if case.since(2, 1, 15) else []), *(["azure"] if case.since(2, 1, 18) else [])]
    for path, store in case.stores:
        if store.get("storagedriver") and store["storagedriver"].get("name") not in known:
            yield f"{path}.storageDriver.name", f"zot {text_of(case.release)} has {', '.join(known)}"


@rule(
    "ZOT251",
    ERROR,
    "a cache on remote storage needs a folder to download to",
    "Give extensions.sync.downloadDir.",
    fires=f"{{storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}, extensions: {{sync: {{registries: [{{urls: ['https://a']}}]}}}}}}",
    passes=(
        f"{{storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}, "
        "extensions: {sync: {downloadDir: /var/tmp, registries: [{urls: ['https://a']}]}}}"
    ),
)
def download_dir(case: Case) -> Hits:
    sync = case.get("extensions.sync")
    used = case.enabled("sync") if case.since(2, 1, 3) else sync is not None
    if used and not sync.get("downloaddir") and any(store.get("storagedriver") for _, store in case.stores):
        yield "extensions.sync.downloadDir", ""


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


@rule(
    "ZOT253",
    ERROR,
    "a cluster without members",
    "Name every member as host:port, or leave cluster out.",
    fires="cluster: {hashKey: 0123456789abcdef}",
    passes="cluster: {members: ['127.0.0.1:9000'], hashKey: 0123456789abcdef}",
)
def cluster_members(case: Case) -> Hits:
    cluster = case.get("cluster")
    if cluster is not None and not cluster.get("members"):
        yield "cluster.members", ""


@rule(
    "ZOT254",
    ERROR,
    "the cluster's hashKey has not 16 characters",
    "Give exactly 16 characters, the same on every member.",
    fires="cluster: {members: ['127.0.0.1:9000'], hashKey: short}",
    passes="cluster: {members: ['127.0.0.1:9000'], hashKey: 0123456789abcdef}",
)
def cluster_hash_key(case: Case) -> Hits:
    cluster = case.get("cluster")
    if cluster is not None and len(cluster.get("hashkey", "").encode()) != 16:
        yield "cluster.hashKey", ""


@rule(
    "ZOT255",
    ERROR,
    "limits towards an upstream that zot refuses",
    "Give numbers above 0; manifestCheckInterval needs onDemand.",
    fires=_registry("reqConcurrent: 0"),
    passes=_registry("reqConcurrent: 5"),
    since="2.1.21",
)
def upstream_limits(case: Case) -> Hits:
    for path, registry in case.registries:
        interval = registry.get("manifestcheckinterval", 0)
        if interval < 0:
            yield f"{path}.manifestCheckInterval", "manifestCheckInterval is negative"
        if interval > 0 and not registry.get("ondemand"):
            yield f"{path}.manifestCheckInterval", "manifestCheckInterval needs onDemand"
        for key in ("reqConcurrent", "reqPerSec", "maxIdleConnsPerHost"):
            limit = registry.get(key.lower())
            if limit is not None and not 0 < limit < float("inf"):
                yield f"{path}.{key}", f"{key} is not above 0"
