# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _transport
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, local, remote, sender
from support.web import answer, self_signed, servers
from support.zot_binary import free_port


@pytest.fixture
def serve():
    with servers() as start:
        yield start


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
    server = serve(answer("200 OK", b"in private"), self_signed(tmp_path / "server.pem", "registry.test"))
    assert local("GET", server.url).body == b"in private"


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


# --- remote


@pytest.fixture
def proxied(monkeypatch):
    """The environment names this proxy for everything."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def proxy(url):
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)

    return proxy


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
def test_elsewhere_too_every_status_is_an_answer(serve, status):
    response = remote("GET", serve(answer(status, b"text", "X-Zot: yes")).url)
    assert (response.status, response.body, response.headers["X-Zot"]) == (int(status[:3]), b"text", "yes")


def test_method_path_and_headers_are_sent_elsewhere(serve):
    server = serve(answer("200 OK"))
    assert remote("HEAD", f"{server.url}/v2/?n=1", headers={"Authorization": "Bearer abc"}).status == 200
    assert server.asked[0].startswith("HEAD /v2/?n=1 HTTP/1.1\r\n")
    assert "Authorization: Bearer abc" in server.asked[0]


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_followed_without_the_headers(serve, status):
    there = serve(answer("200 OK", b"there"))
    here = serve(answer(status, b"", f"Location: {there.url}/x"))
    assert remote("GET", here.url, headers={"Authorization": "canary"}).body == b"there"
    assert there.asked[0].startswith("GET /x ")
    assert "canary" not in there.asked[0]


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:,x", "gopher://127.0.0.1/"])
def test_a_redirect_leads_to_http_only(serve, where):
    response = remote("GET", serve(answer("302 Found", b"", f"Location: {where}")).url)
    assert (response.status, response.body) == (0, b"")
    assert response.reason


def test_redirects_in_a_circle_are_no_answer(serve):
    server = serve()
    server.answer = answer("302 Found", b"", f"Location: {server.url}/")
    assert remote("GET", server.url).status == 0
    assert len(server.asked) < 20


def test_the_proxy_of_the_environment_is_asked(serve, proxied):
    proxy = serve(answer("200 OK", b"by proxy"))
    proxied(proxy.url)
    assert remote("GET", "http://idp.test/x").body == b"by proxy"
    assert proxy.asked[0].startswith("GET http://idp.test/x ")
    assert "403" in remote_through_a_refusing_proxy(serve, proxied).reason


def remote_through_a_refusing_proxy(serve, proxied):
    proxied(serve(answer("403 Forbidden")).url)
    return remote("GET", "https://idp.test/x")


def test_what_needs_no_proxy_is_asked_directly(serve, proxied, monkeypatch):
    proxied(f"http://127.0.0.1:{free_port()}")
    server = serve(answer("200 OK"))
    assert remote("GET", server.url).status == 200
    assert remote("GET", f"http://localhost:{server.port}").status == 200
    monkeypatch.setattr(_transport, "_is_loopback", lambda _host: False)
    assert remote("GET", server.url).status == 0
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert remote("GET", server.url).status == 200


def test_a_certificate_that_nobody_vouches_for_is_told_and_can_be_passed_over(serve, tmp_path):
    server = serve(answer("200 OK", b"in private"), self_signed(tmp_path / "server.pem", "idp.test"))
    response = remote("GET", server.url)
    assert (response.status, response.body) == (0, b"")
    assert "self-signed" in response.untrusted.replace("self signed", "self-signed")
    assert server.asked == []
    passed = remote("GET", server.url, verify=False)
    assert (passed.status, passed.body, passed.untrusted) == (200, b"in private", "")


def test_what_is_wrong_with_tls_otherwise_is_no_matter_of_trust(serve):
    response = remote("GET", serve(answer("200 OK")).url.replace("http:", "https:"))
    assert (response.status, response.untrusted) == (0, "")
    assert response.reason


def test_elsewhere_a_closed_port_is_no_answer():
    response = remote("GET", f"http://127.0.0.1:{free_port()}/")
    assert response.status == 0
    assert response.reason.endswith("Connection refused")


def test_elsewhere_silence_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        response = remote("GET", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
    assert (response.status, response.reason) == (0, "timed out")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 99\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncut",
    ],
    ids=["closed at once", "another protocol", "cut short", "an error cut short", "a chunk cut short"],
)
def test_elsewhere_half_an_answer_is_no_answer(serve, sent):
    response = remote("GET", serve(sent).url)
    assert response.status == 0
    assert response.reason


def test_an_endless_answer_is_not_read_to_its_end(serve):
    response = remote("GET", serve(answer("200 OK", b"x" * (6 << 20))).url)
    assert (response.status, len(response.body)) == (200, 4 << 20)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://a:canary@127.0.0.1:canary/",
        "http://127.0.0.1:5000/a b",
        "http://127.0.0.1:5000/\u00e4",
        "http://a..b/",
    ],
)
def test_elsewhere_a_url_that_is_none_is_no_answer_and_not_quoted(url):
    response = remote("GET", url)
    assert response.status == 0
    assert response.reason
    assert "canary" not in response.reason


def test_an_api_is_sent_a_body_and_its_redirects_are_answers(serve):
    server = serve(answer("201 Created", b"{}"))
    sent = sender()("PUT", f"{server.url}/secrets/A", {"Content-Type": "application/json"}, body=b'{"data": "x"}')
    assert (sent.status, sent.body) == (201, b"{}")
    assert server.asked[0].endswith('{"data": "x"}')
    elsewhere = serve(answer("200 OK"))
    moved = sender()("PUT", serve(answer("301 Moved Permanently", b"", f"Location: {elsewhere.url}/b")).url, body=b"{}")
    assert (moved.status, moved.headers["Location"], elsewhere.asked) == (301, f"{elsewhere.url}/b", [])


def test_without_tls_nobody_has_to_be_trusted(serve, tmp_path):
    assert sender(ca_path=str(tmp_path / "absent.pem"))("GET", serve(answer("200 OK")).url).status == 200


def test_an_authority_of_ones_own_can_be_trusted(serve, tmp_path):
    server = serve(answer("200 OK"), self_signed(tmp_path / "server.pem", "127.0.0.1"))
    assert sender()("GET", server.url).untrusted
    assert sender(verify=False)("GET", server.url).status == 200
    assert "No such file" in sender(ca_path=str(tmp_path / "absent.pem"))("GET", server.url).reason
