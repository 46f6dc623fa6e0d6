# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: YAML as authentik reads blueprints: PyYAML's, with tags that become objects when the worker applies the file.

Here a tag stays what it is, a placeholder, so that a blueprint can be judged without a worker.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._yaml import YamlError

# Each tag of authentik's loader, and how many values it takes: a text (0), or a list of at least and at most so many.
TAGS: dict[str, tuple[bool, int, int]] = {
    "KeyOf": (True, 0, 0),
    "Env": (True, 2, 2),
    "File": (True, 2, 2),
    "Context": (True, 2, 2),
    "ParseJSON": (True, 0, 0),
    "Value": (True, 0, 0),
    "Index": (True, 0, 0),
    "Find": (False, 2, 99),
    "FindObject": (False, 2, 99),
    "Format": (False, 1, 99),
    "Condition": (False, 2, 99),
    "If": (False, 1, 3),
    "Enumerate": (False, 3, 3),
    "AtIndex": (False, 2, 3),
}


@dataclass
class Tag:
    """A value that authentik finds out when it applies the file: C(!Find), C(!KeyOf), C(!Env) and the like."""

    name: str
    value: t.Any

    @property
    def parts(self) -> list[t.Any]:
        """What the tag is given, whether as one text or as a list."""
        return self.value if isinstance(self.value, list) else [self.value]

    @property
    def text(self) -> str:
        """The first thing it is given: an id of C(!KeyOf), a name of C(!Env), a model of C(!Find)."""
        return str(self.parts[0]) if self.parts else ""

    @property
    def problem(self) -> str:
        """Why authentik cannot read it; empty when it can."""
        if self.name not in TAGS:
            return f"authentik knows no tag !{self.name}"
        plain, least, most = TAGS[self.name]
        if not isinstance(self.value, list):
            return "" if plain else f"!{self.name} takes a list"
        if least <= len(self.value) <= most and not (self.name == "If" and len(self.value) == 2):
            return ""
        if not most:
            return f"!{self.name} takes a text"
        return f"!{self.name} with {len(self.value)} value{'' if len(self.value) == 1 else 's'} in its list stops authentik's reading"


class _Loader(yaml.SafeLoader):
    """authentik's loader, but for what the tags become."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Tag:
    if isinstance(node, yaml.ScalarNode):
        return Tag(suffix, node.value)
    if isinstance(node, yaml.SequenceNode):
        return Tag(suffix, loader.construct_sequence(node, deep=True))
    return Tag(suffix, loader.construct_mapping(t.cast("yaml.MappingNode", node), deep=True))


_Loader.add_multi_constructor("!", _tagged)


def load(text: str) -> t.Any:
    """The blueprint as plain data with tags in it; raises YamlError, which quotes nothing of the text."""
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        _require_an_end(value)
        return value
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlError(f"{where}{_kind(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(type(error).__name__) from None


def _require_an_end(value: t.Any) -> None:
    """Raises RecursionError for what has itself in it, by C(&x [*x])."""
    parts = value.parts if isinstance(value, Tag) else value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(value, (Tag, dict, list)) else ():
        _require_an_end(part)


def _kind(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's message, unless it has a piece of the text in it."""
    said = str(error.problem or error.context or "no YAML")
    return "no YAML" if "'" in said or '"' in said else said


class _Dumper(yaml.SafeDumper):
    """Tags as people write them, and lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's signature
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: t.Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def choose_scalar_style(self) -> t.Any:
        """PyYAML quotes whatever has a tag of its own; an id or a name needs none."""
        event = t.cast("t.Any", self).event
        if event.tag and event.tag.startswith("!") and event.value.replace("-", "").replace("_", "").isalnum():
            return ""
        return super().choose_scalar_style()  # type: ignore[misc] # PyYAML has no types for its emitter


def _represent_tag(dumper: yaml.SafeDumper, tag: Tag) -> yaml.Node:
    if isinstance(tag.value, list):
        return dumper.represent_sequence(f"!{tag.name}", tag.value, flow_style=True)
    return dumper.represent_scalar(f"!{tag.name}", str(tag.value))


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_list(dumper: yaml.SafeDumper, items: list[t.Any]) -> yaml.Node:
    """What stands in a tag, and short lists of names, in one line."""
    short = all(isinstance(item, str) for item in items) and sum(map(len, items)) < 60
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(Tag, _represent_tag)
_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


def dump(value: t.Any) -> str:
    """YAML that ``load`` gives the same data for."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000, allow_unicode=True)
