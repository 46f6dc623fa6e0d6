# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions secrets and variables: Gitea's recorded conversation, and what it does not show."""

from __future__ import annotations

import base64
import json
import re
import typing as t

import pytest
import requests
from support.forge import Forge, standin, standin_forge

from contract.conftest import VECTORS

STEPS: list[dict[str, t.Any]] = json.loads((VECTORS / "gitea" / "secrets.json").read_text(encoding="utf-8"))
SCOPES = {"all": "all", "readonly": "read:repository,read:organization,read:user", "write_repo": "write:repository"}
SCOPES.update({"write_org": "write:organization", "write_user": "write:user"})
RECORDED_URL = "https://forge.example"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")


class Client:
    """Asks as the conversation did."""

    def __init__(self, forge: Forge) -> None:
        self.forge = forge
        forge.user("root1", admin=True)
        self.tokens = {name: forge.token("root1", scopes) for name, scopes in SCOPES.items()}
        self.tokens.update({"bob": forge.token("bob"), "bad": "0" * 40})

    def ask(self, method: str, path: str, holder: str = "all", body: t.Any = None, form: str = "token") -> requests.Response:
        headers = {}
        if holder in self.tokens:
            headers["Authorization"] = f"{form} {self.tokens[holder]}"
        elif holder.startswith("basic"):
            password = self.tokens["all"] if holder == "basic token" else self.forge.user("root1")
            headers["Authorization"] = "Basic " + base64.b64encode(f"root1:{password}".encode()).decode()
        data, kind = encoded(body)
        if kind:
            headers["Content-Type"] = kind
        url = self.forge.url + path.replace("<TOKEN>", self.tokens["all"])
        return requests.request(method, url, headers=headers, data=data, timeout=30, allow_redirects=False)


def encoded(body: t.Any) -> tuple[bytes | None, str]:
    """The body as it was sent, and its type."""
    if body is None:
        return None, ""
    if "$raw" in body:
        # What was recorded without a type was sent by a program that adds this one.
        return body["$raw"].encode(), body["$content_type"] or "application/x-www-form-urlencoded"
    whole = {
        name: value["$repeat"] * value["$length"] if isinstance(value, dict) and "$repeat" in value else value
        for name, value in body.items()
    }
    return json.dumps(whole).encode(), "application/json"


def prepare(client: Client) -> None:
    client.forge.make_organization("acme", "root1")
    for owner, repository, private in (("root1", "ci", True), ("root1", "pub", False), ("acme", "app", True), ("bob", "bobs", True)):
        client.forge.make_repository(owner, repository, private=private)
    client.forge.add_collaborator("root1", "ci", "bob")


def drop_accepted_names(client: Client) -> None:
    for name in ("FORGEJO_X", "GITHUB", "CI_X", "_LEAD", "A" * 255, "A" * 300, "GIT_X", "ACTIONS_X", "RUNNER_X"):
        assert client.ask("DELETE", f"{CI}/secrets/{name}").status_code == 204


def fill_pages(client: Client) -> None:
    for number in range(35):
        assert client.ask("PUT", f"{CI}/secrets/P{number:02d}", body={"data": "x"}).status_code == 201


def empty_pages(client: Client) -> None:
    for number in range(35):
        assert client.ask("DELETE", f"{CI}/secrets/P{number:02d}").status_code == 204


CI = "/api/v1/repos/root1/ci/actions"
BEFORE: dict[str, t.Callable[[Client], None]] = {  # steps, and what happened before them: the recording leaves it out
    "repo: list, empty": prepare,
    "repo: list with description": drop_accepted_names,
    "repo: list default page size": fill_pages,
    "org: list empty": empty_pages,
    "repo with actions unit off: put": lambda client: client.forge.change_repository("root1", "ci", actions=False),
    "archived repo: put": lambda client: client.forge.change_repository("root1", "ci", actions=True, archived=True),
    "org: member with admin team (not owner) put": lambda client: client.forge.add_team_member("acme", "bob", "admin"),
    "renamed repo: put at old name": lambda client: client.forge.rename_repository("root1", "pub", "public"),
}


def who(step: dict[str, t.Any]) -> str:
    return "basic token" if "basic auth with token" in step["name"] else str(step["token"])


def shape(value: t.Any, url: str) -> t.Any:
    """What can be compared: moments and ids are the server's choice, and its address is another one."""
    if isinstance(value, dict):
        ids = ("owner_id", "repo_id")
        return {key: bool(item) if key in ids else shape(item, url) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item, url) for item in value]
    if isinstance(value, str):
        # The words of Go's JSON decoder after the first ones are not imitated.
        return "<moment>" if MOMENT.fullmatch(value) else re.sub(r"^(\[\]: json).*", r"\1", value.replace(url, RECORDED_URL))
    return value


def test_the_recorded_conversation(gitea: Forge) -> None:
    client = Client(gitea)
    for step in STEPS:
        BEFORE.get(step["name"], lambda _client: None)(client)
        form = "Bearer" if "Bearer" in step["name"] else "token"
        answer = client.ask(step["method"], step["path"], who(step), step["body"], form)
        context = f"step {step['name']!r}: {answer.status_code} {answer.text[:500]} {answer.headers}"
        assert answer.status_code == step["status"], context
        recorded = step["headers"]
        assert answer.headers.get("X-Total-Count") == recorded.get("x-total-count"), context
        assert answer.headers.get("Link", "").replace(gitea.url, RECORDED_URL) == recorded.get("link", ""), context
        assert ("Allow" in answer.headers) == ("allow" in recorded), context
        if step["response"] is None:
            assert answer.content == b"", context
            continue
        assert answer.headers["Content-Type"] == recorded["content-type"], context
        got = answer.json() if "json" in recorded["content-type"] else answer.text
        assert shape(got, gitea.url) == shape(step["response"], RECORDED_URL), context
    assert len(STEPS) == 182


def test_the_place_of_a_renamed_repository(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "old")
    gitea.rename_repository("root1", "old", "new")
    for method, name in (("PUT", "secrets/X"), ("GET", "secrets"), ("POST", "variables/X")):
        answer = client.ask(method, f"/api/v1/repos/root1/old/actions/{name}?limit=5", body={"data": "x", "value": "x"})
        assert (answer.status_code, answer.headers["Location"]) == (301, f"/api/v1/repos/root1/new/actions/{name}?limit=5")
    # Gitea tells the new name to everybody, of a private repository too.
    assert client.ask("GET", "/api/v1/repos/root1/old/actions/secrets", "none").status_code == 301
    assert client.ask("GET", "/api/v1/repos/root1/new/actions/secrets", "none").status_code == 404
    gitea.make_repository("root1", "old")
    assert client.ask("GET", "/api/v1/repos/root1/old/actions/secrets").status_code == 200


def test_a_renamed_owner(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_organization("before", "root1")
    gitea.make_repository("before", "app")
    gitea.rename_owner("before", "after")
    for path in ("orgs/{}/actions/secrets/X", "repos/{}/app/actions/secrets/X"):
        answer = client.ask("PUT", "/api/v1/" + path.format("before"), body={"data": "x"})
        assert (answer.status_code, answer.headers["Location"]) == (307, "/api/v1/" + path.format("after"))
        assert client.ask("PUT", "/api/v1/" + path.format("after"), body={"data": "x"}).status_code == 201


def test_what_was_sent_is_what_a_job_gets(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_organization("acme", "root1")
    gitea.make_repository("acme", "app")
    for scope, name, value in (
        ("orgs/acme", "BOTH", "of the organisation"),
        ("orgs/acme", "ORG", "a\r\nb\r\n"),
        ("repos/acme/app", "both", "of the repository"),
        ("repos/acme/app", "NUL", "\0 \u00e9 "),
    ):
        assert client.ask("PUT", f"/api/v1/{scope}/actions/secrets/{name}", body={"data": value}).status_code == 201
    expected = {"BOTH": "of the repository", "ORG": "a\r\nb\r\n", "NUL": "\0 \u00e9 "}
    assert gitea.job_secrets("acme", "app") == expected
    assert gitea.secret_value("repos/acme/app", "both") == "of the repository"
    assert gitea.secret_value("repos/acme/app", "ORG") is None
    assert client.ask("PUT", "/api/v1/repos/acme/app/actions/secrets/NUL", body={"data": "new"}).status_code == 204
    assert gitea.secret_value("repos/acme/app", "NUL") == "new"
    assert client.ask("PUT", "/api/v1/user/actions/secrets/MINE", body={"data": "mine"}).status_code == 201
    assert gitea.secrets("users/root1") == {"MINE": "mine"}
    assert client.ask("POST", "/api/v1/orgs/acme/actions/variables/V", body={"value": "a\rb"}).status_code == 201
    assert gitea.variable_value("orgs/acme", "v") == "a\nb"


def test_what_comes_first(gitea: Forge) -> None:
    """The order of the checks decides what a user with two problems is told."""
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    secrets = "/api/v1/repos/root1/ci/actions/secrets"
    assert client.ask("GET", f"{secrets}/X", "none").status_code == 405
    assert client.ask("GET", "/api/v1/user/actions/secrets", "none").status_code == 404
    assert client.ask("PUT", f"{secrets}/BAD-NAME", "readonly", {}).status_code == 403
    assert client.ask("PUT", "/api/v1/repos/root1/nope/actions/secrets/X", "readonly", {}).status_code == 403
    assert client.ask("PUT", f"{secrets}/BAD-NAME", "all", {"data": ""}).status_code == 422
    assert client.ask("PUT", f"{secrets}/BAD-NAME", "all", {"data": "x" * 65537}).json()["message"].startswith("invalid")
    assert client.ask("POST", "/api/v1/repos/root1/ci/actions/variables/BAD-NAME", "all", {"value": ""}).status_code == 422
    assert client.ask("PUT", "/api/v1/repos/root1/ci/actions/variables/BAD-NAME", "all", {"value": "x"}).status_code == 404
    assert client.ask("PUT", "/api/v1/orgs/nope/actions/secrets/X", "none", {"data": "x"}).status_code == 404
    assert client.ask("PUT", "/api/v1/user/actions/secrets/X?sudo=root1", "bob", {"data": "x"}).status_code == 403
    assert client.ask("PUT", "/api/v1/user/actions/secrets/X?sudo=nobody", "all", {"data": "x"}).status_code == 404
    assert client.ask("PUT", "/api/v1/user/actions/secrets/X?sudo=bob", "write_repo", {"data": "x"}).status_code == 403
    assert client.ask("PUT", f"{secrets}/X", "all", {"$raw": "[]", "$content_type": "application/json"}).status_code == 422


UNREADABLE = (
    b"null",
    b"",
    b'"text"',
    b'{"data":"a"} and more',
    b'{"data":"a","data":"b"}',
    b'{"Data":"a"}',
    b'{"data":"a","description":5}',
)
UNREADABLE += (b'{"data":"\xff"}', b'{"data":"\\ud800"}')


def test_odd_bodies(gitea: Forge) -> None:
    client = Client(gitea)
    headers = {"Authorization": f"token {client.tokens['all']}", "Content-Type": "application/json; charset=utf-8"}

    def status(body: bytes, kind: str = "application/json; charset=utf-8") -> int:
        sent = {**headers, "Content-Type": kind}
        return requests.put(f"{gitea.url}/api/v1/user/actions/secrets/X", data=body, headers=sent, timeout=30).status_code

    assert {body: status(body) for body in UNREADABLE} == dict.fromkeys(UNREADABLE, 422)
    readable = b'{"data":"\\u00e9\\ud83d\\ude00"}'
    assert status(readable, "") == 422, "JSON without its type is not read"
    assert status(readable) == 201
    assert gitea.secret_value("users/root1", "X") == "\u00e9\U0001f600"


def test_ways_to_say_who_asks(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    token, password = client.tokens["all"], gitea.user("root1")

    def status(authorization: str, path: str = f"{CI}/secrets") -> int:
        return requests.get(f"{gitea.url}{path}", headers={"Authorization": authorization}, timeout=30).status_code

    for login in (f"root1:{password}", f"whoever:{token}", f"{token}:", f"{token}:x-oauth-basic"):
        assert status("Basic " + base64.b64encode(login.encode()).decode()) == 200, login
    for login in ("root1:wrong", "nobody:wrong"):
        assert status("Basic " + base64.b64encode(login.encode()).decode()) == 401, login
    assert status(f"TOKEN {token}") == 200
    # Nobody, as far as the forge is concerned; and nobody may know of a private repository.
    assert [status(text) for text in (token, "Basic !!!", "")] == [404, 404, 404]
    # What stands in the address goes first.
    assert status("token wrong", f"{CI}/secrets?token={token}") == 200
    assert status(f"token {token}", f"{CI}/secrets?token=wrong") == 401
    # Wrong credentials are refused even where none are needed, but not where nothing is.
    paths = ("/api/v1/version", "/api/v1/user/actions/secrets", f"{CI}/secrets/X", f"{CI}//secrets/")
    assert [status("token wrong", path) for path in paths] == [401, 404, 405, 401]
    assert requests.head(f"{gitea.url}{CI}/secrets", headers={"Authorization": f"token {token}"}, timeout=30).status_code == 200


def test_a_revoked_token(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    path = "/api/v1/repos/root1/ci/actions/secrets"
    assert client.ask("GET", path, "write_repo").status_code == 200
    gitea.revoke(client.tokens["write_repo"])
    assert client.ask("GET", path, "write_repo").status_code == 401


def test_a_variable_renamed_to_one_that_exists(gitea: Forge) -> None:
    client = Client(gitea)
    for name in ("A", "B"):
        assert client.ask("POST", f"/api/v1/user/actions/variables/{name}", body={"value": name}).status_code == 201
    assert client.ask("PUT", "/api/v1/user/actions/variables/A", body={"value": "x", "name": "B"}).status_code == 500
    assert gitea.variables("users/root1") == {"A": "A", "B": "B"}


# Faults, which both kinds have


def test_faults_strike_as_often_as_they_were_told_to(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    path = "/api/v1/repos/root1/ci/actions/secrets"
    gitea.fail(429, method="PUT", nth=2, times=2, headers=(("Retry-After", "1"),))
    statuses = [client.ask("PUT", f"{path}/S{number}", body={"data": "x"}).status_code for number in range(4)]
    assert statuses == [201, 429, 429, 201]
    assert sorted(gitea.secrets("repos/root1/ci")) == ["S0", "S3"]
    gitea.fail(500, path="/secrets/S1$", effect=True)
    assert [client.ask("PUT", f"{path}/S1", body={"data": "x"}).status_code for _ in range(2)] == [500, 204]
    gitea.fail(503, times=100)
    gitea.heal()
    assert client.ask("GET", path).status_code == 200
    assert [seen.status for seen in gitea.requests] == [201, 429, 429, 201, 500, 204, 200]
    assert gitea.requests[0][:2] == ("PUT", f"{path}/S0")


@pytest.mark.parametrize("effect", [False, True])
def test_a_connection_that_is_lost(gitea: Forge, effect: bool) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    gitea.fail(method="PUT", effect=effect)
    with pytest.raises(requests.ConnectionError):
        client.ask("PUT", "/api/v1/repos/root1/ci/actions/secrets/X", body={"data": "x"})
    assert gitea.secret_value("repos/root1/ci", "X") == ("x" if effect else None)
    assert gitea.requests[-1].status is None


def test_the_log_has_no_secret(gitea: Forge) -> None:
    client = Client(gitea)
    gitea.make_repository("root1", "ci")
    answer = client.ask("PUT", "/api/v1/repos/root1/ci/actions/secrets/X?token=<TOKEN>", "none", {"data": "canary"})
    assert answer.status_code == 201
    assert client.tokens["all"] not in str(gitea.requests)
    assert "canary" not in str(gitea.requests)


# Where Forgejo differs, as its source shows


RESERVED = {
    "gitea-1.27": {"GITEA_X", "github_x", "CI"},
    "forgejo-14": {"GITEA_X", "github_x"},
    "forgejo-15.0.0": {"GITEA_X", "github_x", "FORGEJO_X", "MY_GITEA_X", "MY_GITHUB_X"},
    "forgejo-15": {"GITEA_X", "github_x", "FORGEJO_X"},
    "forgejo-16": {"GITEA_X", "github_x", "FORGEJO_X"},
}
NAMES = ("GITEA_X", "github_x", "FORGEJO_X", "MY_GITEA_X", "MY_GITHUB_X", "CI", "CI_X", "GITHUB", "_X")
FORGEJO = [flavour for flavour in RESERVED if flavour.startswith("forgejo")]


@pytest.fixture(params=RESERVED)
def flavoured(request: pytest.FixtureRequest) -> t.Iterator[Client]:
    with standin_forge(request.param) as forge:
        forge.make_repository("root1", "ci")
        yield Client(forge)


def test_every_flavour_is_covered() -> None:
    assert set(standin.FLAVOURS) == set(RESERVED)


def test_reserved_names(flavoured: Client) -> None:
    reserved = RESERVED[flavoured.forge.flavour]
    refused = {name for name in NAMES if flavoured.ask("PUT", f"{CI}/secrets/{name}", body={"data": "x"}).status_code == 400}
    assert refused == reserved
    refused = {name for name in NAMES if flavoured.ask("POST", f"{CI}/variables/{name}", body={"value": "x"}).status_code == 400}
    assert refused == reserved | {"CI"}
    told = 400 if flavoured.forge.flavour == "forgejo-14" else 404
    assert flavoured.ask("DELETE", f"{CI}/secrets/BAD-NAME").status_code == told


def test_line_ends(flavoured: Client) -> None:
    flavoured.ask("PUT", f"{CI}/secrets/X", body={"data": "a\r\nb\r\n"})
    flavoured.ask("POST", f"{CI}/variables/X", body={"value": "a\r\nb"})
    kept = flavoured.forge.flavour in ("gitea-1.27", "forgejo-14")
    assert flavoured.forge.secret_value("repos/root1/ci", "X") == ("a\r\nb\r\n" if kept else "a\nb\n")
    assert flavoured.forge.variable_value("repos/root1/ci", "X") == "a\nb"


def test_long_values(flavoured: Client) -> None:
    limited = flavoured.forge.flavour == "gitea-1.27"
    assert flavoured.ask("PUT", f"{CI}/secrets/X", body={"data": "x" * 65537}).status_code == (400 if limited else 201)
    # a secret's bytes count, a variable's characters
    assert flavoured.ask("PUT", f"{CI}/secrets/Y", body={"data": "\u00e9" * 32769}).status_code == (400 if limited else 201)
    created = 201 if limited else 204
    assert flavoured.ask("POST", f"{CI}/variables/X", body={"value": "\u00e9" * 65536}).status_code == created
    assert flavoured.ask("POST", f"{CI}/variables/Y", body={"value": "x" * 65537}).status_code == (400 if limited else 204)


@pytest.mark.parametrize("flavour", FORGEJO)
def test_what_forgejo_answers(flavour: str) -> None:
    with standin_forge(flavour) as forge:
        forge.make_repository("root1", "ci")
        client = Client(forge)
        for number in range(31):
            assert client.ask("PUT", f"{CI}/secrets/S{number}", body={"data": "x", "description": "ignored"}).status_code == 201
        answer = client.ask("GET", f"{CI}/secrets")
        assert (len(answer.json()), answer.headers["X-Total-Count"], "Link" in answer.headers) == (30, "31", False)
        assert set(answer.json()[0]) == {"name", "created_at"}
        # A new variable is 204, which Gitea answers with 201.
        assert client.ask("POST", f"{CI}/variables/V", body={"value": "x"}).status_code == 204
        taken = client.ask("POST", f"{CI}/variables/V", body={"value": "x"})
        assert (taken.status_code, taken.json()["message"]) == (409, "variable name V already exists")
        assert set(client.ask("GET", f"{CI}/variables/V").json()) == {"owner_id", "repo_id", "name", "data"}
        missing = client.ask("GET", "/api/v1/repos/root1/nope/actions/secrets")
        assert (missing.status_code, missing.json()["errors"]) == (404, [])
        assert client.ask("GET", "/api/v1/version").json()["version"].startswith(flavour.removeprefix("forgejo-").split(".")[0] + ".")
        forge.make_repository("root1", "old")
        forge.rename_repository("root1", "old", "new")
        moved = [client.ask("GET", "/api/v1/repos/root1/old/actions/secrets", holder).status_code for holder in ("all", "none", "bob")]
        assert moved == [301, 404, 404], "only who may see it is told"
        forge.change_repository("root1", "ci", actions=False)
        assert client.ask("GET", f"{CI}/secrets").status_code == (200 if flavour == "forgejo-14" else 404)
