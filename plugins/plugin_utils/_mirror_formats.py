# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the formats of clients' files. What is no such text is an error that names its path and quotes nothing."""

from __future__ import annotations

import json
import re
import typing as t

import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError


def toml(tables: list[tuple[list[str], dict[str, t.Any]]]) -> str:
    """Tables of texts, booleans and lists of texts."""
    parts = []
    for names, table in tables:
        head = [f"[{'.'.join(name if re.fullmatch('[a-z]+', name) else _quoted(name) for name in names)}]\n"] if names else []
        parts.append("".join([*head, *(f"{key} = {_value(value)}\n" for key, value in table.items())]))
    return "\n".join(parts)


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(_quoted, value))}]" if isinstance(value, list) else _quoted(value)


def _quoted(text: str) -> str:
    # JSON's text is TOML's, but for DEL and for characters beyond 16 bits when they are escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_tree(text: str, path: str) -> dict[str, t.Any]:
    # Of Python 3.11, as is every ansible-core here.
    import tomllib  # type: ignore[import-not-found,unused-ignore] # since Python 3.11

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ZotError(f"{path} is no valid TOML; its own program would not read it either. Correct it first") from None


class _Strict(yaml.SafeLoader):
    """A key given twice is an error: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[t.Any, t.Any]:
        keys = [item.value for item, _value in node.value if isinstance(item, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError("twice")
        return super().construct_mapping(node, deep)


def yaml_mapping(text: str, path: str) -> dict[str, t.Any]:
    try:
        tree = yaml.load(text, _Strict)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, ValueError):
        raise ZotError(f"{path} is no valid YAML, or has a key twice; correct it first") from None
    return _mapping(tree, path)


def json_mapping(text: str, path: str) -> dict[str, t.Any]:
    def once(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    try:
        tree = json.loads(text, object_pairs_hook=once) if text.strip() else None
    except ValueError:
        raise ZotError(f"{path} is no valid JSON, or has a key twice; correct it first") from None
    return _mapping(tree, path)


def _mapping(tree: t.Any, path: str) -> dict[str, t.Any]:
    if tree is not None and not isinstance(tree, dict):
        raise ZotError(f"{path} is no mapping; correct it first")
    return tree or {}
