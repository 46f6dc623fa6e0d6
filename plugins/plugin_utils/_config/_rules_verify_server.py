# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT2xx of the server, its log, its caches, extensions and cluster: what C(zot verify) refuses."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _go, _regex
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, get, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import convert


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
