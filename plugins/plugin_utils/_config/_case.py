# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the rules look at: a loaded configuration with zot's defaults, its release, what is known of the host.

A rule that needs to know a file, an identity provider or the port asks the case for it. What nobody has looked at is not judged, and
noted: the notes are what a host is then asked.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Number, Path
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import Flat, Text
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import Problem

Answer = t.Mapping[str, t.Any]
Below = list[tuple[str, dict[str, t.Any]]]

_HOUR = 3600 * 10**9


@dataclass
class Facts:
    """What is known beside the configuration.

    ``files``: C(KIND PATH) -> the answer of module_utils' _inspect; ``issuers``: issuer -> its answer; ``port``: why the port cannot be
    had, empty for a free one, None for not looked; ``oidc_users`` and ``oidc_images``: what people told of the identity provider.
    """

    files: dict[str, Answer] = field(default_factory=dict)
    issuers: dict[str, Answer] = field(default_factory=dict)
    port: str | None = None
    oidc_users: t.Sequence[str] = ()
    oidc_images: t.Sequence[str] = ()


@dataclass
class Unseen:
    """What a judgement would have looked at: (kind, path) of files, issuers, and whether the port was asked for."""

    files: dict[tuple[str, str], None] = field(default_factory=dict)
    issuers: dict[str, None] = field(default_factory=dict)
    port: bool = False

    def __bool__(self) -> bool:
        return bool(self.files or self.issuers or self.port)

    def names(self) -> list[str]:
        """For people."""
        return sorted({path for _unused, path in self.files}) + sorted(self.issuers) + (["the port"] if self.port else [])


@dataclass
class Case:
    """A configuration in normal form, of which everything has the right shape."""

    document: dict[str, t.Any]
    release: Number
    newest: bool
    text: Text
    flat: Flat
    problems: list[Problem]
    facts: Facts
    unseen: Unseen = field(default_factory=Unseen)
    # What a group of rules works out once.
    memo: dict[str, t.Any] = field(default_factory=dict)

    def get(self, path: str, default: t.Any = None) -> t.Any:
        """The value at a documented path outside lists and maps, with zot's defaults; ``default`` where there is none."""
        return get(self.document, path, default)

    def since(self, *release: int) -> bool:
        return self.release >= release

    def file(self, kind: str, path: str) -> Answer | None:
        """What a look at a file told; None when nobody looked."""
        answer = self.facts.files.get(f"{kind} {path}")
        if answer is None or answer["state"] == "unjudged":
            self.unseen.files[kind, path] = None
            return None
        return answer

    def issuer(self, issuer: str) -> Answer | None:
        answer = self.facts.issuers.get(issuer)
        if answer is None:
            self.unseen.issuers[issuer] = None
        return answer

    def port_problem(self) -> str:
        if self.facts.port is None:
            self.unseen.port = True
        return self.facts.port or ""

    @functools.cached_property
    def stores(self) -> Below:
        """The default store and those of the subPaths, by zot's order of their routes."""
        below = sorted(self.get("storage.subPaths", {}).items())
        return [("storage", self.get("storage", {})), *((f'storage.subPaths["{route}"]', store) for route, store in below)]

    @functools.cached_property
    def registries(self) -> Below:
        return numbered("extensions.sync.registries", self.get("extensions.sync.registries", []))

    @functools.cached_property
    def repositories(self) -> Below:
        entries = self.get("http.accessControl.repositories", {})
        return [(f'http.accessControl.repositories["{pattern}"]', entry) for pattern, entry in entries.items()]

    @functools.cached_property
    def policies(self) -> Below:
        """Every policy, that of the administrators last."""
        found = [item for path, entry in self.repositories for item in numbered(f"{path}.policies", entry.get("policies", []))]
        admin = self.get("http.accessControl.adminPolicy")
        return found + ([("http.accessControl.adminPolicy", admin)] if admin else [])

    @functools.cached_property
    def providers(self) -> list[tuple[str, str, dict[str, t.Any]]]:
        """Path, name and settings of each identity provider."""
        found = self.get("http.auth.openid.providers", {})
        return [(f"http.auth.openid.providers.{name}", name, provider) for name, provider in found.items()]

    def enabled(self, extension: str) -> bool:
        return bool(self.get(f"extensions.{extension}.enable", False))

    def dropped(self, *above: str) -> t.Iterator[Path]:
        """What the loader dropped, as null or empty, below these keys (in lower case)."""
        return (path for path in self.flat.dropped if path[: len(above)] == above)


def numbered(path: str, items: t.Sequence[t.Any]) -> Below:
    return [(f"{path}[{index}]", item) for index, item in enumerate(items)]


def get(document: t.Mapping[str, t.Any], path: str, default: t.Any = None) -> t.Any:
    """The value at a documented path below ``document``, whose keys are in lower case."""
    value: t.Any = document
    for part in _parts(path):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value


@functools.cache
def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.lower().split("."))


def with_defaults(document: dict[str, t.Any], flat: Flat) -> dict[str, t.Any]:
    """Add what zot assumes where nothing is said, as far as a rule looks at it. Changes and returns ``document``."""
    if "extensions" not in document and isinstance(flat.lowered.get("extensions"), dict):
        # Only when every extension is empty does zot bring these back.
        revived = {name: {} for name in ("metrics", "search", "scrub", "trust", "ui") if name in flat.lowered["extensions"]}
        if revived:
            document["extensions"] = revived
    for name in ("sync", "search", "metrics", "scrub", "ui", "trust"):
        if name in document.get("extensions", {}):
            document["extensions"][name].setdefault("enable", True)
    storage = document.setdefault("storage", {})
    storage.setdefault("dedupe", True)
    storage.setdefault("gc", True)
    storage.setdefault("gcdelay", _HOUR if storage["gc"] else 0)
    for store in storage.get("subpaths", {}).values():
        if store.get("gc"):
            store.setdefault("gcdelay", _HOUR)
    for store in (storage, *storage.get("subpaths", {}).values()):
        if "storagedriver" in store and store.get("dedupe"):
            store.setdefault("remotecache", True)
    if get(document, "http.auth.openid") is not None:
        document["http"]["auth"]["apikey"] = True
    return document
