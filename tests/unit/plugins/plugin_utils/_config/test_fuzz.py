# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is given, the judge answers with findings: it never raises, and a document of normal size is judged at once.

FUZZ_EXAMPLES sets how many documents and texts are made (2,000 when left out; CI makes 20,000).
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
import typing as t

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import RULES
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Facts, Judgement, judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import Node, tree
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import MAX_BYTES
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._yaml import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
MOST_SECONDS = 0.05
NORMAL_BYTES = 20_000
RELEASES = [Release(text) for text in ("2.1.0", "2.1.2", "2.1.10", "2.1.14", "2.1.17", "2.1.20", "2.1.21", "9.9.9")]
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False, derandomize=True
)

DOCUMENTS: list[dict[str, t.Any]] = [
    load(example.text.encode()) for rule in RULES for example in (rule.fires, rule.passes) if example.name == "config.yaml"
]
WORDS = sorted(
    {child.name for child in tree().children.values()} | {"*", "[]", "::", "a::b", "**", "oidc", "/a", "İ", "\ud800", "\x00", ""}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["1h", "-1h", "1d", "[", "(", "a{2,1}", "(a{999}){999}", "{a,b", "req.", "req.tag == 'x'", "01:00-01:00", "0x", "1e999"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3), max_leaves=6
)


def places(node: Node, path: tuple[str, ...] = ()) -> t.Iterator[tuple[str, ...]]:
    for name, child in node.children.items():
        yield (*path, name)
        yield from places(child, (*path, name))


PLACES = sorted(places(tree()))


def put(document: dict[str, t.Any], place: tuple[str, ...], value: t.Any) -> None:
    """Set what lies at a place of the key table, making what is missing on the way."""
    holder: t.Any = document
    for part, below in zip(place[:-1], place[1:]):
        new: t.Any = [] if below == "[]" else {}
        if part == "[]":
            if not isinstance(holder, list):
                return
            holder[:] = holder or [new]
            holder = holder[0]
        elif isinstance(holder, dict):
            holder = holder.setdefault("a" if part == "*" else part, new)
    if isinstance(holder, dict):
        holder["a" if place[-1] == "*" else place[-1]] = value
    elif isinstance(holder, list):
        holder.append(value)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, t.Any]:
    """A rule's example with a few places changed, or merged with another."""
    made = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(0, 3))):
        put(made, draw(st.sampled_from(PLACES)), draw(VALUES))
    if draw(st.booleans()):
        made = {**copy.deepcopy(draw(st.sampled_from(DOCUMENTS))), **made}
    return made


def require_answer(given_: bytes | dict[str, t.Any], release: Release, name: str = "config.json") -> Judgement:
    # The best of three: this is about the judge, and not about what else the machine does.
    seconds, judged = [], None
    for _ in range(3):
        start = time.process_time()
        judged = judge(given_, release, Facts(port="taken", oidc_users=["a"], oidc_images=["a/b"]), name=name)
        seconds.append(time.process_time() - start)
        if seconds[-1] < MOST_SECONDS:
            break
    assert judged is not None
    size = len(given_) if isinstance(given_, bytes) else len(str(given_))
    assert size > NORMAL_BYTES or min(seconds) < MOST_SECONDS, (min(seconds), given_)
    json.dumps([finding.as_dict() for finding in judged.findings])
    return judged


@FUZZ
@given(documents(), st.sampled_from(RELEASES))
def test_a_changed_document(document: dict[str, t.Any], release: Release) -> None:
    require_answer(document, release)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1e300])
def test_a_number_without_end_may_stand_anywhere(number: float) -> None:
    """YAML and TOML have them."""
    for place in PLACES:
        made: dict[str, t.Any] = {}
        put(made, place, number)
        require_answer(made, Release("2.1.20"))


@FUZZ
@given(documents(), st.sampled_from(RELEASES), st.sampled_from(["json", "yaml", "toml", ""]), st.randoms(use_true_random=False))
def test_a_changed_text(document: dict[str, t.Any], release: Release, ending: str, chance: random.Random) -> None:
    text = bytearray(json.dumps(document).encode("utf-8", "surrogatepass"))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        text[at : at + chance.randrange(3)] = chance.choice(
            [b"", b"{", b"}", b"[", b'"', b",", b"\xff", b"\n", b"- ", b": ", b"&a", b"*a", b"9" * 400]
        )
    require_answer(bytes(text), release, f"config.{ending}" if ending else "config")


@FUZZ
@given(st.binary(max_size=300), st.sampled_from(["json", "yaml", "toml", "ini", ""]))
def test_bytes(data: bytes, ending: str) -> None:
    require_answer(data, RELEASES[-2], f"config.{ending}" if ending else "config")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xef\xbb\xbf{}", "config.json"),
        (b"", "config.json"),
        (b"null x", "config.json"),
        (b'{"http": {}} {}', "config.json"),
        (b'{"http": 1e999}', "config.json"),
        (b'{"http": NaN}', "config.json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "config.json"),
        (b"[" * 100_000, "config.json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "config.json"),
        (b'{"http": {"port": [' + b"1," * 120_000 + b"1]}}", "config.json"),
        (b"[" * 100_000, "config.yaml"),
        (b"a: " + b"{a: " * 20_000, "config.yaml"),
        (b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 122)), "config.yaml"),
        (b"a: &a [*a]", "config.yaml"),
        (b"a: 1\na: 2\n", "config.yaml"),
        (b"\x00\x01", "config.yaml"),
        (b"a = ", "config.toml"),
        (b"\xff", "config.toml"),
        (b"a = 1", "config.hcl"),
        (b"{" * (MAX_BYTES + 1), "config.json"),
        (b" " * (10 << 20), "config.json"),
        (b'"' + b"x" * (10 << 20), "config"),
    ],
    ids=lambda value: value[:12].decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value,
)
def test_what_is_no_configuration_is_a_finding(data: bytes, name: str) -> None:
    judged = require_answer(data, RELEASES[-2], name)
    assert [finding.code for finding in judged.findings] == ["ZOT101"]
    assert judged.refused
