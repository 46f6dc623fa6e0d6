# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import stat

import bcrypt
import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_config import ActionModule
from ansible_collections.blumeops.zot.plugins.modules import zot_host
from support import modules
from support.modules import Action, launchd, program
from support.zot_binary import free_port, standin_zot, write_htpasswd

READ = [{"anonymous": True, "actions": ["read"]}]
OIDC = {"issuer": "https://idp.test/", "client_id": "zot"}


class Registry:
    """A host without zot, and the task that configures it. Its binary is content with everything."""

    def __init__(self, folder):
        self.folder, self.conf, self.task = folder, folder / "conf", Action(ActionModule)
        self.config = self.conf / "config.json"
        self.binary = program(folder / "bin/zot", """[ "$1" = verify ] || echo '{"commit":"v2.1.20-0-g1"}'""")
        self.port = free_port()

    def __call__(self, check=False, overrides=None, **options):
        """The task with settings, of which ``overrides`` are a part."""
        if "document" not in options:
            given = {"data_dir": str(self.folder / "data"), "port": self.port, "grants": READ, "overrides": overrides or {}}
            options["settings"] = {**given, **options.get("settings", {})}
        return self.task(check, **{"release": "2.1.20", "binary": str(self.binary), "config_path": str(self.config), **options})

    def prove(self):
        """What the role does after zot came up with what was written."""
        paths = {"config_path": str(self.config), "binary": str(self.binary)}
        return modules.run_module(zot_host.main, state="promoted", release="2.1.20", **paths)

    def live(self):
        return json.loads(self.config.read_text())

    def names(self):
        return sorted(str(path.relative_to(self.conf)) for path in self.conf.rglob("*") if path.is_file())


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path)


def diffs(result):
    return {entry["after_header"]: (entry["before"], entry["after"]) for entry in result["diff"] if "after_header" in entry}


# --- create


def test_a_virgin_host_gets_its_configuration(registry):
    registry.binary = standin_zot(registry.folder / "zot")
    result = registry()
    assert (result["changed"], result["activation"], result["verified"]) == (True, "restart", True)
    assert result["reasons"] == ["config.json is missing"]
    assert result["url"] == f"http://127.0.0.1:{registry.port}"
    assert "warnings" not in result
    assert registry.live()["http"]["accessControl"]["repositories"] == {"**": {"defaultPolicy": [], "anonymousPolicy": ["read"]}}
    assert registry.names() == ["config.json"]
    assert registry.task.states == ["look", "staged", "written"]


def test_a_whole_document_is_used_as_it_is(registry):
    document = {"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "5001"}}
    result = registry(document=document)
    assert registry.live() == document
    assert registry.names() == ["config.json"]
    assert result["url"] == "http://127.0.0.1:5001"


def test_staged_files_are_left_for_the_role(registry):
    result = registry(state="staged")
    assert result["changed"]
    assert result["reasons"] == ["config.json is missing", "nothing has been proved on this host yet"]
    assert registry.names() == [".staged/config.json"]


def test_what_the_host_needs_to_know_reaches_it(registry):
    unit = registry.folder / "zot.service"
    unit.write_text("by hand")
    registry.conf.mkdir()
    registry.config.write_text("{}")
    registry(file_mode="0640", folders=[{"path": str(registry.folder / "data"), "mode": "0711"}], service_file=str(unit))
    assert stat.S_IMODE(registry.config.stat().st_mode) == 0o640
    assert stat.S_IMODE((registry.folder / "data").stat().st_mode) == 0o711
    record = json.loads((registry.conf / "last-good/record.json").read_text())
    assert record["service"]["path"] == str(unit)
    given = {"owner": "not-made-yet", "group": "nor-this", "run_as": "nor-that"}
    assert registry(check=True, **given)["changed"]
    assert all(given.items() <= call.items() for call in registry.task.ran)
    assert all(call["task_vars"] == {"inventory_hostname": "registry"} for call in registry.task.ran)


def test_secrets_become_files_of_their_own(registry):
    upstreams = [{"name": "docker.io", "username": "me"}]
    result = registry(
        settings={"oidc": OIDC, "upstreams": upstreams, "local_users": ["bob"]},
        oidc_client_secret="canary-client",
        upstream_passwords={"docker.io": "canary-hub"},
        local_passwords={"bob": "canary-bob", "not-asked-for": "canary-other"},
    )
    assert registry.names() == ["config.json", "htpasswd", "oidc-credentials.json", "session-keys.json", "upstream-credentials.json"]
    assert json.loads((registry.conf / "oidc-credentials.json").read_text()) == {"clientid": "zot", "clientsecret": "canary-client"}
    (line,) = (registry.conf / "htpasswd").read_text().splitlines()
    assert line.startswith("bob:")
    assert bcrypt.checkpw(b"canary-bob", line.removeprefix("bob:").encode())
    assert "canary" not in registry.config.read_text()
    assert "canary" not in json.dumps(result)
    assert "canary" not in json.dumps([call["answer"] for call in registry.task.ran])


# --- no-op


def test_the_second_run_changes_nothing(registry):
    given = {"settings": {"oidc": OIDC, "local_users": ["bob"]}, "oidc_client_secret": "x", "local_passwords": {"bob": "y"}}
    registry(**given)
    before = {path: path.stat() for path in registry.conf.iterdir()}
    result = registry(**given)
    assert (result["changed"], result["activation"], result["reasons"], result["diff"]) == (False, "none", [], [])
    assert "verified" not in result
    assert set(registry.task.states) == {"look"}
    assert {path: path.stat() for path in registry.conf.iterdir()} == before


def test_what_was_staged_and_proved_is_not_staged_again(registry):
    registry()
    registry.prove()
    assert registry(state="staged")["changed"] is False
    assert registry.task.states == ["look"]


def test_a_changed_password_is_seen_without_the_old_one(registry):
    registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "old"})
    result = registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "new"})
    assert result["reasons"] == ["htpasswd differs"]
    assert diffs(result)[f"{registry.conf}/htpasswd"] == ("(other content, not shown)\n", "(content not shown)\n")


def test_hashes_made_elsewhere_are_kept_when_the_password_is_the_same(registry):
    registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "secret"})
    write_htpasswd(registry.conf / "htpasswd", {"bob": "secret"})
    result = registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "secret"})
    assert result["changed"] is False


# --- check mode


def test_check_judges_plans_and_writes_nothing(registry):
    registry.binary = standin_zot(registry.folder / "zot")
    check = registry(check=True)
    assert not registry.conf.exists()
    real = registry()
    assert {key: check[key] for key in real} == real


def test_check_needs_no_secret(registry):
    upstreams = [{"name": "docker.io", "username": "me"}]
    result = registry(check=True, settings={"oidc": OIDC, "upstreams": upstreams, "local_users": ["bob"]})
    assert result["changed"]
    names = ("htpasswd", "oidc-credentials.json", "session-keys.json", "upstream-credentials.json")
    assert {f"{name} is missing" for name in names} < set(result["reasons"])
    assert not registry.conf.exists()


def test_check_without_secrets_sees_no_difference_in_them(registry):
    settings = {"oidc": OIDC, "local_users": ["bob"]}
    registry(settings=settings, oidc_client_secret="x", local_passwords={"bob": "y"})
    assert registry(check=True, settings=settings)["changed"] is False


def test_check_says_that_a_missing_binary_was_not_asked(registry):
    registry.binary.unlink()
    assert registry(check=True)["verified"] is False


# --- what the diff shows


def test_the_diff_begins_with_the_plan(registry):
    assert registry()["diff"][0] == {"prepared": "plan: restart\n  - config.json is missing\n"}


def test_the_diff_shows_what_takes_effect(registry):
    registry(document={"http": {"port": "5001"}, "log": {}, "cluster": None})
    result = registry(document={"http": {"port": "5002", "auth": {"ldap": {"sessionHashKey": "canary"}}}, "log": {}})
    before, after = diffs(result)[f"{registry.config} (effective)"]
    assert json.loads(before) == {"http": {"port": "5001"}}
    assert json.loads(after) == {"http": {"port": "5002", "auth": {"ldap": {"sessionHashKey": "(secret)"}}}}


def test_the_diff_of_a_virgin_host_begins_empty(registry):
    result = registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "x"})
    names = [f"{registry.config} (effective)", f"{registry.conf}/htpasswd"]
    assert [diffs(result)[name][0] for name in names] == ["", ""]
    assert [entry["before_header"] for entry in result["diff"] if "before" in entry][:2] == names


def test_the_diff_names_only_the_secret_files_that_differ(registry):
    registry(settings={"local_users": ["bob"]}, local_passwords={"bob": "x"})
    result = registry(settings={"local_users": ["bob"], "log_level": "warn"}, local_passwords={"bob": "x"})
    assert list(diffs(result)) == [f"{registry.config} (effective)"]


def test_after_a_run_that_was_stopped_the_diff_shows_what_zot_still_runs_with(registry):
    registry(document={"http": {"port": "5001"}})
    registry.prove()
    registry(document={"http": {"port": "5002"}})
    result = registry(document={"http": {"port": "5002"}}, state="staged")
    assert result["reasons"] == ["config.json was written but never proved: http.port"]
    before, after = diffs(result)[f"{registry.config} (effective)"]
    assert (json.loads(before)["http"]["port"], json.loads(after)["http"]["port"]) == ("5001", "5002")


def test_an_edit_by_hand_is_what_the_diff_undoes(registry):
    registry(document={"http": {"port": "5001"}})
    registry.prove()
    registry.config.write_text('{"http": {"port": "5999"}}')
    result = registry(document={"http": {"port": "5002"}}, state="staged")
    before, _after = diffs(result)[f"{registry.config} (effective)"]
    assert json.loads(before) == {"http": {"port": "5999"}}


def test_a_mode_is_mended_without_a_restart(registry):
    registry()
    registry.config.chmod(0o644)
    result = registry()
    assert (result["changed"], result["activation"]) == (True, "none")
    assert stat.S_IMODE(registry.config.stat().st_mode) == 0o600


# --- failure


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_refuses_is_told_and_changes_nothing(registry, check):
    registry.binary = standin_zot(registry.folder / "zot")
    result = registry(check, overrides={"http": {"nope": 1}})
    assert result["failed"]
    assert "zot 2.1.20 refuses this configuration: " in result["msg"]
    assert "'HTTP' has invalid keys: nope" in result["verify"]
    assert not registry.config.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_document_without_a_shape_is_refused_in_zots_words(registry, check):
    registry.binary = standin_zot(registry.folder / "zot")
    assert "refuses this configuration" in registry(check, document={"http": "nonsense"})["msg"]
    assert "refuses this configuration" in registry(check, overrides={"http": "nonsense"})["msg"]


@pytest.mark.parametrize("password", [12345, True, ["x"]])
@pytest.mark.parametrize(
    ("settings", "variable", "name"),
    [
        ({"local_users": ["bob"]}, "local_passwords", "bob"),
        ({"upstreams": [{"name": "docker.io", "username": "me"}]}, "upstream_passwords", "docker.io"),
    ],
)
def test_a_password_that_is_no_text_is_to_be_quoted(registry, settings, variable, name, password):
    result = registry(settings=settings, **{variable: {name: password}})
    assert result["msg"] == f"zot_{variable}['{name}']: a {type(password).__name__}, not text; quote it"


@pytest.mark.parametrize("check", [True, False])
def test_a_port_that_another_has_is_told(registry, check):
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry.port = server.getsockname()[1]
        assert "is in use by process" in registry(check, service=launchd(registry.folder / "launchctl", 0))["msg"]
        assert registry(check, service=launchd(registry.folder / "launchctl", os.getpid()))["changed"]


@pytest.mark.parametrize("password", [None, ""])
def test_a_real_run_names_every_secret_it_lacks_and_changes_nothing(registry, password):
    upstreams = [{"name": "docker.io", "username": "me"}]
    result = registry(
        settings={"oidc": OIDC, "upstreams": upstreams, "local_users": ["bob", "ann"]},
        local_passwords={"ann": "x", **({} if password is None else {"bob": password})},
    )
    missing = ["zot_oidc_client_secret", "zot_upstream_passwords['docker.io']", "zot_local_passwords['bob']"]
    assert result == {"failed": True, "msg": f"not given: {', '.join(missing)}; secrets are needed for a real run (not for --check)"}
    assert not registry.conf.exists()
    assert registry.task.ran == []


def test_what_the_settings_forbid_is_told(registry):
    assert registry(settings={"grants": [{"actions": ["read"]}]})["msg"].startswith("zot_grants[0]: it names nobody")
    assert registry(release="2.0.4")["msg"].startswith("zot 2.0.4 is older than 2.1.0")
    assert registry(overrides={"http": {True: 1}})["msg"].startswith("settings.overrides.http: the key True is a bool")
    assert registry(document={"http": {1: 1}})["msg"].startswith("document.http: the key 1 is a int")
    assert registry.task.ran == []


def test_a_release_newer_than_known_is_warned_of(registry):
    registry.binary.write_text("#!/bin/sh\n")
    assert registry(release="2.1.99")["warnings"] == [
        "zot 2.1.99 is newer than this collection knows; it is treated as the newest known release"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"document": {}, "settings": {}}, "mutually exclusive: settings|document"),
        ({"document": None}, "one of the following is required: settings, document"),
        ({"state": "live"}, "value of state must be one of: staged, written"),
        ({"file_mode": "0644"}, "value of file_mode must be one of: 0600, 0640"),
        ({"setings": {}}, "Unsupported parameters"),
        ({"release": None}, "missing required arguments: release"),
    ],
)
def test_arguments_are_judged(registry, options, message):
    given = {"release": "2.1.20", "binary": "/zot", "config_path": str(registry.config), "document": {"http": {}}, **options}
    with pytest.raises(AnsibleActionFail) as failure:
        registry.task(**{key: value for key, value in given.items() if value is not None})
    assert message in str(failure.value)


def test_a_secret_of_the_wrong_type_is_not_quoted(registry):
    with pytest.raises(AnsibleActionFail) as failure:
        registry(local_passwords=["canary"])
    assert "canary" not in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [({"failed": True, "msg": "disk full", "exception": "trace"}, "disk full"), ({"failed": True}, "zot_host failed")],
)
def test_a_failure_of_the_module_is_the_tasks(registry, monkeypatch, answer, message):
    monkeypatch.setattr(modules, "run_module", lambda *_arguments, **_options: answer)
    result = registry()
    assert (result["failed"], result["msg"], result.get("exception")) == (True, message, answer.get("exception"))


def test_a_module_without_an_answer_is_an_error(registry, monkeypatch):
    monkeypatch.setattr(modules, "run_module", lambda *_arguments, **_options: {"rc": 1})
    with pytest.raises(AnsibleActionFail, match="zot_host gave no answer"):
        registry()
