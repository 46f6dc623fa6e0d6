# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of keys, held to what `zot schema` printed. They differ where zot's schema is known to differ from its own loader."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, Number, tree

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "schema"
FILES = sorted(RECORDED.glob("zot-schema-*.json"))

# Keys that the loader reads and the schema leaves out.
UNSAID = ("gcmaxschedulerdelay", "responseheadertimeout", "credentials", "tlsconfig", "sessionhashkey", "sessionencryptkey")

Path_ = tuple[str, ...]


def said(schema: dict[str, t.Any], node: dict[str, t.Any], path: Path_ = ()) -> t.Iterator[Path_]:
    """Every key of a schema, in lower case; C(*) is the key of a map and C([]) a list's item."""
    while "$ref" in node:
        place: t.Any = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]
        node = place
    for other in (*node.get("anyOf", []), *node.get("oneOf", [])):
        yield from said(schema, other, path)
    for name, child in node.get("properties", {}).items():
        yield (*path, name.lower())
        yield from said(schema, child, (*path, name.lower()))
    for keyword, part in (("additionalProperties", "*"), ("items", "[]")):
        if isinstance(node.get(keyword), dict):
            yield from said(schema, node[keyword], (*path, part))


def known(node: Node, release: Number, path: Path_ = ()) -> t.Iterator[Path_]:
    for name, child in node.children.items():
        if child.since <= release:
            if name not in ("*", "[]"):
                yield (*path, name)
            yield from known(child, release, (*path, name))


@pytest.mark.skipif(not FILES, reason=f"no recorded schemas: there is no {RECORDED}")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.rpartition("-")[2])
def test_the_table_has_the_keys_of_zots_own_schema(file: Path) -> None:
    schema = json.loads(file.read_text(encoding="utf-8"))
    release = tuple(int(part) for part in file.stem.rpartition("-")[2].split("."))
    theirs, ours = set(said(schema, schema)), set(known(tree(), release))
    assert not theirs - ours
    assert not {path for path in ours - theirs if not set(path) & set(UNSAID)}
