# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, GREY, RED
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_report import headline, settle, summary, table


def line(check, level=GREEN, text="fine", **facts):
    return {"check": check, "level": level, "text": text, "facts": facts}


KEY = line("key", AMBER, "it cannot be told: no answer", since="registry")


@pytest.mark.parametrize("check", ["host", "ready", "external"])
def test_the_key_is_grey_where_a_registry_is_what_fails(check):
    found = settle({"indri": [line(check, RED)], "controller": [KEY, line("forge", RED)]})
    assert [one["level"] for one in found["controller"]] == [GREY, RED]
    assert found["controller"][0]["text"] == "not asked, since the registry does not answer"


@pytest.mark.parametrize("other", [line("ready"), line("ready", AMBER), line("disk", RED)])
def test_the_key_stays_as_it_is_where_no_registry_fails(other):
    found = settle({"indri": [other], "controller": [KEY]})
    assert found["controller"] == [KEY]


def test_a_key_that_is_wrong_stays_red():
    wrong = line("key", RED, "refused")
    assert settle({"indri": [line("ready", RED)], "controller": [wrong]})["controller"] == [wrong]


@pytest.mark.parametrize(
    ("levels", "fail_on", "ok"),
    [
        ([GREEN, GREY], RED, True),
        ([GREEN, AMBER], RED, True),
        ([GREEN, AMBER], AMBER, False),
        ([GREEN, RED], RED, False),
        ([GREEN, RED], AMBER, False),
        ([GREEN, GREY], AMBER, True),
    ],
)
def test_red_fails_and_amber_where_that_is_asked_for(levels, fail_on, ok):
    hosts = {"indri": [line(str(number), level) for number, level in enumerate(levels)]}
    report = summary(hosts, fail_on)
    assert (report["ok"], report["hosts"]) == (ok, hosts)
    assert report["counts"] == {level: levels.count(level) for level in (RED, AMBER, GREEN, GREY)}
    assert json.loads(json.dumps(report)) == report


def test_the_table_is_aligned_and_names_each_host_once():
    hosts = {"indri": [line("ready"), line("certificate", AMBER, "9 days left")], "nas": [line("ready", RED, "no")]}
    assert table(summary(hosts, RED), colour=False).splitlines() == [
        "indri  ready        green  fine",
        "       certificate  amber  9 days left",
        "nas    ready        red    no",
        "1 red, 1 amber, 1 green",
    ]


def test_colours_are_around_the_words_alone():
    shown = table(summary({"indri": [line("ready"), line("disk", RED), line("x", AMBER), line("y", GREY)]}, RED), colour=True)
    for code, word in (("32", "green"), ("31", "red  "), ("33", "amber"), ("90", "grey ")):
        assert f"  \033[{code}m{word}\033[0m  fine" in shown


def test_what_the_network_said_moves_no_cursor():
    shown = table(summary({"indri": [line("x", RED, "bad\x1b[2J\r\n\u202etext")]}, RED), colour=False)
    assert shown.splitlines()[0] == "indri  x  red    bad [2J   text"


def test_without_a_line_that_is_said():
    assert headline(summary({}, RED)["counts"]) == "nothing was checked"
    assert table(summary({}, RED), colour=False) == "nothing was checked\n"
