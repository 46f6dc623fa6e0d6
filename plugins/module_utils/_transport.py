# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: HTTP as its clients see it. Tests pass a scripted transport of the same shape."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url


@dataclass(frozen=True)
class Response:
    """An answer; ``status`` is 0 when there was none, and ``reason`` then says why."""

    status: int
    body: bytes = b""
    headers: t.Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


class Transport(t.Protocol):
    """Asks ``url``; every HTTP status is an answer, and no answer is status 0: it never raises for what the network does."""

    def __call__(self, method: str, url: str, headers: t.Mapping[str, str] | None = None, timeout: float = 5) -> Response: ...


def local(method: str, url: str, headers: t.Mapping[str, str] | None = None, timeout: float = 5) -> Response:
    """Ask a service of this very host: through no proxy, and whatever name its certificate carries."""
    given = dict(headers or {})
    try:
        try:
            answer = open_url(
                url, method=method, headers=given, timeout=timeout, use_proxy=False, validate_certs=False, follow_redirects="none"
            )
        except HTTPError as error:
            answer = error
        with answer:
            return Response(answer.code, answer.read(), dict(answer.headers))
    except (HTTPException, OSError, ValueError) as error:
        return Response(0, reason=str(getattr(error, "reason", error)))
