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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("team-*/**", "team-a/**"),
        ("a/**", "**/xyz"),
        ("abc/**", "abc"),
        ("{abc,d/e}/**", "d/e/f"),
        ("a*c/x", "abc/x"),
        ("[ab]cd/**", "acd/**"),
    ],
)
def test_patterns_that_can_meet_are_refused(one, other):
    grants = [{"anonymous": True, "actions": ["read"], "repositories": [pattern]} for pattern in (one, other)]
    with pytest.raises(ZotError, match="not yet supported"):
        compiled(grants)


@pytest.mark.parametrize(
    ("one", "other"), [("abc/**", "abd/**"), ("abc", "abc/x"), ("abc/*", "abc/x/y"), ("a-*/**", "b-x/**"), ("team/a/**", "team/b/**")]
)
def test_patterns_that_cannot_meet_are_kept_apart(one, other):
    grants = [{"anonymous": True, "actions": ["read"], "repositories": [pattern]} for pattern in (one, other)]
    assert set(compiled(grants)) == {"**", one, other}


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
        ({"anonymous": True, "actions": ["read"], "repositories": ["a"]}, "no longer than"),
        ({"anonymous": True, "actions": ["read"], "repositories": ["abc::d"]}, "nested keys"),
        (["read"], "a mapping is wanted"),
    ],
)
def test_bad_grants_are_named(grant, message):
    with pytest.raises(ZotError, match=message):
        parse_grants([grant], "zot_grants")
