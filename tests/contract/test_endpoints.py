# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints beside the distribution API: health, mgmt, metrics; and who is asked to log in where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.zot_binary import serving, standin_zot, write_htpasswd

from contract.ask import ask

if TYPE_CHECKING:
    from pathlib import Path

    from contract.conftest import Binary

ANYONE_READS = {"repositories": {"**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}}}
SEARCH = {"search": {"enable": True}}


def with_users(directory: Path, control: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    htpasswd = write_htpasswd(directory / "htpasswd", {"ann": "pw"})
    http = {"auth": {"htpasswd": {"path": str(htpasswd)}, "apikey": True}, **({"accessControl": control} if control else {})}
    return {"http": http, "storage": {"gc": False}, **more}


def test_health_needs_no_login(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, with_users(tmp_path), tmp_path) as running:
        for path in ("/livez", "/readyz", "/startupz"):
            answer = ask(running.url, "GET", path)
            assert (answer.status, answer.body) == (200, b"ok")


def test_health_endpoints_came_with_2_1_6(tmp_path: Path) -> None:
    with serving(standin_zot(tmp_path / "bin", "2.1.5"), {}, tmp_path) as running:
        assert ask(running.url, "GET", "/readyz").status == 404
        assert ask(running.url, "GET", "/v2/").status == 200


def test_mgmt_names_the_release_to_anyone(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, with_users(tmp_path, extensions=SEARCH), tmp_path) as running:
        answer = ask(running.url, "GET", "/v2/_zot/ext/mgmt")
        assert answer.status == 200
        assert answer.json["releaseTag"] in (f"v{zot.release}", "")
        assert answer.json["http"] == {"auth": {"htpasswd": {}, "apikey": True}}
        assert ask(running.url, "GET", "/v2/_zot/ext/mgmt?x").status == 401, "only that very address is open"


def test_mgmt_needs_search(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, with_users(tmp_path), tmp_path) as running:
        assert ask(running.url, "GET", "/v2/_zot/ext/mgmt", "ann:pw").status == 404


@pytest.mark.parametrize(
    ("agent", "status"), [("docker/27.0", 401), ("Docker-Client/27.0", 401), ("containerd/2.0", 200), ("xdocker/27.0", 200)]
)
def test_docker_is_asked_to_log_in_where_that_could_matter(zot: Binary, agent: str, status: int, tmp_path: Path) -> None:
    with serving(zot.path, with_users(tmp_path, ANYONE_READS), tmp_path) as running:
        headers = {"User-Agent": agent}
        assert ask(running.url, "GET", "/v2/", headers=headers).status == status
        assert ask(running.url, "GET", "/v2/", "ann:pw", headers=headers).status == 200
        assert ask(running.url, "GET", "/v2/_catalog", headers=headers).status == 200


@pytest.mark.parametrize(
    ("release", "agents"), [("2.1.15", []), ("2.1.16", ["Docker-Client/1"]), ("2.1.17", ["Docker-Client/1", "docker/1"])]
)
def test_older_releases_ask_fewer_dockers(release: str, agents: list[str], tmp_path: Path) -> None:
    with serving(standin_zot(tmp_path / "bin", release), with_users(tmp_path, ANYONE_READS), tmp_path) as running:
        asked = [
            agent
            for agent in ("Docker-Client/1", "docker/1")
            if ask(running.url, "GET", "/v2/", headers={"User-Agent": agent}).status == 401
        ]
    assert asked == agents


def test_401_and_403(zot: Binary, tmp_path: Path) -> None:
    control = {"repositories": {"open/**": {"anonymousPolicy": ["read"]}, "**": {"policies": [{"users": ["bob"], "actions": ["read"]}]}}}
    with serving(zot.path, with_users(tmp_path, control), tmp_path) as running:
        denied = ask(running.url, "GET", "/v2/app/tags/list")
        assert (denied.status, denied.json["errors"][0]["code"]) == (401, "UNAUTHORIZED")
        known = ask(running.url, "GET", "/v2/app/tags/list", "ann:pw")
        assert (known.status, known.json["errors"][0]["code"]) == (403, "DENIED")
        assert {denied.headers["www-authenticate"], known.headers["www-authenticate"]} == {'Basic realm="Authorization Required"'}
        assert ask(running.url, "GET", "/v2/open/x/tags/list").status == 404
        assert ask(running.url, "GET", "/v2/open/x/tags/list", "ann:pw").status == 403, "who logs in does not get what anonymous has"
        assert ask(running.url, "GET", "/v2/open/x/tags/list", "ann:no").status == 401, "nor is a wrong password taken for none"


METRICS = {"metrics": {"enable": True}}
BLANK, OPEN = {"users": [""]}, {"anonymousPolicy": ["read"]}


@pytest.mark.parametrize(
    ("release", "policy", "anonymous", "known"),
    [
        ("2.1.10", BLANK, 200, 403),
        ("2.1.10", None, 401, 401),
        ("2.1.17", BLANK, 200, 403),
        ("2.1.17", None, 401, 401),
        ("2.1.20", BLANK, 401, 403),
        ("2.1.20", OPEN, 200, 403),
        ("2.1.20", None, 401, 403),
        ("2.1.20", {"users": ["ann"]}, 401, 200),
    ],
)
def test_metrics_by_release(release: str, policy: dict[str, Any] | None, anonymous: int, known: int, tmp_path: Path) -> None:
    check_metrics(standin_zot(tmp_path / "bin", release), policy, anonymous, known, tmp_path)


@pytest.mark.parametrize(
    ("policy", "anonymous", "known"), [(BLANK, 401, 403), (OPEN, 200, 403), (None, 401, 403), ({"users": ["ann"]}, 401, 200)]
)
def test_metrics(zot: Binary, policy: dict[str, Any] | None, anonymous: int, known: int, tmp_path: Path) -> None:
    if not zot.since("2.1.18"):
        pytest.skip(f"{zot.release} had other rules")
    check_metrics(zot.path, policy, anonymous, known, tmp_path)


def check_metrics(binary: Path, policy: dict[str, Any] | None, anonymous: int, known: int, directory: Path) -> None:
    control = {**ANYONE_READS, **({"metrics": policy} if policy else {})}
    with serving(binary, with_users(directory, control, extensions=METRICS), directory) as running:
        answers = [ask(running.url, "GET", "/metrics"), ask(running.url, "GET", "/metrics", "ann:pw")]
        assert [answer.status for answer in answers] == [anonymous, known]
        assert all(b"zot_info{" in answer.body for answer in answers if answer.status == 200)


def test_metrics_without_access_control_follow_the_login(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, with_users(tmp_path, extensions=METRICS), tmp_path) as running:
        assert ask(running.url, "GET", "/metrics").status == 401
        answer = ask(running.url, "GET", "/metrics", "ann:pw")
        assert answer.status == 200
        assert b"zot_http_requests_total{" in ask(running.url, "GET", "/metrics", "ann:pw").body
