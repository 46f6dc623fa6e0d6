# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: answers recorded on real releases, asked again.

Authorization is decided before a body is looked at, so each right has a question that changes nothing; only 401 and 403
mean no. The recorded answers came from requests with their real effect.
"""

from __future__ import annotations

import email.message
import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.zot_binary import serving, standin_zot, write_htpasswd

from contract.ask import Question, ask, ask_many, basic
from contract.conftest import EVERYTHING, VECTORS, spread
from contract.images import NO_UPLOAD, digest_of, lay_down

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from contract.conftest import Binary

FILES = sorted((VECTORS / "authz").glob("*.jsonl"), key=lambda path: [int(part) for part in path.stem.split(".")])
RELEASES = [path.stem for path in FILES]
LETTERS = "rculdp"


def rows_of(release: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (VECTORS / "authz" / f"{release}.jsonl").read_text(encoding="utf-8").splitlines()]


def questions(repository: str) -> list[Question]:
    """read, create a tag, update `v1`, update `latest`, delete, start an upload: in the order of LETTERS."""
    upload, manifests = f"/v2/{repository}/blobs/uploads/{NO_UPLOAD}", f"/v2/{repository}/manifests"
    return [
        Question("GET", upload),
        Question("PUT", f"{manifests}/absent", "text/plain"),
        Question("PUT", f"{manifests}/v1", "text/plain"),
        Question("PUT", f"{manifests}/latest", "text/plain"),
        Question("DELETE", f"{manifests}/absent"),
        Question("PUT", f"{upload}?digest={digest_of(b'')}"),
    ]


def prepared(row: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The configuration of one recorded policy, its users and its repositories."""
    directory.mkdir()
    htpasswd = write_htpasswd(directory / "htpasswd", {user: f"pw of {user}" for user in row["users"]})
    for repository in sorted({repository for _, repository, _ in row["answers"]}):
        lay_down(directory / "registry", repository, ["v1", "latest"])
    return {
        "http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": row["accessControl"]},
        "storage": {"rootDirectory": str(directory / "registry"), "gc": False},
        "log": {"level": "error"},
    }


def disagreements(row: dict[str, Any], ask_all: Callable[[str | None, list[Question]], list[int]]) -> list[str]:
    wrong = []
    for who in (None, *row["users"]):
        expected = [(repository, letters) for name, repository, letters in row["answers"] if name == who]
        asked = [question for repository, _ in expected for question in questions(repository)]
        statuses = ask_all(None if who is None else f"{who}:pw of {who}", asked)
        assert set(statuses) <= {401, 403, 404, 415}, set(statuses)
        for index, (repository, letters) in enumerate(expected):
            mine = statuses[index * len(LETTERS) : (index + 1) * len(LETTERS)]
            got = "".join(letter for letter, status in zip(LETTERS, mine, strict=True) if status not in (401, 403))
            if sorted(got) != sorted(letters):
                wrong.append(f"{row['policy_id']}: {who} in {repository}: recorded {letters!r}, answered {got!r}")
    return wrong


def lists(row: dict[str, Any], ask_one: Callable[[str | None, str], tuple[int, Any]]) -> list[str]:
    """What /v2/ and the catalogue said to each identity."""
    wrong = []
    for who in ("", *row["users"]):
        login = f"{who}:pw of {who}" if who else None
        status, _ = ask_one(login, "/v2/")
        if status != row["base"][who]:
            wrong.append(f"{row['policy_id']}: {who!r} at /v2/: recorded {row['base'][who]}, answered {status}")
        status, body = ask_one(login, "/v2/_catalog")
        got = sorted(body["repositories"]) if status == 200 else None  # null was recorded where nothing was listed
        if got != (row["catalog"][who] and sorted(row["catalog"][who])) and (got or row["catalog"][who]):
            wrong.append(f"{row['policy_id']}: {who!r}'s catalogue: recorded {row['catalog'][who]}, answered {got}")
    return wrong


def in_process(module: ModuleType, config: dict[str, Any], directory: Path) -> Callable[[str | None, Question], Any]:
    """The stand-in without a socket in between: its requests are what a connection would have made of them."""
    path = directory / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    document = module.load_config(str(path))
    registry = module.Zot(str(path), document, module.Log("error"))
    registry.prepare()

    def answer(login: str | None, question: Question) -> Any:
        headers = email.message.Message()
        headers["Content-Length"] = "0"
        if login:
            headers["Authorization"] = basic(login)
        if question.content_type:
            headers["Content-Type"] = question.content_type
        handler = SimpleNamespace(
            command=question.method, path=question.path, headers=headers, client_address=("127.0.0.1", 1), rfile=io.BytesIO()
        )
        return registry.handle(module.Request(handler))

    return answer


@pytest.mark.parametrize("release", RELEASES)
def test_every_recorded_answer_of_each_release(
    release: str, standin_module: Callable[[str], ModuleType], tmp_path: Path, report: Callable[[str], None]
) -> None:
    module, wrong, rows = standin_module(release), [], rows_of(release)
    for index, row in enumerate(rows):
        answer = in_process(module, prepared(row, tmp_path / str(index)), tmp_path / str(index))

        def statuses(login: str | None, asked: list[Question], answer: Any = answer) -> list[int]:
            return [answer(login, question).status for question in asked]

        def listed(login: str | None, path: str, answer: Any = answer) -> tuple[int, Any]:
            reply = answer(login, Question("GET", path))
            return reply.status, json.loads(reply.body or b"{}")

        wrong += disagreements(row, statuses) + lists(row, listed)
    count = sum(len(row["answers"]) for row in rows) * len(LETTERS)
    report(f"authz {release}: the stand-in gave {count} recorded answers of {len(rows)} policies, {len(wrong)} of them differently")
    assert not wrong, "\n".join(wrong[:20])


def over_http(binary: Path, release: str, rows: list[dict[str, Any]], directory: Path) -> list[str]:
    wrong = []
    for index, row in enumerate(rows):
        folder = directory / f"{release}-{index}"
        config = prepared(row, folder)
        with serving(binary, config, folder) as running:
            port, url = running.port, running.url

            def statuses(login: str | None, asked: list[Question], port: int = port) -> list[int]:
                return ask_many(port, login, asked)

            def listed(login: str | None, path: str, url: str = url) -> tuple[int, Any]:
                answer = ask(url, "GET", path, login)
                return answer.status, json.loads(answer.body or b"{}")

            wrong += disagreements(row, statuses) + lists(row, listed)
    return wrong


@pytest.mark.parametrize("release", RELEASES)
def test_recorded_answers_over_http(release: str, tmp_path: Path, report: Callable[[str], None]) -> None:
    rows = rows_of(release)
    taken = spread(rows, 1)
    if not EVERYTHING:
        report(f"authz {release}: over HTTP, {len(taken)} of {len(rows)} policies (ZOT_VECTORS=all takes every one)")
    wrong = over_http(standin_zot(tmp_path / "bin", release), release, taken, tmp_path)
    assert not wrong, "\n".join(wrong[:20])


def test_recorded_answers_of_this_release(zot: Binary, tmp_path: Path, report: Callable[[str], None]) -> None:
    if zot.release not in RELEASES:
        pytest.skip(f"nothing recorded of {zot.release}")
    rows = rows_of(zot.release)
    taken = spread(rows, 5)
    if not EVERYTHING:
        report(f"authz {zot.release}: {len(taken)} of {len(rows)} policies asked of {zot.path} (ZOT_VECTORS=all asks all)")
    wrong = over_http(zot.path, zot.release, taken, tmp_path)
    assert not wrong, "\n".join(wrong[:20])


def test_the_traceless_questions_leave_no_trace_where_the_repository_exists(zot: Binary, tmp_path: Path) -> None:
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"root": "pw"})
    lay_down(tmp_path / "registry", "team/app", ["v1", "latest"])
    rights = {"repositories": {"**": {"policies": [{"users": ["root"], "actions": ["read", "create", "update", "delete"]}]}}}
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": rights}, "storage": {"gc": False}}

    def files() -> dict[str, bytes]:
        found = (tmp_path / "registry").rglob("*")
        return {str(path): path.read_bytes() for path in found if path.is_file() and path.suffix != ".db"}

    with serving(zot.path, config, tmp_path) as running:
        before = files()
        for question in (*questions("team/app"), *questions("absent/app")):
            answer = ask(running.url, question.method, question.path, "root:pw", b"", {"Content-Type": question.content_type or "x/y"})
            absent_delete = question.method == "DELETE" and "absent/app" in question.path
            assert answer.status == (400 if absent_delete else 415 if "/manifests/" in question.path and question.method == "PUT" else 404)
        assert files() == before


def test_patching_an_absent_upload_creates_the_repository(zot: Binary, tmp_path: Path) -> None:
    """So that PATCH is no question to ask of a repository that may not exist."""
    with serving(zot.path, {"storage": {"gc": False}}, tmp_path) as running:
        answer = ask(running.url, "PATCH", f"/v2/new/app/blobs/uploads/{NO_UPLOAD}", body=b"", headers={"Content-Type": "x/y"})
        assert answer.status == 404
        assert ask(running.url, "GET", "/v2/_catalog").json == {"repositories": ["new/app"]}


@pytest.mark.parametrize(
    ("release", "asked", "statuses"),
    [
        # a push by digest that also moves a tag: 2.1.16 to 2.1.18 asked only for `create`
        ("2.1.18", "?tag=v1", {"creator": 415, "updater": 403}),
        ("2.1.19", "?tag=v1", {"creator": 403, "updater": 415}),
        ("2.1.20", "?tag=v1", {"creator": 403, "updater": 415}),
        ("2.1.20", "?tag=new", {"creator": 415, "updater": 403}),
        ("2.1.20", "?tag=new&tag=v1", {"creator": 403, "updater": 403}),
        ("2.1.20", "", {"creator": 415, "updater": 403}),
    ],
)
def test_tags_named_in_a_push_by_digest(
    release: str,
    asked: str,
    statuses: dict[str, int],
    tmp_path: Path,
    standin_module: Callable[[str], ModuleType],
    binaries: Callable[[str], Binary | None],
) -> None:
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"creator": "pw", "updater": "pw"})
    lay_down(tmp_path / "registry", "app", ["v1"])
    policies = [{"users": ["creator"], "actions": ["create"]}, {"users": ["updater"], "actions": ["update"]}]
    control = {"repositories": {"**": {"policies": policies}}}
    config = {
        "http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": control},
        "storage": {"gc": False, "rootDirectory": str(tmp_path / "registry")},
    }
    path = f"/v2/app/manifests/{digest_of(b'x')}{asked}"
    answer = in_process(standin_module(release), config, tmp_path)
    for user, status in statuses.items():
        assert answer(f"{user}:pw", Question("PUT", path, "text/plain")).status == status, user
    real = binaries("real")
    if real is not None and real.release == release:
        lay_down(tmp_path / "real" / "registry", "app", ["v1"])
        config["storage"]["rootDirectory"] = str(tmp_path / "real" / "registry")
        with serving(real.path, config, tmp_path / "real") as running:
            for user, status in statuses.items():
                assert ask(running.url, "PUT", path, f"{user}:pw", b"", {"Content-Type": "text/plain"}).status == status, user
