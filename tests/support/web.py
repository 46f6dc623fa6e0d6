# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers on loopback that give one answer, byte for byte, and certificates for them."""

from __future__ import annotations

import contextlib
import datetime
import re
import socket
import ssl
import threading
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Server:
    """Gives the same answer to every connection, and keeps what it was asked."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.context = answer, context
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            # Who does not trust the certificate hangs up.
            with contextlib.suppress(OSError), self._talked(connection) as open_one:
                self.asked.append(_request(open_one).decode(errors="replace"))
                open_one.sendall(self.answer)

    def _talked(self, connection: socket.socket) -> socket.socket:
        if self.context is None:
            return connection
        with connection:
            return self.context.wrap_socket(connection, server_side=True)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


def _request(connection: socket.socket) -> bytes:
    """Whole: a body often comes on its own."""
    data = connection.recv(65536)
    length = re.search(rb"\ncontent-length: (\d+)", data.lower())
    while length and len(data.partition(b"\r\n\r\n")[2]) < int(length[1]) and (more := connection.recv(65536)):
        data += more
    return data


@contextlib.contextmanager
def servers() -> t.Iterator[t.Callable[..., Server]]:
    """Starts them; they end with the block."""
    started: list[Server] = []

    def start(answer: bytes = b"", context: ssl.SSLContext | None = None) -> Server:
        started.append(Server(answer, context))
        return started[-1]

    yield start
    for server in started:
        server.close()


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def self_signed(path: Path, name: str) -> ssl.SSLContext:
    """Of a server with that name, whose certificate nobody trusts; ``path`` will hold it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(path, name))
    return context


def certificate(path: Path, name: str) -> Path:
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
