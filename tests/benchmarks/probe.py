# SPDX-License-Identifier: GPL-3.0-or-later
"""What the access probe costs: questions a second of a zot on this machine, beside as many GET /v2/ on one connection.

In bin/_env's environment, with a real zot:  python tests/benchmarks/probe.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import typing as t
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".ansible" / "collections")]

from ansible_collections.blumeops.zot.plugins.module_utils._probe import Identity, Line, Target, probe  # noqa: E402 - found by the path above
from contract.images import lay_down  # noqa: E402 - likewise
from support.zot_binary import real_zot, serving, standin_zot, write_htpasswd  # noqa: E402 - likewise

QUESTIONS = 500
RUNS = 5
ANYBODY, CI, SLOW = Identity(), Identity("ci", "word"), Identity("slow", "word")
EVERYBODY = {"repositories": {"**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read", "create"]}}}


def asked_as(target: Target, identities: list[Identity], count: int) -> float:
    """Seconds for ``count`` questions, a third of each kind, shared by the identities; everything before and after them is counted."""
    each = count // len(identities)
    names = [f"team/app{number}" for number in range(each)]
    questions = {action: names[place::3] for place, action in enumerate(("read", "create", "delete"))}
    start = time.perf_counter()
    found = probe(target, identities, questions, time)
    seconds = time.perf_counter() - start
    if len(found["answers"]) != count or any(row["answered"] is None for row in found["answers"]):
        raise AssertionError(found)
    return seconds


def floor(target: Target, identity: Identity, count: int) -> float:
    line = Line(target)
    start = time.perf_counter()
    for _ in range(count):
        if line.ask("GET", "/v2/", identity.headers).status != 200:
            raise AssertionError("zot does not answer")
    seconds = time.perf_counter() - start
    line.close()
    return seconds


def main() -> int:
    zot = real_zot()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fast, slow = (write_htpasswd(folder / f"{rounds}", {name: "word"}, rounds) for name, rounds in (("ci", 4), ("slow", 10)))
        htpasswd = folder / "htpasswd"
        htpasswd.write_text(fast.read_text() + slow.read_text())
        lay_down(folder / "registry", "team/app", ["v1"])
        http = {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": EVERYBODY}
        binary = zot or standin_zot(folder / "bin")
        with serving(binary, {"http": http, "storage": {"gc": False}, "log": {"level": "error"}}, folder) as running:
            target = Target(running.url)
            kinds: dict[str, tuple[int, t.Callable[[int], float]]] = {
                "floor: GET /v2/ as anybody": (QUESTIONS, lambda count: floor(target, ANYBODY, count)),
                "asked as anybody": (QUESTIONS, lambda count: asked_as(target, [ANYBODY], count)),
                "asked as anybody and a user, bcrypt 4": (QUESTIONS, lambda count: asked_as(target, [ANYBODY, CI], count)),
                "floor: GET /v2/ as that user": (QUESTIONS, lambda count: floor(target, CI, count)),
                "asked as that user": (QUESTIONS, lambda count: asked_as(target, [CI], count)),
                "asked as a user, bcrypt 10": (60, lambda count: asked_as(target, [SLOW], count)),
            }
            taken: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(RUNS):
                for name, (count, run) in kinds.items():
                    taken[name].append(run(count))
    rates = {name: kinds[name][0] / statistics.median(seconds) for name, seconds in taken.items()}
    base = rates["floor: GET /v2/ as anybody"]
    sys.stdout.write(f"{binary if zot else 'the stand-in, as there is no real zot'}, medians of {RUNS}\n")
    for name, rate in rates.items():
        seconds = statistics.median(taken[name])
        sys.stdout.write(f"{name:<38} {kinds[name][0]:4} in {seconds:5.2f} s   {rate:6.0f}/s   {base / rate:5.2f} times the floor\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
