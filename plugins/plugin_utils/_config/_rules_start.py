# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT301 to ZOT349: what C(zot verify) lets pass, and of which zot dies or fails to do its work.

zot ends with code 0 where a port is taken or a certificate is missing, so that a service manager takes it for a success.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _cel, _go
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, get, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, WARNING, Example, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._rules_verify_access import bearer_enabled

_MIN_FREE = 1 << 30
_CERT = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
_KEY = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
_TLS_FILES = {"cert.pem": _CERT, "key.pem": _KEY}
_LDAP = "address: ldap.example.org, port: 636, baseDN: 'dc=x', userAttribute: uid"
_ISSUER = "https://id.example.org/"
_PROVIDER = f"openid: {{providers: {{oidc: {{clientid: a, issuer: '{_ISSUER}', scopes: [openid]}}}}}}"
_OPENID = f"http: {{externalUrl: 'https://r.example.org', auth: {{{_PROVIDER}}}}}"
_BOTH = f"http: {{auth: {{htpasswd: {{path: '@DIR@/htpasswd'}}, {_PROVIDER}}}}}"


def _unusable(case: Case, path: str, key: str, kind: str = "readable", block: str = "") -> Hits:
    """Whether a file that the key names is missing, cannot be read or is not what it must be."""
    answer = case.file(kind, path) if path else None
    if answer is None:
        return
    if answer["state"] != "ok":
        yield key, f"{path}: {answer.get('reason') or answer['state']}"
    elif block and not any(block in found for found in answer["blocks"]):
        yield key, f"{path} holds no {block}"


@rule(
    "ZOT301",
    ERROR,
    "there is no rootDirectory, and zot ends at its start",
    "Give storage.rootDirectory an absolute path.",
    fires="http: {port: 5000}",
    passes="storage: {rootDirectory: /srv/zot}",
)
def root_directory(case: Case) -> Hits:
    store = case.get("storage")
    if not store.get("rootdirectory") and "storagedriver" not in store:
        yield "storage.rootDirectory", ""


@rule(
    "ZOT302",
    ERROR,
    "zot cannot write to its storage",
    "Give the user who runs zot the right to the folder, or another path.",
    fires=Example("storage: {rootDirectory: '@DIR@/file/zot'}", {"file": ""}),
    passes="storage: {rootDirectory: '@DIR@/zot'}",
)
def storage_writable(case: Case) -> Hits:
    for path, answer in _folders(case):
        if answer["state"] != "ok":
            yield path, answer["reason"]


@rule(
    "ZOT303",
    WARNING,
    "less than 1 GiB is left where the storage lies",
    "Make room, or let retention remove what nobody needs.",
    fires=Example("storage: {rootDirectory: /srv/zot}", facts={"files": {"folder /srv/zot": {"state": "ok", "free_bytes": 1000}}}),
    passes=Example("storage: {rootDirectory: /srv/zot}", facts={"files": {"folder /srv/zot": {"state": "ok", "free_bytes": 1 << 40}}}),
)
def storage_space(case: Case) -> Hits:
    for path, answer in _folders(case):
        free = answer.get("free_bytes")
        if free is not None and free < _MIN_FREE:
            yield path, f"{free >> 20} MiB are left where the storage lies"


def _folders(case: Case) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    for path, store in case.stores:
        root = store.get("rootdirectory")
        answer = case.file("folder", root) if root and "storagedriver" not in store else None
        if answer:
            yield f"{path}.rootDirectory", answer


@rule(
    "ZOT304",
    WARNING,
    "a sub-path that no repository ever falls under",
    "Name it by / and the first part of the repositories' names, such as /team.",
    fires="storage: {rootDirectory: /a, subPaths: {team/a: {rootDirectory: /b}}}",
    passes="storage: {rootDirectory: /a, subPaths: {/team: {rootDirectory: /b}}}",
)
def sub_path_route(case: Case) -> Hits:
    for route in case.get("storage.subPaths", {}):
        if not re.fullmatch(r"/[^/]+", route):
            yield f'storage.subPaths["{route}"]', "zot looks for / and the first part of a repository's name, so nothing is stored here"


@rule(
    "ZOT305",
    ERROR,
    "the port cannot be had",
    "Give another port or address, or stop what has it.",
    fires=Example("http: {port: 5000}", facts={"port": "port 5000 is taken"}),
    passes=Example("http: {port: 5000}", facts={"port": ""}),
)
def port_taken(case: Case) -> Hits:
    problem = case.port_problem()
    if problem:
        yield "http.port", problem


@rule(
    "ZOT306",
    ERROR,
    "a TLS file is missing or is no PEM; zot ends at its start, with code 0",
    "Put the certificate and its key in PEM where they are named.",
    fires="http: {tls: {cert: '@DIR@/cert.pem', key: '@DIR@/key.pem'}}",
    passes=Example("http: {tls: {cert: '@DIR@/cert.pem', key: '@DIR@/key.pem'}}", _TLS_FILES),
)
def tls_files(case: Case) -> Hits:
    for key, block in (("cert", "CERTIFICATE"), ("key", "PRIVATE KEY"), ("cacert", "CERTIFICATE")):
        yield from _unusable(case, case.get(f"http.tls.{key}", ""), f"http.tls.{key}", "pem", block)


@rule(
    "ZOT308",
    ERROR,
    "half a tls block: zot serves plain HTTP, and marks cookies as if it were TLS",
    "Give cert and key, or leave tls out.",
    fires="http: {tls: {cert: /etc/zot/cert.pem}}",
    passes="http: {tls: {cert: /etc/zot/cert.pem, key: /etc/zot/key.pem}}",
)
def half_tls(case: Case) -> Hits:
    if case.get("http.tls") is not None and not (case.get("http.tls.cert") and case.get("http.tls.key")):
        yield "http.tls", ""


_HTPASSWD = "http: {auth: {htpasswd: {path: '@DIR@/htpasswd'}}}"
_BCRYPT = "$2y$05$abcdefghijklmnopqrstuuXyOfQ8KrVvT4cC4g0mKqXGQMIxC9M2e"


@rule(
    "ZOT309",
    ERROR,
    "the htpasswd file is missing; zot ends at its start",
    "Make the file, or leave http.auth.htpasswd out.",
    fires=_HTPASSWD,
    passes=Example(_HTPASSWD, {"htpasswd": f"jane:{_BCRYPT}\n"}),
)
def htpasswd_file(case: Case) -> Hits:
    yield from _unusable(case, case.get("http.auth.htpasswd.path", ""), "http.auth.htpasswd.path", "htpasswd")


@rule(
    "ZOT310",
    WARNING,
    "htpasswd entries that zot cannot read: these users cannot log in",
    "Use bcrypt (htpasswd -B); from 2.1.11 on zot also reads SHA-256 and SHA-512 crypt.",
    fires=Example(_HTPASSWD, {"htpasswd": "jane:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"}),
    passes=Example(_HTPASSWD, {"htpasswd": f"jane:{_BCRYPT}\n"}),
)
def htpasswd_entries(case: Case) -> Hits:
    path = case.get("http.auth.htpasswd.path", "")
    answer = case.file("htpasswd", path) if path else None
    if not answer or answer["state"] != "ok":
        return
    readable = ("bcrypt", "sha256", "sha512") if case.since(2, 1, 11) else ("bcrypt",)
    lost = sorted(f"{user} ({scheme})" for user, scheme in answer["users"].items() if scheme not in readable)
    if lost:
        yield "http.auth.htpasswd.path", f"{path}: zot cannot read the hash of {', '.join(lost)}"
    if answer["bad_lines"]:
        yield "http.auth.htpasswd.path", f"{path}: no user and hash in line {', '.join(map(str, answer['bad_lines']))}"
    if not answer["users"]:
        yield "http.auth.htpasswd.path", f"{path} names nobody"


@rule(
    "ZOT311",
    ERROR,
    "the LDAP server's CA certificate cannot be read, of which zot panics",
    "Put the certificate in PEM where it is named, or leave caCert out.",
    fires=f"http: {{auth: {{ldap: {{{_LDAP}, caCert: '@DIR@/ca.pem'}}}}}}",
    passes=Example(f"http: {{auth: {{ldap: {{{_LDAP}, caCert: '@DIR@/ca.pem'}}}}}}", {"ca.pem": _CERT}),
)
def ldap_ca(case: Case) -> Hits:
    yield from _unusable(case, case.get("http.auth.ldap.caCert", ""), "http.auth.ldap.caCert", "pem", "CERTIFICATE")


@rule(
    "ZOT312",
    ERROR,
    "LDAP without a port: zot dials port 0, and each login fails after half a minute",
    "Give port 636, or 389 with insecure and startTLS.",
    fires="http: {auth: {ldap: {address: ldap.example.org, baseDN: 'dc=x', userAttribute: uid}}}",
    passes=f"http: {{auth: {{ldap: {{{_LDAP}}}}}}}",
)
def ldap_port(case: Case) -> Hits:
    if case.get("http.auth.ldap") is not None and not case.get("http.auth.ldap.port"):
        yield "http.auth.ldap.port", ""


@rule(
    "ZOT313",
    WARNING,
    "startTLS is ignored: without insecure zot speaks LDAPS from the first byte",
    "Set insecure to true beside startTLS, or leave startTLS out.",
    fires=f"http: {{auth: {{ldap: {{{_LDAP}, startTLS: true}}}}}}",
    passes=f"http: {{auth: {{ldap: {{{_LDAP}, startTLS: true, insecure: true}}}}}}",
)
def ldap_start_tls(case: Case) -> Hits:
    if case.get("http.auth.ldap.startTLS") and not case.get("http.auth.ldap.insecure"):
        yield "http.auth.ldap.startTLS", ""


def _answered(state: str, issuer: str, tls: str = "") -> Example:
    return Example(_OPENID, facts={"issuers": {_ISSUER: {"state": state, "issuer": issuer, "tls": tls, "reason": ""}}})


@rule(
    "ZOT314",
    ERROR,
    "the identity provider does not answer as zot wants it; zot panics at its start",
    "Start the provider first, and write issuer exactly as its discovery document does, to the last slash.",
    fires=_answered("mismatch", _ISSUER.rstrip("/")),
    passes=_answered("ok", _ISSUER),
)
def discovery(case: Case) -> Hits:
    for path, issuer, answer in _issuers(case):
        if answer["state"] == "mismatch":
            yield f"{path}.issuer", f"'{issuer}' calls itself '{answer['issuer']}'; zot wants the same to the last byte"
        elif answer["state"] != "ok":
            yield f"{path}.issuer", f"{issuer}: {answer['reason']}; zot asks it at its start and panics without an answer"
        elif answer.get("tls") and not _is_unknown_ca(answer["tls"]):
            yield f"{path}.issuer", f"{issuer}: {answer['tls']}"


@rule(
    "ZOT315",
    WARNING,
    "the identity provider's certificate is not trusted by this host's Python; zot may see that otherwise",
    "Let the host trust the provider's CA.",
    fires=_answered("ok", _ISSUER, tls="self-signed certificate"),
    passes=_answered("ok", _ISSUER),
)
def discovery_tls(case: Case) -> Hits:
    for path, issuer, answer in _issuers(case):
        if _is_unknown_ca(answer.get("tls", "")):
            yield f"{path}.issuer", f"{issuer}: {answer['tls']}; zot does without it only if its own system trusts the certificate"


def _is_unknown_ca(problem: str) -> bool:
    """Whether only the CA is unknown: on a Mac zot asks the system's keychain, which Python does not."""
    return any(words in problem for words in ("self-signed", "self signed", "unable to get local issuer", "unable to get issuer"))


def _issuers(case: Case) -> t.Iterator[tuple[str, str, t.Mapping[str, t.Any]]]:
    for path, name, provider in case.providers:
        # github is no OpenID provider: nothing is discovered there.
        issuer = provider.get("issuer") if name != "github" else None
        answer = case.issuer(issuer) if issuer else None
        if answer:
            yield path, issuer, answer


@rule(
    "ZOT316",
    ERROR,
    "the key for the identity provider cannot be read, of which zot panics",
    "Put the key in PEM where keypath names it, or use a client secret.",
    fires=_OPENID.replace("clientid: a", "clientid: a, keypath: '@DIR@/key.pem'"),
    passes=Example(_OPENID.replace("clientid: a", "clientid: a, keypath: '@DIR@/key.pem'"), {"key.pem": _KEY}),
)
def openid_key(case: Case) -> Hits:
    for path, _name, provider in case.providers:
        yield from _unusable(case, provider.get("keypath", ""), f"{path}.keypath")


_BEARER = "realm: 'https://auth.example.org/token', service: registry"


@rule(
    "ZOT317",
    ERROR,
    "the key for bearer tokens cannot be read, of which zot panics",
    "Put the certificate or public key where cert names it.",
    fires=f"http: {{auth: {{bearer: {{{_BEARER}, cert: '@DIR@/auth.pem'}}}}}}",
    passes=Example(f"http: {{auth: {{bearer: {{{_BEARER}, cert: '@DIR@/auth.pem'}}}}}}", {"auth.pem": _CERT}),
)
def bearer_key(case: Case) -> Hits:
    yield from _unusable(case, case.get("http.auth.bearer.cert", ""), "http.auth.bearer.cert")


def _workload(keys: str) -> str:
    return f"http: {{auth: {{bearer: {{oidc: [{{{keys}}}]}}}}}}"


@rule(
    "ZOT318",
    ERROR,
    "an issuer of workload tokens that zot cannot use; it panics at its start",
    "Give issuer and audiences, one of the two CA settings, and CEL expressions over claims and vars.",
    fires=_workload("issuer: 'https://k8s.example.org', audiences: [zot], claimMapping: {username: 'user.name'}"),
    passes=_workload("issuer: 'https://k8s.example.org', audiences: [zot], claimMapping: {username: 'claims.sub'}"),
    since="2.1.14",
)
def workload_issuers(case: Case) -> Hits:
    entries = numbered("http.auth.bearer.oidc", case.get("http.auth.bearer.oidc", []))
    if not bearer_enabled(case.get("http.auth.bearer", {})):
        return
    for path, entry in entries:
        for key in ("issuer", "audiences"):
            if not entry.get(key):
                yield f"{path}.{key}", f"{key} is missing"
        if not all(audience.strip() for audience in entry.get("audiences", [])):
            yield f"{path}.audiences", "an audience is empty"
        if entry.get("certificateauthority") and entry.get("certificateauthorityfile"):
            yield f"{path}.certificateAuthorityFile", "certificateAuthority is given as well"
        yield from _unusable(case, entry.get("certificateauthorityfile", ""), f"{path}.certificateAuthorityFile")
        yield from _claims(f"{path}.claimMapping", entry.get("claimmapping", {}))


def _claims(path: str, mapping: dict[str, t.Any]) -> Hits:
    expressions = [(f"{path}.{key}", mapping[key]) for key in ("username", "groups") if mapping.get(key)]
    for place, variable in numbered(f"{path}.variables", mapping.get("variables", [])):
        expressions.append((f"{place}.expression", variable.get("expression", "")))
        if not variable.get("name"):
            yield f"{place}.name", "a variable without a name"
    for place, validation in numbered(f"{path}.validations", mapping.get("validations", [])):
        expressions.append((f"{place}.expression", validation.get("expression", "")))
        if not validation.get("message"):
            yield f"{place}.message", "a validation without a message"
    for place, expression in expressions:
        problem = _cel.problem(expression, frozenset({"claims", "vars"}))
        if problem:
            yield place, problem


@rule(
    "ZOT319",
    ERROR,
    "the session keys are of lengths that zot cannot use: each login in a browser ends in an error",
    "Give encryptKey 16, 24 or 32 characters (hashKey: 32 or 64).",
    fires=Example("http: {auth: {sessionKeysFile: '@DIR@/keys.json'}}", {"keys.json": '{"encryptKey": "short"}'}),
    passes=Example("http: {auth: {sessionKeysFile: '@DIR@/keys.json'}}", {"keys.json": '{"encryptKey": "0123456789abcdef"}'}),
    since="2.1.2",
)
def encrypt_key(case: Case) -> Hits:
    path = case.get("http.auth.sessionKeysFile", "")
    answer = case.file("keys", path) if path else None
    key = (answer or {}).get("keys", {}).get("encryptkey")
    if key and key["kind"] == "string" and key["length"] not in (0, 16, 24, 32):
        yield "http.auth.sessionKeysFile", f"{path}: encryptKey has {key['length']} characters"


@rule(
    "ZOT320",
    ERROR,
    "the audit log cannot be opened, of which zot panics",
    "Make the folder, give zot the right to write there, or leave log.audit out.",
    fires="log: {audit: '@DIR@/missing/audit.log'}",
    passes="log: {audit: '@DIR@/audit.log'}",
)
def audit_log(case: Case) -> Hits:
    yield from _unusable(case, case.get("log.audit", ""), "log.audit", "log")


def _registry(keys: str) -> str:
    return f"extensions: {{sync: {{registries: [{{{keys}}}]}}}}"


_CREDENTIALS = "extensions: {sync: {credentialsFile: '@DIR@/up.json', registries: []}}"


@rule(
    "ZOT321",
    ERROR,
    "an upstream without a usable URL: zot then caches nothing at all, from no upstream",
    "Give urls with https:// and the host.",
    fires=_registry("onDemand: true"),
    passes=_registry("urls: ['https://registry-1.docker.io'], onDemand: true"),
)
def upstream_urls(case: Case) -> Hits:
    for path, registry in case.registries if case.enabled("sync") else []:
        if not registry.get("urls"):
            yield f"{path}.urls", "no URL; zot then caches nothing at all, from no upstream"
        for index, url in enumerate(registry.get("urls", [])):
            problem = _upstream_problem(url)
            if problem:
                yield f"{path}.urls[{index}]", problem


def _upstream_problem(url: str) -> str:
    try:
        parsed = _go.parse_url(url)
    except ValueError as error:
        return f"no URL ({error}); zot then caches nothing at all, from no upstream"
    if parsed.scheme.lower() not in ("http", "https") or not parsed.host:
        return "without http:// or https:// zot takes it for an empty host, and every pull from it fails"
    return ""


@rule(
    "ZOT322",
    WARNING,
    "the credentials for upstreams cannot be used; zot asks without them",
    "Give a JSON file that maps host[:port] to username and password.",
    fires=Example(_CREDENTIALS, {"up.json": '{"ghcr.io": {"username": "x"}}'}),
    passes=Example(_CREDENTIALS, {"up.json": '{"ghcr.io": {"username": "x", "password": "y"}}'}),
)
def upstream_credentials(case: Case) -> Hits:
    path, key = case.get("extensions.sync.credentialsFile", ""), "extensions.sync.credentialsFile"
    yield from _unusable(case, path, key, "credentials")
    answer = case.file("credentials", path) if path else None
    for host, missing in (answer or {}).get("hosts", {}).items():
        if missing:
            yield key, f"{path}: {host} has no {' and no '.join(missing)}"


@rule(
    "ZOT323",
    WARNING,
    "an upstream that zot never asks",
    "Set onDemand to true, or give content and pollInterval.",
    fires=_registry("urls: ['https://a'], content: [{prefix: '**'}]"),
    passes=_registry("urls: ['https://a'], content: [{prefix: '**'}], pollInterval: 6h"),
)
def idle_upstream(case: Case) -> Hits:
    for path, registry in case.registries:
        if not registry.get("ondemand") and not (registry.get("content") and registry.get("pollinterval")):
            yield path, ""


@rule(
    "ZOT324",
    WARNING,
    "API keys are the only way to log in, and nobody can make the first",
    "Add htpasswd, ldap or openid.",
    fires="http: {auth: {apikey: true}}",
    passes="http: {auth: {apikey: true, htpasswd: {path: /etc/zot/htpasswd}}}",
)
def only_api_keys(case: Case) -> Hits:
    auth = case.get("http.auth", {})
    others = ("ldap", "openid", "bearer", "mtls")
    if auth.get("apikey") and not case.get("http.auth.htpasswd.path") and not any(auth.get(key) is not None for key in others):
        yield "http.auth.apikey", ""


@rule(
    "ZOT325",
    WARNING,
    "other routes of zot come first, so nobody ever sees the metrics",
    "Use a path outside /v2 and /zot, such as /metrics.",
    fires="extensions: {metrics: {prometheus: {path: /v2/metrics}}}",
    passes="extensions: {metrics: {prometheus: {path: /metrics}}}",
)
def metrics_route(case: Case) -> Hits:
    path = case.get("extensions.metrics.prometheus.path", "")
    if re.match(r"/(v2|zot)/", path):
        yield "extensions.metrics.prometheus.path", ""


@rule(
    "ZOT326",
    WARNING,
    "no URL to which a login can return",
    "Give scheme and host alone, such as https://registry.example.org.",
    fires="http: {externalUrl: 'https://example.org/registry'}",
    passes="http: {externalUrl: 'https://registry.example.org'}",
)
def external_url(case: Case) -> Hits:
    url = case.get("http.externalUrl", "")
    if url and not re.fullmatch(r"https?://[^/?#]+/?", url):
        yield "http.externalUrl", f"zot puts its own path behind '{url}' as it is, which leads nowhere"


@rule(
    "ZOT327",
    WARNING,
    "a login returns to an address that no browser can reach",
    "Give http.externalUrl.",
    fires=_OPENID.replace("externalUrl: 'https://r.example.org'", "address: 0.0.0.0"),
    passes=_OPENID,
)
def login_returns(case: Case) -> Hits:
    if case.providers and not case.get("http.externalUrl"):
        address = case.get("http.address") or "127.0.0.1"
        if address in ("0.0.0.0", "::", "[::]"):  # noqa: S104 - recognised, not listened on
            yield "http.externalUrl", f"without it a login returns to {address}, where no browser gets"


def _events(sink: str) -> str:
    return f"extensions: {{events: {{enable: true, sinks: [{{{sink}}}]}}}}"


@rule(
    "ZOT328",
    ERROR,
    "an event sink without an address; zot ends at its start",
    "Give the sink's address.",
    fires=_events("type: http"),
    passes=_events("type: http, address: 'https://hooks.example.org'"),
    since="2.1.3",
)
def sink_address(case: Case) -> Hits:
    for path, sink in numbered("extensions.events.sinks", case.get("extensions.events.sinks", [])):
        if case.enabled("events") and sink is not None and not sink.get("address"):
            yield f"{path}.address", ""


_TABLES = tuple(f"{name}tablename" for name in ("repometa", "repoblobsinfo", "imagemeta", "userdata", "version", "apikey"))
_DYNAMO = ", ".join(f"{key}: x" for key in ("endpoint", "region", "cachetablename", *_TABLES))


def _keeps_metadata(case: Case) -> bool:
    """Whether zot opens its database of metadata."""
    auth = case.get("http.auth", {})
    basic = case.get("http.auth.htpasswd.path") or auth.get("ldap") or auth.get("openid") or auth.get("apikey")
    retention = any(get(store, "retention.policies") for _unused, store in case.stores)
    return bool(basic or retention or case.enabled("search") or case.enabled("trust") or case.get("storage.maxRepos"))


@rule(
    "ZOT329",
    ERROR,
    "dynamodb without a setting that it needs, of which zot panics",
    "Give endpoint, region and every table's name.",
    fires="storage: {rootDirectory: /a, remoteCache: true, storageDriver: {name: s3}, cacheDriver: {name: dynamodb, region: x}}",
    passes=f"storage: {{rootDirectory: /a, remoteCache: true, storageDriver: {{name: s3}}, cacheDriver: {{name: dynamodb, {_DYNAMO}}}}}",
)
def dynamodb(case: Case) -> Hits:
    driver = case.get("storage.cacheDriver", {})
    if driver.get("name") != "dynamodb" or not case.get("storage.remoteCache"):
        return
    for key in ("cachetablename", *(("endpoint", "region", *_TABLES) if _keeps_metadata(case) else ())):
        if not isinstance(driver.get(key), str):
            yield f"storage.cacheDriver.{key}", f"{key} is missing"


@rule(
    "ZOT330",
    ERROR,
    "a remote cache is wanted, and none is named; zot ends at its start",
    "Give cacheDriver, or leave remoteCache out.",
    fires="{storage: {rootDirectory: /a, remoteCache: true}, http: {auth: {htpasswd: {path: /h}}}}",
    passes="{storage: {rootDirectory: /a}, http: {auth: {htpasswd: {path: /h}}}}",
)
def nameless_cache(case: Case) -> Hits:
    store = case.get("storage")
    if store.get("remotecache") and "cachedriver" not in store and "storagedriver" not in store and _keeps_metadata(case):
        yield "storage.remoteCache", ""


@rule(
    "ZOT331",
    ERROR,
    "a negative number of workers, of which zot panics",
    "Give a number above 0, or leave it out for four workers a core.",
    fires="scheduler: {numWorkers: -1}",
    passes="scheduler: {numWorkers: 4}",
)
def workers(case: Case) -> Hits:
    if case.get("scheduler.numWorkers", 0) < 0:
        yield "scheduler.numWorkers", ""


@rule(
    "ZOT332",
    ERROR,
    "one name in htpasswd and at the identity provider is one person for zot: keys are shared, and the last login decides the groups",
    "Rename the local user.",
    fires=Example(_BOTH, {"htpasswd": f"jane:{_BCRYPT}\n"}, facts={"oidc_users": ["jane"]}),
    passes=Example(_BOTH, {"htpasswd": f"zot-ci:{_BCRYPT}\n"}, facts={"oidc_users": ["jane"]}),
)
def same_name(case: Case) -> Hits:
    path = case.get("http.auth.htpasswd.path", "")
    answer = case.file("htpasswd", path) if path and case.providers else None
    for name in sorted(set((answer or {}).get("users", {})) & set(case.facts.oidc_users)):
        yield "http.auth.htpasswd.path", f"'{name}' is a user of htpasswd and of the identity provider: one person for zot"


@rule(
    "ZOT333",
    WARNING,
    "the identity provider's own image comes from this registry: after a failure of both, neither starts without the other",
    "Let the provider's image come from elsewhere, and keep a local user to log in with.",
    fires=Example(_OPENID, facts={"oidc_images": ["r.example.org/authentik:2026.2"]}),
    passes=Example(_OPENID, facts={"oidc_images": ["ghcr.io/goauthentik/server:2026.2"]}),
)
def deadlock(case: Case) -> Hits:
    served = {host for host in (_host(case.get("http.externalUrl", "")), f"{case.get('http.address')}:{case.get('http.port')}") if host}
    for _path, registry in case.registries:
        # Clients that use the cache under an upstream's name get the provider's image from here too.
        served |= {content.get("destination", "").strip("/") for content in registry.get("content", [])}
        served |= {_host(url) for url in registry.get("urls", []) if not registry.get("content")}
    for image in case.facts.oidc_images if case.providers else ():
        if image.partition("/")[0] in served - {""}:
            yield "http.auth.openid", f"the identity provider's image {image} comes from this registry"


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


@rule(
    "ZOT334",
    WARNING,
    "a relative path means another folder wherever zot is started from",
    "Give an absolute path.",
    fires="storage: {rootDirectory: ./zot}",
    passes="storage: {rootDirectory: /srv/zot}",
)
def relative_root(case: Case) -> Hits:
    for path, store in case.stores:
        root = store.get("rootdirectory", "")
        if root and not root.startswith("/"):
            yield f"{path}.rootDirectory", ""


@rule(
    "ZOT335",
    WARNING,
    "zot wants a rootDirectory for remote storage too, and ends at its start without one",
    "Give storage.rootDirectory an absolute path; its own database lies there.",
    fires="storage: {dedupe: false, storageDriver: {name: s3}}",
    passes="storage: {rootDirectory: /srv/zot, dedupe: false, storageDriver: {name: s3}}",
)
def remote_root_directory(case: Case) -> Hits:
    for path, store in case.stores:
        if not store.get("rootdirectory") and (path != "storage" or "storagedriver" in store):
            yield f"{path}.rootDirectory", ""
