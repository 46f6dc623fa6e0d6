# SPDX-License-Identifier: GPL-3.0-or-later
"""zot's API keys in memory: a Sender for unit tests. What zot really answers is held against it in tests/contract."""

from __future__ import annotations

import base64
import json
import typing as t
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

URL = "https://registry.example.org"
START = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
NEVER = "0001-01-01T00:00:00Z"


class Zot:
    """``keys`` by their secrets, ``asked`` what was asked; ``answers`` are given instead, one for each request, None for the usual one."""

    def __init__(self, password: str, user: str = "zot-ci") -> None:
        self.user, self.password = user, password
        self.keys: dict[str, dict[str, t.Any]] = {}
        self.now = START
        self.asked: list[tuple[str, str, t.Any]] = []
        self.answers: list[Response | None] = []

    def __call__(
        self, method: str, url: str, headers: t.Mapping[str, str] | None = None, _timeout: float = 30, body: bytes | None = None
    ) -> Response:
        self.now += timedelta(seconds=1)
        self.asked.append((method, url, json.loads(body) if body else None))
        instead = self.answers.pop(0) if self.answers else None
        return instead or self._answer(method, url, dict(headers or {}), body)

    def _answer(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Response:
        name, _, secret = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        key = self.keys.get(secret)
        if name != self.user or not (secret == self.password or (key and not self._expired(key))):
            return self.said(401, {"code": "UNAUTHORIZED"})
        if key:
            key["lastUsed"] = self._text(self.now)
        if method == "GET":
            return self.said(200, {"apiKeys": [self._shown(one) for one in reversed(self.keys.values())]})
        if method == "DELETE":
            doomed = parse_qs(urlsplit(url).query)["id"][0]
            self.keys = {secret: one for secret, one in self.keys.items() if one["uuid"] != doomed}
            return self.said(200, None)
        made = json.loads(body or b"")
        record = self.holds(made["label"], expires=made["expirationDate"] or NEVER, scopes=made["scopes"])
        return self.said(201, {**self._shown(record), "apiKey": next(secret for secret, one in self.keys.items() if one is record)})

    def holds(
        self, label: str, expires: str = NEVER, scopes: list[str] | None = None, used: str = NEVER, **more: t.Any
    ) -> dict[str, t.Any]:
        """A key that is there."""
        number = len(self.asked) + len(self.keys) + 1
        record = {
            "createdAt": self._text(self.now),
            "expirationDate": expires,
            "isExpired": False,
            "creatorUa": "",
            "generatedBy": "manual",
            "lastUsed": used,
            "label": label,
            "scopes": scopes,
            "uuid": f"uuid-{number}",
            **more,
        }
        self.keys[f"zak_canary{number:026}"] = record
        return record

    def said(self, status: int, body: t.Any, **headers: str) -> Response:
        date = {"Date": format_datetime(self.now, usegmt=True)}
        return Response(status, b"" if body is None else json.dumps(body).encode(), {**date, **headers})

    @property
    def labels(self) -> list[str]:
        return [one["label"] for one in self.keys.values()]

    def _shown(self, key: dict[str, t.Any]) -> dict[str, t.Any]:
        return {**key, "isExpired": key["isExpired"] or self._expired(key)}

    def _expired(self, key: dict[str, t.Any]) -> bool:
        return key["expirationDate"] != NEVER and datetime.fromisoformat(key["expirationDate"].replace("Z", "+00:00")) <= self.now

    def _text(self, when: datetime) -> str:
        return when.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
