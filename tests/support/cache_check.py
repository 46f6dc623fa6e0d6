# SPDX-License-Identifier: GPL-3.0-or-later
"""A zot in memory that counts, and a client that pulls: for unit tests of the check of caches."""

from __future__ import annotations

import json
import typing as t
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

CANARY = "canary-71aa-must-stay-secret"
IMAGE, REPOSITORY = "docker.io/library/app:1", "docker.io/library/app"
ROUTE: dict[str, t.Any] = {
    "image": IMAGE,
    "cached": True,
    "registry": f"registry.test/{REPOSITORY}",
    "upstream": "registry-1.docker.io/library/app",
    "reference": "1",
    "why": "",
    "route": "",
}


class Registry:
    """A Sender. ``tags``: of each its digest and its downloads; ``requests``: what the metrics count, None where they are closed.

    ``answers``: by path, instead of the usual ones. ``asked`` is what it was asked, with ``headers`` of each.
    """

    def __init__(
        self,
        tags: dict[str, tuple[str, t.Any]] | None = None,
        search: bool = True,
        requests: int | None = 0,
        counts_questions: bool = False,
    ) -> None:
        self.tags = dict(tags or {})
        self.search, self.requests, self._counts_questions = search, requests, counts_questions
        self.answers: dict[str, Response] = {}
        self.asked: list[str] = []
        self.headers: list[t.Mapping[str, str]] = []

    def serve(self, tag: str, digest: str, downloads: int = 1, requests: int = 0) -> None:
        """As if a client had asked."""
        old, count = self.tags.get(tag, (digest, 0))
        self.tags[tag] = (digest, (count if old == digest else 0) + downloads)
        if self.requests is not None:
            self.requests += requests

    def __call__(self, method: str, url: str, headers: t.Any = None, timeout: float = 30, body: t.Any = None) -> Response:  # noqa: ARG002
        path = urlsplit(url).path
        self.asked.append(f"{method} {path}")
        self.headers.append(headers)
        if self._counts_questions and self.requests is not None and path.endswith("/tags/list"):
            self.requests += 1
        return self.answers.get(path) or self._answer(path)

    def _answer(self, path: str) -> Response:
        if path == "/metrics":
            counted = {"N/A": 3, REPOSITORY: self.requests}
            text = "".join(f'zot_http_repo_latency_seconds_count{{repo="{name}"}} {count}\n' for name, count in counted.items())
            return Response(401) if self.requests is None else Response(200, text.encode())
        if path == "/v2/_zot/ext/search":
            return self._found() if self.search else Response(404)
        if path.endswith("/tags/list"):
            return Response(200, json.dumps({"tags": sorted(self.tags)}).encode()) if self.tags else Response(404)
        return Response(200, b"{}")

    def _found(self) -> Response:
        if not self.tags:
            return Response(200, b'{"errors":[{"message":"repo metadata not found for given repo name"}],"data":null}')
        images = [{"Tag": tag, "Digest": digest, "DownloadCount": count} for tag, (digest, count) in self.tags.items()]
        return Response(200, json.dumps({"data": {"ExpandedRepoInfo": {"Images": images}}}).encode())


class Client:
    """``has``: images that it has; ``had``: it had their content; ``says``: why its pulls fail; ``left``: what it cannot remove."""

    name = "client"
    command: t.ClassVar[list[str]] = []

    def __init__(self, has: t.Iterable[str] = (), had: bool = False, says: str = "", left: str = "", stands_in: bool = False) -> None:
        self._has, self._had, self._says, self._left, self.stands_in = set(has), had, says, left, stands_in
        self.on_pull: t.Callable[[], None] = lambda: None
        self.did: list[str] = []

    def has(self, image: str) -> bool:
        return image in self._has

    def had(self, image: str) -> bool:  # noqa: ARG002
        return self._had

    def pull(self, image: str, timeout: float) -> Completed:  # noqa: ARG002
        self.did.append("pull")
        self.on_pull()
        return Completed(1, "", self._says) if self._says else Completed(0, "", "")

    def drop(self, image: str) -> str:  # noqa: ARG002
        self.did.append("drop")
        return self._left


class Clock:
    """Two seconds pass between two looks at it."""

    def __init__(self, on_sleep: t.Callable[[], None] = lambda: None) -> None:
        self.now, self._on_sleep = 0.0, on_sleep

    def monotonic(self) -> float:
        self.now += 2
        return self.now

    def sleep(self, _seconds: float) -> None:
        self._on_sleep()
