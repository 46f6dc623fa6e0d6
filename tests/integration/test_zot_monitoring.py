# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on a Mac: from a virgin host to a textfile that tells the truth, over what was there by hand, and from the rotation."""

from __future__ import annotations

import os
import plistlib
import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from integration.conftest import Mac
from integration.playbook import Outcome
from integration.test_ci_key import House
from support.forge import standin_forge
from support.onepassword import Op
from support.waiting import until
from support.zot_binary import free_port

CANARY = "canary-5e11-must-stay-secret"
LABEL = "mcquack.eblume.zot-metrics"
ROLE = [{"hosts": "all", "gather_facts": False, "roles": [{"role": "blumeops.zot.zot_monitoring", "tags": ["zot_monitoring"]}]}]


class Watched:
    """A Mac whose zot, if it has one, is told of; and files for a monitor, on the same host."""

    def __init__(self, mac: Mac) -> None:
        self.mac = mac
        self.text = mac.home / "textfile"
        self.files = mac.folder / "monitor"
        self.files.mkdir(exist_ok=True)
        self.variables: dict[str, t.Any] = {
            "zot_service_name": "mcquack.eblume.zot",
            "zot_upstreams": [],
            "zot_metrics": "users",
            "zot_metrics_users": ["prom"],
            "zot_monitoring_textfile_dir": str(self.text),
            "zot_monitoring_timeout": 2,
            "zot_monitoring_username": "prom",
            "zot_monitoring_password": CANARY,
            "zot_monitoring_password_file": str(self.files / "password"),
            "zot_monitoring_prometheus_path": str(self.files / "scrape.yml"),
            "zot_monitoring_alloy_path": str(self.files / "zot.alloy"),
            "zot_monitoring_rules_path": str(self.files / "zot.rules.yml"),
            "zot_monitoring_dashboard_path": str(self.files / "configmap-zot.yaml"),
            "zot_monitoring_dashboard_configmap": {"name": "zot", "labels": {"grafana_dashboard": "1"}},
        }

    def play(self, *arguments: str, **more: t.Any) -> Outcome:
        return self.mac.playing(ROLE)(*arguments, **{**self.variables, **more})

    @property
    def plist(self) -> Path:
        return self.mac.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def script(self) -> Path:
        return self.mac.home / ".local" / "bin" / "zot-metrics"

    def told(self, name: str = "zot.prom") -> dict[str, str]:
        path = self.text / name
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))

    def written(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.files.iterdir()}


@pytest.fixture
def watched(mac: Mac) -> Watched:
    return Watched(mac)


def test_a_virgin_mac_is_only_looked_at(watched: Watched) -> None:
    planned = watched.play("--check", "--diff", "-vvv")
    assert planned.changed > 0
    for said in ("zot_textfile_timestamp_seconds", "<key>StartInterval</key>", "alert: ZotDown", "prometheus.scrape", "grafana_dashboard"):
        assert said in planned.stdout, said
    assert CANARY not in planned.stdout
    assert (watched.mac.tree(), watched.written(), watched.mac.sim.jobs()) == ({}, {}, {})


def test_a_zot_is_told_of_and_a_second_run_changes_nothing(watched: Watched) -> None:
    watched.mac.provision()
    done = watched.play("--diff", "-vvv")
    assert done.changed > 0
    assert CANARY not in done.stdout
    assert until(lambda: watched.told().get("zot_up") == "1")
    assert watched.told()["zot_ready"] == "1"
    assert {"scrape.yml", "zot.alloy", "zot.rules.yml", "configmap-zot.yaml", "password"} == set(watched.written())
    assert (watched.files / "password").stat().st_mode & 0o777 == 0o600
    assert (watched.files / "password").read_text() == CANARY
    assert [name for name, content in watched.written().items() if CANARY.encode() in content] == ["password"]
    # Prometheus's own marks came through Ansible as they were.
    assert "{{ $labels.instance }}" in (watched.files / "zot.rules.yml").read_text()
    assert "{{instance}}" in (watched.files / "configmap-zot.yaml").read_text()

    before = (watched.written(), watched.plist.read_bytes(), watched.script.read_bytes())
    assert until(lambda: watched.mac.sim.job(LABEL)["pid"] is None)
    for arguments in ([], ["--check", "--diff"]):
        assert watched.play(*arguments).changed == 0
    assert (watched.written(), watched.plist.read_bytes(), watched.script.read_bytes()) == before


def test_folders_are_made_for_all_to_read_and_those_that_are_there_stay_as_they_are(watched: Watched) -> None:
    watched.text.mkdir()
    watched.text.chmod(0o775)  # a group's
    logs = watched.mac.home / "Library" / "Logs"
    logs.mkdir(parents=True)
    logs.chmod(0o700)
    new = watched.files / "scrape" / "zot"
    given = {"zot_monitoring_prometheus_path": str(new / "zot.yml"), "zot_monitoring_interval": "30"}
    assert watched.play("--check", **given).changed > 0
    assert not new.exists()
    old = os.umask(0o077)
    try:
        assert watched.play(**given).changed > 0
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in (watched.text, logs, new, new.parent)] == [0o775, 0o700, 0o755, 0o755]
    assert plistlib.loads(watched.plist.read_bytes())["StartInterval"] == 30
    assert watched.play(**given).changed == 0


@pytest.mark.parametrize("ending", ["", "/"])
@pytest.mark.parametrize("there", [True, False])
def test_a_folder_is_no_file(watched: Watched, ending: str, there: bool) -> None:
    folder = watched.files / "rules"
    if there:
        folder.mkdir()
    done = watched.play(zot_monitoring_textfile=False, zot_monitoring_rules_path=f"{folder}{ending}")
    if not there and not ending:
        assert done.changed > 0
        return
    assert done.rc == 2
    assert f"{folder}{ending} is a folder" in " ".join(done.stdout.split())
    assert list(watched.files.iterdir()) == ([folder] if there else [])
    assert not there or list(folder.iterdir()) == []


def test_a_password_may_be_of_digits_or_look_like_json(watched: Watched) -> None:
    for password in (20261125, '{"a": [1, "2"]}', 'it\'s 5% "of" #x\\n'):
        assert watched.play(zot_monitoring_textfile=False, zot_monitoring_password=password).changed > 0
        assert (watched.files / "password").read_text() == str(password)


def test_what_was_there_by_hand_is_replaced_in_place(watched: Watched) -> None:
    """As the role zot_metrics left it: the script beside, and a job that launchd runs."""
    watched.script.parent.mkdir(parents=True)
    watched.text.mkdir()
    watched.script.write_text(f'#!/bin/sh\necho "zot_up 1" > {watched.text}/zot.prom\n')
    watched.script.chmod(0o755)
    watched.plist.parent.mkdir(parents=True)
    old = {"Label": LABEL, "ProgramArguments": [str(watched.script)], "StartInterval": 60, "RunAtLoad": True}
    watched.plist.write_bytes(plistlib.dumps(old))
    watched.plist.chmod(0o644)
    assert watched.mac.sim("bootstrap", f"gui/{os.geteuid()}", str(watched.plist)).returncode == 0
    assert until(lambda: watched.told() == {"zot_up": "1"})

    done = watched.play(zot_monitoring_url=f"http://127.0.0.1:{free_port()}")
    assert done.changed > 0
    assert until(lambda: watched.told().get("zot_up") == "0")
    assert [label for label in watched.mac.sim.jobs() if "metrics" in label] == [f"gui/{os.geteuid()}/{LABEL}"]
    definition = plistlib.loads(watched.plist.read_bytes())
    assert (definition["ProgramArguments"], definition["StartInterval"]) == ([str(watched.script)], 60)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"zot_metrics": "disabled"}, "there is nothing to scrape"),
        ({"zot_metrics": "anonymous"}, "zot refuses whoever logs in"),
        ({"zot_monitoring_username": ""}, "none of zot_metrics_users"),
        ({"zot_monitoring_username": "other"}, "none of zot_metrics_users"),
        ({"zot_monitoring_password_file": ""}, "needs zot_monitoring_password_file"),
        ({"zot_monitoring_thresholds": {"slow_second": 5}}, "slow_second"),
        ({"zot_monitoring_thresholds": {"slow_seconds": 7}}, "slow_seconds"),
        ({"zot_monitoring_thresholds": {"down_for": "5 minutes"}}, "see down_for"),
        ({"zot_monitoring_thresholds": {"missing_for": ""}}, "see missing_for"),
        ({"zot_monitoring_scrape_interval": 60}, "see zot_monitoring_scrape_interval"),
        ({"zot_monitoring_job": "it's: zot"}, "zot_monitoring_job is a name"),
        ({"zot_monitoring_targets": []}, "zot_monitoring_targets needs"),
        ({"zot_monitoring_targets": [{"url": "indri:5050", "instance": "i"}]}, "zot_monitoring_targets needs"),
        ({"zot_monitoring_targets": [{"url": f"https://p:{CANARY}@indri:5050", "instance": "i"}]}, "without a login"),
        ({"zot_monitoring_targets": [{"url": "https://indri/registry/", "instance": "i"}]}, "and a path"),
    ],
)
def test_a_scrape_that_zot_would_refuse_is_not_written(watched: Watched, given: dict[str, t.Any], message: str) -> None:
    failed = watched.play(**given)
    assert failed.rc == 2
    assert message in " ".join(failed.stdout.split())
    assert (CANARY in failed.stdout, watched.written(), watched.mac.tree()) == (False, {}, {})


def test_a_host_that_only_has_the_files_has_no_job_and_anonymous_no_login(watched: Watched) -> None:
    nobody = {"zot_metrics": "anonymous", "zot_monitoring_username": "", "zot_monitoring_password": "", "zot_monitoring_password_file": ""}
    done = watched.play(zot_monitoring_textfile=False, zot_monitoring_alloy_path="", zot_monitoring_file_mode="0640", **nobody)
    assert done.changed == 1
    assert (watched.mac.tree(), set(watched.written())) == ({}, {"scrape.yml", "zot.rules.yml", "configmap-zot.yaml"})
    assert b"basic_auth" not in watched.written()["scrape.yml"]
    assert (watched.files / "scrape.yml").stat().st_mode & 0o777 == 0o640


# --- the rotation


@pytest.fixture
def house(mac: Mac) -> Iterator[House]:
    with standin_forge() as forge:
        forge.make_repository("eblume", "blumeops")
        token = forge.token("eblume", "write:repository")
        made = House(mac, forge, Op(mac.folder / "op", {"blumeops": {"Forgejo Secrets": {"api-token": token}}}))
        made.variables["zot_monitoring_key_host"] = "indri"
        yield made


def test_the_rotation_tells_of_the_key_on_the_host_of_the_registry(house: House, mac: Mac) -> None:
    text = mac.folder / "textfile"
    text.mkdir()
    hosts = mac.folder / "hosts.yml"
    inventory = yaml.safe_load(hosts.read_text())
    inventory["all"]["hosts"]["indri"]["zot_monitoring_textfile_dir"] = str(text)  # of that host, where the play is of another
    hosts.write_text(yaml.safe_dump(inventory))
    planned = house.play("provision_indri.yml", "--check", "--diff")
    assert planned.rc == 0, planned.stdout
    assert "unknown until it is made" in planned.stdout
    assert list(text.iterdir()) == []

    done = house.play("provision_indri.yml")
    assert done.rc == 0, done.stdout
    house.assert_told_nothing(done)
    told = (text / "zot_ci_key.prom").read_text()
    moments = dict(re.findall(r"^zot_ci_key_(\w+)_timestamp_seconds{.*} (\d+)$", told, re.MULTILINE))
    assert int(moments["expires"]) - int(moments["created"]) == pytest.approx(90 * 86400, abs=60)
    run = (text / "zot_ci_key_run.prom").read_text()
    assert 'username="zot-ci"' in run

    again = house.play("rotate_ci_key.yml")
    assert (again.rc, again.stdout.count("changed=0")) == (0, 1), again.stdout
    assert (text / "zot_ci_key.prom").read_text() == told
    assert (text / "zot_ci_key_run.prom").read_text() != run

    run = (text / "zot_ci_key_run.prom").read_text()
    house.forge.fail(503, method="PUT", path="/secrets/", times=99)
    assert house.play("rotate_ci_key.yml", zot_ci_key_state="renewed").rc == 2
    assert (text / "zot_ci_key_run.prom").read_text() == run
    house.forge.heal()
    assert house.play("rotate_ci_key.yml").rc == 0
    assert (text / "zot_ci_key.prom").read_text() != told
