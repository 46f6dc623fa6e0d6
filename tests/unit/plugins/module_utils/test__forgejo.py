# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, ForgeError, Scope, portable_name
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

URL = "https://forge.test"
REPO, ORG, USER = Scope("repository", "eblume", "blumeops"), Scope("organization", "acme"), Scope("user")
CANARY = "canary-3f1c-value"
TOKEN = "canary-77aa-token"
JSON = {"Content-Type": "application/json;charset=utf-8"}


def says(status, body=None, **headers):
    """An answer of the forge; a message when there is no body."""
    told = {"message": f"text of the forge for {status}", "url": ""} if body is None else body
    return Response(status, json.dumps(told).encode(), {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}})


class Clock:
    def __init__(self, now=1_000_000_000.0):
        self.now, self.started, self.slept = now, now, []

    def time(self):
        return self.now

    def monotonic(self):
        return self.now - self.started

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """A `Sender` that gives these answers in turn, the last one for ever; ``asked`` has what was sent."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, method, url, headers=None, timeout=30, body=None):
        self.asked.append((method, url.removeprefix(f"{URL}/api/v1"), None if body is None else json.loads(body)))
        self.headers, self.timeout = headers, timeout
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(method) if callable(answer) else answer


def forge(*answers, url=URL, token=TOKEN, clock=None):
    script = Script(*answers)
    made = Forge(url, token, script, clock or Clock())
    made.script = script
    return made


def refusal(act, *arguments):
    with pytest.raises(ForgeError) as caught:
        act(*arguments)
    for secret in (CANARY, TOKEN):
        assert secret not in caught.value.message
    return caught.value


# --- where, with what


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/api/v1", f"{URL}/api/v1/", f" {URL} "])
def test_the_url_is_taken_with_and_without_the_api(url):
    made = forge(says(200, []), url=url)
    made.secrets(ORG)
    assert made.script.asked[0][1] == "/orgs/acme/actions/secrets?limit=50&page=1"
    assert made.script.headers["Authorization"] == f"token {TOKEN}"


def test_a_forge_may_live_below_a_path():
    made = forge(says(200, []), url=f"{URL}/git/api/v1")
    made.secrets(ORG)
    assert made.script.asked[0][1].startswith(f"{URL}/git/api/v1/orgs/")


@pytest.mark.parametrize(
    "url",
    [
        "forge.test",
        "ftp://forge.test",
        "https://",
        f"https://eblume:{CANARY}@forge.test",
        "https://forge.test:x",
        f"{URL}/?a",
        f"{URL}/a b",
    ],
)
def test_what_is_no_url_of_a_forge_is_refused(url):
    assert refusal(lambda: forge(url=url)).kind == "url"


@pytest.mark.parametrize("token", ["", "  ", f"{CANARY}\n{CANARY}", f"{CANARY}é", f"{CANARY} x"])
def test_what_no_token_is_is_refused_and_not_told(token):
    assert refusal(lambda: forge(token=token)).kind == "token"


def test_a_newline_after_the_token_does_no_harm():
    made = forge(says(200, []), token=f"{TOKEN}\n")
    made.secrets(ORG)
    assert made.script.headers["Authorization"] == f"token {TOKEN}"


@pytest.mark.parametrize(
    ("scope", "path", "words"),
    [
        (REPO, "/repos/eblume/blumeops/actions", "repository eblume/blumeops"),
        (ORG, "/orgs/acme/actions", "organization acme"),
        (USER, "/user/actions", "the token's user"),
    ],
)
def test_a_scope_has_a_path_and_words(scope, path, words):
    assert (scope.path, str(scope)) == (path, words)


def test_two_spellings_of_a_scope_are_one():
    assert Scope("repository", "Eblume", "Blumeops").key == REPO.key != ORG.key


@pytest.mark.parametrize(
    ("level", "owner", "repo"),
    [
        ("repository", "eblume", ""),
        ("repository", "", "x"),
        ("repository", "a/b", "c"),
        ("repository", "a", ".."),
        ("repository", "eblume", "x?y"),
        ("organization", "", ""),
        ("organization", "a/../b", ""),
        ("organization", "..", ""),
    ],
)
def test_a_scope_that_is_none_is_refused(level, owner, repo):
    assert refusal(Scope, level, owner, repo).kind == "scope"


# --- names


@pytest.mark.parametrize("name", ["", "WITH-DASH", "A.B", "A B", "1ABC", "A/B", "ÄB", "A\n", CANARY])
def test_a_name_that_is_none_is_refused_and_not_quoted(name):
    error = refusal(portable_name, name, "scopes[0].secrets[1]")
    assert error.kind == "name"
    assert error.message.startswith("scopes[0].secrets[1]: ")


@pytest.mark.parametrize("name", ["CI", "ci", "FORGEJO_X", "GITEA_X", "github_x"])
def test_a_name_that_some_forge_reserves_is_refused(name):
    assert refusal(portable_name, name, "here").kind == "name"


@pytest.mark.parametrize("name", ["CI_X", "GITHUB", "GIT_X", "ACTIONS_X", "RUNNER_X", "_LEAD", "zot_ci_api_key", "A" * 300])
def test_other_names_are_stored_in_capitals(name):
    assert portable_name(name, "here") == (name.upper(), None)


@pytest.mark.parametrize("name", ["MY_GITEA_X", "my_github_x"])
def test_a_reserved_word_inside_is_a_warning(name):
    stored, warning = portable_name(name, "here")
    assert stored == name.upper()
    assert stored in warning


# --- lists


def rows(*names):
    return [{"name": name, "created_at": ""} for name in names]


def test_all_pages_are_read_until_the_count_is_reached_whatever_the_page_size():
    made = forge(
        says(200, rows("A", "B"), X_Total_Count="5"), says(200, rows("C", "D"), x_total_count="5"), says(200, rows("E"), X_Total_Count="5")
    )
    assert made.secrets(REPO) == ["A", "B", "C", "D", "E"]
    assert [path[-6:] for _method, path, _body in made.script.asked] == ["page=1", "page=2", "page=3"]


def test_without_a_count_pages_are_read_until_one_brings_nothing_new():
    made = forge(says(200, rows("A", "B")), says(200, rows("C")), says(200, []))
    assert made.secrets(ORG) == ["A", "B", "C"]
    made = forge(says(200, rows("A", "B"), X_Total_Count="9"))
    assert made.secrets(ORG) == ["A", "B"], "a forge that gives one page for ever is not asked for ever"
    assert len(made.script.asked) == 2


def test_nobody_lists_the_secrets_of_a_user():
    made = forge(says(500))
    assert made.secrets(USER) is None
    assert made.script.asked == []


@pytest.mark.parametrize(
    ("page", "total", "presumed", "requests"),
    [("AB", "3", "ABC", 1), ("AX", "3", "ABC", 2), ("AB", "4", "ABC", 2), ("AB", "3", "", 2), ("AB", "", "AB", 2)],
)
def test_what_is_presumed_is_believed_as_long_as_the_forge_counts_as_many(page, total, presumed, requests):
    made = forge(says(200, rows(*page), X_Total_Count=total), says(200, rows("C"), X_Total_Count=total), says(200, [], X_Total_Count=total))
    found = made.secrets(REPO, list(presumed))
    assert found == (["A", "B", "C"] if requests == 1 else [*page, "C"])
    assert len(made.script.asked) >= requests
    assert (len(made.script.asked) == 1) is (requests == 1)


def test_variables_are_listed_with_their_values():
    made = forge(says(200, [{"name": "REGISTRY", "data": "r1"}], X_Total_Count="1"))
    assert made.variables(USER) == {"REGISTRY": "r1"}
    assert made.script.asked == [("GET", "/user/actions/variables?limit=50&page=1", None)]


# --- single requests


@pytest.mark.parametrize(("status", "created"), [(201, True), (204, False)])
def test_a_secret_is_put(status, created):
    made = forge(Response(status))
    assert made.set_secret(REPO, "A", CANARY) is created
    assert made.script.asked == [("PUT", "/repos/eblume/blumeops/actions/secrets/A", {"data": CANARY})]
    assert made.script.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("answer", "there"), [(Response(204), True), (says(404), False)])
def test_deleting_tells_whether_it_was_there(answer, there):
    assert forge(answer).delete_secret(ORG, "A") is there
    assert forge(answer).delete_variable(ORG, "A") is there


def test_a_variable_is_read_from_data():
    assert forge(says(200, {"name": "A", "data": "x"})).variable(REPO, "A") == "x"
    assert forge(says(404)).variable(REPO, "A") is None


def test_a_variable_is_made_once_and_then_changed():
    assert forge(Response(201)).create_variable(REPO, "A", "x") is True
    made = forge(says(409))
    assert made.create_variable(REPO, "A", "x") is False
    assert made.script.asked == [("POST", "/repos/eblume/blumeops/actions/variables/A", {"value": "x"})]
    made = forge(Response(204))
    made.set_variable(REPO, "A", "y")
    assert made.script.asked == [("PUT", "/repos/eblume/blumeops/actions/variables/A", {"value": "y"})]
    assert refusal(forge(says(404)).set_variable, REPO, "A", "y").kind == "not_found"


@pytest.mark.parametrize(("data", "created"), [("mine", True), ("theirs", False)])
@pytest.mark.parametrize("lost", [Response(0, reason="timed out"), says(502)])
def test_a_variable_that_is_there_after_a_lost_answer_may_be_our_own(lost, data, created):
    made = forge(lost, says(409), says(200, {"name": "A", "data": data}))
    assert made.create_variable(REPO, "A", "mine") is created


# --- again


@pytest.mark.parametrize("answer", [says(429), says(500), says(502), says(503), says(504), Response(0, reason="timed out")])
def test_what_fails_for_a_moment_is_tried_again(answer):
    clock = Clock()
    made = forge(answer, answer, answer, Response(204), clock=clock)
    assert made.set_secret(REPO, "A", "x") is False
    assert clock.slept == [1, 2, 4]


def test_it_is_not_tried_for_ever():
    made = forge(says(503))
    error = refusal(made.set_secret, REPO, "A", CANARY)
    assert (error.kind, len(made.script.asked)) == ("busy", 4)
    assert "503" in error.message


@pytest.mark.parametrize(("told", "slept"), [("7", 7), ("3600", 30), ("0", 1), ("Sun, 09 Sep 2001 01:46:52 GMT", 12), ("soon", 1)])
def test_the_forge_may_say_how_long_to_wait_within_reason(told, slept):
    clock = Clock()
    made = forge(says(429, Retry_After=told), Response(204), clock=clock)
    made.set_secret(REPO, "A", "x")
    assert clock.slept == [slept]


@pytest.mark.parametrize(
    "answer", [says(400), says(401), says(403), says(404), says(409), says(413), says(422), Response(0, untrusted="expired")]
)
def test_what_will_not_pass_is_not_tried_again(answer):
    made = forge(answer)
    refusal(made.set_secret, REPO, "A", CANARY)
    assert len(made.script.asked) == 1


# --- errors


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Response(0, reason="Connection refused"), "unreachable", "Connection refused"),
        (Response(0, untrusted="certificate has expired"), "certificate", "ca_path"),
        (says(401), "unauthorized", "does not know the token"),
        (says(403, {"message": "token does not have at least one of required scope(s), required=[x]"}), "token_scope", "write:repository"),
        (says(403, {"message": "user should be the owner of the repo"}), "not_owner", "a collaborator may not"),
        (says(403, {"message": "verboten"}), "forbidden", "either the token lacks"),
        (says(404), "not_found", "Forgejo 15"),
        (says(400, {"message": "invalid variable or secret name"}), "name", "A"),
        (says(400, {"message": "data too long"}), "too_long", "too long"),
        (Response(413, b"<html>", {"Content-Type": "text/html"}), "too_long", "proxy"),
        (Response(413), "too_long", "proxy"),
        (says(422), "refused", "422"),
        (Response(200, b"<html>", {"Content-Type": "text/html; charset=x"}), "foreign", "text/html"),
        (Response(403, b"<html>", {"Content-Type": f"text/{CANARY}!"}), "foreign", "something else"),
        (Response(404, b"404 page not found\n", {"Content-Type": "text/plain"}), "foreign", "text/plain"),
        (Response(302, b"", {"Location": f"https://login.test/?next={CANARY}"}), "redirected", "https://login.test "),
        (Response(301, b"", {}), "redirected", "somewhere else"),
    ],
)
def test_each_refusal_is_its_own_error(answer, kind, words):
    error = refusal(forge(answer).set_secret, REPO, "A", CANARY)
    assert error.kind == kind
    assert words in error.message


@pytest.mark.parametrize(
    ("scope", "word", "owners"),
    [(REPO, "repository", "admin team"), (ORG, "organization", "owners of the organization"), (USER, "user", "own user")],
)
def test_a_missing_scope_and_who_may_are_told_by_level(scope, word, owners):
    missing = says(403, {"message": "token does not have at least one of required scope(s)"})
    assert f"write:{word}" in refusal(forge(missing).set_secret, scope, "A", "x").message
    assert f"read:{word}" in refusal(forge(missing).variables, scope).message
    assert owners in refusal(forge(says(403, {"message": "owner"})).variables, scope).message
    assert refusal(forge(says(404)).variables, scope).kind == "not_found"


@pytest.mark.parametrize(
    ("scope", "location", "new"),
    [
        (REPO, "/api/v1/repos/eblume/homelab/actions/secrets/A", "eblume/homelab"),
        (REPO, f"{URL}/api/v1/repos/eblume/homelab/actions/secrets/A", "eblume/homelab"),
        (REPO, "/git/api/v1/repos/erich/homelab/actions/secrets?limit=50", "erich/homelab"),
        (ORG, "/api/v1/orgs/acme-inc/actions/secrets/A", "acme-inc"),
    ],
)
def test_a_new_name_is_told_and_nothing_is_sent_there(scope, location, new):
    for status in (301, 307, 308):
        made = forge(Response(status, b"<a>", {"location": location}))
        error = refusal(made.set_secret, scope, "A", CANARY)
        assert error.kind == "renamed"
        assert f"renamed to {new} " in error.message
        assert refusal(made.secrets, scope).kind == "renamed"
        assert len(made.script.asked) == 2


@pytest.mark.parametrize(
    "location", ["https://other.test/api/v1/repos/eblume/blumeops/actions/secrets/A", "http://forge.test/api/v1/repos/a/b/actions/x"]
)
def test_another_host_is_no_new_name(location):
    assert refusal(forge(Response(301, b"", {"Location": location})).set_secret, REPO, "A", CANARY).kind == "redirected"


@pytest.mark.parametrize("body", [{"a": 1}, [1], [{"no": "name"}], "x"])
def test_a_list_that_is_none_is_not_believed(body):
    assert refusal(forge(says(200, body)).secrets, REPO).kind == "foreign"
    assert refusal(forge(says(200, body)).variable, REPO, "A").kind == "foreign"


def test_what_a_proxy_answers_is_no_missing_variable():
    assert refusal(forge(Response(404, b"<html>", {"Content-Type": "text/html"})).variable, REPO, "A").kind == "foreign"
    assert refusal(forge(Response(404, b"<html>", {"Content-Type": "text/html"})).delete_secret, REPO, "A").kind == "foreign"


# --- time


def test_the_time_is_the_forges_as_soon_as_it_is_known():
    made = forge(says(200, [], Date="Sun, 09 Sep 2001 02:46:40 GMT"))
    assert made.time() == 1_000_000_000
    made.secrets(ORG)
    assert made.time() == 1_000_003_600


def test_nothing_is_sent_that_could_take_effect_after_the_lease():
    clock = Clock()
    made = forge(Response(204), clock=clock)
    limited = made.until(clock.monotonic() + 60)
    limited.set_secret(REPO, "A", "x")
    clock.now += 31
    assert refusal(limited.set_secret, REPO, "A", CANARY).kind == "late"
    assert len(made.script.asked) == 1
    made.set_secret(REPO, "A", "x")


def test_a_retry_does_not_outlive_the_lease():
    made = forge(says(503, Retry_After="30"))
    assert refusal(made.until(40).set_secret, REPO, "A", CANARY).kind == "late"
    assert len(made.script.asked) == 1
