# SPDX-License-Identifier: GPL-3.0-or-later
"""What publishing costs: a hundred secrets of which none changed, by one task of ours and by a loop of ansible.builtin.uri.

Both are in the same run of ansible-playbook, against the forge's stand-in. In bin/_env's environment:  python tests/benchmarks/publish.py
"""

from __future__ import annotations

import datetime
import json
import os
import re
import statistics
import sys
import tempfile
import time
import typing as t
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".ansible" / "collections")]

import yaml  # noqa: E402 - found by the path above
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import Fingerprints, _scrypt  # noqa: E402 - likewise
from integration.playbook import Play  # noqa: E402 - likewise
from support.forge import standin_forge  # noqa: E402 - likewise

COUNT = 100
RUNS = 3


def playbook(url: str, token: str) -> list[dict[str, t.Any]]:
    secrets = [{"name": f"SECRET_{number}", "value": f"value of {number}"} for number in range(COUNT)]
    ours = {"url": url, "token": token, "scopes": [{"repository": "eblume/blumeops", "secrets": secrets}]}
    put = {
        "url": f"{url}/api/v1/repos/eblume/cv/actions/secrets/{{{{ item.name }}}}",
        "method": "PUT",
        "headers": {"Authorization": f"token {token}"},
        "body_format": "json",
        "body": {"data": "{{ item.value }}"},
        "status_code": [201, 204],
    }
    watch = {"ansible.builtin.debug": {"msg": "at {{ now().timestamp() }}"}}
    tasks = [
        watch,
        {"blumeops.zot.forgejo_actions_secrets": ours},
        watch,
        {"ansible.builtin.uri": put, "loop": secrets, "no_log": True},
        watch,
    ]
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def seconds(output: str) -> tuple[float, float]:
    """Of our task, and of the loop; what the tasks around them take is in both."""
    before, between, after = (float(moment) for moment in re.findall(r"at ([\d.]+)", output))
    return between - before, after - between


def fingerprinting() -> float:
    """Seconds to compare a hundred values with their fingerprints."""
    known, now = Fingerprints(), datetime.datetime.now(datetime.timezone.utc)
    for number in range(COUNT):
        known = known.with_(f"SECRET_{number}", f"value of {number}", now, os.urandom)
    _scrypt.cache_clear()
    start = time.perf_counter()
    if not all(known.matches(f"SECRET_{number}", f"value of {number}") for number in range(COUNT)):
        raise AssertionError("a value does not match its own fingerprint")
    return time.perf_counter() - start


def main() -> int:
    taken: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as scratch, standin_forge() as forge:
        folder = Path(scratch)
        for name in ("blumeops", "cv"):
            forge.make_repository("eblume", name)
        plays, hosts = folder / "play.yml", folder / "hosts.yml"
        plays.write_text(yaml.safe_dump(playbook(forge.url, forge.token("eblume", "write:repository"))))
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts.write_text(json.dumps({"all": {"hosts": {"localhost": local}}}))
        play = Play(plays, [hosts], folder / "controller")
        for number in range(RUNS + 1):
            forge.forget_requests()
            done = play()
            if done.rc:
                raise AssertionError(done.stdout)
            if number:  # the first run makes them
                taken.append(seconds(done.stdout))
        requests = [seen for seen in forge.requests if "/blumeops/" in seen.path]
    ours, loop = (statistics.median(column) for column in zip(*taken))
    sys.stdout.write(
        f"{COUNT} secrets, none changed, medians of {RUNS} runs\n"
        f"one task of forgejo_actions_secrets  {ours:7.2f} s  {len(requests)} requests\n"
        f"a loop of ansible.builtin.uri        {loop:7.2f} s  {COUNT} requests\n"
        f"ratio                                {loop / ours:7.1f}\n"
        f"fingerprints                         {fingerprinting():7.2f} s\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
