# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how Go, in which zot is written, reads durations, numbers, paths and URLs."""

from __future__ import annotations

import math
import re
import typing as t
from decimal import Decimal
from ipaddress import IPv6Address

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_LIMIT = 1 << 63
_BASES = {"b": 2, "o": 8, "x": 16}
_UNDERSCORES_OK = re.compile(r"0[bBoOxX](?:_?[0-9a-fA-F])+|[0-9](?:_?[0-9a-fA-F])*")
_HOST_CHARS = re.compile(r"""(?:[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>"]|[^\x00-\x7f])*""")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_PORT = re.compile(r"(?::[0-9]*)?")


class Url(t.NamedTuple):
    """What url.Parse tells of a URL, as far as zot asks."""

    scheme: str
    host: str


def parse_duration(text: str) -> int:
    """time.ParseDuration: nanoseconds; ValueError with Go's reason."""
    sign, rest = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    if rest == "0":
        return 0
    if not rest:
        raise ValueError("time: invalid duration")
    total = position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        # The sum is a uint64 in Go: two times its largest part wrap around to 0 unnoticed.
        total = (total + _duration_part(*part.groups(""))) % (1 << 64)
        if total > _LIMIT:
            raise ValueError("time: invalid duration")
        position = part.end()
    if sign != "-" and total == _LIMIT:
        raise ValueError("time: invalid duration")
    return -total if sign == "-" else total


def _duration_part(whole: str, fraction: str, unit: str) -> int:
    digits = whole.lstrip("0")
    value = int(digits[:20] or "0")
    if not (whole or fraction) or value > _LIMIT or len(digits) > 20:
        raise ValueError("time: invalid duration")
    if not unit:
        raise ValueError("time: missing unit in duration")
    factor = _UNITS.get(unit)
    if factor is None:
        raise ValueError(f'time: unknown unit "{unit}"' if len(unit) <= 8 and unit.isascii() and unit.isalpha() else "time: unknown unit")
    if value > _LIMIT // factor:
        raise ValueError("time: invalid duration")
    value = value * factor + _fraction(fraction, factor)
    if value > _LIMIT:
        raise ValueError("time: invalid duration")
    return value


def _fraction(digits: str, factor: int) -> int:
    number, scale = 0, 1.0
    for digit in digits:
        longer = number * 10 + int(digit)
        if number > (_LIMIT - 1) // 10 or longer > _LIMIT:
            break
        number, scale = longer, scale * 10
    return int(float(number) * (float(factor) / scale)) if number else 0


def duration_text(nanoseconds: int) -> str:
    """Duration.String(), such as 1h0m0.5s."""
    if not nanoseconds:
        return "0s"
    sign, amount = "-" if nanoseconds < 0 else "", abs(nanoseconds)
    if amount < 10**9:
        unit, size = next((unit, size) for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if amount >= size)
        return f"{sign}{_decimal(amount, size)}{unit}"
    minutes, rest = divmod(amount, 60 * 10**9)
    seconds = f"{_decimal(rest, 10**9)}s"
    if not minutes:
        return sign + seconds
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{seconds}" if hours else f"{sign}{minutes}m{seconds}"


def _decimal(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1)}".rstrip("0") if rest else str(whole)


def parse_bool(text: str) -> bool:
    """strconv.ParseBool."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("invalid syntax")


def parse_int(text: str) -> int:
    """strconv.ParseInt(text, 0, 64): 0x, 0o, 0b or a leading 0 choose the base, underscores may part the digits."""
    sign, digits = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    base, body = 10, digits
    if digits[:1] == "0":
        base, body = (_BASES[digits[1].lower()], digits[2:]) if len(digits) > 2 and digits[1] in "bBoOxX" else (8, digits[1:])
    number = _number(digits, body, base, underscores=True)
    if "_" in body and not _UNDERSCORES_OK.fullmatch(digits):
        raise ValueError("invalid syntax")
    return _signed(sign, number)


def atoi(text: str) -> int:
    """strconv.Atoi: decimal digits with an optional sign."""
    sign, digits = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    return _signed(sign, _number(digits, digits, 10, underscores=False))


def _number(digits: str, body: str, base: int, underscores: bool) -> int:
    if not digits:
        raise ValueError("invalid syntax")
    number = 0
    for char in body:
        if char == "_" and underscores:
            continue
        value = "0123456789abcdef".find(char.lower()) if char.isascii() else -1
        if not 0 <= value < base:
            raise ValueError("invalid syntax")
        number = number * base + value
        if number >> 64:  # Go stops here, whatever follows
            raise ValueError("value out of range")
    return number


def _signed(sign: str, number: int) -> int:
    if number > _LIMIT or (number == _LIMIT and sign != "-"):
        raise ValueError("value out of range")
    return -number if sign == "-" else number


def float_text(value: float) -> str:
    """strconv.FormatFloat(value, 'f', -1, 64): the shortest digits that give this number, never an exponent."""
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[repr(float(value))]
    text = format(Decimal(repr(float(value))), "f")
    return text[:-2] if text.endswith(".0") else text


def clean_path(text: str) -> str:
    """path.Clean."""
    root = "/" if text.startswith("/") else ""
    kept: list[str] = []
    for part in text.split("/"):
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part not in ("", ".", "..") or (part == ".." and not root):
            kept.append(part)
    return root + "/".join(kept) or "."


def is_inside(path: str, other: str, cwd: str = "/") -> bool:
    """zot's isPathInside: whether ``path`` lies below ``other``; what begins with two dots there does not count."""
    inner, outer = (clean_path(item if item.startswith("/") else f"{cwd}/{item}") for item in (path, other))
    below = outer.rstrip("/") + "/"
    return inner.startswith(below) and inner != below and not inner.startswith("..", len(below))


def equal_fold(one: str, other: str) -> bool:
    """strings.EqualFold: simple case folding, so no letter equals two letters."""
    return len(one) == len(other) and all(a == b or _fold(a) == _fold(b) for a, b in zip(one, other))


def _fold(char: str) -> str:
    for folded in (char.casefold(), char.lower()):
        if len(folded) == 1:
            return folded
    return char


def parse_url(text: str) -> Url:
    """url.Parse: the scheme (lower-case; "" for what is not absolute) and the host with its port; ValueError with Go's reason."""
    text, _mark, fragment = text.partition("#")
    if any(char < " " or char == "\x7f" for char in text):
        raise ValueError("net/url: invalid control character in URL")
    scheme, rest = _scheme(text)
    rest, _mark, _query = rest.partition("?")
    host = ""
    if rest.startswith("/"):
        if rest.startswith("//") and (scheme or not rest.startswith("///")):
            authority, slash, path = rest[2:].partition("/")
            host, rest = _host_of(scheme, authority), slash + path
        _unescape(rest)
    elif not scheme:
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
        _unescape(rest)
    _unescape(fragment)
    return Url(scheme, host)


def _scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    match = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", text)
    return (match.group(1).lower(), text[match.end() :]) if match else ("", text)


def _host_of(scheme: str, authority: str) -> str:
    userinfo, _at, host = authority.rpartition("@")
    host = _host(scheme, host)
    if not _USERINFO.fullmatch(userinfo):
        raise ValueError("net/url: invalid userinfo")
    for part in userinfo.split(":", 1):
        _unescape(part)
    return host


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise ValueError("invalid IP-literal")
    if bracket == 0:
        return _ip_literal(host)
    # Go 1.26 on: more than one colon in the host of an http URL is an error.
    colon = host.find(":") if scheme in ("http", "https") else host.rfind(":")
    if colon >= 0 and not _PORT.fullmatch(host, colon):
        raise ValueError("invalid port after host")
    return _unescape(host, host=True)


def _ip_literal(text: str) -> str:
    address, bracket, port = text[1:].rpartition("]")
    if not bracket:
        raise ValueError("missing ']' in host")
    if not _PORT.fullmatch(port):
        raise ValueError("invalid port after host")
    start = address.find("%25")
    if start < 0:
        name = _unescape(address, host=True)
    else:
        name = _unescape(address[:start], host=True) + _unescape(address[start:], host=True, zone=True)
    number, mark, zone = name.partition("%")
    try:
        IPv6Address(number)
    except ValueError:
        raise ValueError("invalid host") from None
    if mark and not zone:
        raise ValueError("invalid host")
    return f"[{name}]{port}"


def _unescape(text: str, host: bool = False, zone: bool = False) -> str:
    if _BAD_ESCAPE.search(text):
        raise ValueError("invalid URL escape")
    if host:
        for escape in re.findall(r"%..", text):
            char = chr(int(escape[1:], 16))
            allowed = (char == " " or (_HOST_CHARS.fullmatch(char) and char < "\x80")) if zone else char >= "\x80"
            if escape != "%25" and not allowed:
                raise ValueError("invalid URL escape")
        if not _HOST_CHARS.fullmatch(re.sub("%..", "", text)):
            raise ValueError("invalid character in host name")
    if "%" not in text:
        return text
    parts = re.split("%(..)", text)
    raw = b"".join(bytes([int(part, 16)]) if odd % 2 else part.encode("utf-8", "surrogatepass") for odd, part in enumerate(parts))
    return raw.decode("utf-8", "replace")
