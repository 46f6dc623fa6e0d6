# SPDX-License-Identifier: GPL-3.0-or-later
"""services-check, wherever its user's words, the inventory or the machine are not as the simple case has them."""

from __future__ import annotations

import pytest
from integration.test_services_check import WELL, House, given, house  # noqa: F401 - fixtures

WHOLE = {"indri": WELL, "controller": {"key": "green"}}


@pytest.mark.parametrize("words", [["-l", "!nas"], ["-l", "all:&indri"], ["-lindri"], ["--limit=~in\\w+"], ["-l", "indri, nas"]])
def test_every_pattern_of_hosts_is_one_here_and_the_rest_is_told(house: House, words: list[str]) -> None:  # noqa: F811
    done = house("--json", *words)
    assert (done.rc, done.stderr) == (0, ""), done
    assert done.levels == WHOLE


def test_a_name_that_nobody_has_is_said_beside_the_report(house: House) -> None:  # noqa: F811
    done = house("--json", "-l", "indri,typo")
    assert (done.rc, done.levels) == (0, WHOLE)
    assert "ignoring: typo" in done.stderr
    assert "PLAY" not in done.stderr


def test_without_a_report_nothing_is_well(house: House) -> None:  # noqa: F811
    done = house("--tags", "nothing")
    assert (done.rc, done.stdout) == (1, "")
    assert "No report was made" in done.stderr
    assert house("--syntax-check").rc == 0


def test_a_folder_for_scratch_may_have_spaces(house: House) -> None:  # noqa: F811
    folder = house.folder / "with a space"
    folder.mkdir()
    assert house("--json", TMPDIR=str(folder)).levels == WHOLE
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"services_check_others": [{"name": "a"}]}, "one of the following is required: url, command"),
        ({"services_check_others": "a"}, "dictionary requested"),
        ({"zot_ci_key_store": {"kind": "drawer"}}, "value of kind must be one of"),
        ({"zot_ci_key_store": "{{ no_such_variable }}"}, "no_such_variable"),
    ],
)
def test_what_is_wrong_of_the_controllers_own_variables_hides_no_host(given: House, changed: dict[str, object], words: str) -> None:  # noqa: F811
    given.everywhere.update(changed)
    done = given("--json")
    assert (done.rc, done.levels) == (2, {"indri": WELL, "controller": {"host": "red"}})
    assert words in done.report["hosts"]["controller"][0]["text"]
