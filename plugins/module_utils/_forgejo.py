# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: secrets and variables of Forgejo Actions, which Gitea's API shares.

A secret can be set and deleted, its name listed, its value never read. Whatever the forge says, no answer's text gets into a message:
it is told by status, level and what was asked.
"""

from __future__ import annotations

import copy
import email.utils
import json
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, Sender

LONGEST_VALUE = 65536
"""Bytes of a secret and characters of a variable; Gitea refuses more, Forgejo's proxy might."""

REQUEST_TIMEOUT = 30.0
_PAUSES = (1.0, 2.0, 4.0)
_LONGEST_PAUSE = 30.0
_PAGE = 50
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWNER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MOVED = re.compile(r"/api/v1/(?:repos/([\w.-]+)/([\w.-]+)|orgs/([\w.-]+))/actions/", re.ASCII)


class Clock(t.Protocol):
    """What of M(time) is used here."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class ForgeError(ZotError):
    """``kind`` tells apart what went wrong.

    It is one of url, token, scope, unreachable, certificate, unauthorized, token_scope, not_owner, forbidden, not_found, renamed,
    redirected, name, too_long, refused, foreign, busy, late.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Scope:
    """Whose secrets: C(level) is repository, organization or user (the token's own)."""

    level: str
    owner: str = ""
    repo: str = ""

    def __post_init__(self) -> None:
        owner = self.level == "user" or _OWNER.fullmatch(self.owner)
        if not owner or (self.level == "repository" and (not _REPOSITORY.fullmatch(self.repo) or not self.repo.strip("."))):
            wanted = "OWNER/NAME" if self.level == "repository" else "a name"
            raise ForgeError("scope", f"{self.level}: give {wanted}, as it stands in the forge's URLs")

    @property
    def path(self) -> str:
        """Below the API's root."""
        owner, repo = quote(self.owner, safe=""), quote(self.repo, safe="")
        return {"repository": f"/repos/{owner}/{repo}", "organization": f"/orgs/{owner}"}.get(self.level, "/user") + "/actions"

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for two spellings of the same."""
        return self.level, self.owner.lower(), self.repo.lower()

    def __str__(self) -> str:
        return {"repository": f"repository {self.owner}/{self.repo}", "organization": f"organization {self.owner}"}.get(
            self.level, "the token's user"
        )


def portable_name(name: str, where: str) -> tuple[str, str | None]:
    """``name`` as it is stored, and a warning; raises ForgeError for one that some Forgejo or Gitea refuses. ``where`` is for messages."""
    stored = name.upper()
    if not _NAME.fullmatch(name):  # not quoted: it may be a value in the wrong place
        raise ForgeError("name", f"{where}: a name is letters, digits and underscores, and begins with no digit")
    if stored == "CI":
        raise ForgeError("name", f"{where}: the name CI is reserved, take another one such as CI_TOKEN")
    if stored.startswith(("FORGEJO_", "GITEA_", "GITHUB_")):
        raise ForgeError("name", f"{where}: {stored} begins with a reserved word (FORGEJO_, GITEA_, GITHUB_), take another name")
    inside = "GITEA_" in stored or "GITHUB_" in stored
    return stored, f"{where}: {stored} has GITEA_ or GITHUB_ in it, which Forgejo 15.0.0 refuses" if inside else None


class Forge:
    """One forge, asked with one token. ``url`` with or without C(/api/v1). Every method raises ForgeError for what it cannot do.

    What fails for a moment (429, a server's error, no answer) is tried again up to three times.
    """

    def __init__(self, url: str, token: str, send: Sender, clock: Clock) -> None:
        self.url = _root(url)
        token = token.strip()
        if not _TOKEN.fullmatch(token):
            raise ForgeError("token", "the token is empty or has characters that no token has")
        self._headers = {"Authorization": f"token {token}", "Accept": "application/json", "User-Agent": "blumeops.zot"}
        self._send = send
        self.clock = clock
        self._ahead = 0.0
        self._not_after: float | None = None

    def time(self) -> float:
        """Seconds since 1970 by the forge's clock, the same for all who talk to it; by ours as long as it did not tell."""
        return self.clock.time() + self._ahead

    def until(self, monotonic: float) -> Forge:
        """The same forge, which starts no request that might still take effect after then (by this machine's monotonic clock)."""
        other = copy.copy(self)
        other._not_after = monotonic
        return other

    # ---- secrets

    def secrets(self, scope: Scope, presumed: t.Collection[str] = ()) -> list[str] | None:
        """Names; None at user level, where no API lists them.

        With ``presumed``, further pages are only asked for where the forge counts others than these, or an early page has others.
        """
        if scope.level == "user":
            return None
        rows = self._listed(scope, "secrets", frozenset(presumed))
        return sorted(presumed) if rows is None else [str(row["name"]).upper() for row in rows]

    def set_secret(self, scope: Scope, name: str, value: str) -> bool:
        """Whether there was none of that name. A forge that tried again after a lost answer may say False for a new one."""
        return self._write("PUT", scope, "secrets", name, {"data": value}).status == 201

    def delete_secret(self, scope: Scope, name: str) -> bool:
        """Whether it was there."""
        return self._write("DELETE", scope, "secrets", name, missing_is_fine=True).status != 404

    # ---- variables

    def variables(self, scope: Scope) -> dict[str, str]:
        """All of them, in one request as long as they are fifty."""
        return {str(row["name"]).upper(): str(row.get("data") or "") for row in self._listed(scope, "variables") or []}

    def variable(self, scope: Scope, name: str) -> str | None:
        answer, _tries = self._ask("GET", f"{scope.path}/variables/{quote(name, safe='')}")
        if answer.status == 404 and isinstance(_json(answer), dict):
            return None
        found = self._understood(answer, scope, "read", f"the variable {name}")
        if not isinstance(found, dict) or not isinstance(found.get("data"), str):
            raise self._foreign(answer)
        return found["data"]

    def create_variable(self, scope: Scope, name: str, value: str) -> bool:
        """False where it is there already; that is how a lock is taken."""
        answer, tries = self._ask("POST", f"{scope.path}/variables/{quote(name, safe='')}", {"value": value})
        if answer.status == 409:
            # The answer to an earlier try may have been lost.
            return tries > 1 and self.variable(scope, name) == value.replace("\r\n", "\n")
        self._understood(answer, scope, "write", f"the variable {name}")
        return True

    def set_variable(self, scope: Scope, name: str, value: str) -> None:
        """It has to be there; raises ForgeError (not_found) where it is not."""
        self._write("PUT", scope, "variables", name, {"value": value})

    def delete_variable(self, scope: Scope, name: str) -> bool:
        """Whether it was there."""
        return self._write("DELETE", scope, "variables", name, missing_is_fine=True).status != 404

    # ---- requests

    def _listed(self, scope: Scope, kind: str, presumed: frozenset[str] = frozenset()) -> list[dict[str, t.Any]] | None:
        """Every page, until as many are there as the forge counts; Forgejo links no next page. None: they are the presumed."""
        rows: dict[str, dict[str, t.Any]] = {}
        page, more = 1, True
        while more:
            answer, _tries = self._ask("GET", f"{scope.path}/{kind}?limit={_PAGE}&page={page}")
            found = self._understood(answer, scope, "read", f"its {kind}")
            if not isinstance(found, list) or not all(isinstance(row, dict) and isinstance(row.get("name"), str) for row in found):
                raise self._foreign(answer)
            new = {row["name"]: row for row in found if row["name"] not in rows}
            rows.update(new)
            total = _header(answer, "X-Total-Count")
            if presumed and total == str(len(presumed)) and presumed.issuperset(name.upper() for name in rows):
                return None
            more = bool(new) and (len(rows) < int(total) if total.isdecimal() else True)
            page += 1
        return list(rows.values())

    def _write(
        self, method: str, scope: Scope, kind: str, name: str, body: dict[str, str] | None = None, missing_is_fine: bool = False
    ) -> Response:
        answer, _tries = self._ask(method, f"{scope.path}/{kind}/{quote(name, safe='')}", body)
        if not (missing_is_fine and answer.status == 404 and isinstance(_json(answer), dict)):
            self._understood(answer, scope, "write", f"the {kind[:-1]} {name}")
        return answer

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[Response, int]:
        """The answer, and how many tries it took."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}
        for tries, pause in enumerate((*_PAUSES, None), 1):
            if self._not_after is not None and self.clock.monotonic() + REQUEST_TIMEOUT > self._not_after:
                raise ForgeError("late", "the time for which the lock was taken is over; run again")
            answer = self._send(method, f"{self.url}/api/v1{path}", headers, REQUEST_TIMEOUT, data)
            self._set_clock(answer)
            for_a_moment = answer.status in (0, 429, 500, 502, 503, 504) and not answer.untrusted
            if pause is None or not for_a_moment:
                return answer, tries
            self.clock.sleep(min(max(pause, _retry_after(answer, self.time())), _LONGEST_PAUSE))
        raise AssertionError("the last try returns")

    def _set_clock(self, answer: Response) -> None:
        told = _moment(_header(answer, "Date"))
        if told is not None:
            self._ahead = told - self.clock.time()

    # ---- what an answer means

    def _understood(self, answer: Response, scope: Scope, access: str, what: str) -> t.Any:
        """The JSON of a good answer (None where it has no body); raises ForgeError for any other."""
        status = answer.status
        if 200 <= status < 300:
            if not answer.body.strip():
                return None
            found = _json(answer)
            if found is None:
                raise self._foreign(answer)
            return found
        told = _json(answer)
        if status == 0:
            raise self._no_answer(answer)
        if 300 <= status < 400:
            raise self._moved(answer, scope)
        if status == 429 or status >= 500:
            raise ForgeError("busy", f"{self.url} answers {status} to {len(_PAUSES) + 1} tries: look at the forge, and run again later")
        if answer.body.strip() and not isinstance(told, dict) and status != 413:
            raise self._foreign(answer)
        text = str(told.get("message", "")).lower() if isinstance(told, dict) else ""
        raise self._refused(status, text, scope, access, what)

    def _refused(self, status: int, text: str, scope: Scope, access: str, what: str) -> ForgeError:
        needed = f"{access}:{scope.level}"
        if status == 401:
            return ForgeError("unauthorized", f"{self.url} does not know the token (401): it is revoked, expired or mistyped")
        if status == 403:
            missing = f"the token lacks the scope {needed}: make one that has it (write:{scope.level} is what publishing needs)"
            owners = {
                "repository": "only the repository's owner, an organization's admin team and site administrators may; a collaborator "
                "may not, with admin rights neither",
                "organization": "only owners of the organization may; members of a team may not, with admin rights neither",
                "user": "it is the token's own user",
            }[scope.level]
            if "required scope" in text:
                return ForgeError("token_scope", f"{scope}: {missing} (403)")
            if "owner" in text:
                return ForgeError("not_owner", f"{scope}: the token's user may not {access} its secrets and variables (403): {owners}")
            return ForgeError("forbidden", f"{scope}: {access} is refused (403): either {missing}; or {owners}")
        if status == 404:
            why = {
                "repository": "there is no such repository, or the token's user may not see it, or its Actions are switched off "
                "(Forgejo 15 and later)",
                "organization": "there is no such organization (a user's name is none), or the token's user may not see it",
                "user": "the forge has no secrets and variables of users: it is too old",
            }[scope.level]
            return ForgeError("not_found", f"{scope}: {what} cannot be {'read' if access == 'read' else 'written'} (404): {why}")
        if status == 413 or "too long" in text:
            return ForgeError("too_long", f"{scope}: {what} is too long for the forge, or for a proxy before it ({status})")
        if status == 400:
            return ForgeError("name", f"{scope}: the forge refuses the name of {what} (400): take another one")
        return ForgeError("refused", f"{scope}: the forge answers {status} for {what}")

    def _no_answer(self, answer: Response) -> ForgeError:
        if answer.untrusted:
            return ForgeError(
                "certificate",
                f"the certificate of {self.url} is not trusted: {answer.untrusted}; give ca_path, or validate_certs: false for a test",
            )
        return ForgeError(
            "unreachable", f"{self.url} does not answer: {answer.reason or 'nothing was said'}; look at the URL, the network and the forge"
        )

    def _moved(self, answer: Response, scope: Scope) -> ForgeError:
        location = urlsplit(_header(answer, "Location"))
        moved = _MOVED.search(location.path)
        elsewhere = location.hostname and location.netloc != urlsplit(self.url).netloc
        # The path stays what it was where only scheme or host change: then it is the URL that is old.
        if moved and not elsewhere and location.scheme in ("", urlsplit(self.url).scheme):
            new = f"{moved[1]}/{moved[2]}" if moved[1] else moved[3]
            return ForgeError("renamed", f"{scope} was renamed to {new} ({answer.status}): write the new name; nothing was sent there")
        target = f"{location.scheme}://{location.hostname}" if location.scheme and location.hostname else "somewhere else"
        return ForgeError(
            "redirected",
            f"{self.url} sends to {target} ({answer.status}): give the URL of the forge itself, without a login page or a redirect before "
            "it; nothing was sent there",
        )

    def _foreign(self, answer: Response) -> ForgeError:
        kind = _header(answer, "Content-Type").partition(";")[0].strip().lower()
        kind = kind if re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", kind) else "something else"
        return ForgeError(
            "foreign",
            f"{self.url} answers {answer.status} with {kind}, not as the API of Forgejo or Gitea does: is it the forge's URL, and does "
            "nothing before it answer in its place?",
        )


def _root(url: str) -> str:
    """Without C(/api/v1) and slashes."""
    text = re.sub(r"(/api/v1)?/*$", "", url.strip().rstrip("/"))
    try:
        parts = urlsplit(text)
        port_is_one = parts.port != 0
    except ValueError:
        raise ForgeError("url", "the forge's URL is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise ForgeError("url", "the forge's URL has a user or a password in it: give the token on its own")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one or parts.query or parts.fragment:
        raise ForgeError("url", "the forge's URL has to be one such as https://forge.example.org, with or without /api/v1")
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ForgeError("url", "the forge's URL has a space or a special character in it")
    return text


def _json(answer: Response) -> t.Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _header(answer: Response, name: str) -> str:
    return next((str(value) for key, value in answer.headers.items() if key.lower() == name.lower()), "")


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError):
        return None


def _retry_after(answer: Response, now: float) -> float:
    told = _header(answer, "Retry-After").strip()
    if told.isdecimal():
        return float(told)
    moment = _moment(told)
    return 0.0 if moment is None else max(0.0, moment - now)
