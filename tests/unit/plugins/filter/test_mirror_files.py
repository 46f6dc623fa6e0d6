# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
import tomllib
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.filter.mirror_files import DOCUMENTATION, FilterModule
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import CLIENTS

CANARY = "canary-3c9f"
UPSTREAMS = [{"name": "docker.io"}, "ghcr.io"]
mirror_files = FilterModule().filters()["mirror_files"]


def test_the_files_are_plain_data():
    made = mirror_files(UPSTREAMS, "https://registry.test", "containerd")
    assert [(entry["path"], entry["mode"]) for entry in made] == [
        ("/etc/containerd/certs.d/docker.io/hosts.toml", "0644"),
        ("/etc/containerd/certs.d/ghcr.io/hosts.toml", "0644"),
    ]
    assert all(set(entry) == {"path", "content", "mode"} for entry in made)
    assert json.loads(json.dumps(made)) == made
    assert tomllib.loads(made[1]["content"])["server"] == "https://ghcr.io"


def test_every_option_reaches_the_files():
    (daemon,) = mirror_files(
        UPSTREAMS, "https://r.test", "docker", path="/d.json", existing={"/d.json": '{"debug": true}'}, proxy="https://h.test"
    )
    assert daemon["path"] == "/d.json"
    assert json.loads(daemon["content"]) == {"debug": True, "registry-mirrors": ["https://h.test"]}
    for version in (3, "3"):
        (config,) = mirror_files(UPSTREAMS, "https://r.test", "containerd_config", config_version=version)
        assert tomllib.loads(config["content"])["version"] == 3


def test_the_clients_and_their_places_are_the_documented_ones():
    options = yaml.safe_load(DOCUMENTATION)["options"]
    assert options["client"]["choices"] == list(CLIENTS)
    told = " ".join(options["path"]["description"])
    assert [usual for _write, usual in CLIENTS.values() if f"C({usual})" not in told] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"client": CANARY}, "client: one of buildkit, caddy"),
        ({"client": ["k3s", CANARY]}, "client, path and proxy are texts"),
        ({"existing": [CANARY]}, "existing: a mapping of paths to texts is wanted"),
        ({"existing": {"/a": [CANARY]}}, "existing: a mapping of paths to texts is wanted"),
        ({"path": f"{CANARY}/relative"}, "path has to be an absolute path"),
        ({"client": "k3s", "existing": {"/etc/rancher/k3s/registries.yaml": f"{{{CANARY}"}}, "is no valid YAML"),
        ({"registry": f"https://u:{CANARY}@r.test"}, "registry: url has to be"),
    ],
)
def test_what_cannot_be_written_is_one_error_that_quotes_nothing(options, message):
    with pytest.raises(AnsibleFilterError) as raised:
        mirror_files(**{"upstreams": UPSTREAMS, "registry": "https://r.test", "client": "containerd", **options})
    assert message in str(raised.value)
    assert CANARY not in str(raised.value)
    assert raised.value.__cause__ is None
