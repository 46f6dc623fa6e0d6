# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: asks a live zot who may do what, with requests that change nothing.

zot decides who may do something before it looks at what comes along, so each action has a request that it refuses in any case, and how
it refuses tells whether the action was allowed. Never asked are C(GET) and C(HEAD) of manifests and referrers, which a pull-through
registry passes on to its upstream, C(PATCH) of an upload, which makes a repository, and C(PUT) with the media type of a manifest,
which makes one too.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
import typing as t
from urllib.parse import urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.module_utils._zot import ask as ask_zot

ALLOWED, DENIED = "allowed", "denied"
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"
# Not that of any registry client: zot answers Docker's otherwise.
USER_AGENT = "blumeops.zot.zot_access_probe"

MAX_STORED = 5000

_THREADS = 4
# While zot delays its denials nobody computes.
_THREADS_IF_DELAYED = 32
_TIMEOUT = 15.0
_PAUSES = (0.2, 0.5, 1.5)
_POLL = 0.1
_DENIALS = (401, 403)
# Between zot and its clients something else said these, or zot had no time.
_NO_ANSWERS = (405, 407, 408, 421, 425, 429)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Identity(t.NamedTuple):
    """Who asks; an empty name is everybody who is not logged in. ``secret`` is a password or an API key."""

    name: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Identity(name={self.name!r})"

    @property
    def headers(self) -> dict[str, str]:
        if not self.name:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{self.name}:{self.secret}".encode()).decode()}


class Question(t.NamedTuple):
    """May identity number ``who`` do this? ``tag`` is the one that would be updated."""

    who: int
    action: str
    repository: str
    tag: str = ""

    @property
    def request(self) -> tuple[str, str, dict[str, str]]:
        """Method, path and headers."""
        if self.action == "read":
            return "GET", f"/v2/{self.repository}/blobs/uploads/{NO_UPLOAD}", {}
        # Nobody has a tag of 128 random bits: it would be made, or is not there to be deleted.
        tag = self.tag if self.action == "update" else f"absent-{secrets.token_hex(16)}"
        path = f"/v2/{self.repository}/manifests/{tag}"
        # The type of nothing that a registry holds: it is refused before anything is written.
        return ("DELETE", path, {}) if self.action == "delete" else ("PUT", path, {"Content-Type": "text/plain"})


def verdict(answer: Response) -> str | None:
    """Allowed or denied; None where the answer tells neither."""
    if answer.status in _DENIALS:
        return DENIED
    if answer.status == 429 and b"TOOMANYREQUESTS" in answer.body:
        return ALLOWED  # zot's limit of repositories, at which it looks once it has decided
    if answer.status == 204 or (400 <= answer.status < 500 and answer.status not in _NO_ANSWERS):
        return ALLOWED
    return None


class Target(t.NamedTuple):
    """Where to ask, and how patiently; ``fail_delay`` are the seconds by which zot delays a denial."""

    url: str
    verify: bool = True
    release: str | None = None
    wait: float = 0
    fail_delay: int = 0
    ca_path: str | None = None


def probe(target: Target, identities: list[Identity], questions: t.Mapping[str, t.Any], clock: t.Any) -> dict[str, t.Any]:
    """Ask every question (action -> repositories; for C(update) lists of repositories, of each the first with a tag) as every identity.

    Raises ZotError where there is no zot that can be asked, or it stops answering.
    """
    line = Line(target)
    try:
        release = _meet(target, line, identities, clock)
        refused = {number for number, identity in enumerate(identities) if identity.name and not _logs_in(line, identity)}
        welcome = {number: identity for number, identity in enumerate(identities) if number not in refused}
        tagged, unasked = _tagged(line, questions.get("update") or [], welcome.values())
        asked = [
            Question(number, action, repository)
            for action in ("read", "create", "delete")
            for repository in questions.get(action) or []
            for number in welcome
        ]
        asked += [Question(number, "update", repository, tag) for repository, tag in tagged for number in welcome]
        answers = _ask_all(target, line, identities, asked, clock)
        # zot knows whoever logs in, and says 403 then: 401 may mean that the login ended while it was asked.
        doubtful = {question.who for question, answer in answers if answer.status == 401 and identities[question.who].name}
        refused |= {number for number in doubtful if not _logs_in(line, identities[number])}
        stored = _stored(line, welcome.values()) if not questions.get("update") else []
    finally:
        line.close()
    told = [(question, answer) for question, answer in answers if question.who not in refused]
    return {
        "release": release,
        "refused": sorted(refused),
        "answers": [_told(question, answer) for question, answer in told],
        "unasked": unasked,
        "stored": stored,
    }


def _told(question: Question, answer: Response) -> dict[str, t.Any]:
    return {
        "who": question.who,
        "action": question.action,
        "repository": question.repository,
        "tag": question.tag,
        "status": answer.status,
        "answered": verdict(answer),
    }


# ---- the connection


class Line:
    """One kept-alive connection, made anew when zot has closed it. It raises nothing for what the network does."""

    def __init__(self, target: Target) -> None:
        where = urlsplit(target.url)
        self._netloc, self._tls, self._verify, self._ca_path = where.netloc, where.scheme == "https", target.verify, target.ca_path
        self._timeout = _TIMEOUT + target.fail_delay
        self._connection: t.Any = None

    def ask(self, method: str, path: str, headers: t.Mapping[str, str] | None = None) -> Response:
        answer = Response(0, reason="nothing was asked")
        # A second time, where the first connection had served before: zot closes those that were idle.
        for _unused in range(2 if self._connection else 1):
            answer = self._ask(method, path, headers or {})
            if answer.status:
                break
        return answer

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _ask(self, method: str, path: str, headers: t.Mapping[str, str]) -> Response:
        import ssl
        from http.client import HTTPException

        try:
            if self._connection is None:
                self._connection = self._connected()
            self._connection.request(method, path, headers={"User-Agent": USER_AGENT, **headers})
            answer = self._connection.getresponse()
            return Response(answer.status, answer.read(), {name.lower(): value for name, value in answer.headers.items()})
        except ssl.SSLCertVerificationError as error:
            self.close()
            return Response(0, reason=error.verify_message, untrusted=error.verify_message)
        except ssl.SSLError as error:
            self.close()
            return Response(0, reason=f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
        except (HTTPException, OSError, ValueError) as error:
            self.close()
            # What is no OSError may quote what was sent.
            return Response(0, reason=(error.strerror or str(error) if isinstance(error, OSError) else "") or type(error).__name__)

    def _connected(self) -> t.Any:
        import ssl
        from http.client import HTTPConnection, HTTPSConnection

        if not self._tls:
            return HTTPConnection(self._netloc, timeout=self._timeout)
        unverified = ssl._create_unverified_context
        context = ssl.create_default_context(cafile=self._ca_path) if self._verify else unverified()
        return HTTPSConnection(self._netloc, timeout=self._timeout, context=context)


# ---- before asking


def _meet(target: Target, line: Line, identities: t.Iterable[Identity], clock: t.Any) -> str | None:
    """The release that zot says it is, None where it does not tell; raises ZotError where no zot is ready there."""
    deadline = clock.monotonic() + target.wait
    while True:
        base = line.ask("GET", "/v2/")
        if base.untrusted:
            raise ZotError(f"{target.url}: its certificate is not trusted ({base.untrusted}); nothing was asked")
        ready = ask_zot(target.url, lambda method, url, *_more: line.ask(method, url[len(target.url) :]))
        if base.status and base.status < 500 and (ready.ready or base.status not in (200, 401)):
            break
        if clock.monotonic() >= deadline:
            raise ZotError(f"no zot is ready at {target.url}: {_why_not(base) or ready.reason}; nothing was asked")
        clock.sleep(_POLL)
    problem = _no_registry(base) or ("" if ready.release or _is_zot(target, line, identities) else _OTHER)
    if problem:
        raise ZotError(f"{target.url} {problem}; nothing was asked")
    return ready.release


_OTHER = "is a registry, but does not answer as zot does: another one, or something in between hides /readyz and /v2/_oci/ext/discover"


def _why_not(answer: Response) -> str:
    if not answer.status:
        return answer.reason
    return f"/v2/ answers {answer.status}" if answer.status >= 500 else ""


def _no_registry(base: Response) -> str:
    """Why what answered C(/v2/) cannot be asked, empty where it can."""
    if 300 <= base.status < 400:
        where = urlsplit(base.headers.get("location", ""))
        return f"sends its clients to {where.scheme}://{where.hostname} instead: give the address that answers itself"
    if b"HTTPS server" in base.body:
        return "speaks TLS: the address begins with https"
    if base.status not in (200, 401) or _is_page(base):
        return f"is no registry: /v2/ answers {base.status}{' with a page for people' if _is_page(base) else ''}"
    if base.headers.get("www-authenticate", "").lower().startswith("bearer"):
        return "wants tokens of another service, which decides who may do what"
    return ""


def _is_page(answer: Response) -> bool:
    return "html" in answer.headers.get("content-type", "").lower()


def _is_zot(target: Target, line: Line, identities: t.Iterable[Identity]) -> bool:
    ready = line.ask("GET", "/readyz")
    if ready.status == 200 and not _is_page(ready):
        return True
    told = [line.ask("GET", "/v2/_oci/ext/discover", identity.headers) for identity in identities]
    if any(answer.status == 200 and "extensions" in _json(answer) for answer in told):
        return True
    # Before 2.1.6 nothing tells a zot that lets nobody in.
    return all(answer.status == 401 for answer in told) and _is_old(target.release)


def _is_old(release: str | None) -> bool:
    return bool(release) and tuple(int(part) for part in re.findall(r"\d+", release or "")) < (2, 1, 6)


def _logs_in(line: Line, identity: Identity) -> bool:
    answer = line.ask("GET", "/v2/", identity.headers)
    if answer.status not in (200, 401):
        raise ZotError(f"zot does not say whether {identity.name} may log in: /v2/ answers {answer.status or answer.reason}")
    return answer.status == 200


# ---- what is stored


def _stored(line: Line, identities: t.Iterable[Identity]) -> list[str]:
    """The repositories that the identities together may see."""
    names: dict[str, None] = {}
    for identity in identities:
        answer = line.ask("GET", "/v2/_catalog", identity.headers)
        listed = _json(answer).get("repositories") if answer.status == 200 else None
        names.update(dict.fromkeys(name for name in listed or [] if isinstance(name, str)))
    return sorted(names)[:MAX_STORED]


def _tagged(
    line: Line, wanted: t.Iterable[list[str]], identities: t.Collection[Identity]
) -> tuple[list[tuple[str, str]], list[dict[str, t.Any]]]:
    """Of each list the first repository that has a tag, with the tag; and the lists that have none."""
    found, unasked = [], []
    for alike in wanted:
        tags = ((repository, _tag(line, repository, identities)) for repository in alike)
        first = next(((repository, tag) for repository, tag in tags if tag), None)
        if first:
            found.append(first)
        else:
            unasked.append({"repository": alike[0], "action": "update", "reason": "nobody who was asked sees a tag there"})
    return found, unasked


def _tag(line: Line, repository: str, identities: t.Iterable[Identity]) -> str:
    """A tag of what lies in the registry itself: this list is never asked of an upstream."""
    for identity in identities:
        answer = line.ask("GET", f"/v2/{repository}/tags/list", identity.headers)
        listed = _json(answer).get("tags") if answer.status == 200 else None
        tags = [tag for tag in listed or [] if isinstance(tag, str) and _TAG.fullmatch(tag)]
        if tags:
            # Up to 2.1.14 latest was overwritten by whoever may create.
            return min(tags, key=lambda tag: (tag == "latest", tag))
    return ""


def _json(answer: Response) -> dict[str, t.Any]:
    try:
        return mapping(json.loads(answer.body))
    except ValueError:
        return {}


# ---- asking


def _ask_all(
    target: Target, line: Line, identities: list[Identity], questions: list[Question], clock: t.Any
) -> list[tuple[Question, Response]]:
    """In their order; each thread keeps a connection of its own and takes every so-manieth question."""
    lines = [line, *(Line(target) for _unused in range((_THREADS_IF_DELAYED if target.fail_delay else _THREADS) - 1))]
    gone = threading.Event()

    def answered(number: int) -> list[tuple[Question, Response]]:
        found = []
        for question in questions[number :: len(lines)]:
            if gone.is_set():
                break
            answer = _persist(lines[number], question, identities[question.who], clock)
            if answer.status in (0, 429) and verdict(answer) is None:
                gone.set()
                why = "it answers fewer requests a second than were asked (http.ratelimit)" if answer.status else answer.reason
                raise ZotError(f"zot at {target.url} stopped answering: {why}")
            found.append((question, answer))
        return found

    try:
        parts = _at_once(answered, min(len(lines), len(questions)))
    finally:
        for one in lines[1:]:
            one.close()
    return [parts[place % len(lines)][place // len(lines)] for place in range(len(questions))]


def _at_once(call: t.Callable[[int], t.Any], count: int) -> list[t.Any]:
    """What it answers for each number, in a thread each. As concurrent.futures does it, which takes as long to load as all else here."""
    answers: list[t.Any] = [None] * count
    errors: list[BaseException | None] = [None] * count

    def one(number: int) -> None:
        try:
            answers[number] = call(number)
        except BaseException as error:  # for whoever waits
            errors[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        if error:
            raise error
    return answers


def _persist(line: Line, question: Question, identity: Identity, clock: t.Any) -> Response:
    """The answer; where it tells nothing, that of the last of a few attempts. Each may be asked twice, as it changes nothing."""
    method, path, headers = question.request
    answer = Response(0)
    for pause in (*_PAUSES, None):
        answer = line.ask(method, path, {**headers, **identity.headers})
        if verdict(answer) or answer.untrusted or pause is None:
            break
        clock.sleep(pause)
    return answer
