# SPDX-License-Identifier: GPL-3.0-or-later
"""One key of a manifest changes, and nothing else of the file does."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_file import ConfigMap, blueprint_in, with_blueprint

PLACE = ConfigMap("zot.yaml", "authentik-blueprints", "authentik")
OURS = "# ours\nversion: 1\n\nentries:\n  - a: !Env X\n"
CANARY = "canary-8c3e"
OTHER = """  common.yaml: |
    version: 1
    # a comment of theirs

    entries: []
"""
HEAD = """---
# what ArgoCD delivers
apiVersion: v1
kind: ConfigMap
metadata:
  name: authentik-blueprints
  namespace: authentik   # here
data:
"""
TAIL = """
  # multi-factor
  mfa.yaml: "version: 1\\n\\
    entries: []\\n"
---
apiVersion: v1
kind: Service
metadata: {name: other}
"""
OLD = "  zot.yaml: |\n    version: 1\n\n    # old\n    entries: []\n"


def data(text: str) -> dict[str, str]:
    return next(one for one in yaml.safe_load_all(text) if one and one["kind"] == "ConfigMap")["data"]


def test_a_file_of_its_own_is_the_blueprint():
    assert with_blueprint(None, OURS, None, "x") == OURS
    assert with_blueprint("old", OURS, None, "x") == OURS
    assert blueprint_in("old", None, "x") == "old"


@pytest.mark.parametrize("before", [None, "", "\n"])
def test_a_manifest_is_made_where_there_is_none(before):
    text = with_blueprint(before, OURS, PLACE, "x")
    assert text.startswith("---\n")
    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authentik-blueprints", "namespace": "authentik"},
        "data": {"zot.yaml": OURS},
    }
    assert blueprint_in(text, PLACE, "x") == OURS
    assert with_blueprint(text, OURS, PLACE, "x") == text


def test_without_a_namespace_none_is_written():
    assert "namespace" not in with_blueprint(None, OURS, ConfigMap("zot.yaml", "m"), "x")


NEW = "".join(f"    {line}\n" if line else "\n" for line in OURS.splitlines())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD + OTHER + OLD + TAIL, HEAD + OTHER + "  zot.yaml: |\n" + NEW + TAIL),
        (HEAD + OLD + OTHER + TAIL, HEAD + "  zot.yaml: |\n" + NEW + OTHER + TAIL),
        (HEAD + OTHER + OLD, HEAD + OTHER + "  zot.yaml: |\n" + NEW),
        (HEAD + OTHER + OLD.rstrip("\n"), HEAD + OTHER + "  zot.yaml: |\n" + NEW),
        (HEAD + OTHER, HEAD + OTHER + "  zot.yaml: |\n" + NEW),
        (HEAD + OTHER.rstrip("\n"), HEAD + "  zot.yaml: |\n" + NEW + OTHER.rstrip("\n")),
        (HEAD + OTHER + "  zot.yaml: old\n" + TAIL, HEAD + OTHER + "  zot.yaml: |\n" + NEW + TAIL),
        (HEAD + OTHER + '  "zot.yaml": "a\n    b"\n' + TAIL, HEAD + OTHER + "  zot.yaml: |\n" + NEW + TAIL),
        ("---\n" + HEAD + OTHER + OLD, "---\n" + HEAD + OTHER + "  zot.yaml: |\n" + NEW),
    ],
)
def test_only_the_lines_of_the_key_change(before, after):
    text = with_blueprint(before, OURS, PLACE, "x")
    assert text == after
    assert data(text) == {**data(before), "zot.yaml": OURS}
    assert with_blueprint(text, OURS, PLACE, "x") == text


def test_a_new_key_comes_after_the_last():
    text = with_blueprint(HEAD + OTHER + TAIL, OURS, PLACE, "x")
    assert list(data(text)) == ["common.yaml", "mfa.yaml", "zot.yaml"]
    assert text.startswith(HEAD + OTHER)
    assert text.endswith("---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\n")


def test_another_config_map_in_the_file_is_left_alone():
    other = (HEAD + OLD).replace("name: authentik-blueprints", "name: another")
    text = with_blueprint(other, OURS, PLACE, "x")
    assert text.startswith(other)
    assert blueprint_in(text, PLACE, "x") == OURS
    elsewhere = (HEAD + OLD).replace("namespace: authentik ", "namespace: staging ")
    assert with_blueprint(elsewhere, OURS, PLACE, "x").startswith(elsewhere)


@pytest.mark.parametrize("end", ["  mfa.yaml: |+\n    x\n\n\n", "  mfa.yaml: x", "  mfa.yaml: x\n"])
def test_a_config_map_that_comes_after_others_leaves_their_ends(end):
    other = (HEAD + end).replace("name: authentik-blueprints", "name: another")
    text = with_blueprint(other, OURS, PLACE, "x")
    assert text.startswith(other)
    assert next(iter(yaml.safe_load_all(text))) == yaml.safe_load(other)


def test_of_two_with_the_same_data_one_is_meant():
    two = HEAD + OLD + (HEAD + OLD).replace("name: authentik-blueprints", "name: another")
    text = with_blueprint(two, OURS, PLACE, "x")
    assert [one["data"]["zot.yaml"] == OURS for one in yaml.safe_load_all(text)] == [True, False]
    text = with_blueprint(two, OURS, ConfigMap("zot.yaml", "another"), "x")
    assert [one["data"]["zot.yaml"] == OURS for one in yaml.safe_load_all(text)] == [False, True]


def test_where_the_key_is_not_there_is_no_blueprint():
    assert blueprint_in(HEAD + OTHER, PLACE, "x") is None
    assert blueprint_in("", PLACE, "x") is None
    assert blueprint_in(HEAD + "  zot.yaml: 1\n", PLACE, "x") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{CANARY}: [", "is no YAML"),
        (f"# {CANARY}\n- a list\n", "holds no manifest"),
        (f"{CANARY}: 1\n", "is no manifest"),
        (f"apiVersion: v1\nkind: ConfigMapList\nitems: [{CANARY}]\n", "has a ConfigMapList, in which the ConfigMap may be"),
        (HEAD + "  []\n", "is no mapping"),
        (HEAD.replace("\ndata:\n", f"\ndata: {{a: {CANARY}}}\n"), "has no data to which a key can be added"),
        (HEAD.replace("\ndata:\n", "\ndata: {}\n"), "has no data to which a key can be added"),
        (HEAD.replace("\ndata:\n", "\n"), "has no data to which a key can be added"),
        (HEAD + f"  zot.yaml: 'a\n\n{CANARY}\n  b'\n" + OTHER, "without touching others"),
        ((HEAD + "  a.yaml: |\n    x").replace("name: authentik-blueprints", "name: another"), "without touching others"),
        (HEAD + f"  ? zot.yaml\n  : {CANARY}\n" + OTHER, "without touching others"),
        (HEAD + "  a.yaml: &a |\n    x\n  zot.yaml: &b |\n    y\n  c.yaml: *b\n", "without touching others"),
    ],
)
def test_what_cannot_be_merged_is_refused_without_its_text(text, message):
    with pytest.raises(ZotError, match=message) as caught:
        with_blueprint(text, OURS, PLACE, "the/file.yaml")
    assert caught.value.message.startswith("the/file.yaml")
    assert CANARY not in caught.value.message
