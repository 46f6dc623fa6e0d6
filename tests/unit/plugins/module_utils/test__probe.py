# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import http.server
import json
import re
import threading
import time

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Identity, Line, Question, Target, probe, verdict
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from support.zot_binary import free_port

ANYBODY = Identity()
CI = Identity("ci", "canary-1")
BASE, READY, MGMT, DISCOVER = "/v2/", "/readyz", "/v2/_zot/ext/mgmt", "/v2/_oci/ext/discover"
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}


class Scripted(http.server.ThreadingHTTPServer):
    """A registry that answers as it is told: path or action -> status, or (status, headers, document); ``asked`` is what it was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, **answers):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers = {BASE: 200, READY: 200, MGMT: 404, DISCOVER: 404, "/v2/_catalog": (200, JSON, {"repositories": []})}
        self.answers.update(answers)
        self.asked, self.connections, self.hang_up = [], 0, False
        self.lock = threading.Lock()

    def paths(self, name=None):
        """What an identity asked, or everything."""
        return [f"{method} {path}" for method, path, headers in self.asked if name is None or user_of(headers) == name]

    def reply(self, method, path, headers):
        with self.lock:
            self.asked.append((method, path, headers))
            count = len(self.asked)
        action = {"GET": "read", "PUT": "create", "DELETE": "delete"}[method]
        found = self.answers.get(path.partition("?")[0], self.answers.get(action, {"read": 404, "create": 415, "delete": 404}[action]))
        found = found(user_of(headers), count) if callable(found) else found
        return found if isinstance(found, tuple) else (found, {}, {})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one piece: a second one would wait for the first one's receipt

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def answer(self):
        status, headers, document = self.server.reply(self.command, self.path, self.headers)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if self.server.hang_up:  # without a word, as after a time without requests
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - the names of the base class

    def log_message(self, *_args):
        pass


def user_of(headers):
    login = headers.get("Authorization", "")
    return base64.b64decode(login.partition(" ")[2]).decode().partition(":")[0]


class Clock:
    def __init__(self):
        self.slept = []

    def monotonic(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(seconds)


@pytest.fixture
def serve():
    running = []

    def start(**answers):
        server = Scripted(**answers)
        running.append((server, threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)))
        running[-1][1].start()
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(10)


def ask(server, identities=(ANYBODY,), questions=None, clock=None, **target):
    return probe(Target(server.url, **target), list(identities), questions or {"read": ["app"]}, clock or Clock())


# ---- the questions


def test_each_action_has_a_request_that_changes_nothing(serve):
    server = serve(**{"/v2/app/tags/list": (200, JSON, {"tags": ["latest", "v1"]})})
    answers = ask(server, questions={"read": ["app"], "create": ["app"], "delete": ["app"], "update": [["app"]]})["answers"]
    told = {(row["action"], row["tag"], row["status"], row["answered"]) for row in answers}
    assert told == {
        ("read", "", 404, "allowed"),
        ("create", "", 415, "allowed"),
        ("delete", "", 404, "allowed"),
        ("update", "v1", 415, "allowed"),
    }
    sent = {f"{method} {path}": headers for method, path, headers in server.asked if "/app/" in path}
    assert "GET /v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000" in sent
    assert sent["PUT /v2/app/manifests/v1"]["Content-Type"] == "text/plain"
    absent = [name for name in sent if re.fullmatch(r"(PUT|DELETE) /v2/app/manifests/absent-[0-9a-f]{32}", name)]
    assert len(absent) == 2 == len({name.partition("absent-")[2] for name in absent})
    assert all(headers["Content-Length"] == "0" for name, headers in sent.items() if name.startswith("PUT"))
    assert all(headers["Content-Type"] == "text/plain" for name, headers in sent.items() if name.startswith("PUT"))
    assert not [name for name in sent if re.match("(GET|HEAD|PATCH|POST) .*/(manifests|referrers)/", name)]


def test_it_says_who_it_is_and_is_not_taken_for_docker(serve):
    server = serve()
    ask(server, (ANYBODY, CI))
    agents = {headers["User-Agent"] for _, _, headers in server.asked}
    assert agents == {"blumeops.zot.zot_access_probe"}
    assert not any(re.search("docker", agent, re.IGNORECASE) for agent in agents)


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "denied"), (403, "denied"), *((status, "allowed") for status in (204, 400, 404, 415, 416, 418))]
    + [(status, None) for status in (0, 200, 201, 202, 302, 405, 407, 408, 421, 425, 429, 500, 503)],
)
def test_only_some_answers_tell_something(status, told):
    assert verdict(Response(status)) == told


def test_the_limit_of_repositories_is_no_denial():
    assert verdict(Response(429, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}')) == "allowed"
    assert verdict(Response(429, b"Too Many Requests")) is None


def test_every_identity_is_asked_everything_and_the_answers_are_in_order(serve):
    names = [f"app{number}" for number in range(20)]
    server = serve(read=lambda user, _count: 403 if user else 401, create=lambda user, _count: 415 if user else 401)
    answers = ask(server, (ANYBODY, CI), {"read": names, "create": names})["answers"]
    assert [(row["action"], row["repository"], row["who"]) for row in answers] == [
        (action, name, who) for action in ("read", "create") for name in names for who in (0, 1)
    ]
    assert [row["answered"] for row in answers] == ["denied"] * 40 + ["denied", "allowed"] * 20


# ---- the connections


def test_connections_are_kept_and_few(serve):
    server = serve()
    assert len(ask(server, (ANYBODY, CI), {"read": [f"app{number}" for number in range(100)]})["answers"]) == 200
    assert server.connections == 4


def test_a_connection_that_was_closed_is_made_anew(serve):
    server = serve()
    server.hang_up = True
    clock = Clock()
    assert len(ask(server, questions={"read": [f"app{number}" for number in range(9)]}, clock=clock)["answers"]) == 9
    assert clock.slept == []


def test_while_denials_are_delayed_more_are_asked_at_once(serve):
    def slow(_user, _count):
        time.sleep(0.2)
        return 401

    server = serve(read=slow)
    start = time.monotonic()
    assert len(ask(server, questions={"read": [f"app{number}" for number in range(32)]}, fail_delay=1)["answers"]) == 32
    assert time.monotonic() - start < 1.5


def test_an_error_is_asked_again_and_is_no_verdict(serve):
    server, clock = serve(read=500), Clock()
    (row,) = ask(server, clock=clock)["answers"]
    assert (row["status"], row["answered"]) == (500, None)
    assert clock.slept == [0.2, 0.5, 1.5]
    server = serve(read=lambda _user, _count: 500 if len([path for path in server.paths() if "uploads" in path]) < 3 else 404)
    (row,) = ask(server)["answers"]
    assert (row["status"], row["answered"]) == (404, "allowed")


@pytest.mark.parametrize(
    ("status", "why"), [(429, "it answers fewer requests a second than were asked (http.ratelimit)"), (0, "Remote end closed connection")]
)
def test_no_answer_ends_it(serve, status, why):
    server = serve(read=status)
    with pytest.raises(ZotError, match=re.escape(f"zot at {server.url} stopped answering: {why}")):
        ask(server, questions={"read": [f"app{number}" for number in range(50)]})
    assert len(server.asked) < 60, "the other threads end too"


# ---- before asking


def test_a_wrong_password_is_asked_once(serve):
    server = serve(**{BASE: lambda user, _count: 401 if user == "ci" else 200})
    found = ask(server, (ANYBODY, CI, Identity("ann", "pw")), {"read": ["app", "other"], "delete": ["app"]})
    assert found["refused"] == [1]
    assert server.paths("ci") == ["GET /v2/"]
    assert {row["who"] for row in found["answers"]} == {0, 2}


def test_a_login_that_ends_while_it_is_asked_tells_nothing(serve):
    asked = []

    def base(user, _count):
        asked.append(user)
        return 401 if user and asked.count(user) > 1 else 200

    found = ask(serve(**{BASE: base, "read": 401}), (ANYBODY, CI))
    assert found["refused"] == [1]
    assert [row["who"] for row in found["answers"]] == [0]


def test_it_waits_until_zot_is_ready(serve):
    clock = Clock()
    server = serve(**{READY: lambda _user, _count: 200 if len(clock.slept) > 2 else 500})
    assert ask(server, clock=clock, wait=5)["answers"]
    assert clock.slept == [0.1] * 3
    with pytest.raises(ZotError, match=r"no zot is ready at \S+: \S+/readyz answers 500; nothing was asked"):
        ask(serve(**{READY: 500}))


def test_where_nobody_listens_it_says_so_after_the_time_given():
    clock, url = Clock(), f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ZotError, match=f"no zot is ready at {url}: Connection refused; nothing was asked"):
        probe(Target(url, wait=2), [CI], {"read": ["app"]}, clock)
    assert 2 <= clock.monotonic() < 2.3


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({BASE: 404}, "is no registry: /v2/ answers 404"),
        ({BASE: (200, HTML, b"<html>")}, "is no registry: /v2/ answers 200 with a page for people"),
        ({BASE: (404, HTML, b"<html>")}, "is no registry: /v2/ answers 404 with a page for people"),
        ({BASE: (301, {"Location": "https://u:canary@elsewhere/?canary"}, {})}, "sends its clients to https://elsewhere instead"),
        ({BASE: (401, {"Www-Authenticate": 'Bearer realm="x"'}, {}), READY: 404}, "wants tokens of another service"),
        ({READY: 404}, "is a registry, but does not answer as zot does"),
        ({READY: (200, HTML, b"<html>")}, "is a registry, but does not answer as zot does"),
        ({BASE: 401, READY: 404, DISCOVER: 401}, "is a registry, but does not answer as zot does"),
        ({BASE: (400, {}, b"Client sent an HTTP request to an HTTPS server.\n")}, "speaks TLS: the address begins with https"),
    ],
)
def test_what_is_no_zot_is_told_at_once(serve, answers, why):
    server, clock = serve(**answers), Clock()
    with pytest.raises(ZotError, match=re.escape(why)) as error:
        ask(server, clock=clock, wait=60)
    assert error.value.message.startswith(server.url)
    assert "canary" not in error.value.message
    assert clock.slept == []
    assert not [path for path in server.paths() if "uploads" in path]


def test_zot_is_known_by_what_it_tells_of_itself(serve):
    assert ask(serve(**{MGMT: (200, JSON, {"releaseTag": "v2.1.5"}), READY: 404}))["release"] == "2.1.5"
    assert ask(serve(**{READY: 404, DISCOVER: (200, JSON, {"extensions": []})}))["release"] is None
    only_ci = {BASE: 200, READY: 404, DISCOVER: lambda user, _count: (200, JSON, {"extensions": []}) if user else 401}
    assert len(ask(serve(**only_ci), (ANYBODY, CI))["answers"]) == 2
    assert ask(serve(**{BASE: 401, READY: 404, DISCOVER: 401, "read": 401}), release="2.1.5")["answers"]


def test_a_login_that_is_neither_taken_nor_refused_ends_it(serve):
    server = serve(**{BASE: lambda user, _count: 503 if user else 200})
    with pytest.raises(ZotError, match="zot does not say whether ci may log in: /v2/ answers 503"):
        ask(server, (ANYBODY, CI))


# ---- what is stored


def test_the_repositories_that_all_together_see_are_told(serve):
    seen = {"": ["b"], "ci": ["a", "b"]}
    server = serve(**{"/v2/_catalog": lambda user, _count: (200, JSON, {"repositories": seen[user]})})
    assert ask(server, (ANYBODY, CI))["stored"] == ["a", "b"]
    assert ask(server, (ANYBODY, CI), {"update": [["a"]]})["stored"] == [], "it is known by then"
    assert ask(serve(**{"/v2/_catalog": 401}))["stored"] == []
    assert ask(serve(**{"/v2/_catalog": (200, JSON, {"repositories": None})}))["stored"] == []
    assert ask(serve(**{"/v2/_catalog": (200, JSON, b"[")}))["stored"] == []


def test_the_first_repository_with_a_tag_is_asked_by_whoever_sees_it(serve):
    lists = {
        "/v2/empty/tags/list": (200, JSON, {"tags": []}),
        "/v2/odd/tags/list": (200, JSON, {"tags": ["../x", 1, None]}),
        "/v2/one/tags/list": lambda user, _count: (200, JSON, {"tags": ["latest"]}) if user else 401,
    }
    server = serve(**lists, create=lambda user, _count: 415 if user else 401)
    found = ask(server, (ANYBODY, CI), {"update": [["empty", "odd", "one"], ["odd"], ["gone", "empty"]]})
    assert [(row["who"], row["repository"], row["tag"], row["answered"]) for row in found["answers"]] == [
        (0, "one", "latest", "denied"),
        (1, "one", "latest", "allowed"),
    ]
    assert [(row["repository"], row["reason"]) for row in found["unasked"]] == [
        (name, "nobody who was asked sees a tag there") for name in ("odd", "gone")
    ]
    assert not [path for path in server.paths() if "/odd/manifests" in path or "/empty/manifests" in path]


# ---- secrets


def test_no_secret_is_shown():
    assert "canary" not in repr(CI) + repr(Question(1, "read", "app"))
    answer = Line(Target("http://127.0.0.1:1")).ask("GET", "/ canary")
    assert (answer.status, answer.reason) == (0, "InvalidURL")
