# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import socket
import ssl
import threading

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, local
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.zot_binary import free_port


class Server:
    """Gives the same answer, byte for byte, to every connection, and keeps what it was asked."""

    def __init__(self, answer, context=None):
        self.answer, self.context, self.asked = answer, context, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection if self.context is None else self.context.wrap_socket(connection, server_side=True) as open_one:
                self.asked.append(open_one.recv(65536).decode())
                open_one.sendall(self.answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def serve():
    servers = []

    def start(answer, context=None):
        servers.append(Server(answer, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answer(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
def test_every_status_is_an_answer_with_body_and_headers(serve, status):
    response = local("GET", serve(answer(status, b"text", "X-Zot: yes")).url)
    assert (response.status, response.body, response.headers["X-Zot"]) == (int(status[:3]), b"text", "yes")


def test_method_path_and_headers_are_sent(serve):
    server = serve(answer("200 OK"))
    local("HEAD", f"{server.url}/v2/?n=1", headers={"Authorization": "Bearer abc"})
    assert server.asked[0].startswith("HEAD /v2/?n=1 HTTP/1.1\r\n")
    assert "Authorization: Bearer abc" in server.asked[0]


def test_a_redirect_is_an_answer_and_not_followed(serve):
    elsewhere = serve(answer("200 OK"))
    assert local("GET", serve(answer("302 Found", b"", f"Location: {elsewhere.url}/")).url).status == 302
    assert elsewhere.asked == []


def test_no_proxy_is_used(serve, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert local("GET", serve(answer("200 OK")).url).status == 200


def test_the_name_in_the_certificate_does_not_matter(serve, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "server.pem", "registry.test"))
    assert local("GET", serve(answer("200 OK", b"in private"), context).url).body == b"in private"


def test_a_closed_port_is_no_answer():
    response = local("GET", f"http://127.0.0.1:{free_port()}/readyz")
    assert (response.status, response.body) == (0, b"")
    assert "refused" in response.reason


def test_silence_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        response = local("GET", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
    assert response.status == 0
    assert "timed out" in response.reason


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 99\r\n\r\ncut",
    ],
    ids=["closed at once", "another protocol", "cut short", "an error cut short"],
)
def test_half_an_answer_is_no_answer(serve, sent):
    response = local("GET", serve(sent).url)
    assert response.status == 0
    assert response.reason


def test_the_time_to_wait_is_the_callers(monkeypatch):
    waited = []

    def create_connection(_address, timeout, *_source):
        waited.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert local("GET", "http://127.0.0.1", timeout=7) == Response(0, reason="timed out")
    assert waited == [7]


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:port/", "http://127.0.0.1:5000/a b"])
def test_a_url_that_is_none_is_no_answer(url):
    response = local("GET", url)
    assert response.status == 0
    assert response.reason


def certificate(path, name):
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
