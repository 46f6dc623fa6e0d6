#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide recorded questions of access and compare with what real zot binaries answered.

    python tests/replay_authz.py FILE

FILE: a policy a line, {release, accessControl, users, answers: [[identity or null, repository, letters]], catalog}. The letters: r read,
c create a tag, p start an upload, u update a tag, l update the tag latest, d delete. Prints "N of M agree" and the disagreements.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from support import checkout

checkout.enter()

from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _decide  # noqa: E402 - found by the call above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import flatten, normal  # noqa: E402 - found by the call above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release  # noqa: E402 - found by the call above

QUESTIONS = {
    "r": (_decide.READ, None),
    "c": (_decide.CREATE, None),
    "p": (_decide.CREATE, None),
    "u": (_decide.UPDATE, "v1"),
    "l": (_decide.UPDATE, "latest"),
    "d": (_decide.DELETE, None),
}


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
    """How many questions there were, and those whose recorded answer differs."""
    total, wrong = 0, []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for question, recorded, decided in _asked(row):
            total += 1
            if recorded != decided:
                wrong.append(f"{row['policy_id']}: {question}: recorded {recorded}, decided {decided}")
    return total, wrong


def _asked(row: dict[str, t.Any]) -> t.Iterator[tuple[str, t.Any, t.Any]]:
    release = Release(row["release"]).number
    http = {"accessControl": row["accessControl"], "auth": {"htpasswd": {"path": "/htpasswd"}}}
    document = normal(flatten({"http": http}).tree, splits_commas=release < (2, 1, 3))
    control = _decide.control_of(document)
    for name, repository, letters in row["answers"]:
        who = _decide.member(control, name) if name else _decide.ANONYMOUS
        for letter, (action, reference) in QUESTIONS.items():
            decided = _decide.decide(document, who, action, repository, reference, release).allowed
            yield f"{name} {letter} {repository}", letter in letters, decided
    repositories = sorted({repository for _, repository, _ in row["answers"]})
    for name, listed in row["catalog"].items():
        who = _decide.member(control, name) if name else _decide.ANONYMOUS
        decided = [repository for repository in repositories if _decide.listed(document, who, repository)]
        yield f"{name or 'anonymous'}'s catalogue", sorted(listed or []), decided


if __name__ == "__main__":
    sys.exit(main())
