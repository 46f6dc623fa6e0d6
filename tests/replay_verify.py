#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge recorded configurations and compare with what real zot binaries said of them.

    python tests/replay_verify.py CORPUS VERDICTS --fixtures DIR

CORPUS: lines {id, config}; VERDICTS: first {release}, then lines {id, ok, errors}; @FIXTURES@ in a configuration stands for DIR.
Prints "N of M agree", the disagreements, and of how many refused configurations the key that zot names is among what is found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import typing as t
from pathlib import Path

from support import checkout

checkout.enter()

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._facts import answered, look, questions  # noqa: E402 - found by the call above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Facts, Judgement, judge  # noqa: E402 - found by the call above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, tree  # noqa: E402 - found by the call above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release  # noqa: E402 - found by the call above


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("verdicts", type=Path)
    parser.add_argument("--fixtures", type=Path, required=True)
    args = parser.parse_args()
    replayed = replay(args.corpus, args.verdicts, args.fixtures.resolve())
    for line in replayed.disagreements:
        print(line)
    for line in replayed.unnamed:
        print(line)
    print(f"the key zot names: {replayed.named - len(replayed.unnamed)} of {replayed.named} found")
    print(f"{replayed.total - len(replayed.disagreements)} of {replayed.total} agree")
    return 1 if replayed.disagreements else 0


class Replayed(t.NamedTuple):
    """How many rows there were, which disagree, how many refusals name a key, and which of these are not among ours."""

    total: int
    disagreements: list[str]
    named: int
    unnamed: list[str]


def replay(corpus: Path, verdicts: Path, fixtures: Path) -> Replayed:
    configurations = {row["id"]: row["config"] for row in _rows(corpus, fixtures)}
    head, *answers = _rows(verdicts, fixtures)
    release = Release(head["release"])
    disagreements, unnamed, named = [], [], 0
    for answer in answers:
        judged = judge_here(configurations[answer["id"]], release)
        ours = "refused: " + "; ".join(map(str, judged.refused)) if judged.refused else "accepted"
        theirs = "accepted" if answer["ok"] else f"refused: {answer.get('errors')}"
        if answer["ok"] == bool(judged.refused):
            disagreements.append(f"{answer['id']}: zot {release} {theirs}; judged {ours}")
        elif not answer["ok"]:
            keys = keys_named(answer.get("errors") or [])
            named += bool(keys)
            if keys and not _among(keys, judged):
                unnamed.append(f"{answer['id']}: zot names {sorted(keys)}; judged {ours}")
    return Replayed(len(answers), disagreements, named, unnamed)


def judge_here(configuration: dict[str, t.Any], release: Release) -> Judgement:
    """Judge with the files of this machine, where zot was asked too."""
    data = json.dumps(configuration).encode()
    unseen = judge(data, release).unseen
    return judge(data, release, answered(Facts(), unseen, "/", look(questions(unseen, "/")), here=True, folder_known=False))


def keys_named(errors: list[str]) -> set[str]:
    """The keys, in lower case, that zot's own words name: what it lists as invalid, where decoding failed, else key names in the text."""
    text = errors[0] if errors else ""
    listed = {key.strip() for names in re.findall(r"has invalid keys: ([^\n]+)", text) for key in names.split(",")}
    failed = {re.split(r"[.\[]", path.rstrip("]"))[-1].lower() for path in re.findall(r"^'([^'\n]+)' (?!has invalid)", text, re.MULTILINE)}
    if listed or failed:
        return {key.lower() for key in listed | failed if not key.isdigit()}
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return words & _telling_names()


def _among(keys: set[str], judged: Judgement) -> bool:
    told = " ".join(f"{finding.path} {finding.message}" for finding in judged.refused).lower()
    return all(re.search(rf"(?<![a-z]){re.escape(key)}(?![a-z])", told) for key in keys)


def _telling_names() -> set[str]:
    """Names of keys that are no ordinary words: those of two words or more."""

    def walk(node: Node) -> t.Iterator[str]:
        for child in node.children.values():
            if re.search(r"[a-z][A-Z]", child.name):
                yield child.name.lower()
            yield from walk(child)

    return set(walk(tree()))


def _rows(path: Path, fixtures: Path) -> list[dict[str, t.Any]]:
    text = path.read_text(encoding="utf-8").replace("@FIXTURES@", str(fixtures))
    return [json.loads(line) for line in text.split("\n") if line]


if __name__ == "__main__":
    sys.exit(main())
