# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that changes nothing costs over ssh, beside what as many round trips cost at least and what the hand-made role costs.

bin/_env's environment, as root:  python tests/benchmarks/noop.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import typing as t
from functools import partial
from pathlib import Path

import yaml

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from integration.indri import Indri, indri  # noqa: E402 - found by the path above
from integration.playbook import Outcome, Play  # noqa: E402 - likewise

RUNS = 5
MODULE_CALL = "Using module file"  # ansible-playbook -vvv says so once for each module it sends


def measure(runs: dict[str, t.Callable[[], Outcome]]) -> dict[str, float]:
    """The median seconds of each, taken in turns, so that what else the machine does falls on all; each run must change nothing."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            start = time.monotonic()
            done = run()
            seconds[name].append(time.monotonic() - start)
            if done.changed:
                raise AssertionError(done.stdout)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def module_calls(play: Play, variables: dict[str, t.Any]) -> int:
    done = play("--tags", "zot", "-vvv", **variables)
    return done.stdout.count(MODULE_CALL)


def playbook(folder: Path, name: str, tasks: list[dict[str, t.Any]]) -> Path:
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump([{"hosts": "indri", "gather_facts": False, "tags": ["zot"], "tasks": tasks}]))
    return path


def pings(count: int) -> list[dict[str, t.Any]]:
    return [{"name": f"Round trip {number}", "ansible.builtin.ping": {}} for number in range(count)]


def hand_made(bed: Indri) -> list[dict[str, t.Any]]:
    """The stock-module tasks of the role this collection replaces, on a host where they have nothing to do."""
    home, template = bed.host.home, bed.folder / "template.j2"
    template.write_text("port {{ zot_port }}\n")
    look = {"changed_when": False}
    return [
        {"ansible.builtin.stat": {"path": f"{home}/.config/zot/config.json"}, "register": "binary"},
        {"ansible.builtin.fail": {"msg": "no binary"}, "when": "not binary.stat.exists"},
        *({"ansible.builtin.file": {"path": f"{home}/hand-made{part}", "state": "directory", "mode": "0755"}} for part in ("", "/data")),
        *(
            {"ansible.builtin.template": {"src": str(template), "dest": f"{home}/hand-made/{number}.json", "mode": "0600"}}
            for number in range(3)
        ),
        {"ansible.builtin.command": f"{bed.host.bin}/launchctl print gui/{home.stat().st_uid}", **look},
        {"ansible.builtin.command": "true", **look},
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch, indri(Path(scratch)) as bed:
        variables = {**bed.overrides, "zot_oidc_client_secret": "made-up"}
        role = bed.play()
        first = role("--tags", "zot", **variables)
        if first.rc:
            raise AssertionError(first.stdout)
        calls = module_calls(role, variables)
        floor = bed.play(playbook(bed.folder, "floor", pings(calls)))
        by_hand = bed.play(playbook(bed.folder, "hand_made", hand_made(bed)))
        by_hand(**variables)  # makes what it then finds
        counted = {name: module_calls(play, variables) for name, play in (("floor", floor), ("by hand", by_hand))}
        if counted["floor"] != calls:
            raise AssertionError(f"the floor makes {counted['floor']} module calls, not {calls}")
        plays = {"no-op": role, "floor": floor, "by hand": by_hand}
        taken = measure({name: partial(play, "--tags", "zot", **variables) for name, play in plays.items()})
    sys.stdout.write(
        f"no-op --tags zot       {taken['no-op']:6.2f} s   {calls} module calls (median of {RUNS}, over ssh, pipelining)\n"
        f"floor: {calls:2} pings        {taken['floor']:6.2f} s   no-op / floor     {taken['no-op'] / taken['floor']:.2f}\n"
        f"hand-made role's tasks {taken['by hand']:6.2f} s   no-op / hand-made {taken['no-op'] / taken['by hand']:.2f}"
        f"   ({counted['by hand']} module calls)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
