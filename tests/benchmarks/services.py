# SPDX-License-Identifier: GPL-3.0-or-later
"""What services-check costs over ssh: one host, beside the floor of one ping, and twenty hosts beside one.

All names of the inventory are the same host and the same registry, which is this very machine: it does what twenty-one would share, and
twenty pings are the floor of that. What the controller itself computes is told apart.

bin/_env's environment, as root:  python tests/benchmarks/services.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from functools import partial
from pathlib import Path

import yaml

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from integration.indri import Indri, indri  # noqa: E402 - found by the path above
from integration.playbook import CHECKOUT  # noqa: E402 - likewise

RUNS = 5
MANY = 20


def inventory(bed: Indri, count: int) -> Path:
    """That many names of the one host."""
    known = yaml.safe_load(bed.host.inventory_file.read_text())["all"]["hosts"]["indri"]
    example = yaml.safe_load((CHECKOUT / "inventory" / "host_vars" / "indri.yml").read_text())
    hosts = {f"host{number:02}": {**example, **known, **bed.overrides} for number in range(count)}
    path = bed.folder / f"hosts{count}.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    return path


def run(*words: str) -> None:
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    # Of what the example names nothing can be reached from here: red lines cost as much time as green ones, and more.
    if done.returncode not in (0, 2) or "UNREACHABLE" in done.stdout or not done.stdout:
        raise AssertionError(done.stdout + done.stderr)


def measure(runs: dict[str, t.Callable[[], None]]) -> dict[str, tuple[float, float]]:
    """The median seconds of each, by the clock and of this side's processors, taken in turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, one in runs.items():
            start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            one()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            taken[name].append((time.monotonic() - start, used))
    return {name: (statistics.median(one for one, _ in each), statistics.median(one for _, one in each)) for name, each in taken.items()}


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch, indri(Path(scratch)) as bed:
        # The registry alone: what is asked of the Internet is as fast as the Internet is.
        bed.overrides |= {"zot_upstreams": [], "zot_external_url": "", "zot_grants": [{"anonymous": True, "actions": ["read"]}]}
        bed.overrides |= {"zot_local_users": [], "zot_local_password_stores": {}, "zot_groups": {}}
        first = bed.play()("--tags", "zot", **bed.overrides, zot_oidc_client_secret="made-up")
        if first.rc:
            raise AssertionError(first.stdout)
        one, many = (str(inventory(bed, count)) for count in (1, MANY))
        check = str(CHECKOUT / "bin" / "services-check")
        runs = {
            "one ping": partial(run, "ansible", "-i", one, "-f", "32", "all", "-m", "ansible.builtin.ping"),
            "1 host": partial(run, check, "-i", one),
            f"{MANY} pings": partial(run, "ansible", "-i", many, "-f", "32", "all", "-m", "ansible.builtin.ping"),
            f"{MANY} hosts": partial(run, check, "-i", many),
        }
        for each in runs.values():
            each()
        taken = measure(runs)
    for name, (seconds, processor) in taken.items():
        sys.stdout.write(f"{name:9} {seconds:6.2f} s   the controller's processors {processor:5.2f} s\n")
    for few, many in (("one ping", f"{MANY} pings"), ("1 host", f"{MANY} hosts")):
        sys.stdout.write(f"{many} / {few}  {taken[many][0] / taken[few][0]:.2f}\n")
    for check, floor in (("1 host", "one ping"), (f"{MANY} hosts", f"{MANY} pings")):
        sys.stdout.write(f"{check} / {floor}  {taken[check][0] / taken[floor][0]:.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
