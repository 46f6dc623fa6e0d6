# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._activation import plan

PROVED = {
    "live": {"http": {"port": "5000"}},
    "live_error": None,
    "live_differs": [],
    "record": {"differs": [], "obsolete": [], "binary": "/zot-a", "release": "2.1.20", "proved": True},
    "files": {"htpasswd": {"live": "same", "proved": "same"}},
    "drift": [],
    "folders_missing": [],
}


def found(**changes):
    state = copy.deepcopy(PROVED)
    for path, value in changes.items():
        target = state
        *parents, key = path.split("__")
        for parent in parents:
            target = target[parent]
        target[key] = value
    return state


def test_nothing_to_do():
    assert not plan(PROVED, "config.json", "/zot-a").changed
    assert plan(PROVED, "config.json", "/zot-a").activation == "none"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"record": None}, "nothing has been proved on this host yet"),
        ({"record__proved": False}, "what was here before this collection has not been replaced by something proved yet"),
        ({"live": None}, "config.json is missing"),
        ({"live_error": "config.json cannot be read"}, "config.json cannot be read"),
        ({"live_differs": ["http.port"]}, "config.json differs: http.port"),
        ({"record__differs": ["http.port", "log"]}, "config.json was written but never proved: http.port, log"),
        ({"files__htpasswd__live": "differs"}, "htpasswd differs"),
        ({"files__htpasswd__live": "absent"}, "htpasswd is missing"),
        ({"files__htpasswd__proved": "differs"}, "htpasswd was written but never proved"),
        ({"record__obsolete": ["oidc.json"]}, "oidc.json is no longer wanted"),
        ({"record__binary": "/zot-b"}, "the binary changes from /zot-b to /zot-a"),
        ({"folders_missing": ["/srv/zot"]}, "/srv/zot is missing"),
    ],
)
def test_each_difference_restarts_and_is_named(changes, reason):
    planned = plan(found(**changes), "config.json", "/zot-a")
    assert planned.activation == "restart"
    assert planned.reasons == (reason,)


def test_a_mode_is_mended_without_a_restart():
    planned = plan(found(drift=["/etc/zot/htpasswd: mode or owner differs"]), "config.json", "/zot-a")
    assert planned.changed
    assert planned.activation == "none"


def test_without_proof_only_the_disk_counts():
    assert not plan(found(record=None), "config.json", "/zot-b", with_proof=False).changed
    assert plan(found(record=None, live_differs=["http.port"]), "config.json", "/zot-b", with_proof=False).activation == "restart"


def test_every_difference_is_named_at_once():
    state = found(folders_missing=["/a", "/b"], live_differs=["http.port", "log"], record__obsolete=["x", "y"], record__binary="/zot-b")
    assert plan(state, "config.json", "/zot-a").reasons == (
        "/a is missing",
        "/b is missing",
        "config.json differs: http.port, log",
        "x is no longer wanted",
        "y is no longer wanted",
        "the binary changes from /zot-b to /zot-a",
    )


def test_a_mode_beside_another_difference_restarts():
    planned = plan(found(drift=["/etc/zot/htpasswd: mode or owner differs"], live=None), "config.json", "/zot-a")
    assert planned.activation == "restart"
    assert planned.reasons == ("config.json is missing", "/etc/zot/htpasswd: mode or owner differs")


def test_what_was_found_by_hand_is_one_reason_and_hides_what_it_was():
    by_hand = found(record__proved=False, record__binary=None, record__obsolete=["x"])
    assert plan(by_hand, "config.json", "/zot-a").reasons == (
        "what was here before this collection has not been replaced by something proved yet",
    )


def test_a_file_that_differs_is_not_said_to_be_unproved_too():
    state = found(files__htpasswd={"live": "differs", "proved": "differs"}, live_differs=["log"], record__differs=["log"])
    assert plan(state, "config.json", "/zot-a").reasons == ("config.json differs: log", "htpasswd differs")


def test_without_proof_what_was_proved_does_not_count():
    state = found(record__differs=["log"], files__htpasswd__proved="differs", record__obsolete=["x"])
    assert not plan(state, "config.json", "/zot-b", with_proof=False).changed


def test_the_plan_reads_well_in_a_diff():
    assert str(plan(PROVED, "config.json", "/zot-a")) == "plan: none\n"
    assert str(plan(found(live=None), "config.json", "/zot-a")) == "plan: restart\n  - config.json is missing\n"
