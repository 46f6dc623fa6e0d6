# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _files, _host
from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner, Wanted
from support.zot_binary import free_port, write_htpasswd

NOBODY = "no-such-user-here"
SECRETS = {
    _files.HTPASSWD_FILE: "bob:canary\n",
    _files.OIDC_FILE: '{"clientid": "zot", "clientsecret": "canary"}\n',
    _files.SESSION_FILE: None,
    _files.UPSTREAMS_FILE: '{"a.test": {"username": "me", "password": "canary"}}\n',
}

# It says its release, reads the files that a document names, accepts everything but port 1, and keeps what it was given.
ZOT = """#!/bin/sh
seen={folder}/seen
if [ "$1" = --version ]; then echo '{{"commit":"v2.1.20-0-g1"}}'; exit; fi
(id -u; id -g) > "$seen/ids"
cp "$2" "$seen/verify.json" || exit 3
for file in $(grep -o '"/[^"]*"' "$2" | tr -d '"'); do cp "$file" "$seen/" || exit 3; done
if grep -q '"port": "1"' "$2"; then echo "Error: port 1 is bad" >&2; exit 1; fi
"""


class Machine:
    """A host with a binary; ``seen`` is what that binary was given."""

    def __init__(self, folder):
        self.folder, self.seen, self.binary = folder, folder / "seen", folder / "bin/zot"
        self.layout = _files.Layout(folder / "conf/config.json")
        self.seen.mkdir()
        self.seen.chmod(0o777)
        self.binary.parent.mkdir()
        self.binary.write_text(ZOT.format(folder=folder))
        self.binary.chmod(0o755)

    def judge(self, wanted, check=False, **given):
        return _host.stage_and_judge({**self.params(), **given}, wanted, check)

    def second_opinion(self, wanted, **given):
        return _host.second_opinion({**self.params(), **given}, wanted)

    def params(self):
        paths = {"config_path": str(self.layout.config), "binary": str(self.binary)}
        return {**paths, "release": "2.1.20", "file_mode": "0600", "folders": []}

    def asked_by(self):
        return [int(number) for number in (self.seen / "ids").read_text().split()]

    def service(self, pid=0):
        """A service manager that knows this process."""
        launchctl = self.folder / "launchctl"
        launchctl.write_text(f"#!/bin/sh\n[ $2 = gui/{os.geteuid()}/zot ] && printf '\\tpid = {pid}\\n'\n")
        launchctl.chmod(0o755)
        return {"manager": "launchd", "name": "zot", "launchctl": str(launchctl), "log_paths": []}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def shared_machine():
    """A host in a folder that others may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield Machine(folder)
    shutil.rmtree(folder)


def wanted(port="5000", files=None, **http):
    document = {"http": {"port": port, **http}, "log": {"output": "/var/log/zot.log"}}
    return Wanted(document, canonical(document), files or {})


def reading(machine, port="5000"):
    """A document that names its secret files."""
    return wanted(port, SECRETS, auth=[f"{machine.layout.folder}/{name}" for name in SECRETS])


# --- names


def test_owner_and_group_are_found_by_name():
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    params = {"owner": user, "group": group, "file_mode": "0640"}
    assert _host.owner(params) == Owner(os.geteuid(), os.getegid(), 0o640)
    assert _host.owner({"file_mode": "0600"}) == Owner(None, None, 0o600)
    assert _host.owner({"owner": NOBODY, "group": NOBODY, "file_mode": "0600"}) == Owner(None, None, 0o600)


@pytest.mark.parametrize(("key", "kind"), [("owner", "user"), ("group", "group")])
def test_an_unknown_name_is_refused_before_anything_is_made(machine, key, kind):
    folders = [folder(machine.folder / "data")]
    with pytest.raises(ZotError, match=f"{key}: there is no {kind} {NOBODY} on this host; make it first"):
        machine.judge(wanted(), folders=folders, **{key: NOBODY})
    assert not (machine.folder / "data").exists()


def test_check_mode_may_come_before_the_user_is_made(machine):
    assert machine.judge(wanted(), check=True, owner=NOBODY, group=NOBODY, run_as=NOBODY)


def test_salts_are_told_without_the_hashes(tmp_path):
    path = write_htpasswd(tmp_path / "htpasswd", {"bob": "secret", "zot-ci": "other"})
    lines = path.read_text()
    path.write_text(f"{lines}ann:{{SHA}}abc=\nsue:$2y$10$tooshort\n")
    salts = _host.bcrypt_salts(path)
    assert set(salts) == {"bob", "zot-ci"}
    assert all(len(salt) == 29 and f"{name}:{salt}" in lines for name, salt in salts.items())


def test_where_there_are_no_salts_there_are_none(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert _host.bcrypt_salts(tmp_path / "none") == _host.bcrypt_salts(tmp_path / "binary") == _host.bcrypt_salts(tmp_path) == {}


# --- the verdict


def test_what_is_staged_is_what_the_binary_judged(machine):
    want = reading(machine)
    assert machine.judge(want) is True
    seen = json.loads((machine.seen / "verify.json").read_text())
    assert seen["http"]["auth"] == [str(machine.layout.staged / name) for name in SECRETS]
    assert "output" not in seen["log"]
    assert sorted(path.name for path in machine.layout.staged.iterdir()) == sorted([*SECRETS, "config.json"])
    assert json.loads((machine.layout.staged / "config.json").read_text()) == want.document
    assert not machine.layout.config.exists()


def test_in_check_mode_the_binary_judges_without_secrets_and_nothing_stays(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert machine.judge(reading(machine), check=True) is True
    files = json.loads((machine.seen / "verify.json").read_text())["http"]["auth"]
    assert [Path(path).name for path in files] == list(SECRETS)
    assert {Path(path).parent.parent for path in files} == {tmp_path / "tmp"}
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not machine.layout.folder.exists()


def test_check_mode_puts_something_harmless_in_each_secrets_place(machine):
    machine.judge(reading(machine), check=True)
    read = {name: json.loads((machine.seen / name).read_text()) for name in SECRETS}
    assert "canary" not in json.dumps(read)
    assert set(read[_files.OIDC_FILE]) == {"clientid", "clientsecret"}
    assert [len(read[_files.SESSION_FILE][key]) for key in ("hashKey", "encryptKey")] == [64, 32]


@pytest.mark.parametrize("check", [True, False])
def test_what_the_binary_refuses_is_told_and_not_staged(machine, check):
    with pytest.raises(ZotError, match=r"zot 2\.1\.20 refuses this configuration: port 1 is bad; nothing was changed") as refusal:
        machine.judge(reading(machine, "1"), check=check)
    assert refusal.value.facts == {"verify": "port 1 is bad"}
    assert not machine.layout.staged.exists()


def test_nothing_stays_staged_when_the_disk_fails(machine):
    with pytest.raises(OSError, match="No such file"):
        machine.judge(wanted(files={"sub/file": "text"}))
    assert not machine.layout.staged.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_binary_of_another_release_is_refused(machine, check):
    with pytest.raises(ZotError, match=r"is zot 2\.1\.20, not 2\.1\.19"):
        machine.judge(wanted(), check=check, release="2.1.19")
    assert not machine.layout.staged.exists()


def test_a_binary_that_is_not_there_yet_is_fine_in_check_mode_only(machine):
    machine.binary.unlink()
    assert machine.judge(wanted(), check=True) is False
    with pytest.raises(ZotError, match="zot is not there; install it first"):
        machine.judge(wanted())


# --- folders


def folder(path, mode="0750", user=None, group=None):
    return {"path": str(path), "mode": mode, "user": user, "group": group}


def test_folders_are_made_but_not_in_check_mode(machine):
    data = machine.folder / "srv/zot"
    machine.judge(wanted(), check=True, folders=[folder(data)])
    assert not data.parent.exists()
    machine.judge(wanted(), folders=[folder(data, "0711")])
    assert data.stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("check", [True, False])
def test_a_folder_that_cannot_be_made_is_told_before_the_binary_is_asked(machine, check):
    (machine.folder / "file").touch()
    with pytest.raises(ZotError, match="cannot be made"):
        machine.judge(wanted(), check=check, folders=[folder(machine.folder / "file/data")])
    assert list(machine.seen.iterdir()) == []


@pytest.mark.parametrize(("key", "kind"), [("user", "user"), ("group", "group")])
def test_a_folders_unknown_owner_is_refused(machine, key, kind):
    folders = [folder(machine.folder / "data", **{key: NOBODY})]
    with pytest.raises(ZotError, match=f"folders: there is no {kind} {NOBODY} on this host"):
        machine.judge(wanted(), folders=folders)
    assert not (machine.folder / "data").exists()
    assert machine.judge(wanted(), check=True, folders=folders)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_is_its_owners_else_that_of_the_files(machine):
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    folders = [folder(machine.folder / "a"), folder(machine.folder / "b", user="root"), folder(machine.folder / "c", group=group)]
    machine.judge(wanted(), folders=folders, owner="nobody")
    owners = [((machine.folder / name).stat().st_uid, (machine.folder / name).stat().st_gid) for name in "abc"]
    assert owners == [(nobody.pw_uid, 0), (0, 0), (nobody.pw_uid, nobody.pw_gid)]


# --- the port


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def in_the_way(machine, port, address=None, pid=0):
    return _host.port_in_the_way({"service": machine.service(pid)}, address, port, _host.runner_as(None))


def test_a_port_that_another_has_is_told(machine, busy):
    problem = in_the_way(machine, busy)
    assert problem == f"port {busy} of 127.0.0.1 is in use by process {os.getpid()}; stop it or set zot_port to a free one"


def test_a_port_that_our_own_service_has_is_fine(machine, busy):
    assert in_the_way(machine, busy, pid=os.getpid()) is None


def test_a_free_port_is_fine(machine):
    assert in_the_way(machine, str(free_port())) is None


@pytest.mark.parametrize("service", [None, {}])
def test_without_a_service_the_port_is_not_looked_at(busy, service):
    assert _host.port_in_the_way({"service": service}, None, busy, _host.runner_as(None)) is None


@pytest.mark.parametrize(
    ("address", "port", "looked_at"),
    [
        (None, None, [("127.0.0.1", 8080)]),
        ("", "", [("127.0.0.1", 8080)]),
        ("0.0.0.0", "5000", [("0.0.0.0", 5000)]),
        ("0.0.0.0", "65535", [("0.0.0.0", 65535)]),
        (None, "65536", []),
        (None, "0", []),
        (None, "http", []),
        (None, "-1", []),
    ],
)
def test_the_port_is_the_one_zot_would_take(machine, monkeypatch, address, port, looked_at):
    asked = []
    monkeypatch.setattr(_host, "port_problem", lambda address, port, _ours, _runner: asked.append((address, port)))
    in_the_way(machine, port, address)
    assert asked == looked_at


@pytest.mark.parametrize("check", [True, False])
def test_a_busy_port_is_no_matter_of_staging(machine, busy, check):
    """The judge has told it before."""
    assert machine.judge(wanted(busy), check=check, service=machine.service())


@pytest.mark.parametrize("check", [True, False])
def test_a_document_without_a_shape_is_left_for_zot_to_judge(machine, check):
    assert machine.judge(Wanted({"http": "nonsense"}, '{"http": "nonsense"}'), check=check, service=machine.service())


# --- the second opinion


def test_what_zot_accepts_has_an_empty_complaint(machine):
    assert machine.second_opinion(reading(machine)) == ""


def test_what_zot_refuses_is_the_complaint_and_nothing_is_written(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert machine.second_opinion(reading(machine, "1")) == "port 1 is bad"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not machine.layout.folder.exists()
    assert "canary" not in "".join((machine.seen / name).read_text() for name in SECRETS)


def test_a_binary_that_is_not_there_has_no_opinion(machine):
    machine.binary.unlink()
    assert machine.second_opinion(wanted("1")) is None


def test_a_binary_of_another_release_has_no_opinion(machine):
    assert machine.second_opinion(wanted("1"), release="2.1.19") is None
    assert list(machine.seen.iterdir()) == []


def test_a_binary_that_does_not_run_has_no_opinion(machine):
    machine.binary.write_text("#!/bin/sh\nexit 3\n")
    assert machine.second_opinion(wanted("1")) is None


# --- who asks


def test_the_module_asks_as_itself(machine):
    machine.judge(wanted(), run_as="root" if os.geteuid() else None)
    assert machine.asked_by() == [os.geteuid(), os.getegid()]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as the service's user")


@needs_root
@pytest.mark.parametrize("check", [True, False])
def test_root_asks_as_the_services_user(shared_machine, check):
    assert shared_machine.judge(reading(shared_machine), check=check, owner="nobody", run_as="nobody")
    nobody = pwd.getpwnam("nobody")
    assert shared_machine.asked_by() == [nobody.pw_uid, nobody.pw_gid]


@needs_root
def test_the_second_opinion_is_that_of_the_services_user(shared_machine):
    assert shared_machine.second_opinion(reading(shared_machine), owner="nobody", run_as="nobody") == ""
    nobody = pwd.getpwnam("nobody")
    assert shared_machine.asked_by() == [nobody.pw_uid, nobody.pw_gid]


@needs_root
def test_root_asks_itself_before_that_user_is_made(shared_machine):
    assert shared_machine.judge(reading(shared_machine), check=True, owner=NOBODY, run_as=NOBODY)
    assert shared_machine.asked_by() == [0, os.getegid()]


@needs_root
@pytest.mark.parametrize("check", [True, False])
def test_rights_that_the_services_user_lacks_show(shared_machine, check):
    shared_machine.binary.chmod(0o700)
    with pytest.raises(ZotError, match="Permission denied"):
        shared_machine.judge(wanted(), check=check, run_as="nobody")
