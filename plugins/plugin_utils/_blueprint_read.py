# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a blueprint as authentik's importer sees it, as far as that can be known without its database."""

from __future__ import annotations

import ast
import re
import textwrap
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import (
    ALWAYS,
    BINDING,
    DEFAULT_CLAIMS,
    GROUP,
    MANAGED,
    MAPPING,
    PROVIDER,
    Authentik,
    Side,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, load


class Unknown:
    """A value that only authentik's worker knows."""


UNKNOWN = Unknown()


@dataclass
class Entry:
    """One object of the file. ``data`` is what authentik saves: the attributes, and the identifiers over them."""

    number: int
    path: str
    raw: dict[str, t.Any]
    context: dict[str, t.Any]

    @property
    def model(self) -> str:
        return str(self.raw.get("model") or "").lower()

    @property
    def name(self) -> str:
        return str(self.raw.get("id") or "")

    @property
    def state(self) -> str:
        return str(self.raw.get("state") or "present")

    @property
    def identifiers(self) -> dict[str, t.Any]:
        return mapping(self.raw.get("identifiers"))

    @property
    def data(self) -> dict[str, t.Any]:
        return {**mapping(self.raw.get("attrs")), **self.identifiers}

    def value(self, name: str) -> t.Any:
        """A field as far as it is known: plain data, ``None``, or ``UNKNOWN``."""
        return known(self.data.get(name), self.context)

    def where(self, name: str) -> str:
        """The path of a field, for a finding."""
        return f"{self.path}.{'identifiers' if name in self.identifiers else 'attrs'}.{name}"


@dataclass
class Blueprint:
    """A file. ``problem`` is why authentik does not even read it."""

    text: str
    side: Side
    release: Authentik
    everyone: bool = False
    tree: dict[str, t.Any] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    @staticmethod
    def read(text: str, side: Side, release: Authentik, everyone: bool = False) -> Blueprint:
        """Raises YamlError for what is no YAML."""
        blueprint = Blueprint(text, side, release, everyone, mapping(load(text)))
        given = blueprint.tree.get("entries")
        lists = given.items() if isinstance(given, dict) else [("", given)]
        context = mapping(blueprint.tree.get("context"))
        for section, entries in lists:
            head = f"entries.{section}" if section else "entries"
            for number, raw in enumerate(entries if isinstance(entries, list) else []):
                blueprint.entries.append(Entry(len(blueprint.entries), f"{head}[{number}]", mapping(raw), context))
        return blueprint

    def of(self, model: str) -> list[Entry]:
        """The entries that are to be there, of one model."""
        return [entry for entry in self.entries if entry.model == model and entry.state != "absent"]

    def named(self, name: str) -> Entry | None:
        """The entry that C(!KeyOf) leads to."""
        return next((entry for entry in self.entries if entry.name == name), None)

    @property
    def provider(self) -> Entry | None:
        """The registry's: by its client id; if none has that, the only one there is."""
        providers = self.of(PROVIDER)
        right = [one for one in providers if self.side.client_id and one.value("client_id") == self.side.client_id]
        return (right or (providers if len(providers) == 1 else []) or [None])[0]

    @property
    def application(self) -> Entry | None:
        """The one whose provider is the registry's; else the one of the issuer's slug."""
        provider = self.provider
        of_it = [one for one in self.of("authentik_core.application") if provider and self.leads_to(one.data.get("provider")) is provider]
        of_slug = [one for one in self.of("authentik_core.application") if one.value("slug") == self.side.slug]
        return ((of_it or of_slug) or [None])[0]

    @property
    def bindings(self) -> list[Entry]:
        """Those of the registry's application that are in force."""
        application = self.application
        found = [one for one in self.of(BINDING) if application and self.leads_to(one.data.get("target")) is application]
        return [one for one in found if one.value("enabled") is not False]

    def leads_to(self, value: t.Any) -> Entry | None:
        """The entry of this file that a reference means."""
        if isinstance(value, Tag) and value.name == "KeyOf":
            return self.named(value.text)
        model, fields = looked_for(value)
        for entry in self.of(model) if fields else []:
            if all(entry.value(name) == known(wanted, entry.context) != UNKNOWN for name, wanted in fields.items()):
                return entry
        return None

    def group_of(self, value: t.Any) -> t.Any:
        """The name of the group that a reference means; None where that is not known."""
        entry = self.leads_to(value)
        found = entry.value("name") if entry else looked_for(value)[1].get("name")
        return found if isinstance(found, str) else None

    def groups(self) -> tuple[set[str], set[str]]:
        """Names of groups that this file makes, and names of those that it looks for."""
        made = [entry.value("name") for entry in self.of(GROUP)]
        wanted = [looked_for(tag) for entry in self.entries for _path, tag in tags(entry.data)]
        sought = [fields.get("name") for model, fields in wanted if model == GROUP]
        return {name for name in made if isinstance(name, str)}, {name for name in sought if isinstance(name, str)}

    def mappings(self) -> list[tuple[t.Any, t.Any]]:
        """For each mapping of the provider the scope that asks for it, and the claims it makes; UNKNOWN where that is not known."""
        given = self.provider.data.get("property_mappings") if self.provider else None
        return [self._mapping(value) for value in given] if isinstance(given, list) else []

    def _mapping(self, value: t.Any) -> tuple[t.Any, t.Any]:
        entry = self.leads_to(value)
        if entry is not None and entry.model == MAPPING:
            expression = entry.value("expression")
            return entry.value("scope_name"), claims_of(expression) if isinstance(expression, str) else UNKNOWN
        model, fields = looked_for(value)
        scope = str(fields.get("managed", "")).partition(MANAGED)[2] or fields.get("scope_name")
        if model == MAPPING and isinstance(scope, str):
            return scope, DEFAULT_CLAIMS.get(scope, UNKNOWN)
        return UNKNOWN, UNKNOWN

    def claims(self) -> tuple[set[str], bool]:
        """What the registry is told of a user with the scopes that it asks for; and whether there may be more that is not known here."""
        told, more = set(ALWAYS), False
        for scope, claims in self.mappings():
            if scope in self.side.scopes or scope is UNKNOWN:
                more = more or claims is UNKNOWN
                told |= set() if claims is UNKNOWN else set(claims)
        return told, more


def tags(value: t.Any, path: str = "") -> t.Iterator[tuple[str, Tag]]:
    """Every tag below, those within tags too, each with its path."""
    if isinstance(value, Tag):
        yield path, value
        value = [part for part in value.parts if isinstance(part, (Tag, dict, list))]
        for part in value:
            yield from tags(part, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tags(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from tags(item, f"{path}[{number}]")


def known(value: t.Any, context: dict[str, t.Any]) -> t.Any:
    """What a value is, where no database and no environment has to be asked."""
    if not isinstance(value, Tag):
        return value
    if value.name == "Context":
        found = context.get(value.text, value.parts[1] if len(value.parts) > 1 else None)
        return known(found, context) if found is not None else UNKNOWN
    if value.name == "Format" and not value.problem:
        parts = [known(part, context) for part in value.parts]
        if UNKNOWN not in parts:
            try:
                return str(parts[0]) % tuple(parts[1:])
            except (TypeError, ValueError):
                return UNKNOWN
    return UNKNOWN


def looked_for(value: t.Any) -> tuple[str, dict[str, t.Any]]:
    """The model and the fields that C(!Find) looks for, also where C(!If) asks before whether it is there; empty for all else."""
    if isinstance(value, Tag) and value.name == "If" and len(value.parts) == 3:
        return looked_for(value.parts[1])
    if not isinstance(value, Tag) or value.name not in ("Find", "FindObject") or value.problem:
        return "", {}
    fields = [part for part in value.parts[1:] if isinstance(part, list) and len(part) == 2]
    return value.text.lower(), {str(name): wanted for name, wanted in fields}


def may_be_null(value: t.Any) -> bool:
    """Whether authentik may get null for it without a word."""
    if not isinstance(value, Tag):
        return value is None
    if value.name == "If" and len(value.parts) == 3:
        asked, then, otherwise = value.parts
        return (may_be_null(then) and asked != then) or may_be_null(otherwise)
    if value.name in ("Env", "File", "Context"):
        return len(value.parts) == 1 or may_be_null(value.parts[1])
    return value.name in ("Find", "FindObject")


def claims_of(expression: str) -> t.Any:
    """The names that a mapping's expression has in the mappings that it makes; UNKNOWN where they are computed."""
    try:
        parsed = ast.parse("def mapping():\n" + textwrap.indent(expression.strip() or "pass", "    "))
    except (SyntaxError, ValueError):
        return UNKNOWN
    names: set[str] = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Dict):
            if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in node.keys):
                return UNKNOWN
            names |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Constant):
            names.add(str(node.slice.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            names |= {word.arg for word in node.keywords if word.arg}
    return frozenset(names)


def is_name(text: t.Any) -> bool:
    """Whether it can be a slug."""
    return isinstance(text, str) and bool(re.fullmatch(r"[-a-zA-Z0-9_]+", text))
