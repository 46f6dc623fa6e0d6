# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: where a blueprint lies: in a file of its own, or as one key of a ConfigMap's manifest that has others too.

A manifest is edited as text, so that its comments and everything else in it stay as they are, byte for byte; what cannot be edited so is
refused.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError


@dataclass(frozen=True)
class ConfigMap:
    """A key of a ConfigMap. ``name`` and ``namespace`` are those of the manifest, where it is made anew or has several."""

    key: str
    name: str
    namespace: str = ""


@dataclass
class _Found:
    """A ConfigMap in a file: which of its manifests, and its C(data) as YAML nodes and as values."""

    number: int
    data: yaml.MappingNode | None
    values: dict[str, t.Any]


def blueprint_in(text: str, place: ConfigMap | None, path: str) -> str | None:
    """The blueprint that lies there; None where there is none yet. Raises ZotError, without a word of the text."""
    if place is None:
        return text
    found = _find(text, place, path)
    value = found.values.get(place.key) if found else None
    return value if isinstance(value, str) else None


def with_blueprint(text: str | None, blueprint: str, place: ConfigMap | None, path: str) -> str:
    """The file's text with this blueprint in it. ``text`` is what is there; raises ZotError for what is no manifest."""
    if place is None:
        return blueprint
    if text is None or not text.strip():
        return _manifest(blueprint, place)
    found = _find(text, place, path)
    wanted = [value for _node, value in _documents(text, path)]
    if found is None:
        made = _manifest(blueprint, place)
        edited = text + ("" if text.endswith("\n") else "\n") + made
        wanted.append(yaml.safe_load(made))
    elif found.values.get(place.key) == blueprint:
        return text
    else:
        edited = _edit(text, found, blueprint, place, path)
        wanted[found.number]["data"][place.key] = blueprint
    try:
        same = [value for _node, value in _documents(edited, path)] == wanted
    except ZotError:
        same = False
    if not same:
        raise ZotError(f"{path}: the key {place.key} cannot be set without touching others; write its data as key: | and the text below")
    return edited


def _manifest(blueprint: str, place: ConfigMap) -> str:
    metadata = {"name": place.name, **({"namespace": place.namespace} if place.namespace else {})}
    head = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, sort_keys=False)
    return f"---\n{head}data:\n{_block(blueprint, place.key, '  ')}"


def _block(blueprint: str, key: str, indent: str) -> str:
    name = yaml.safe_dump(key, default_style=None).partition("\n")[0]
    lines = "".join(f"{indent}  {line}\n" if line else "\n" for line in blueprint.splitlines())
    return f"{indent}{name}: |\n{lines}"


def _documents(text: str, path: str) -> list[tuple[yaml.Node, t.Any]]:
    try:
        nodes, values = list(yaml.compose_all(text, Loader=yaml.SafeLoader)), list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
        raise ZotError(f"{path}: {where} is no YAML; mend the manifest, or give another path") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ZotError(f"{path} is no YAML; mend the manifest, or give another path") from None
    return [(node, value) for node, value in zip(nodes, values) if isinstance(node, yaml.MappingNode)]


def _find(text: str, place: ConfigMap, path: str) -> _Found | None:
    """The ConfigMap of the place's name, in a file in which there may be other manifests."""
    documents = _documents(text, path)
    if not documents and text.strip():
        raise ZotError(f"{path} holds no manifest; give another path, or move that file away")
    for number, (node, value) in enumerate(documents):
        metadata = mapping(value.get("metadata"))
        if str(value.get("kind")).endswith("List"):
            raise ZotError(f"{path} has a {value['kind']}, in which the ConfigMap may be; give each manifest a document of its own")
        if value.get("kind") != "ConfigMap" or metadata.get("name") != place.name:
            continue
        if place.namespace and metadata.get("namespace") not in (None, place.namespace):
            continue
        if not isinstance(value.get("data", {}), (dict, type(None))):
            raise ZotError(f"{path}: the data of the ConfigMap {place.name} is no mapping; mend the manifest")
        data = next((item for key, item in t.cast("yaml.MappingNode", node).value if key.value == "data"), None)
        return _Found(number, data if isinstance(data, yaml.MappingNode) else None, mapping(value.get("data")))
    if not all(value.get("kind") and value.get("apiVersion") for _node, value in documents):
        raise ZotError(f"{path} is there and is no manifest; give another path, or move that file away")
    return None


def _edit(text: str, found: _Found, blueprint: str, place: ConfigMap, path: str) -> str:
    """Only lines of the one key change; a new key comes after the last."""
    if found.data is None or found.data.flow_style or not found.data.value:
        raise ZotError(f"{path}: the ConfigMap {place.name} has no data to which a key can be added; give it one, or name another path")
    lines = text.splitlines(keepends=True)
    column = found.data.value[0][0].start_mark.column
    keys = {key.value: key.start_mark.line for key, _value in found.data.value}
    block, begin = _block(blueprint, place.key, " " * column), keys.get(place.key)
    if begin is None and not text.endswith("\n"):
        # A last line without an end belongs to somebody's value, which would be another with one.
        return "".join([*lines[: min(keys.values())], block, *lines[min(keys.values()) :]])
    last = max(keys.values()) if begin is None else begin
    end = last + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > column):
        end += 1
    while end > last + 1 and not lines[end - 1].strip():
        end -= 1
    return "".join([*lines[: end if begin is None else begin], block, *lines[end:]])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
