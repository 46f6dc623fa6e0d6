# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_cache_check in four ways: an image comes through, it would be pulled, it goes past the registry, nobody can tell.

It changes nothing, so it is its own no-op: a second run is the first one.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.modules import zot_cache_check
from support.cache_check import CANARY, IMAGE, REPOSITORY, ROUTE, Clock, Registry
from support.modules import run_module
from support.runners import Programs

PULL = f"skopeo --override-os linux copy docker://{IMAGE}"


class Task:
    """The module with skopeo, at a registry in memory; ``trust`` is how the transport was made."""

    def __init__(self, monkeypatch, folder):
        self.registry = Registry()
        self.pulls = lambda: self.registry.serve("1", "sha256:new", requests=3)
        self.trust, self.ran, self.scratch = [], [], folder
        monkeypatch.setattr(zot_cache_check, "sender", self._sender)
        monkeypatch.setattr(zot_cache_check, "run", self._run)
        monkeypatch.setattr(zot_cache_check, "time", Clock())
        monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def _sender(self, verify, ca_path):
        self.trust.append((verify, ca_path and Path(ca_path).read_text()))
        return self.registry

    def _run(self, argv, timeout=30):
        self.ran.append((" ".join(argv), timeout))
        self.pulls()
        return Programs({" ".join(argv): ""})(argv)

    def __call__(self, check=False, **options):
        return run_module(
            zot_cache_check.main, check, **{"client": "skopeo", "url": "https://registry.test/", "routes": [ROUTE], **options}
        )


@pytest.fixture
def task(monkeypatch, tmp_path):
    return Task(monkeypatch, tmp_path)


def test_an_image_that_comes_through(task):
    told = task()
    assert (told["changed"], told["cached"], told["proof"], told["requests"]) == (False, True, "fetched", 3)
    assert (told["program"], told["image"], told["repository"]) == ("skopeo", IMAGE, REPOSITORY)
    ((line, timeout),) = task.ran
    assert (line.startswith(PULL), timeout) == (True, 120)
    assert list(task.scratch.iterdir()) == []
    assert all("//" not in path.partition(" ")[2] for path in task.registry.asked)


def test_again(task):
    first, again = task(), task(timeout=5)
    assert (first["changed"], again["changed"], again["proof"], task.ran[-1][1]) == (False, False, "served", 5)


def test_check_mode_pulls_nothing_and_asks_for_no_manifest(task):
    told = task(check=True)
    assert (told["changed"], told["cached"], told["image"]) == (False, None, IMAGE)
    assert told["msg"] == f"would pull {IMAGE} with skopeo"
    assert (task.ran, task.registry.asked) == ([], ["GET /v2/"])
    assert list(task.scratch.iterdir()) == []


def test_an_image_that_goes_past_the_registry(task, monkeypatch):
    task.pulls = lambda: None
    monkeypatch.setattr(zot_cache_check, "fault_of", lambda args, command, route, _run: f"{args['client']} {command} {route['image']}")
    told = task(files=[{"path": "/nowhere/registries.conf", "content": CANARY, "mode": "0600"}])
    assert (told["failed"], told["cached"], told["proof"], told["left"]) == (True, False, "", "")
    assert told["reason"] == f"it was pulled past the registry: skopeo ['skopeo'] {IMAGE}"
    assert told["msg"] == f"{IMAGE} on skopeo: {told['reason']}"
    assert list(task.scratch.iterdir()) == []


def test_what_a_file_should_hold_is_never_told(task, monkeypatch):
    task.pulls = lambda: None
    monkeypatch.setattr(zot_cache_check, "fault_of", lambda args, *_more: args["files"][0]["content"])
    assert CANARY not in json.dumps(task(files=[{"path": "/nowhere/registries.conf", "content": CANARY}]))


def test_what_nobody_can_tell_is_a_failure(task):
    task.registry = Registry(tags={"1": ("sha256:old", 1)}, search=False, requests=None)
    told = task()
    assert (told["failed"], told["cached"], task.ran) == (True, None, [])


@pytest.mark.parametrize("check", [False, True])
def test_an_image_that_no_upstream_has(task, check):
    told = task(check, routes=[{**ROUTE, "cached": False, "registry": "", "why": "ghcr.io is none of the registry's upstreams"}])
    assert (told["failed"], "is none of the registry's upstreams" in told["msg"], task.ran) == (True, True, [])


def test_what_is_left_is_a_warning(task, monkeypatch):
    monkeypatch.setattr(zot_cache_check, "check", lambda *_args: {"left": "an image"})
    assert task()["warnings"] == ["this is left of the check: an image"]


def test_the_login_and_the_trust_are_the_callers(task):
    told = task(username="node", password=CANARY, ca="PEM")
    assert task.trust == [(True, "PEM")]
    assert all("Authorization" in headers for headers in task.registry.headers)
    assert CANARY not in json.dumps(told)
    task(validate_certs=False)
    assert task.trust[-1] == (False, None)


def test_an_authority_can_be_a_file(task, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_text("from a file")
    task(ca_path=str(path))
    assert task.trust == [(True, "from a file")]


def test_the_folder_of_containerd_is_the_usual_one_or_the_callers(task):
    for more in ({}, {"hosts_dir": "/elsewhere"}):
        task(client="containerd", command=["ctr"], **more)
    assert [line.split()[6] for line, _timeout in task.ran if "fetch" in line] == ["/etc/containerd/certs.d", "/elsewhere"]
