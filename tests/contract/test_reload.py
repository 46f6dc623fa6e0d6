# SPDX-License-Identifier: GPL-3.0-or-later
"""Hot reload: an in-place write of the configuration counts, a rename over it does not, and not every key is live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import never, until
from support.zot_binary import Serving, serving, write_htpasswd

from contract.ask import ask
from contract.images import NO_UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from contract.conftest import Binary

READ = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": ["read"]}]}}}
CREATE = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": ["read", "create"]}]}}}
READ_UPLOAD = f"/v2/app/blobs/uploads/{NO_UPLOAD}"


def may_create(running: Serving, login: str | None = "ann:pw") -> bool:
    path = "/v2/app/manifests/new"
    return ask(running.url, "PUT", path, login, b"", {"Content-Type": "text/plain"}).status == 415


def may_read(running: Serving, login: str | None = "ann:pw") -> bool:
    return ask(running.url, "GET", READ_UPLOAD, login).status == 404


def write_in_place(running: Serving, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(running.config_path.read_text(encoding="utf-8"))
    change(document)
    with running.config_path.open("r+", encoding="utf-8") as stream:
        stream.write(json.dumps(document))
        stream.truncate()


def write_by_rename(running: Serving, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(running.config_path.read_text(encoding="utf-8"))
    change(document)
    part = running.config_path.with_name("config.part.json")
    part.write_text(json.dumps(document), encoding="utf-8")
    part.replace(running.config_path)


def access(control: dict[str, Any] | None) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["http"].pop("accessControl", None)
        if control is not None:
            document["http"]["accessControl"] = control

    return change


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    return write_htpasswd(tmp_path / "htpasswd", {"ann": "pw"})


@pytest.fixture
def running(zot: Binary, tmp_path: Path, htpasswd: Path) -> Iterator[Serving]:
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": READ}, "storage": {"gc": False}}
    with serving(zot.path, config, tmp_path) as handle:
        yield handle


def test_a_policy_written_in_place_is_live(running: Serving) -> None:
    assert not may_create(running)
    write_in_place(running, access(CREATE))
    assert until(lambda: may_create(running))
    write_in_place(running, access(READ))
    assert until(lambda: not may_create(running))


def test_a_rename_loses_the_watch_for_good(running: Serving) -> None:
    write_by_rename(running, access(CREATE))
    assert never(lambda: may_create(running))
    write_in_place(running, access(CREATE))
    assert never(lambda: may_create(running)), "nor is a later write in place seen"
    running.restart()
    assert may_create(running)


def test_an_invalid_configuration_changes_nothing(running: Serving) -> None:
    with running.config_path.open("r+", encoding="utf-8") as stream:
        good = stream.read()
        stream.seek(0)
        stream.write('{"storage": {"rootDirectory": "/x"}, "nope": 1}')
        stream.truncate()
    assert until(lambda: "failed to reload config" in running.log)
    assert may_read(running)
    running.config_path.write_text(good, encoding="utf-8")
    write_in_place(running, access(CREATE))
    assert until(lambda: may_create(running))


def test_a_new_password_is_live(running: Serving, htpasswd: Path) -> None:
    write_htpasswd(htpasswd, {"ann": "new", "bob": "pw"})
    assert until(lambda: may_read(running, "ann:new"))
    assert not may_read(running, "ann:pw")


def test_what_needs_a_restart_waits_for_one(running: Serving) -> None:
    def change(document: dict[str, Any]) -> None:
        access(CREATE)(document)
        document["http"]["realm"] = "another"

    def realm() -> str:
        return ask(running.url, "GET", "/v2/", "ann:wrong").headers["www-authenticate"]

    write_in_place(running, change)
    assert until(lambda: may_create(running))
    assert realm() == 'Basic realm="Authorization Required"'
    running.restart()
    assert realm() == 'Basic realm="another"'


def test_access_control_added_to_a_registry_without_any_is_not_enforced(zot: Binary, tmp_path: Path, htpasswd: Path) -> None:
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}, "storage": {"gc": False}}
    anyone_reads = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
    with serving(zot.path, config, tmp_path) as running:
        assert not may_create(running, None)
        write_in_place(running, access(anyone_reads))
        assert until(lambda: may_create(running, None)), "worse: anonymous is let in and nothing asks for rights"
        running.restart()
        assert not may_create(running, None)
        assert may_read(running, None)


def test_access_control_taken_away_denies_everyone_until_the_restart(running: Serving) -> None:
    write_in_place(running, access(None))
    assert until(lambda: not may_read(running))
    running.restart()
    assert may_create(running)


def test_authentication_added_while_running_answers_500(zot: Binary, tmp_path: Path, htpasswd: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["http"]["auth"] = {"htpasswd": {"path": str(htpasswd)}}

    with serving(zot.path, {"http": {}, "storage": {"gc": False}}, tmp_path) as running:
        assert may_create(running, None)
        write_in_place(running, change)
        assert until(lambda: ask(running.url, "GET", "/v2/").status == 401)
        assert ask(running.url, "GET", "/v2/", "ann:pw").status == 500
        running.restart()
        assert ask(running.url, "GET", "/v2/", "ann:pw").status == 200


def test_authentication_taken_away_opens_at_once(zot: Binary, tmp_path: Path, htpasswd: Path) -> None:
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}, "storage": {"gc": False}}
    with serving(zot.path, config, tmp_path) as running:
        assert not may_create(running, None)
        write_in_place(running, lambda document: document["http"].pop("auth"))
        assert until(lambda: may_create(running, None))
