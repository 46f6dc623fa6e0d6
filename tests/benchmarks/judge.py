# SPDX-License-Identifier: GPL-3.0-or-later
"""What the judge costs: in process beside `zot verify` for each configuration, and as one task beside an action plugin that does nothing.

In bin/_env's environment, with a real zot:  python tests/benchmarks/judge.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".ansible" / "collections")]

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import RULES  # noqa: E402 - found by the path above
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import judge  # noqa: E402 - likewise
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release  # noqa: E402 - likewise
from support.rule_examples import lay_out  # noqa: E402 - likewise
from support.zot_binary import real_zot  # noqa: E402 - likewise

CORPUS = CHECKOUT.parent / "shared" / "vectors" / "verify" / "corpus.jsonl"
COUNT = 60
RUNS = 15
NOTHING = """
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {}
"""


def configurations(folder: Path) -> list[bytes]:
    """Of the recorded corpus where it is there, else the rules' own examples."""
    if CORPUS.exists():
        rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
        return [json.dumps(row["config"]).encode() for row in rows[:: len(rows) // COUNT]]
    return [lay_out(rule.passes, folder, "2.1.20").path.read_bytes() for rule in RULES][:COUNT]


def in_process(texts: list[bytes]) -> float:
    release = Release("2.1.20")
    judge(texts[0], release)
    start = time.perf_counter()
    for text in texts:
        judge(text, release)
    return (time.perf_counter() - start) / len(texts)


def verify(zot: Path, texts: list[bytes], folder: Path) -> float:
    path = folder / "config.json"
    taken = 0.0
    for text in texts:
        path.write_bytes(text)
        start = time.perf_counter()
        subprocess.run([str(zot), "verify", str(path)], capture_output=True, check=False)
        taken += time.perf_counter() - start
    return taken / len(texts)


def playbooks(folder: Path) -> dict[str, Path]:
    """Two plays of one task each; the empty action lies beside its playbook."""
    plugins = folder / "action_plugins"
    plugins.mkdir()
    (plugins / "nothing.py").write_text(NOTHING)
    config = folder / "config.json"
    config.write_text(json.dumps({"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "5000", "readTimeout": "1h"}}))
    tasks = {"nothing": {"nothing": None}, "zot_validate": {"blumeops.zot.zot_validate": {"path": str(config), "release": "2.1.20"}}}
    made = {}
    for name, task in tasks.items():
        made[name] = folder / f"{name}.yml"
        made[name].write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [{"name": name, **task}]}]))
    return made


def tasks(folder: Path) -> dict[str, float]:
    """The median seconds of each play, taken in turns."""
    plays = playbooks(folder)
    seconds: dict[str, list[float]] = {name: [] for name in plays}
    for _ in range(RUNS):
        for name, path in plays.items():
            start = time.perf_counter()
            subprocess.run(
                [str(Path(sys.executable).with_name("ansible-playbook")), str(path)], cwd=CHECKOUT, capture_output=True, check=True
            )
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def main(show: t.Callable[[str], None] = print) -> None:
    os.environ.update(ANSIBLE_CONFIG=str(CHECKOUT / "ansible.cfg"), PYTHONPYCACHEPREFIX=str(CHECKOUT / ".cache" / "pycache"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = configurations(folder)
        ours = in_process(texts)
        show(f"judge, in process: {ours * 1000:.2f} ms a configuration, of {len(texts)}")
        zot = real_zot()
        if zot:
            theirs = verify(zot, texts, folder)
            show(f"zot verify: {theirs * 1000:.1f} ms; ratio {theirs / ours:.0f} (wanted: 50 or more)")
        else:
            show("zot verify: no real zot (set ZOT_BINARY or put one on PATH)")
        taken = tasks(folder)
        show(f"one play: zot_validate {taken['zot_validate']:.3f} s, an empty action {taken['nothing']:.3f} s")
        show(f"ratio {taken['zot_validate'] / taken['nothing']:.2f} (wanted: 1.3 or less)")


if __name__ == "__main__":
    main()
