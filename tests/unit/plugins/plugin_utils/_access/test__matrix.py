# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix, and how two configurations differ in it."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._access import _matrix
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import flatten, normal

INDRI = yaml.safe_load((Path(__file__).parents[5] / "inventory/host_vars/indri.yml").read_text())


def loaded(grants, upstreams=(), **control):
    registries = [{"content": [{"prefix": "**", "destination": f"/{name}"}]} for name in upstreams]
    tree = {"accessControl": {"repositories": compile_grants(parse_grants(grants)), **control}}
    return normal(flatten({"http": tree, "extensions": {"sync": {"registries": registries}}}).tree, splits_commas=False)


def indri(**changed):
    grants = [{**grant, **changed} if "artifact-workloads" in grant.get("groups", []) else grant for grant in INDRI["zot_grants"]]
    return loaded(grants, [upstream["name"] for upstream in INDRI["zot_upstreams"]])


def told(before, after):
    return [(c.who.label, c.where.label, c.gains, c.loses, c.widens) for c in _matrix.changes(before, after)]


def test_a_grant_that_is_narrowed_on_the_example_host() -> None:
    lost = [("artifact-workloads", where, (), ("create",), False) for where in ("docker.io/**", "ghcr.io/**", "quay.io/**", "**")]
    assert told(indri(), indri(repositories=["blumeops/**"])) == lost


def test_what_is_the_same_is_not_told() -> None:
    assert told(indri(), indri()) == []
    assert _matrix.table([]) == ""


def test_a_new_registry_gives_what_it_says() -> None:
    gained = told(None, loaded([{"anonymous": True, "actions": ["read"]}, {"users": ["jane"], "actions": ["create"]}]))
    assert gained == [("anonymous", "**", ("read",), (), True), ("jane", "**", ("create",), (), True)]


def test_only_anonymous_reading_and_writing_widens() -> None:
    before = loaded([])
    assert told(before, loaded([{"authenticated": True, "actions": ["read"]}])) == [
        ("somebody logged in", "**", ("read",), (), False),
    ]
    assert [row[-1] for row in told(before, loaded([{"authenticated": True, "actions": ["delete"]}]))] == [True]


def test_groups_of_the_configuration_are_those_of_each_side() -> None:
    grants = [{"groups": ["ops"], "actions": ["delete"]}]
    before = loaded(grants, groups={"ops": {"users": ["jane"]}})
    after = loaded(grants, groups={"ops": {"users": ["bob"]}})
    assert told(before, after) == [("bob", "**", ("delete",), (), True), ("jane", "**", (), ("delete",), False)]


def test_the_table_is_for_people() -> None:
    found = _matrix.changes(indri(), indri(actions=["read", "update"]))
    assert _matrix.table(found).splitlines() == [
        "artifact-workloads  docker.io/**  gains update; loses create !",
        "artifact-workloads  ghcr.io/**    gains update; loses create !",
        "artifact-workloads  quay.io/**    gains update; loses create !",
        "artifact-workloads  **            gains update; loses create !",
    ]
    assert found[0].as_dict() == {
        "kind": "group",
        "who": "artifact-workloads",
        "where": "docker.io/**",
        "witness": "docker.io",
        "gains": ["update"],
        "loses": ["create"],
        "widens": True,
    }


def test_places_have_labels_that_tell_them_apart() -> None:
    given = loaded([{"anonymous": True, "actions": ["read"], "repositories": ["a/**", "**/x"]}])
    labels = [where.label for where in _matrix.places(given, more=["blumeops/devpi"])]
    assert len(set(labels)) == len(labels)
    assert labels[-1] == "blumeops/devpi"
    assert {"a/**", "**"} <= set(labels)


def test_braces_that_only_make_a_pattern_longer_are_not_shown() -> None:
    assert _matrix._bare("{{a}}") == "a"
    assert _matrix._bare("{a,b}") == "{a,b}"
    assert _matrix._bare("{{a,b}/**}") == "{a,b}/**"
    assert _matrix._bare("{a}/{b}") == "{a}/{b}"


def test_cached_names_are_where_upstreams_land() -> None:
    content = [
        {"prefix": "**", "destination": "/Docker.io"},
        {"prefix": "/library/**", "destination": "/hub", "stripprefix": True},
        {"prefix": "tools/x"},
        {"prefix": "a["},
    ]
    assert _matrix.cached({"extensions": {"sync": {"registries": [{"content": content}, {}]}}}) == ["docker.io/**", "hub/**", "tools/x"]


def test_without_access_control_everybody_may_do_everything() -> None:
    entries = _matrix.matrix({}, _matrix.people({}), _matrix.places({}))
    assert {entry.allowed for entry in entries} == {("read", "create", "update", "delete")}
