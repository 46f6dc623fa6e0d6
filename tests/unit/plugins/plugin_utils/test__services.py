# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import (
    AMBER,
    CHECKS,
    GREEN,
    GREY,
    RED,
    Limits,
    Line,
    is_down,
    lines,
    unreachable,
)

HOST = {"user": "erichblume", "home": "/Users/erichblume", "service_manager": "launchd"}
FINE = Line("access", GREEN, "as declared"), Line("drift", GREEN, "as declared")
URL = "https://registry.test"
DAY = 86400


def upstream(name="ghcr.io", reason="", **more):
    return {"name": name, "asked": [{"url": f"https://{name}", "reason": reason}], "untrusted": "", "allowance": None, **more}


def hub(**more):
    return upstream("docker.io", allowance={"who": "", "reason": "", "limit": 100, "remaining": 76, "window": 21600, **more})


def cached(**more):
    return {"name": "ghcr.io", "image": "ghcr.io/a@sha256:0", "named": False, "reason": "", "status": 200, **more}


def issuer(**more):
    return {"name": "https://id.test/", "state": "ok", "issuer": "https://id.test/", "tls": "", "keys": None, **more}


SEEN = {
    "config": {"path": "/c/config.json", "error": "", "found": {"live": {"http": {}}, "live_error": None}},
    "ready": {"url": "http://127.0.0.1:5000", "service": "zot", "pid": 7, "ready": True, "reason": "", "said": ""},
    "release": {"release": "2.1.20", "other": ""},
    "external": {"url": URL, "reason": ""},
    "external_url": URL,
    "certificate": {"untrusted": "", "reason": "", "left": 60 * DAY, "life": 90 * DAY},
    "upstreams": [hub(), upstream()],
    "cache": [cached()],
    "disk": {"path": "/data", "elsewhere": "", "reason": "", "total": 1000, "free": 500},
    "issuers": [issuer()],
}
WELL = dict.fromkeys(CHECKS, GREEN)


def told(limits=None, declared="2.1.20", access=FINE[0], drift=FINE[1], **seen):
    found = lines(HOST, {**copy.deepcopy(SEEN), **seen}, declared, access, drift, limits or Limits())
    assert [line.check for line in found] == list(CHECKS)
    return {line.check: line for line in found}


def differing(found):
    return {check: line.level for check, line in found.items() if line.level != WELL[check]}


def part(key, **more):
    return {key: {**copy.deepcopy(SEEN[key]), **more}}


def test_where_all_is_well_all_is_green():
    assert differing(told()) == {}


def test_a_host_that_cannot_be_asked_is_one_red_line():
    found = unreachable("no route")
    assert [line.check for line in found] == list(CHECKS)
    assert [line.level for line in found] == [RED, *[GREY] * (len(CHECKS) - 1)]
    assert found[0].text == "no route"
    assert found[1].text == "not asked, since the host cannot be asked"


@pytest.mark.parametrize(
    ("seen", "expected", "words"),
    [
        (part("ready", pid=None), {"ready": RED}, "something serves http://127.0.0.1:5000, but zot runs no process"),
        (part("release", release="2.1.19"), {"release": RED}, "it is zot 2.1.19, not 2.1.20"),
        (part("release", release=None, other="it is zot 2.1.8"), {"release": RED}, "it is zot 2.1.8"),
        (part("external", reason="it answers 502"), {"external": RED}, "https://registry.test: it answers 502"),
        ({"external": {"late": 10}}, {"external": RED}, "no answer within 10 s"),
        (part("certificate", untrusted="certificate has expired"), {"certificate": RED}, "certificate has expired"),
        (
            part("certificate", reason="refused"),
            {"certificate": GREY},
            "since https://registry.test cannot be reached (refused)",
        ),
        ({"certificate": {"error": "ValueError while it was asked"}}, {"certificate": RED}, "ValueError while it was asked"),
        (
            {"upstreams": [hub(), upstream(reason="no route")]},
            {"upstreams": RED},
            "ghcr.io does not answer (https://ghcr.io: no",
        ),
        ({"upstreams": [{"name": "ghcr.io", "late": 10}]}, {"upstreams": RED}, "ghcr.io: no answer within 10 s"),
        (
            {"upstreams": [upstream(untrusted="unknown authority")]},
            {"upstreams": AMBER},
            "does not trust its certificate (unknown",
        ),
        ({"upstreams": [hub(remaining=0)]}, {"upstreams": RED}, "docker.io answers, 0 of 100 pulls are left in 6 h"),
        ({"upstreams": [hub(remaining=19)]}, {"upstreams": AMBER}, "19 of 100 pulls are left"),
        ({"upstreams": [hub(reason="it gives no token (500)")]}, {"upstreams": AMBER}, "docker.io answers, but it gives no token (500)"),
        ({"upstreams": [hub(reason="it refuses the login of x", refused=True)]}, {"upstreams": RED}, "it refuses the login of x"),
        ({"cache": [cached(reason="zot answers 500", status=500)]}, {"cache": RED}, "ghcr.io/a@sha256:0 is not served: zot answers 500"),
        ({"cache": [cached(named=True, reason="zot answers 404", status=404)]}, {"cache": RED}, "is not served: zot answers 404"),
        ({"cache": [cached(image="", reason="nothing is cached yet")]}, {"cache": GREY}, "ghcr.io: nothing is cached yet"),
        ({"cache": [{"name": "ghcr.io", "late": 10}]}, {"cache": RED}, "ghcr.io: no answer within 10 s"),
        (part("disk", free=49), {"disk": RED}, "5 % of 0 GB are free in /data"),
        (part("disk", free=149), {"disk": AMBER}, "15 % of 0 GB"),
        (part("disk", reason="No such file or directory"), {"disk": RED}, "/data: No such file or directory"),
        (part("disk", elsewhere="s3"), {"disk": GREY}, "the storage is s3"),
        (
            {"issuers": [issuer(state="unreachable", reason="refused")]},
            {"oidc": RED},
            "refused; zot will not start again",
        ),
        (
            {"issuers": [issuer(state="mismatch", reason="it names another issuer", issuer="https://id.test")]},
            {"oidc": RED},
            "it names another issuer: https://id.test; zot",
        ),
        ({"issuers": [issuer(keys="it has no keys")]}, {"oidc": RED}, "https://id.test/: it has no keys"),
        ({"issuers": [issuer(tls="unknown authority")]}, {"oidc": AMBER}, "does not trust its certificate"),
        ({"issuers": [{"name": "https://id.test/", "error": "no"}]}, {"oidc": RED}, "https://id.test/: no"),
    ],
)
def test_what_is_wrong_colours_its_own_line(seen, expected, words):
    found = told(**seen)
    assert differing(found) == expected
    assert words in found[next(iter(expected))].text


@pytest.mark.parametrize(
    ("seen", "grey", "words"),
    [
        ({"external_url": "", "external": None, "certificate": None}, {"external", "certificate"}, "no external URL is declared"),
        ({"upstreams": [], "cache": []}, {"upstreams", "cache"}, "there are no"),
        ({"issuers": []}, {"oidc"}, "nobody logs in through a provider"),
    ],
)
def test_what_does_not_apply_is_grey_and_says_why(seen, grey, words):
    found = told(**seen)
    assert differing(found) == dict.fromkeys(grey, GREY)
    assert words in " ".join(found[check].text for check in grey)


def test_an_external_url_without_tls_has_no_certificate():
    found = told(external_url="http://registry.test")
    assert differing(found) == {"certificate": GREY}
    assert found["certificate"].text == "the external URL has no TLS"


def test_what_stands_behind_a_zot_that_is_not_ready_was_not_asked():
    seen = {**part("ready", ready=False, pid=None, reason="refused", said="error disk full"), "external": None, "cache": []}
    found = told(**seen, access=Line("access", AMBER, "it was not asked"))
    assert differing(found) == {"ready": RED, **dict.fromkeys(("release", "access", "external", "cache"), GREY)}
    assert found["ready"].text == "zot runs no process; refused; it logged last: error disk full"
    assert {found[check].text for check in ("release", "access", "external", "cache")} == {"not asked, since zot is not ready"}
    assert told(**part("ready", ready=False, reason="refused"))["ready"].text == "process 7 of zot runs, but refused"


def test_a_line_that_does_not_apply_says_so_also_where_zot_is_not_ready():
    seen = {**part("ready", ready=False, reason="refused"), "external": None, "external_url": "", "upstreams": [], "cache": []}
    found = told(**seen)
    assert (found["external"].text, found["cache"].text) == ("no external URL is declared", "there are no upstreams")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"live": None, "live_error": None}, "there is no configuration"),
        ({"live": None, "live_error": "no JSON"}, "the configuration cannot be read"),
        (None, "the configuration cannot be read"),
    ],
)
def test_without_a_configuration_nothing_is_known_of_what_stands_in_it(found, why):
    config = {"path": "/c", "error": "" if found else "Permission denied", "found": found}
    grey = {"external", "certificate", "upstreams", "cache", "disk", "oidc"}
    lines_of = told(config=config)
    assert differing(lines_of) == dict.fromkeys(grey, GREY)
    assert {lines_of[check].text for check in grey} == {f"not asked, since {why}"}


def test_a_release_that_zot_does_not_tell_was_asked_of_its_binary():
    assert told(**part("release", release=None))["release"].text == "zot 2.1.20, by its binary"
    found = told(declared=None)
    assert (found["release"].level, found["release"].text) == (GREY, "it is zot 2.1.20, and none is declared")


@pytest.mark.parametrize(
    ("left", "life", "level"),
    [
        (60, 90, GREEN),
        (22, 90, GREEN),
        (100, 3650, GREEN),
        (20.9, 90, AMBER),
        (4.6, 90, AMBER),
        (4.4, 90, RED),
        (3, 6, GREEN),
        (1.4, 6, AMBER),
        (0.2, 6, RED),
    ],
)
def test_a_certificate_is_judged_by_days_and_by_its_share_of_its_life(left, life, level):
    line = told(**part("certificate", left=left * DAY, life=life * DAY))["certificate"]
    assert (line.level, line.facts) == (level, {"days_left": left})


def test_the_limits_can_be_others():
    seen = {**part("disk", free=300), "upstreams": [hub(remaining=50)], **part("certificate", left=22 * DAY)}
    assert differing(told(**seen)) == {}
    assert differing(told(Limits(51, 23, 31, 5), **seen)) == {"disk": AMBER, "upstreams": AMBER, "certificate": AMBER}
    assert differing(told(Limits(disk_red=31), **seen)) == {"disk": RED}


def test_docker_hub_may_have_no_limit_and_its_numbers_are_told():
    assert told()["upstreams"].facts == {"pulls_limit": 100, "pulls_remaining": 76}
    found = told(upstreams=[hub(limit=None, remaining=None, window=None)])["upstreams"]
    assert (found.level, found.text) == (GREEN, "docker.io answers, and sets no limit")
    assert "76 of 100 pulls of me are left" in told(upstreams=[hub(who="me")])["upstreams"].text
    assert told(upstreams=[upstream()])["upstreams"].facts == {}


def test_an_upstream_with_one_address_that_answers_is_not_down():
    half = upstream(asked=[{"url": "a", "reason": ""}, {"url": "b", "reason": "no"}])
    assert not is_down(half)
    found = told(upstreams=[half])["upstreams"]
    assert (found.level, found.text) == (AMBER, "ghcr.io does not answer (b: no)")


def test_an_image_that_was_never_fetched_cannot_be_served_while_its_upstream_is_down():
    seen = {"upstreams": [upstream(reason="no route")], "cache": [cached(named=True, status=404, reason="zot answers 404")]}
    found = told(**seen)
    assert differing(found) == {"upstreams": RED, "cache": GREY}
    assert "is not cached, and ghcr.io does not answer" in found["cache"].text
    seen["cache"][0]["status"] = 500
    assert differing(told(**seen)) == {"upstreams": RED, "cache": RED}
    seen["cache"][0] = cached(name="quay.io", named=True, status=404, reason="zot answers 404")
    assert differing(told(**seen)) == {"upstreams": RED, "cache": RED}, "of another upstream"


def test_the_worst_of_several_counts_and_stands_first():
    both = [cached(), cached(image="", name="quay.io", reason="nothing is cached yet"), cached(image="x", reason="zot answers 500")]
    line = told(cache=both)["cache"]
    assert line.level == RED
    assert line.text == "x is not served: zot answers 500; ghcr.io/a@sha256:0 is served; quay.io: nothing is cached yet"
