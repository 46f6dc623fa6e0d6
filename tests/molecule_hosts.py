# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of molecule's scenarios: C(python -m molecule_hosts SCENARIO up|down), run from the checkout.

C(default): this machine as a Mac-like host, a scratch home and the launchctl stand-in; no root. C(linux): a machine of its own
with a real systemd; root and Debian. Both write an inventory to C(.cache/molecule/SCENARIO/inventory.yml).
"""

from __future__ import annotations

import json
import shutil
import sys
import typing as t
from pathlib import Path

from support import zot_binary
from support.launchd_sim import LaunchctlSim
from testbed import nspawn

USERS = {"zot-ci": "molecule-ci", "boss": "molecule-boss"}
ZOT: dict[str, t.Any] = {
    "zot_local_users": list(USERS),
    "zot_local_passwords": USERS,
    "zot_groups": {"artifact-workloads": ["zot-ci"], "admins": ["boss"]},
    "zot_grants": [
        {"anonymous": True, "actions": ["read"]},
        {"authenticated": True, "actions": ["read"]},
        {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
        {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
    ],
}


def folder(scenario: str) -> Path:
    """Where a scenario keeps its inventory and state."""
    return Path(".cache/molecule").resolve() / scenario


def main(scenario: str, verb: str) -> None:
    state = folder(scenario)
    {("default", "up"): _mac_up, ("default", "down"): _mac_down, ("linux", "up"): _linux_up, ("linux", "down"): _linux_down}[
        (scenario, verb)
    ](state)


def _binary(state: Path) -> Path:
    return zot_binary.real_zot() or zot_binary.standin_zot(state)


def _inventory(state: Path, host: dict[str, t.Any]) -> None:
    (state / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"zot": {**ZOT, **host}}}}, indent=1))


def _mac_up(state: Path) -> None:
    home = state / "home"
    home.mkdir(parents=True)
    sim = LaunchctlSim(state / "sim", time_scale=20)
    _inventory(
        state,
        {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "zot_home": str(home),
            "zot_service_manager": "launchd",
            "zot_launchctl": str(sim.path),
            "zot_binary_path": str(_binary(state)),
            "zot_port": zot_binary.free_port(),
        },
    )


def _mac_down(state: Path) -> None:
    if (state / "sim").exists():
        LaunchctlSim(state / "sim").shutdown()
    shutil.rmtree(state, ignore_errors=True)


def _linux_up(state: Path) -> None:
    state.mkdir(parents=True)
    binary = _binary(state)
    if zot_binary.is_standin(binary):  # the guest has a Python of its own
        binary.write_text("#!/usr/bin/python3\n" + binary.read_text().split("\n", 1)[1])
    bed = nspawn.Bed.load(state / "bed")
    bed.up(["zot"], bind_ro={binary: "/opt/zot-given"})
    _inventory(state, {**bed["zot"].vars(), "zot_binary_path": "/opt/zot-given"})


def _linux_down(state: Path) -> None:
    if (state / "bed").exists():
        nspawn.Bed.load(state / "bed").down()
    shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
