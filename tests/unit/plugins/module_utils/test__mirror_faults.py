# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a client goes past the registry, by its files. That clients do so with them is shown in tests/system/test_mirrors.py."""

from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _mirror_faults
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_faults import (
    Mirror,
    containers_fault,
    cri_fault,
    docker_fault,
    hosts_fault,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import files

CANARY = "canary-5a20-must-stay-secret"
MIRROR = Mirror("docker.io", "https", "registry.test", "docker.io")
LOCAL = Mirror("127.0.0.1:5000", "https", "registry.test", "local")
FOLDER = "/etc/containerd/certs.d"
UPSTREAMS = [{"name": "docker.io"}, {"name": "local", "url": "http://127.0.0.1:5000"}]

if _mirror_faults.tomllib is None:
    pytest.skip("this Python has no parser of TOML", allow_module_level=True)


def made(client, url="https://registry.test", **more):
    return {file.path: file.content for file in files(client=client, upstreams=UPSTREAMS, registry={"url": url, **more})}


def hosts(text, mirror=MIRROR):
    return hosts_fault(FOLDER, mirror, {f"{FOLDER}/{mirror.host}/hosts.toml": text}.get)


@pytest.mark.parametrize("mirror", [MIRROR, LOCAL])
@pytest.mark.parametrize("url", ["https://registry.test", "http://registry.test"])
def test_the_files_of_the_collection_are_without_fault(mirror, url):
    mirror = Mirror(mirror.host, url.partition(":")[0], mirror.authority, mirror.name)
    for login in ({}, {"username": "node", "password": CANARY}):
        assert hosts_fault(FOLDER, mirror, made("containerd", url, **login).get) == ""
    assert containers_fault(sorted(made("podman", url).items()), mirror) == ""


def test_no_file():
    assert hosts_fault(FOLDER, MIRROR, {}.get) == f"{FOLDER}/docker.io/hosts.toml is not there, so containerd knows no mirror of docker.io"


@pytest.mark.parametrize("name", ["127.0.0.1_5000_", "127.0.0.1:5000", "_default"])
def test_the_folder_of_a_host_with_a_port_has_several_names(name):
    text = made("containerd")[f"{FOLDER}/127.0.0.1:5000/hosts.toml"]
    assert hosts_fault(f"{FOLDER}/", LOCAL, {f"{FOLDER}/{name}/hosts.toml": text}.get) == ""
    assert "names no host" in hosts_fault(FOLDER, LOCAL, {f"{FOLDER}/{name}/hosts.toml": ""}.get)


def test_the_first_of_them_counts():
    text = made("containerd")[f"{FOLDER}/127.0.0.1:5000/hosts.toml"]
    both = {f"{FOLDER}/127.0.0.1_5000_/hosts.toml": "", f"{FOLDER}/127.0.0.1:5000/hosts.toml": text}
    assert "names no host" in hosts_fault(FOLDER, LOCAL, both.get)


RIGHT = '[host."https://registry.test/v2/docker.io"]\ncapabilities = ["pull", "resolve"]\noverride_path = true\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (RIGHT, ""),
        (RIGHT.replace("docker.io", "docker.io/"), ""),
        (RIGHT.replace('capabilities = ["pull", "resolve"]\n', ""), ""),
        (RIGHT.replace("registry.test", "Registry.Test"), ""),
        ('[host."https://other.test"]\n' + RIGHT, ""),
        (RIGHT + '[host."https://other.test"]\ncapabilities = ["pusk"]\n', "of host 2 have a word that is none of pull, resolve and push"),
        (RIGHT.replace('"pull"', '"pul"'), "of host 1 have a word that is none of pull, resolve and push, so containerd ignores the whole"),
        (RIGHT.replace('["pull", "resolve"]', '"pull"'), "of host 1 have a word"),
        (RIGHT.replace('"pull", ', ""), "the registry's capabilities are not both pull and resolve"),
        (RIGHT.replace(', "resolve"', ""), "the registry's capabilities are not both pull and resolve"),
        (RIGHT.replace("= true", "= "), "is no valid TOML (line 3), so containerd ignores the whole file"),
        (RIGHT.replace("= true", "= false"), "override_path = true is missing"),
        (RIGHT.replace("override_path = true", ""), "override_path = true is missing"),
        (
            RIGHT.replace("/v2/docker.io", ""),
            "names the registry without a path, where zot answers 404: it has to be https://registry.test/v2/",
        ),
        (RIGHT.replace("/v2/docker.io", "/docker.io"), "names the registry with another path, where zot answers 404"),
        (RIGHT.replace("/v2/docker.io", "/v2/ghcr.io"), "names the registry with another path"),
        (RIGHT.replace("https:", "http:"), "names the registry with another scheme than https://"),
        (RIGHT.replace("registry.test", "other.test"), "does not name the registry registry.test"),
        ('server = "https://registry-1.docker.io"\n', "names no host, so there is no mirror"),
    ],
)
def test_hosts_toml(text, fault):
    told = hosts(text)
    assert fault in told if fault else told == ""


def test_the_scheme_is_left_alone_where_it_is_not_known():
    mirror = Mirror("docker.io", "", "registry.test", "docker.io")
    assert hosts(RIGHT, mirror) == hosts(RIGHT.replace("https:", "http:"), mirror) == ""
    assert "it has to be https://registry.test/v2/docker.io" in hosts(RIGHT.replace("/v2/docker.io", ""), mirror)


def test_no_login_is_told():
    secret = f'[host."https://registry.test".header]\nauthorization = "{CANARY}"\n'
    for text in (secret, secret + "x = ", RIGHT.replace('"pull"', f'"{CANARY}"')):
        assert CANARY not in hosts(text) != ""


def test_an_older_python_cannot_tell(monkeypatch):
    monkeypatch.setattr(_mirror_faults, "tomllib", None)
    assert hosts("= broken") == _mirror_faults.UNJUDGED
    assert containers_fault([("/etc/containers/registries.conf", "= broken")], MIRROR) == _mirror_faults.UNJUDGED


# ---- CRI


def dump(version, path, disabled=""):
    plugin = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}[version]
    quote = "'" if version == 3 else '"'
    return (
        f"disabled_plugins = [{disabled}]\nversion = {version}\n\n[plugins]\n  [plugins.{quote}{plugin}{quote}.registry]\n"
        f"    config_path = {quote}{path}{quote}\n"
    )


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (FOLDER, ""),
        (f"{FOLDER}/", ""),
        (f"/etc/docker/certs.d:{FOLDER}", ""),
        ("", f"config_path in containerd's configuration names no folder, so CRI does not look into {FOLDER}"),
        ("/elsewhere", "names another folder"),
    ],
)
def test_the_folder_is_where_cri_looks(version, path, fault):
    told = cri_fault(dump(version, path), FOLDER)
    assert fault in told if fault else told == ""


def test_where_there_is_no_cri_nothing_is_wrong_with_it():
    assert cri_fault(dump(2, "", '"cri"'), FOLDER) == cri_fault(dump(2, "", '"io.containerd.grpc.v1.cri"'), FOLDER) == ""
    assert cri_fault(dump(2, "", '"io.containerd.snapshotter.v1.zfs"'), FOLDER) != ""
    assert cri_fault("nothing that is known", FOLDER) == ""


# ---- registries.conf


CONF = '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n'
OURS = '[[registry.mirror]]\nlocation = "registry.test/docker.io"\n'


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ([CONF + OURS], ""),
        (['[[registry]]\nlocation = "docker.io"\n' + OURS], ""),
        (["", CONF + OURS], ""),
        ([CONF, CONF + OURS], ""),
        ([CONF + OURS, CONF], "docker.io has no mirror at registry.test"),
        ([CONF + OURS.replace("/docker.io", "")], "names the registry without its path, where zot answers 404"),
        ([CONF + OURS.replace("test/", "test/v2/")], "it has to be registry.test/docker.io"),
        ([CONF + OURS.replace("registry.test", "other.test")], "docker.io has no mirror at registry.test"),
        ([""], "no registries.conf has a registry docker.io with a mirror"),
        ([(CONF + OURS).replace('"docker.io"\n', '"quay.io"\n')], "no registries.conf has a registry docker.io"),
        (["prefix = \n"], "0.conf is no valid TOML (line 1), so podman and skopeo refuse all of their configuration"),
    ],
)
def test_registries_conf(texts, fault):
    told = containers_fault([(f"/etc/containers/{number}.conf", text) for number, text in enumerate(texts)], MIRROR)
    assert fault in told if fault else told == ""


def test_plain_http_has_to_be_said():
    mirror = Mirror("docker.io", "http", "registry.test", "docker.io")
    assert "speaks http, and its mirror is not insecure = true" in containers_fault([("/a", CONF + OURS)], mirror)
    assert containers_fault([("/a", CONF + OURS + "insecure = true\n")], mirror) == ""


# ---- Docker


@pytest.mark.parametrize(
    ("mirrors", "fault"),
    [
        ("[]", "the Docker daemon has no registry-mirrors"),
        ("null", "the Docker daemon has no registry-mirrors"),
        ('["https://registry.test/"]', "registry-mirrors names the registry itself, where zot answers 404"),
        ('["https://hub.test/"]', ""),
        ("no answer", ""),
    ],
)
def test_the_mirrors_of_docker(mirrors, fault):
    told = docker_fault(mirrors, MIRROR)
    assert fault in told if fault else told == ""


def test_docker_has_mirrors_of_docker_hub_alone():
    assert "for docker.io alone, and the image is of ghcr.io" in docker_fault("[]", Mirror("ghcr.io", "https", "registry.test", "ghcr.io"))
