# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action.zot_validate import ActionModule
from support.modules import Action
from support.web import answer, certificate, servers
from support.zot_binary import write_htpasswd

CANARY = "canary-5b1e"


def good(folder, **http):
    return {"storage": {"rootDirectory": str(folder / "data")}, "http": {"port": "5000", **http}}


class Validate:
    """The task, and a folder for its playbook."""

    def __init__(self, folder):
        self.folder = folder
        self.task = Action(ActionModule, playbook=folder)

    def __call__(self, check=False, **options):
        return self.task(check, **{"release": "2.1.20", **options})

    def write(self, document, name="config.json"):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    @property
    def modules(self):
        """What ran on the host: states of zot_host, and names of paths that were read."""
        return [call.get("state") or call.get("src") for call in self.task.ran]


@pytest.fixture
def validate(tmp_path):
    return Validate(tmp_path)


def codes(result, severity=None):
    return sorted({finding["code"] for finding in result["findings"] if severity in (None, finding["severity"])})


# --- findings


@pytest.mark.parametrize("check", [True, False])
def test_everything_that_is_wrong_is_told_at_once(validate, tmp_path, check):
    document = good(tmp_path, prot=1, tls={"cert": "/x"}, address="0.0.0.0")
    document["storage"]["gcDelay"] = "1d"
    result = validate(check, content=document)
    assert (result["failed"], result["changed"], result["ok"]) == (True, False, False)
    assert result["msg"].splitlines()[0] == "3 errors, 1 warning for zot 2.1.20"
    assert [line[:8] for line in result["msg"].splitlines()[1:]] == ["- ZOT103", "- ZOT105", "- ZOT308"]
    assert (result["summary"], result["release"]) == ("3 errors, 1 warning", "2.1.20")
    assert [finding["code"] for finding in result["findings"]] == ["ZOT103", "ZOT105", "ZOT308", "ZOT402"], "the worst first"
    assert set(result["findings"][0]) == {"code", "severity", "path", "message", "hint"}
    assert validate.task.ran == []


def test_a_release_has_its_own_rules(validate, tmp_path):
    document = good(tmp_path, secureSession=True)
    document["http"] = {"port": "5000", "readTimeout": "1h"}
    assert codes(validate(content=document, release="2.1.20")) == []
    assert codes(validate(content=document, release="2.1.16"), "error") == ["ZOT103"]
    assert codes(validate(content=document, release="v2.1.99")) == ["ZOT110"]


# --- nothing is wrong


@pytest.mark.parametrize("check", [True, False])
def test_where_nothing_is_wrong_that_is_said(validate, tmp_path, check):
    result = validate(check, content=good(tmp_path))
    assert (result["failed"], result["changed"], result["ok"], result["summary"]) == (False, False, True, "nothing is wrong")
    assert result["msg"] == "nothing is wrong for zot 2.1.20"
    assert (result["findings"], result["suppressed"]) == ([], [])
    assert list(tmp_path.iterdir()) == []


# --- where the configuration is


def test_a_path_on_the_controller_is_relative_to_the_playbook_or_absolute(validate, tmp_path):
    path = validate.write(good(tmp_path, prot=1), "files/zot.json")
    for given in ("files/zot.json", str(path), "./files/../files/zot.json"):
        assert codes(validate(path=given)) == ["ZOT103"]
    assert validate.task.ran == []


def test_a_path_on_the_host_is_read_there(validate, tmp_path):
    path = validate.write(good(tmp_path, prot=1))
    assert codes(validate(path=str(path), remote_src=True)) == ["ZOT103"]
    assert validate.modules == [str(path), "preflight"]


TEXTS = {
    "json": json.dumps,
    "yaml": yaml.safe_dump,
    "yml": yaml.safe_dump,
    "toml": lambda document: "".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) for table, values in document.items()
    ),
}


@pytest.mark.parametrize("language", TEXTS)
def test_content_and_files_may_be_of_any_language(validate, tmp_path, language):
    text = TEXTS[language](good(tmp_path, prot=1))
    assert codes(validate(content=text)) == ["ZOT103"]
    path = validate.write(text, f"config.{language}")
    assert codes(validate(path=str(path))) == ["ZOT103"]
    assert codes(validate(path=str(path), remote_src=True)) == ["ZOT103"]


def test_content_as_a_mapping(validate, tmp_path):
    assert codes(validate(content=good(tmp_path, prot=1))) == ["ZOT103"]
    assert codes(validate(content={})) == ["ZOT102", "ZOT301"]


def others(result):
    """What was not looked at, besides the storage."""
    return [path for path in result["unseen"] if not path.endswith("/data")]


# --- the files that it names


def test_a_broken_file_beside_the_configuration_is_found_and_one_that_is_missing_is_only_named(validate, tmp_path):
    validate.write("no certificate", "conf/cert.pem")
    path = validate.write(good(tmp_path, tls={"cert": "cert.pem", "key": "key.pem"}), "conf/config.json")
    result = validate(path="conf/config.json")
    assert [(finding["code"], finding["path"]) for finding in result["findings"]] == [("ZOT306", "http.tls.cert")]
    assert others(result) == ["key.pem"]
    result = validate(path=str(path), remote_src=True)
    assert codes(result) == ["ZOT306"]
    assert others(result) == ["key.pem"], "zot may be started elsewhere"


@pytest.mark.parametrize("remote_src", [True, False])
def test_in_the_folder_that_zot_is_started_from_a_missing_file_is_an_error(validate, tmp_path, remote_src):
    path = validate.write(good(tmp_path, tls={"cert": "cert.pem", "key": "key.pem"}), "conf/config.json")
    (tmp_path / "run").mkdir()
    certificate(tmp_path / "run/cert.pem", "localhost")
    result = validate(path=str(path), remote_src=remote_src, chdir=str(tmp_path / "run"))
    assert [(finding["code"], finding["path"]) for finding in result["findings"]] == [("ZOT306", "http.tls.key")]
    assert others(result) == []


def test_the_folder_that_zot_is_started_from_may_be_relative_to_the_playbook(validate, tmp_path):
    (tmp_path / "run").mkdir()
    certificate(tmp_path / "run/pair.pem", "localhost")
    content = good(tmp_path, tls={"cert": "pair.pem", "key": "pair.pem"})
    assert validate(content=content, chdir="run")["findings"] == []
    assert codes(validate(content=content, chdir="elsewhere")) == ["ZOT306"]


def test_the_storage_is_looked_at_on_the_host_alone(validate, tmp_path):
    path = validate.write(good(tmp_path))
    assert validate(path=str(path))["unseen"] == [str(tmp_path / "data")], "this machine's folder says nothing of the host's"
    assert validate(path=str(path), remote_src=True)["unseen"] == []


def test_an_absolute_path_that_is_missing_is_an_error_on_the_host_alone(validate, tmp_path):
    missing = str(tmp_path / "missing.pem")
    path = validate.write(good(tmp_path, tls={"cert": missing, "key": missing}))
    result = validate(path=str(path))
    assert (codes(result), others(result)) == ([], [missing])
    result = validate(path=str(path), remote_src=True)
    assert (codes(result), others(result)) == (["ZOT306"], [])
    assert f"{missing}: not there" in result["msg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_an_error_on_the_host_alone(validate, tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"bob": "x"})
    users.chmod(0)
    path = validate.write(good(tmp_path, auth={"htpasswd": {"path": str(users)}}))
    assert others(validate(path=str(path))) == [str(users)]
    assert codes(validate(path=str(path), remote_src=True), "error") == ["ZOT309"]


def test_the_provider_is_asked_by_the_host_alone(validate, tmp_path):
    def document(issuer):
        return good(
            tmp_path,
            auth={"openid": {"providers": {"oidc": {"credentialsFile": str(credentials), "issuer": issuer, "scopes": ["openid"]}}}},
        )

    credentials = validate.write({"clientid": "zot", "clientsecret": CANARY}, "oidc.json")
    with servers() as serve:
        provider = serve()
        provider.answer = answer("200 OK", json.dumps({"issuer": provider.url}).encode())
        slash = f"{provider.url}/"
        path = validate.write(document(slash))
        result = validate(path=str(path))
        assert (codes(result, "error"), others(result)) == ([], [slash])
        assert provider.asked == []
        result = validate(path=str(path), remote_src=True)
        assert (codes(result, "error"), others(result)) == (["ZOT314"], [])
        validate.write(document(provider.url))
        assert codes(validate(path=str(path), remote_src=True), "error") == []


def test_users_and_images_of_the_provider_are_compared(validate, tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"bob": "x"})
    provider = {"clientid": "zot", "issuer": "https://127.0.0.1:1", "scopes": ["openid"]}
    document = good(tmp_path, auth={"htpasswd": {"path": str(users)}, "openid": {"providers": {"oidc": provider}}})
    document["http"]["externalUrl"] = "https://registry.test"
    given = {"oidc_users": ["bob"], "oidc_images": ["registry.test/authentik:1"]}
    assert {"ZOT332", "ZOT333"} <= set(codes(validate(content=document, **given)))
    assert not {"ZOT332", "ZOT333"} & set(codes(validate(content=document)))


def test_a_busy_port_is_nobodys_business_here(validate, tmp_path):
    with servers() as serve:
        path = validate.write(good(tmp_path, port=serve().port))
        for remote_src in (True, False):
            result = validate(path=str(path), remote_src=remote_src)
            assert (result["findings"], others(result) if remote_src else []) == ([], [])


# --- what counts


def test_what_is_suppressed_does_not_count(validate, tmp_path):
    result = validate(content=good(tmp_path, prot=1), suppress={"ZOT103": "a build of our own knows it"})
    assert (result["failed"], result["ok"], result["findings"]) == (False, True, [])
    assert [finding["code"] for finding in result["suppressed"]] == ["ZOT103"]


@pytest.mark.parametrize(("suppress", "said"), [({"ZOT999": "x"}, "there is no rule ZOT999"), ({"ZOT103": ""}, "ZOT103 needs a reason")])
def test_only_a_known_rule_is_suppressed_and_for_a_reason(validate, tmp_path, suppress, said):
    result = validate(content=good(tmp_path), suppress=suppress)
    assert result["failed"]
    assert said in result["msg"]


def test_advice_is_told_where_it_is_asked_for(validate, tmp_path):
    assert validate(content=good(tmp_path))["findings"] == []
    result = validate(content=good(tmp_path), advice=True)
    assert "ZOT414" in codes(result) == codes(result, "advice")
    assert (result["failed"], result["summary"]) == (False, "nothing is wrong")


@pytest.mark.parametrize(
    ("http", "fail_on", "failed"),
    [
        ({"prot": 1}, "error", True),
        ({"prot": 1}, "warning", True),
        ({"prot": 1}, "never", False),
        ({"address": "0.0.0.0"}, "error", False),
        ({"address": "0.0.0.0"}, "warning", True),
        ({"address": "0.0.0.0"}, "never", False),
        ({}, "warning", False),
    ],
)
def test_the_task_fails_from_the_severity_on_that_was_asked_for(validate, tmp_path, http, fail_on, failed):
    result = validate(content=good(tmp_path, **http), fail_on=fail_on, advice=True)
    assert result["failed"] is failed
    assert result["ok"] is ("prot" not in http)


# --- the table


def test_the_table_is_shown_where_it_is_asked_for(validate, tmp_path, capsys):
    validate.write(good(tmp_path, prot=1, address="0.0.0.0"))
    validate(path="config.json")
    assert capsys.readouterr().out == ""
    result = validate(path="config.json", show=True, advice=True, suppress={"ZOT402": "a firewall is before it"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "config.json, judged for zot 2.1.20: 1 error"
    shown = [line.split() for line in lines if line.startswith(("ERROR", "WARNING", "ADVICE"))]
    assert shown[0] == ["ERROR", "ZOT103", "http.prot"]
    assert ["ADVICE", "ZOT414"] in [words[:2] for words in shown]
    assert len(shown) == len(result["findings"])
    assert "suppressed: ZOT402" in lines


def test_the_table_names_what_was_not_looked_at(validate, tmp_path, capsys):
    validate(content=good(tmp_path, tls={"cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}), show=True)
    assert capsys.readouterr().out.splitlines()[-1].startswith("not looked at: /nowhere/cert.pem, /nowhere/key.pem")


# --- failure


@pytest.mark.parametrize("remote_src", [True, False])
@pytest.mark.parametrize("check", [True, False])
def test_a_path_that_cannot_be_read_is_one_clear_error(validate, tmp_path, remote_src, check):
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "file" / "config.json"):
        (tmp_path / "file").touch()
        result = validate(check, path=str(path), remote_src=remote_src)
        assert result["failed"]
        assert set(result) == {"failed", "msg"}
        assert result["msg"].startswith(f"{path} cannot be read on the host: " if remote_src else f"{path}: ")
        assert "\n" not in result["msg"]


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000])
def test_what_is_no_path_is_one_clear_error(validate, path):
    result = validate(path=path)
    assert (set(result), result["failed"]) == ({"failed", "msg"}, True)
    assert "on the controller" in result["msg"]


def test_a_path_on_the_controller_that_is_missing_hints_at_the_host(validate):
    assert validate(path="config.json")["msg"] == (
        "config.json: No such file or directory on the controller; with remote_src: true it is read on the host"
    )


UNREADABLE = {
    "large": (b'{"http": {"realm": "' + b"x" * 10_000_000 + b'"}}', "more than any configuration has"),
    "garbage": (bytes(range(256)) * 8, ""),
    "zeroes": (bytes(4096), ""),
    "bom": (b"\xef\xbb\xbf" + json.dumps({"http": {"port": "5000"}}).encode(), "byte order mark"),
    "utf-16": (json.dumps({"http": {"port": "5000"}}).encode("utf-16"), ""),
    "empty": (b"", ""),
    "list": (b"[]", "holds no object"),
    "cut off": (b'{"http": {"port": "50', "no valid JSON: line 1"),
    "deep": (b'{"a":' * 100_000, ""),
}


@pytest.mark.parametrize("remote_src", [True, False])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_configuration_is_a_finding(validate, tmp_path, kind, remote_src):
    data, said = UNREADABLE[kind]
    path = tmp_path / "config.json"
    path.write_bytes(data)
    result = validate(path=str(path), remote_src=remote_src)
    assert (result["failed"], codes(result)) == (True, ["ZOT101"])
    assert said in result["findings"][0]["message"]
    assert len(result["msg"]) < 500


@pytest.mark.parametrize("content", ["", "nonsense", 5, True, ["http"], "{", "\ud800"])
def test_content_that_is_no_configuration_is_a_finding(validate, content):
    assert set(codes(validate(content=content))) & {"ZOT101", "ZOT102"}


def test_a_host_that_cannot_be_asked_is_an_error(validate, tmp_path, monkeypatch):
    path = validate.write(good(tmp_path))
    monkeypatch.setattr(
        validate.task.plugin,
        "_execute_module",
        lambda _self, module_name, **_options: (
            {"content": "e30="} if module_name.endswith("slurp") else {"failed": True, "msg": "no Python"}
        ),
    )
    path.write_text("{}")
    monkeypatch.setattr(ActionModule, "_given", lambda *_arguments: (good(tmp_path), "content"))
    result = validate(path=str(path), remote_src=True)
    assert result == {"failed": True, "msg": "the host could not be asked for the files that the configuration names: no Python"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: path, content"),
        ({"path": "x", "content": "{}"}, "mutually exclusive: path|content"),
        ({"content": "{}", "fail_on": "advice"}, "value of fail_on must be one of: error, warning, never"),
        ({"content": "{}", "release": None}, "missing required arguments: release"),
        ({"content": "{}", "relase": "2.1.20"}, "Unsupported parameters"),
    ],
)
def test_arguments_are_judged(validate, options, message):
    given = {"release": "2.1.20", **options}
    with pytest.raises(AnsibleActionFail) as failure:
        validate.task(**{key: value for key, value in given.items() if value is not None})
    assert message in str(failure.value)


@pytest.mark.parametrize(("release", "said"), [("2.0.4", "older than 2.1.0"), ("latest", "is not a zot release")])
def test_a_release_that_nobody_knows_is_an_error(validate, release, said):
    result = validate(content="{}", release=release)
    assert result["failed"]
    assert said in result["msg"]


def test_a_key_that_is_no_text_is_an_error(validate):
    assert validate(content={"http": {True: 1}})["msg"].startswith("content.http: the key True is a bool, not text")


# --- secrets

WITH_SECRETS = {
    "storage": {
        "rootDirectory": "/srv/zot",
        "dedupe": True,
        "storageDriver": {"name": "s3", "accesskey": CANARY, "secretkey": CANARY},
        "cacheDriver": {"name": "redis", "url": f"redis://:{CANARY}@redis.test:6379", "password": CANARY, "sentinel_password": CANARY},
    },
    "http": {
        "address": "0.0.0.0",
        "port": "5000",
        "auth": {
            "openid": {"providers": {"oidc": {"clientid": "a", "clientsecret": CANARY, "issuer": "https://id.test", "scopes": ["openid"]}}},
            "ldap": {"address": "ldap.test", "baseDN": "dc=x", "userAttribute": "uid", "bindPassword": CANARY},
            "sessionHashKey": CANARY,
            "htpasswd": {"path": "/nowhere", "password": CANARY},
        },
    },
    "extensions": {
        "events": {"enable": True, "sinks": [{"type": "nats", "credentials": {"token": CANARY, "password": CANARY}}]},
        "sync": {"registries": [{"urls": [f"https://me:{CANARY}@hub.test", f"me:{CANARY}@hub.test", f"https://me:{CANARY}@hub.test:x"]}]},
    },
}


@pytest.mark.parametrize("cut", [None, 200, 400, 700])
@pytest.mark.parametrize("language", ["json", "yaml"])
def test_no_secret_is_told(validate, capsys, language, cut):
    text = TEXTS[language](WITH_SECRETS)[:cut]
    path = validate.write(text, f"config.{language}")
    for given in ({"path": str(path)}, {"path": str(path), "remote_src": True}, {"content": text}):
        result = validate(show=True, advice=True, **given)
        assert result["findings"]
        assert CANARY not in json.dumps(result)
        assert CANARY not in json.dumps([call["answer"] for call in validate.task.ran if "state" in call])
    assert CANARY not in capsys.readouterr().out


def test_no_secret_of_a_file_that_is_named_is_told(validate, tmp_path, capsys):
    keys = {"encryptKey": CANARY, "hashKey": CANARY}
    credentials = {"clientid": CANARY, "clientsecret": CANARY, "other": CANARY}
    files = {
        "keys.json": keys,
        "oidc.json": credentials,
        "htpasswd": f"bob:{CANARY}\n{CANARY}\n",
        "up.json": {"hub.test": {"password": CANARY}},
    }
    paths = {name: str(validate.write(content, name)) for name, content in files.items()}
    document = good(
        tmp_path,
        auth={
            "sessionKeysFile": paths["keys.json"],
            "htpasswd": {"path": paths["htpasswd"]},
            "openid": {
                "providers": {"oidc": {"credentialsFile": paths["oidc.json"], "issuer": "https://127.0.0.1:1", "scopes": ["openid"]}}
            },
        },
    )
    document["extensions"] = {"sync": {"credentialsFile": paths["up.json"], "registries": []}}
    path = validate.write(document)
    for remote_src in (True, False):
        result = validate(path=str(path), remote_src=remote_src, show=True, advice=True)
        assert {"ZOT319", "ZOT310"} <= set(codes(result))
        assert CANARY not in json.dumps(result)
    assert CANARY not in capsys.readouterr().out
