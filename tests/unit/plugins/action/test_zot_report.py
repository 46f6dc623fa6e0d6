# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import re
import stat

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_report import ActionModule
from support.modules import Action

CANARY = "canary-9e2b"
DOCUMENT = {
    "storage": {"rootDirectory": "/srv/zot"},
    "http": {"accessControl": {"repositories": {"**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}}}},
}
ANSWER = {"who": "anonymous", "repository": "app", "action": "read", "expected": "allowed", "answered": "allowed", "certain": True}


class Report:
    """The task, in a folder that is its playbook's."""

    def __init__(self, folder):
        self.folder, self.path, self.json = folder, folder / "zot.html", folder / "zot.json"
        self.task = Action(ActionModule, playbook=folder)

    def __call__(self, check=False, **options):
        given = {"path": "zot.html", "release": "2.1.20", **({} if "config_path" in options else {"document": DOCUMENT}), **options}
        return self.task(check, **given)

    @property
    def data(self):
        return json.loads(self.json.read_text())

    @property
    def files(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@pytest.fixture
def report(tmp_path):
    return Report(tmp_path)


# --- what is written


def test_a_page_is_written_and_the_same_as_json_beside_it(report):
    result = report(title="zot on indri", activation="restart", reasons=["config.json is missing"], answers=[ANSWER])
    assert (result["changed"], result["path"], result["json"]) == (True, str(report.path), str(report.json))
    assert result["as_expected"] is True
    assert (report.data["title"], report.data["release"], report.data["activation"]) == ("zot on indri", "2.1.20", "restart")
    page = report.path.read_text()
    assert "<h1>zot on indri</h1>" in page
    assert 'href="zot.json"' in page
    assert sorted(report.files) == ["zot.html", "zot.json"]
    assert report.task.ran == [], "a document needs no host"


def test_the_same_again_changes_nothing_and_touches_nothing(report):
    report(activation="restart", answers=[ANSWER])
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (report.path, report.json)]
    for options in ({"activation": "restart", "answers": [ANSWER]}, {}, {"activation": "none", "reasons": []}):
        result = report(**options)
        assert not result["changed"]
        assert "diff" not in result
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in (report.path, report.json)] == before


def test_only_what_differs_is_written(report):
    report()
    kept = report.json.stat().st_ino
    report.path.write_text("an older page")
    assert report()["changed"]
    assert "an older page" not in report.path.read_text()
    assert report.json.stat().st_ino == kept


def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(report):
    mask = os.umask(0o027)
    try:
        report()
        assert stat.S_IMODE(report.path.stat().st_mode) == 0o640
        report.json.chmod(0o604)
        report(title="another")
        assert stat.S_IMODE(report.json.stat().st_mode) == 0o604
    finally:
        os.umask(mask)


def test_what_the_registry_answers_otherwise_is_told(report):
    assert report(answers=[{**ANSWER, "answered": "denied"}])["as_expected"] is False
    assert report()["as_expected"] is False, "as long as nobody asks again"


def test_the_configuration_may_lie_on_the_host(report, tmp_path):
    path = tmp_path / "host" / "config.yaml"
    path.parent.mkdir()
    path.write_text("http: {accessControl: {repositories: {'**': {anonymousPolicy: [read]}}}}")
    assert report(config_path=str(path))["changed"]
    assert [call["src"] for call in report.task.ran] == [str(path)]
    assert report.data["rules"][0]["anonymous"] == ["read"]


# --- check mode and diff


def test_check_mode_tells_the_truth_and_writes_nothing(report):
    result = report(check=True)
    assert result["changed"]
    assert report.files == {}
    assert report()["diff"] == result["diff"]
    before = report.files
    assert not report(check=True)["changed"]
    assert report(check=True, title="another")["changed"]
    assert report.files == before


def test_the_diff_is_that_of_the_data(report):
    (first,) = report()["diff"]
    assert (first["before"], first["after"]) == ("", report.json.read_text())
    assert first["after_header"] == str(report.json)
    (second,) = report(title="another")["diff"]
    assert second["before"] == first["after"]
    assert second["after"] == second["before"].replace("Who may do what", "another")


# --- what must not get in


def test_no_secret_is_in_a_file_a_result_or_a_diff(report):
    document = {**DOCUMENT, "extensions": {"events": {"sinks": [{"type": "http", "credentials": {"username": "u", "password": CANARY}}]}}}
    document["storage"] = {"storageDriver": {"name": "s3", "accesskey": CANARY, "secretkey": CANARY}}
    document["log"] = {"output": f"https://u:{CANARY}@example.org/"}
    told = {"reasons": [f"https://u:{CANARY}@example.org/ differs"], "keys": [{"label": "laptop", "owner": "ada", "key": CANARY}]}
    result = report(document=document, activation="restart", **told)
    assert CANARY not in json.dumps(result)
    assert not [name for name, content in report.files.items() if CANARY.encode() in content]


def test_names_of_other_people_stay_text(report):
    name = "</style><script>alert(1)</script>\u202e\udc80"
    repositories = {f"{name}/**": {"policies": [{"users": [name], "actions": ["read"]}]}}
    report(document={"http": {"accessControl": {"repositories": repositories}}}, title=name, reasons=[name], activation=name)
    page = report.path.read_bytes().decode()
    assert page.count("<script") == page.count("</script>") == 1
    assert page.count("</style>") == 1
    assert report.data["title"] == name, "the JSON is JSON, half a surrogate pair or not"
    assert not report(document={"http": {"accessControl": {"repositories": repositories}}}, title=name)["changed"]


# --- what is wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "missing/zot.html"}, "{0}/missing is no folder on the controller; make it first"),
        ({"path": "zot.htm"}, "path: {0}/zot.htm must end in .html"),
        ({"path": "folder.html"}, "{0}/folder.html on the controller: Is a directory"),
        ({"path": "config.html"}, "{0}/config.json is there and is no report"),
        ({"path": "broken.html"}, "{0}/broken.json is there and is no report"),
        ({"release": "new"}, "'new' is not a zot release"),
        ({"config_path": "/nowhere/config.json"}, "/nowhere/config.json cannot be read on the host: "),
        ({"document": {"http": {"accessControl": CANARY}}}, "http.accessControl: "),
        ({"findings": [{"code": {1: 2}}]}, "findings[0].code: the key 1 is a int"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_be_is_one_error_and_nothing_is_written(report, tmp_path, check, options, message):
    (tmp_path / "config.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "broken.json").write_text(f'{{"report": "{CANARY}')
    (tmp_path / "folder.html").mkdir()
    before = sorted(tmp_path.iterdir())
    result = report(check, **options)
    assert result["failed"]
    assert message.format(tmp_path) in result["msg"]
    assert CANARY not in result["msg"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_configuration_on_the_host_that_cannot_be_read_is_not_quoted(report, tmp_path):
    path = tmp_path / "host.json"
    path.write_text(f'{{"http": {CANARY}')
    result = report(config_path=str(path))
    assert result["msg"].startswith(f"{path} cannot be read as a configuration: no valid JSON: line 1, column 10")
    assert CANARY not in json.dumps(result)


def test_a_folder_that_takes_no_file_is_one_error(report, monkeypatch):
    monkeypatch.setattr("ansible_collections.blumeops.zot.plugins.module_utils._files.os.open", _no)
    assert report()["msg"] == f"{report.json} cannot be written on the controller: Permission denied"


def _no(*_arguments, **_options):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "zot.html", "release": "2.1.20"}, "one of the following is required: document, config_path"),
        ({"path": "zot.html", "release": "2.1.20", "document": {}, "config_path": "/c"}, "mutually exclusive: document|config_path"),
        ({"release": "2.1.20", "document": {}}, "missing required arguments: path"),
        ({"path": "zot.html", "document": {}}, "missing required arguments: release"),
        ({"path": "zot.html", "release": "2.1.20", "document": {}, "answers": "x"}, "Elements value for option 'answers' is of type"),
    ],
)
def test_the_options_are_judged(report, options, message):
    with pytest.raises(AnsibleActionFail, match=re.escape(message)):
        report.task(**options)
