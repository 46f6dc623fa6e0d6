# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: its data, and the page that is made of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _page
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._page import page
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._story import story
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._style import SCRIPT, STYLE
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release

RELEASE = Release("2.1.20")
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{0}"
DOCUMENT = {
    "http": {
        "accessControl": {
            "repositories": {
                "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"], "policies": [{"groups": ["ci"], "actions": ["create"]}]},
                "team/**": {"policies": [{"users": ["ada"], "actions": ["update"], "conditions": [{"expression": "true"}]}]},
            },
            "groups": {"ci": {"users": ["bot", "bob"]}},
            "adminPolicy": {"users": ["root"], "actions": ["delete"]},
        }
    }
}
WARNING = {"code": "ZOT402", "severity": "warning", "path": "http.address", "message": "open to all", "hint": "Close it."}
FREE = {"code": "ZOT303", "severity": "warning", "path": "storage", "message": "12 MiB are left", "hint": "Make room."}
ANSWER = {"who": "anonymous", "repository": "team/app", "action": "read", "expected": "denied", "answered": "denied", "certain": True}


class Page(HTMLParser):
    """What a browser would make of it: elements with their attributes, and the text of each part."""

    def __init__(self, text):
        super().__init__()
        self.source, self.elements, self.texts, self.open = text, [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data.strip())

    def all(self, tag, **wanted):
        return [attrs for name, attrs in self.elements if name == tag and wanted.items() <= attrs.items()]

    @property
    def text(self):
        return " ".join(filter(None, self.texts))


def made(document=DOCUMENT, before=None, **given):
    return story(document, RELEASE, given, before)


def shown(document=DOCUMENT, **given):
    return Page(page(made(document, **given), "zot.json"))


# --- the data


def test_the_data_tell_who_may_do_what_and_by_which_rules():
    data = made(title="zot on indri")
    assert (data["title"], data["release"]) == ("zot on indri", "2.1.20")
    table = {(entry["who"], entry["where"]): [key for key, told in entry["actions"].items() if told["allowed"]] for entry in data["access"]}
    assert table["ci", "**"] == ["read", "create"]
    assert table["root", "team/**"] == ["delete"]
    assert [rule["pattern"] for rule in data["rules"]] == [None, "team/**", "**"], "administrators, then the longest first"
    assert data["rules"][1]["policies"][0]["conditional"] is True
    assert data["groups"] == {"ci": ["bob", "bot"]}
    assert json.loads(json.dumps(data)) == data


def test_the_configuration_has_the_sum_of_the_file_that_the_collection_writes():
    written = json.dumps(DOCUMENT, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert made()["configuration"] == hashlib.sha256(written.encode()).hexdigest()


def test_a_secret_is_in_neither_and_not_even_in_the_sum():
    secret = {**DOCUMENT, "storage": {"storageDriver": {"secretKey": "canary"}}, "extensions": {"lint": {"a": "https://u:canary@h"}}}
    other = json.loads(json.dumps(secret).replace("canary", "another"))
    given = {"reasons": ["https://u:canary@h"], "keys": [{"label": "k", "token": "canary", "uuid": "canary"}]}
    data = made(secret, **given, activation="restart")
    assert "canary" not in json.dumps(data) + page(data, "zot.json")
    assert data["configuration"] == made(other)["configuration"]
    assert set(data["keys"][0]) == {"label", "owner", "created", "expires", "last_used"}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "as expected"),
        ({"answered": "allowed"}, "otherwise"),
        ({"answered": "allowed", "certain": False}, "unsure"),
        ({"answered": None}, "unsure"),
        ({"expected": True, "answered": True, "certain": None}, "as expected"),
    ],
)
def test_what_became_of_a_question(change, verdict):
    (item,) = made(answers=[{**ANSWER, **change}])["answers"]
    assert (item["verdict"], item["row"], item["where"]) == (verdict, "anonymous", "team/**")


def test_members_of_groups_have_rows_and_who_is_not_known_stays_in_the_list():
    answers = [{**ANSWER, "who": who} for who in ("bot (API key)", "ada", "stranger")]
    data = made(answers=answers)
    assert [item["row"] for item in data["answers"]] == ["bot", "ada", None]
    users = [entry["who"] for entry in data["access"] if entry["kind"] == "user"]
    assert users == [name for name in ("ada", "bob", "bot", "root") for _ in range(2)]


def test_suppressed_findings_have_their_reasons_and_needless_ones_are_told():
    data = made(findings=[], suppressed=[WARNING], suppress={"ZOT402": "a private network", "ZOT314": "an old story"})
    assert data["suppressed"] == [{**WARNING, "reason": "a private network"}]
    assert data["needless"] == [{"code": "ZOT314", "reason": "an old story"}]


# --- what was told before


FIRST = {"activation": "restart", "reasons": ["config.json is missing"], "answers": [{**ANSWER, "who": "bot"}], "keys": [{"label": "k"}]}


@pytest.mark.parametrize("later", [{}, {"activation": "none", "reasons": [], "findings": [WARNING], "suppressed": []}])
def test_a_run_that_has_nothing_to_tell_leaves_what_was_told(later):
    first = made(**FIRST, findings=[WARNING, FREE])
    assert made(before=first, **later) == {
        **first,
        "findings": sorted(first["findings"], key=lambda item: item["code"]) if later else first["findings"],
    }
    again = made(before=made(before=first, **later), **later)
    assert again == made(before=first, **later)


def test_what_the_host_told_can_be_suppressed_later():
    first = made(**FIRST, findings=[FREE, WARNING])
    later = made(before=first, activation="none", reasons=[], findings=[WARNING], suppressed=[], suppress={"ZOT303": "soon"})
    assert (later["findings"], later["suppressed"], later["needless"]) == ([WARNING], [{**FREE, "reason": "soon"}], [])
    third = made(before=later, activation="none", reasons=[], findings=[WARNING], suppressed=[], suppress={"ZOT303": "soon"})
    assert third == later


def test_what_a_run_found_itself_counts():
    first = made(**FIRST, findings=[WARNING, FREE])
    assert made(before=first, activation="none", findings=[])["findings"] == [FREE], "the configuration's own is gone, the host's stays"
    assert made(before=first, activation="restart", reasons=["port"], findings=[])["findings"] == []
    assert made(before=first, answers=[], keys=[])["answers"] == []


@pytest.mark.parametrize("change", [{"release": "2.1.19"}, {"configuration": "0"}, {"report": "other"}])
def test_nothing_is_taken_from_a_report_of_something_else(change):
    first = made(**FIRST, findings=[WARNING])
    assert made(before={**first, **change}) == made()


def test_a_report_that_somebody_broke_does_no_harm():
    broken = {**made(), "answers": "x", "findings": [1], "keys": {}, "activation": 5, "reasons": 1, "suppressed": 3, "needless": [{}]}
    for given in ({}, {"findings": []}):
        assert page(made(before=broken, **given), "zot.json")


# --- the page


def test_it_is_whole_and_asks_for_nothing():
    found = shown(**FIRST, findings=[WARNING, FREE], suppress={"ZOT314": "old"})
    assert found.open == []
    assert not [tag for tag, _ in found.elements if tag in ("link", "img", "iframe", "object", "form", "base")]
    assert not [attrs for _, attrs in found.elements if {"src", "srcset", "style", "onclick"} & set(attrs)]
    assert [attrs["href"] for attrs in found.all("a") if not attrs["href"].startswith("#")] == ["zot.json"]
    assert not re.search(r"url\(|@import|https?:|//", STYLE + SCRIPT)
    policy = found.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (STYLE, SCRIPT)]
    assert policy == f"default-src 'none'; style-src 'sha256-{sums[0]}'; script-src 'sha256-{sums[1]}'; base-uri 'none'; form-action 'none'"
    assert f"<style>{STYLE}</style>" in found.source
    assert f"<script>{SCRIPT}</script>" in found.source


def test_targets_of_links_are_there_and_ids_are_unique():
    found = shown(**FIRST, findings=[WARNING])
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in found.all("a") if attrs["href"].startswith("#")} <= set(ids)
    assert {attrs["aria-labelledby"] for _, attrs in found.elements if "aria-labelledby" in attrs} <= set(ids)


def test_the_matrix_is_a_table_that_says_in_words_what_it_shows():
    found = shown()
    assert len(found.all("th", scope="row")) == 7 + 3  # people and administrators, patterns
    assert len(found.all("th", scope="col")) == 1 + 2 + 4
    assert len(found.all("summary")) == 7 * 2
    assert "may read, create; may not update, delete" in found.text
    assert "may perhaps update" in found.text
    titles = {attrs["title"] for attrs in found.all("span") if "mark" in attrs.get("class", "")}
    assert "may create by **: group ci may create" in titles
    assert "may delete: adminPolicy: user root may delete" in titles
    assert "group: bob, bot" in found.text


def test_why_is_told_in_the_cell_by_its_pattern():
    found = shown({"http": {"accessControl": {"repositories": {"**": {"anonymousPolicy": ["read"]}}}}})
    assert found.text.count("** decides") == 2
    assert "may read anonymousPolicy: everybody who is not logged in may read" in found.text
    assert "by ** " not in found.text, "where one pattern decides it is said once"


def test_answers_are_marked_where_they_belong():
    good = shown(answers=[ANSWER])
    assert good.text.count("\u2713") == 1 + 1 + 1 + 1  # legend, cell, reason, list
    assert "1 question, each answered as expected." in good.text
    bad = shown(answers=[{**ANSWER, "answered": "allowed"}, {**ANSWER, "action": "create"}])
    assert "1 of 2 answers differ" in bad.text
    assert "anonymous in team/app: allowed, denied expected" in bad.text
    assert len(bad.all("span", **{"class": "mark read no otherwise"})) == 1
    assert len(bad.all("tr", **{"class": "bad"})) == 1
    assert "The 1 that were answered as expected" in bad.text
    unsure = shown(answers=[{**ANSWER, "certain": False}, {**ANSWER, "answered": None}])
    assert "no answer that tells anything" in unsure.text
    assert "0 answered as expected" in unsure.text


def test_without_access_control_that_is_said():
    assert "There is no accessControl: everybody may do everything." in shown({}).text
    assert ("a", {"href": "#access", "class": "bad"}) in shown({}).elements


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "The configuration was not judged."),
        ({"findings": []}, "Nothing is wrong with the configuration."),
        ({"findings": [WARNING, FREE]}, "2 warnings"),
        ({"findings": [{**WARNING, "severity": "error"}, {**WARNING, "severity": "advice"}]}, "1 error, 1 advice"),
        ({"suppress": {"ZOT314": "an old story"}}, "finds nothing here, so it need not be suppressed Because: an old story"),
        ({"suppressed": [WARNING]}, "open to all Without a reason"),
        ({"activation": "none"}, "zot was not restarted."),
        ({"activation": "restart", "reasons": ["the binary changes"]}, "zot was restarted, because the binary changes"),
        (
            {"keys": [{"label": "laptop", "owner": "ada", "created": "2026-01-31T12:00:00Z", "last_used": "0001-01-01T00:00:00Z"}]},
            "2026-01-31",
        ),
    ],
)
def test_each_section_says_what_was_given(given, words):
    assert words in shown(**given).text


def test_ages_are_the_browsers_and_never_is_said():
    found = shown(
        keys=[{"label": "k", "created": "2026-01-31T12:00:00Z", "expires": "2027-01-31T12:00:00Z", "last_used": "0001-01-01T00:00:00Z"}]
    )
    assert found.all("time") == [{"datetime": "2026-01-31T12:00:00Z"}, {"datetime": "2027-01-31T12:00:00Z", "data-end": None}]
    assert found.text.count("never") == 1


def test_whatever_is_given_is_text_and_nothing_else():
    hostile = {
        "http": {
            "accessControl": {
                "repositories": {HOSTILE.lower(): {"policies": [{"users": [HOSTILE], "groups": [HOSTILE], "actions": ["read"]}]}},
                "groups": {HOSTILE.lower(): {"users": [HOSTILE]}},
            }
        }
    }
    finding = dict.fromkeys(("code", "severity", "path", "message", "hint"), HOSTILE)
    plain = shown(hostile)
    found = shown(
        hostile,
        title=HOSTILE,
        findings=[finding],
        suppressed=[finding],
        suppress={HOSTILE: HOSTILE},
        activation=HOSTILE,
        reasons=[HOSTILE],
        answers=[dict.fromkeys(ANSWER, HOSTILE), {**ANSWER, "who": HOSTILE, "answered": HOSTILE}],
        keys=[dict.fromkeys(("label", "owner", "created", "expires", "last_used"), HOSTILE)],
    )
    for one in (plain, found):
        assert len(one.all("script")) == 1
        assert not one.all("img")
        assert not [attrs for _, attrs in one.elements if any(name.startswith("on") for name in attrs)]
        assert one.open == []
    # Each text once, in its place: title, heading, findings, reasons, answers and keys.
    assert found.texts.count(HOSTILE) >= 8
    assert _page.page(made(), '"><img src=x>.json').count("<img") == 0
