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


def provision(layout, want, binary="/zot-a"):
    _files.stage(layout, want, OWNER)
    _files.commit(layout, None)
    _files.promote(layout, binary, "2.1.20", None)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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
    assert _files.look(layout, wanted(), OWNER)["drift"] == [str(layout.config)]


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
    _files.stage(layout, wanted(port="5001"), OWNER)
    _files.commit(layout, None)
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
