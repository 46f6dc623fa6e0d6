# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_yaml import Tag, dump, load
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._yaml import YamlError

CANARY = "canary-1a2b"


def test_tags_are_kept_as_they_are():
    assert load("a: !Find [m.n, [slug, x]]\nb: !KeyOf y\nc: !Env [N, null]\nd: !Enumerate [!Context q, SEQ, {a: !Value 0}]") == {
        "a": Tag("Find", ["m.n", ["slug", "x"]]),
        "b": Tag("KeyOf", "y"),
        "c": Tag("Env", ["N", None]),
        "d": Tag("Enumerate", [Tag("Context", "q"), "SEQ", {"a": Tag("Value", "0")}]),
    }


@pytest.mark.parametrize(
    "value",
    [
        {"a": Tag("KeyOf", "zot-provider")},
        {"a": Tag("KeyOf", "with space: and more")},
        {"a": Tag("If", [Tag("Find", ["m.n", ["name", "A: b"]]), "x", "y # z"])},
        {"a": "two\nlines\n", "b": ["x", "y"], "c": [{"d": 1}], "e": None, "f": True, "g": "true", "h": "1"},
        {"a": ["a name that is long " * 3, "and another"]},
    ],
)
def test_what_is_written_is_read_again(value):
    assert load(dump(value)) == value


def test_it_is_written_as_people_write_it():
    text = dump(
        [{"a": Tag("KeyOf", "zot-provider"), "b": Tag("Find", ["m.n", ["slug", "x"]]), "c": "x\ny\n", "d": [{"e": 1}], "f": ["g", "h"]}]
    )
    assert text == "- a: !KeyOf zot-provider\n  b: !Find [m.n, [slug, x]]\n  c: |\n    x\n    y\n  d:\n    - e: 1\n  f: [g, h]\n"


def test_the_same_object_twice_is_no_anchor():
    tag = Tag("Find", ["m.n", ["a", "b"]])
    assert "&" not in dump({"a": tag, "b": Tag("If", [tag, tag, "x"])})


@pytest.mark.parametrize(
    ("tag", "fine"),
    [
        (Tag("KeyOf", "x"), True),
        (Tag("KeyOf", ["x"]), False),
        (Tag("Env", "X"), True),
        (Tag("Env", ["X"]), False),
        (Tag("Env", ["X", 1]), True),
        (Tag("Env", ["X", 1, 2]), False),
        (Tag("Find", ["m", ["a", "b"]]), True),
        (Tag("Find", ["m"]), False),
        (Tag("Find", "m"), False),
        (Tag("If", ["x"]), True),
        (Tag("If", ["x", 1]), False),
        (Tag("If", ["x", 1, 2]), True),
        (Tag("Nothing", "x"), False),
    ],
)
def test_what_stops_authentiks_reading_is_known(tag, fine):
    assert (not tag.problem) is fine


@pytest.mark.parametrize(
    "text",
    [
        f"{CANARY}: [",
        f"a: '{CANARY}\nb: c",
        f"a: *{CANARY}",
        f"{CANARY}\n\tx: 1\n",
        "a: \x00",
        "? [a]\n: 1",
        "[" * 2000,
        f"{CANARY}: &x [1, *x]",
        f"{CANARY}: &x {{a: [*x]}}",
    ],
)
def test_what_is_no_yaml_is_told_without_its_text(text):
    with pytest.raises(YamlError) as caught:
        load(text)
    assert CANARY not in str(caught.value)
    assert str(caught.value)
