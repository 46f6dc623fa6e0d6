# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: YAML as zot reads it.

zot's library follows YAML 1.2 where PyYAML follows 1.1: C(yes) and C(on) are texts and C(12:30) is no number, a key given twice is an
error, and every key of the configuration is a text.
"""

from __future__ import annotations

import re
import typing as t

import yaml

_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


# Deeper than any configuration of zot.
MAX_DEPTH = 200


class YamlError(Exception):
    """Why it is no YAML; quotes nothing of the text."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the base depends on how PyYAML was built
    """PyYAML with the scalars of YAML 1.2 and the strictness of zot's library."""

    yaml_implicit_resolvers: t.ClassVar[dict[str, t.Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, t.Any]:  # noqa: ARG002 - PyYAML's signature
        self.flatten_mapping(node)
        made: dict[str, t.Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(f"line {key_node.start_mark.line + 1}: a key that is no text")
            if key_node.value in made:
                raise YamlError(f"line {key_node.start_mark.line + 1}: a key that was given before")
            made[key_node.value] = self.construct_object(value_node, deep=True)
        return made


def load(data: bytes) -> t.Any:
    """The document as plain data; raises YamlError. Of several documents zot reads the first."""
    try:
        _require_depth(data)
        loader = _Loader(data)
        try:
            return loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlError(f"{where}{error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise YamlError(type(error).__name__) from None


def _require_depth(data: bytes) -> None:
    """PyYAML's C code goes into itself for each level, and takes the whole process with it where there are too many."""
    depth = 0
    for event in yaml.parse(data, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlError(f"line {event.start_mark.line + 1}: nested too deeply")


def _int(_loader: t.Any, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    return int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", text), 0)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
for _tag, _pattern in (("bool", _BOOL), ("null", _NULL), ("int", _INT), ("float", _FLOAT), ("merge", re.compile("<<"))):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), None)
