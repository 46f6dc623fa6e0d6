# SPDX-License-Identifier: GPL-3.0-or-later
"""A login that the role gives to podman and skopeo, beside one of the user's own at the same registry. Needs no root."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from integration.playbook import Play
from support.oci import HttpClient, make_image
from support.programs import absent, call, skip
from support.zot_binary import Serving, serving, write_htpasswd

THEIRS, OURS = ("pusher", "pw of pusher"), ("node", "pw of node")
IMAGE = "docker.io/library/app:1"


@pytest.fixture
def zot(real_zot: Path, tmp_path: Path) -> t.Iterator[Serving]:
    """Of the cache only one of its two users may read."""
    if reason := absent("podman", "skopeo"):
        skip(reason)
    htpasswd = write_htpasswd(tmp_path / "htpasswd", dict([THEIRS, OURS]))
    policies = {
        "**": {"policies": [{"users": ["node"], "actions": ["read", "create"]}]},
        "blumeops/**": {"policies": [{"users": ["pusher"], "actions": ["read"]}]},
    }
    http = {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": {"repositories": policies}}
    with serving(real_zot, {"http": http, "storage": {"gc": False}}, tmp_path / "zot") as running:
        image = make_image(tmp_path / "image", random=True)
        pushed = HttpClient().push(running.url, "docker.io/library/app", "1", image=image, username=OURS[0], password=OURS[1])
        assert pushed.ok, pushed.error
        yield running


def test_the_cache_is_read_with_its_own_login_and_the_users_stays(zot: Serving, tmp_path: Path) -> None:
    home, at = tmp_path / "home", zot.url.partition("://")[2]
    theirs = {at: {"auth": base64.b64encode(":".join(THEIRS).encode()).decode()}}
    auth = home / ".config/containers/auth.json"
    auth.parent.mkdir(parents=True)
    auth.write_text(json.dumps({"auths": theirs}))
    conf = tmp_path / "registries.conf"
    environment = {"HOME": str(home), "CONTAINERS_REGISTRIES_CONF": str(conf), "XDG_RUNTIME_DIR": str(tmp_path)}

    def pulls() -> list[bool]:
        with tempfile.TemporaryDirectory(prefix="zot-") as short:  # podman wants a path of 50 characters at the most
            store = ["--root", f"{short}/s", "--runroot", f"{short}/r", "--storage-driver", "vfs", "--events-backend", "none"]
            podman = call("podman", *store, "pull", "-q", IMAGE, **environment)
        skopeo = call("skopeo", "--registries-conf", conf, "copy", f"docker://{IMAGE}", f"dir:{tmp_path / 'pulled'}", **environment)
        told = [done.stdout for done in (podman, skopeo) if done.returncode != 0]
        assert all("registry-1.docker.io" in text for text in told), told  # refused by the mirror, they ask the upstream
        return [done.returncode == 0 for done in (podman, skopeo)]

    play = Play(tmp_path / "play.yml", [tmp_path / "hosts.yml"], tmp_path / "controller", {"HOME": str(home)})
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tmp_path / "remote"),
        "registry_mirror_registry": zot.url,
        "registry_mirror_upstreams": ["docker.io"],
        "registry_mirror_clients": [{"name": "podman", "path": str(conf)}],
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": variables}}}))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["blumeops.zot.registry_mirror"]}]))
    assert play().changed == 1
    assert pulls() == [False, False]
    assert play(registry_mirror_username=OURS[0], registry_mirror_password=OURS[1]).changed == 1
    assert pulls() == [True, True]
    kept = json.loads(auth.read_text())["auths"]
    assert list(kept) == [at, f"{at}/docker.io"]
    assert kept[at] == theirs[at]
