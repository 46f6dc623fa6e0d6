# SPDX-License-Identifier: GPL-3.0-or-later
"""services-check as people and cron run it: over an inventory whose hosts the role provisioned, by the command and by the playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from integration.conftest import CANARY, USER, Mac, end
from integration.playbook import CHECKOUT
from support.oidc import create_api_key, mock_provider
from support.processes import Watch, forms
from support.waiting import until
from support.zot_binary import free_port

COMMAND = CHECKOUT / "bin" / "services-check"
PLAYBOOK = CHECKOUT / "playbooks" / "services_check.yml"
FIELD = "zot-ci-api"
Report = dict[str, dict[str, dict[str, t.Any]]]


class Done(t.NamedTuple):
    rc: int
    stdout: str
    stderr: str

    @property
    def report(self) -> t.Any:
        return json.loads(self.stdout)

    @property
    def levels(self) -> dict[str, dict[str, str]]:
        return {host: {line["check"]: line["level"] for line in lines} for host, lines in self.report["hosts"].items()}


class House:
    """A provisioned registry, a key of CI in a file, and an inventory with a machine beside that has no registry."""

    def __init__(self, mac: Mac, issuer: str) -> None:
        self.mac, self.folder = mac, mac.folder
        self.store = self.folder / "keys.json"
        self.variables: dict[str, t.Any] = {
            "zot_upstreams": [],
            "zot_oidc": {"issuer": issuer, "client_id": "zot", "username_claim": "preferred_username"},
            "zot_oidc_client_secret": CANARY,
            "services_check_disk_amber_percent": 0,
            "services_check_disk_red_percent": 0,
        }
        done = mac.play(**self.variables)
        assert done.rc == 0, done.stdout
        hosts = yaml.safe_load((self.folder / "hosts.yml").read_text())["all"]["hosts"]
        self.hosts: dict[str, dict[str, t.Any]] = {"indri": {**hosts["indri"], **self.variables}, "nas": {"ansible_connection": "local"}}
        self.everywhere: dict[str, t.Any] = {
            "zot_ci_key_registry": self.url,
            "zot_ci_key_username": USER,
            "zot_ci_key_store": {"kind": "file", "path": str(self.store), "field": FIELD},
        }
        self.key = create_api_key((USER, CANARY), self.url, "ci")
        self.keep(self.key)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.mac.port}"

    def keep(self, key: str) -> None:
        self.store.touch()
        self.store.chmod(0o600)
        self.store.write_text(json.dumps({FIELD: key}))

    def inventory(self) -> str:
        path = self.folder / "house.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": self.hosts, "vars": self.everywhere}}))
        return str(path)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        dropped = ("ZOT_", "OP_", "ANSIBLE_", "NO_COLOR")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return subprocess.Popen(
            [str(COMMAND), "-i", self.inventory(), *arguments],
            env={**ours, "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **environment: str) -> Done:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=120)
        return Done(process.returncode, out, err)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    mac = Mac(tmp_path_factory.mktemp("house"))
    with mock_provider({"erich": {}}) as provider:
        yield House(mac, provider.issuer)
        end(mac)


@pytest.fixture
def given(house: House) -> Iterator[House]:
    """For tests that change what the inventory or the store says."""
    before = json.dumps([house.hosts, house.everywhere]), house.key
    yield house
    house.hosts, house.everywhere = json.loads(before[0])
    house.keep(before[1])


WELL = {
    **dict.fromkeys(("host", "ready", "release", "access", "disk", "drift", "oidc"), "green"),
    **dict.fromkeys(("external", "certificate", "upstreams", "cache"), "grey"),
}


def test_a_machine_reads_one_json_object_and_nothing_else(house: House) -> None:
    done = house("--json")
    assert (done.rc, done.stderr) == (0, ""), done
    assert done.levels == {"indri": WELL, "controller": {"key": "green"}}, done.stdout
    assert done.report["ok"] is True
    assert done.report["counts"] == {"red": 0, "amber": 0, "green": 8, "grey": 4}


def test_people_read_one_table_without_colours_where_nobody_sees_them(house: House) -> None:
    done = house()
    assert (done.rc, done.stderr) == (0, ""), done
    rows = done.stdout.splitlines()
    assert rows[0].split(maxsplit=3)[:3] == ["indri", "host", "green"]
    assert rows[-2].split()[:3] == ["controller", "key", "green"]
    assert rows[-1] == "8 green, 4 grey"
    assert "\033" not in done.stdout
    columns = {row.index(" green ") for row in rows[:-1] if " green " in row} | {
        row.index(" grey ") for row in rows[:-1] if " grey " in row
    }
    assert len(columns) == 1, "aligned"
    assert "\033[32mgreen\033[0m" in house(ANSIBLE_FORCE_COLOR="1").stdout


def test_nothing_is_changed_and_a_check_tells_the_same(house: House) -> None:
    before = house.mac.tree()
    assert house("--json", "--check", "--diff").levels == house("--json").levels
    assert house.mac.tree() == before


def test_one_that_cannot_be_reached_is_a_red_line_and_the_others_are_told(given: House) -> None:
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port(), "zot_grants": [{"anonymous": True}]}
    given.hosts["gone"] = gone
    done = given("--json")
    assert done.rc == 2
    told = done.levels
    assert told["indri"] == WELL
    assert told["gone"] == {**dict.fromkeys(WELL, "grey"), "host": "red"}
    assert given("--json", "-l", "indri").levels == {"indri": WELL, "controller": {"key": "green"}}


def test_one_whose_variables_are_wrong_is_a_red_line_and_the_others_are_told(given: House) -> None:
    given.hosts["wrong"] = {**given.hosts["indri"], "zot_grants": [{"anonymous": True, "actions": ["raed"]}]}
    done = given("--json")
    assert done.rc == 2
    assert done.levels["indri"] == WELL
    assert done.levels["wrong"] == {**WELL, "access": "red", "drift": "red"}
    given.hosts["wrong"]["zot_grants"] = "{{ no_such_variable }}"
    done = given("--json")
    assert (done.rc, done.levels["indri"], done.levels["wrong"]["host"]) == (2, WELL, "red")
    assert "no_such_variable" in done.stdout


def test_a_change_that_was_not_provisioned_is_drift(given: House) -> None:
    given.hosts["indri"]["zot_log_level"] = "warn"
    done = given("--json")
    assert (done.rc, done.levels["indri"]) == (2, {**WELL, "drift": "red"})
    assert "config.json differs: log.level" in done.stdout


def test_amber_fails_for_who_asks_for_that(given: House) -> None:
    given.hosts["indri"]["services_check_disk_amber_percent"] = 100
    assert (given().rc, given("-e", "fail_on=amber").rc) == (0, 2)


@pytest.mark.parametrize(
    ("breaks", "level", "words"),
    [
        (lambda house: house.store.write_text("{}"), "red", "there is none in"),
        (lambda house: house.keep("zak_00000000000000000000000000000000"), "red", "refuses the login of ci"),
        (lambda house: house.store.chmod(0o644), "amber", "the store cannot be read"),
        (lambda house: house.everywhere.update(zot_ci_key_registry=f"http://127.0.0.1:{free_port()}"), "amber", "it cannot be told"),
        (lambda house: house.everywhere.update(zot_ci_key_registry=""), "grey", "no key of CI is declared"),
    ],
)
def test_the_key_is_a_line_of_its_own(given: House, breaks: Callable[[House], None], level: str, words: str) -> None:
    breaks(given)
    done = given("--json")
    assert done.levels == {"indri": WELL, "controller": {"key": level}}, done.stdout
    assert words in done.report["hosts"]["controller"][0]["text"]


def test_a_registry_that_is_down_is_one_red_line_and_the_key_was_not_asked(mac: Mac) -> None:
    with mock_provider({"erich": {}}) as provider:
        house = House(mac, provider.issuer)
        mac.sim("bootout", f"gui/{os.geteuid()}/io.zotregistry.zot")
        assert until(lambda: mac.servers() == [])
        done = house("--json")
    assert done.rc == 2
    assert done.levels["indri"] == {**WELL, "ready": "red", "release": "grey", "access": "grey"}
    assert done.report["hosts"]["controller"][0]["text"] == "not asked, since the registry does not answer"


def test_other_services_are_told_beside(given: House) -> None:
    given.everywhere["services_check_others"] = [
        {"name": "registry page", "url": f"{given.url}/v2/"},
        {"name": "nobody", "url": f"http://127.0.0.1:{free_port()}/"},
        {"name": "a file", "command": f"test -f {given.store}"},
        {"name": "no file", "command": f"echo {CANARY}; test -f {given.store}-not"},
    ]
    done = given("--json")
    assert done.rc == 2
    wanted = {"key": "green", "registry page": "green", "nobody": "red", "a file": "green", "no file": "red"}
    assert done.levels == {"indri": WELL, "controller": wanted}
    assert CANARY not in done.stdout


def test_the_playbook_tells_the_same_without_the_command(house: House) -> None:
    play = house.mac.playing(PLAYBOOK)
    play.inventories[:] = [Path(house.inventory())]
    done = play("-f", "9")
    assert done.rc == 0, done.stdout
    assert "controller  key          green" in done.stdout
    done = play("-e", "output=json", services_check_hosts="nas")
    assert done.rc == 2
    assert "no host has a registry" in done.stdout


def test_what_is_wrong_before_anything_was_asked_is_said(house: House) -> None:
    done = house("--no-such-option")
    assert (done.rc, done.stdout) == (2, "")
    assert "--no-such-option" in done.stderr


def test_no_secret_is_told_or_seen(given: House) -> None:
    given.everywhere["services_check_others"] = [{"name": "no", "command": "false"}]
    given.hosts["indri"]["zot_local_passwords"] = {USER: CANARY}
    watch = Watch()
    with given.start("--json", "-vvv", "--diff") as process:
        watch.until_end(process)
        out, err = process.communicate()
    assert process.returncode == 2
    assert "zot_observe is called by a program on standard input" in err, "it was told in full"
    told = (out + err).encode() + watch.everything
    for secret in (CANARY, given.key):
        for form in forms(secret, USER):
            assert form not in told


def test_linux_hosts_are_looked_at_where_the_role_puts_things_there(given: House) -> None:
    """Nothing runs on them: what is told is where it was looked for."""
    grants = [{"anonymous": True, "actions": ["read"]}]
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "zot_grants": grants, "zot_port": free_port()}
    folder = given.folder / "linux"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{")
    given.hosts = {
        "system": {**local, "zot_config_dir": str(folder)},
        "person": {**local, "zot_service_manager": "systemd_user", "zot_home": str(folder / "home")},
    }
    report = given("--json").report["hosts"]
    told = {name: {line["check"]: line["text"] for line in lines} for name, lines in report.items()}
    assert told["person"]["drift"].startswith("config.json is missing")
    assert told["person"]["ready"].startswith("zot runs no process; ")
    if os.geteuid() == 0:
        assert told["system"]["host"] == "root, systemd"
        assert f"{folder}/config.json cannot be read as JSON" in told["system"]["drift"]
    else:
        assert "needs root" in told["system"]["host"]
