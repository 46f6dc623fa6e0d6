# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a configuration as zot's loader sees it, before anything is judged.

Bytes become a tree (C(read)); the tree gets lower-case keys and loses what the loader drops (C(flatten)); then each value becomes the
kind its place wants wherever zot would convert it (C(normal)). What cannot be converted stays as it is, for the schema to find.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _go
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, Path, tree
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._yaml import MAX_DEPTH, YamlError, load

# Ten times the largest configuration anybody was seen to have; a file above is something else.
MAX_BYTES = 4 << 20
MAX_VALUES = 100_000

Tree = t.Any


class UnreadableError(Exception):
    """Why the text is no configuration at all; the message quotes nothing of it."""


@dataclass
class Text:
    """What was read. ``duplicates``: keys given twice in one JSON object, of which the last counts; ``replaced``: it was not valid
    UTF-8; ``problem``: why it could not be read at all."""

    tree: Tree
    duplicates: list[str] = field(default_factory=list)
    replaced: bool = False
    problem: str = ""


@dataclass
class Flat:
    """``tree`` as the loader has it before decoding; ``lowered`` still holds what it drops, which ``dropped`` lists; ``twins`` are
    keys spelled in more than one way, of which one counts; ``capitals``: how a key was spelled that is not in lower case."""

    tree: dict[str, t.Any]
    lowered: dict[str, t.Any]
    dropped: list[Path] = field(default_factory=list)
    twins: list[Path] = field(default_factory=list)
    capitals: dict[Path, str] = field(default_factory=dict)


def read(data: bytes, name: str) -> Text:
    """The tree that a file holds; raises UnreadableError. zot takes the format from the name's ending, without one it tries them all."""
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"{len(data)} bytes, more than any configuration has ({MAX_BYTES})")
    ending = name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""
    if ending in _OTHERS:
        raise UnreadableError(f"configurations in the format {ending} are not judged: use JSON, YAML or TOML")
    readers = [_READERS[ending]] if ending in _READERS else list(dict.fromkeys(_READERS.values()))
    problem = ""
    for reader in readers:
        try:
            return reader(data)
        except UnreadableError as error:
            problem = problem or str(error)
        except RecursionError:
            raise UnreadableError("nested too deeply") from None
    raise UnreadableError(problem)


def flatten(raw: dict[str, t.Any]) -> Flat:
    """Lower-case keys at every depth; outside lists nulls and empty objects go, and C(a::b) becomes a key within a key.

    Raises UnreadableError for more values, or deeper ones, than a configuration has.
    """
    flat = Flat({}, {})
    flat.lowered = _Lowering(flat).mapping(raw, ())
    leaves = [("::".join(map(str, path)).split("::"), leaf) for path, leaf in _leaves(flat.lowered, (), flat.dropped)]
    for parts, leaf in sorted(leaves, key=lambda item: len(item[0])):  # where a key is a value and has keys below, these win
        place = flat.tree
        for part in parts[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[parts[-1]] = leaf
    return flat


def normal(flat: dict[str, t.Any], splits_commas: bool) -> dict[str, t.Any]:
    """Every value as the kind that its place wants, where zot converts it. Up to 2.1.2 a text is split into a list at its commas."""
    return _shape(tree(), flat, splits_commas)


def zero(node: Node) -> t.Any:
    """What a place holds that could not be decoded."""
    if node.kind:
        return _ZEROES[node.kind]
    return [] if node.item else {}


def convert(kind: str, value: t.Any) -> t.Any:
    """``value`` as ``kind``, as zot's weakly typed decoding does it; raises ValueError with zot's reason, or C(type) for a wrong type."""
    return _CONVERTERS[kind](value)


# ---- reading


def _json(data: bytes) -> Text:
    if data.startswith(b"\xef\xbb\xbf"):
        raise UnreadableError("a byte order mark stands before the JSON; save the file as UTF-8 without it")
    text = data.decode("utf-8", "replace")
    found = Text(None, replaced="\ufffd" in text and b"\xef\xbf\xbd" not in data)

    def pairs(items: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
        made = dict(items)
        if len(made) != len(items):
            seen: set[str] = set()
            found.duplicates += [key for key, _unused in items if key in seen or seen.add(key)]  # type: ignore[func-returns-value] # the idiom
        return made

    try:
        found.tree = json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant, parse_float=_number, parse_int=_number)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"no valid JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise UnreadableError(f"no valid JSON: {error}") from None
    if re.search(r"\\u[dD][89a-fA-F]", text):
        found.tree = _without_surrogates(found.tree)
    return _object(found, "JSON")


def _yaml(data: bytes) -> Text:
    try:
        return _object(Text(load(data)), "YAML")
    except YamlError as error:
        raise UnreadableError(f"no valid YAML: {error}") from None


def _toml(data: bytes) -> Text:
    try:
        import tomllib
    except ImportError:
        raise UnreadableError("TOML needs Python 3.11 or newer on the controller") from None
    try:
        return _object(Text(tomllib.loads(data.decode())), "TOML")
    except ValueError as error:
        raise UnreadableError(f"no valid TOML: {type(error).__name__}") from None


_READERS: dict[str, t.Callable[[bytes], Text]] = {"json": _json, "toml": _toml, "yaml": _yaml, "yml": _yaml}
_OTHERS = ("properties", "props", "prop", "hcl", "tfvars", "dotenv", "env", "ini")


def _object(found: Text, language: str) -> Text:
    if found.tree is None:
        found.tree = {}
    if not isinstance(found.tree, dict):
        raise UnreadableError(f"the {language} holds no object at its top")
    return found


def _no_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _number(text: str) -> int | float:
    """Go reads every number of a JSON text as a float64."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return int(value) if value.is_integer() and abs(value) < 1 << 63 else value


def _without_surrogates(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


# ---- flattening


class _Lowering:
    def __init__(self, flat: Flat) -> None:
        self.flat, self.left = flat, MAX_VALUES

    def value(self, value: t.Any, path: Path) -> t.Any:
        self.left -= 1
        if self.left < 0 or len(path) > MAX_DEPTH:
            raise UnreadableError("nested too deeply" if self.left >= 0 else f"more than {MAX_VALUES} values")
        if isinstance(value, dict):
            return self.mapping(value, path)
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def mapping(self, value: dict[str, t.Any], path: Path) -> dict[str, t.Any]:
        made: dict[str, t.Any] = {}
        # A spelling with capitals wins over the same key in lower case, so it comes last.
        for key in sorted(value, key=lambda key: key != key.lower()):
            low = key.lower()
            if low in made:
                self.flat.twins.append((*path, low))
            if low != key:
                self.flat.capitals[(*path, low)] = key
            made[low] = self.value(value[key], (*path, low))
        return made


def _leaves(value: dict[str, t.Any], path: Path, dropped: list[Path]) -> t.Iterator[tuple[Path, t.Any]]:
    for key, item in value.items():
        if item is None or item == {}:
            dropped.append((*path, key))
        elif isinstance(item, dict):
            yield from _leaves(item, (*path, key), dropped)
        else:
            yield (*path, key), item


# ---- converting


def _shape(node: Node, value: t.Any, splits_commas: bool) -> t.Any:
    if node.kind:
        with contextlib.suppress(ValueError):
            return convert(node.kind, value)
        return value
    if node.item:
        return _shape_list(node.item, value, splits_commas)
    if node.value:
        value = _merged(value)
    elif value is None:
        return None if node.loose else {}
    if not isinstance(value, dict):
        return value
    below = {key: (node.child(key), item) for key, item in value.items()}
    return {key: _shape(child, item, splits_commas) if child else item for key, (child, item) in below.items()}


def _shape_list(item: Node, value: t.Any, splits_commas: bool) -> list[t.Any]:
    if value is None or value == {}:
        return []
    if splits_commas and isinstance(value, str):
        value = value.split(",") if value else []
    values = value if isinstance(value, list) else [value]
    return [_shape(item, one, splits_commas) for one in values]


def _merged(value: t.Any) -> t.Any:
    """A map may be written as a list of maps."""
    if value is None:
        return {}
    if isinstance(value, list):
        parts = [_merged(part) for part in value]
        if all(isinstance(part, dict) for part in parts):
            return {key: item for part in parts for key, item in part.items()}
    return value


def _text(value: t.Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _go.float_text(value)
    raise ValueError("type")


def _whole(value: t.Any) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        return _go.parse_int(value)
    if isinstance(value, (bool, int, float)) and math.isfinite(value):
        return int(value)
    raise ValueError("type")


def _fraction(value: t.Any) -> float:
    if isinstance(value, str) and value:
        try:
            return float(value)
        except ValueError:
            raise ValueError("strconv.ParseFloat: invalid syntax") from None
    return float(_whole(value)) if not isinstance(value, float) else value


def _truth(value: t.Any) -> bool:
    if value is None or value == "":
        return False
    if isinstance(value, str):
        return _go.parse_bool(value)
    if isinstance(value, (bool, int, float)):
        return bool(value)
    raise ValueError("type")


def _duration(value: t.Any) -> int:
    """Nanoseconds: a number is that already."""
    return _go.parse_duration(value) if isinstance(value, str) else _whole(value)


def _window(value: t.Any) -> list[int]:
    """Minutes after midnight at which it starts and ends; nothing for a window that is always open."""
    if value is None or value == "":
        return []
    if not isinstance(value, str):
        raise ValueError("type")
    start, dash, end = value.partition("-")
    if not dash:
        raise ValueError('invalid gcTimeWindow, expected format "HH:MM-HH:MM"')
    window = [_minute(start), _minute(end)]
    if window[0] == window[1]:
        raise ValueError("invalid gcTimeWindow: start and end of the window cannot be equal")
    return window


def _minute(text: str) -> int:
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text.strip())
    if not match:
        raise ValueError('invalid gcTimeWindow: expected 24h format "HH:MM"')
    return int(match[1]) * 60 + int(match[2])


def _free(value: t.Any) -> dict[str, t.Any]:
    value = _merged(value)
    if not isinstance(value, dict):
        raise ValueError("type")
    return value


def _bytes(value: t.Any) -> str:
    """Text, or a list of numbers; which bytes they are matters to nobody here."""
    if isinstance(value, str):
        return value
    for item in value if isinstance(value, list) else [] if value == {} else [value]:
        _whole(item)
    return ""


_CONVERTERS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "str": _text,
    "bytes": _bytes,
    "int": _whole,
    "float": _fraction,
    "bool": _truth,
    "dur": _duration,
    "window": _window,
    "map": _free,
}
_ZEROES: dict[str, t.Any] = {"str": "", "bytes": "", "int": 0, "float": 0.0, "bool": False, "dur": 0, "window": [], "map": {}}
