# SPDX-License-Identifier: GPL-3.0-or-later
"""What the forge's stand-in does beyond the API: it is started, keeps a file, and makes faults. tests/contract holds the API."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import requests
from support.forge import STANDIN, StandinForge, standin, standin_forge

CI = "/api/v1/repos/eblume/blumeops/actions"
SEED = {
    "users": {"eblume": {"password": "pw"}, "bob": {}},
    "organizations": {"acme": {"owners": ["eblume"], "teams": {"bob": "write"}}},
    "repositories": {"eblume/blumeops": {"renamed_from": ["old"]}, "acme/app": {"private": False, "collaborators": ["bob"]}},
    "tokens": {"t0ken": {"user": "eblume", "scopes": "write:repository"}},
    "secrets": {"repos/eblume/blumeops": {"ZOT_CI_API_KEY": "zak_old"}},
    "variables": {"orgs/acme": {"WHERE": "here"}},
}


@pytest.fixture
def forge() -> t.Iterator[StandinForge]:
    with standin_forge() as running:
        running.make_repository("eblume", "blumeops")
        yield running


def ask(forge: StandinForge, method: str, path: str, body: t.Any = None) -> requests.Response:
    return requests.request(method, forge.url + path, json=body, auth=("eblume", forge.user("eblume")), timeout=10)


def test_a_started_one_keeps_what_it_is_told_in_a_file_of_its_owner(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps(SEED), encoding="utf-8")
    argv = [sys.executable, str(STANDIN), "--flavour", "forgejo-16", "--state", str(state)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            session = requests.Session()
            session.headers["Authorization"] = "token t0ken"
            assert session.get(f"{url}/api/v1/version", timeout=10).json()["version"].startswith("16.")
            assert [row["name"] for row in session.get(f"{url}{CI}/secrets", timeout=10).json()] == ["ZOT_CI_API_KEY"]
            assert session.put(f"{url}{CI}/secrets/ZOT_CI_API_KEY", json={"data": "zak_new"}, timeout=10).status_code == 204
            session.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    kept = json.loads(state.read_text(encoding="utf-8"))
    assert kept["secrets"]["repos/eblume/blumeops"]["ZOT_CI_API_KEY"]["value"] == "zak_new"
    assert state.stat().st_mode & 0o777 == 0o600
    # What it wrote is what it can start from.
    again = standin.State("forgejo-16")
    again.load(kept)
    assert again.dump() == kept
    assert set(kept["users"]) == {"eblume", "bob"}
    assert kept["repositories"]["eblume/blumeops"]["renamed_from"] == ["old"]


def test_a_value_is_never_answered(forge: StandinForge) -> None:
    told = ""
    for path, body in ((f"{CI}/secrets/X", {"data": "canary"}), (f"{CI}/secrets/BAD-NAME", {"data": "canary"})):
        told += ask(forge, "PUT", path, body).text
    for path in (f"{CI}/secrets", f"{CI}/secrets/X", f"{CI}/variables", "/api/v1/repos/eblume/blumeops", "/api/v1/user"):
        told += ask(forge, "GET", path).text
    assert "canary" not in told
    assert forge.secret_value("repos/eblume/blumeops", "X") == "canary"


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("all,read:user", ("all",)),
        ("write:user, read:user,read:repository", ("read:repository", "write:user")),
        ("read:user,read:organization", ("read:organization", "read:user")),
    ],
)
def test_scopes_are_written_as_gitea_writes_them(given: str, normal: tuple[str, ...]) -> None:
    assert standin.normal_scopes(given) == normal


@pytest.mark.parametrize("scope", ["admin:repository", "write:repo", "write"])
def test_a_scope_that_does_not_exist_is_refused(scope: str, forge: StandinForge) -> None:
    with pytest.raises(ValueError, match="unknown scope"):
        forge.token("eblume", scope)


def test_created_at_is_that_of_the_first_time() -> None:
    now = [1_700_000_000.0]
    state = standin.State(clock=lambda: now[0])
    forge = StandinForge(state=state)
    try:
        forge.make_repository("eblume", "blumeops")
        ask(forge, "PUT", f"{CI}/secrets/X", {"data": "one"})
        now[0] += 3600
        ask(forge, "PUT", f"{CI}/secrets/X", {"data": "two"})
        assert ask(forge, "GET", f"{CI}/secrets").json()[0]["created_at"] == "2023-11-14T22:13:20Z"
    finally:
        forge.close()


def test_an_answer_may_be_late(forge: StandinForge) -> None:
    forge.fail(delay=60, passes=True, method="PUT")
    with pytest.raises(requests.Timeout):
        requests.put(f"{forge.url}{CI}/secrets/X", json={"data": "x"}, auth=("eblume", forge.user("eblume")), timeout=0.5)
    # It had its effect before the client gave up, and the next one is not late.
    assert forge.secret_value("repos/eblume/blumeops", "X") == "x"
    assert ask(forge, "PUT", f"{CI}/secrets/X", {"data": "y"}).status_code == 204


def test_tests_look_at_every_moment(forge: StandinForge) -> None:
    """`before` and `after` are called around the effect: a test of an invariant asks there."""
    seen: list[str | None] = []
    forge.server.before = lambda _request: seen.append(forge.secret_value("repos/eblume/blumeops", "X"))
    forge.server.after = lambda _request: seen.append(forge.secret_value("repos/eblume/blumeops", "X"))
    ask(forge, "PUT", f"{CI}/secrets/X", {"data": "x"})
    assert seen == [None, "x"]
    assert [tuple(request) for request in forge.requests] == [("PUT", f"{CI}/secrets/X", 201)]
    forge.forget_requests()
    assert forge.requests == []
