# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, and what is given for them."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import (
    image_of,
    registry_of,
    route,
    upstreams_of,
)

CANARY = "canary-3c9f"
URL = "https://registry.test:5000"
AT = "registry.test:5000"
NAMES = ["docker.io", "ghcr.io"]
LOGIN = {"url": URL, "username": "node", "password": f'{CANARY}"\\: #ö'}
DIGEST = "sha256:" + "0a" * 32


def told(image, upstreams=NAMES, registry=URL):
    reached = registry_of(registry)
    return route(image_of(image), upstreams_of(upstreams, reached), reached)


def refused(message, call, *args, **more):
    with pytest.raises(ZotError) as raised:
        call(*args, **more)
    assert message in raised.value.message
    assert CANARY not in raised.value.message


# --- images and routes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("grafana/loki:3", "docker.io/grafana/loki:3"),
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        (f"ghcr.io/a/b:1@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        ("localhost/a", "localhost/a:latest"),
        ("host:5000/a:v1", "host:5000/a:v1"),
        ("Host/a", "Host/a:latest"),
        ("[::1]:5000/a__b", "[::1]:5000/a__b:latest"),
    ],
)
def test_names_of_images_are_read_as_clients_read_them(text, name):
    assert image_of(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "Nginx", "a/B", "nginx:", "nginx:-1", "nginx@sha256:12", "nginx@", "a//b", "ghcr.io/", "ghcr.io/a/../b", "a b", "nginx\n"),
        *("nginx:" + "a" * 129, "a" * 250, f'x"{CANARY}', "https://ghcr.io/a", "-a.io/x", None, 7),
    ],
)
def test_what_is_no_name_of_an_image_is_refused(text):
    refused("images[3]: no ", image_of, text, "images[3]")


@pytest.mark.parametrize(
    ("image", "asked", "upstream"),
    [
        ("nginx", f"{AT}/docker.io/library/nginx", "registry-1.docker.io/library/nginx"),
        ("docker.io/nginx", f"{AT}/docker.io/library/nginx", "registry-1.docker.io/library/nginx"),
        ("docker.io/library/nginx:1", f"{AT}/docker.io/library/nginx", "registry-1.docker.io/library/nginx"),
        (f"ghcr.io/a/b@{DIGEST}", f"{AT}/ghcr.io/a/b", "ghcr.io/a/b"),
        (f"{AT}/docker.io/library/nginx", f"{AT}/docker.io/library/nginx", "registry-1.docker.io/library/nginx"),
        (f"{AT}/ghcr.io/a", f"{AT}/ghcr.io/a", "ghcr.io/a"),
    ],
)
def test_an_image_of_an_upstream_is_cached_under_its_name(image, asked, upstream):
    found = told(image)
    assert (found["cached"], found["registry"], found["upstream"], found["why"]) == (True, asked, upstream, "")


@pytest.mark.parametrize(
    ("image", "asked", "upstream", "why"),
    [
        ("quay.io/a/b", "", "quay.io/a/b", "quay.io is none of the registry's upstreams"),
        ("registry-1.docker.io/library/nginx", "", "registry-1.docker.io/library/nginx", "is none of the registry's upstreams"),
        (f"{AT}/docker.io/nginx", f"{AT}/docker.io/nginx", "registry-1.docker.io/nginx", "Docker Hub has it as library/nginx"),
        (f"{AT}/docker.iox/nginx", f"{AT}/docker.iox/nginx", "", "it is kept in the registry itself"),
        (f"{AT}/team/app", f"{AT}/team/app", "", "it is kept in the registry itself"),
    ],
)
def test_an_image_of_no_upstream_is_not_cached_and_why(image, asked, upstream, why):
    found = told(image)
    assert (found["cached"], found["registry"], found["upstream"]) == (False, asked, upstream)
    assert why in found["why"]


def test_docker_hub_is_asked_by_the_client_itself_where_it_is_no_upstream():
    assert told("nginx", ["ghcr.io"])["route"] == "docker.io/library/nginx -> registry-1.docker.io/library/nginx"


def test_the_route_is_one_line_without_a_step_twice():
    assert told("nginx")["route"] == f"docker.io/library/nginx -> {AT}/docker.io/library/nginx -> registry-1.docker.io/library/nginx"
    assert told(f"{AT}/team/app")["route"] == f"{AT}/team/app"
    assert told("quay.io/a")["route"] == "quay.io/a"
    assert told("ghcr.io/a:2")["reference"] == "2"


# --- what is given


@pytest.mark.parametrize(
    ("given", "host", "asked", "server"),
    [
        ("docker.io", "docker.io", "registry-1.docker.io", "https://registry-1.docker.io"),
        ({"name": "docker.io", "url": "https://index.docker.io/"}, "docker.io", "registry-1.docker.io", "https://registry-1.docker.io"),
        ({"name": "docker.io", "url": "http://cache.test"}, "docker.io", "cache.test", "https://registry-1.docker.io"),
        ({"name": "hub", "url": "https://registry-1.docker.io"}, "docker.io", "registry-1.docker.io", "https://registry-1.docker.io"),
        ({"name": "ghcr.io", "username": "x", "retention": "forever"}, "ghcr.io", "ghcr.io", "https://ghcr.io"),
        ({"name": "ghcr.io", "url": "http://other.test"}, "ghcr.io", "other.test", "https://ghcr.io"),
        ({"name": "lab/up", "url": "http://up.test:5000"}, "up.test:5000", "up.test:5000", "http://up.test:5000"),
    ],
)
def test_an_upstream_is_known_by_the_host_of_its_images(given, host, asked, server):
    (found,) = upstreams_of([given])
    assert (found.host, found.asked, found.server) == (host, asked, server)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (CANARY, "a list is wanted"),
        ([7], "upstreams[0]: a name is wanted"),
        ([{"name": "a.io", CANARY: 1}], "upstreams[0]: a name is wanted"),
        (["a.io", {"url": f"https://{CANARY}"}], "upstreams[1]: name has to be"),
        ([f'{CANARY}"]'], "upstreams[0]: name has to be"),
        (["up.test:5000"], "upstreams[0]: name has to be"),
        (["../etc"], "upstreams[0]: name has to be"),
        (["hub"], "hub is no host"),
        ([{"name": "a.io", "url": f"https://{CANARY}/path"}], "upstreams[0]: url has to be"),
        ([{"name": "a.io", "url": f"https://u:{CANARY}@a.io"}], "upstreams[0]: url has to be"),
        ([{"name": "a.io", "url": 7}], "upstreams[0]: url has to be"),
        (["docker.io", {"name": "hub", "url": "https://docker.io"}], "docker.io is there twice"),
        (["a.io", {"name": "a.io/b", "url": "https://b.io"}], "a.io/b and a.io share repositories"),
        ([{"name": "a.io/b", "url": "https://b.io"}, "a.io"], "a.io and a.io/b share repositories"),
        ([{"name": "me", "url": URL}], "is the registry itself"),
    ],
)
def test_what_is_no_upstream_is_refused(given, message):
    refused(message, upstreams_of, given, registry_of(URL))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "a URL is wanted"),
        ({"url": URL, CANARY: 1}, "a URL is wanted"),
        ({}, "registry: url has to be"),
        (f"{AT}/{CANARY}", "registry: url has to be"),
        (f"{URL}/{CANARY}", "registry: url has to be"),
        (f'{URL}"\n{CANARY}', "registry: url has to be"),
        (f"{URL}\n", "registry: url has to be"),
        ({"url": URL, "ca": "ca.pem"}, "registry: ca has to be an absolute path"),
        ({"url": URL, "ca": f'/a"\n{CANARY}'}, "registry: ca has to be an absolute path"),
        ({"url": URL, "ca": "/a {b}"}, "registry: ca has to be an absolute path"),
        ({"url": "http://r.test", "ca": "/ca.pem"}, "ca is of no use"),
        ({"url": URL, "ca": "/ca.pem", "skip_verify": True}, "ca is of no use"),
        ({"url": URL, "skip_verify": "yes"}, "skip_verify is true or false"),
        ({"url": URL, "password": CANARY}, "go together"),
        ({"url": URL, "username": CANARY}, "go together"),
        ({"url": URL, "username": "a", "password": 12}, "go together"),
        ({"url": URL, "username": "a:b", "password": CANARY}, "has no colon"),
        ({"url": URL, "username": "a", "password": f"{CANARY}\n"}, "control characters"),
    ],
)
def test_what_is_no_registry_is_refused(given, message):
    refused(message, registry_of, given)


def test_a_registry_shows_its_address_without_a_last_slash():
    assert registry_of("http://Registry.test:80/").url == "http://registry.test:80"
