# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

TEXT = "{text: abc, number: 5, half: 0.5, yes: true, none: null, list: [a, {b: c}], deep: {er: {s: t}}}"


def types(value):
    if isinstance(value, dict):
        return {type(value), *(kind for pair in value.items() for item in pair for kind in types(item))}
    if isinstance(value, list):
        return {type(value), *(kind for item in value for kind in types(item))}
    return {type(value)}


def test_what_ansible_has_tagged_becomes_plain():
    tagged = DataLoader().load(TEXT.replace("yes", "'yes'"))
    assert not types(tagged) <= {dict, list, str, int, float, bool, type(None)}, "there is nothing to be made plain any more"
    made = plain(tagged, "settings")
    assert made == {
        "text": "abc",
        "number": 5,
        "half": 0.5,
        "yes": True,
        "none": None,
        "list": ["a", {"b": "c"}],
        "deep": {"er": {"s": "t"}},
    }
    assert types(made) == {dict, list, str, int, float, bool, type(None)}


def test_a_boolean_stays_one():
    assert plain([True, False, 1, 0], "x") == [True, False, 1, 0]
    assert [type(item) for item in plain([True, 1], "x")] == [bool, int]


def test_a_tuple_is_a_list():
    assert plain(("a", 1), "x") == ["a", 1]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (True, r"^settings\.http: the key True is a bool, not text; YAML reads on, off, yes and no as booleans: quote the key$"),
        (5000, r"^settings\.http: the key 5000 is a int, not text; quote it$"),
        (None, r"^settings\.http: the key None is a NoneType, not text; quote it$"),
    ],
)
def test_a_key_that_is_no_text_is_named(key, message):
    with pytest.raises(ZotError, match=message):
        plain({"http": {key: 1}}, "settings")


@pytest.mark.parametrize("value", [b"canary", datetime.date(2000, 1, 1), {1, 2}, object()])
def test_a_value_of_another_type_is_named_by_its_path_and_not_quoted(value):
    with pytest.raises(ZotError) as error:
        plain({"a": ["b", {"c": value}]}, "settings")
    assert error.value.message.startswith(f"settings.a[1].c: a value of type {type(value).__name__} cannot be used here")
    assert str(value) not in error.value.message
