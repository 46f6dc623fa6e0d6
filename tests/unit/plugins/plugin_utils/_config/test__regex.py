# SPDX-License-Identifier: GPL-3.0-or-later
"""Every expected verdict is that of regexp.Compile of Go 1.26 itself."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _regex

ACCEPTED = [
    "",
    r"^v\d+\.\d+\.\d+$",
    "a|b||c",
    "(?i)a(?-i:b)(?s-m:.)(?)",
    "(?P<a>x)(?<a>y)(?P<1>z)",
    "a{0,1000}",
    "a{,2}",
    "a{01}",
    "a{",
    "}",
    "]",
    "(a{10}){100}",
    "((a{0}){500}){2}",
    "a*(?i)*",
    r"a*\Q\E*",
    r"\Qa**(\E+",
    r"\Q",
    r"\x41\x{1F600}\012\12\a\_\-",
    r"\pL\p{Greek}\P{^Han}\p{l c}\p{lowercase-letter}\p{ascii}\p{Any}",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[-a]",
    r"[\d-z]",
    r"[[:alpha:][:^word:]]",
    "[[:alpha]",
    r"[\pN\]]",
    r"\A\b\B\z",
    "(?:" * 999 + "a" + ")" * 999,
    "(" * 999 + "a" + ")" * 999,
    "(a{1000})" * 1000,
]
REFUSED = [
    ("(", "missing closing ): `(`"),
    (")", "unexpected ): `)`"),
    ("a)(", "unexpected ): `a)(`"),
    ("*", "missing argument to repetition operator: `*`"),
    ("(|+)", "missing argument to repetition operator: `+`"),
    ("a**", "invalid nested repetition operator: `**`"),
    ("a+??", "invalid nested repetition operator: `+??`"),
    ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
    ("a{1001}", "invalid repeat count: `{1001}`"),
    ("a{3,2}", "invalid repeat count: `{3,2}`"),
    ("a{2,99999999999}", "invalid repeat count: `{2,99999999999}`"),
    ("(a{1000}){2}", "invalid repeat count: `{2}`"),
    ("(a{20,}){51}", "invalid repeat count: `{51}`"),
    ("[a", "missing closing ]: `[a`"),
    ("[]", "missing closing ]: `[]`"),
    ("[z-a]", "invalid character class range: `z-a`"),
    ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
    (r"[a-\d]", r"invalid escape sequence: `\d`"),
    (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
    (r"\p{Old_Italic}", r"invalid character class range: `\p{Old_Italic}`"),
    (r"\pX", r"invalid character class range: `\pX`"),
    (r"\p{Greek", r"invalid character class range: `\p{Greek`"),
    ("a\\", "trailing backslash at end of expression: ``"),
    (r"\1", r"invalid escape sequence: `\1`"),
    (r"\C", r"invalid escape sequence: `\C`"),
    (r"\é", r"invalid escape sequence: `\é`"),
    (r"\xg1", r"invalid escape sequence: `\xg1`"),
    ("(?P<a b>x)", "invalid named capture: `(?P<a b>`"),
    ("(?<>x)", "invalid named capture: `(?<>`"),
    ("(?P<a", "invalid named capture: `(?P<a`"),
    ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
    ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
    ("(?", "invalid or unsupported Perl syntax: `(?`"),
]
LARGE = [
    ("(" * 1000 + "a" + ")" * 1000, "expression nests too deeply"),
    ("(a{1000})" * 3355, "expression too large"),
    ("((" + "ab" * 1700 + "){1000}b{1000})", "expression too large"),
]


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_a_pattern_is_accepted(pattern):
    assert _regex.problem(pattern) is None


@pytest.mark.parametrize(("pattern", "reason"), REFUSED)
def test_a_pattern_is_refused_in_the_words_of_go(pattern, reason):
    assert _regex.problem(pattern) == reason


@pytest.mark.parametrize(("pattern", "reason"), LARGE)
def test_the_limits_of_go_hold(pattern, reason):
    problem = _regex.problem(pattern)
    assert problem is not None
    assert problem.startswith(reason)


def test_what_is_no_unicode_is_refused():
    assert _regex.problem("a\ud800") == "invalid UTF-8"


@pytest.mark.parametrize("piece", ["(", "(?:", "(?i)", "[", "[[:", "{", "a{1", "(a|", "\\Q", "\\p{", "(?P<"])
def test_a_long_pattern_takes_no_long_time(piece):
    problem = _regex.problem(piece * (200_000 // len(piece)))
    assert problem is None or len(problem) < 150
