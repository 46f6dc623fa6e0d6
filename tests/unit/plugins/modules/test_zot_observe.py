# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.blumeops.zot.plugins.modules import zot_observe
from support.modules import launchd, run_module


def observe(check=False, **options):
    return run_module(zot_observe.main, check, **options)


def place(folder):
    return {"config_path": str(folder / "config.json"), "service": launchd(folder / "launchctl", 0)}


@pytest.mark.parametrize("check", [True, False])
def test_a_virgin_host_is_told_and_stays_as_it_is(tmp_path, check):
    places = {"launchd": place(tmp_path)}
    before = sorted(tmp_path.rglob("*"))
    answer = observe(check, service_manager="launchd", places=places, timeout=1)
    assert answer["changed"] is False
    assert answer["host"]["service_manager"] == "launchd"
    assert answer["seen"]["ready"]["pid"] is None
    assert answer["seen"]["config"]["found"]["live"] is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_path_begins_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "zot").mkdir()
    (tmp_path / "zot/config.json").write_text('{"storage": {"rootDirectory": "/"}, "http": {"port": "1"}}')
    answer = observe(service_manager="launchd", places={"launchd": {**place(tmp_path), "config_path": "~/zot/config.json"}})
    assert answer["seen"]["config"]["path"] == f"{tmp_path}/zot/config.json"


def test_a_manager_that_nothing_is_known_of_fails(tmp_path):
    answer = observe(service_manager="launchd", places={"systemd": place(tmp_path)})
    assert answer["failed"]
    assert answer["msg"] == "places: nothing says where zot lies under launchd"


@pytest.mark.skipif(os.geteuid() != 0, reason="asks as another user")
def test_systemd_needs_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    answer = observe(service_manager="systemd", places={"systemd": place(tmp_path)})
    assert "needs root" in answer["msg"]
