# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _files
from ansible_collections.blumeops.zot.plugins.module_utils._document import canonical
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

OWNER = _files.Owner()
SECRET = '{"clientsecret": "canary"}\n'


def wanted(port="5000", **files):
    document = {"http": {"port": port}}
    return _files.Wanted(document, canonical(document), files)


@pytest.fixture
def layout(tmp_path):
    return _files.Layout(tmp_path / "conf" / "config.json")


def write(layout, want, service=None):
    _files.stage(layout, want, OWNER)
    return _files.commit(layout, service)


def provision(layout, want, binary="/zot-a", service=None):
    write(layout, want, service)
    _files.promote(layout, binary, "2.1.20", service)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def disk(monkeypatch):
    """What reaches the disk, in order: ('sync', whether it is a folder) and ('rename', the target's name)."""
    events = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        events.append(("sync", stat.S_ISDIR(os.fstat(descriptor).st_mode)))
        fsync(descriptor)

    def renamed(source, target):
        replace(source, target)
        events.append(("rename", Path(target).name))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return events


def test_a_virgin_host(layout):
    found = _files.look(layout, wanted(**{_files.OIDC_FILE: SECRET}), OWNER)
    assert found == {
        "live": None,
        "live_error": None,
        "live_differs": None,
        "record": None,
        "files": {_files.OIDC_FILE: {"live": "absent", "proved": "absent"}},
        "drift": [],
    }


def test_what_was_provisioned_is_the_same_and_private(layout):
    want = wanted(**{_files.OIDC_FILE: SECRET, _files.SESSION_FILE: None})
    provision(layout, want)
    found = _files.look(layout, want, OWNER)
    assert found["live_differs"] == []
    assert found["record"]["differs"] == []
    assert {verdict[key] for verdict in found["files"].values() for key in verdict} == {"same"}
    assert "canary" not in json.dumps(found)
    for path in (layout.config, layout.folder / _files.OIDC_FILE, layout.folder / _files.SESSION_FILE, layout.record):
        assert mode(path) == 0o600
    assert mode(layout.folder) == mode(layout.record.parent) == 0o700
    assert not layout.staged.exists()


def test_session_keys_are_made_once(layout):
    want = wanted(**{_files.SESSION_FILE: None})
    provision(layout, want)
    keys = json.loads((layout.folder / _files.SESSION_FILE).read_text())
    assert (len(keys["hashKey"]), len(keys["encryptKey"])) == (64, 32)
    provision(layout, wanted(port="5001", **{_files.SESSION_FILE: None}))
    assert json.loads((layout.folder / _files.SESSION_FILE).read_text()) == keys


def test_a_secret_that_nobody_gave_is_an_error(layout):
    with pytest.raises(ZotError, match="was not given and the host does not have it"):
        _files.stage(layout, wanted(**{_files.OIDC_FILE: None}), OWNER)


def test_a_file_edited_by_hand_differs_by_path(layout):
    provision(layout, wanted())
    layout.config.write_text('{"http": {"port": "5999"}, "log": {}}')
    found = _files.look(layout, wanted(), OWNER)
    assert found["live_differs"] == ["http.port"]
    assert found["record"]["differs"] == []


def test_a_file_that_is_no_json_is_named_not_quoted(layout):
    provision(layout, wanted())
    layout.config.write_text('{"password": "canary"')
    error = _files.look(layout, wanted(), OWNER)["live_error"]
    assert str(layout.config) in error
    assert "canary" not in error


def test_mode_drift_is_seen(layout):
    provision(layout, wanted())
    layout.config.chmod(0o644)
    assert _files.look(layout, wanted(), OWNER)["drift"] == [f"{layout.config}: mode or owner differs"]


def test_what_a_stopped_run_staged_is_seen_and_goes_with_the_next(layout):
    want = wanted(**{_files.OIDC_FILE: SECRET})
    provision(layout, want)
    _files.stage(layout, want, OWNER)
    assert _files.look(layout, want, OWNER)["drift"] == [f"{layout.staged}: left by a run that was stopped"]
    provision(layout, want)
    assert _files.look(layout, want, OWNER)["drift"] == []


def test_commit_needs_staged_files(layout):
    with pytest.raises(ZotError, match="nothing is staged"):
        _files.commit(layout, None)


def test_staging_again_drops_what_a_stopped_run_left(layout):
    _files.stage(layout, wanted(**{_files.OIDC_FILE: SECRET}), OWNER)
    _files.stage(layout, wanted(), OWNER)
    assert _files.commit(layout, None) == ["config.json"]


def test_restore_brings_back_document_secrets_and_service(layout, tmp_path):
    service = tmp_path / "zot.plist"
    service.write_bytes(b"old\0definition")
    _files.stage(layout, wanted(**{_files.OIDC_FILE: SECRET}), OWNER)
    _files.commit(layout, service)
    _files.promote(layout, "/zot-a", "2.1.20", service)
    _files.stage(layout, wanted(port="5001", **{_files.OIDC_FILE: "new\n"}), OWNER)
    _files.commit(layout, service)
    service.write_bytes(b"new")
    assert _files.restore(layout, OWNER) == {"binary": "/zot-a", "release": "2.1.20", "proved": True}
    assert json.loads(layout.config.read_text()) == {"http": {"port": "5000"}}
    assert (layout.folder / _files.OIDC_FILE).read_text() == SECRET
    assert service.read_bytes() == b"old\0definition"


def test_nothing_to_restore_on_a_virgin_host(layout):
    assert _files.restore(layout, OWNER) is None


def test_an_installation_made_by_hand_can_be_restored(layout):
    layout.folder.mkdir()
    layout.config.write_text('{"http":{"port":"4999"}}')
    _files.stage(layout, wanted(), OWNER)
    _files.commit(layout, None)
    assert _files.read_record(layout)["proved"] is False
    assert _files.restore(layout, OWNER)["proved"] is False
    assert layout.config.read_text() == '{"http":{"port":"4999"}}'


def test_a_run_stopped_after_the_write_keeps_the_record(layout):
    provision(layout, wanted())
    record = layout.record.read_bytes()
    _files.stage(layout, wanted(port="5001"), OWNER)
    _files.commit(layout, None)
    assert layout.record.read_bytes() == record
    found = _files.look(layout, wanted(port="5001"), OWNER)
    assert found["live_differs"] == []
    assert found["record"]["differs"] == ["http.port"]


def test_a_secret_file_that_is_no_longer_wanted_goes(layout):
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    assert _files.look(layout, wanted(), OWNER)["record"]["obsolete"] == [_files.OIDC_FILE]
    provision(layout, wanted())
    assert not (layout.folder / _files.OIDC_FILE).exists()


def test_promoting_the_same_again_changes_nothing(layout):
    provision(layout, wanted())
    assert _files.promote(layout, "/zot-a", "2.1.20", None) is False
    assert _files.promote(layout, "/zot-b", "2.1.20", None) is True


def test_a_broken_record_stops_the_run(layout):
    provision(layout, wanted())
    layout.record.write_text("{")
    with pytest.raises(ZotError, match="without it there is no rollback"):
        _files.look(layout, wanted(), OWNER)


def test_a_failed_write_leaves_the_old_file_and_no_other(layout, monkeypatch):
    provision(layout, wanted())
    before = sorted(layout.folder.rglob("*"))
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        _files.write_file(layout.config, b"half", OWNER)
    assert sorted(layout.folder.rglob("*")) == before
    assert json.loads(layout.config.read_text()) == {"http": {"port": "5000"}}


def test_folders_are_made_or_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert _files.make_folders([{"path": str(tmp_path / "a/b")}], OWNER, check_mode=True) == [str(tmp_path / "a/b")]
    assert not (tmp_path / "a").exists()
    assert _files.make_folders([{"path": str(tmp_path / "a/b")}], OWNER, check_mode=False) == [str(tmp_path / "a/b")]
    assert mode(tmp_path / "a/b") == 0o750
    for check_mode in (True, False):
        with pytest.raises(ZotError, match="cannot be made"):
            _files.make_folders([{"path": str(tmp_path / "file/b")}], OWNER, check_mode)


# --- look


def test_secrets_in_documents_are_covered(layout):
    want = wanted()
    want.document["http"]["auth"] = {"openid": {"clientSecret": "canary"}}
    want = want._replace(text=canonical(want.document))
    provision(layout, want)
    found = _files.look(layout, wanted(), OWNER)
    assert "canary" not in json.dumps(found)
    assert found["live"]["http"]["auth"] == found["record"]["document"]["http"]["auth"] == {"openid": {"clientSecret": "(secret)"}}
    assert found["live_differs"] == found["record"]["differs"] == ["http.auth"]


def test_files_are_compared_with_what_lies_there_and_with_what_was_proved(layout):
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}))

    def verdict(text):
        return _files.look(layout, wanted(**{_files.OIDC_FILE: text}), OWNER)["files"][_files.OIDC_FILE]

    assert verdict("other\n") == {"live": "differs", "proved": "differs"}
    (layout.folder / _files.OIDC_FILE).write_text("other\n")
    assert verdict("other\n") == {"live": "same", "proved": "differs"}
    assert verdict(SECRET) == {"live": "differs", "proved": "same"}
    assert verdict(None) == {"live": "same", "proved": "differs"}
    (layout.folder / _files.OIDC_FILE).unlink()
    assert verdict(SECRET) == {"live": "absent", "proved": "same"}
    assert verdict(None)["live"] == "absent"


def test_a_file_that_is_no_text_differs(layout):
    layout.folder.mkdir()
    (layout.folder / _files.HTPASSWD_FILE).write_bytes(b"\xff")
    found = _files.look(layout, wanted(**{_files.HTPASSWD_FILE: "bob:hash\n"}), OWNER)
    assert found["files"][_files.HTPASSWD_FILE]["live"] == "differs"


def test_what_the_loader_drops_is_no_difference(layout):
    provision(layout, wanted())
    layout.config.write_text('{"log": {}, "cluster": null, "http": {"port": "5000", "tls": {}}}')
    found = _files.look(layout, wanted(), OWNER)
    assert found["live"] == {"http": {"port": "5000"}}
    assert found["live_differs"] == []


def test_the_record_says_what_was_proved(layout):
    provision(layout, wanted())
    record = _files.look(layout, wanted(port="5001"), OWNER)["record"]
    assert record == {
        "document": {"http": {"port": "5000"}},
        "differs": ["http.port"],
        "obsolete": [],
        "binary": "/zot-a",
        "release": "2.1.20",
        "proved": True,
    }


@pytest.mark.parametrize(
    ("content", "reason"), [("[]", "holds no JSON object"), ('{"a":\n', "line 2: Expecting value"), (b"\xff", "UnicodeDecodeError")]
)
def test_a_live_file_that_is_no_document_says_why(layout, content, reason):
    provision(layout, wanted())
    layout.config.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = _files.look(layout, wanted(), OWNER)
    assert found["live"] is found["live_differs"] is None
    assert found["live_error"].startswith(str(layout.config))
    assert reason in found["live_error"]


def test_a_folder_in_the_configurations_place_says_so(layout):
    layout.config.mkdir(parents=True)
    assert _files.look(layout, wanted(), OWNER)["live_error"] == f"{layout.config} cannot be read as JSON (Is a directory)"


@pytest.mark.parametrize("other", [_files.Owner(uid=2**20), _files.Owner(gid=2**20), _files.Owner(mode=0o640)])
def test_owner_and_mode_of_every_file_are_looked_at(layout, other):
    want = wanted(**{_files.OIDC_FILE: SECRET})
    provision(layout, want)
    assert _files.look(layout, want, _files.Owner(os.geteuid(), os.getegid()))["drift"] == []
    assert _files.look(layout, want, other)["drift"] == [
        f"{path}: mode or owner differs" for path in (layout.config, layout.folder / _files.OIDC_FILE)
    ]


def test_a_link_in_a_files_place_is_seen_and_replaced(layout, tmp_path):
    provision(layout, wanted())
    layout.config.rename(tmp_path / "elsewhere.json")
    layout.config.symlink_to(tmp_path / "elsewhere.json")
    assert _files.look(layout, wanted(), OWNER)["drift"] == [f"{layout.config}: mode or owner differs"]
    provision(layout, wanted(port="5001"))
    assert not layout.config.is_symlink()
    assert json.loads((tmp_path / "elsewhere.json").read_text()) == {"http": {"port": "5000"}}


# --- stage and commit


def test_the_group_may_read_what_is_0640_but_never_the_record(layout):
    _files.stage(layout, wanted(**{_files.OIDC_FILE: SECRET}), _files.Owner(mode=0o640))
    assert mode(layout.staged) == 0o750
    _files.commit(layout, None)
    _files.promote(layout, "/zot-a", "2.1.20", None)
    assert mode(layout.folder) == 0o750
    assert mode(layout.config) == mode(layout.folder / _files.OIDC_FILE) == 0o640
    assert (mode(layout.record.parent), mode(layout.record)) == (0o700, 0o600)


def test_a_folder_that_is_there_keeps_its_mode(layout):
    layout.folder.mkdir()
    layout.folder.chmod(0o755)
    provision(layout, wanted())
    assert mode(layout.folder) == 0o755


def test_staging_leaves_what_is_live_alone(layout):
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    _files.stage(layout, wanted(port="5001", **{_files.OIDC_FILE: "new\n"}), OWNER)
    assert json.loads(layout.config.read_text()) == {"http": {"port": "5000"}}
    assert (layout.folder / _files.OIDC_FILE).read_text() == SECRET
    _files.discard(layout)
    assert not layout.staged.exists()


def test_a_secret_that_was_not_given_again_is_kept(layout):
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    provision(layout, wanted(port="5001", **{_files.OIDC_FILE: None}))
    assert (layout.folder / _files.OIDC_FILE).read_text() == SECRET


def test_the_configuration_is_renamed_last_and_all_of_it_is_on_disk(layout, disk):
    _files.stage(layout, wanted(**{_files.OIDC_FILE: SECRET, _files.HTPASSWD_FILE: "a:b\n"}), OWNER)
    assert [what for what, _which in disk] == ["sync", "rename"] * 3
    del disk[:]
    assert _files.commit(layout, None) == ["htpasswd", _files.OIDC_FILE, "config.json"]
    assert disk == [("rename", "htpasswd"), ("rename", _files.OIDC_FILE), ("rename", "config.json"), ("sync", True)]


def test_a_run_stopped_in_the_middle_of_the_renames_leaves_whole_files(layout, monkeypatch):
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    want = wanted(port="5001", **{_files.OIDC_FILE: "new\n"})
    _files.stage(layout, want, OWNER)
    with monkeypatch.context() as patch:
        replace = os.replace
        patch.setattr(os, "replace", lambda a, b: replace(a, b) if Path(b) != layout.config else (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _files.commit(layout, None)
    assert (layout.folder / _files.OIDC_FILE).read_text() == "new\n"
    assert json.loads(layout.config.read_text()) == {"http": {"port": "5000"}}
    assert _files.look(layout, want, OWNER)["files"][_files.OIDC_FILE] == {"live": "same", "proved": "differs"}
    write(layout, want)
    assert json.loads(layout.config.read_text()) == {"http": {"port": "5001"}}
    _files.restore(layout, OWNER)
    assert (layout.folder / _files.OIDC_FILE).read_text() == SECRET


def test_what_was_made_by_hand_is_recorded_once_with_its_service_and_files(layout, tmp_path):
    service = tmp_path / "zot.service"
    service.write_text("by hand")
    layout.folder.mkdir()
    layout.config.write_text("{no json")
    (layout.folder / _files.HTPASSWD_FILE).write_text("bob:hash\n")
    write(layout, wanted(**{_files.HTPASSWD_FILE: "new:hash\n"}), service)
    record = _files.read_record(layout)
    assert (record["binary"], record["release"], record["proved"]) == (None, None, False)
    assert record["files"] == {_files.HTPASSWD_FILE: "bob:hash\n"}
    assert _files.look(layout, wanted(), OWNER)["record"]["document"] == {}
    write(layout, wanted(port="5001"), service)
    assert _files.read_record(layout)["config"] == "{no json"
    _files.restore(layout, OWNER)
    assert layout.config.read_text() == "{no json"
    assert (layout.folder / _files.HTPASSWD_FILE).read_text() == "bob:hash\n"


def test_a_file_made_by_hand_that_nothing_names_goes_at_once_and_the_second_run_changes_nothing(layout):
    layout.folder.mkdir()
    layout.config.write_text("{}")
    (layout.folder / _files.HTPASSWD_FILE).write_text("bob:hash\n")
    provision(layout, wanted())
    assert not (layout.folder / _files.HTPASSWD_FILE).exists()
    assert _files.look(layout, wanted(), OWNER)["record"]["obsolete"] == []


@pytest.mark.parametrize("wrap", [lambda path: {"htpasswd": {"path": path}}, lambda path: [{"paths": ["other", path]}]])
def test_the_users_own_file_that_the_document_names_stays(layout, wrap):
    own = layout.folder / _files.HTPASSWD_FILE
    layout.folder.mkdir()
    own.write_text("bob:hash\n")
    want = wanted()
    want.document["http"]["auth"] = wrap(str(own))
    want = want._replace(text=canonical(want.document))
    for _run in range(2):
        provision(layout, want)
        assert own.read_text() == "bob:hash\n"
        assert _files.look(layout, want, OWNER)["record"]["obsolete"] == []


# --- promote and restore


def test_the_record_is_on_disk_with_its_folder(layout, disk):
    write(layout, wanted())
    del disk[:]
    _files.promote(layout, "/zot-a", "2.1.20", None)
    assert disk == [("sync", False), ("rename", "record.json"), ("sync", True)]


def test_no_descriptor_stays_open(layout):
    opened = len(list(Path("/dev/fd").iterdir()))
    provision(layout, wanted())
    assert len(list(Path("/dev/fd").iterdir())) == opened


def test_whatever_was_proved_anew_changes_the_record(layout, tmp_path):
    service = tmp_path / "zot.service"
    provision(layout, wanted())
    assert _files.promote(layout, "/zot-a", "2.1.21", None)
    service.write_text("unit")
    assert _files.promote(layout, "/zot-a", "2.1.21", service)
    write(layout, wanted())
    assert _files.promote(layout, "/zot-a", "2.1.21", service)  # the same text in another file: zot follows inodes
    assert not _files.promote(layout, "/zot-a", "2.1.21", service)


def test_a_rollback_removes_the_secrets_that_came_with_what_failed(layout):
    provision(layout, wanted())
    write(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    _files.restore(layout, OWNER)
    assert not (layout.folder / _files.OIDC_FILE).exists()
    provision(layout, wanted(port="5001"))
    assert _files.look(layout, wanted(port="5001"), OWNER)["record"]["obsolete"] == []


def test_a_rollback_removes_the_secrets_of_every_run_that_failed(layout):
    provision(layout, wanted())
    write(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    write(layout, wanted(**{_files.OIDC_FILE: SECRET, _files.HTPASSWD_FILE: "bob:hash\n"}))
    _files.restore(layout, OWNER)
    assert sorted(path.name for path in layout.folder.iterdir()) == ["config.json", "last-good"]


def test_a_rollback_removes_no_file_that_was_there_before(layout):
    provision(layout, wanted())
    for name in (_files.OIDC_FILE, _files.HTPASSWD_FILE):
        (layout.folder / name).write_text("by hand\n")
    write(layout, wanted(port="5001", **{_files.OIDC_FILE: SECRET}))
    _files.restore(layout, OWNER)
    assert (layout.folder / _files.OIDC_FILE).exists()
    assert (layout.folder / _files.HTPASSWD_FILE).read_text() == "by hand\n"


def test_what_somebody_removed_already_is_not_missed(layout):
    provision(layout, wanted(**{_files.HTPASSWD_FILE: "bob:hash\n"}))
    (layout.folder / _files.HTPASSWD_FILE).unlink()
    write(layout, wanted(**{_files.OIDC_FILE: SECRET}))
    (layout.folder / _files.OIDC_FILE).unlink()
    _files.restore(layout, OWNER)
    assert (layout.folder / _files.HTPASSWD_FILE).read_text() == "bob:hash\n"


def test_a_service_that_is_not_there_yet_is_not_recorded(layout, tmp_path):
    layout.folder.mkdir()
    layout.config.write_text("{}")
    write(layout, wanted(), tmp_path / "zot.service")
    assert _files.read_record(layout)["service"] is None
    _files.restore(layout, OWNER)
    assert not (tmp_path / "zot.service").exists()


def test_a_rollback_removes_what_is_staged(layout):
    provision(layout, wanted())
    _files.stage(layout, wanted(port="5001"), OWNER)
    _files.restore(layout, OWNER)
    assert not layout.staged.exists()


def test_a_rollback_gives_the_files_their_owner_and_the_service_its_mode(layout, tmp_path):
    service = tmp_path / "zot.service"
    service.write_text("unit")
    service.chmod(0o600)
    provision(layout, wanted(**{_files.OIDC_FILE: SECRET}), service=service)
    _files.restore(layout, _files.Owner(mode=0o640))
    assert mode(layout.config) == mode(layout.folder / _files.OIDC_FILE) == 0o640
    assert mode(service) == 0o600
    service.unlink()
    _files.restore(layout, OWNER)
    assert (service.read_text(), mode(service)) == ("unit", 0o644)


def test_a_record_that_cannot_be_read_at_all_stops_the_run(layout):
    layout.record.mkdir(parents=True)
    with pytest.raises(ZotError, match=r"record.json cannot be read \(Is a directory\); mend or remove it"):
        _files.restore(layout, OWNER)


# --- one document


def test_the_document_on_the_host_is_read_as_it_takes_effect(layout):
    with pytest.raises(ZotError, match=rf"{layout.config} is not there"):
        _files.read_document(layout.config)
    layout.folder.mkdir()
    layout.config.write_text('{"http": {"port": "5000", "tls": null}}')
    assert _files.read_document(layout.config) == {"http": {"port": "5000"}}
    layout.config.write_text("{")
    with pytest.raises(ZotError, match="cannot be read as JSON"):
        _files.read_document(layout.config)


# --- files and folders


def test_a_file_is_nobody_elses_before_it_is_whole(tmp_path, monkeypatch):
    modes, fchmod, umask = [], os.fchmod, os.umask(0)
    try:
        monkeypatch.setattr(os, "fchmod", lambda fd, bits: (modes.append(stat.S_IMODE(os.fstat(fd).st_mode)), fchmod(fd, bits)))
        _files.write_file(tmp_path / "file", b"text", _files.Owner(mode=0o640))
    finally:
        os.umask(umask)
    assert modes == [0o600]
    assert mode(tmp_path / "file") == 0o640


def test_a_file_is_whole_when_it_goes_to_the_disk(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    _files.write_file(tmp_path / "file", b"text", OWNER)
    assert sizes == [4]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_and_folders_are_given_to_their_owner(layout):
    owner = _files.Owner(uid=65534, gid=65533)
    _files.make_folders([{"path": str(layout.folder / "data/deep")}], owner, check_mode=False)
    _files.make_folders([{"path": str(layout.folder / "mine"), "uid": 0, "gid": None}], owner, check_mode=False)
    _files.stage(layout, wanted(), owner)
    _files.commit(layout, None)
    for path in (layout.folder, layout.folder / "data", layout.folder / "data/deep", layout.config):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)
    assert (layout.folder / "mine").stat().st_uid == 0
    _files.promote(layout, "/zot-a", "2.1.20", None)
    assert layout.record.stat().st_uid == layout.record.parent.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("owner", "ids"), [(_files.Owner(uid=65534), (65534, 0)), (_files.Owner(gid=65533), (0, 65533))])
def test_an_owner_may_be_a_user_or_a_group_alone(tmp_path, owner, ids):
    _files.make_folders([{"path": str(tmp_path / "folder")}], owner, check_mode=False)
    _files.write_file(tmp_path / "folder/file", b"", owner)
    for path in (tmp_path / "folder", tmp_path / "folder/file"):
        assert (path.stat().st_uid, path.stat().st_gid) == ids


def test_only_missing_folders_are_made_with_the_mode_given(tmp_path):
    tmp_path.chmod(0o700)
    folders = [{"path": str(tmp_path)}, {"path": str(tmp_path / "a/b"), "mode": "0711"}]
    umask = os.umask(0o077)
    try:
        assert _files.make_folders(folders, OWNER, check_mode=False) == [str(tmp_path / "a/b")]
    finally:
        os.umask(umask)
    assert [mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a/b")] == [0o700, 0o755, 0o711]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_file_in_the_folders_own_place_is_refused(tmp_path, check_mode):
    (tmp_path / "file").touch(0o755)
    with pytest.raises(ZotError, match=rf"{tmp_path}/file cannot be made: "):
        _files.make_folders([{"path": str(tmp_path / "file")}], OWNER, check_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_folder_this_user_may_not_write_to_is_refused(tmp_path, check_mode):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ZotError, match="is not a folder this user may write to"):
        _files.make_folders([{"path": str(tmp_path / "closed/a")}], OWNER, check_mode)
