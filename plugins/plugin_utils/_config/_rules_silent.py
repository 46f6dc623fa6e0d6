# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT350 to ZOT399: what zot takes without a word, and then does otherwise than it says."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, WARNING, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, Path, spell, tree
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._rules_verify_access import bearer_enabled

_ACTIONS = ("read", "create", "update", "delete")
_CONTROL = ("http", "accesscontrol")


def _access(tree_text: str) -> str:
    return f"http: {{auth: {{htpasswd: {{path: /h}}}}, accessControl: {{{tree_text}}}}}"


@rule(
    "ZOT350",
    ERROR,
    "accessControl says nothing once zot has dropped what is null or empty: everybody may do everything",
    "Name repositories and policies; {'**': {defaultPolicy: []}} denies everything to everybody.",
    fires=_access("repositories: {'**': {}}"),
    passes=_access("repositories: {'**': {defaultPolicy: []}}"),
)
def access_says_nothing(case: Case) -> Hits:
    if case.get("http.accessControl") is None and any(case.dropped(*_CONTROL)):
        yield "http.accessControl", ""


@rule(
    "ZOT351",
    ERROR,
    "zot drops an entry that is null or empty, so that another rule decides here",
    "Write an empty list to deny: defaultPolicy: [].",
    fires=_access("repositories: {'**': {defaultPolicy: [read]}, 'secret/**': {}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read]}, 'secret/**': {defaultPolicy: []}}"),
)
def access_entry_dropped(case: Case) -> Hits:
    for path in case.dropped(*_CONTROL, "repositories"):
        pattern = path[3] if len(path) > 3 else None
        gone = pattern is not None and str(pattern) not in case.get("http.accessControl.repositories", {})
        if gone and case.get("http.accessControl") is not None:
            yield spell(path), "zot drops it, being null or empty, and a shorter pattern decides for these repositories"


@rule(
    "ZOT352",
    ERROR,
    "a group whose declaration has capitals: zot reads it in lower case, and no policy with the capitals ever matches",
    "Write the group in lower case, here and in every policy.",
    fires=_access("groups: {DevOps: {users: [jane]}}, repositories: {'**': {policies: [{groups: [DevOps], actions: [read]}]}}"),
    passes=_access("groups: {devops: {users: [jane]}}, repositories: {'**': {policies: [{groups: [devops], actions: [read]}]}}"),
)
def group_with_capitals(case: Case) -> Hits:
    for path, name in case.flat.capitals.items():
        if len(path) == 4 and path[:3] == (*_CONTROL, "groups"):
            yield spell(path), f"zot reads '{name}' as '{name.lower()}', so a policy for '{name}' never matches"


@rule(
    "ZOT353",
    WARNING,
    "a number where a duration is wanted: zot takes it for nanoseconds",
    "Write the unit, such as 24h.",
    fires="storage: {gcInterval: 3600}",
    passes="storage: {gcInterval: 3600s}",
)
def nanoseconds(case: Case) -> Hits:
    for path, number in _numbers(tree(), case.flat.tree, ()):
        yield spell(path), f"{number} means {number} nanoseconds"


def _numbers(node: Node, value: t.Any, path: Path) -> t.Iterator[tuple[Path, float]]:
    if node.kind == "dur" and isinstance(value, (int, float)) and not isinstance(value, bool) and value:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        child = node.child(str(key))
        if child:
            yield from _numbers(child, item, (*path, key))


def _lists(case: Case, key: str) -> t.Iterator[tuple[str, str]]:
    """Every text in the lists of this name that policies have, and where."""
    for path, policy in case.policies:
        yield from ((f"{path}.{key}", text) for text in policy.get(key, []))


def _actions(case: Case) -> t.Iterator[tuple[str, str]]:
    yield from _lists(case, "actions")
    for path, entry in case.repositories:
        for key in ("defaultPolicy", "anonymousPolicy"):
            yield from ((f"{path}.{key}", action) for action in entry.get(key.lower(), []))


@rule(
    "ZOT354",
    WARNING,
    "no action that zot knows: it never allows anything",
    "Use read, create, update and delete, in lower case.",
    fires=_access("repositories: {'**': {defaultPolicy: [write]}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [create, update]}}"),
)
def unknown_action(case: Case) -> Hits:
    for path, action in _actions(case):
        if action not in _ACTIONS:
            yield path, f"'{action}' is no action that zot knows"


@rule(
    "ZOT355",
    WARNING,
    "* is a name like any other here, and matches nobody",
    "Use defaultPolicy for everybody who is logged in, anonymousPolicy for everybody else.",
    fires=_access("repositories: {'**': {policies: [{users: ['*'], actions: [read]}]}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read]}}"),
)
def star_user(case: Case) -> Hits:
    for key in ("users", "groups"):
        for path, name in _lists(case, key):
            if name == "*":
                yield path, ""


@rule(
    "ZOT356",
    WARNING,
    "an empty user name means everybody who is not logged in",
    "Use anonymousPolicy, if that is what is meant.",
    fires=_access("repositories: {'**': {policies: [{users: [''], actions: [read]}]}}"),
    passes=_access("repositories: {'**': {anonymousPolicy: [read]}}"),
)
def empty_user(case: Case) -> Hits:
    for path, name in _lists(case, "users"):
        if not name:
            yield path, ""


@rule(
    "ZOT357",
    WARNING,
    "a list written as one text: zot does not take it apart",
    "Write a list.",
    fires=_access("repositories: {'**': {defaultPolicy: 'read,create'}}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read, create]}}"),
    since="2.1.3",
)
def joined_list(case: Case) -> Hits:
    texts = [*_actions(case), *_lists(case, "users"), *_lists(case, "groups")]
    texts += [("http.compat", name) for name in case.get("http.compat", [])]
    texts += [(f"{path}.scopes", scope) for path, _name, provider in case.providers for scope in provider.get("scopes", [])]
    for path, text in texts:
        # An LDAP group's name has commas of its own.
        if "," in text and "=" not in text:
            yield path, f"'{text}' is one name for zot"


@rule(
    "ZOT358",
    WARNING,
    "a compatibility that zot does not have; it changes nothing",
    "Use docker2s2, which is the only one.",
    fires="http: {compat: [docker]}",
    passes="http: {compat: [docker2s2]}",
    since="2.1.2",
)
def unknown_compat(case: Case) -> Hits:
    for name in case.get("http.compat", []):
        if name != "docker2s2" and "," not in name:
            yield "http.compat", f"'{name}' changes nothing"


@rule(
    "ZOT359",
    WARNING,
    "preserveDigest without docker2s2: images in Docker's format are then refused where they should be cached",
    "Set http.compat to [docker2s2].",
    fires="{http: {compat: [docker]}, extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true, preserveDigest: true}]}}}",
    passes="{http: {compat: [docker2s2]}, extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true, preserveDigest: true}]}}}",
    since="2.1.3",
)
def digest_without_compat(case: Case) -> Hits:
    compat = case.get("http.compat", [])
    for path, registry in case.registries:
        if registry.get("preservedigest") and compat and "docker2s2" not in compat:
            yield f"{path}.preserveDigest", ""


@rule(
    "ZOT360",
    WARNING,
    "a credential helper that this release does not have; zot asks without credentials",
    "Use ecr, or from 2.1.19 on gcp or oauth2.",
    fires="extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true, credentialHelper: vault}]}}",
    passes="extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true, credentialHelper: ecr}]}}",
    since="2.1.3",
)
def credential_helper(case: Case) -> Hits:
    known = ("", "ecr", *(("gcp", "oauth2") if case.since(2, 1, 19) else ()))
    for path, registry in case.registries:
        if registry.get("credentialhelper", "") not in known:
            yield f"{path}.credentialHelper", ""


@rule(
    "ZOT361",
    WARNING,
    "settings of a garbage collection that is switched off",
    "Set storage.gc to true, or leave them out.",
    fires="storage: {rootDirectory: /a, gc: false, gcInterval: 24h}",
    passes="storage: {rootDirectory: /a, gc: true, gcInterval: 24h}",
)
def gc_off(case: Case) -> Hits:
    for path, store in case.stores:
        if store.get("gc"):
            continue
        for key in ("gcInterval", "gcTimeWindow"):
            if store.get(key.lower()):
                yield f"{path}.{key}", ""
        if store.get("retention", {}).get("policies"):
            yield f"{path}.retention", "retention does its work when garbage is collected, and that is switched off"


@rule(
    "ZOT362",
    WARNING,
    "a cacheDriver that zot ignores, as remoteCache is false",
    "Set remoteCache to true, or leave cacheDriver out.",
    fires="storage: {rootDirectory: /a, cacheDriver: {name: redis, url: 'redis://r'}}",
    passes="storage: {rootDirectory: /a, remoteCache: true, cacheDriver: {name: redis, url: 'redis://r'}}",
)
def ignored_cache(case: Case) -> Hits:
    for path, store in case.stores:
        if store.get("cachedriver") and not store.get("remotecache"):
            yield f"{path}.cacheDriver", ""


@rule(
    "ZOT363",
    WARNING,
    "the administrators may do nothing: adminPolicy has no actions",
    "Give actions: [read, create, update, delete].",
    fires=_access("repositories: {'**': {defaultPolicy: [read]}}, adminPolicy: {users: [root]}"),
    passes=_access("repositories: {'**': {defaultPolicy: [read]}}, adminPolicy: {users: [root], actions: [read, delete]}"),
)
def idle_admin(case: Case) -> Hits:
    admin = case.get("http.accessControl.adminPolicy", {})
    if (admin.get("users") or admin.get("groups")) and not admin.get("actions"):
        yield "http.accessControl.adminPolicy", ""


@rule(
    "ZOT364",
    WARNING,
    "bearer tokens take the place of every other login: passwords, sessions and API keys stop working",
    "Use bearer alone, or leave it out.",
    fires="http: {auth: {bearer: {realm: a, service: b, cert: /c}, htpasswd: {path: /h}}}",
    passes="http: {auth: {bearer: {realm: a, service: b, cert: /c}}}",
)
def bearer_beside_others(case: Case) -> Hits:
    auth = case.get("http.auth", {})
    others = [key for key in ("ldap", "openid") if auth.get(key) is not None]
    others += ["htpasswd"] if case.get("http.auth.htpasswd.path") else []
    others += ["apikey"] if auth.get("apikey") and "openid" not in others else []
    if others and bearer_enabled(auth.get("bearer", {})):
        yield "http.auth.bearer", f"it takes the place of {' and '.join(others)}, which stop working"


@rule(
    "ZOT365",
    WARNING,
    "bearer tokens are not switched on: there is nothing to check them with",
    "Give cert (or awsSecretsManager), or oidc with issuer and audiences.",
    fires="http: {auth: {bearer: {realm: a, service: b}}}",
    passes="http: {auth: {bearer: {realm: a, service: b, cert: /c}}}",
)
def bearer_off(case: Case) -> Hits:
    bearer = case.get("http.auth.bearer")
    if bearer is not None and not bearer_enabled(bearer):
        yield "http.auth.bearer", ""


@rule(
    "ZOT366",
    WARNING,
    "nobody may read the metrics: accessControl is on, and its metrics name nobody",
    "Name users in accessControl.metrics.users, or from 2.1.18 on anonymousPolicy: [read].",
    fires="{extensions: {metrics: {enable: true}}, " + _access("repositories: {'**': {defaultPolicy: [read]}}") + "}",
    passes="{extensions: {metrics: {enable: true}}, "
    + _access("metrics: {users: [a]}, repositories: {'**': {defaultPolicy: [read]}}")
    + "}",
)
def unread_metrics(case: Case) -> Hits:
    if not case.enabled("metrics") or case.get("http.accessControl") is None:
        return
    users = case.get("http.accessControl.metrics.users", [])
    if not users and not case.get("http.accessControl.metrics.anonymousPolicy"):
        yield "http.accessControl.metrics", ""
    if "" in users and case.since(2, 1, 18):
        yield "http.accessControl.metrics.users", "from 2.1.18 on an empty name opens the metrics to nobody; use anonymousPolicy: [read]"


@rule(
    "ZOT367",
    WARNING,
    "events are off: enable has to be said here",
    "Set extensions.events.enable to true.",
    fires="extensions: {events: {sinks: [{type: http, address: 'https://a'}]}}",
    passes="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://a', timeout: 30s}]}}",
    since="2.1.3",
)
def events_off(case: Case) -> Hits:
    if case.get("extensions.events.sinks") and "enable" not in case.get("extensions.events"):
        yield "extensions.events.enable", ""


@rule(
    "ZOT368",
    WARNING,
    "a sink without a timeout delivers nothing in this release",
    "Give the sink a timeout, such as 30s.",
    fires="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://a'}]}}",
    passes="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://a', timeout: 30s}]}}",
    since="2.1.3",
    until="2.1.17",
)
def sink_timeout(case: Case) -> Hits:
    for path, sink in numbered("extensions.events.sinks", case.get("extensions.events.sinks", [])):
        if sink is not None and not sink.get("timeout"):
            yield f"{path}.timeout", ""


_SINK_KEYS = ("type", "address", "channel", "timeout", "proxy", "headers", "credentials", "tlsconfig")


@rule(
    "ZOT369",
    WARNING,
    "an event sink has no such key, and zot does not say so",
    "Put username, password and token into credentials, certificates into tlsConfig.",
    fires="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://a', timeout: 30s, username: jane}]}}",
    passes="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://a', timeout: 30s, credentials: {username: jane}}]}}",
    since="2.1.3",
)
def sink_key(case: Case) -> Hits:
    for path, sink in numbered("extensions.events.sinks", case.get("extensions.events.sinks", [])):
        for key in sink or {}:
            if key not in _SINK_KEYS:
                yield f"{path}.{key}", ""


@rule(
    "ZOT370",
    WARNING,
    "several upstreams can be asked for the same name, and the first that answers wins",
    "Give each upstream content with a destination of its own.",
    fires="extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true}, {urls: ['https://b'], onDemand: true}]}}",
    passes=(
        "extensions: {sync: {registries: [{urls: ['https://a'], onDemand: true, content: [{prefix: '**', destination: /a}]}, "
        "{urls: ['https://b'], onDemand: true, content: [{prefix: '**', destination: /b}]}]}}"
    ),
)
def confused_upstreams(case: Case) -> Hits:
    asked = [(path, registry) for path, registry in case.registries if registry.get("ondemand")]
    for path, registry in asked if len(asked) > 1 else []:
        if not registry.get("content"):
            yield path, "every name that is not here is asked of it, whichever upstream the name belongs to"


@rule(
    "ZOT371",
    WARNING,
    "the pattern '' decides for every repository that no other pattern matches",
    "Use ** if that is what is meant.",
    fires=_access("repositories: {'': {anonymousPolicy: [read]}}"),
    passes=_access("repositories: {'**': {anonymousPolicy: [read]}}"),
)
def empty_pattern(case: Case) -> Hits:
    if "" in case.get("http.accessControl.repositories", {}):
        yield 'http.accessControl.repositories[""]', ""


@rule(
    "ZOT372",
    WARNING,
    "with bearer tokens nobody gets in without one: what anonymousPolicy allows, nobody may",
    "Leave bearer out where nodes pull without a login, such as from a cache.",
    fires="http: {auth: {bearer: {realm: a, service: b, cert: /c}}, accessControl: {repositories: {'**': {anonymousPolicy: [read]}}}}",
    passes=_access("repositories: {'**': {anonymousPolicy: [read]}}"),
)
def anonymous_beside_bearer(case: Case) -> Hits:
    if bearer_enabled(case.get("http.auth.bearer", {})):
        yield from ((f"{path}.anonymousPolicy", "") for path, entry in case.repositories if entry.get("anonymouspolicy"))
