# SPDX-License-Identifier: GPL-3.0-or-later
"""Repository patterns: which ones zot starts with, and which names they match."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from support.zot_binary import serving

from contract.ask import Question, ask_many
from contract.conftest import EVERYTHING, VECTORS, spread
from contract.images import NO_UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from contract.conftest import Binary

_LINES = [json.loads(line) for line in (VECTORS / "glob" / "2.1.20.jsonl").read_text(encoding="utf-8").splitlines()]
NAMES: list[str] = _LINES[0]["names"]
ROWS: list[dict[str, Any]] = _LINES[1:]
QUIRKS: list[dict[str, Any]] = [  # not recorded, but asked of a real zot below
    {"pattern": "a***", "starts": True, "matches": ["ab", "aa"]},  # three stars take at least one character at the end
    {"pattern": "a/**/**", "starts": True, "matches": ["a/b", "a/x", "a/b/c", "a/b/x", "a/a/a/a"]},  # not `a`, as `a/**` does
    {"pattern": "a[!x]b", "starts": True, "matches": ["a/b"]},  # a negated class takes a slash
    {"pattern": "a{**/x}", "starts": True, "matches": ["a/x", "a/b/x", "a_b/x", "ab/abc/a/x"]},  # braces begin a segment
    {"pattern": "*[!x]*b", "starts": True, "matches": ["ab"]},  # only the last star gives way
    {"pattern": "{[a,b]}", "starts": True, "matches": []},  # the comma cuts the class in two
    {"pattern": "}{", "starts": False, "matches": []},
]


def test_every_recorded_pattern(standin_module: Callable[[str], ModuleType], report: Callable[[str], None]) -> None:
    module, wrong = standin_module("2.1.20"), []
    for row in (*ROWS, *QUIRKS):
        pattern = row["pattern"].lower()  # as the loader does with every key
        starts = module.glob_valid(pattern)
        matches = [name for name in NAMES if module.glob_match(pattern, name)] if starts else []
        if (starts, matches) != (row["starts"], row.get("matches") or []):
            wrong.append((row, starts, matches))
    report(f"globs: the stand-in agrees on {len(ROWS) - sum(row in ROWS for row, *_ in wrong)} of {len(ROWS)} recorded patterns")
    assert not wrong, wrong[:10]


def test_patterns_of_a_running_registry(zot: Binary, tmp_path: Path, report: Callable[[str], None]) -> None:
    taken = spread(ROWS, 16)
    if not EVERYTHING:
        report(f"globs: {len(taken)} of {len(ROWS)} patterns tried by starting {zot.path} (ZOT_VECTORS=all tries all)")
    for index, row in enumerate((*taken, *QUIRKS)):
        control = {"repositories": {row["pattern"]: {"anonymousPolicy": ["read"]}}}
        config = {"http": {"accessControl": control}, "storage": {"gc": False}, "log": {"level": "error"}}
        folder = tmp_path / str(index)
        if not row["starts"]:
            folder.mkdir()
            path = folder / "config.json"
            path.write_text(json.dumps({**config, "storage": {"rootDirectory": str(folder / "registry")}}), encoding="utf-8")
            tried = subprocess.run([str(zot.path), "serve", str(path)], capture_output=True, text=True, timeout=60, check=False)
            assert tried.returncode == 1, row
            assert "failed to compile authorization pattern" in tried.stderr, row
            continue
        with serving(zot.path, config, folder) as running:
            asked = [Question("GET", f"/v2/{name}/blobs/uploads/{NO_UPLOAD}") for name in NAMES]
            statuses = ask_many(running.port, None, asked)
            assert set(statuses) <= {404, 401}, row
            assert [name for name, status in zip(NAMES, statuses, strict=True) if status == 404] == row["matches"], row
