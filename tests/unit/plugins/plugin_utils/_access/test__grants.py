# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants

TIERS = [
    {"anonymous": True, "actions": ["read"]},
    {"groups": ["artifact-workloads"], "actions": ["create", "read"]},
    {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
]


def compiled(grants):
    return compile_grants(parse_grants(grants))


def test_tiers_become_one_entry():
    assert compiled(TIERS) == {
        "**": {
            "defaultPolicy": [],
            "anonymousPolicy": ["read"],
            "policies": [
                {"groups": ["artifact-workloads"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        }
    }


def test_no_grants_deny_everything():
    assert compiled([]) == {"**": {"defaultPolicy": []}}


def test_a_pattern_repeats_what_holds_everywhere():
    entries = compiled([*TIERS, {"users": ["bob"], "actions": ["create"], "repositories": ["blumeops/**"]}])
    assert set(entries) == {"**", "blumeops/**"}
    everywhere, inside = entries["**"]["policies"], entries["blumeops/**"]["policies"]
    assert inside == [*everywhere, {"users": ["bob"], "actions": ["create"]}]
    assert entries["blumeops/**"]["anonymousPolicy"] == ["read"]


def test_grants_of_one_pattern_add_up():
    grants = [
        {"authenticated": True, "actions": ["create"], "repositories": ["team/**"]},
        {"authenticated": True, "actions": ["read"], "repositories": ["TEAM/**"]},
    ]
    assert compiled(grants)["team/**"] == {"defaultPolicy": ["read", "create"]}


def test_patterns_that_meet_are_told_apart_by_their_length():
    entries = compiled(
        [
            {"anonymous": True, "actions": ["read"], "repositories": ["team-*/**"]},
            {"users": ["bob"], "actions": ["create"], "repositories": ["team-a/**"]},
        ]
    )
    assert set(entries) == {"**", "team-*/**", "{team-a/**}"}
    assert entries["{team-a/**}"] == {
        "defaultPolicy": [],
        "anonymousPolicy": ["read"],
        "policies": [{"users": ["bob"], "actions": ["create"]}],
    }


def test_a_refusal_names_a_repository_and_the_grants():
    grants = [
        {"anonymous": True, "actions": ["read"], "repositories": ["team-?/nix-*"]},
        {"users": ["bob"], "actions": ["create"], "repositories": ["*-x/**"]},
    ]
    with pytest.raises(ZotError, match=r"zot_grants: 'team-x/nix-x' falls under zot_grants\[0\] and zot_grants\[1\], and zot uses one"):
        compiled(grants)


@pytest.mark.parametrize(
    ("grant", "message"),
    [
        ({"anonymous": True, "action": ["read"]}, r"zot_grants\[0\]: unknown key 'action'; a grant has anonymous"),
        ({"anonymous": True, "actions": ["write"]}, r"zot_grants\[0\]\.actions: unknown action 'write'; zot knows read"),
        ({"anonymous": True}, "no actions"),
        ({"actions": ["read"]}, "names nobody"),
        ({"users": [""], "actions": ["read"]}, "an empty name"),
        ({"users": "bob", "actions": ["read"]}, "a list of names"),
        ({"anonymous": "yes", "actions": ["read"]}, "true or false is wanted"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["/a/**"]}, "can match no repository"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["a/"]}, "can match no repository"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["a["]}, "is no glob"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["abc::d"]}, "nested keys"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["**/"]}, "can match no repository"),
        ({"anonymous": True, "actions": ["read"], "repositories": "team/**"}, r"repositories: a list of names"),
        ({"anonymous": True, "actions": ["read"], "repositories": [""]}, r"repositories: an empty name"),
        ({"authenticated": 1, "actions": ["read"]}, r"authenticated: true or false is wanted, not a int"),
        ({"groups": [1], "actions": ["read"]}, r"groups: a list of names"),
        ({"groups": [""], "actions": ["read"]}, "use anonymous: true"),
        ({"anonymous": False, "authenticated": False, "groups": [], "users": [], "actions": ["read"]}, "names nobody"),
        ({"anonymous": True, "actions": []}, "no actions"),
        (["read"], "a mapping is wanted"),
    ],
)
def test_bad_grants_are_named(grant, message):
    with pytest.raises(ZotError, match=message):
        parse_grants([grant], "zot_grants")


def test_grants_are_a_list():
    with pytest.raises(ZotError, match="zot_grants: a list of grants is wanted, not a dict"):
        parse_grants({}, "zot_grants")


def test_the_second_bad_grant_is_counted():
    with pytest.raises(ZotError, match=r"^grants\[1\]: it names nobody"):
        parse_grants([TIERS[0], {"actions": ["read"]}])


def test_what_is_null_was_not_given():
    empty = dict.fromkeys(("authenticated", "groups", "users", "repositories"))
    assert parse_grants([{**TIERS[0], **empty}]) == parse_grants([TIERS[0]])


def test_names_and_actions_are_named_once_in_a_fixed_order():
    (grant,) = parse_grants([{"users": ["bob", "ann", "bob"], "actions": ["delete", "read", "delete"]}])
    assert grant.users == ("bob", "ann")
    assert grant.actions == ("read", "delete")


def test_each_kind_of_identity_has_its_own_place():
    grants = [
        {"anonymous": True, "authenticated": True, "groups": ["g"], "users": ["u"], "actions": ["read"]},
        {"authenticated": True, "actions": ["create"]},
        {"anonymous": True, "actions": ["read"]},
    ]
    assert compiled(grants) == {
        "**": {
            "defaultPolicy": ["read", "create"],
            "anonymousPolicy": ["read"],
            "policies": [{"groups": ["g"], "users": ["u"], "actions": ["read"]}],
        }
    }


def test_a_grant_for_one_place_does_not_hold_elsewhere():
    entries = compiled([{"anonymous": True, "actions": ["read"], "repositories": ["abc/**", "abd/**"]}])
    assert entries == {
        "abc/**": {"defaultPolicy": [], "anonymousPolicy": ["read"]},
        "abd/**": {"defaultPolicy": [], "anonymousPolicy": ["read"]},
        "**": {"defaultPolicy": []},
    }


def test_everywhere_beside_a_place_is_everywhere():
    entries = compiled([{"anonymous": True, "actions": ["read"], "repositories": ["abc/**", "**"]}])
    assert entries["**"]["anonymousPolicy"] == entries["abc/**"]["anonymousPolicy"] == ["read"]
