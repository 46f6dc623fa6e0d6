# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._discovery import discover
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, remote
from support.web import answer, self_signed, servers
from support.zot_binary import free_port


@pytest.fixture
def serve(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with servers() as start:
        yield start


def document(issuer, **more):
    return answer("200 OK", json.dumps({"issuer": issuer, **more}).encode())


@pytest.mark.parametrize("path", ["", "/", "/realms/x", "/realms/x/", "//"])
def test_a_provider_that_names_the_same_issuer(serve, path):
    server = serve()
    issuer = server.url + path
    server.answer = document(issuer)
    assert discover(issuer, remote) == {"state": "ok", "issuer": issuer, "tls": ""}
    assert server.asked[0].startswith(f"GET {path.removesuffix('/')}/.well-known/openid-configuration HTTP/1.1\r\n")


def test_one_slash_makes_another_issuer(serve):
    server = serve()
    for asked, named in ((server.url, server.url + "/"), (server.url + "/", server.url)):
        server.answer = document(named)
        assert discover(asked, remote) == {"state": "mismatch", "issuer": named, "tls": "", "reason": "it names another issuer"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer("404 Not Found", b"canary"), "it answers 404"),
        (answer("503 Service Unavailable"), "it answers 503"),
        (answer("204 No Content"), "it answers 204"),
        (answer("200 OK", b"<html>canary</html>"), "not JSON: line 1: Expecting value"),
        (answer("200 OK", b""), "not JSON: line 1: Expecting value"),
        (answer("200 OK", b"[]"), "it names no issuer"),
        (answer("200 OK", b"null"), "it names no issuer"),
        (answer("200 OK", b'{"issuer": ""}'), "it names no issuer"),
        (answer("200 OK", b'{"issuer": ["canary"]}'), "it names no issuer"),
        (answer("200 OK", b"[" * 300_000), "nested too deeply"),
    ],
)
def test_what_is_no_document_is_broken(serve, given, reason):
    assert discover(serve(given).url, remote) == {"state": "broken", "issuer": "", "tls": "", "reason": reason}


def test_a_provider_that_does_not_answer():
    told = discover(f"http://127.0.0.1:{free_port()}", remote)
    assert (told["state"], told["issuer"]) == ("unreachable", "")
    assert told["reason"].endswith("Connection refused")
    for issuer in ("", "nonsense", "ldap://x", "https://"):
        told = discover(issuer, remote)
        assert told["state"] == "unreachable"
        assert told["reason"]


def test_a_certificate_that_only_python_does_not_trust_is_no_failure(serve, tmp_path):
    server = serve(b"", self_signed(tmp_path / "server.pem", "idp.test"))
    server.answer = document(server.url)
    told = discover(server.url, remote)
    assert (told["state"], told["issuer"]) == ("ok", server.url)
    assert "certificate" in told["tls"]
    server.answer = document(server.url + "/")
    told = discover(server.url, remote)
    assert told["state"] == "mismatch"
    assert told["tls"]


def test_the_second_question_is_asked_only_about_the_certificate():
    asked = []

    def transport(method, url, verify=True):
        asked.append((method, url, verify))
        return Response(0, reason="gone", untrusted="self-signed" if verify else "")

    told = discover("https://idp.test/", transport)
    assert told == {"state": "unreachable", "issuer": "", "tls": "self-signed", "reason": "gone"}
    url = "https://idp.test/.well-known/openid-configuration"
    assert asked == [("GET", url, True), ("GET", url, False)]
