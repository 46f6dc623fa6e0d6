# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on a Mac's stand-in, from nothing to a registry that serves, and back to that from whatever befell it."""

from __future__ import annotations

import os
import signal

from integration.conftest import LABEL, Mac
from support.waiting import until
from support.zot_binary import free_port, standin_zot


def test_check_mode_on_a_virgin_home_shows_the_plan_and_changes_nothing(mac: Mac) -> None:
    before = mac.tree()
    done = mac.play("--check", "--diff", zot_local_passwords={}, zot_upstream_passwords={})
    assert done.changed > 0
    assert f'"port": "{mac.port}"' in done.stdout
    assert mac.tree() == before == {}
    assert mac.sim.jobs() == {}


def test_a_second_run_changes_nothing(mac: Mac) -> None:
    assert mac.play().changed > 0
    assert (mac.status(), mac.status(password="wrong")) == (200, 401)
    before, pid = mac.tree(), mac.pid()
    assert mac.play().changed == 0
    assert mac.play("--check", "--diff").changed == 0
    assert (mac.tree(), mac.pid()) == (before, pid)


def test_a_killed_zot_comes_back(serving_mac: Mac) -> None:
    mac = serving_mac
    os.kill(first := mac.pid(), signal.SIGKILL)
    assert until(lambda: mac.pid() not in (0, first) and mac.status() == 200)


def test_a_configuration_broken_by_hand_is_repaired(serving_mac: Mac) -> None:
    mac = serving_mac
    right = mac.config.read_bytes()
    mac.config.write_text("{ this is no JSON")
    assert mac.play().changed > 0
    assert mac.config.read_bytes() == right
    assert mac.status() == 200


def test_a_changed_port_is_served_and_the_old_one_is_not(serving_mac: Mac) -> None:
    mac = serving_mac
    port = free_port()
    assert mac.play(zot_port=port).changed > 0
    assert (mac.status(port), mac.status()) == (200, None)


def test_a_run_that_died_between_writing_and_restarting_is_finished_by_the_next(serving_mac: Mac) -> None:
    mac = serving_mac
    pid, port = mac.pid(), free_port()
    died = mac.play(zot_port=port, zot_launchctl=str(mac.launchctl_that_ends_the_run()))
    assert died.rc == -signal.SIGKILL, died.stdout
    assert f'"{port}"' in mac.config.read_text(), "it was to die after the files were written"
    assert mac.pid() == pid
    assert mac.play(zot_port=port).changed > 0
    assert (mac.status(port), mac.status()) == (200, None)
    assert mac.play(zot_port=port).changed == 0


def test_the_binary_goes_down_a_release_and_back_up(serving_mac: Mac) -> None:
    mac = serving_mac
    older = str(standin_zot(mac.folder / "older", release="2.1.19"))
    for release, binary in (("2.1.19", older), ("2.1.20", str(mac.zot))):
        assert mac.play(zot_version=release, zot_binary_path=binary).changed > 0
        assert mac.release() == release


def test_an_agent_made_by_hand_is_adopted(mac: Mac) -> None:
    by_hand = mac.launch_by_hand()
    assert mac.play().changed > 0
    assert [job for job in mac.sim.jobs() if job.endswith(f"/{LABEL}")] == [f"gui/{os.geteuid()}/{LABEL}"]
    assert mac.servers() == [mac.pid()] != [by_hand]
    assert (mac.status(), mac.status(password="wrong")) == (200, 401)
    assert mac.play().changed == 0


def test_an_agent_made_by_hand_comes_back_where_its_successor_dies(mac: Mac) -> None:
    by_hand = mac.launch_by_hand()
    before = mac.plist.read_bytes()
    done = mac.play(zot_binary_path=str(mac.crashing_zot()), zot_ready_timeout=3)
    assert done.rc == 2
    assert "rolled back: zot as it was found serves again" in done.stdout
    assert mac.plist.read_bytes() == before
    assert (mac.status(), mac.status(password="wrong")) == (200, 200), "the one made by hand asks for no password"
    assert mac.servers() == [mac.pid()] != [by_hand]
    assert mac.play().changed > 0
    assert (mac.status(), mac.status(password="wrong")) == (200, 401)
