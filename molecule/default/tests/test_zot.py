# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Mac-like host has after the role, seen from outside: files by testinfra, the registry over HTTP."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest
import testinfra
from molecule_hosts import USERS, folder
from support import oci


@pytest.fixture
def mac() -> dict[str, t.Any]:
    return json.loads((folder("default") / "inventory.yml").read_text())["all"]["hosts"]["zot"]


@pytest.fixture
def host():
    return testinfra.get_host("local://")


@pytest.fixture
def url(mac) -> str:
    return f"http://127.0.0.1:{mac['zot_port']}"


def test_files_are_private(host, mac):
    config = Path(mac["zot_home"]) / ".config/zot"
    for name in ("config.json", "htpasswd", "session-keys.json", "last-good/record.json"):
        file = host.file(str(config / name))
        assert file.is_file
        assert file.mode == 0o600
    readable = [path for path in Path(mac["zot_home"]).rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o044]
    secrets = [path for path in readable if any(word.encode() in path.read_bytes() for word in USERS.values())]
    assert secrets == []


def test_one_agent_runs_it(host, mac):
    done = host.run("%s print gui/$(id -u)/io.zotregistry.zot", mac["zot_launchctl"])
    assert done.rc == 0
    assert "\tstate = running" in done.stdout


def test_the_tiers(url, tmp_path):
    client, image = oci.HttpClient(), oci.make_image(tmp_path / "one", random=True)
    tag = image.digest[-12:]
    assert client.push(url, "blumeops/app", tag, image=image).status == 401
    assert client.push(url, "blumeops/app", tag, image=image, username="zot-ci", password=USERS["zot-ci"]).ok
    assert client.pull(url, "blumeops/app", tag, into=tmp_path / "pulled").digest == image.digest
    assert client.delete(url, "blumeops/app", tag, username="zot-ci", password=USERS["zot-ci"]).status == 403
    assert client.delete(url, "blumeops/app", tag, username="boss", password=USERS["boss"]).ok
