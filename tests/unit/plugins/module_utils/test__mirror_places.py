# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and nodes are looked at, and written to. The nodes are those of the stand-ins, whose programs really run."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _mirror_places
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_places import owe, owed, place_of
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from support.nodes import KindSim, MinikubeSim

CANARY = "canary-5e21"
HOSTS = "/etc/containerd/certs.d/up.test:5000/hosts.toml"
DAEMON = "/etc/docker/daemon.json"


def asked(*paths, units=(), programs=()):
    return {"paths": list(paths), "units": list(units), "programs": list(programs)}


def coded(text):
    return base64.b64encode(text.encode()).decode()


def told(file):
    return base64.b64decode(file["content"]).decode(), file["mode"]


def file(path, text=CANARY, mode="0600", **more):
    return {"path": str(path), "content": coded(text), "mode": mode, "folder_mode": "0755", **more}


def mode_of(path):
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


# --- the host


def host(runner=run):
    return place_of("host", {}, runner)


def test_a_host_tells_content_and_mode_of_files_that_are_there(tmp_path):
    (tmp_path / "a").write_text("ä\n")
    (tmp_path / "a").chmod(0o640)
    (answer,) = host().look(asked(str(tmp_path / "a"), str(tmp_path / "b")))
    assert {path: told(found) for path, found in answer["files"].items()} == {str(tmp_path / "a"): ("ä\n", "0640")}


def test_a_users_home_may_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    host().write("", [{**file("~/.config/containers/auth.json"), "folder_mode": "0700"}])
    (answer,) = host().look(asked("~/.config/containers/auth.json"))
    assert told(answer["files"]["~/.config/containers/auth.json"]) == (CANARY, "0600")
    assert mode_of(tmp_path / ".config/containers") == "0700"


def test_a_host_tells_which_units_are_active_and_what_programs_say():
    def runner(argv, *_args, **_more):
        known = {"systemctl is-active k3s k3s-agent": "inactive\nactive\n", "containerd --version": "containerd x v1.6.20 y\n"}
        return Completed(0, known[" ".join(argv)], "")

    (answer,) = host(runner).look(asked(units=["k3s", "k3s-agent"], programs=["containerd"]))
    assert (answer["active"], answer["said"]) == (["k3s-agent"], {"containerd": "containerd x v1.6.20 y"})


def test_a_host_without_systemd_or_containerd_tells_nothing_of_them():
    (answer,) = host(lambda *_args, **_more: Completed(127, "", "No such file")).look(asked(units=["a"], programs=["b"]))
    assert (answer["active"], answer["said"]) == ([], {"b": ""})


def test_a_host_tells_how_its_docker_daemons_were_started_and_not_those_in_containers(tmp_path):
    processes = {
        "self": ("python", "here"),
        "1": ("init", "here"),
        "7": ("/usr/bin/dockerd --registry-mirror https://a.test", "here"),
        "8": ("dockerd -D", "here"),
        "9": ("dockerd --registry-mirror https://in-a-node.test", "elsewhere"),
    }
    for pid, (words, namespace) in processes.items():
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "cmdline").write_text("".join(f"{word}\0" for word in words.split()))
        (tmp_path / pid / "ns/pid").symlink_to(namespace)
    (tmp_path / "10").mkdir()  # has ended meanwhile
    assert sorted(_mirror_places._dockerds(tmp_path)) == [["--registry-mirror", "https://a.test"], ["-D"]]


def test_what_is_no_file_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(ZotError, match="is no file"):
        host().look(asked(str(tmp_path)))


def test_a_new_file_has_its_mode_and_folders(tmp_path):
    host().write("", [file(tmp_path / "a/b/c", mode="0600")])
    assert (tmp_path / "a/b/c").read_text() == CANARY
    assert (mode_of(tmp_path / "a/b/c"), mode_of(tmp_path / "a/b"), mode_of(tmp_path / "a")) == ("0600", "0755", "0755")
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]


def test_a_link_stays_one_and_what_it_names_is_written(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    host().write("", [file(tmp_path / "link", mode="0640")])
    assert (tmp_path / "link").is_symlink()
    assert ((tmp_path / "real").read_text(), mode_of(tmp_path / "real")) == (CANARY, "0640")


def test_the_owner_of_a_new_file_has_to_exist(tmp_path):
    with pytest.raises(ZotError, match="there is no user nobody-of-that-name"):
        host().write("", [file(tmp_path / "a", owner="nobody-of-that-name")])
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_new_file_belongs_to_its_owner_and_an_old_one_stays_whose_it_is(tmp_path):
    host().write("", [file(tmp_path / "a", owner="nobody")])
    assert (tmp_path / "a").stat().st_uid != 0
    host().write("", [file(tmp_path / "a", text="new", owner="root")])
    assert ((tmp_path / "a").read_text(), (tmp_path / "a").stat().st_uid != 0) == ("new", True)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(ZotError, match="cannot be made") as raised:
        host().write("", [file(tmp_path / "a/b")])
    assert CANARY not in raised.value.message


# --- who still has to take what was written


def test_who_is_owed_is_kept_until_nobody_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert owed() == []
    owe(["docker", "kind kind-worker"])
    assert owed() == ["docker", "kind kind-worker"]
    owe([])
    assert owed() == []
    owe([])


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1]"])
def test_a_broken_note_is_none(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HOME", str(tmp_path))
    owe(["docker"])
    (tmp_path / ".local/state/blumeops.zot/mirrors.json").write_text(text)
    assert owed() == []


# --- minikube


@pytest.fixture
def minikube(tmp_path, monkeypatch):
    def start(runtime="containerd", **more):
        sim = MinikubeSim(tmp_path / "minikube", runtime, **more)
        for name, value in sim.environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "tmp").mkdir()
        sim.place = place_of("minikube", {"program": "minikube", "name": "minikube", "tmp": str(tmp_path / "tmp")}, run)
        return sim

    return start


def test_a_profile_tells_of_each_node_and_of_what_is_kept_for_new_ones(minikube):
    sim = minikube(nodes=("", "m02"))
    (sim.kept / "etc").mkdir(parents=True)
    (sim.kept / "etc/x").write_text("kept")
    (sim.node("minikube-m02") / "etc/x").write_text("there")
    (sim.node("minikube-m02") / "etc/x").chmod(0o600)
    first, second = sim.place.look(asked("/etc/x", "/etc/containerd/certs.d/docker.io/hosts.toml", programs=["containerd"]))
    assert (first["node"], second["node"], first["runtime"], first["folder"]) == ("", "m02", "containerd", str(sim.kept))
    assert {path: told(found) for path, found in second["files"].items()} == {
        "/etc/x": ("there", "0600"),
        "/etc/containerd/certs.d/docker.io/hosts.toml": ('server = "https://registry-1.docker.io"', "0644"),
    }
    assert "/etc/x" not in first["files"]
    assert told(second["kept"]["/etc/x"])[0] == "kept"
    assert first["said"]["containerd"].startswith("containerd github.com/containerd/containerd v1.7.")
    assert first["dockerds"] == []


def test_a_node_tells_how_its_docker_daemon_was_started(minikube):
    (answer,) = minikube("docker", registry_mirror=["https://hub.test"]).place.look(asked(DAEMON, units=["docker", "crio"]))
    assert answer["dockerds"] == [["--registry-mirror", "https://hub.test"]]
    assert (answer["active"], list(answer["files"])) == (["docker"], [DAEMON])


@pytest.mark.parametrize("node", ["", "m02"])
def test_files_go_into_a_node_with_their_modes_and_leave_nothing_else(minikube, tmp_path, node):
    sim = minikube(nodes=("", "m02"))
    sim.place.write(node, [file(HOSTS), file("/etc/containerd/certs.d/zot-ca.crt", "ca", "0644")])
    place = sim.node("minikube-m02" if node else "minikube") / "etc/containerd/certs.d"
    assert ((place / "up.test:5000/hosts.toml").read_text(), mode_of(place / "up.test:5000/hosts.toml")) == (CANARY, "0600")
    assert ((place / "zot-ca.crt").read_text(), mode_of(place / "zot-ca.crt")) == ("ca", "0644")
    assert sorted(path.name for path in place.rglob("*") if not path.is_dir()) == ["hosts.toml", "hosts.toml", "zot-ca.crt"]
    assert [path.name for path in place.rglob(".zot")] == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (sim.node("minikube" if node else "minikube-m02") / "etc/containerd/certs.d/zot-ca.crt").exists()


def test_no_command_line_has_a_content_and_nobody_else_can_read_it_on_the_way(minikube):
    sim = minikube()
    seen = []

    def watched(argv, timeout=30, *, stdin=b""):
        if "cp" in argv:
            source, target = argv[-2:]
            folder = sim.node("minikube") / target.rpartition("/")[0].lstrip("/")
            seen.append((stat.S_IMODE(Path(source).stat().st_mode), stat.S_IMODE(folder.stat().st_mode)))
        return run(argv, timeout, stdin=stdin)

    sim.place.runner = watched
    sim.place.write("", [file(HOSTS)])
    assert seen == [(0o600, 0o700)]
    log = json.dumps(sim.calls())
    assert CANARY not in log
    assert coded(CANARY) not in log


def test_a_stopped_profile_tells_what_is_kept(minikube):
    sim = minikube()
    sim("minikube", "stop")
    (answer,) = sim.place.look(asked("/etc/x"))
    assert (answer["node"], answer["files"], answer["runtime"], answer["kept"]) == (None, {}, "containerd", {})


def test_a_profile_that_is_not_there_is_named(minikube):
    sim = minikube()
    sim.place.options["name"] = "other"
    with pytest.raises(ZotError, match="minikube has no profile other; start it first: minikube start -p other"):
        sim.place.look(asked())


@pytest.mark.parametrize(
    ("done", "message"),
    [
        (Completed(127, "", "No such file or directory"), "profile list: No such file or directory"),
        (Completed(0, "no json", ""), "is not understood"),
        (Completed(0, '{"valid": [{}]}', ""), "is not understood"),
    ],
)
def test_what_is_no_minikube_is_told(done, message):
    place = place_of("minikube", {"program": "minikube", "name": "minikube"}, lambda *_args, **_more: done)
    with pytest.raises(ZotError, match=message):
        place.look(asked())


def test_a_node_that_cannot_be_written_to_is_named(minikube):
    sim = minikube()
    with pytest.raises(ZotError, match="minikube node m09 cannot be written to"):
        sim.place.write("m09", [file(HOSTS)])


@pytest.mark.parametrize(
    ("given", "environment", "folder"),
    [
        ("/m", "/e", "/m/.minikube/files"),
        (None, "/e", "/e/.minikube/files"),
        (None, "/e/.minikube", "/e/.minikube/files"),
        (None, "", "/home/x/.minikube/files"),
    ],
)
def test_minikubes_home_is_found_as_minikube_finds_it(monkeypatch, given, environment, folder):
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("MINIKUBE_HOME", environment)
    assert str(place_of("minikube", {"home": given}, run).folder) == folder


# --- kind


@pytest.fixture
def kind(tmp_path, monkeypatch):
    sim = KindSim(tmp_path / "kind", ("kind-control-plane", "kind-worker", "kind-external-load-balancer"), "podman")
    for name, value in sim.environment.items():
        monkeypatch.setenv(name, value)
    sim.place = place_of("kind", {"program": "kind", "name": "kind", "engine": "podman"}, run)
    return sim


def test_a_cluster_tells_of_each_node_that_pulls(kind):
    first, second = kind.place.look(asked("/etc/containerd/config.toml", "/etc/x", programs=["containerd"]))
    assert (first["node"], second["node"]) == ("kind-control-plane", "kind-worker")
    assert told(first["files"]["/etc/containerd/config.toml"])[0].startswith("# explicitly use v2")
    assert list(second["files"]) == ["/etc/containerd/config.toml"]
    assert {call[0] for call in kind.calls()[-2:]} == {"podman"}


def test_files_go_into_a_container_over_its_stdin(kind):
    kind.place.write("kind-worker", [file(HOSTS), file("/etc/containerd/x", "ä\n", "0644")])
    place = kind.node("kind-worker") / "etc/containerd"
    assert ((place / "certs.d/up.test:5000/hosts.toml").read_text(), mode_of(place / "certs.d/up.test:5000/hosts.toml")) == (CANARY, "0600")
    assert ((place / "x").read_text(), mode_of(place / "x")) == ("ä\n", "0644")
    assert sorted(path.name for path in place.iterdir()) == ["certs.d", "config.toml", "x"]
    log = json.dumps(kind.calls())
    assert CANARY not in log
    assert coded(CANARY) not in log


def test_a_file_of_a_container_is_shut_from_its_first_byte(kind):
    chmod = kind.node("kind-worker") / "bin/chmod"
    chmod.write_text("#!/bin/sh\nexit 1\n")
    chmod.chmod(0o755)
    with pytest.raises(ZotError, match="kind node kind-worker cannot be written to"):
        kind.place.write("kind-worker", [file("/etc/containerd/x", mode="0644")])
    assert mode_of(kind.node("kind-worker") / "etc/containerd/x.zot") == "0600"


def test_a_cluster_without_nodes_is_named(kind):
    kind.place.options["name"] = "other"
    with pytest.raises(ZotError, match="kind has no nodes of a cluster other"):
        kind.place.look(asked())


def test_nodes_of_another_engine_are_not_found(kind):
    kind.place.options["engine"] = "docker"
    with pytest.raises(ZotError, match="kind has no nodes of a cluster kind"):
        kind.place.look(asked())


def test_a_container_that_is_not_there_is_named(kind):
    with pytest.raises(ZotError, match="kind node gone cannot be written to: Error: No such container: gone"):
        kind.place.write("gone", [file(HOSTS)])
