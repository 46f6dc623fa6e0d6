# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest configurations of the judge's rules, laid out in a folder and judged there."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._facts import answered, look, questions
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import Example, Rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Facts, Judgement, judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import text_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, Release


@dataclass
class LaidOut:
    """A configuration file in a folder, with the files that it names."""

    path: Path
    release: Release
    facts: t.Mapping[str, t.Any]

    def judged(self) -> Judgement:
        data = self.path.read_bytes()
        facts = Facts(
            dict(self.facts.get("files", {})),
            dict(self.facts.get("issuers", {})),
            self.facts.get("port"),
            self.facts.get("oidc_users", ()),
            self.facts.get("oidc_images", ()),
        )
        unseen = judge(data, self.release, facts, name=self.path.name).unseen
        facts = answered(facts, unseen, "/", look(questions(unseen, "/")), here=True, folder_known=False)
        return judge(data, self.release, facts, name=self.path.name)


def lay_out(example: Example, folder: Path, release: str) -> LaidOut:
    """YAML becomes JSON: that is what a real zot reads in every release."""
    for name, content in example.files.items():
        (folder / name).write_text(content)
    text = example.text.replace("@DIR@", str(folder))
    path = folder / example.name
    if example.name == "config.yaml":
        path = folder / "config.json"
        text = json.dumps(_yaml.load(text.encode()))
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return LaidOut(path, Release(example.facts.get("release", release)), example.facts)


def release_for(rule: Rule, wanted: tuple[int, ...] = (2, 1, 20)) -> str:
    """The release nearest to the wanted one to which the rule applies."""
    number = max(rule.since, min(wanted, rule.until or NEWEST))
    return text_of(number)
