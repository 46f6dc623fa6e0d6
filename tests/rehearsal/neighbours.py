# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around the registry: what the monitor is told, and what services-check sees."""

from __future__ import annotations

import contextlib
import json
import re

from rehearsal.host import Host, RehearsalError
from rehearsal.proof import Table

# What the example declares beside is not there: the upstreams and the external URL are of another network, or of none.
_LOOKED_AT = {"indri": ("host", "ready", "release", "access", "drift"), "controller": ("key",)}


def prove_neighbours(host: Host, table: Table) -> None:
    def told(name: str, file: str) -> float:
        """A metric of the textfile collector."""
        text = (host.textfile / file).read_text(encoding="utf-8")
        found = re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1

    def looked() -> str:
        report = host.scratch / "services"
        with contextlib.suppress(RehearsalError):  # a red line is one, and not all are looked at
            host.play("services_check.yml", "localhost", "-e", "output=json", "-e", f"services_check_path={report}")
        hosts = json.loads(report.read_text(encoding="utf-8"))["hosts"]
        levels = {f"{name} {line['check']}": line["level"] for name, lines in hosts.items() for line in lines}
        wanted = [f"{name} {check}" for name, checks in _LOOKED_AT.items() for check in checks]
        return ", ".join(f"{name}: {levels.get(name)}" for name in wanted if levels.get(name) != "green") or "all green"

    def provisioned(tag: str) -> int:
        return host.play("provision_indri.yml", "indri", "--tags", tag)

    for what, tag in (("the monitor's job is provisioned", "zot_monitoring"), ("a client is given the cache", "registry_mirror")):
        table.add(what, "yes", lambda tag=tag: "yes" if provisioned(tag) else "no")
        table.add("changes when that is done again", 0, lambda tag=tag: provisioned(tag))
    table.add("zot_up, as the monitor reads it", 1.0, lambda: told("zot_up", "zot.prom"))
    table.add(
        "the rotation tells the monitor when the key expires",
        "yes",
        lambda: "yes" if told("zot_ci_key_expires_timestamp_seconds", "zot_ci_key.prom") > 0 else "no",
    )
    table.add("services-check: host, ready, release, access, drift, key", "all green", looked)
