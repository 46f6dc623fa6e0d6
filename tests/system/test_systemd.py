# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on Linux with a real systemd: as a service of the system, and as one of an ordinary user."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from linux_host import CANARY, CRASHING, IN_HOME, NO_SECRETS, SYSTEM, USER, Linux, Scope, builds, linux
from support import oci
from support.waiting import until
from testbed import nspawn

pytestmark = pytest.mark.usefixtures("system")


def at_once(body: Callable[[Linux], None], hosts: Iterable[Linux]) -> None:
    """On all of them together, which takes little longer than on one."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(body, hosts))


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Path, str]:
    return builds(tmp_path_factory.mktemp("zots"))


@pytest.fixture
def virgin(shown: Mapping[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Linux]]:
    """Makes hosts that nothing was done to."""
    with contextlib.ExitStack() as stack:

        def make(scope: Scope, bind_ro: Mapping[Path, str] | None = None, **options: t.Any) -> Linux:
            return stack.enter_context(linux(tmp_path_factory.mktemp("virgin"), {**shown, **(bind_ro or {})}, scope, **options))

        yield make


@pytest.fixture(scope="session")
def shelf(shown: Mapping[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], dict[Scope, Linux]]]:
    """Gives hosts that were provisioned: the last ones as long as tests leave them as they found them, which saves most of the time."""
    made: dict[Scope, tuple[Linux, tuple[t.Any, ...]]] = {}
    with contextlib.ExitStack() as stack:

        def take() -> dict[Scope, Linux]:
            worn = [scope for scope in (SYSTEM, IN_HOME) if scope not in made or made[scope][0].state() != made[scope][1]]
            hosts = [stack.enter_context(linux(tmp_path_factory.mktemp("serving"), shown, scope)) for scope in worn]
            at_once(Linux.provision, hosts)
            made.update({host.scope: (host, host.state()) for host in hosts})
            return {scope: host for scope, (host, _state) in made.items()}

        yield take


@pytest.fixture
def serving(shelf: Callable[[], dict[Scope, Linux]]) -> list[Linux]:
    """Two that were provisioned and serve, one in either scope."""
    return list(shelf().values())


@pytest.fixture
def serving_system(shelf: Callable[[], dict[Scope, Linux]]) -> Linux:
    return shelf()[SYSTEM]


def test_a_virgin_host_is_only_looked_at(virgin: Callable[..., Linux]) -> None:
    def holds(host: Linux) -> None:
        before = host.tree()
        planned = host.play("--check", "--diff", **NO_SECRETS)
        assert planned.changed > 0
        for said in ('"rootDirectory"', "docker.io", "ExecStart=", "config.json is missing"):
            assert said in planned.stdout
        assert host.tree() == before
        assert host.shows("LoadState") == ["not-found"]

    at_once(holds, [virgin(scope, linger=False) for scope in (SYSTEM, IN_HOME)])


def test_what_was_provisioned_serves(serving: list[Linux]) -> None:
    for host in serving:
        assert host.status() == 200
        assert host.release() == "2.1.20"
        assert host.shows("ActiveState", "UnitFileState") == ["active", "enabled"]
        assert "/zot-2.1.20-" in host.command()


def test_a_killed_zot_comes_back(serving: list[Linux]) -> None:
    for host in serving:
        pid = host.pid()
        host.run("kill", "-9", str(pid))
        assert until(lambda host=host, pid=pid: host.pid() not in (0, pid) and host.status() == 200)


def test_a_zot_that_ends_at_once_is_rolled_back(serving: list[Linux]) -> None:
    def holds(host: Linux) -> None:
        before, pid = host.state(), host.pid()
        done = host.play(zot_log_level="warn", **CRASHING)
        assert done.rc == 2
        assert "rolled back: zot 2.1.20 serves again" in done.stdout
        assert "cannot open the store" in done.errors[-1]
        assert host.pid() not in (0, pid)
        assert host.state() == before

    at_once(holds, serving)


def test_a_second_run_changes_nothing(serving: list[Linux]) -> None:
    """Nor does the first after a rollback: these are the hosts of the test before."""

    def holds(host: Linux) -> None:
        pid = host.pid()
        assert host.play().changed == 0
        assert host.play("--check", "--diff", **NO_SECRETS).changed == 0
        assert host.pid() == pid

    at_once(holds, serving)


def test_a_zot_that_ends_at_once_on_a_virgin_host_is_stopped(virgin: Callable[..., Linux]) -> None:
    def holds(host: Linux) -> None:
        done = host.play(**CRASHING)
        assert done.rc == 2
        assert "there is nothing to go back to" in done.stdout
        assert "cannot open the store" in done.errors[-1]
        # No process, no restart that is due, and no start at the next boot.
        state, *rest = host.shows("ActiveState", "MainPID", "Job", "UnitFileState")
        assert state in ("inactive", "failed")
        assert rest == ["0", "", "disabled"]
        assert host.play().changed > 0
        assert host.shows("ActiveState", "UnitFileState") == ["active", "enabled"]
        assert host.status() == 200

    at_once(holds, [virgin(SYSTEM), virgin(IN_HOME)])


def test_the_real_zot_suits_its_unit(virgin: Callable[..., Linux], real_zot: Path, tmp_path: Path) -> None:
    def holds(host: Linux) -> None:
        assert host.play(zot_binary_path="/opt/zot-real", zot_upstreams=[]).changed > 0
        folder = tmp_path / host.scope.manager
        client, image, url = oci.HttpClient(), oci.make_image(folder / "image", random=True), "http://127.0.0.1:5000"
        with host.guest.network():
            assert client.push(url, "some/app", "1", image=image, username=USER, password=CANARY).ok
            assert client.pull(url, "some/app", "1", into=folder / "pulled").digest == image.digest
        assert host.shows("NRestarts") == ["0"]

    at_once(holds, [virgin(scope, {real_zot: "/opt/zot-real"}) for scope in (SYSTEM, IN_HOME)])


# The system's service


def test_another_release_and_back_from_the_controller(serving_system: Linux, shown: Mapping[Path, str]) -> None:
    host, (folder,) = serving_system, shown
    done = host.play("--diff", zot_version="2.1.19", zot_binary_path="", zot_binary_file=str(folder / "2.1.19" / "zot"))
    assert done.changed > 0
    assert "the binary changes from" in done.stdout
    assert host.release() == "2.1.19"
    assert "/zot-2.1.19-" in host.command()
    assert host.play(zot_binary_path="", zot_binary_file=str(folder / "2.1.20" / "zot")).changed > 0
    assert host.release() == "2.1.20"
    assert "/zot-2.1.20-" in host.command()


def test_a_unit_changed_by_hand_is_repaired(serving_system: Linux) -> None:
    host = serving_system
    unit = host.read(SYSTEM.unit)
    host.run("sed", "-i", "s/^NoNewPrivileges=yes/NoNewPrivileges=no/", SYSTEM.unit)
    assert host.read(SYSTEM.unit) != unit
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "disable", "--now", "zot")
    assert host.play().changed > 0
    assert host.read(SYSTEM.unit) == unit
    assert host.shows("NoNewPrivileges", "ActiveState", "UnitFileState") == ["yes", "active", "enabled"]
    assert host.status() == 200


def test_zot_has_few_rights(serving_system: Linux) -> None:
    host = serving_system
    assert host.run("ps", "-o", "user=,group=", "-p", str(host.pid())).split() == ["zot", "zot"]
    # As it is. Without hardening it is more than 9, and most lines of it are worth a tenth or more.
    exposure = host.run("systemd-analyze", "security", "--no-pager", "zot").rpartition("zot.service:")[2]
    assert float(exposure.split()[0]) <= 1.4
    nothing = "0" * 16
    assert host.rights("CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp") == [nothing, nothing, nothing, "1", "2"]


def test_files_are_roots_and_the_storage_is_zots(serving_system: Linux) -> None:
    read = ("config.json", "htpasswd", "session-keys.json", "upstream-credentials.json")
    expected = {
        **{f"/etc/zot/{name}": "640 root:zot" for name in read},
        "/etc/zot": "750 root:zot",
        "/etc/zot/last-good": "700 root:root",
        "/etc/zot/last-good/record.json": "600 root:root",
        SYSTEM.data: "750 zot:zot",
    }
    assert {path: serving_system.run("stat", "-c", "%a %U:%G", path) for path in expected} == expected
    holders = serving_system.run("grep", "-rlF", CANARY, "/etc", "/usr/local", "/var", "/tmp", "/root").splitlines()
    assert set(holders) == {"/etc/zot/upstream-credentials.json", "/etc/zot/last-good/record.json"}


@pytest.fixture(scope="module")
def persons(shown: Mapping[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Linux, str]]:
    """A host where the play logs in as a person and gathers facts, the role becomes root, and zot runs as that person on port 80.

    With what was known of the person before.
    """
    with linux(tmp_path_factory.mktemp("persons"), shown, SYSTEM, port=80) as host:
        host.guest.add_user("person", linger=False)
        host.guest.run(["tee", "/etc/sudoers.d/person"], stdin="person ALL=(ALL) NOPASSWD: ALL\n")
        before = host.run("getent", "passwd", "person")
        roles = [{"role": "blumeops.zot.zot", "become": True}]
        given = {"zot_user": "person", "zot_group": "person", "zot_port": 80}
        assert host.playing("person", [{"hosts": "all", "roles": roles}], **given)().changed > 0
        yield host, before


def test_an_ordinary_user_becomes_root(persons: tuple[Linux, str]) -> None:
    host, _before = persons
    assert host.shows("ActiveState", "UnitFileState") == ["active", "enabled"]


def test_a_user_who_is_there_stays_as_he_is(persons: tuple[Linux, str]) -> None:
    host, before = persons
    assert host.run("getent", "passwd", "person") == before
    assert host.run("getent", "passwd", "zot") == ""


def test_a_port_below_1024(persons: tuple[Linux, str]) -> None:
    host, _before = persons
    assert host.status() == 200
    assert host.run("ps", "-o", "user=", "-p", str(host.pid())) == "person"


def test_without_become_an_ordinary_user_is_told(virgin: Callable[..., Linux]) -> None:
    host = virgin(SYSTEM)
    host.guest.add_user("person", linger=False)
    before = host.tree()
    done = host.playing("person")()
    assert done.rc == 2
    assert "'systemd' needs root: run the play with become, or set zot_service_manager: systemd_user" in done.stdout
    assert host.tree() == before


# An ordinary user's service


def test_a_users_zot_gains_no_rights(shelf: Callable[[], dict[Scope, Linux]]) -> None:
    host = shelf()[IN_HOME]
    assert host.run("ps", "-o", "user=", "-p", str(host.pid())) == nspawn.USER
    assert host.rights("CapEff", "NoNewPrivs", "Seccomp") == ["0" * 16, "1", "2"]


def test_a_users_zot_stays_in_its_folder(virgin: Callable[..., Linux]) -> None:
    """By root who becomes that user, which starts no session of the user's: the role lets the user linger itself."""
    host = virgin(IN_HOME, linger=False)
    home = f"/home/{nspawn.USER}"
    before = host.tree()
    play = host.playing("root", ansible_become=True, ansible_become_user=nspawn.USER, zot_home=f"{home}/registry")
    assert play().changed > 0
    assert host.status() == 200
    assert host.run("ps", "-o", "user=", "-p", str(host.pid())) == nspawn.USER
    assert f"{home}/registry/.config/zot/config.json" in host.command()
    after = host.tree()
    touched = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    elsewhere = {path for path in touched if not path.startswith(f"{home}/registry")}
    wants = f"{home}/.config/systemd/user/default.target.wants"  # where systemd looks
    folders = {str(path) for path in Path(wants).parents if path.is_relative_to(home)} - {home}
    assert elsewhere == {f"/var/lib/systemd/linger/{nspawn.USER}", IN_HOME.unit, wants, f"{wants}/zot.service", *folders}


def test_a_user_who_may_not_linger_is_told_what_to_run(virgin: Callable[..., Linux]) -> None:
    host = virgin(IN_HOME, linger=False)
    host.run("systemctl", "mask", "--now", "polkit")
    before = host.tree()
    done = host.play()
    assert done.rc == 2
    assert len(done.errors) == 1
    assert f"run once as root: loginctl enable-linger {nspawn.USER}" in done.errors[0]
    assert host.tree() == before


def test_where_the_user_may_not_read_the_journal_it_is_said_who_may(virgin: Callable[..., Linux]) -> None:
    host = virgin(IN_HOME)
    host.run("mkdir", "/etc/systemd/journald.conf.d")
    host.guest.run(["tee", "/etc/systemd/journald.conf.d/volatile.conf"], stdin="[Journal]\nStorage=volatile\n")
    host.run("systemctl", "restart", "systemd-journald")
    command = f"journalctl _UID={host.guest.run(['id', '-u', nspawn.USER]).stdout.strip()} SYSLOG_IDENTIFIER=zot"
    words = ["systemd-run", "--user", "--quiet", "--unit=zot", "-p", "SyslogIdentifier=zot", "sh", "-c", "echo cannot open the store"]
    host.guest.run(words, user=nspawn.USER)
    assert until(lambda: "cannot open the store" in host.run(*command.split()))
    host.guest.run(["tee", "/opt/config.json"], stdin="{}")
    service = {"manager": "systemd_user", "name": "zot"}
    asking = {"blumeops.zot.zot_info": {"config_path": "/opt/config.json", "service": service, "wait_timeout": 0}}
    done = host.playing(playbook=[{"hosts": "all", "gather_facts": False, "tasks": [asking]}])()
    assert done.rc == 2
    assert f"as root: {command})" in done.errors[0]
