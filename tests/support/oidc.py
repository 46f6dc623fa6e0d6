# SPDX-License-Identifier: GPL-3.0-or-later
"""A mock OpenID Connect provider, and what a browser would do with it: log in to zot and make an API key."""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import http.cookiejar
import json
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

from support.zot_binary import free_port

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT = 20.0


class OidcError(Exception):
    """The provider did not start, or a login or a key was refused; says who answered what."""


@dataclass(frozen=True)
class Provider:
    """A running provider. zot compares ``issuer`` byte for byte with the discovery document's: use it as it is."""

    issuer: str
    users: tuple[str, ...]

    def zot_settings(self, *, client_id: str = "zot", **more: object) -> dict[str, t.Any]:
        """``http.auth.openid.providers.oidc`` for this provider, which takes any client and any secret."""
        scopes = ["openid", "profile", "email", "groups"]
        return {"issuer": self.issuer, "clientid": client_id, "clientsecret": "made-up", "scopes": scopes, **more}

    def id_token(self, user: str, audience: str) -> str:
        """A signed token of a user, for whoever is called ``audience``: what zot gets of a login, and a job of its forge."""
        back = "http://127.0.0.1/back"
        asked = {"client_id": audience, "redirect_uri": back, "response_type": "code", "scope": "openid profile email groups"}
        with _session() as session:
            agreed = session.post(
                f"{self.issuer}/oauth2/authorize", params=asked, data={"sub": user}, allow_redirects=False, timeout=_TIMEOUT
            )
            (code,) = parse_qs(urlsplit(agreed.headers.get("Location", "")).query).get("code") or [""]
            # Not by a header: a colon in the name, as of a host with its port, would end it there.
            client = {"client_id": audience, "client_secret": "made-up"}
            given = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, **client}
            told = session.post(f"{self.issuer}/oauth2/token", data=given, timeout=_TIMEOUT)
        if told.status_code != 200:
            raise OidcError(f"no token for {user!r}: {_said(told)}")
        return told.json()["id_token"]


@contextlib.contextmanager
def mock_provider(
    claims_by_user: Mapping[str, Mapping[str, object]], port: int | None = None, token_seconds: int = 3600
) -> Iterator[Provider]:
    """Serve those users on loopback until the block ends. The key is the subject, by which `login` chooses a user."""
    # A free port may be taken between finding and using it; one that was asked for is tried once.
    attempts = 3 if port is None else 1
    for attempt in range(1, attempts + 1):
        with contextlib.ExitStack() as stack:
            try:
                provider = stack.enter_context(_provider(claims_by_user, port or free_port(), token_seconds))
            except OidcError:
                if attempt == attempts:
                    raise
                continue
            yield provider
            return


@contextlib.contextmanager
def _provider(claims_by_user: Mapping[str, Mapping[str, object]], port: int, token_seconds: int) -> Iterator[Provider]:
    argv = [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--token-max-age", str(token_seconds)]
    for user, claims in claims_by_user.items():
        argv += ["--user-claims", json.dumps({**claims, "sub": user})]
    with tempfile.TemporaryDirectory(prefix="oidc-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            issuer = f"http://127.0.0.1:{port}"
            _await_discovery(process, issuer, log)
            yield Provider(issuer, tuple(claims_by_user))
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_discovery(process: subprocess.Popen[bytes], issuer: str, log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT
    # The port may answer although ours cannot have it, so the first sign is its own word that it listens.
    while "Uvicorn running on" not in (said := log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise OidcError(f"the OIDC provider did not come up at {issuer} (exit status {process.poll()}): {said.strip()[-2000:]}")
        time.sleep(0.02)
    with _session() as session:
        found = session.get(f"{issuer}/.well-known/openid-configuration", timeout=_TIMEOUT).json()["issuer"]
    if found != issuer:
        raise OidcError(f"the OIDC provider at {issuer} calls itself {found}")


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc
    return session


class _LoopbackCookies(http.cookiejar.DefaultCookiePolicy):
    """zot marks its state cookie Secure even when it serves plain http; browsers make this very exception for loopback.

    The mark is taken off on arrival: requests sends from a copy of the jar, which keeps the cookies but not their policy.
    """

    def set_ok(self, cookie: http.cookiejar.Cookie, request: t.Any) -> bool:
        cookie.secure = False
        return super().set_ok(cookie, request)


def login(zot_url: str, user: str, provider: str = "oidc") -> requests.Session:
    """Log in as ``user`` without a browser. The session is the caller's to close; it carries what zot's UI would send."""
    if urlsplit(zot_url).scheme == "http" and urlsplit(zot_url).hostname not in _LOOPBACK:
        raise ValueError(f"{zot_url}: a login over plain http is for loopback only")
    session = _session()
    session.cookies.set_policy(_LoopbackCookies())
    try:
        _log_in(session, zot_url.rstrip("/"), user, provider)
    except BaseException:
        session.close()
        raise
    session.headers["X-ZOT-API-CLIENT"] = "zot-ui"  # without it zot does not look at the session cookie
    return session


def _log_in(session: requests.Session, zot_url: str, user: str, provider: str) -> None:
    form = session.get(f"{zot_url}/zot/auth/login", params={"provider": provider}, timeout=_TIMEOUT)
    if form.status_code != 200 or 'name="sub"' not in form.text:
        raise OidcError(f"no login form: {_said(form)}")
    # The provider would take any name and make claims up for it, so a mistyped one would be somebody.
    if f'value="{html.escape(user)}"' not in form.text:
        raise OidcError(f"the provider has no user {user!r}")
    # No callback_ui was asked for, so the way ends at zot's callback with 201 rather than at a page of the UI.
    done = session.post(form.url, data={"sub": user}, timeout=_TIMEOUT)
    if done.status_code != 201 or "session" not in session.cookies:
        raise OidcError(f"login of {user!r} failed: {_said(done)}")


def create_api_key(caller: requests.Session | tuple[str, str], zot_url: str, label: str, expires: dt.datetime | str | None = None) -> str:
    """Make an API key for the caller, who is a session of `login` or a user name with its password, and return the key.

    ``expires`` is a time with a zone, or zot's own spelling of one; without it the key lives for ever.
    """
    if isinstance(expires, dt.datetime):
        if expires.tzinfo is None:
            raise ValueError("the expiry needs a time zone: zot refuses a date without one")
        expires = expires.isoformat(timespec="seconds")
    body = {"label": label, "scopes": [], "expirationDate": expires or ""}
    with contextlib.ExitStack() as stack:
        if isinstance(caller, requests.Session):
            session = caller
        else:
            session = stack.enter_context(_session())
            session.auth = (caller[0].encode(), caller[1].encode())
        answer = session.post(f"{zot_url.rstrip('/')}/zot/auth/apikey", json=body, timeout=_TIMEOUT)
    if answer.status_code != 201:
        raise OidcError(f"no API key: {_said(answer)}")
    return answer.json()["apiKey"]


def _said(answer: requests.Response) -> str:
    return f"{urlsplit(answer.url)._replace(query='').geturl()} answered {answer.status_code} {answer.text.strip()[:500]}"
