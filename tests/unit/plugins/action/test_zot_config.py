# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import bcrypt
import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_config import ActionModule
from ansible_collections.blumeops.zot.plugins.modules import zot_host
from support import modules
from support.modules import Action, launchd, program
from support.web import answer, certificate, servers
from support.zot_binary import free_port, standin_zot, write_htpasswd

READ = {"actions": ["read"]}
OIDC = {"issuer": "https://127.0.0.1:1/", "client_id": "zot"}
# Nobody answers for that issuer.
ALONE = {"ZOT314": "no provider is needed to write a file"}


class Registry:
    """A host without zot, and the task that configures it. Its binary is content with everything."""

    def __init__(self, folder):
        self.folder, self.conf, self.task = folder, folder / "conf", Action(ActionModule)
        self.config = self.conf / "config.json"
        self.binary = program(folder / "bin/zot", """[ "$1" = verify ] || echo '{"commit":"v2.1.20-0-g1"}'""")
        self.port = free_port()

    def __call__(self, check=False, overrides=None, **options):
        """The task with settings, of which ``overrides`` are a part; everybody may read."""
        if "document" not in options:
            settings = options.get("settings", {})
            grants = [{"anonymous": True, **READ}, *([{"authenticated": True, **READ}] if {"oidc", "local_users"} & set(settings) else [])]
            given = {"data_dir": str(self.folder / "data"), "port": self.port, "grants": grants, "overrides": overrides or {}}
            options["settings"] = {**given, **settings}
        return self.task(check, **{"release": "2.1.20", "binary": str(self.binary), "config_path": str(self.config), **options})

    def prove(self):
        """What the role does after zot came up with what was written."""
        paths = {"config_path": str(self.config), "binary": str(self.binary)}
        return modules.run_module(zot_host.main, state="promoted", release="2.1.20", **paths)

    def document(self, **more):
        """A whole one, without a fault."""
        return {"storage": {"rootDirectory": str(self.folder / "data")}, "http": {"port": str(self.port)}, **more}

    def refusing(self, words):
        """Give it a binary that refuses everything with these words."""
        self.binary = program(
            self.folder / "bin/zot",
            f"""[ "$1" = verify ] || exec echo '{{"commit":"v2.1.20-0-g1"}}'
echo "Error: {words}" >&2; exit 1""",
        )

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
    assert result["summary"] == "nothing is wrong"
    assert registry.task.states == ["look", "preflight", "staged", "written"]


def test_a_whole_document_is_used_as_it_is(registry):
    document = registry.document(log=None)
    result = registry(document=document)
    assert registry.live() == document
    assert registry.names() == ["config.json"]
    assert result["url"] == f"http://127.0.0.1:{registry.port}"


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
        suppress=ALONE,
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
    given["suppress"] = ALONE
    registry(**given)
    before = {path: path.stat() for path in registry.conf.iterdir()}
    result = registry(**given)
    assert (result["changed"], result["activation"], result["reasons"], result["diff"]) == (False, "none", [], [])
    assert "verified" not in result
    assert registry.task.states == ["look", "look"], "one for the salts; nothing else is asked"
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
    result = registry(check=True, settings={"oidc": OIDC, "upstreams": upstreams, "local_users": ["bob"]}, suppress=ALONE)
    assert result["changed"]
    names = ("htpasswd", "oidc-credentials.json", "session-keys.json", "upstream-credentials.json")
    assert {f"{name} is missing" for name in names} < set(result["reasons"])
    assert not registry.conf.exists()


def test_check_without_secrets_sees_no_difference_in_them(registry):
    settings = {"oidc": OIDC, "local_users": ["bob"]}
    registry(settings=settings, oidc_client_secret="x", local_passwords={"bob": "y"}, suppress=ALONE)
    assert registry(check=True, settings=settings)["changed"] is False
    assert registry.task.states == ["look"]


def test_check_says_that_a_missing_binary_was_not_asked(registry):
    registry.binary.unlink()
    assert registry(check=True)["verified"] is False


# --- what the diff shows


def test_the_diff_begins_with_the_plan(registry):
    assert registry()["diff"][0] == {"prepared": "plan: restart\n  - config.json is missing\n"}


def test_the_diff_shows_what_takes_effect(registry):
    def with_sink(password):
        sink = {"type": "http", "address": "https://hooks.test", "credentials": {"username": "zot", "password": password}}
        return {"events": {"enable": True, "sinks": [sink]}}

    document = registry.document()
    registry(document={**document, "log": {}, "cluster": None})
    result = registry(document={**document, "log": {}, "extensions": with_sink("canary")})
    before, after = diffs(result)[f"{registry.config} (effective)"]
    assert json.loads(before) == document
    assert json.loads(after) == {**document, "extensions": with_sink("(secret)")}


def test_a_password_comes_from_its_store_and_is_made_there_once(registry, tmp_path):
    keys = tmp_path / "keys.json"
    stores = {"bob": {"kind": "file", "path": str(keys), "field": "bob"}, "nobody": {"kind": "file", "path": "/nowhere/x", "field": "x"}}
    given = {"settings": {"local_users": ["bob"]}, "local_password_stores": stores}
    assert registry(check=True, **given)["changed"]
    assert not keys.exists()
    assert registry(**given)["changed"]
    made = json.loads(keys.read_text())["bob"]
    assert not registry(**given)["changed"]
    assert not registry(settings={"local_users": ["bob"]}, local_passwords={"bob": made})["changed"]
    assert registry(local_passwords={"bob": "another"}, **given)["changed"], "one that is given goes before"
    assert json.loads(keys.read_text()) == {"bob": made}
    failed = registry(settings={"local_users": ["bob"]}, local_password_stores={"bob": "canary"})
    assert failed["failed"]
    assert "canary" not in failed["msg"]


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
    registry(document=registry.document(http={"port": "5001"}))
    registry.prove()
    registry(document=registry.document(http={"port": "5002"}))
    result = registry(document=registry.document(http={"port": "5002"}), state="staged")
    assert result["reasons"] == ["config.json was written but never proved: http.port"]
    before, after = diffs(result)[f"{registry.config} (effective)"]
    assert (json.loads(before)["http"]["port"], json.loads(after)["http"]["port"]) == ("5001", "5002")


def test_an_edit_by_hand_is_what_the_diff_undoes(registry):
    registry(document=registry.document(http={"port": "5001"}))
    registry.prove()
    registry.config.write_text('{"http": {"port": "5999"}}')
    result = registry(document=registry.document(http={"port": "5002"}), state="staged")
    before, _after = diffs(result)[f"{registry.config} (effective)"]
    assert json.loads(before) == {"http": {"port": "5999"}}


def test_a_mode_is_mended_without_a_restart(registry):
    registry()
    registry.config.chmod(0o644)
    result = registry()
    assert (result["changed"], result["activation"]) == (True, "none")
    assert stat.S_IMODE(registry.config.stat().st_mode) == 0o600


# --- failure


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


@pytest.mark.parametrize("password", [None, ""])
def test_a_real_run_names_every_secret_it_lacks_and_changes_nothing(registry, password):
    upstreams = [{"name": "docker.io", "username": "me"}]
    result = registry(
        settings={"oidc": OIDC, "upstreams": upstreams, "local_users": ["bob", "ann"]},
        suppress=ALONE,
        local_passwords={"ann": "x", **({} if password is None else {"bob": password})},
    )
    missing = ["zot_oidc_client_secret", "zot_upstream_passwords['docker.io']", "zot_local_passwords['bob']"]
    assert result == {"failed": True, "msg": f"not given: {', '.join(missing)}; secrets are needed for a real run (not for --check)"}
    assert not registry.conf.exists()
    assert registry.task.states == ["look", "preflight"]


def test_what_the_settings_forbid_is_told(registry):
    assert registry(settings={"grants": [{"actions": ["read"]}]})["msg"].startswith("zot_grants[0]: it names nobody")
    assert registry(release="2.0.4")["msg"].startswith("zot 2.0.4 is older than 2.1.0")
    assert registry(overrides={"http": {True: 1}})["msg"].startswith("settings.overrides.http: the key True is a bool")
    assert registry(document={"http": {1: 1}})["msg"].startswith("document.http: the key 1 is a int")
    assert registry.task.ran == []


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


# --- the judge

WRONG = {"http": {"prot": 1, "tls": {"cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}}, "storage": {"gcDelay": "1d"}}
END = "nothing was changed: mend the settings and run again"
BUG = "a bug of blumeops.zot: please report it"


def codes(result, severity=None):
    return sorted({finding["code"] for finding in result["findings"] if severity in (None, finding["severity"])})


@pytest.mark.parametrize("check", [True, False])
def test_every_error_is_told_at_once_and_nothing_is_written(registry, check):
    registry.binary = standin_zot(registry.folder / "zot")
    result = registry(check, overrides=WRONG)
    assert result["failed"]
    lines = result["msg"].splitlines()
    assert lines[0] == "4 errors for zot 2.1.20"
    assert [line.split(": ")[0] for line in lines[1:-1]] == [
        "- ZOT103 http.prot",
        "- ZOT105 storage.gcDelay",
        "- ZOT306 http.tls.cert",
        "- ZOT306 http.tls.key",
    ]
    assert "did you mean port?" in lines[1]
    assert lines[-1] == END
    assert codes(result) == ["ZOT103", "ZOT105", "ZOT306"]
    assert registry.task.states == ["look", "preflight", "judged"]
    assert not registry.conf.exists()
    assert not (registry.folder / "data").exists()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("given", [{"document": {"http": "nonsense"}}, {"overrides": {"http": "nonsense"}}, {"overrides": {"http": ["x"]}}])
def test_a_document_without_a_shape_is_told(registry, check, given):
    registry.binary = standin_zot(registry.folder / "zot")
    result = registry(check, **given)
    assert "- ZOT104 http: a mapping is wanted here, not " in result["msg"]
    assert result["msg"].endswith(END)
    assert not registry.conf.exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_file_that_is_missing_on_the_host_is_told_before_anything_is_written(registry, check):
    folder = registry.folder
    tls = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    result = registry(check, overrides={"http": {"tls": tls}})
    assert f"- ZOT306 http.tls.cert: {tls['cert']}: not there (" in result["msg"]
    assert registry.task.states == ["look", "preflight"], "zot verify does not look there, so it is not asked"
    assert not registry.conf.exists()
    for path in tls.values():
        certificate(Path(path), "localhost")
    assert registry(check, overrides={"http": {"tls": tls}})["changed"]


def test_what_lies_on_the_host_already_is_judged_there_where_something_is_wrong(registry):
    registry()
    result = registry(overrides={"http": {"tls": {"cert": "/nowhere/cert.pem"}}}, suppress={"ZOT308": "half of it is enough for this test"})
    assert codes(result, "error") == ["ZOT306"]


@pytest.mark.parametrize("check", [True, False])
def test_a_port_that_another_has_is_told(registry, check):
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry.port = server.getsockname()[1]
        result = registry(check, service=launchd(registry.folder / "launchctl", 0))
        assert f"- ZOT305 http.port: port {registry.port} of 127.0.0.1 is in use by process {os.getpid()}; " in result["msg"]
        assert not registry.conf.exists()
        ours = registry(check, service=launchd(registry.folder / "launchctl", os.getpid()))
        assert (ours["changed"], ours["unseen"]) == (True, [])
    registry.port = free_port()
    assert registry(check, service=launchd(registry.folder / "launchctl", 0))["changed"]


def test_without_a_service_nobody_looks_at_the_port(registry):
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry.port = server.getsockname()[1]
        assert registry()["unseen"] == ["the port"]


def test_the_provider_is_asked(registry):
    with servers() as serve:
        provider = serve()
        provider.answer = answer("200 OK", json.dumps({"issuer": provider.url}).encode())
        given = {"oidc_client_secret": "x"}
        assert registry(settings={"oidc": {**OIDC, "issuer": provider.url}}, check=True, **given)["changed"]
        slash = registry(settings={"oidc": {**OIDC, "issuer": f"{provider.url}/"}}, **given)
        assert f"- ZOT314 http.auth.openid.providers.oidc.issuer: '{provider.url}/' calls itself '{provider.url}'" in slash["msg"]
    assert codes(registry(settings={"oidc": OIDC}, **given), "error") == ["ZOT314"]
    assert not registry.conf.exists()


BROKEN = {"htpasswd": "bob:{SHA}no\nno line\n", "oidc-credentials.json": "{", "upstream-credentials.json": "[]"}


@pytest.mark.parametrize("check", [True, False])
def test_our_secret_files_are_judged_by_what_is_about_to_be_written(registry, check):
    registry.conf.mkdir()
    for name, content in BROKEN.items():
        (registry.conf / name).write_text(content)
    settings = {"oidc": OIDC, "upstreams": [{"name": "docker.io", "username": "me"}], "local_users": ["bob"]}
    passwords = {"oidc_client_secret": "x", "upstream_passwords": {"docker.io": "y"}, "local_passwords": {"bob": "z"}}
    result = registry(check, settings=settings, suppress=ALONE, **passwords)
    assert codes(result) == []
    (asked,) = [call for call in registry.task.ran if call["state"] == "preflight"]
    assert [item["kind"] for item in asked["inspect"]] == ["folder"]
    assert result["unseen"] == [f"{registry.conf}/session-keys.json", "the port"], "the host makes the keys"


def test_files_whose_secret_was_not_given_are_not_judged(registry):
    registry.conf.mkdir()
    for name, content in BROKEN.items():
        (registry.conf / name).write_text(content)
    settings = {"oidc": OIDC, "upstreams": [{"name": "docker.io", "username": "me"}], "local_users": ["bob"]}
    result = registry(check=True, settings=settings, suppress=ALONE)
    assert codes(result) == []
    assert {f"{registry.conf}/{name}" for name in BROKEN} < set(result["unseen"])


@pytest.mark.parametrize("check", [True, False])
def test_a_local_user_who_is_one_of_the_providers_is_refused(registry, check):
    settings = {"oidc": {**OIDC, "users": ["erich", "ann"]}, "local_users": ["zot-ci", "ann"]}
    given = {"suppress": ALONE, "oidc_client_secret": "x", "local_passwords": {"zot-ci": "y", "ann": "z"}}
    result = registry(check, settings=settings, **given)
    assert codes(result, "error") == ["ZOT332"]
    assert "'ann' is a user of htpasswd and of the identity provider" in result["msg"]
    assert not registry.conf.exists()
    assert registry(check, **given, settings={**settings, "local_users": ["zot-ci"]})["changed"]


def test_an_image_of_the_provider_that_comes_from_here_is_warned_of(registry):
    oidc = {**OIDC, "images": ["registry.test/authentik:1", "ghcr.io/goauthentik/server:1"]}
    settings = {"oidc": oidc, "external_url": "https://registry.test"}
    result = registry(check=True, settings=settings, suppress=ALONE)
    assert codes(result) == ["ZOT333"]
    assert "registry.test/authentik:1" in result["warnings"][0]


OPEN = {"address": "0.0.0.0", "local_users": ["bob"]}


def test_warnings_are_told_also_where_nothing_changes(registry):
    given = {"settings": OPEN, "local_passwords": {"bob": "x"}}
    for changed, states in ((True, ["look", "look", "preflight", "staged", "written"]), (False, ["look", "look"])):
        result = registry(**given)
        assert (result["changed"], result["summary"]) == (changed, "1 warning")
        (warning,) = result["warnings"]
        assert warning.startswith("ZOT403 http.")
        assert "passwords and API keys cross the network in clear (Configure http.tls" in warning
        assert registry.task.states == states
    assert registry(check=True, **given)["warnings"] == [warning]


def test_advice_is_told_where_it_is_asked_for(registry):
    assert "warnings" not in registry(overrides={"log": {"level": "debug"}})
    result = registry(overrides={"log": {"level": "debug"}}, advice=True)
    assert codes(result) == codes(result, "advice") == ["ZOT415"]
    assert [warning.split(" ")[0] for warning in result["warnings"]] == ["ZOT415"]
    assert result["summary"] == "nothing is wrong"


@pytest.mark.parametrize(("advice", "told"), [(False, ["ZOT103"]), (True, ["ZOT103", "ZOT415"])])
def test_a_failure_has_the_advice_that_was_asked_for(registry, advice, told):
    assert codes(registry(overrides={"http": {"nope": 1}, "log": {"level": "debug"}}, advice=advice)) == told


@pytest.mark.parametrize("check", [True, False])
def test_what_is_suppressed_does_not_count(registry, check):
    tls = {"cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}
    suppress = {"ZOT306": "the certificate is put there later", "ZOT403": "a firewall is before it"}
    result = registry(check, settings={**OPEN, "overrides": {"http": {"tls": tls}}}, local_passwords={"bob": "x"}, suppress=suppress)
    assert (result["changed"], result["findings"]) == (True, [])
    assert "warnings" not in result
    assert sorted({finding["code"] for finding in result["suppressed"]}) == ["ZOT306"]


@pytest.mark.parametrize(
    ("suppress", "message"),
    [
        ({"ZOT999": "a reason"}, "suppress: there is no rule ZOT999; docs/rules.md lists them"),
        ({"zot103": "a reason"}, "suppress: there is no rule zot103; docs/rules.md lists them"),
        *[({"ZOT103": reason}, "suppress: ZOT103 needs a reason, in words, why it does not count here") for reason in (None, "", " ", 5)],
        ({103: "a reason"}, "suppress: the key 103 is a int, not text"),
    ],
)
def test_only_a_known_rule_is_suppressed_and_for_a_reason(registry, suppress, message):
    result = registry(suppress=suppress)
    assert result["failed"]
    assert result["msg"].startswith(message)
    assert set(registry.task.states) <= {"look"}


def test_a_release_newer_than_known_is_warned_of(registry):
    registry.binary.write_text("#!/bin/sh\n")
    (warning,) = registry(release="2.1.99")["warnings"]
    assert warning.startswith("ZOT110 this release is newer than every one whose rules are known here")


# --- the judge and zot verify


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_accepts_and_the_judge_does_not_is_told_as_a_bug(registry, check):
    result = registry(check, overrides={"http": {"nope": 1}})
    assert "- ZOT103 http.nope: unknown key" in result["msg"]
    assert f"`zot verify` of {registry.binary} accepts this configuration, so ZOT103 is wrong here: {BUG}" in result["msg"]
    assert result["msg"].endswith("suppress ZOT103 with a reason.")
    assert not registry.conf.exists()
    assert registry(check, overrides={"http": {"nope": 1}}, suppress={"ZOT103": "it is a bug"})["changed"]


def test_who_cannot_ask_zot_does_not_say_that_it_accepts(registry):
    registry.binary.unlink()
    assert registry(check=True, overrides={"http": {"nope": 1}})["msg"].endswith(END)
    registry.binary.write_text("#!/bin/sh\nexit 3\n")
    registry.binary.chmod(0o755)
    assert registry(overrides={"http": {"nope": 1}})["msg"].endswith(END)


def test_a_binary_of_another_release_does_not_hide_the_findings(registry):
    result = registry(release="2.1.19", overrides={"http": {"nope": 1}})
    assert "- ZOT103 http.nope" in result["msg"]
    assert result["msg"].endswith(END)


@pytest.mark.parametrize("check", [True, False])
def test_what_zot_refuses_and_the_judge_does_not_is_told_as_a_bug(registry, check):
    registry.refusing("http.port is bad luck")
    result = registry(check)
    assert result["failed"]
    assert result["msg"].splitlines() == [
        f"zot 2.1.20 refuses this configuration: http.port is bad luck; {END}",
        f"The judge let it pass (nothing is wrong): {BUG} with this message",
    ]
    assert result["verify"] == "http.port is bad luck"
    assert not registry.config.exists()


@pytest.mark.parametrize("check", [True, False])
def test_what_both_refuse_is_no_bug_when_it_was_suppressed(registry, check):
    registry.refusing("invalid keys")
    result = registry(check, overrides={"http": {"nope": 1}}, suppress={"ZOT103": "I know better"})
    assert "zot 2.1.20 refuses this configuration: invalid keys" in result["msg"]
    assert result["msg"].endswith("\nThe judge refuses it too, but ZOT103 is suppressed")


def test_of_a_release_newer_than_known_nobody_says_that_it_is_a_bug(registry):
    newer = "zot 2.1.99 is newer than blumeops.zot knows, please update it"
    registry.refusing("no")
    assert registry(release="2.1.99", binary=str(program(registry.folder / "new/zot", "exit 0")), overrides={"http": {"nope": 1}})[
        "msg"
    ].endswith(f"so ZOT103 is wrong here: {newer}. Until it is mended, suppress ZOT103 with a reason.")
    other = program(registry.folder / "other/zot", '[ "$1" != verify ] || exit 1')
    assert registry(release="2.1.99", binary=str(other))["msg"].endswith(f"The judge let it pass (1 warning): {newer}")


def test_another_failure_of_the_host_is_no_verdict(registry):
    registry.binary.unlink()
    assert registry()["msg"] == f"{registry.binary} is not there; install it first"


# --- secrets

SECRET_PLACES = {
    "storage": {"cacheDriver": {"name": "redis", "url": "redis://:canary@redis.test:6379", "password": "canary"}, "remoteCache": True},
    "http": {
        "auth": {
            "openid": {"providers": {"oidc": {"clientsecret": "canary"}}},
            "ldap": {
                "address": "ldap.test",
                "baseDN": "dc=x",
                "userAttribute": "uid",
                "bindPassword": "canary",
                "sessionHashKey": "canary",
            },
            "sessionHashKey": "canary",
        }
    },
    "extensions": {
        "events": {"sinks": [{"type": "nats", "credentials": {"token": "canary", "password": "canary"}}, {"type": "http"}]},
        "sync": {"registries": [{"urls": ["https://me:canary@hub.test", "me:canary@hub.test"]}]},
    },
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("overrides", [SECRET_PLACES, {"storage": SECRET_PLACES["storage"]}, {"http": SECRET_PLACES["http"]}])
def test_no_secret_is_told_by_the_judge(registry, check, overrides):
    settings = {"oidc": OIDC, "upstreams": [{"name": "docker.io", "username": "me"}], "local_users": ["bob"], "overrides": overrides}
    passwords = {
        "oidc_client_secret": "canary-client",
        "upstream_passwords": {"docker.io": "canary-hub"},
        "local_passwords": {"bob": "canary-bob"},
    }
    result = registry(check, settings=settings, advice=True, suppress=ALONE, **passwords)
    assert result["findings"]
    assert "canary" not in json.dumps({key: value for key, value in result.items() if key != "diff"})
    assert "canary" not in json.dumps([call["answer"] for call in registry.task.ran])
    assert "canary" not in json.dumps(result.get("diff", []))


# --- who may do what: what changes in it


def granting(registry, *grants, check=False, **options):
    settings = {"grants": [{"anonymous": True, **READ}, {"authenticated": True, **READ}, *grants], "local_users": ["ann"]}
    return registry(check=check, settings=settings, local_passwords={"ann": "x"}, state="staged", **options)


def activated(registry, *grants):
    """What the role does with a change that came up well."""
    granting(registry, *grants)
    modules.run_module(zot_host.main, state="written", config_path=str(registry.config))
    registry.prove()


ANONYMOUS_CREATE = {"anonymous": True, "actions": ["create"], "repositories": ["drop/**"]}
TEAM = {"users": ["ann"], "actions": ["read", "create"], "repositories": ["team/**"]}
GAIN = {
    "kind": "anonymous",
    "who": "anonymous",
    "where": "drop/**",
    "witness": "drop",
    "gains": ["create"],
    "loses": [],
    "widens": True,
}


def test_the_change_of_rights_ends_the_diff(registry):
    activated(registry, TEAM)
    result = granting(registry, ANONYMOUS_CREATE, check=True)
    lost = {"kind": "user", "who": "ann", "where": "team/**", "witness": "team", "gains": [], "loses": ["create"], "widens": False}
    assert result["access_diff"] == [GAIN, lost], "what stays the same is not told"
    told = result["diff"][-1]["prepared"].splitlines()
    assert told == ["who may do what:", "anonymous  drop/**  gains create !", "ann        team/**  loses create"]


def test_rights_are_compared_with_what_was_proved_and_not_with_what_lies_there(registry):
    activated(registry)
    granting(registry, ANONYMOUS_CREATE)
    modules.run_module(zot_host.main, state="written", config_path=str(registry.config))  # the run stopped here
    assert granting(registry, ANONYMOUS_CREATE, check=True)["access_diff"] == [GAIN]


def test_where_nothing_changes_no_rights_do(registry):
    activated(registry, TEAM)
    result = granting(registry, TEAM)
    assert (result["changed"], result["access_diff"], result["diff"]) == (False, [], [])


@pytest.mark.parametrize("check", [True, False])
def test_widening_can_be_forbidden_and_confirmed(registry, check):
    activated(registry)
    before = registry.names()
    refused = granting(registry, ANONYMOUS_CREATE, check=check, forbid_widening=True)
    assert refused["failed"]
    assert "anonymous  drop/**  gains create !" in refused["msg"]
    assert "-e zot_confirm_widening=true" in refused["msg"]
    assert refused["access_diff"] == [GAIN]
    assert registry.names() == before
    assert granting(registry, ANONYMOUS_CREATE, check=check, forbid_widening=True, confirm_widening=True)["changed"]


def test_a_narrowing_and_a_first_configuration_need_no_confirmation(registry):
    assert granting(registry, ANONYMOUS_CREATE, forbid_widening=True)["changed"]
    activated(registry, ANONYMOUS_CREATE)
    assert granting(registry, forbid_widening=True)["access_diff"] == [{**GAIN, "gains": [], "loses": ["create"], "widens": False}]


def test_what_lies_there_by_hand_is_compared_too_if_it_can_be_read(registry):
    registry.conf.mkdir()
    registry.config.write_text('{"http": {"accessControl": {"repositories": {"**": {"anonymousPolicy": ["read", "delete"]}}}}}')
    found = granting(registry, check=True)["access_diff"]
    assert [(change["loses"], change["gains"]) for change in found if change["who"] == "anonymous"] == [(["delete"], [])]
    registry.config.write_text('{"http": 1}')
    found = granting(registry, check=True)["access_diff"]
    assert [(change["loses"], change["gains"]) for change in found if change["who"] == "anonymous"] == [([], ["read"])]
