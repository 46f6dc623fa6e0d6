# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._check_net import (
    Upstream,
    allowance,
    ask_cache,
    ask_certificate,
    ask_issuer,
    ask_outside,
    ask_upstream,
    login_of,
    upstreams_of,
)
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Identity
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from support.web import self_signed, servers

HUB = "https://registry-1.docker.io"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'}
CHALLENGED = Response(401, headers=CHALLENGE)
TOKEN = Response(200, b'{"token": "t0"}')
LEFT = Response(200, headers={"RateLimit-Limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"})
LOGIN = {"username": "me", "password": "canary"}
ANYBODY = [Identity()]


class Script:
    """Gives these answers in turn, and keeps what was asked and how."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, method, url, headers=None, **more):
        self.asked.append((method, url, dict(headers or {}), more))
        return self.answers.pop(0)

    @property
    def urls(self):
        return [f"{method} {url}" for method, url, _headers, _more in self.asked]


# ---- upstreams


def sync(*registries, **more):
    return {"extensions": {"sync": {"enable": True, "registries": list(registries), **more}}}


def test_upstreams_are_known_by_where_they_are_kept():
    kept = {"urls": ["https://registry-1.docker.io"], "content": [{"prefix": "**", "destination": "/docker.io"}], "tlsVerify": True}
    bare = {"urls": ["https://quay.io", "no url", 7], "content": [{"prefix": "**"}], "tlsVerify": False, "certDir": "/certs"}
    assert upstreams_of(sync(kept, bare, {"urls": []}, "nonsense")) == [
        Upstream("docker.io", ("https://registry-1.docker.io",)),
        Upstream("quay.io", ("https://quay.io",), verify=False, own_authority=True),
    ]
    assert upstreams_of(sync(kept, enable=False)) == upstreams_of({}) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Response(200), ""), (Response(401), ""), (Response(404), "it answers 404"), (Response(0, reason="no route"), "no route")],
)
def test_an_upstream_answers_as_a_registry_does(answer, reason):
    ask = Script(answer)
    found = ask_upstream(Upstream("ghcr.io", ("https://me:canary@ghcr.io/",)), None, ask)
    assert found == {"name": "ghcr.io", "asked": [{"url": "https://ghcr.io", "reason": reason}], "untrusted": "", "allowance": None}
    assert ask.asked[0][3] == {"verify": True}


def test_every_address_is_asked_and_as_the_configuration_says():
    ask = Script(Response(0, reason="no"), Response(200))
    found = ask_upstream(Upstream("x", ("https://a", "https://b"), verify=False), None, ask)
    assert [one["reason"] for one in found["asked"]] == ["no", ""]
    assert [more for *_rest, more in ask.asked] == [{"verify": False}] * 2


@pytest.mark.parametrize(("own", "told"), [(False, "unknown authority"), (True, "")])
def test_a_certificate_that_python_does_not_trust_is_no_failure_and_gets_no_password(own, told):
    ask = Script(Response(0, reason="x", untrusted="unknown authority"), CHALLENGED)
    found = ask_upstream(Upstream("docker.io", (HUB,), own_authority=own), LOGIN, ask)
    assert (found["asked"][0]["reason"], found["untrusted"], found["allowance"]) == ("", told, None)
    assert [more for *_rest, more in ask.asked] == [{"verify": True}, {"verify": False}]


@pytest.mark.parametrize("url", ["https://docker.io", "https://index.docker.io", HUB])
def test_of_docker_hub_it_is_told_how_many_pulls_are_left(url):
    ask = Script(CHALLENGED, TOKEN, LEFT)
    found = ask_upstream(Upstream("docker.io", (url,)), None, ask)
    assert found["allowance"] == {"who": "", "reason": "", "limit": 100, "remaining": 76, "window": 21600}
    assert ask.urls == [
        f"GET {HUB}/v2/",
        "GET https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Aratelimitpreview%2Ftest%3Apull",
        f"HEAD {HUB}/v2/ratelimitpreview/test/manifests/latest",
    ]
    assert ask.asked[1][2] == {}
    assert ask.asked[2][2]["Authorization"] == "Bearer t0"


def test_a_login_is_given_to_the_token_service_alone():
    ask = Script(TOKEN, LEFT)
    assert allowance(HUB, CHALLENGED, LOGIN, ask)["who"] == "me"
    assert ask.asked[0][2] == Identity("me", "canary").headers
    assert "canary" not in str(ask.asked[1])


def test_a_password_goes_over_tls_alone():
    plain = Response(401, headers={"www-authenticate": 'Bearer realm="http://auth.test/token",service="s"'})
    ask = Script()
    found = allowance(HUB, plain, LOGIN, ask)
    assert (found["reason"], ask.asked) == ("it wants the password without TLS, which it is not given", [])


@pytest.mark.parametrize(
    ("answers", "login", "expected"),
    [
        ([Response(401)], LOGIN, {"who": "me", "refused": True, "reason": "it refuses the login of me"}),
        ([Response(401)], None, {"who": "", "refused": True, "reason": "it gives nobody a token"}),
        ([Response(500)], None, {"who": "", "reason": "it gives no token (500)"}),
        ([Response(200, b"[]")], None, {"who": "", "reason": "it gives no token (200)"}),
        ([TOKEN, Response(500)], None, {"who": "", "reason": "it does not say how many pulls are left (500)"}),
        ([TOKEN, Response(200)], None, {"who": "", "reason": "", "limit": None, "remaining": None, "window": None}),
        ([TOKEN, Response(429)], None, {"who": "", "reason": "", "limit": None, "remaining": 0, "window": None}),
    ],
)
def test_what_docker_hub_does_not_tell_is_told(answers, login, expected):
    assert allowance(HUB, CHALLENGED, login, Script(*answers)) == expected


def test_a_mirror_of_docker_hub_without_tokens_is_asked_without():
    ask = Script(Response(200), LEFT)
    assert ask_upstream(Upstream("docker.io", ("http://mirror.test:5000",)), None, ask)["allowance"]["remaining"] == 76
    assert ask.urls[1] == "HEAD http://mirror.test:5000/v2/ratelimitpreview/test/manifests/latest"
    assert "Authorization" not in ask.asked[1][2]


@pytest.mark.parametrize(
    ("content", "login"),
    [
        ({"registry-1.docker.io": {"username": "me", "password": "canary"}}, LOGIN),
        ({"registry-1.docker.io": {"username": "me"}}, None),
        ({"docker.io": {"username": "me", "password": "canary"}}, None),
        ([], None),
    ],
)
def test_the_login_is_zots_own(tmp_path, content, login):
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(content))
    assert login_of(str(path), HUB) == login
    assert login_of(str(tmp_path / "absent"), HUB) is login_of(None, HUB) is None


# ---- the cache

BODY = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


def keep(root, repository="ghcr.io/team/app", digest=DIGEST):
    folder = root / repository
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": digest}]}))
    return folder


def test_what_is_cached_is_asked_for_by_its_digest(tmp_path):
    keep(tmp_path)
    ask = Script(Response(200, BODY))
    found = ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, ask)
    assert ask.urls == [f"GET http://zot/v2/ghcr.io/team/app/manifests/{DIGEST}"]
    assert found == {
        "name": "ghcr.io",
        "image": f"ghcr.io/team/app@{DIGEST[:19]}",
        "named": False,
        "reason": "",
        "status": 200,
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(404), "zot answers 404"),
        (Response(0, reason="timed out"), "timed out"),
        (Response(200, b"other"), "what zot serves is not what that digest names"),
    ],
)
def test_a_cached_image_that_is_not_served_says_why(tmp_path, answer, reason):
    keep(tmp_path)
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, Script(answer))["reason"] == reason


def test_whoever_may_read_it_is_asked_as(tmp_path):
    keep(tmp_path)
    who = [Identity(), Identity("a", "1"), Identity("b", "2"), Identity("c", "3")]
    ask = Script(Response(401), Response(403), Response(200, BODY))
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", who, ask)["reason"] == ""
    assert [headers.get("Authorization") for _m, _u, headers, _more in ask.asked] == [
        None,
        *(one.headers["Authorization"] for one in who[1:3]),
    ]
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", who[:1], Script(Response(401)))["reason"] == "zot answers 401"


@pytest.mark.parametrize(("image", "path"), [("team/app:2", "team/app/manifests/2"), ("team/app", "team/app/manifests/latest")])
def test_a_named_image_is_asked_for_by_its_tag(image, path):
    ask = Script(Response(200))
    found = ask_cache("ghcr.io", image, None, "http://zot", ANYBODY, ask)
    assert ask.urls == [f"HEAD http://zot/v2/ghcr.io/{path}"]
    assert (found["image"], found["named"], found["reason"]) == (f"ghcr.io/{image}", True, "")
    assert "application/vnd.oci.image.index.v1+json" in ask.asked[0][2]["Accept"]


def test_where_nothing_can_be_asked_for_that_is_told(tmp_path):
    nothing = Script()
    assert ask_cache("ghcr.io", "", None, "http://zot", ANYBODY, nothing)["reason"] == "its storage is not on this host"
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, nothing)["reason"] == "nothing is cached yet"
    keep(tmp_path, digest="md5:0")
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, nothing)["reason"] == "nothing is cached yet"
    (tmp_path / "ghcr.io/team/app/index.json").write_text("{")
    found = ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, nothing)
    assert (found["reason"], found["image"]) == (f"{tmp_path}/ghcr.io/team/app cannot be read by this user", "")


def test_a_large_cache_is_not_looked_through_for_ever(tmp_path):
    for number in range(600):
        (tmp_path / "ghcr.io" / f"{number:03}").mkdir(parents=True)
    keep(tmp_path, "ghcr.io/999")
    assert ask_cache("ghcr.io", "", tmp_path, "http://zot", ANYBODY, Script())["reason"] == "nothing is cached yet"
    deep = tmp_path / "deep"
    keep(deep, "quay.io/a/b/c/d/e/f/g")
    assert ask_cache("quay.io", "", deep, "http://zot", ANYBODY, Script())["reason"] == "nothing is cached yet"


# ---- from outside


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Response(200), ""), (Response(401), ""), (Response(502), "it answers 502"), (Response(0, reason="refused"), "refused")],
)
def test_the_external_url_leads_to_a_registry_whatever_its_certificate_is(answer, reason):
    ask = Script(answer)
    assert ask_outside("https://registry.test/", ask) == {"url": "https://registry.test/", "reason": reason}
    assert ask.asked[0][1:] == ("https://registry.test/v2/", {}, {"verify": False})


def test_a_server_without_tls_has_no_certificate_to_be_trusted():
    with servers() as start:
        port = start(b"HTTP/1.0 200 OK\r\n\r\n").port
        found = ask_certificate(f"https://localhost:{port}", 5, None, 0)
    assert found["untrusted"].startswith("TLS: ")
    assert found["reason"] == ""


def test_an_address_that_nobody_serves_is_no_fault_of_the_certificate():
    assert ask_certificate("https://localhost:1", 5, None, 0) == {"untrusted": "", "reason": "Connection refused"}
    assert ask_certificate("https://localhost:x", 5, None, 0)["untrusted"] == ""


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tmp_path):
    with servers() as start:
        port = start(b"", self_signed(tmp_path / "pem", "localhost")).port
        assert ask_certificate(f"https://localhost:{port}", 5, None, 0)["untrusted"]


# ---- the identity provider

ISSUER = "https://id.test/o/zot/"


def discovery(**more):
    return Response(200, json.dumps({"issuer": ISSUER, "jwks_uri": "https://id.test/jwks", **more}).encode())


@pytest.mark.parametrize(
    ("answers", "state", "keys"),
    [
        ([discovery(), Response(200, b'{"keys": [{}]}')], "ok", None),
        ([discovery(), Response(200, b'{"keys": []}')], "ok", "it has no keys"),
        ([discovery(), Response(200, b"no")], "ok", "it has no keys"),
        ([discovery(), Response(404)], "ok", "its keys are not at jwks_uri (404)"),
        ([discovery(), Response(0, reason="refused")], "ok", "its keys are not at jwks_uri (refused)"),
        ([discovery(jwks_uri=None)], "ok", "it names no jwks_uri"),
        ([discovery(jwks_uri="file:///etc/passwd")], "ok", "it names no jwks_uri"),
        ([discovery(issuer=ISSUER[:-1])], "mismatch", None),
        ([Response(0, reason="refused")], "unreachable", None),
    ],
)
def test_a_provider_is_what_it_says_and_has_its_keys(answers, state, keys):
    ask = Script(*answers)
    found = ask_issuer(ISSUER, ask)
    assert (found["name"], found["state"], found["keys"]) == (ISSUER, state, keys)
    assert ask.urls[0] == f"GET {ISSUER}.well-known/openid-configuration"
    assert not ask.answers, "all were asked for"


def test_a_provider_whose_certificate_is_not_trusted_is_asked_all_the_same():
    ask = Script(Response(0, untrusted="unknown"), discovery(), Response(200, b'{"keys": [{}]}'))
    found = ask_issuer(ISSUER, ask)
    assert (found["state"], found["tls"], found["keys"]) == ("ok", "unknown", None)
    assert [more.get("verify") for *_rest, more in ask.asked] == [None, False, False]
