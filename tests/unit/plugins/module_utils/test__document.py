# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._document import (
    canonical,
    changed_paths,
    effective,
    mapping,
    masked,
    merge_patch,
)

# The examples of RFC 7386, appendix A.
RFC_7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "merged"), RFC_7386)
def test_overrides_merge_as_the_rfc_says(target, patch, merged):
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == merged
    assert (target, patch) == before


@pytest.mark.parametrize(
    ("document", "kept"),
    [
        ({"a": None, "b": {}, "c": 0, "d": "", "e": False, "f": []}, {"c": 0, "d": "", "e": False, "f": []}),
        ({"a": {"b": {"c": None}}, "d": 1}, {"d": 1}),
        ({"a": [{}, None, {"b": None}]}, {"a": [{}, None, {"b": None}]}),
    ],
)
def test_the_loader_drops_nulls_and_empty_objects_outside_lists(document, kept):
    assert effective(document) == kept


def test_what_is_no_mapping_holds_nothing():
    assert mapping({"a": 1}) == {"a": 1}
    assert mapping("a") == mapping(["a"]) == mapping(None) == {}


def test_one_spelling():
    text = canonical({"b": "é", "a": {"d": 1, "c": 2}})
    assert text == canonical({"a": {"c": 2, "d": 1}, "b": "é"})
    assert text.splitlines()[:2] == ["{", '  "a": {']
    assert "é" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": {"c": 2, "d": 1}, "b": "é"}


@pytest.mark.parametrize(
    "key",
    ["accesskey", "clientsecret", "hashKey", "password", "secretkey", "sentinel_password", "sessionEncryptKey", "sessionHashKey", "token"],
)
def test_secrets_are_covered_wherever_they_are(key):
    document = {key: "canary", "a": [{key.upper(): "canary", "b": 1}], "c": {key: 5}}
    assert masked(document) == {key: "(secret)", "a": [{key.upper(): "(secret)", "b": 1}], "c": {key: "(secret)"}}
    assert document[key] == "canary"


def test_a_password_inside_a_url_is_covered():
    url = "redis://zot:canary@redis.test:6379/0"
    assert masked({"cacheDriver": {"url": url}}) == {"cacheDriver": {"url": "redis://zot:(secret)@redis.test:6379/0"}}
    assert masked({"urls": ["https://:canary@a.test"]}) == {"urls": ["https://:(secret)@a.test"]}


@pytest.mark.parametrize("url", ["https://registry.test:5000/a@b", "http://[::1]:5000", "docker.io/**", "redis://zot@redis.test"])
def test_what_holds_no_password_is_shown(url):
    assert masked({"url": url}) == {"url": url}


def test_a_group_that_is_named_like_a_secret_is_looked_into():
    assert masked({"groups": {"token": {"users": ["bob"]}}}) == {"groups": {"token": {"users": ["bob"]}}}


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "c": 2}}, ["a.b"]),
        ({"z": 1, "a": 1}, {}, ["a", "z"]),
        ({}, {"a": {"b": 1}}, ["a"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        ({"a": 1}, [], ["(whole document)"]),
    ],
)
def test_differences_are_named_by_path(before, after, paths):
    assert changed_paths(before, after) == paths
