# SPDX-License-Identifier: GPL-3.0-or-later
"""The access model, held to recorded answers of real zot releases and to a zot that runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import replay_authz
import replay_glob
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _cells
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import CREATE, DELETE, READ, decide
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants
from support.grants import PEOPLE, granted, grants, holding, loaded, pattern
from support.zot_binary import serving, write_htpasswd

from contract.ask import Question, ask_many
from contract.conftest import EVERYTHING, VECTORS
from contract.images import NO_UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract.conftest import Binary

AUTHZ = sorted((VECTORS / "authz").glob("*.jsonl")) + sorted((VECTORS.parents[2] / "shared/vectors/authz").glob("*.jsonl"))
QUESTIONS = {
    READ: lambda name: Question("GET", f"/v2/{name}/blobs/uploads/{NO_UPLOAD}"),
    CREATE: lambda name: Question("PUT", f"/v2/{name}/manifests/absent", "text/plain"),
    DELETE: lambda name: Question("DELETE", f"/v2/{name}/manifests/absent"),
}


@pytest.mark.parametrize("file", AUTHZ, ids=lambda file: f"{file.parents[3].name}-{file.stem}")
def test_recorded_answers(file: Path) -> None:
    total, wrong = replay_authz.replay(file)
    assert total > 1000
    assert not wrong, wrong[:10]


def test_recorded_patterns() -> None:
    total, wrong = replay_glob.replay(VECTORS / "glob" / "2.1.20.jsonl")
    assert total == 400
    assert not wrong, wrong[:10]


def answers(port: int, names: list[str]) -> dict[tuple[str, str, str], bool]:
    """(who, action, name) -> whether a running zot lets it be; each right is asked without leaving a trace."""
    found = {}
    for who in PEOPLE:
        login = f"{who.name}:pw of {who.name}" if who.name else None
        asked = [(action, name) for name in names for action in QUESTIONS]
        statuses = ask_many(port, login, [QUESTIONS[action](name) for action, name in asked])
        assert not [status for status in statuses if status >= 500]
        found.update({(who.name, *what): status not in (401, 403) for what, status in zip(asked, statuses)})
    return found


def configuration(folder: Path, repositories: dict[str, object]) -> dict[str, object]:
    folder.mkdir()
    htpasswd = write_htpasswd(folder / "htpasswd", {who.name: f"pw of {who.name}" for who in PEOPLE if who.name})
    groups = {"ops": {"users": ["in-ops", "bob"]}, "ci": {"users": ["bob"]}}
    return {
        "http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": {"repositories": repositories, "groups": groups}},
        "storage": {"gc": False},
        "log": {"level": "error"},
    }


def test_compiled_policies_on_a_running_zot(zot: Binary, tmp_path: Path, report: Callable[[str], None]) -> None:
    wanted = 100 if EVERYTHING or zot.real else 6
    chance, served = random.Random(7), 0  # noqa: S311 - no secret
    while served < wanted:
        made = parse_grants(grants(chance))
        try:
            repositories = compile_grants(made)
        except ZotError:
            continue
        witnesses = list(_cells.cells(repositories).values())[:20]
        folder = tmp_path / str(served)
        with serving(zot.path, configuration(folder, repositories), folder) as running:
            got = answers(running.port, witnesses)
        for (who, action, name), allowed in got.items():
            identity = next(person for person in PEOPLE if person.name == who)
            assert allowed == granted(holding(made, name), identity, action), (who, action, name, repositories)
            assert allowed == decide(loaded(repositories), identity, action, name).allowed
        served += 1
    report(f"grants: {served} compiled policies served by {zot.path} and asked")


def test_cells_of_random_patterns_on_a_running_zot(zot: Binary, tmp_path: Path) -> None:
    """One registry with many patterns, each for a user of its own: who may read a witness tells which patterns match it."""
    chance = random.Random(11)  # noqa: S311 - no secret
    for number in range(6 if zot.real else 1):
        given = sorted({pattern(chance) for _ in range(7)})
        for index, one in enumerate(given):
            # Each alone: where there are several, only the longest decides.
            folder = tmp_path / f"{number}-{index}"
            repositories = {one: {"anonymousPolicy": [READ]}}
            config = {"http": {"accessControl": {"repositories": repositories}}, "storage": {"gc": False}, "log": {"level": "error"}}
            found = _cells.cells(given)
            with serving(zot.path, config, folder) as running:
                statuses = ask_many(running.port, None, [QUESTIONS[READ](name) for name in found.values()])
            matched = {name for name, status in zip(found.values(), statuses) if status not in (401, 403)}
            assert matched == {name for cell, name in found.items() if one in cell}, (one, given)
