# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in without a browser, at a small double of zot's part and at a real zot."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import json
import re
import subprocess
import threading
import typing as t
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from support import oci, oidc, zot_binary

CLAIMS: dict[str, dict[str, object]] = {
    "ada": {"preferred_username": "ada", "email": "ada@example.test", "groups": ["admins"]},
    "bob": {"preferred_username": "bob", "email": "bob@example.test", "groups": []},
    "nameless": {"groups": ["admins"]},
}


class Zot(t.NamedTuple):
    url: str
    real: bool


class _Double(http.server.BaseHTTPRequestHandler):
    """zot's part in a login, as recorded in tests/vectors/oidc: redirects, the Secure state cookie, session cookie, key."""

    issuer: t.ClassVar[str]

    def log_message(self, *_: object) -> None:
        pass

    @property
    def own(self) -> str:
        return f"http://{self.headers['Host']}"

    def answer(self, status: int, body: dict[str, str] | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        data = json.dumps(body or {}).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def cookies(self) -> dict[str, str]:
        return {name: morsel.value for name, morsel in SimpleCookie(self.headers["Cookie"] or "").items()}

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/zot/auth/login" and query["provider"] == "oidc":
            callback = f"{self.own}/zot/auth/callback/oidc"
            wanted = {"client_id": "zot", "redirect_uri": callback, "response_type": "code", "scope": "openid profile email", "state": "s1"}
            cookie = "statecookie=s1; Path=/zot/auth/callback; HttpOnly; Secure"
            self.answer(302, Location=f"{self.issuer}/oauth2/authorize?{urlencode(wanted)}", Set_Cookie=cookie)
        elif url.path == "/zot/auth/callback/oidc" and self.cookies().get("statecookie") == query["state"]:
            form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": f"{self.own}{url.path}"}
            token = requests.post(f"{self.issuer}/oauth2/token", data=form, auth=("zot", "x"), timeout=20).json()["id_token"]
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            if "preferred_username" in claims:
                self.answer(201, Set_Cookie=f"session={claims['preferred_username']}; Path=/; HttpOnly")
            else:
                self.answer(401)
        else:
            self.answer(400 if url.path == "/zot/auth/login" else 401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        by_session = self.cookies().get("session") and self.headers["X-ZOT-API-CLIENT"] == "zot-ui"
        by_password = self.headers["Authorization"] == "Basic " + base64.b64encode(b"local:local-password").decode()
        if by_session or by_password:
            self.answer(201, {"apiKey": "zak_" + "0" * 32})
        else:
            self.answer(401)


@pytest.fixture(scope="module")
def provider() -> Iterator[oidc.Provider]:
    with oidc.mock_provider(CLAIMS) as running:
        yield running


@pytest.fixture(scope="module", params=["double", pytest.param("real", marks=pytest.mark.real_zot)])
def zot(request: pytest.FixtureRequest, provider: oidc.Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zot]:
    if request.param == "double":
        handler = type("Handler", (_Double,), {"issuer": provider.issuer})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield Zot(f"http://127.0.0.1:{server.server_port}", real=False)
            server.shutdown()
            thread.join()
        return
    binary = request.getfixturevalue("real_zot")
    folder = tmp_path_factory.mktemp("zot")
    auth = {
        "htpasswd": {"path": str(zot_binary.write_htpasswd(folder / "htpasswd", {"local": "local-password"}))},
        "apikey": True,
        "openid": {"providers": {"oidc": provider.zot_settings(claimMapping={"username": "preferred_username"})}},
    }
    policy = {"policies": [{"groups": ["admins"], "actions": ["read", "create"]}]}
    with zot_binary.serving(binary, {"http": {"auth": auth, "accessControl": {"repositories": {"**": policy}}}}, folder) as serving:
        yield Zot(serving.url, real=True)


def test_discovery_names_the_issuer_byte_for_byte(provider: oidc.Provider) -> None:
    document = requests.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=20).json()
    assert document["issuer"] == provider.issuer == provider.zot_settings()["issuer"]


def test_a_login_gives_a_key_with_the_users_rights(zot: Zot, tmp_path: Path) -> None:
    tomorrow = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)
    with oidc.login(zot.url, "ada") as session:
        key = oidc.create_api_key(session, zot.url, "test", tomorrow)
    assert re.fullmatch(r"zak_[0-9a-f]{32}", key)
    if zot.real:
        image = oci.make_image(tmp_path / "image")
        for client in filter(None, (oci.HttpClient(), oci.tool_client())):
            pushed = client.push(zot.url, f"by/{client.name}", "v1", image=image, username="ada", password=key)
            assert pushed.ok, pushed.error
        stranger = oci.HttpClient().push(zot.url, "by/stranger", "v1", image=image, username="bob", password=key)
        assert stranger.status == 401, "a key is its owner's"


def test_the_groups_of_the_login_decide(zot: Zot, tmp_path: Path) -> None:
    with oidc.login(zot.url, "bob") as session:
        key = oidc.create_api_key(session, zot.url, "test")
    if zot.real:
        refused = oci.HttpClient().push(zot.url, "r", "v1", image=oci.make_image(tmp_path / "image"), username="bob", password=key)
        assert refused.status == 403, refused.error


def test_a_local_user_needs_no_login(zot: Zot) -> None:
    assert oidc.create_api_key(("local", "local-password"), zot.url, "test").startswith("zak_")
    with pytest.raises(oidc.OidcError, match="answered 401"):
        oidc.create_api_key(("local", "wrong"), zot.url, "test")


def test_who_cannot_log_in_is_told_why(zot: Zot) -> None:
    with pytest.raises(oidc.OidcError, match=r"login of 'nameless' failed: .*/callback/oidc answered 401"):
        oidc.login(zot.url, "nameless")
    with pytest.raises(oidc.OidcError, match="no user 'mistyped'"):
        oidc.login(zot.url, "mistyped")
    with pytest.raises(oidc.OidcError, match=r"no login form: .*/zot/auth/login answered 400"):
        oidc.login(zot.url, "ada", "unknown")


def test_cookies_cross_plain_http_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        oidc.login("http://registry.example", "ada")


def test_an_expiry_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        oidc.create_api_key(("local", "x"), "http://127.0.0.1:1", "test", dt.datetime(2030, 1, 1))


def test_the_provider_ends_with_the_block_however_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args: t.Any, **options: t.Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with pytest.raises(KeyboardInterrupt), oidc.mock_provider(CLAIMS) as provider:
        raise KeyboardInterrupt
    with pytest.raises(requests.ConnectionError):
        requests.get(provider.issuer, timeout=5)
    assert [process.returncode is not None for process in started] == [True], "not ended, or not waited for"


def test_a_taken_port_is_an_error_with_the_providers_words(provider: oidc.Provider) -> None:
    port = int(provider.issuer.rpartition(":")[2])
    with pytest.raises(oidc.OidcError, match=r"(?s)did not come up.*address already in use"), oidc.mock_provider(CLAIMS, port):
        pass
