# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how what zot reads is judged: as Go would read it, and with an answer that quotes nothing."""

from __future__ import annotations

import json
import re
import typing as t

Answer = dict[str, t.Any]
_SURROGATE = re.compile("[\ud800-\udfff]")


class VerdictError(Exception):
    """Ends the judging of a file."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.answer = {"state": state, "reason": reason}


def judged(judge: t.Callable[[], Answer]) -> Answer:
    try:
        return judge()
    except VerdictError as verdict:
        return verdict.answer
    except RecursionError:
        return answer_of("broken", "nested too deeply")


def answer_of(state: str, reason: str) -> Answer:
    return {"state": state, "reason": reason}


def json_of(data: bytes) -> t.Any:
    """As Go reads it: what is no UTF-8 within a text becomes U+FFFD byte by byte, and a number must fit into a float."""
    text = shown(data.decode("utf-8", "surrogateescape"))
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_number, parse_int=_number)
    except json.JSONDecodeError as error:
        raise VerdictError("broken", f"not JSON: line {error.lineno}: {error.msg}") from None


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise VerdictError("broken", "a number is too large")
    return value


def _no_number(_text: str) -> t.NoReturn:
    raise VerdictError("broken", "not JSON: NaN and Infinity are no numbers")


def shown(text: str) -> str:
    """As Go has it: half a character is U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)
