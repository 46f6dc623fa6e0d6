# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that tells who may do what, run as its readers run it; and the report that the role writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from integration.conftest import CANARY, ROLE, Mac
from integration.playbook import CHECKOUT, Outcome

PLAYBOOK = CHECKOUT / "playbooks" / "who_can.yml"
DOCUMENT = {
    "http": {
        "realm": CANARY,
        "accessControl": {
            "repositories": {
                "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]},
                "team/**": {"policies": [{"groups": ["builders"], "actions": ["read", "create"]}]},
            },
            "groups": {"builders": {"users": ["ada"]}},
        },
    }
}


@pytest.fixture
def configured(mac: Mac) -> Mac:
    """A host on which a configuration lies where the role would put it."""
    mac.config.parent.mkdir(parents=True)
    mac.config.write_text(json.dumps(DOCUMENT))
    return mac


def ask(mac: Mac, *words: str, options: tuple[str, ...] = ()) -> Outcome:
    return mac.playing(PLAYBOOK)(*(part for word in words for part in ("-e", word)), *options)


def answers(done: Outcome) -> dict[str, str]:
    assert done.rc == 0, done.stdout
    return dict(re.findall(r"^ +(read|create|update|delete) +(yes|no|perhaps) ", done.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["who=ada", "repository=team/app"], {"read": "yes", "create": "yes", "update": "no", "delete": "no"}),
        (["who=eve", "repository=team/app"], {"read": "no", "create": "no", "update": "no", "delete": "no"}),
        (
            ["who=eve", "repository=team/app", "in_groups=readers,builders"],
            {"read": "yes", "create": "yes", "update": "no", "delete": "no"},
        ),
        (["who=anonymous", "repository=app", "host=indri"], {"read": "yes", "create": "no", "update": "no", "delete": "no"}),
    ],
)
def test_it_tells_in_plain_words(configured: Mac, words: list[str], told: dict[str, str]) -> None:
    before = configured.tree()
    done = ask(configured, *words, options=("-vvv",))
    assert answers(done) == told
    assert done.changed == 0
    assert f"by     {configured.config} for zot 2.1.20" in done.stdout
    assert CANARY not in done.stdout
    assert configured.tree() == before


def test_it_says_by_which_pattern_and_why(configured: Mac) -> None:
    told = ask(configured, "who=ada", "repository=team/app", "release=2.1.19").stdout
    assert "who    ada\n" in told
    assert "where  team/app\n" in told
    assert "for zot 2.1.19\n" in told
    assert "create  yes      group builders may create (pattern team/**)" in told
    assert "delete  no       nothing there allows ada to delete (pattern team/**)" in told


def test_another_path_and_format_can_be_given(configured: Mac) -> None:
    path = configured.folder / "other.yaml"
    path.write_text("http: {accessControl: {repositories: {'**': {defaultPolicy: [read, delete]}}}}")
    done = ask(configured, "who=ada", "repository=app", f"config_path={path}")
    assert answers(done) == {"read": "yes", "create": "no", "update": "no", "delete": "yes"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["who=ada"], "say who and where: -e who=NAME -e repository=NAME"),
        (["who=ada", "repository=app", "host=nowhere"], "the inventory has no host nowhere"),
        (["who=ada", "repository=app", "config_path=/nowhere/config.json"], "/nowhere/config.json; -e config_path=PATH says where"),
        (["who=ada", "repository=app", "release=new"], "'new' is not a zot release"),
    ],
)
def test_what_is_missing_is_one_error(configured: Mac, words: list[str], message: str) -> None:
    done = ask(configured, *words)
    assert done.rc == 2
    assert len(done.errors) == 1
    assert message in done.errors[0]
    assert "Traceback" not in done.stdout


def test_a_file_that_is_no_configuration_is_not_quoted(configured: Mac) -> None:
    configured.config.write_text(f'{{"http": {CANARY}')
    done = ask(configured, "who=ada", "repository=app", options=("-vvv",))
    assert done.rc == 2
    assert len(done.errors) == 1
    assert "cannot be read as a configuration: no valid JSON: line 1, column 10" in done.errors[0]
    assert CANARY not in done.stdout


def test_the_role_writes_a_report_that_a_second_run_leaves(mac: Mac, tmp_path: Path) -> None:
    page, play = tmp_path / "zot.html", mac.playing([ROLE])
    planned = play("--check", zot_report_path=str(page))
    assert planned.rc == 0, planned.stdout
    assert not page.exists()
    first = play("--diff", zot_report_path=str(page))
    assert first.rc == 0, first.stdout
    told = json.loads(page.with_suffix(".json").read_text())
    assert (told["title"], told["activation"], told["release"]) == ("zot on indri", "restart", "2.1.20")
    assert told["reasons"]
    assert isinstance(told["findings"], list)
    assert CANARY not in first.stdout + page.read_text() + str(told)
    written = page.read_bytes(), page.with_suffix(".json").read_bytes()
    for options in ((), ("--check",)):
        assert play(*options, zot_report_path=str(page)).changed == 0
    assert (page.read_bytes(), page.with_suffix(".json").read_bytes()) == written
