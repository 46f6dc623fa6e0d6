# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
import re

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action import zot_access_probe
from ansible_collections.blumeops.zot.plugins.action.zot_access_probe import ActionModule, Asker, compare
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ANONYMOUS, Identity, decide
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import load
from contract.images import lay_down
from support.modules import Action
from support.web import answer, servers
from support.zot_binary import free_port, serving, standin_zot, write_htpasswd

probe = Action(ActionModule)
CANARY = "canary-5b1e"
CI = {"name": "ci", "password": CANARY}
KEYS = {"who", "repository", "action", "expected", "answered", "rule", "why"}
READERS = {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}
MAKERS = {"defaultPolicy": ["read"], "policies": [{"groups": ["makers"], "actions": ["read", "create"]}]}
CONTROL = {"groups": {"makers": {"users": ["ci"]}}, "repositories": {"**": READERS, "team/**": MAKERS}}


@pytest.fixture(scope="module")
def zot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zot")
    lay_down(folder / "registry", "team/app", ["v1"])
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", {"ci": CANARY}))}, "apikey": True}
    config = {"http": {"auth": auth, "accessControl": CONTROL}, "extensions": {"search": {"enable": True}}}
    with serving(standin_zot(folder / "bin"), config, folder) as running:
        yield running


def ask(zot, check=False, **options):
    given = {} if "document" in options or zot is None else {"config_path": str(zot.config_path)}
    return probe(check, **{**given, "release": "2.1.20", "identities": [CI], **options})


def declared(zot, actions):
    """Another configuration than the one that is served."""
    document = copy.deepcopy(zot.config)
    document["http"]["accessControl"]["repositories"]["team/**"]["policies"][0]["actions"] = actions
    return document


# ---- it answers as declared


@pytest.mark.parametrize("check", [True, False])
def test_where_nothing_differs_that_is_said_and_check_mode_asks_too(zot, check):
    result = ask(zot, check, repositories=["team/other", "team/app"])
    assert (result["failed"], result["changed"], result["wrong"], result["unsure"]) == (False, False, [], [])
    assert (result["url"], result["release"], result["asked"]) == (zot.url, "2.1.20", 26)
    assert result["msg"] == f"zot at {zot.url} answers 26 questions as its configuration says, 2 not asked"
    assert "warnings" not in result
    assert {(row["repository"], row["action"]) for row in result["unasked"]} == {("team/other", "update"), ("x", "update")}
    assert {row["repository"] for row in result["answers"]} == {"team", "x", "team/other", "team/app"}
    assert all(set(row) == {*KEYS, "certain"} for row in result["answers"])
    assert [call.get("state", "slurp") for call in probe.ran] == ["slurp", "probe", "probe"]


def test_without_anything_stored_one_call_is_enough(zot):
    assert ask(zot, identities=[])["asked"] == 6, "anonymous see nothing"
    assert [call.get("state", "slurp") for call in probe.ran] == ["slurp", "probe"]


def test_a_password_may_be_in_a_store(zot, tmp_path):
    reference = {"kind": "file", "path": str(tmp_path / "keys.json"), "field": "ci"}
    failed = ask(zot, identities=[{"name": "ci", "store": reference}])
    assert (failed["failed"], probe.states) == (True, [])
    assert "has no field 'ci'" in failed["msg"]
    (tmp_path / "keys.json").touch(mode=0o600)
    (tmp_path / "keys.json").write_text(json.dumps({"ci": CANARY}))
    given = ask(zot, identities=[{"name": "ci", "store": reference}])
    assert given == ask(zot)
    assert CANARY not in str(given)


def test_a_document_may_be_given_and_needs_no_file(zot):
    assert ask(zot, document=zot.config)["wrong"] == []
    assert probe.states == ["probe", "probe"]


# ---- it does not


@pytest.mark.parametrize("check", [True, False])
def test_every_difference_is_told_and_fails(zot, check):
    result = ask(zot, check, document=declared(zot, ["read", "delete"]))
    assert (result["failed"], result["changed"]) == (True, False)
    assert "answers" not in result, "all of them would be shown"
    row = {"who": "ci", "repository": "team", "rule": "team/**", "severity": "error"}
    assert result["wrong"] == [
        {**row, "action": "create", "expected": "denied", "answered": "allowed", "why": "nothing there allows ci to create"},
        {**row, "action": "delete", "expected": "allowed", "answered": "denied", "why": "group makers may delete"},
    ]
    assert result["msg"].splitlines() == [
        f"zot at {zot.url} does not answer as its configuration says (2 problems in 14 answers):",
        "- ci may create team; declared is denied ('team/**': nothing there allows ci to create)",
        "- ci may not delete team; declared is allowed ('team/**': group makers may delete)",
        "zot may run with another configuration than this: restart it, or mend what differs",
    ]


def test_a_difference_need_not_fail(zot):
    result = ask(zot, document=declared(zot, ["read"]), fail=False)
    assert (result["failed"], len(result["wrong"]), len(result["warnings"]), len(result["answers"])) == (False, 1, 1, 14)
    assert "ci may create team" in result["warnings"][0]


def test_a_wrong_password_is_a_failure_of_its_own_and_the_rest_is_asked(zot):
    result = ask(zot, identities=[{"name": "ci", "password": "canary-wrong"}])
    assert (result["failed"], result["refused"], result["wrong"], result["asked"]) == (True, ["ci"], [], 6)
    assert "- the password of ci is refused: it is another, or there is no such user" in result["msg"]
    assert "canary" not in json.dumps([result, [call["answer"] for call in probe.ran]])


def test_another_release_than_was_declared_is_a_warning(zot):
    assert ask(zot, release="2.1.19")["warnings"] == [f"{zot.url} is zot 2.1.20, and what is declared was read as zot 2.1.19 reads it"]


# ---- what is declared


AUTH = {"htpasswd": {"path": "/x"}}
PIECES = [
    # what is configured, and whether anonymous may read then
    ({}, True),
    ({"auth": AUTH}, False),
    ({"auth": {"apikey": True}}, False),
    ({"auth": {"ldap": {"address": "x"}}}, False),
    ({"tls": {"cert": "/c", "key": "/k", "cacert": "/a"}}, False),
    ({"tls": {"cert": "/c", "key": "/k"}}, True),
    ({"auth": AUTH, "accessControl": {"repositories": {"**": {"anonymousPolicy": ["read"]}}}}, True),
    ({"auth": AUTH, "accessControl": {"repositories": {"**": {"policies": [{"users": [""], "actions": ["read"]}]}}}}, False),
    (
        {
            "auth": AUTH,
            "accessControl": {
                "repositories": {"**": {"policies": [{"users": [""], "actions": ["read"]}]}, "x": {"anonymousPolicy": ["delete"]}}
            },
        },
        True,
    ),
]


@pytest.mark.parametrize(("http", "allowed"), PIECES)
def test_whether_anonymous_need_a_login_is_known(http, allowed):
    document = load({"http": http}, Release("2.1.20"), "it")
    assert decide(document, ANONYMOUS, "read", "app").allowed is allowed


def test_a_tag_that_old_releases_let_creators_overwrite_is_known():
    document = load({"http": {"accessControl": CONTROL}}, Release("2.1.14"), "it")
    ci = Asker(Identity("ci", frozenset(["makers"])))
    row = {"who": 0, "action": "update", "repository": "team/x", "tag": "latest", "answered": "allowed", "status": 415}
    assert compare(document, [ci], [row], (2, 1, 14))["wrong"] == []
    assert len(compare(document, [ci], [row], (2, 1, 15))["wrong"]) == 1


def test_what_is_up_to_chance_is_no_failure():
    repositories = {"a/*": {"defaultPolicy": ["read"]}, "*/b": {"defaultPolicy": ["create"]}}
    document = load({"http": {"accessControl": {"repositories": repositories}}}, Release("2.1.20"), "it")
    row = {"who": 0, "action": "read", "repository": "a/b", "tag": "", "answered": "allowed", "status": 404}
    found = compare(document, [Asker(Identity("ann"))], [row], (2, 1, 20))
    assert (found["wrong"], [unsure["why"] for unsure in found["unsure"]]) == (
        [],
        ["'a/*' and '*/b' are of one length, and zot decides by either at random"],
    )


def test_what_tells_nothing_is_a_failure_with_its_status(zot, monkeypatch):
    def broken(*arguments):
        found = compare(*arguments)
        return {**found, "untold": [{**found["answers"][0], "status": 500}]}

    monkeypatch.setattr(zot_access_probe, "compare", broken)
    assert "- anonymous, read team: zot answers 500" in ask(zot)["msg"]


def test_tokens_of_another_service_cannot_be_asked_for(zot):
    document = {"http": {"auth": {"bearer": {"realm": "r", "service": "s", "cert": "/c"}}}}
    result = ask(zot, document=document, identities=[])
    assert (result["failed"], result["asked"], len(result["unasked"])) == (False, 0, 4)
    reason = "with http.auth.bearer the tokens of another service say who may do what"
    assert result["warnings"] == [f"zot was not asked who may do what: {reason}"]
    assert probe.ran == []


def test_patterns_that_meet_in_too_many_ways_leave_what_was_named(zot):
    document = copy.deepcopy(zot.config)
    many = {"{" + ",".join(f"{letter}{number}" for number in range(1100)) + "}": READERS for letter in "ab"}
    document["http"]["accessControl"]["repositories"] = {**many, **CONTROL["repositories"]}
    result = ask(zot, document=document, repositories=["team/app"])
    assert (result["failed"], {row["repository"] for row in result["answers"]}) == (False, {"team/app"})
    assert result["unasked"][0]["reason"].startswith("the patterns meet in more ways than can be followed")


# ---- failures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": [{"name": "c:i", "password": CANARY}]}, "identities: 'c:i' cannot log in: a name is not empty and has no colon"),
        ({"repositories": ["Team/App"]}, "repositories: 'Team/App' is no name of a repository"),
        ({"repositories": ["../x"]}, "repositories: '../x' is no name of a repository"),
        ({"url": f"https://ci:{CANARY}@registry"}, "url: scheme, host and port are wanted"),
        ({"url": f"https://:{CANARY}@registry"}, "url: scheme, host and port are wanted"),
        ({"url": "ftp://registry"}, "url: scheme, host and port are wanted"),
        ({"url": "https://registry/v2"}, "url: scheme, host and port are wanted"),
        ({"url": "https://registry:x"}, "url: scheme, host and port are wanted"),
        ({"release": "2.0.4"}, "zot 2.0.4 is older than 2.1.0"),
        ({"config_path": "/nowhere/config.json"}, "/nowhere/config.json cannot be read on the host"),
        ({"document": {"http": {"prot": 1}}}, "document is no configuration of zot 2.1.20: http.prot: unknown key; did you mean port?"),
        ({"document": {"http": {}}}, "identities: ci cannot be asked for, as this configuration takes no passwords"),
        (
            {"document": {"http": {}}, "identities": [{"name": "ci", "api_key": CANARY}]},
            "identities: ci cannot be asked for, as this configuration takes no API keys",
        ),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_asked(zot, options, message):
    result = ask(zot, **options)
    assert (result["failed"], result.get("changed", False)) == (True, False)
    assert message in result["msg"]
    assert CANARY not in str(result)
    assert probe.states == []


def test_a_file_that_is_no_configuration_is_told(zot, tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    assert ask(zot, config_path=str(path))["msg"].startswith(f"{path}: no valid JSON")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: config_path, document"),
        ({"config_path": "/x", "document": {}}, "parameters are mutually exclusive: config_path|document"),
        ({"config_path": "/x", "identities": [{"name": "ci"}]}, "one of the following is required: password, api_key"),
        (
            {"config_path": "/x", "identities": [{"name": "ci", "password": CANARY, "api_key": CANARY}]},
            "parameters are mutually exclusive: password|api_key",
        ),
    ],
)
def test_the_arguments_are_judged(options, message):
    with pytest.raises(AnsibleActionFail, match=re.escape(message)) as error:
        probe(release="2.1.20", **options)
    assert CANARY not in str(error.value)


def test_where_no_zot_answers_there_is_one_clear_error(zot):
    url = f"http://127.0.0.1:{free_port()}"
    assert ask(zot, url=url, wait_timeout=0)["msg"] == f"no zot is ready at {url}: Connection refused; nothing was asked"
    with servers() as start:
        page = start(answer("200 OK", b"<html>", "Content-Type: text/html"))
        result = ask(zot, url=page.url)
        assert result["msg"] == f"{page.url} is no registry: /v2/ answers 200 with a page for people; nothing was asked"
        assert (result["failed"], CANARY in str(page.asked)) == (True, False)


def test_nothing_of_a_secret_is_in_what_people_see(zot):
    results = [ask(zot), ask(zot, document=declared(zot, ["delete"])), ask(zot, url=f"http://127.0.0.1:{free_port()}", wait_timeout=0)]
    shown = [results, [call["answer"] for call in probe.ran], repr(Asker(ANONYMOUS, CANARY))]
    assert CANARY not in json.dumps(shown)


def test_a_password_that_is_a_common_word_garbles_no_result(tmp_path):
    """Ansible covers every text of a result in which a secret option's value is found."""
    words = {name: name for name in ("read", "team", "allowed", "40")}
    auth = {"htpasswd": {"path": str(write_htpasswd(tmp_path / "htpasswd", words))}}
    config = {"http": {"auth": auth, "accessControl": CONTROL}}
    with serving(standin_zot(tmp_path / "bin"), config, tmp_path) as running:
        result = ask(running, identities=[{"name": name, "password": word} for name, word in words.items()])
    assert (result["failed"], result["asked"]) == (False, 30)


def test_a_configuration_that_zot_does_not_load_is_refused_by_its_place():
    with pytest.raises(ZotError, match=r"it is no configuration of zot 2\.1\.20: http.accessControl.repositories"):
        load({"http": {"accessControl": {"repositories": {"**": {"policies": [{"actions": {"a": 1}}]}}}}}, Release("2.1.20"), "it")
    assert load({"http": {"unheardOf": 1}}, Release("2.1.99"), "it")["http"] == {}
