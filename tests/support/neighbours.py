# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around a registry, on loopback: a proxy with TLS and a made-up authority, and Docker Hub as far as its limit goes."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.client
import json
import ssl
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Authority:
    """A certificate authority that nobody knows but who is given ``path``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made up for a test")])
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        made = self._signed(self._name, self._key.public_key(), dt.timedelta(days=-1), dt.timedelta(days=3650), (constraint, True))
        self.path = folder / "authority.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def context(self, name: str = "localhost", since: float = 30, left: float = 60) -> ssl.SSLContext:
        """Of a server with that name, whose certificate has been valid for ``since`` days and is for ``left`` more."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        made = self._signed(subject, key.public_key(), dt.timedelta(days=-since), dt.timedelta(days=left), (names, False))
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self._folder / f"{made.serial_number}.pem"
        path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(
        self, subject: x509.Name, key: t.Any, begins: dt.timedelta, ends: dt.timedelta, extension: tuple[t.Any, bool]
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.timezone.utc)
        made = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now + begins, now + ends)
        return made.add_extension(extension[0], critical=extension[1]).sign(self._key, hashes.SHA256())


class _Server:
    """Answers by ``answer(method, path, headers)`` with status, headers and body until it is closed."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                status, headers, body = outer.answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                for name, value in {**headers, "Content-Length": headers.get("Content-Length", str(len(body)))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_POST = _any  # noqa: N815 - http.server's names

            def log_message(self, *_words: t.Any) -> None:
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_words: t.Any) -> None:
                """Who does not trust the certificate hangs up."""

            def finish_request(self, request: t.Any, client_address: t.Any) -> None:
                # Here and not at the listener: a shaken hand may be refused without anybody else having to wait for it.
                if outer.context is not None:
                    with contextlib.closing(outer.context.wrap_socket(request, server_side=True)) as wrapped:
                        super().finish_request(wrapped, client_address)
                else:
                    super().finish_request(request, client_address)

        self.context = context
        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Front(_Server):
    """A proxy as Caddy is one: TLS for ``localhost``, and behind it whoever serves ``behind``; 502 where nobody does."""

    def __init__(self, context: ssl.SSLContext, behind: str = "", port: int = 0) -> None:
        super().__init__(context, port)
        self.behind, self.url = behind, f"https://localhost:{self.port}"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if not self.behind:
            return 502, {}, b""
        with contextlib.closing(http.client.HTTPConnection(urlsplit(self.behind).netloc, timeout=10)) as line:
            try:
                line.request(method, path, headers={name: value for name, value in headers.items() if name != "host"})
                told = line.getresponse()
                return told.status, {"Content-Type": told.headers.get("Content-Type", "text/plain")}, told.read()
            except OSError:
                return 502, {}, b""


class Hub(_Server):
    """Docker Hub's token service and limit of pulls, as docs.docker.com/docker-hub/usage/pulls has them; there is no image in it.

    A HEAD of C(ratelimitpreview/test) is not counted. Whoever logs in has ``remaining_known``, and nobody but ``account`` may.
    """

    def __init__(self, account: tuple[str, str] = ("puller", "made-up")) -> None:
        self.limit, self.remaining, self.remaining_known, self.account = 100, 76, 190, account
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        where = urlsplit(path)
        self.asked.append(f"{method} {where.path}")
        login = headers.get("authorization", "")
        if where.path == "/token":
            asked = parse_qs(where.query)
            known = login == "Basic " + base64.b64encode(":".join(self.account).encode()).decode()
            if login and not known:
                return 401, {}, b'{"details":"incorrect username or password"}'
            token = "known" if known else "anonymous"
            fits = asked == {"service": ["registry.docker.io"], "scope": ["repository:ratelimitpreview/test:pull"]}
            return (200, {}, json.dumps({"token": f"token-of-{token}"}).encode()) if fits else (400, {}, b"")
        if not login.startswith("Bearer token-of-"):
            challenge = f'Bearer realm="{self.url}/token",service="registry.docker.io"'
            return 401, {"Www-Authenticate": challenge}, b""
        if (method, where.path) == ("HEAD", "/v2/ratelimitpreview/test/manifests/latest"):
            left = self.remaining_known if login.endswith("known") else self.remaining
            told = {"ratelimit-limit": f"{self.limit};w=21600", "ratelimit-remaining": f"{left};w=21600"}
            return 200, {**told, "docker-ratelimit-source": "192.0.2.7"}, b""
        return 404, {}, b""
