# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.filter.mirror_route import FilterModule

CANARY = "canary-3c9f"
UPSTREAMS = [{"name": "docker.io"}, "ghcr.io"]
mirror_route = FilterModule().filters()["mirror_route"]


def test_an_image_has_a_route_and_a_list_has_routes():
    told = mirror_route("nginx", UPSTREAMS, "https://registry.test")
    assert told == {
        "image": "docker.io/library/nginx:latest",
        "cached": True,
        "registry": "registry.test/docker.io/library/nginx",
        "upstream": "registry-1.docker.io/library/nginx",
        "reference": "latest",
        "why": "",
        "route": "docker.io/library/nginx -> registry.test/docker.io/library/nginx -> registry-1.docker.io/library/nginx",
    }
    assert json.loads(json.dumps(told)) == told
    both = mirror_route(["nginx", "quay.io/a/b"], UPSTREAMS, {"url": "https://registry.test"})
    assert both[0] == told
    assert [entry["cached"] for entry in both] == [True, False]
    assert mirror_route([], UPSTREAMS, "https://registry.test") == []


@pytest.mark.parametrize(
    ("images", "upstreams", "registry", "message"),
    [
        (f"{CANARY}/UPPER/x", UPSTREAMS, "https://r.test", "image: no name of an image"),
        (["nginx", f"{CANARY} x"], UPSTREAMS, "https://r.test", "images[1]: no name of an image"),
        ([{CANARY: 1}], UPSTREAMS, "https://r.test", "images[0]: no text"),
        ("nginx", CANARY, "https://r.test", "upstreams: a list is wanted"),
        ("nginx", UPSTREAMS, f"ftp://{CANARY}", "registry: url has to be"),
        ("nginx", UPSTREAMS, {"url": "https://r.test", "password": CANARY}, "username and password are two texts"),
        ("nginx", [{1: CANARY}], "https://r.test", "the key 1 is a int, not text"),
    ],
)
def test_what_cannot_be_told_is_one_error_that_quotes_nothing(images, upstreams, registry, message):
    with pytest.raises(AnsibleFilterError) as raised:
        mirror_route(images, upstreams, registry)
    assert message in str(raised.value)
    assert CANARY not in str(raised.value)
    assert raised.value.__cause__ is None
