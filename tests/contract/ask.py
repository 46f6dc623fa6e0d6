# SPDX-License-Identifier: GPL-3.0-or-later
"""The plainest HTTP client: what was answered, as it was answered."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BATCH = 40


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


def ask(
    url: str, method: str, path: str, login: str | None = None, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own. `login` is "user:password"."""
    sent = {**({"Authorization": basic(login)} if login is not None else {}), **(headers or {})}
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


class Question(NamedTuple):
    method: str
    path: str
    content_type: str = ""


def ask_many(port: int, login: str | None, questions: Sequence[Question]) -> list[int]:
    """The statuses of many requests, sent down one connection without waiting for each answer."""
    common = f"Host: 127.0.0.1:{port}\r\nContent-Length: 0\r\n" + (f"Authorization: {basic(login)}\r\n" if login else "")
    statuses: list[int] = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as answers:
        for start in range(0, len(questions), BATCH):
            batch = questions[start : start + BATCH]
            connection.sendall("".join(_request(question, common) for question in batch).encode())
            statuses += [_status(answers) for _ in batch]
    return statuses


def _request(question: Question, common: str) -> str:
    kind = f"Content-Type: {question.content_type}\r\n" if question.content_type else ""
    return f"{question.method} {question.path} HTTP/1.1\r\n{common}{kind}\r\n"


def _status(answers: Any) -> int:
    status = int(answers.readline().split()[1])
    length = 0
    for line in _lines(answers):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"transfer-encoding":
            raise AssertionError("an answer too long for this client")
    answers.read(length)
    return status


def _lines(answers: Any) -> Iterable[bytes]:
    while line := answers.readline().strip():
        yield line
