# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, as zot decides it; recorded answers are replayed in tests/contract/test_access.py."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import (
    ANONYMOUS,
    Identity,
    control_of,
    decide,
    deciding_patterns,
    groups_of,
    listed,
    member,
)

JANE = Identity("jane")


def document(repositories=None, **control):
    return {"http": {"accesscontrol": {"repositories": repositories or {}, **control}}}


def allowed(given, who, action, name, **more):
    return decide(given, who, action, name, **more).allowed


@pytest.mark.parametrize("given", [{}, {"http": {}}, {"http": {"accesscontrol": {}}}, {"http": None}])
def test_without_access_control_everybody_may_do_everything(given) -> None:
    decision = decide(given, ANONYMOUS, "delete", "a")
    assert decision.allowed and decision.certain
    assert "no accessControl" in decision.why
    assert control_of(given) is None
    assert listed(given, ANONYMOUS, "a")


def test_the_longest_pattern_alone_decides() -> None:
    given = document({"**": {"defaultpolicy": ["read"]}, "a/**": {"defaultpolicy": ["create"]}})
    assert not allowed(given, JANE, "read", "a/b")
    assert allowed(given, JANE, "create", "a/b")
    assert decide(given, JANE, "read", "b").rule == "**"
    assert decide(given, JANE, "read", "a/b").rule == "a/**"


def test_length_is_in_bytes() -> None:
    assert deciding_patterns(["[aé]", "[abc]"], "a") == ["[aé]", "[abc]"]


def test_the_empty_pattern_is_for_what_none_matches() -> None:
    assert deciding_patterns(["", "a/**"], "b") == [""]
    assert deciding_patterns(["", "a/**"], "a/b") == ["a/**"]
    assert deciding_patterns(["a/**"], "b") == []
    assert decide(document({"a": {}}), JANE, "read", "b").why == "no pattern matches"


def test_users_groups_default_and_anonymous() -> None:
    policies = [{"users": ["jane"], "actions": ["create"]}, {"groups": ["ops"], "actions": ["delete"]}]
    given = document({"**": {"policies": policies, "defaultpolicy": ["read"], "anonymouspolicy": ["update"]}})
    assert decide(given, JANE, "create", "a").why == "user jane may create"
    assert decide(given, Identity("bob", frozenset(["ops"])), "delete", "a").why == "group ops may delete"
    assert decide(given, JANE, "read", "a").why == "defaultPolicy: everybody who is logged in may read"
    assert not allowed(given, ANONYMOUS, "read", "a")
    assert allowed(given, ANONYMOUS, "update", "a")
    assert not allowed(given, JANE, "update", "a")
    assert decide(given, ANONYMOUS, "read", "a").why == "nothing there allows anonymous to read"


def test_an_empty_user_name_is_anonymous() -> None:
    assert allowed(document({"**": {"policies": [{"users": [""], "actions": ["read"]}]}}), ANONYMOUS, "read", "a")


def test_administrators_may_what_their_policy_says() -> None:
    admin = {"users": ["root"], "groups": ["admins"], "actions": ["read", "delete"]}
    given = document({"a/**": {"defaultpolicy": []}}, adminpolicy=admin)
    assert allowed(given, Identity("root"), "delete", "a/b")
    assert decide(given, Identity("eve", frozenset(["admins"])), "read", "zzz").why == "adminPolicy: group admins may read"
    assert not allowed(given, Identity("root"), "create", "a/b")
    assert listed(document(adminpolicy={"users": ["root"], "actions": []}), Identity("root"), "a")
    assert not listed(given, JANE, "a/b")


def test_patterns_of_one_length_are_uncertain_where_they_differ() -> None:
    given = document({"team-*/**": {"defaultpolicy": ["read"]}, "team-a/**": {"defaultpolicy": ["read", "create"]}})
    assert decide(given, JANE, "read", "team-a/x").certain
    tie = decide(given, JANE, "create", "team-a/x")
    assert (tie.allowed, tie.certain) == (False, False)
    assert "'team-*/**' and 'team-a/**'" in tie.why
    sure = {**given["http"]["accesscontrol"], "adminpolicy": {"users": ["jane"], "actions": ["create"]}}
    assert decide({"http": {"accesscontrol": sure}}, JANE, "create", "team-a/x").certain


def test_a_condition_is_uncertain() -> None:
    policy = {"users": ["jane"], "actions": ["read"], "conditions": [{"expression": "req.tag == 'x'"}]}
    decision = decide(document({"**": {"policies": [policy]}}), JANE, "read", "a")
    assert (decision.allowed, decision.certain) == (True, False)
    both = [policy, {"users": ["jane"], "actions": ["read"]}]
    assert decide(document({"**": {"policies": both}}), JANE, "read", "a").certain
    given = document({"**": {"defaultpolicy": []}}, adminpolicy=policy)
    assert not decide(given, JANE, "read", "a").certain


def test_up_to_2_1_14_latest_was_anybodys_who_may_create() -> None:
    given = document({"**": {"defaultpolicy": ["create"]}})
    assert allowed(given, JANE, "update", "a", reference="latest", release=(2, 1, 14))
    assert not allowed(given, JANE, "update", "a", reference="latest", release=(2, 1, 15))
    assert not allowed(given, JANE, "update", "a", reference="v1", release=(2, 1, 14))


def test_groups_come_from_the_configuration_and_from_the_login() -> None:
    control = {"groups": {"ops": {"users": ["jane"]}, "empty": None}}
    assert groups_of(control, "jane") == {"ops"}
    assert member(control, "jane", ["idp"]).groups == {"ops", "idp"}
    assert groups_of(None, "jane") == frozenset()
