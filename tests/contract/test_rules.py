# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge's rules, held to a real zot: what it refuses, what it dies of at its start, and recorded verdicts of every release."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, RULES, Rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from replay_verify import keys_named, replay
from support.rule_examples import lay_out
from support.zot_binary import free_port, release_of

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "verify"
RELEASES = sorted(path.stem.partition("-")[2] for path in RECORDED.glob("verdicts-*.jsonl"))

# Of these zot ends at its start. The other errors are of a zot that runs and fails at its work.
DEADLY = ["301", "302", "306", "309", "311", "316", "317", "318", "320", "328", "329", "330", "331"]


def applies(rule: Rule, release: str) -> bool:
    return rule.applies(tuple(int(part) for part in release.split(".")))


@pytest.mark.real_zot
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.code < "ZOT300"], ids=lambda rule: rule.code)
def test_zot_verify_agrees(rule: Rule, real_zot: Path, tmp_path: Path) -> None:
    release = release_of(real_zot)
    if not applies(rule, release) or "release" in rule.fires.facts:
        pytest.skip(f"the rule does not apply to {release}")
    for example, refused in ((rule.fires, rule.severity == ERROR), (rule.passes, False)):
        laid = lay_out(example, tmp_path, release)
        done = subprocess.run([str(real_zot), "verify", str(laid.path)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == refused, done.stderr
        named = keys_named([done.stderr]) if refused else set()
        told = " ".join(str(finding) for finding in laid.judged().refused).lower()
        assert all(key in told for key in named), (named, told)


@pytest.mark.real_zot
@pytest.mark.parametrize("code", DEADLY)
def test_zot_ends_at_its_start(code: str, real_zot: Path, tmp_path: Path) -> None:
    rule = next(rule for rule in RULES if rule.code == f"ZOT{code}")
    release = release_of(real_zot)
    if not applies(rule, release):
        pytest.skip(f"the rule does not apply to {release}")
    laid = lay_out(rule.fires, tmp_path, release)
    document = json.loads(laid.path.read_text())
    document.setdefault("http", {})["port"] = str(free_port())
    if code != "301":
        document.setdefault("storage", {}).setdefault("rootDirectory", str(tmp_path / "root"))
    laid.path.write_text(json.dumps(document))
    assert subprocess.run([str(real_zot), "verify", str(laid.path)], capture_output=True, timeout=60, check=False).returncode == 0
    # It ends by itself; one that goes on serving runs into the time limit.
    subprocess.run([str(real_zot), "serve", str(laid.path)], capture_output=True, timeout=60, check=False)


@pytest.mark.skipif(not RELEASES, reason=f"no recorded verdicts: there is no {RECORDED}")
@pytest.mark.parametrize("release", RELEASES)
def test_recorded_verdicts(release: str, report: Callable[[str], None]) -> None:
    replayed = replay(RECORDED / "corpus.jsonl", RECORDED / f"verdicts-{release}.jsonl", RECORDED / "fixtures")
    agree = replayed.total - len(replayed.disagreements)
    found = replayed.named - len(replayed.unnamed)
    report(f"verify {release}: {agree} of {replayed.total} agree; the key that zot names: {found} of {replayed.named}")
    assert agree >= replayed.total * (0.999 if release == "2.1.20" else 0.995), replayed.disagreements
    assert found >= 0.98 * replayed.named, replayed.unnamed


@pytest.mark.skipif(not RELEASES, reason=f"no recorded verdicts: there is no {RECORDED}")
def test_zots_own_examples_get_no_error_where_zot_gives_none() -> None:
    """As they are, in CI, where the files that they name are somebody else's."""
    rows = [json.loads(line) for line in (RECORDED / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    accepted = {
        json.loads(line).get("id") for line in (RECORDED / "verdicts-2.1.20.jsonl").read_text().splitlines() if '"ok": true' in line
    }
    examples = [row for row in rows if not row["mutations"] and row["id"] in accepted]
    assert len(examples) > 40
    found = {row["base"]: judge(row["config"], Release("2.1.20")).of(ERROR) for row in examples}
    assert {name: findings for name, findings in found.items() if findings} == {}


def test_a_row_that_disagrees_is_told(tmp_path: Path) -> None:
    """The replay itself: wrong verdicts and keys that nobody names do not pass."""
    rows = [{"id": "a", "config": {"http": {"port": "5000"}}}, {"id": "b", "config": {"http": {"prot": "5000"}}}]
    verdicts = [
        {"release": "2.1.20"},
        {"id": "a", "ok": False, "errors": ["invalid port"]},
        {"id": "b", "ok": False, "errors": ["x\n\n'HTTP' has invalid keys: frobnicate"]},
    ]
    for name, lines in (("corpus", rows), ("verdicts", verdicts)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, lines)) + "\n")
    replayed = replay(tmp_path / "corpus", tmp_path / "verdicts", tmp_path)
    assert (replayed.total, len(replayed.disagreements), replayed.named, len(replayed.unnamed)) == (2, 1, 1, 1)
