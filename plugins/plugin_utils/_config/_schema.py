# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the shape of a configuration: a JSON schema for one release, made from the table of keys.

It describes the normal form, in which every value that zot can convert was converted: a duration is a number of nanoseconds there.
"""

from __future__ import annotations

import difflib
import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, Number, Path, spell, text_of, tree
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import UnreadableError, convert, flatten, normal, zero
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, Release

UNKNOWN, TYPE, VALUE, SINK = "unknown", "type", "value", "sink"

_JSON_TYPES = {
    "str": "string",
    "bytes": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dur": "integer",
    "window": "array",
    "map": "object",
}
_WORDS = {
    "str": "text",
    "bytes": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dur": "a duration such as 1h30m",
    "window": "a window such as 01:00-08:00",
    "map": "a mapping",
}


@dataclass(frozen=True)
class Problem:
    """One place whose shape is wrong; ``kind`` says how, ``path`` where, ``message`` what."""

    kind: str
    path: Path
    message: str


def load(tree: dict[str, t.Any], release: Release, name: str, needed: t.Sequence[Path] = ((),)) -> dict[str, t.Any]:
    """A configuration as the release loads it; raises ZotError, quoting no value, where what is ``needed`` of it has the wrong shape."""
    number = min(release.number, NEWEST)
    try:
        document = normal(flatten(tree).tree, splits_commas=number < (2, 1, 3))
    except UnreadableError as error:
        raise ZotError(f"{name}: {error}") from None
    for problem in require_shape(document, number):
        if any(problem.path[: len(key)] == key[: len(problem.path)] for key in needed) and not (
            release.unknown and problem.kind == UNKNOWN
        ):
            where, what = told(problem)
            raise ZotError(f"{name} is no configuration of zot {release}: {where}: {what}; blumeops.zot.zot_validate tells everything")
    return document


def schema(release: Number) -> dict[str, t.Any]:
    """The JSON schema (draft 2020-12) of the normal form for a release."""
    return _schema_of(tree(), release)


def require_shape(document: dict[str, t.Any], release: Number) -> list[Problem]:
    """What is wrong with the shape of a document in normal form. Takes out of ``document`` what is wrong, as zot's decoding does."""
    problems: list[Problem] = []
    for error in _validator(release).iter_errors(document):
        path = tuple(error.absolute_path)
        node = _node_at(path)
        if error.validator == "additionalProperties":
            for key in sorted(set(error.instance) - set(error.schema["properties"])):
                problems.append(Problem(UNKNOWN, (*path, key), _unknown(node, key, release)))
        elif error.validator in ("enum", "required"):
            problems.append(Problem(SINK, path if error.validator == "enum" else (*path, "type"), ""))
        else:
            problems.append(_wrong(node, path, error.instance))
    for problem in problems:
        _take_out(document, problem)
    return problems


@functools.cache
def _validator(release: Number) -> t.Any:
    # Imported here: it takes longer to load than everything else of the judge, and what only looks at keys needs none of it.
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        raise ZotError("the controller needs the Python package jsonschema to judge a configuration: pip install jsonschema") from None
    return Draft202012Validator(schema(release))


def _schema_of(node: Node, release: Number) -> dict[str, t.Any]:
    if node.kind:
        return {"type": _JSON_TYPES[node.kind]}
    if node.item:
        return {"type": "array", "items": _schema_of(node.item, release)}
    if node.value:
        return {"type": "object", "additionalProperties": _schema_of(node.value, release)}
    properties = {key: _schema_of(child, release) for key, child in node.children.items() if child.since <= release}
    if node.loose:
        # An event sink: an empty item passes, any other has to be of a type that zot knows.
        properties["type"]["enum"] = ["http", "nats"]
        return {"type": ["object", "null"], "properties": properties, "required": ["type"]}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _node_at(path: Path) -> Node:
    node = tree()
    for part in path:
        child = node.child(str(part))
        if child is None:
            raise KeyError(path)
        node = child
    return node


def _unknown(node: Node, key: str, release: Number) -> str:
    later = node.children.get(key)
    if later:
        return f"unknown key; zot knows it from {text_of(later.since)} on"
    names = {name: child for name, child in node.children.items() if child.since <= release}
    close = difflib.get_close_matches(key, names, 1, 0.7)
    if close:
        return f"unknown key; did you mean {names[close[0]].name}?"
    elsewhere = _places(key, release)
    if elsewhere:
        return f"unknown key here; zot knows {' and '.join(elsewhere[:2])}"
    return "unknown key"


@functools.lru_cache(maxsize=256)
def _places(key: str, release: Number) -> list[str]:
    def walk(node: Node) -> t.Iterator[str]:
        for name, child in node.children.items():
            if child.since <= release:
                if name == key:
                    yield child.path
                yield from walk(child)

    return list(walk(tree()))


def _wrong(node: Node, path: Path, value: t.Any) -> Problem:
    if node.kind:
        try:
            convert(node.kind, value)
        except ValueError as error:
            if str(error) != "type":
                return Problem(VALUE, path, f"{error}; {_WORDS[node.kind]} is wanted")
    wanted = _WORDS.get(node.kind, "a list" if node.item else "a mapping")
    return Problem(TYPE, path, f"{wanted} is wanted here, not {_kind(value)}")


def _kind(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping", type(None): "nothing"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _take_out(document: dict[str, t.Any], problem: Problem) -> None:
    place: t.Any = document
    try:
        for part in problem.path[:-1]:
            place = place[part]
        last = problem.path[-1] if problem.path else None
        if isinstance(place, list) and isinstance(last, int):
            place[last] = zero(_node_at(problem.path))
        elif problem.kind != SINK:
            place.pop(last, None)
    except (AttributeError, KeyError, IndexError, TypeError):
        return  # a problem above has taken it out already


def stranger(path: Path, release: Number) -> Problem | None:
    """Where a path leaves what the release knows, though nothing of it is left for `require_shape` to see; None where it does not."""
    node = tree()
    parts = "::".join(map(str, path)).split("::")
    for depth, part in enumerate(parts, 1):
        if node.kind:
            return None
        child = node.child(part)
        if child is None or child.since > release:
            return Problem(UNKNOWN, tuple(parts[:depth]), _unknown(node, part, release))
        node = child
    return None


def told(problem: Problem) -> tuple[str, str]:
    """Path and message for people."""
    return spell(problem.path), problem.message
