# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.filter.access_matrix import FilterModule

CANARY = "canary-3c9f"
access_matrix = FilterModule().filters()["access_matrix"]


def registry(**control):
    return {"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": 5000, "accessControl": control}}


TIERS = registry(
    repositories={
        "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"], "policies": [{"groups": ["ci"], "actions": ["read", "create"]}]},
        "team/**": {"defaultPolicy": ["read"], "policies": [{"users": ["ada"], "actions": ["read", "create", "update"]}]},
    },
    groups={"ci": {"users": ["bot"]}},
    adminPolicy={"users": ["root"], "actions": ["read", "create", "update", "delete"]},
)


def rights(entries):
    """(kind, who, where) -> the actions that are allowed, by their first letters."""
    return {
        (entry["kind"], entry["who"], entry["where"]): "".join(key[0] for key, told in entry["actions"].items() if told["allowed"])
        for entry in entries
    }


def test_without_names_everybody_and_every_kind_of_repository_is_told():
    assert rights(access_matrix(TIERS, release="2.1.20")) == {
        ("anonymous", "anonymous", "team/**"): "",
        ("anonymous", "anonymous", "**"): "r",
        ("authenticated", "somebody logged in", "team/**"): "r",
        ("authenticated", "somebody logged in", "**"): "r",
        ("group", "ci", "team/**"): "r",
        ("group", "ci", "**"): "rc",
        ("user", "ada", "team/**"): "rcu",
        ("user", "ada", "**"): "r",
        ("user", "bot", "team/**"): "r",
        ("user", "bot", "**"): "rc",
        ("user", "root", "team/**"): "rcud",
        ("user", "root", "**"): "rcud",
    }


def test_an_entry_says_by_which_pattern_and_why_and_is_plain_data():
    (entry,) = access_matrix(TIERS, users=["ada"], repositories=["team/app"])
    assert entry == {
        "who": "ada",
        "kind": "user",
        "where": "team/app",
        "witness": "team/app",
        "actions": {
            "read": {"allowed": True, "certain": True, "rule": "team/**", "why": "user ada may read"},
            "create": {"allowed": True, "certain": True, "rule": "team/**", "why": "user ada may create"},
            "update": {"allowed": True, "certain": True, "rule": "team/**", "why": "user ada may update"},
            "delete": {"allowed": False, "certain": True, "rule": "team/**", "why": "nothing there allows ada to delete"},
        },
    }
    assert json.loads(json.dumps(entry)) == entry


def test_those_who_are_named_are_told_alone():
    found = access_matrix(TIERS, users=["", "bot", "nobody", {"name": "eve", "groups": ["ci"]}], groups=["ci", "new"], repositories=["app"])
    assert rights(found) == {
        ("group", "ci", "app"): "rc",
        ("group", "new", "app"): "r",
        ("anonymous", "anonymous", "app"): "r",
        ("user", "bot", "app"): "rc",
        ("user", "nobody", "app"): "r",
        ("user", "eve", "app"): "rc",
    }
    assert {entry["where"] for entry in access_matrix(TIERS, groups=["ci"])} == {"team/**", "**"}


def test_the_document_is_read_as_zot_reads_it():
    spelled = {"HTTP": {"ACCESScontrol": {"Repositories": {"Team/**": {"anonymouspolicy": "read", "defaultPolicy": None}}}}}
    assert rights(access_matrix(spelled, users=[""], repositories=["team/a"])) == {("anonymous", "anonymous", "team/a"): "r"}


@pytest.mark.parametrize(("release", "told"), [("2.1.2", "rc"), ("2.1.3", "")])
def test_up_to_2_1_2_a_text_is_split_at_its_commas(release, told):
    document = registry(repositories={"**": {"anonymousPolicy": "read,create"}})
    assert list(rights(access_matrix(document, release=release, users=[""])).values()) == [told]


def test_without_access_control_everybody_may_do_everything():
    found = access_matrix({"http": {"port": 5000}})
    assert set(rights(found).values()) == {"rcud"}
    assert found[0]["actions"]["delete"]["why"] == "there is no accessControl: everybody may do everything"


def test_what_is_decided_at_random_is_not_certain():
    document = registry(repositories={"a*": {"anonymousPolicy": ["read"]}, "*a": {"defaultPolicy": ["read"]}})
    (entry,) = access_matrix(document, users=[""], repositories=["aa"])
    assert entry["actions"]["read"]["certain"] is False


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps(TIERS), "config.json"),
        ("http: {accessControl: {repositories: {'**': {anonymousPolicy: [read]}}}}", "/etc/zot/config.yaml"),
        ('[http.accessControl.repositories."**"]\nanonymousPolicy = ["read"]\n', "config.toml"),
    ],
)
def test_the_text_of_a_file_will_do(text, name):
    assert list(rights(access_matrix(text, users=[""], repositories=["a"], file_name=name)).values()) == ["r"]


def test_what_zot_refuses_elsewhere_does_not_matter():
    document = registry(repositories={"**": {"anonymousPolicy": ["read"]}})
    document["http"]["prot"] = document["extensions"] = {"search": {"enable": "perhaps"}}
    assert set(rights(access_matrix(document, users=[""])).values()) == {"r"}


@pytest.mark.parametrize(
    ("document", "options", "message"),
    [
        ([CANARY], {}, "a configuration is a mapping, or the text of its file"),
        (f"{{}}{CANARY}", {}, "config.json cannot be read as a configuration: no valid JSON: line 1, column 3: Extra data"),
        (f"[{CANARY}", {"file_name": "c.yml"}, "c.yml cannot be read as a configuration: no valid YAML"),
        ({"http": CANARY}, {}, "http: "),
        (registry(repositories=CANARY), {}, "http.accessControl.repositories: "),
        (registry(repositories={"**": {"policies": [{"users": [[CANARY]]}]}}), {}, 'repositories["**"].policies[0].users[0]: '),
        ({"extensions": {"sync": {"registries": [{"content": CANARY}]}}}, {}, "extensions.sync.registries[0].content[0]: "),
        ({"http": {1: CANARY}}, {}, "the key 1 is a int, not text"),
        (TIERS, {"release": "newest"}, "'newest' is not a zot release"),
        (TIERS, {"users": "ada"}, "users: a list of names is wanted"),
        (TIERS, {"groups": [{"name": "ci"}]}, "groups: a list of names is wanted"),
        (TIERS, {"users": [{"groups": ["ci"]}]}, "users: each is a name, or a mapping of a name and a list of groups"),
        (TIERS, {"users": [{"name": "ada", "group": ["ci"]}]}, "users: each is a name"),
        (TIERS, {"users": [{"name": "ada", "groups": "ci"}]}, "users: each is a name"),
        (
            registry(repositories={"{a,b}" * 12: {"defaultPolicy": ["read"]}}),
            {},
            "the repositories' patterns meet in more ways than can be followed",
        ),
    ],
)
def test_what_cannot_be_told_is_one_error_that_quotes_nothing(document, options, message):
    with pytest.raises(AnsibleFilterError) as raised:
        access_matrix(document, **options)
    assert message in str(raised.value)
    assert CANARY not in str(raised.value)
    assert raised.value.__cause__ is None
