# SPDX-License-Identifier: GPL-3.0-or-later
"""Every expected value is the answer of Go 1.26 itself."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _go

DURATIONS = [
    ("0", 0),
    ("-0", 0),
    ("+5s", 5_000_000_000),
    ("-1.5h", -5_400_000_000_000),
    (".5s", 500_000_000),
    ("1.h", 3_600_000_000_000),
    ("1h2m3s4ms5us6ns", 3_723_004_005_006),
    ("2µs", 2_000),
    ("2μs", 2_000),
    ("1s1s", 2_000_000_000),
    ("0.3333333333333333333h", 1_200_000_000_000),
    ("9223372036854775807ns", 9_223_372_036_854_775_807),
    ("-9223372036854775808ns", -9_223_372_036_854_775_808),
    ("9223372036854775808ns9223372036854775808ns", 0),
]
NO_DURATIONS = [
    ("", "time: invalid duration"),
    ("-", "time: invalid duration"),
    (".s", "time: invalid duration"),
    ("s", "time: invalid duration"),
    ("--1s", "time: invalid duration"),
    ("9223372036854775808ns", "time: invalid duration"),
    ("2562048h", "time: invalid duration"),
    ("5", "time: missing unit in duration"),
    ("1h5", "time: missing unit in duration"),
    ("1d", 'time: unknown unit "d"'),
    ("1 s", "time: unknown unit"),
    ("1H", 'time: unknown unit "H"'),
]


@pytest.mark.parametrize(("text", "nanoseconds"), DURATIONS)
def test_a_duration_is_read(text, nanoseconds):
    assert _go.parse_duration(text) == nanoseconds


@pytest.mark.parametrize(("text", "reason"), NO_DURATIONS)
def test_what_is_no_duration_is_refused(text, reason):
    with pytest.raises(ValueError) as raised:
        _go.parse_duration(text)
    assert str(raised.value) == reason


def test_a_long_unit_is_not_quoted():
    with pytest.raises(ValueError, match=r"^time: unknown unit$"):
        _go.parse_duration("1averylongsecret")


TEXTS = [
    (0, "0s"),
    (1, "1ns"),
    (1_100, "1.1µs"),
    (2_200_000, "2.2ms"),
    (999_999_999, "999.999999ms"),
    (1_000_000_001, "1.000000001s"),
    (60_000_000_000, "1m0s"),
    (3_600_500_000_000, "1h0m0.5s"),
    (-90_000_000_000, "-1m30s"),
    (9_223_372_036_854_775_807, "2562047h47m16.854775807s"),
    (-9_223_372_036_854_775_808, "-2562047h47m16.854775808s"),
]


@pytest.mark.parametrize(("nanoseconds", "text"), TEXTS)
def test_a_duration_is_written(nanoseconds, text):
    assert _go.duration_text(nanoseconds) == text


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_these_are_true(text):
    assert _go.parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_these_are_false(text):
    assert _go.parse_bool(text) is False


@pytest.mark.parametrize("text", ["", "yes", "on", "tRUE", " true", "2"])
def test_the_rest_is_no_boolean(text):
    with pytest.raises(ValueError, match=r"^invalid syntax$"):
        _go.parse_bool(text)


SYNTAX, RANGE = "invalid syntax", "value out of range"
# As strconv.ParseInt(text, 0, 64) and as strconv.Atoi(text).
INTEGERS = [
    ("0", 0, 0),
    ("-7", -7, -7),
    ("+7", 7, 7),
    ("010", 8, 10),
    ("08", SYNTAX, 8),
    ("0x1F", 31, SYNTAX),
    ("-0b11", -3, SYNTAX),
    ("0o17", 15, SYNTAX),
    ("1_000", 1000, SYNTAX),
    ("0_7", 7, SYNTAX),
    ("0x_1f", 31, SYNTAX),
    ("_1", SYNTAX, SYNTAX),
    ("1__0", SYNTAX, SYNTAX),
    ("1_", SYNTAX, SYNTAX),
    ("0x", SYNTAX, SYNTAX),
    ("", SYNTAX, SYNTAX),
    ("1.5", SYNTAX, SYNTAX),
    ("٣", SYNTAX, SYNTAX),
    ("9223372036854775807", 9223372036854775807, 9223372036854775807),
    ("9223372036854775808", RANGE, RANGE),
    ("-9223372036854775808", -9223372036854775808, -9223372036854775808),
    ("0x8000000000000000", RANGE, SYNTAX),
    ("99999999999999999999x", RANGE, RANGE),
]


@pytest.mark.parametrize("function", [_go.parse_int, _go.atoi])
@pytest.mark.parametrize(("text", "any_base", "decimal"), INTEGERS)
def test_integers(text, any_base, decimal, function):
    wanted = any_base if function is _go.parse_int else decimal
    if isinstance(wanted, int):
        assert function(text) == wanted
    else:
        with pytest.raises(ValueError, match=f"^{wanted}$"):
            function(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (123456789.125, "123456789.125"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_is_written(number, text):
    assert _go.float_text(number) == text


PATHS = [
    ("", "."),
    ("/", "/"),
    ("//a///b/", "/a/b"),
    ("a/./b/../c", "a/c"),
    ("/../a", "/a"),
    ("../../a", "../../a"),
    ("a/../..", ".."),
    ("./", "."),
    ("/a/..", "/"),
    ("a/...", "a/..."),
]


@pytest.mark.parametrize(("text", "path"), PATHS)
def test_a_path_is_cleaned(text, path):
    assert _go.clean_path(text) == path


INSIDE = [
    ("/a/b", "/a", True),
    ("/a", "/a", False),
    ("/a/", "/a", False),
    ("/ab", "/a", False),
    ("/a", "/a/b", False),
    ("/a", "/", True),
    ("/", "/", False),
    ("/a/..b", "/a", False),
    ("/a/../b", "/a", False),
    ("a", "", True),
    ("a", "/usr/lib", True),
    ("/usr/lib/x/y", "x", True),
    ("../x", ".", False),
]


@pytest.mark.parametrize(("path", "other", "inside"), INSIDE)
def test_inside(path, other, inside):
    assert _go.is_inside(path, other, "/usr/lib") is inside


FOLDS = [
    ("HTTPS", "https", True),
    ("a", "b", False),
    ("a", "aa", False),
    ("ß", "ss", False),
    ("ß", "ẞ", True),
    ("K", "\u212a", True),
    ("\u017f", "S", True),
    ("\u03c3", "\u03c2", True),
    ("İ", "i", False),
    ("\u0131", "I", False),
    ("ǅ", "ǆ", True),
]


@pytest.mark.parametrize(("one", "other", "equal"), FOLDS)
def test_equal_but_for_case(one, other, equal):
    assert _go.equal_fold(one, other) is equal


URLS = [
    ("", ("", "")),
    ("*", ("", "")),
    ("HTTPS://User:p%40ss@Example.com:8080/a?b#c", ("https", "Example.com:8080")),
    ("//host/path", ("", "host")),
    ("///path", ("", "")),
    ("urn:ietf:params", ("urn", "")),
    ("mailto:a@b", ("mailto", "")),
    ("/a:b", ("", "")),
    ("a/b:c", ("", "")),
    ("http://[::1]:5000", ("http", "[::1]:5000")),
    ("http://[fe80::1%25en0]", ("http", "[fe80::1%en0]")),
    ("http://a@b@c", ("http", "c")),
    ("http://%C3%A9", ("http", "é")),
    ("http://é", ("http", "é")),
    ("http://a:", ("http", "a:")),
    ("postgres://a:1,b:2", ("postgres", "a:1,b:2")),
    ("http://a?%zz", ("http", "a")),
    ("http:/a", ("http", "")),
    ("http://a#\x01", ("http", "a")),
]


@pytest.mark.parametrize(("text", "url"), URLS)
def test_a_url_is_read(text, url):
    assert _go.parse_url(text) == url


NO_URLS = [
    ("1a:b", "first path segment in URL cannot contain colon"),
    ("1.2.3.4:80", "first path segment in URL cannot contain colon"),
    (":a", "missing protocol scheme"),
    ("http://a\x7f", "net/url: invalid control character in URL"),
    ("http://a:b", "invalid port after host"),
    ("http://a:1:2", "invalid port after host"),
    ("http://[::1", "missing ']' in host"),
    ("http://a[::1]", "invalid IP-literal"),
    ("http://[1.2.3.4]", "invalid host"),
    ("http://[::1%25]", "invalid host"),
    ("http://a b", "invalid character in host name"),
    ("http://a%20b", "invalid URL escape"),
    ("http://a/%zz", "invalid URL escape"),
    ("http://a#%", "invalid URL escape"),
    ("http://u%@a", "invalid URL escape"),
    ("http://u v@a", "net/url: invalid userinfo"),
]


@pytest.mark.parametrize(("text", "reason"), NO_URLS)
def test_what_is_no_url_is_refused(text, reason):
    with pytest.raises(ValueError) as raised:
        _go.parse_url(text)
    assert str(raised.value) == reason


@pytest.mark.parametrize("function", [_go.parse_duration, _go.parse_int, _go.atoi, _go.parse_bool, _go.parse_url])
@pytest.mark.parametrize("text", ["9" * 100_000, "1_" * 50_000, "%" * 100_000, "[:" * 50_000, "\ud800", "\x00"])
def test_nothing_but_a_value_error_is_raised(function, text):
    try:
        function(text)
    except ValueError as error:
        assert len(str(error)) < 60
