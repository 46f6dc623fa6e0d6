# SPDX-License-Identifier: GPL-3.0-or-later
"""Every expected verdict is that of cel-go v0.29.2 itself, set up as zot 2.1.20 does: the parser and the checker."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _cel

ACCEPTED = [
    '"x"',
    "req.tls.enabled && req.user == 'a' || !has(req.claims.sub)",
    'req.user.groups.exists(g, g == "x")',
    'req.time < timestamp("2099-12-31T23:59:59Z")',
    "req.claims.groups.exists(g, g.startsWith('team-')) ? req.action in ['read'] : false",
    "req.a.b.c[0]['x'].`strange-name` == null",
    "[1, 2, 3,].all(i, i > 0) && {'a': 1}.map(k, k).size() == 1 && [,] == [] && {,} == {}",
    "req.?a.?b[?0].optMap(x, x + 1).orValue(2) == 3 && req.?a.optFlatMap(x, x.?y).hasValue()",
    "[?req.?a, req.b].size() > 0 || {?'k': req.?a} == {'k': 1}",
    "sets.contains([1], [1]) && base64.decode('aGk=') == b'hi' && .optional.none() == (optional).of(1)",
    "req.a.matches('a') && matches('a', 'b') && 'a'.replace('a', 'b', 1) == 'a'.replace('a', 'b')",
    "[1, 2].map(i, i > 1, [i].map(j, i + j)) == [[4]] && [1].filter(i, true) == [1]",
    "[1].map(req, req + 1) == [2] && [1].map(x, .req.a) == [req.a]",
    "[1].all(.x, true) && [req].filter(.req, true) == [] && [1].map((x), x) == [1].map(!!x, x)",
    "[1].all(optional, optional.of(1) == optional.none()) && optional.of(1).optMap(__result__, 1) == optional.none()",
    "type(1) == int && type(req) == map && type(google.protobuf.Timestamp) == (google.protobuf).Timestamp",
    "google.protobuf.Int64Value{value: 1} == null && .google.protobuf.Empty{} == google.protobuf.Empty{,}",
    "google.protobuf.NullValue.NULL_VALUE == 0 && has(req.a.b) && has((req.?a.b)) && has(has(req.a))",
    "true ? 1 + 2 * 3 == 7 || false : true ? false : {'a': true ? 1 : 2} == {}",
    "!!'a' == 'a' && --1 == 1 && - 1 == -1",
    'r"\\d" + """a"b\n""" + \'\'\'it\'s\'\'\' + "\\x41\\101\\ue000\\U0001F600\\?\\`\\\\ud800" + r\'\\ud800\' == ""',
    'b"\\xff\\377" == bR"\\u0041" && B\'é\' != b""',
    "0x1F == 31 && 0xFFu == 255u && .5e1 == 5.0 && -9223372036854775808 < 0 // the least",
    "0xFFFFFFFFFFFFFFFFu == 18446744073709551615u && 00000000000000000000000000000000000009 == 9",
    "req.as.if.import == 1",
]
# Only the type is wrong, or what planning finds: zot refuses these.
LEFT_TO_ZOT = [
    "1 + 'a'",
    "req.a && 'x'",
    "'a'.b",
    "[1, 'a']",
    "-1u",
    "google.protobuf.Empty{x: 1}",
    "has(google.protobuf.Any.x)",
    "req.a.matches('(')",
    "int('a')",
]
SYNTAX = [
    ("", "mismatched input '<EOF>' expecting an expression"),
    ("1 +", "mismatched input '<EOF>' expecting an expression"),
    ("req.", "mismatched input '<EOF>' expecting name or escaped"),
    ("(1", "mismatched input '<EOF>' expecting )"),
    ("1 2", "mismatched input '2' expecting end"),
    ("1 = 1", "token recognition error at: '='"),
    ("req & req", "token recognition error at: '&'"),
    ("'abc", 'token recognition error at: "\'"'),
    ("'a\nb'", 'token recognition error at: "\'"'),
    ("'\\q'", 'token recognition error at: "\'"'),
    ("`req`", "mismatched input '`req`'"),
    ("req.in", "mismatched input 'in'"),
    ("req.`a`()", "mismatched input '('"),
    ("[1,,]", "mismatched input ','"),
    ("[,1]", "mismatched input '1' expecting ]"),
    ("{1}", "mismatched input '}' expecting :"),
    ("google.protobuf.Any{'a': 1}", "mismatched input \"'a'\" expecting name or escaped"),
    ("(google.protobuf.Any){}", "mismatched input '{'"),
    ("size(1,)", "mismatched input ')'"),
    ("!-req.a", "mismatched input 'req' expecting int or double"),
    ("--9223372036854775808", "invalid int literal"),
    ("true ? 2", "mismatched input '<EOF>' expecting :"),
    ("true ? true ? 1 : 2 : 3", "mismatched input '?' expecting :"),
    ("true : 1", "mismatched input ':' expecting end"),
    ("'\\ud800'", "invalid string literal"),
    ("'\\U00110000'", "invalid string literal"),
    ("b'\\u0041'", "invalid bytes literal"),
    ("9223372036854775808", "invalid int literal"),
    ("-9223372036854775809", "invalid int literal"),
    ("18446744073709551616u", "invalid uint literal"),
    ("0x10000000000000000", "invalid int literal"),
    ("1e999", "invalid double literal"),
    ("for", "reserved identifier: for"),
    ("[1].all(i.j, true)", "argument must be a simple name"),
    ("[1].all(!!!i, true)", "argument must be a simple name"),
    ("[1].map(__result__, 1)", "iteration variable overwrites accumulator variable"),
    ("has(req)", "invalid argument to has() macro"),
    ("has(req['a'])", "invalid argument to has() macro"),
    ("has(req.?a)", "invalid argument to has() macro"),
]
UNDECLARED = [
    ("user", "user"),
    ("foo.bar", "foo"),
    ("Req.a", "Req"),
    ("google.protobuf.Nope", "google"),
    ("has(google.protobuf.Timestamp)", "google"),
    ("google.?protobuf.Timestamp", "google"),
    ("[1].map(google, .google.protobuf)", "google"),
    ("[1].all(i, j)", "j"),
    ("[1].all(i, true) && i", "i"),
    ("i.all(i, true)", "i"),
    ("[1].all(i)", "all"),
    ("[1].map(.i, .i)", "i"),
    ("[1].filter(.i, true)", "i"),
    ("optional.of(1).optMap(.i, 1)", "i"),
    ("optional.of(1).optFlatMap(.i, optional.of(1))", "i"),
    ("optional", "optional"),
    ("optional.of(x)", "x"),
    ("nosuch(req)", "nosuch"),
    ("req.a.nosuch()", "nosuch"),
    ("optional.nosuch(1)", "nosuch"),
    ("req.has(req.a)", "has"),
    (".has(req.a)", "has"),
    ("has(req.a, 1)", "has"),
    ("[1].existsOne(i, true)", "existsOne"),
    ("a.B{}", "a.B"),
    ("google.protobuf.Nope{}", "google.protobuf.Nope"),
]
MISCOUNTED = [
    ("size()", "'size' with 0 arguments"),
    ("size('a', 'b')", "'size' with 2 arguments"),
    ("'a'.size(1)", "'size' with 1 argument"),
    ("contains('a', 'b')", "'contains' with 2 arguments"),
    ("'a'.int()", "'int' with 0 arguments"),
    ("optional.of()", "'optional.of' with 0 arguments"),
    ("'a'.substring(1, 2, 3)", "'substring' with 3 arguments"),
    ("'a'.substring(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)", "'substring' with 12 arguments"),
]
REFUSED = [
    *((expression, f"Syntax error: {reason}") for expression, reason in SYNTAX),
    *((expression, f"undeclared reference to '{name}' (in container '')") for expression, name in UNDECLARED),
    *((expression, f"found no matching overload for {reason}") for expression, reason in MISCOUNTED),
]


@pytest.mark.parametrize("expression", ACCEPTED + LEFT_TO_ZOT)
def test_an_expression_passes(expression):
    assert _cel.problem(expression) is None


@pytest.mark.parametrize(("expression", "reason"), REFUSED)
def test_an_expression_is_refused(expression, reason):
    assert str(_cel.problem(expression)).startswith(reason)


def test_the_variables_are_those_given():
    oidc = frozenset({"claims", "vars"})
    assert _cel.problem("claims.iss + '/' + vars.name", oidc) is None
    assert _cel.problem("claims.iss") == "undeclared reference to 'claims' (in container '')"
    assert _cel.problem("req.a", oidc) == "undeclared reference to 'req' (in container '')"


# The expression for a depth, and the greatest depth that cel-go takes.
DEPTHS = [
    (lambda depth: "(" * depth + "1" + ")" * depth, 249),
    (lambda depth: "[" * depth + "]" * depth, 250),
    (lambda depth: "dyn(" * depth + "1" + ")" * depth, 249),
    (lambda depth: "{1:" * depth + "1" + "}" * depth, 249),
    (lambda depth: "req" + ".a" * depth, 250),
    (lambda depth: "dyn(req" + ".?a" * depth + ")", 250),
    (lambda depth: "req.a" + "[0]" * depth, 249),
    (lambda depth: "1" + "+1" * depth, 250),
    (lambda depth: "1+(" * depth + "1" + ")" * depth, 124),
    (lambda depth: "1+2*(" * depth + "1" + ")" * depth, 83),
    (lambda depth: "true==(" * depth + "true" + ")" * depth, 124),
    (lambda depth: "true||true&&(" * depth + "true" + ")" * depth, 249),
    (lambda depth: "req" + ".a" * depth + " || 1 == 1", 250),
    (lambda depth: "req" + ".a" * depth + " == 1 + 1", 249),
    (lambda depth: "req" + ".a" * depth + " ? 1 : 2", 249),
    (lambda depth: "true ? 1 : req" + ".a" * depth, 249),
    (lambda depth: "'a'" + ".trim()" * depth, 250),
    (lambda depth: "[]" + ".map(x, x)" * depth, 250),
    (lambda depth: "true ? true : " * depth + "true", 249),
    (lambda depth: "(true ? " * depth + "true" + " : true)" * depth, 248),
]


@pytest.mark.parametrize(("expression", "depth"), DEPTHS)
def test_the_limits_of_cel_go_hold(expression, depth):
    assert _cel.problem(expression(depth)) is None
    assert "recursion" in str(_cel.problem(expression(depth + 1)))


def deep_down(frames, expression):
    return deep_down(frames - 1, expression) if frames else _cel.problem(expression)


def test_pythons_stack_is_large_enough():
    assert "recursion" in str(deep_down(150, "req.map(x, [" * 125 + "[" + "]" + "])" * 125))
    assert deep_down(900, "[" * 250 + "]" * 250) is None


def test_an_expression_can_be_long():
    assert _cel.problem("true" + " && true" * 12_000) is None
    assert _cel.problem("[" + "true ? 1 < 2 : 1 + 2 == 3, " * 300 + "]") is None
    assert _cel.problem(" " * 99_996 + "true") is None
    assert str(_cel.problem(" " * 99_997 + "true")).startswith("expression code point size exceeds limit")
    assert _cel.problem("x" * 90_000) == f"undeclared reference to '{'x' * 60}...' (in container '')"


HOSTILE = ["(", "[", "{", "!", "-", '"', '"""', "r'", "`", ".a", "a.", "a?", "a?a:", "1.", "9", "-0x", "[].map(x,", "\ud800", "\x00"]


@pytest.mark.parametrize("piece", [*HOSTILE, "r'''\U000e0001"])
def test_nothing_is_raised_and_little_said(piece):
    for length in (90_000, 1_000_000):
        assert 5 < len(str(_cel.problem(piece * (length // len(piece))))) <= 300
