# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT2xx of storage: what C(zot verify) refuses."""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _go, _regex
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case, get, numbered
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import text_of

# Where zot runs is not known, and relative paths only matter among themselves.
_SOMEWHERE = "/\0"


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
    (_unused, default), *others = case.stores
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
    "ZOT246",
    ERROR,
    "scanning for vulnerabilities does not work with remote storage",
    "Leave extensions.search.cve out.",
    fires=f"{{storage: {{rootDirectory: /srv/zot, dedupe: false, {_S3}}}, extensions: {{search: {{cve: {{updateInterval: 24h}}}}}}}}",
    passes="{storage: {rootDirectory: /srv/zot}, extensions: {search: {cve: {updateInterval: 24h}}}}",
)
def cve_with_remote_storage(case: Case) -> Hits:
    if case.enabled("search") and case.get("extensions.search.cve") is not None and any("storagedriver" in s for _unused, s in case.stores):
        yield "extensions.search.cve", ""


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
    if used and not sync.get("downloaddir") and any(store.get("storagedriver") for _unused, store in case.stores):
        yield "extensions.sync.downloadDir", ""
