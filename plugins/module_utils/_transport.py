# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: HTTP as its clients see it. Tests pass a scripted transport of the same shape."""

from __future__ import annotations

import functools
import typing as t
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

_MOST_BYTES = 4 << 20


class Response(t.NamedTuple):
    """An answer; ``status`` is 0 when there was none, and ``reason`` then says why; ``untrusted`` when it is the certificate."""

    status: int
    body: bytes = b""
    headers: t.Mapping[str, str] = MappingProxyType({})
    reason: str = ""
    untrusted: str = ""


class Transport(t.Protocol):
    """Asks ``url``; every HTTP status is an answer, and no answer is status 0: it never raises for what the network does."""

    def __call__(self, method: str, url: str, headers: t.Mapping[str, str] | None = None, timeout: float = 5) -> Response: ...


class Sender(t.Protocol):
    """A `Transport` that can send something along too."""

    def __call__(
        self, method: str, url: str, headers: t.Mapping[str, str] | None = None, timeout: float = 30, body: bytes | None = None
    ) -> Response: ...


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
            connection = HTTPSConnection(where.netloc, timeout=timeout, context=ssl._create_unverified_context())  # noqa: S323 - see above
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


def sender(verify: bool = True, ca_path: str | None = None) -> Sender:
    """`remote` for an API: a redirect is an answer, as it must not carry a secret elsewhere. ``ca_path``: whom to trust besides."""
    return functools.partial(remote, verify=verify, ca_path=ca_path, follow=False)


def remote(
    method: str,
    url: str,
    headers: t.Mapping[str, str] | None = None,
    timeout: float = 5,
    body: bytes | None = None,
    verify: bool = True,
    ca_path: str | None = None,
    follow: bool = True,
) -> Response:
    """Ask a service elsewhere, through the proxy that the environment names; redirects are followed, but to HTTP only."""
    import ssl
    from http.client import HTTPException, InvalidURL
    from urllib.error import HTTPError
    from urllib.request import Request

    try:
        request = Request(url, data=body, method=method)  # noqa: S310 - the opener knows HTTP only
        for name, value in (headers or {}).items():
            request.add_unredirected_header(name, value)
        with _opener(request.host, functools.partial(_trusting, verify, ca_path), follow).open(request, timeout=timeout) as answer:
            body = answer.read(_MOST_BYTES)
            if answer.length and len(body) < _MOST_BYTES and method != "HEAD":
                return Response(0, reason="the answer was cut short")
            return Response(answer.status, body, dict(answer.headers))
    except (HTTPException, OSError, ValueError) as error:
        if isinstance(error, HTTPError):  # a redirect that leads nowhere
            error.close()
        why = getattr(error, "reason", error)
        untrusted = str(why.verify_message) if isinstance(why, ssl.SSLCertVerificationError) else ""
        # What is no OSError may quote the URL, and that may hold a password.
        quoted = "not a URL that can be asked" if isinstance(error, (InvalidURL, ValueError)) else ""
        said = str(why).strip() if isinstance(error, OSError) else quoted
        return Response(0, reason=said or type(error).__name__, untrusted=untrusted)


@functools.lru_cache(maxsize=8)
def _trusting(verify: bool, ca_path: str | None) -> t.Any:
    """Kept: to read the certificates of a system takes longer than to ask."""
    import ssl

    return ssl.create_default_context(cafile=ca_path) if verify else ssl._create_unverified_context()  # noqa: S323 - the user said so


def _opener(host: str, trusting: t.Callable[[], t.Any], follow: bool) -> t.Any:
    """Without urllib's handlers of files and FTP, to which a redirect could lead; every status is an answer."""
    import urllib.request as lib
    from http.client import HTTPSConnection

    class Trusting(lib.HTTPSHandler):
        """Of a question without TLS nobody has to be trusted: no certificates are read for it."""

        def __init__(self) -> None:
            lib.AbstractHTTPHandler.__init__(self)

        def https_open(self, req: t.Any) -> t.Any:
            return self.do_open(t.cast("t.Any", HTTPSConnection), req, context=trusting())

    class Redirects(lib.HTTPRedirectHandler):
        """Follows 308 too, which Python knows since 3.11."""

        def redirect_request(self, req: t.Any, fp: t.Any, code: int, *rest: t.Any) -> t.Any:
            return super().redirect_request(req, fp, 307 if code == 308 else code, *rest)

        http_error_308 = lib.HTTPRedirectHandler.http_error_302

    class Answers(lib.HTTPDefaultErrorHandler):
        def http_error_default(self, _req: t.Any, fp: t.Any, *_rest: t.Any) -> t.Any:
            return fp

    opener = lib.OpenerDirector()
    # Go takes no proxy for this very host.
    proxies = lib.ProxyHandler({} if _is_loopback(host) else None)
    handlers = (proxies, lib.HTTPHandler(), Trusting(), lib.HTTPErrorProcessor(), lib.UnknownHandler())
    for handler in (*handlers, *([Redirects()] if follow else []), Answers()):
        opener.add_handler(handler)
    return opener


def _is_loopback(netloc: str) -> bool:
    import ipaddress

    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
