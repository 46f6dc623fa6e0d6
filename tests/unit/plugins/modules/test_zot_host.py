# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.modules import zot_host
from support.modules import launchd, program, run_module
from support.web import answer, servers
from support.zot_binary import free_port, standin_zot, write_htpasswd

KEYS = "session-keys.json"


class Host:
    """A folder with a binary that is content with everything, and the module on it."""

    def __init__(self, folder):
        self.folder, self.conf = folder, folder / "conf"
        self.config = self.conf / "config.json"
        self.binary = program(folder / "bin/zot", """[ "$1" = verify ] || echo '{"commit":"v2.1.20-0-g1"}'""")
        self.port = str(free_port())

    def __call__(self, state, check=False, **options):
        judged = {"document": self.document(), "files": [{"name": KEYS}]} if state in ("look", "judged", "staged") else {}
        binary = {"binary": str(self.binary), "release": "2.1.20"} if state in ("judged", "staged", "promoted") else {}
        given = {"config_path": str(self.config), "state": state, **judged, **binary, **options}
        return run_module(zot_host.main, check, **{key: value for key, value in given.items() if value is not None})

    def document(self, **http):
        storage = {"rootDirectory": str(self.folder / "data")}
        return json.dumps({"storage": storage, "http": {"port": self.port, "auth": {"sessionKeysFile": str(self.conf / KEYS)}, **http}})

    def content(self):
        return {path: (path.read_bytes(), path.stat().st_ino) for path in self.conf.rglob("*") if path.is_file()}

    def tree(self):
        return sorted(str(path.relative_to(self.conf)) for path in self.conf.rglob("*") if path.is_file())


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def proved(host):
    for state in ("staged", "written", "promoted"):
        host(state)
    return host


# --- create


def test_from_nothing_to_what_is_proved(host):
    host.binary = standin_zot(host.folder / "zot")
    staged = host("staged")
    assert (staged["changed"], staged["verified"]) == (True, True)
    assert host.tree() == [".staged/config.json", f".staged/{KEYS}"]
    written = host("written")
    assert (written["changed"], written["written"]) == (True, [KEYS, "config.json"])
    assert host.tree() == ["config.json", KEYS]
    assert host("promoted")["changed"] is True
    assert host.tree() == ["config.json", "last-good/record.json", KEYS]
    record = json.loads((host.conf / "last-good/record.json").read_text())
    assert (record["binary"], record["release"], record["proved"]) == (str(host.binary), "2.1.20", True)


def test_files_have_the_mode_and_folders_that_were_asked_for(host):
    data = host.folder / "data"
    host("staged", file_mode="0640", folders=[{"path": str(data)}, {"path": str(host.folder / "log"), "mode": "0700"}])
    host("written")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (host.config, host.conf / KEYS)] == [0o640, 0o640]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (data, host.folder / "log")] == [0o750, 0o700]


def test_owner_group_and_the_services_user_are_names(host):
    me, mine = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    assert host("staged", owner=me, group=mine, run_as=me)["changed"]
    for key in ("owner", "group"):
        assert "make it first" in host("staged", **{key: "no-such-name-here"})["msg"]


def test_the_service_is_recorded_and_restored(host):
    unit = host.folder / "zot.service"
    unit.write_text("old")
    host("staged")
    host("written", service_file=str(unit))
    host("promoted", service_file=str(unit))
    unit.write_text("new")
    host("restored")
    assert unit.read_text() == "old"


def test_a_service_made_by_hand_is_recorded_when_it_is_replaced(host):
    unit = host.folder / "zot.service"
    unit.write_text("by hand")
    host.conf.mkdir()
    host.config.write_text("{}")
    host("staged")
    host("written", service_file=str(unit))
    unit.write_text("new")
    assert host("restored")["restored"] == {"binary": None, "release": None, "proved": False}
    assert unit.read_text() == "by hand"


def test_what_was_proved_comes_back(proved):
    keys = (proved.conf / KEYS).read_text()
    proved("staged", document=proved.document(realm="new"), files=[{"name": KEYS, "content": "new"}])
    proved("written")
    restored = proved("restored")
    assert (restored["changed"], restored["restored"]) == (True, {"binary": str(proved.binary), "release": "2.1.20", "proved": True})
    assert json.loads(proved.config.read_text()) == json.loads(proved.document())
    assert (proved.conf / KEYS).read_text() == keys


def test_restored_files_have_the_mode_that_was_asked_for(proved):
    proved("restored", file_mode="0640")
    assert stat.S_IMODE(proved.config.stat().st_mode) == 0o640


# --- no-op


def test_a_look_tells_everything_and_changes_nothing(host):
    write_htpasswd_in(host.conf, bob="secret")
    before = host.tree()
    answer = host("look", folders=[{"path": str(host.conf)}, {"path": str(host.folder / "data")}])
    assert answer["changed"] is False
    found = answer["found"]
    assert found["live"] is None
    assert found["files"] == {KEYS: {"live": "absent", "proved": "absent"}}
    assert found["folders_missing"] == [str(host.folder / "data")]
    assert list(found["salts"]) == ["bob"]
    assert host.tree() == before


def test_the_owner_is_looked_at(proved):
    assert proved("look")["found"]["drift"] == []
    assert proved("look", file_mode="0640")["found"]["drift"] == [
        f"{path}: mode or owner differs" for path in (proved.config, proved.conf / KEYS)
    ]


def test_what_is_proved_already_is_not_proved_again(proved):
    def written():
        record = (proved.conf / "last-good/record.json").stat()
        return record.st_ino, record.st_mtime_ns

    before = written()
    assert proved("promoted")["changed"] is False
    assert written() == before


def test_where_nothing_was_recorded_nothing_is_restored(host):
    for check in (True, False):
        answer = host("restored", check)
        assert (answer["changed"], answer["restored"]) == (False, None)
    assert not host.conf.exists()


# --- check mode


def test_check_judges_and_writes_nothing(host):
    answer = host("staged", check=True)
    assert (answer["changed"], answer["verified"]) == (True, True)
    assert not host.conf.exists()
    host.binary.unlink()
    assert host("staged", check=True)["verified"] is False


@pytest.mark.parametrize(
    ("state", "changed"), [("look", False), ("staged", True), ("written", True), ("promoted", False), ("restored", True)]
)
def test_check_changes_nothing(proved, state, changed):
    proved("staged", document=proved.document(realm="new"))
    before = proved.content()
    binary = str(proved.binary) if state == "staged" else "/another"
    answer = proved(state, check=True, document=proved.document(realm="newer"), binary=binary, release="2.1.20")
    assert answer["changed"] is changed
    assert proved.content() == before


def test_check_tells_what_would_be_restored(proved):
    assert proved("restored", check=True)["restored"] == {"binary": str(proved.binary), "release": "2.1.20", "proved": True}


# --- failure


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_refuses_is_told_and_not_staged(proved, check):
    proved.binary = standin_zot(proved.folder / "zot")
    answer = proved("staged", check, document=proved.document(nope=1))
    assert answer["failed"]
    assert "zot 2.1.20 refuses this configuration" in answer["msg"]
    assert answer["verify"] == "decoding failed due to the following error(s): 'HTTP' has invalid keys: nope"
    assert proved.tree() == ["config.json", "last-good/record.json", KEYS]


@pytest.mark.parametrize("check", [True, False])
def test_the_second_opinion_is_zots_own_and_writes_nothing(proved, check):
    proved.binary = standin_zot(proved.folder / "zot")
    before = proved.content()
    refused = proved("judged", check, document=proved.document(nope=1), files=[{"name": KEYS, "content": "canary"}])
    assert refused["complaint"] == "decoding failed due to the following error(s): 'HTTP' has invalid keys: nope"
    assert (refused["changed"], proved("judged", check)["complaint"]) == (False, "")
    assert proved.content() == before
    assert "canary" not in json.dumps(refused)
    proved.binary.unlink()
    assert proved("judged", check)["complaint"] is None


def test_without_staged_files_nothing_is_written(proved):
    answer = proved("written")
    assert answer["failed"]
    assert "run zot_config with state=staged first" in answer["msg"]


def test_what_the_system_refuses_names_the_file(host):
    answer = host("promoted")
    assert answer["failed"]
    assert answer["msg"].startswith(f"{host.config}: No such file or directory; ")


def test_what_the_system_refuses_without_a_file_is_told_too(host, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert host("staged")["msg"].startswith("No space left on device; ")


def test_no_secret_is_told(host):
    files = [{"name": "oidc-credentials.json", "content": "canary-content"}, {"name": KEYS}]
    for state, given in (("staged", {"files": files}), ("written", {}), ("promoted", {}), ("look", {"files": files})):
        assert "canary" not in json.dumps(host(state, **given))


@pytest.mark.parametrize(
    ("state", "needed"),
    [
        ("look", ["document"]),
        ("judged", ["document", "binary", "release"]),
        ("staged", ["document", "binary", "release"]),
        ("promoted", ["binary", "release"]),
    ],
)
def test_each_state_says_what_it_needs(host, state, needed):
    for missing in needed:
        answer = host(state, **{missing: None})
        assert f"state is {state} but all of the following are missing: {missing}" in answer["msg"]


@pytest.mark.parametrize(("key", "missing"), [("files", "name"), ("folders", "path")])
def test_a_file_has_a_name_and_a_folder_a_path(host, key, missing):
    assert f"missing required arguments: {missing} found in {key}" in host("look", **{key: [{}]})["msg"]


def write_htpasswd_in(folder, **passwords):
    folder.mkdir()
    write_htpasswd(folder / "htpasswd", passwords)


# --- preflight


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")})
    with servers() as start:
        yield start


def preflight(check=False, **options):
    told = run_module(zot_host.main, check, state="preflight", **options)
    assert told["changed"] is False
    return told["facts"]


@pytest.mark.parametrize("check", [True, False])
def test_files_are_told_by_kind_and_path(tmp_path, check):
    keys = tmp_path / "a.json"
    keys.write_text('{"hashKey": "canary"}')
    asked = [("keys", keys), ("readable", keys), ("pem", keys), ("folder", tmp_path / "data"), ("exists", "~/$HOME")]
    facts = preflight(check, inspect=[{"kind": kind, "path": str(path)} for kind, path in asked])
    assert list(facts["files"]) == [f"{kind} {path}" for kind, path in asked]
    assert facts["files"][f"keys {keys}"] == {"kind": "keys", "state": "ok", "keys": {"hashkey": {"kind": "string", "length": 6}}}
    assert [told["state"] for told in facts["files"].values()] == ["ok", "ok", "broken", "ok", "unjudged"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert "canary" not in json.dumps(facts)


def test_nothing_asked_is_nothing_told():
    assert preflight() == {"files": {}, "issuers": {}, "port": None}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks as another user")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_files_are_looked_at_as_the_services_user():
    folder = Path(tempfile.mkdtemp(prefix="zot-preflight-"))
    try:
        folder.chmod(0o755)
        (folder / "secret").write_text("")
        (folder / "secret").chmod(0o600)
        ask = {"inspect": [{"kind": "readable", "path": str(folder / "secret")}]}
        states = [
            next(iter(preflight(**ask, run_as=user)["files"].values()))["state"] for user in ("nobody", "root", "no-such-user-here", None)
        ]
    finally:
        shutil.rmtree(folder)
    assert states == ["unreadable", "ok", "ok", "ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks as another user")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_folders_that_are_about_to_be_made_are_not_the_services_users_to_make():
    folder = Path(tempfile.mkdtemp(prefix="zot-preflight-"))
    folder.chmod(0o755)

    def states(*folders):
        asked = [{"kind": "folder", "path": str(folder / name)} for name in ("data", "data/team", "other")]
        told = preflight(inspect=asked, run_as="nobody", folders=[{"path": str(folder / name)} for name in folders])
        return [looked["state"] for looked in told["files"].values()]

    try:
        assert states() == ["unreadable"] * 3
        assert states("data") == ["ok", "ok", "unreadable"]
        (folder / "data").mkdir()
        assert states("data") == ["unreadable"] * 3, "it is there, and belongs to root"
        shutil.rmtree(folder / "data")
        (folder / "data").touch()
        assert states("data") == ["unreadable"] * 3, "a file is in the way"
    finally:
        shutil.rmtree(folder)


def test_a_log_may_lie_in_a_folder_that_is_about_to_be_made(tmp_path):
    asked = [{"kind": "log", "path": str(tmp_path / name)} for name in ("log/audit.log", "other/audit.log", "log/sub/audit.log")]
    told = preflight(inspect=asked, folders=[{"path": str(tmp_path / "log")}])
    assert [looked["state"] for looked in told["files"].values()] == ["ok", "absent", "absent"]
    assert list(tmp_path.iterdir()) == []


def test_issuers_are_asked(serve):
    good, other = serve(), serve(answer("404 Not Found"))
    good.answer = answer("200 OK", json.dumps({"issuer": good.url}).encode())
    facts = preflight(issuers=[good.url, good.url + "/", other.url])
    assert {issuer: told["state"] for issuer, told in facts["issuers"].items()} == {
        good.url: "ok",
        good.url + "/": "mismatch",
        other.url: "broken",
    }


@pytest.mark.parametrize("check", [True, False])
def test_a_port_is_told_unless_it_is_free_or_zots_own(tmp_path, check):
    def port(pid, **listen):
        service = {} if pid is None else {"service": launchd(tmp_path / "launchctl", pid)}
        return preflight(check, listen=listen, **service)["port"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        assert "is in use by process" in port(1, port=busy)
        assert "is in use by process" in port(0, port=str(busy), address="127.0.0.1")
        assert port(os.getpid(), port=busy) is None
        assert port(None, port=busy) is None
    assert port(1, port=free_port()) is None
    assert "is not one of this host's" in port(1, address="192.0.2.1", port=free_port())
    for number in ("0", "nonsense", "99999"):
        assert port(1, port=number) is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"inspect": [{"path": "/x"}]}, "missing required arguments: kind found in inspect"),
        ({"inspect": [{"kind": "keys"}]}, "missing required arguments: path found in inspect"),
        (
            {"inspect": [{"kind": "nonsense", "path": "/x"}]},
            "value of kind must be one of: credentials, exists, folder, htpasswd, keys, log,",
        ),
    ],
)
def test_what_is_to_be_looked_at_has_a_kind_and_a_path(options, complaint):
    assert complaint in run_module(zot_host.main, state="preflight", **options)["msg"]


# --- facts


@pytest.fixture
def here(monkeypatch):
    """Asks for the facts of a host of another kind, as another user."""

    def ask(sysname="Linux", machine="x86_64", uid=0, check=False, **options):
        monkeypatch.setattr(os, "uname", lambda: os.uname_result((sysname, "host", "1", "1", machine)))
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        return run_module(zot_host.main, check, state="facts", **options)

    return ask


@pytest.mark.parametrize("check", [True, False])
def test_the_user_is_the_one_who_runs_the_module(here, check):
    account = pwd.getpwnam("nobody")
    told = here(uid=account.pw_uid, check=check, service_manager="systemd_user")
    assert (told["changed"], told["user"], told["uid"], told["home"]) == (False, "nobody", account.pw_uid, account.pw_dir)


@pytest.mark.parametrize(
    ("sysname", "machine", "told"),
    [
        ("Darwin", "arm64", ("darwin", "arm64", "launchd")),
        ("Linux", "x86_64", ("linux", "amd64", "systemd")),
        ("Linux", "aarch64", ("linux", "arm64", "systemd")),
        ("Linux", "riscv64", ("linux", "riscv64", "systemd")),
    ],
)
def test_systems_and_architectures_are_called_as_zot_calls_them(here, sysname, machine, told):
    answer = here(sysname, machine)
    assert (answer["system"], answer["architecture"], answer["service_manager"]) == told


def test_a_service_manager_that_was_asked_for_is_taken(here):
    assert here("Darwin", "arm64", service_manager="systemd_user")["service_manager"] == "systemd_user"
    assert here("FreeBSD", "amd64", service_manager="launchd")["service_manager"] == "launchd"


def test_a_host_without_a_service_manager_is_refused(here):
    answer = here("FreeBSD", "amd64")
    assert answer["failed"]
    assert answer["msg"] == "freebsd has neither launchd nor systemd: set zot_service_manager, or use another host"


@pytest.mark.parametrize("asked", ["auto", "systemd"])
def test_the_systems_service_needs_root(here, asked):
    answer = here(uid=pwd.getpwnam("nobody").pw_uid, service_manager=asked)
    assert answer["failed"]
    assert "needs root: run the play with become" in answer["msg"]
