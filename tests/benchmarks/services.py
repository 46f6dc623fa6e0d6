# SPDX-License-Identifier: GPL-3.0-or-later
"""What services-check costs over ssh: one host, beside the floor of one ping, and twenty hosts beside one.

All names of the inventory are the same host and the same registry, which is this very machine: it does what twenty-one would share, and
twenty pings are what that costs. What the controller itself computes is told apart. Each name has a connection of its own, which was
opened before and which Ansible keeps for a minute. Everything is run in turns, and what is compared is of one round.

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
    """That many names of the one host, which ssh takes for as many."""
    known = yaml.safe_load(bed.host.inventory_file.read_text())["all"]["hosts"]["indri"]
    example = yaml.safe_load((CHECKOUT / "inventory" / "host_vars" / "indri.yml").read_text())
    ssh = bed.folder / "ssh_config"
    ssh.write_text(bed.host.ssh_config.read_text().replace("Host indri", "Host host*"))
    known["ansible_ssh_common_args"] = f"-F {ssh}"
    names = [f"host{number:02}" for number in range(count)]
    hosts = {name: {**example, **known, "ansible_host": name, **bed.overrides} for name in names}
    path = bed.folder / f"hosts{count}.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    return path


def run(*words: str) -> None:
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    # Of what the example names nothing can be reached from here: red lines cost as much time as green ones, and more.
    if done.returncode not in (0, 2) or "UNREACHABLE" in done.stdout or not done.stdout:
        raise AssertionError(done.stdout + done.stderr)


class Taken(t.NamedTuple):
    """Seconds by the clock, and of this side's processors."""

    seconds: float
    processor: float


def measured(one: t.Callable[[], None]) -> Taken:
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    one()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ratio(rounds: list[dict[str, Taken]], many: str, few: str) -> float:
    """The median of the rounds: a machine that others use as well is slower for a whole round rather than for a part of it."""
    return statistics.median(each[many].seconds / each[few].seconds for each in rounds)


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch, indri(Path(scratch)) as bed:
        # The registry alone: what is asked of the Internet is as fast as the Internet is.
        bed.overrides |= {"zot_upstreams": [], "zot_external_url": "", "zot_grants": [{"anonymous": True, "actions": ["read"]}]}
        bed.overrides |= {"zot_local_users": [], "zot_local_password_stores": {}, "zot_groups": {}}
        made = bed.play()("--tags", "zot", **bed.overrides, zot_oidc_client_secret="made-up")
        if made.rc:
            raise AssertionError(made.stdout)
        one, many = (str(inventory(bed, count)) for count in (1, MANY))
        check = str(CHECKOUT / "bin" / "services-check")
        runs = {
            "one ping": partial(run, "ansible", "-i", one, "-f", "32", "all", "-m", "ansible.builtin.ping"),
            "1 host": partial(run, check, "-i", one),
            f"{MANY} pings": partial(run, "ansible", "-i", many, "-f", "32", "all", "-m", "ansible.builtin.ping"),
            f"{MANY} hosts": partial(run, check, "-i", many),
        }
        # One sshd refuses more than ten newcomers at once.
        run("ansible", "-i", many, "-f", "5", "all", "-m", "ansible.builtin.ping")
        rounds = [{name: measured(one) for name, one in runs.items()} for _ in range(RUNS)]
    for name in runs:
        seconds, processor = (statistics.median(each[name][part] for each in rounds) for part in (0, 1))
        sys.stdout.write(f"{name:9} {seconds:6.2f} s   the controller's processors {processor:5.2f} s\n")
    for many, few in (
        (f"{MANY} pings", "one ping"),
        (f"{MANY} hosts", "1 host"),
        ("1 host", "one ping"),
        (f"{MANY} hosts", f"{MANY} pings"),
    ):
        sys.stdout.write(f"{many} / {few}  {ratio(rounds, many, few):.2f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
