# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether a client pulls through the registry: what zot has counted before and after a pull says so.

That a pull works proves nothing, as clients go to the upstream where the registry does not serve them. Of what zot counts, only the
GET of a manifest is what a pull has and nothing else does: HEAD, the list of tags and the search itself are not counted.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_faults import UNJUDGED
from ansible_collections.blumeops.zot.plugins.module_utils._pulling import Puller, last_words
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, Sender

CACHED, BYPASSED, UNKNOWN = "cached", "bypassed", "unknown"
# A pull asks at least for a manifest, a configuration and a layer; who only resolves a tag asks for less.
_REQUESTS_OF_A_PULL = 3
_ACCEPTED = ", ".join(
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
)


@dataclass(frozen=True)
class Seen:
    """What zot tells of a repository: ``tags``, and of each its digest and how often it was downloaded, where search tells
    (``counted``); ``requests`` from the metrics, None where they are not to be read."""

    tags: frozenset[str]
    counted: dict[str, tuple[str, int]] | None = None
    requests: int | None = None


def judge(before: Seen, after: Seen, tag: str) -> tuple[str, str]:
    """The outcome of a pull of ``tag`` between the two, and by what it is proved."""
    new = tag not in before.tags
    if before.counted is not None and after.counted is not None:
        return _by_downloads(before.counted, after.counted, tag)
    if before.requests is not None and after.requests is not None and after.requests >= before.requests:
        pulled = after.requests - before.requests >= _REQUESTS_OF_A_PULL
        return (CACHED if pulled else BYPASSED), "requests"
    if new:
        return (CACHED if tag in after.tags else BYPASSED), "appeared"
    return UNKNOWN, ""


def _by_downloads(before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]], tag: str) -> tuple[str, str]:
    digest, count = after.get(tag, ("", 0))
    known = dict(before.values())
    if digest and count > known.get(digest, 0):
        return CACHED, "fetched" if before.get(tag, ("", 0))[0] != digest else "served"
    return BYPASSED, "resolved" if digest and before.get(tag, ("", 0))[0] != digest else "downloads"


PROOFS = {
    "fetched": "zot had not this image of the tag before, fetched it and was asked for it",
    "served": "zot had the image, and counts one download more",
    "requests": "zot counts the requests of a pull in that repository",
    "appeared": "zot had no such tag before, and has it now",
}


@dataclass
class Zot:
    """The registry, as this host reaches it. Raises ZotError where it does not answer as it should."""

    url: str
    send: Sender
    username: str = ""
    password: str = field(default="", repr=False)
    metrics: str = "/metrics"

    def look(self, repository: str, requests: int | None = None) -> Seen:
        """``requests``: what `requests` told. That has to be asked on the pull's side of this, which makes one itself."""
        answer = self._ask("GET", f"/v2/{repository}/tags/list")
        self._require(answer, (200, 404), f"the tags of {repository}")
        tags = frozenset(tag for tag in _json(answer).get("tags") or [] if isinstance(tag, str)) if answer.status == 200 else frozenset()
        return Seen(tags, self._counted(repository, tags), requests)

    def requests(self, repository: str) -> int | None:
        """How many there were in that repository; None where the metrics are not to be read."""
        answer = self._ask("GET", self.metrics)
        text = answer.body.decode(errors="replace") if answer.status == 200 else ""
        if "zot_http_repo_latency_seconds_count" not in text:
            return None
        found = re.search(rf'^zot_http_repo_latency_seconds_count\{{repo="{re.escape(repository)}"\}} (\d+)', text, re.MULTILINE)
        return int(found[1]) if found else 0

    def has_manifest(self, repository: str, tag: str) -> Response:
        """As clients ask for it: zot asks its upstream then."""
        return self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", {"Accept": _ACCEPTED})

    def require(self) -> None:
        """It is there, and lets this host in."""
        answer = self._ask("GET", "/v2/")
        self._require(answer, (200,), "/v2/")
        if "html" in {name.lower(): value for name, value in answer.headers.items()}.get("content-type", ""):
            raise ZotError(f"{self.url} is no registry: /v2/ is a page for people")

    def _counted(self, repository: str, tags: t.Collection[str]) -> dict[str, tuple[str, int]] | None:
        query = '{ExpandedRepoInfo(repo:"%s"){Images{Tag Digest DownloadCount}}}' % repository  # noqa: UP031 - braces
        answer = self._ask("GET", f"/v2/_zot/ext/search?query={quote(query)}")
        told = _json(answer) if answer.status == 200 else {}
        if "data" not in told:
            return None
        images = mapping(mapping(told["data"]).get("ExpandedRepoInfo")).get("Images")
        if not isinstance(images, list):
            return None if tags else {}  # it knows no repository that is not there
        rows = [mapping(image) for image in images]
        if not all(isinstance(row.get("DownloadCount"), int) for row in rows):
            return None
        return {str(row.get("Tag")): (str(row.get("Digest")), row["DownloadCount"]) for row in rows}

    def _ask(self, method: str, path: str, headers: t.Mapping[str, str] | None = None) -> Response:
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        authorized = {"Authorization": f"Basic {login}"} if self.username else {}
        # Of Docker zot wants a login where others are let in.
        return self.send(method, f"{self.url}{path}", {"User-Agent": "blumeops.zot", **authorized, **(headers or {})}, 30)

    def _require(self, answer: Response, expected: tuple[int, ...], what: str) -> None:
        if answer.untrusted:
            raise ZotError(f"{self.url}: its certificate is not trusted on this host ({answer.untrusted})")
        if not answer.status:
            raise ZotError(f"{self.url} cannot be reached from this host: {answer.reason}")
        if answer.status in (401, 403):
            said = f"the login of {self.username} is refused" if self.username else "it lets nobody read without a login"
            raise ZotError(f"{self.url} answers {answer.status} to the question for {what}: {said}")
        if answer.status not in expected:
            raise ZotError(f"{self.url} answers {answer.status} to the question for {what}: it is no zot that serves")


# ---- a check

Told = dict[str, t.Any]
# Who else pulls the same image would be taken for this client.
QUIET = 1.0


class Faults(t.Protocol):
    """Why this client may go past the registry, as far as its files and settings tell; empty if they are right."""

    def __call__(self) -> str: ...


def choose(routes: t.Sequence[t.Mapping[str, t.Any]], client: Puller) -> t.Mapping[str, t.Any]:
    """The first image that the client has to ask for. Raises ZotError where there is none."""
    if not routes:
        raise ZotError("images: there is none to pull")
    for route in routes:
        if not route["cached"]:
            raise ZotError(f"{route['image']} is not cached: {route['why']}")
        if ":" in route["reference"]:
            raise ZotError(f"{route['image']}: give a tag, as the registry lists no digests")
    found = next((route for route in routes if not client.has(route["image"])), None)
    if found is None:
        raise ZotError(
            f"{client.name} has every one of these images already, so a pull would prove nothing; give one that nothing on the host needs",
            cached=None,
        )
    return found


def check(zot: Zot, client: Puller, route: t.Mapping[str, t.Any], faults: Faults, clock: t.Any, timeout: float) -> Told:
    """Pull, and prove it. Raises ZotError with the result where the image did not come through the registry, or nobody can tell."""
    image, (repository, tag) = route["image"], place(route)
    before = _before(zot, repository, tag, clock)
    before = replace(before, requests=zot.requests(repository))
    if tag in before.tags and before.counted is None and before.requests is None:
        raise ZotError(
            f"{image}: zot has this tag already, and tells neither downloads (search is off or closed) nor requests (metrics are), so "
            "nothing can be proved with it; give an image that zot does not have",
            cached=None,
            proof="",
        )
    began = clock.monotonic()
    try:
        done = client.pull(image, timeout)
        seconds = round(clock.monotonic() - began, 2)
        requests = zot.requests(repository)
        after = zot.look(repository, requests)
        outcome, proof = judge(before, after, tag)
        if outcome == BYPASSED and not done.rc and client.had(image):
            outcome, proof = UNKNOWN, ""
    finally:
        left = client.drop(image)
    told = {
        "cached": {CACHED: True, BYPASSED: False}.get(outcome),
        "proof": proof if outcome == CACHED else "",
        "seconds": seconds,
        "requests": requests - (before.requests or 0) if requests is not None and before.requests is not None else None,
        "left": left,
    }
    if reason := _reason(zot, client, route, (outcome, proof), done, faults):
        unknown = outcome == UNKNOWN or (outcome == CACHED and UNJUDGED in reason)
        raise ZotError(f"{image} on {client.name}: {reason}", **{**told, "cached": None if unknown else False, "reason": reason})
    return {**told, "msg": f"{image} came through the registry: {PROOFS[proof]}"}


def place(route: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """Repository and tag in zot."""
    return route["registry"].partition("/")[2], route["reference"]


def _before(zot: Zot, repository: str, tag: str, clock: t.Any) -> Seen:
    seen = zot.look(repository)
    if seen.counted is None or tag not in seen.tags:
        return seen
    clock.sleep(QUIET)
    again = zot.look(repository)
    if again.counted != seen.counted:
        raise ZotError(
            f"somebody else pulls {repository}:{tag} just now, which would be taken for this pull; give an image that nobody else pulls",
            cached=None,
        )
    return again


def _reason(zot: Zot, client: Puller, route: t.Mapping[str, t.Any], judged: tuple[str, str], done: t.Any, faults: Faults) -> str:
    """Why this is no proof; empty if it is one."""
    outcome, proof = judged
    if outcome == UNKNOWN:
        return "it had the image's content under another name, and asked for nothing; give an image of which it has nothing"
    if outcome == CACHED and not done.rc:
        # Who stands in has settings of its own; and who only resolves a tag makes it appear too.
        found = faults() if client.stands_in or proof == "appeared" else ""
        if found == UNJUDGED:
            return f"zot has a tag that it did not have, and whose it is cannot be told: {UNJUDGED}" if proof == "appeared" else ""
        return found
    if outcome == CACHED:
        return f"the registry served it, and then the pull failed: {last_words(done)}"
    went = f"the pull failed ({last_words(done)})" if done.rc else "it was pulled past the registry"
    found = faults()
    return f"{went}: {_answer_of(zot, route, proof, found) if found in ('', UNJUDGED) else found}"


def _answer_of(zot: Zot, route: t.Mapping[str, t.Any], proof: str, unjudged: str) -> str:
    """What the registry says itself to what the client should have asked."""
    answer = zot.has_manifest(*place(route))
    asked = f"{zot.url}/v2/{place(route)[0]}"
    if answer.status == 200 and proof == "resolved":
        return "the registry was asked only which image the tag is, and the image came from elsewhere"
    if answer.status == 200:
        why = unjudged or "its files are right now, but it may not have read them (restart it)"
        return f"{asked} has it, and the client did not ask: {why}"
    if answer.status == 404:
        upstream = route["upstream"].partition("/")[0]
        return f"{asked} answers 404: {upstream} has no such image, is down, or refuses zot, whose log says which"
    if answer.status in (401, 403):
        return f"{asked} answers {answer.status}: clients need a login there"
    return f"{asked} answers {answer.status or answer.reason}"


def _json(answer: Response) -> dict[str, t.Any]:
    try:
        return mapping(json.loads(answer.body))
    except ValueError:
        return {}
