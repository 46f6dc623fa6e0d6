# SPDX-License-Identifier: GPL-3.0-or-later
"""Every expected value is the answer of doublestar v4.10.0, the library in zot, or of zot 2.1.20 itself (tests/vectors/glob)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _glob

GLOBS = Path(__file__).parents[4] / "vectors/glob/2.1.20.jsonl"

VALID = ["", "a", "**", "***", "{a,{b,c}}", "{}", "[a]", "[!a]", "[^a-z]", "[z-a]", "[a-]", r"\{", r"[\]]", "]", "a,b", "{[}]}", "{[a,b]}"]
INVALID = ["[", "[]", "[!", "[!]", "[a", "{", "{a", "}", "a}", "{a}}", "\\", "a\\", r"[\]", "{[}"]


@pytest.mark.parametrize("pattern", VALID)
def test_a_pattern_is_valid(pattern):
    assert _glob.is_valid(pattern) is True


@pytest.mark.parametrize("pattern", INVALID)
def test_a_pattern_is_invalid(pattern):
    assert _glob.is_valid(pattern) is False


# The pattern, names that it matches, names that it does not.
MATCHES = [
    ("**", ("a", "a/b"), ()),
    ("a/**", ("a", "a/b/c"), ("ab",)),
    ("**/a", ("a", "b/c/a"), ("ba",)),
    ("a/**/b", ("a/b", "a/x/y/b"), ("a/xb",)),
    ("a**", ("a", "ab"), ("a/b",)),
    ("a/**b", ("a/b", "a/xb"), ("a/x/b",)),
    ("*", ("a", ""), ("a/b",)),
    ("a?c", ("abc", "aéc"), ("ac", "a/c")),
    ("[!a]", ("b", "/"), ("a",)),
    ("[a-c]", ("b",), ("d", "-")),
    ("[z-a]", ("z",), ("m", "a")),
    (r"[\]]", ("]",), ("\\",)),
    (r"\*", ("*",), ("a",)),
    ("{a,b/c}d", ("ad", "b/cd"), ("a", "bd")),
    ("a{,/**}", ("a", "a/b"), ("ab",)),
    ("{a,{b,c}}", ("a", "c"), ("{a",)),
    ("x{**/a,b}", ("xa", "xy/a", "xb"), ("xya",)),
    ("{[a,b]}", (), ("a", "b")),
    ("a/**/", ("a", "a/b/"), ("b",)),
    ("a/{**,b}", ("a/x/y",), ("b",)),
    ("a[", (), ("a", "ab", "b")),
]


@pytest.mark.parametrize(("pattern", "names", "others"), MATCHES)
def test_a_pattern_matches_names(pattern, names, others):
    assert [name for name in (*names, *others) if _glob.matches(pattern, name)] == list(names)


def test_zot_agrees():
    lines = [json.loads(line) for line in GLOBS.read_text().splitlines()]
    names = lines[0]["names"]
    for line in lines[1:]:
        pattern = line["pattern"].lower()  # as zot reads it
        assert _glob.is_valid(pattern) is line["starts"], pattern
        if line["starts"]:
            assert [name for name in names if _glob.matches(pattern, name)] == line["matches"], pattern


@pytest.mark.parametrize(
    "pattern",
    ["{a,a}" * 40 + "b", "*{a,b}" * 20 + "c", "**/{a,aa}*/" * 15 + "b", "*a" * 50 + "b", "{" * 20_000 + "a" + "}" * 20_000, "{a}" * 20_000],
)
def test_a_costly_pattern_takes_no_long_time(pattern):
    assert _glob.is_valid(pattern)
    assert not _glob.matches(pattern, "a" * 30 + "/" + "a" * 30)
