# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook cache_check before anything is pulled: what it takes for granted, and what it refuses to call proved.

That real clients are told apart is shown in tests/system/test_mirrors.py.
"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from integration.playbook import CHECKOUT, Outcome, Play
from support.zot_binary import Serving, serving, standin_zot, write_htpasswd

PASSWORD = "canary-51c7-must-stay-secret"


@pytest.fixture
def zot(tmp_path: Path) -> t.Iterator[Serving]:
    """One that lets nobody read without a login."""
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"node": PASSWORD})
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}}
    with serving(standin_zot(tmp_path / "bin"), config, tmp_path / "zot") as running:
        yield running


def checked(folder: Path, registry: t.Any, *clients: str, **more: t.Any) -> Outcome:
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(folder / "remote"),
        "registry_mirror_registry": registry,
        "registry_mirror_upstreams": ["docker.io"],
        "registry_mirror_clients": [{"name": client} for client in clients],
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"node": variables}}}))
    play = Play(CHECKOUT / "playbooks" / "cache_check.yml", [folder / "hosts.yml"], folder / "controller")
    return play("--check", **more)


def test_the_login_may_stand_in_the_mapping_and_one_image_needs_no_list(zot: Serving, tmp_path: Path) -> None:
    done = checked(tmp_path, {"url": zot.url, "username": "node", "password": PASSWORD}, "podman", cache_check_images="app:1")
    assert done.rc == 0, done.stdout
    assert "would pull docker.io/library/app:1 with podman" in done.stdout
    assert PASSWORD not in done.stdout


def test_without_the_login_nothing_is_proved(zot: Serving, tmp_path: Path) -> None:
    done = checked(tmp_path, {"url": zot.url}, "podman")
    assert done.rc == 2
    assert "it lets nobody read without a login" in done.stdout


def test_clients_that_cannot_be_asked_prove_nothing(tmp_path: Path) -> None:
    done = checked(tmp_path, "http://127.0.0.1:9", "caddy", "buildkit")
    assert done.rc == 2
    assert "none of these hosts has registry_mirror_clients that can be asked, so nothing would be proved" in done.stdout
