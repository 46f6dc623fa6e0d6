# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import traceback

import pytest
from ansible_collections.blumeops.zot.plugins.action.forgejo_actions_secrets import ActionModule
from support.forge import standin_forge
from support.modules import Action
from support.web import answer, self_signed, servers

CANARY = "canary-84d0-value"
WHERE = "repos/eblume/blumeops"


class NoWaiting(ActionModule):
    """Waits without passing time."""

    class clock:  # noqa: N801 - stands for a module
        from time import monotonic, time

        @staticmethod
        def sleep(seconds):
            """At once."""


class Publish:
    """The task, for one repository of a forge of its own."""

    def __init__(self, forge):
        self.forge = forge
        forge.make_repository("eblume", "blumeops")
        self.token = forge.token("eblume", "write:repository")
        self.task = Action(NoWaiting)

    def __call__(self, *secrets, check=False, **options):
        rows = [{"name": name, **({"store": given} if isinstance(given, dict) else {"value": given})} for name, given in secrets]
        given = {"url": self.forge.url, "token": self.token, "scopes": [{"repository": "eblume/blumeops", "secrets": rows}], **options}
        result = self.task(check, **{name: value for name, value in given.items() if value is not None})
        assert CANARY not in json.dumps(result)
        assert self.token not in json.dumps(result)
        return result

    @property
    def secrets(self):
        return self.forge.secrets(WHERE)


@pytest.fixture
def publish():
    with standin_forge() as forge:
        yield Publish(forge)


def test_created_then_unchanged(publish):
    result = publish(("zot_ci_api_key", f"{CANARY}\n"))
    assert (result["changed"], result["scopes"][0]["created"]) == (True, ["ZOT_CI_API_KEY"])
    assert result["diff"] == [
        {
            "before_header": "repository eblume/blumeops",
            "after_header": "repository eblume/blumeops",
            "before": "",
            "after": "secret ZOT_CI_API_KEY: declared value\n",
        }
    ]
    assert publish.secrets == {"ZOT_CI_API_KEY": CANARY}
    result = publish(("zot_ci_api_key", CANARY))
    assert (result["changed"], result["diff"], result["scopes"][0]["unchanged"]) == (False, [], ["ZOT_CI_API_KEY"])


def test_check_mode_tells_the_same_and_writes_nothing(publish):
    predicted = publish(("A", CANARY), check=True)
    assert publish.secrets == {}
    assert {seen.method for seen in publish.forge.requests} == {"GET"}
    assert predicted == publish(("A", CANARY))


def test_what_an_earlier_task_would_make_is_foretold_in_a_check_and_published_in_a_run(publish, tmp_path):
    path = tmp_path / "store.json"
    store = {"kind": "file", "path": str(path), "field": "key"}
    scopes = [{"repository": "eblume/blumeops", "secrets": [{"name": "KEY", "store": store, "pending": True}]}]
    assert publish(scopes=scopes, check=True)["scopes"][0]["created"] == ["KEY"]
    result = publish(scopes=scopes)
    assert (result["failed"], "has no field 'key'" in result["msg"]) == (True, True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"key": CANARY}))
    assert publish(scopes=scopes)["scopes"][0]["created"] == ["KEY"]
    assert publish.secrets == {"KEY": CANARY}
    predicted = publish(scopes=scopes, check=True)
    assert (predicted["changed"], predicted["scopes"][0]["rotated"]) == (True, ["KEY"])
    assert predicted["diff"][0]["before"] == "secret KEY: another value\n"
    assert publish(scopes=scopes)["changed"] is False


def test_token_and_value_may_be_fields_of_one_file(publish, tmp_path):
    path = tmp_path / "store.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"api-token": publish.token, "zot-ci-api": CANARY}))
    store = {"kind": "file", "path": str(path)}
    result = publish(("ZOT_CI_API_KEY", {**store, "field": "zot-ci-api"}), token=None, token_store={**store, "field": "api-token"})
    assert result["changed"]
    assert publish.secrets == {"ZOT_CI_API_KEY": CANARY}


def test_a_value_may_be_in_the_environment_and_a_whole_file(publish, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOT_CI_API_KEY", CANARY)
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(f"{CANARY}-file\n")
    publish(("A", {"kind": "environment", "field": "ZOT_CI_API_KEY"}), ("B", {"kind": "file", "path": str(path)}))
    assert publish.secrets == {"A": CANARY, "B": f"{CANARY}-file"}


def test_what_was_done_before_a_failure_is_told(publish):
    scopes = [
        {"repository": "eblume/blumeops", "secrets": [{"name": "A", "value": CANARY}]},
        {"repository": "eblume/cv", "secrets": [{"name": "A", "value": CANARY}]},
    ]
    publish.forge.make_repository("eblume", "cv")
    publish.forge.fail(403, method="PUT", path="/cv/")
    result = publish(scopes=scopes)
    assert (result["failed"], result["changed"], [row["scope"] for row in result["scopes"]]) == (True, True, ["repository eblume/blumeops"])
    assert set(publish.secrets) == {"A"}


def test_every_scope_is_looked_at_before_the_first_is_changed(publish):
    scopes = [{"repository": f"eblume/{name}", "secrets": [{"name": "A", "value": CANARY}]} for name in ("blumeops", "missing")]
    result = publish(scopes=scopes)
    assert result["failed"]
    assert "repository eblume/missing: its variables cannot be read (404)" in result["msg"]
    assert publish.secrets == {}


def test_warnings_are_told(publish):
    assert "MY_GITEA_X" in publish(("my_gitea_x", CANARY))["warnings"][0]
    publish(("A", CANARY))
    publish.forge.state.variables[publish.forge.state.scope_key(WHERE)]["ANSIBLE_SECRETS_FINGERPRINTS"].value = "broken"
    result = publish(("A", CANARY))
    assert result["scopes"][0]["unknown"] == ["A"]
    assert "could not be read" in result["warnings"][0]
    assert "warnings" not in publish(("A", CANARY))


def test_force_is_in_any_case(publish):
    publish(("A", CANARY))
    assert publish(("A", CANARY), force=["a"])["scopes"][0]["forced"] == ["A"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": ""}, "the token is empty"),
        ({"token": None}, "one of the following is required: token, token_store"),
        ({"token_store": {"kind": "environment", "field": "X"}}, "mutually exclusive"),
        ({"token": None, "token_store": {"kind": "environment", "field": "NOT_SET_ANYWHERE"}}, "has no field 'NOT_SET_ANYWHERE'"),
        ({"url": "forge.test"}, "https://forge.example.org"),
        ({"ca_path": "/nowhere/ca.pem"}, "there is no file /nowhere/ca.pem"),
        ({"lock_lease": 5}, "lock_lease"),
        ({"lock_wait": -1}, "lock_wait"),
        ({"force": ["a-b"]}, "force: a name is letters"),
        (
            {"scopes": [{"repository": "eblume/blumeops", "secrets": [{"name": CANARY, "value": "x"}]}]},
            "scopes[0].secrets[0]: a name is letters",
        ),
        ({"scopes": [{"repository": "eblume/blumeops", "secrets": [{"name": "A", "value": {CANARY: CANARY}}]}]}, "to_json"),
        ({"scopes": [{"repository": "eblume/blumeops", "secrets": [{"name": "A", "store": {"kind": "file"}}]}]}, "path"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_is_wrong_with_the_options_is_told_before_anything_is_asked(publish, options, words, check):
    try:
        result = publish(("A", CANARY), check=check, **options)
    except Exception as error:  # of Ansible's own validation
        told = "".join(traceback.format_exception(error))
        assert CANARY not in told
    else:
        assert result["failed"]
        told = result["msg"]
    assert words in told
    assert publish.forge.requests == []


def test_a_certificate_that_is_not_trusted_is_told_and_may_be(publish, tmp_path):
    certificate = tmp_path / "cert.pem"
    with servers() as serve:
        server = serve(answer("200 OK", b"[]"), self_signed(certificate, "localhost"))
        url = f"https://localhost:{server.port}"
        result = publish(("A", CANARY), url=url, check=True)
        assert result["failed"]
        assert "is not trusted" in result["msg"]
        assert server.asked == []
        for trust in ({"ca_path": str(certificate)}, {"validate_certs": False}):
            assert publish(("A", CANARY), url=url, check=True, **trust)["scopes"][0]["created"] == ["A"]


def test_who_answers_html_is_no_forge(publish):
    with servers() as serve:
        server = serve(answer("200 OK", b"<html>", "Content-Type: text/html"))
        result = publish(("A", CANARY), url=server.url)
        assert result["failed"]
        assert "text/html" in result["msg"]


def test_nothing_is_sent_where_the_forge_redirects(publish):
    with servers() as serve:
        other = serve(answer("200 OK", b"[]"))
        server = serve(answer("302 Found", b"", f"Location: {other.url}/login?token={CANARY}"))
        result = publish(("A", CANARY), url=server.url)
        assert result["failed"]
        assert "sends to http://127.0.0.1" in result["msg"]
        assert other.asked == []


def test_who_does_not_answer_is_unreachable(publish):
    publish.forge.fail(times=99)
    result = publish(("A", CANARY))
    assert result["failed"]
    assert "does not answer" in result["msg"]
    assert len(publish.forge.requests) == 4
