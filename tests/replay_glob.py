#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Match recorded patterns and compare with what a real zot let an anonymous caller read.

    python tests/replay_glob.py FILE

FILE: first {names}, then a pattern a line, {pattern, starts, matches}. Prints "N of M agree" and the disagreements.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support import checkout

checkout.enter()

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob  # noqa: E402 - found by the call above


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    total, wrong = replay(Path(sys.argv[1]))
    for line in wrong:
        print(line)
    print(f"{total - len(wrong)} of {total} agree")
    return 1 if wrong else 0


def replay(path: Path) -> tuple[int, list[str]]:
    """How many patterns there were, and those that differ."""
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = []
    for row in rows:
        pattern = row["pattern"].lower()
        starts = _glob.is_valid(pattern)
        matched = [name for name in head["names"] if starts and _glob.matches(pattern, name)]
        if (starts, matched) != (row["starts"], row["matches"]):
            wrong.append(f"'{row['pattern']}': recorded {row['starts']} {row['matches']}, found {starts} {matched}")
    return len(rows), wrong


if __name__ == "__main__":
    sys.exit(main())
