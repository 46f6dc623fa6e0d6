# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference host, as far as Linux can be it: indri over ssh, with a launchctl and a zot that run under the system's Python."""

from __future__ import annotations

import contextlib
import os
import typing as t
from collections.abc import Iterator
from pathlib import Path

from integration.playbook import CHECKOUT, Play
from support.launchd_sim import install
from support.oidc import mock_provider
from support.zot_binary import free_port, standin_zot
from testbed.maclike import MacLike, maclike

PYTHON = "/usr/bin/python3"


class Indri:
    """The host, and the inventories to reach it: the example's own, then what the test bed overrides."""

    def __init__(self, host: MacLike, folder: Path, issuer: str) -> None:
        self.host = host
        self.folder = folder
        self.port = free_port()
        self.inventories = [CHECKOUT / "inventory" / "hosts.yml", host.inventory_file]
        zot = standin_zot(folder / "built", python=PYTHON)
        self.overrides: dict[str, t.Any] = {
            "zot_service_manager": "launchd",
            "zot_launchctl": str(self._launchctl()),
            "zot_binary_file": str(zot),
            "zot_address": "127.0.0.1",
            "zot_port": self.port,
            "zot_oidc": {"name": "authentik", "issuer": issuer, "client_id": "zot", "username_claim": "preferred_username"},
            "zot_config_overrides": {},
            "zot_local_password_stores": {"zot-ci": {"kind": "file", "path": str(folder / "keys.json"), "field": "zot-ci-api-password"}},
        }

    def play(self, playbook: Path = CHECKOUT / "playbooks" / "provision_indri.yml") -> Play:
        return Play(playbook, self.inventories, self.folder / "controller")

    def _launchctl(self) -> Path:
        """In the host's own folder, since its user may not read this checkout."""
        program, state = self.host.bin / "launchctl", self.host.home / "launchctl"
        state.mkdir()
        install(program, state, PYTHON)
        owner = self.host.home.stat()
        for path in (program, program.with_suffix(".pyc"), state):
            os.chown(path, owner.st_uid, owner.st_gid)
        return program


@contextlib.contextmanager
def indri(folder: Path) -> Iterator[Indri]:
    """A host that lives until the block ends, with an identity provider that zot can reach."""
    with mock_provider({"erich": {"preferred_username": "erich", "groups": ["admins"]}}) as provider, maclike("indri") as host:
        yield Indri(host, folder, provider.issuer)
        host.run(f"{host.bin / 'launchctl'} sim shutdown")
