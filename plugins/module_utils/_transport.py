# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: HTTP as its clients see it. Tests pass a scripted transport of the same shape."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit


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
    # Imported here: most calls of zot_host ask nothing, and these take as long as all other imports of ours.
    import ssl
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    where = urlsplit(url)
    target = urlunsplit(("", "", where.path or "/", where.query, ""))
    connection: HTTPConnection | None = None
    try:
        if where.scheme == "https":
            # Loopback, and a certificate for the name that clients use.
            connection = HTTPSConnection(where.netloc, timeout=timeout, context=ssl._create_unverified_context())  # noqa: S323
        else:
            connection = HTTPConnection(where.netloc, timeout=timeout)
        connection.request(method, target, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.read(), dict(answer.headers))
    except (HTTPException, OSError, ValueError) as error:
        return Response(0, reason=str(error) or type(error).__name__)
    finally:
        if connection:
            connection.close()
