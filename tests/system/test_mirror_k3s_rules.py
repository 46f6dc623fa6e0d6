# SPDX-License-Identifier: GPL-3.0-or-later
"""registries.yaml as k3s and rke2 read it: with the package that they read it with, rancher/wharfie. Neither of them runs here."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import files
from support.programs import call
from testbed import golang

URL = "https://registry.test:5000"
CANARY = 'canary": #\\ö'

Reader = t.Callable[[str], t.Any]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """What k3s makes of a text; where it cannot read it, what it says."""
    program = golang.find("registries") or pytest.skip(golang.absent("registries"))
    path = tmp_path_factory.mktemp("k3s") / "registries.yaml"

    def ask(text: str) -> t.Any:
        path.write_text(text)
        done = call(program, path)
        return json.loads(done.stdout[done.stdout.index("{") :]) if done.returncode == 0 else done.stdout

    return ask


def made(client: str = "k3s", registry: t.Any = URL, existing: str = "") -> str:
    """As the client's file is, with three upstreams."""
    upstreams = ["docker.io", "ghcr.io", {"name": "lab", "url": "http://up.test:5000"}]
    (file,) = files(client, upstreams, registry, existing={"/r.yaml": existing}, path="/r.yaml")
    return file.content


@pytest.mark.parametrize("client", ["k3s", "rke2"])
def test_every_upstream_is_asked_under_its_name(read: Reader, client: str) -> None:
    asked = {host: [(found["url"], found["override_path"]) for found in endpoints] for host, endpoints in read(made(client)).items()}
    assert asked == {
        "docker.io": [(f"{URL}/v2/docker.io", True)],
        "ghcr.io": [(f"{URL}/v2/ghcr.io", True)],
        "up.test:5000": [(f"{URL}/v2/lab", True)],
    }


def test_login_and_trust_are_found_by_the_registrys_host(read: Reader) -> None:
    registry = {"url": URL, "ca": "/etc/rancher/k3s/zot-ca.crt", "username": "node", "password": CANARY}
    for endpoints in read(made(registry=registry)).values():
        (endpoint,) = endpoints
        config = endpoint["config"]
        assert (config["auth"]["username"], config["auth"]["password"]) == ("node", CANARY)
        assert (config["tls"]["ca_file"], config["tls"]["insecure_skip_verify"]) == ("/etc/rancher/k3s/zot-ca.crt", False)
    (endpoint,) = read(made(registry={"url": URL, "skip_verify": True}))["ghcr.io"]
    assert endpoint["config"]["tls"]["insecure_skip_verify"]
    assert endpoint["config"]["auth"] is None


def test_what_others_have_there_is_read_as_before(read: Reader) -> None:
    theirs = {"mirrors": {"quay.io": {"endpoint": ["https://other.test"], "rewrite": {"^(.*)$": "x/$1"}}, "docker.io": {"endpoint": [URL]}}}
    before, after = (read(text) for text in (yaml.safe_dump(theirs), made(existing=yaml.safe_dump(theirs))))
    assert before["docker.io"][0]["override_path"] is False  # the bare root, where nothing is cached
    assert after["docker.io"][0]["override_path"] is True
    assert after["quay.io"] == before["quay.io"]


@pytest.mark.parametrize(
    "text", ["mirrors: {docker.io: {endpoints: []}}", "mirrors: [docker.io]", "mirrors: {a: {endpoint: [a.test/v2/x]}}", "a: ["]
)
def test_a_slip_is_told(read: Reader, text: str) -> None:
    assert isinstance(read(text), str)
