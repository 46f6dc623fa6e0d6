# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients have -> what is written, who is told, what people see. No host is there: its answers are made up."""

from __future__ import annotations

import base64
import json

import pytest
import tomllib
import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_clients import USUAL, clients_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_plan import diff_of, plan

CANARY = "canary-64ab"
URL = "https://registry.test:5000"
LOGIN = {"url": URL, "username": "node", "password": CANARY}
PROXY = "https://hub.test"
UPSTREAMS = [{"name": "docker.io"}, "ghcr.io"]
PEM = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
CONFIG, DAEMON, K3S = "/etc/containerd/config.toml", "/etc/docker/daemon.json", "/etc/rancher/k3s/registries.yaml"
CONF, SITE = "/etc/containers/registries.conf.d/50-zot.conf", "/etc/caddy/sites/zot-docker.caddy"
HUB = "/etc/containerd/certs.d/docker.io/hosts.toml"


def coded(text):
    return base64.b64encode(text.encode()).decode()


def answer(files=None, active=(), said="containerd c v1.7.1 x", dockerd=(), **more):
    there = {path: {"content": coded(text), "mode": mode} for path, (text, mode) in (files or {}).items()}
    return {
        "node": "",
        "files": there,
        "active": list(active),
        "said": {"containerd": said},
        "dockerds": [list(dockerd)] if dockerd else [],
        **more,
    }


def made(*clients, host=None, nodes=(), registry=URL, ca="", owed=(), upstreams=UPSTREAMS):
    given = [{"name": client} if isinstance(client, str) else client for client in clients]
    return plan(clients_of(given, registry, PROXY), upstreams, ca, [[host or answer()], *nodes], list(owed))


def contents(plan):
    return {change.header: change.file.content for change in plan.changes}


def after(plan, files=None):
    """What is there when all of it was written."""
    written = {change.header: (change.file.content, change.mode) for change in plan.changes}
    return {**(files or {}), **written}


def refused(message, *clients, **more):
    with pytest.raises(ZotError) as raised:
        made(*clients, **more)
    assert message in raised.value.message
    assert CANARY not in raised.value.message


ALL = ["containerd", "k3s", "rke2", "podman", "buildkit", "docker", "caddy"]


@pytest.mark.parametrize("registry", [URL, LOGIN], ids=["open", "login"])
@pytest.mark.parametrize("ca", ["", PEM], ids=["known", "ca"])
@pytest.mark.parametrize("client", ALL)
def test_what_was_written_is_not_written_again(client, registry, ca):
    first = made(client, registry=registry, ca=ca)
    assert first.changes
    second = made(client, registry=registry, ca=ca, host=answer(after(first), active=USUAL[client].units))
    assert (second.changes, second.activations, second.left) == ([], [], [])


@pytest.mark.parametrize("client", ALL)
def test_one_clients_refusal_is_that_of_all_and_named(client):
    other = "podman" if client != "podman" else "k3s"
    path = {"containerd": HUB, "rke2": K3S.replace("k3s", "rke2"), "k3s": K3S, "podman": CONF, "docker": DAEMON, "caddy": SITE}
    path["buildkit"] = "/etc/buildkit/buildkitd.toml"
    refused(f"{client}: {path[client]} is", other, client, host=answer({path[client]: (f"{CANARY}: [", "0600")}))


# --- files


def test_containerd_gets_its_files_and_its_configuration_names_their_folder():
    found = contents(made({"name": "containerd", "path": "/certs", "config_path": "/c.toml"}))
    assert sorted(found) == ["/c.toml", "/certs/docker.io/hosts.toml", "/certs/ghcr.io/hosts.toml"]
    assert tomllib.loads(found["/c.toml"])["plugins"]["io.containerd.grpc.v1.cri"]["registry"] == {"config_path": "/certs"}


@pytest.mark.parametrize(
    ("said", "version"), [("containerd g v1.6.20~ds1 1.6.20~ds1-1+deb12u3", 2), ("containerd g v2.0.3 x", 3), ("containerd g v2.1.0 x", 3)]
)
def test_a_new_configuration_is_in_the_format_of_the_release(said, version):
    assert tomllib.loads(contents(made("containerd", host=answer(said=said)))[CONFIG])["version"] == version


def test_since_2_2_there_is_no_configuration_needed_for_the_usual_folder():
    said = "containerd g v2.2.0 x"
    assert CONFIG not in contents(made("containerd", host=answer(said=said)))
    assert CONFIG not in contents(made("containerd", host=answer({CONFIG: ("version = 3\n", "0644")}, said=said)))
    assert CONFIG in contents(made({"name": "containerd", "path": "/certs"}, host=answer(said=said)))


def test_a_release_that_is_not_known_is_an_error_that_can_be_avoided():
    refused("containerd --version says nothing", "containerd", host=answer(said=""))
    assert CONFIG not in contents(made({"name": "containerd", "config": False}, host=answer(said="")))
    assert CONFIG in contents(made("containerd", host=answer({CONFIG: ("version = 2\n", "0644")}, said="")))


def test_podmans_login_is_for_the_caches_and_no_more_of_the_registry():
    plan = made("podman", registry=LOGIN)
    auth = json.loads(contents(plan)["~/.config/containers/auth.json"])
    assert list(auth["auths"]) == ["registry.test:5000/docker.io", "registry.test:5000/ghcr.io"]
    assert CANARY not in contents(plan)[CONF]
    assert [change.told()["folder_mode"] for change in plan.changes] == ["0755", "0700"]


def test_buildkits_login_is_dockers_for_the_registrys_host():
    found = contents(made({"name": "buildkit", "auth_file": "/auth.json"}, registry=LOGIN))
    assert list(json.loads(found["/auth.json"])["auths"]) == ["registry.test:5000"]


def test_dockers_daemon_gets_no_login_as_it_gives_none_to_a_mirror():
    assert list(contents(made("docker", registry=LOGIN))) == [DAEMON]


@pytest.mark.parametrize(
    ("client", "path", "named"),
    [
        ("containerd", "/etc/containerd/certs.d/zot-ca.crt", HUB),
        ("k3s", "/etc/rancher/k3s/zot-ca.crt", K3S),
        ("rke2", "/etc/rancher/rke2/zot-ca.crt", "/etc/rancher/rke2/registries.yaml"),
        ("buildkit", "/etc/buildkit/zot-ca.crt", "/etc/buildkit/buildkitd.toml"),
        ("caddy", "/etc/caddy/zot-ca.crt", SITE),
        ("podman", "/etc/containers/certs.d/registry.test:5000/ca.crt", None),
        ("docker", "/etc/docker/certs.d/hub.test/ca.crt", None),
    ],
)
def test_an_authority_is_put_where_the_client_looks_before_it_is_named(client, path, named):
    changes = made(client, ca=PEM).changes
    assert (changes[0].file.path, changes[0].file.content, changes[0].mode) == (path, PEM, "0644")
    assert [change.file.path for change in changes if path in change.file.content][:1] == ([named] if named else [])


@pytest.mark.parametrize("registry", ["http://registry.test:5000", {"url": URL, "skip_verify": True}])
@pytest.mark.parametrize("client", ["containerd", "k3s", "podman", "buildkit", "caddy"])
def test_an_authority_of_nobody_is_put_nowhere(client, registry):
    assert PEM not in contents(made(client, registry=registry, ca=PEM)).values()


def test_dockers_authority_is_that_of_the_proxy():
    client = {"name": "docker", "proxy": "http://hub.test"}
    assert list(contents(made(client, ca=PEM))) == [DAEMON]
    assert len(made("docker", registry="http://registry.test", ca=PEM).changes) == 2


def test_others_modes_stay_and_a_login_shuts_a_file():
    daemon = answer({DAEMON: ("{}", "0644")})
    assert [change.mode for change in made("docker", host=daemon).changes] == ["0644"]
    theirs = answer({K3S: ("", "0644")})
    assert [change.mode for change in made("k3s", host=theirs).changes] == ["0644"]
    assert [change.mode for change in made("k3s", host=theirs, registry=LOGIN).changes] == ["0600"]


def test_a_mode_that_is_wrong_is_changed_where_the_text_is_right():
    files = after(made({"name": "containerd", "config": False}, registry=LOGIN))
    opened = {**files, HUB: (files[HUB][0], "0644")}
    (change,) = made({"name": "containerd", "config": False}, registry=LOGIN, host=answer(opened)).changes
    assert (change.file.path, change.mode) == (HUB, "0600")


def test_the_owner_goes_with_the_files():
    told = [change.told() for change in made({"name": "caddy", "owner": "caddy"}, "podman").changes]
    assert [(item["path"], item.get("owner")) for item in told] == [(SITE, "caddy"), (CONF, None)]
    assert base64.b64decode(told[0]["content"]).decode().startswith("# Written by blumeops.zot")


def test_a_file_that_is_no_text_is_named():
    broken = answer()
    broken["files"][DAEMON] = {"content": base64.b64encode(b"\xff").decode(), "mode": "0600"}
    refused(f"docker: {DAEMON} is no text", "docker", host=broken)


# --- the daemon's command line


@pytest.mark.parametrize("words", [["--registry-mirror", "https://hub.test/"], ["-D", "--registry-mirror=https://HUB.test"]])
def test_a_daemon_that_was_started_with_the_mirror_needs_no_file(words):
    assert made("docker", host=answer(dockerd=words)).changes == []


@pytest.mark.parametrize("words", [["--registry-mirror", "https://other.test"], [f"--registry-mirror=https://{CANARY}.test"]])
def test_a_daemon_that_was_started_with_another_mirror_would_not_start_again(words):
    refused("the daemon was started with --registry-mirror", "docker", host=answer(dockerd=words))


def test_another_daemon_with_a_file_of_its_own_is_none_of_ours():
    words = ["--config-file=/other.json", "--registry-mirror", "https://other.test"]
    assert list(contents(made("docker", host=answer(dockerd=words)))) == [DAEMON]
    refused("the daemon was started with", {"name": "docker", "path": "/other.json"}, host=answer(dockerd=words))


def test_a_daemon_that_was_started_with_anything_else_gets_its_file():
    assert list(contents(made("docker", host=answer(dockerd=["-H", "fd://", "--registry-mirrors"])))) == [DAEMON]


# --- who is told


@pytest.mark.parametrize(
    ("client", "unit", "argv"),
    [
        ("containerd", "containerd", ["systemctl", "restart", "containerd"]),
        ("k3s", "k3s-agent", ["systemctl", "restart", "k3s-agent"]),
        ("rke2", "rke2-server", ["systemctl", "restart", "rke2-server"]),
        ("podman", "crio", ["systemctl", "reload", "crio"]),
        ("buildkit", "buildkitd", ["systemctl", "restart", "buildkitd"]),
        ("docker", "docker", ["systemctl", "reload", "docker"]),
        ("caddy", "caddy", ["systemctl", "reload", "caddy"]),
    ],
)
def test_a_service_that_runs_takes_what_changed(client, unit, argv):
    plan = made(client, host=answer(active=[unit]))
    assert [(item["client"], item["who"], item["argv"]) for item in plan.activations] == [(client, client, argv)]
    assert plan.activations[0]["why"].startswith(f"{argv[1]} {client}: it ")
    assert plan.left == []


def test_a_command_of_ones_own_goes_before_the_unit():
    client = {"name": "caddy", "command": ["caddy", "reload"]}
    for active in ([], ["caddy"]):
        assert [item["argv"] for item in made(client, host=answer(active=active)).activations] == [["caddy", "reload"]]


@pytest.mark.parametrize("client", [name for name in ALL if name != "podman"])
def test_what_nobody_here_can_do_is_said(client):
    plan = made(client)
    assert plan.activations == []
    assert len(plan.left) == 1
    assert plan.left[0].startswith(f"{client}: no unit {USUAL[client].units[0]}")


def test_podman_itself_has_to_be_told_nothing():
    assert made("podman").left == []


def test_a_service_may_be_left_alone_and_that_is_said():
    plan = made({"name": "k3s", "activate": False}, host=answer(active=["k3s"]))
    assert plan.activations == []
    assert plan.left == ["k3s: restart it when it suits; it reads registries.yaml at its start only; pods run on"]


def test_a_file_that_is_read_at_each_pull_concerns_no_service():
    files = {CONFIG: ('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n', "0644")}
    plan = made("containerd", host=answer(files, active=["containerd"]))
    assert len(plan.changes) == 2
    assert plan.activations == []
    auth = after(made("buildkit", registry=LOGIN))
    renewed = made("buildkit", registry={**LOGIN, "password": "new"}, host=answer(auth, active=["buildkit"]))
    assert ([change.file.path for change in renewed.changes], renewed.activations) == (["~/.docker/config.json"], [])


@pytest.mark.parametrize("client", ["buildkit", "caddy"])
def test_an_authority_that_is_read_at_the_start_concerns_it(client):
    files = after(made(client, ca=PEM))
    plan = made(client, ca=PEM + PEM, host=answer(files, active=[client]))
    assert [change.file.content for change in plan.changes] == [PEM + PEM]
    assert len(plan.activations) == 1


def test_who_did_not_take_it_in_an_earlier_run_takes_it_now():
    files = after(made("containerd", "docker"))
    host = answer(files, active=["containerd", "docker"])
    plan = made("containerd", "docker", host=host, owed=["containerd"])
    assert (plan.changes, plan.who) == ([], ["containerd"])
    assert made("containerd", "docker", host=host, owed=["somebody else"]).who == []


# --- nodes


def node(runtime="containerd", name="", kept=None, **more):
    there = {path: {"content": coded(text), "mode": mode} for path, (text, mode) in (kept or {}).items()}
    config = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    files = {CONFIG: (config, "0644"), **more.pop("files", {})}
    return {**answer(files, **more), "node": name, "runtime": runtime, "folder": "/m/files", "kept": there}


def test_minikube_with_containerd_keeps_its_files_for_new_nodes_and_takes_them_at_once():
    plan = made("minikube", nodes=[[node(), node(name="m02")]], registry=LOGIN, ca=PEM)
    paths = [f"/etc/containerd/certs.d/{name}" for name in ("zot-ca.crt", "docker.io/hosts.toml", "ghcr.io/hosts.toml")]
    told = [(item["place"], item["node"], item["path"]) for item in (change.told() for change in plan.changes)]
    assert told == [(0, "", f"/m/files{path}") for path in paths] + [(1, name, path) for name in ("", "m02") for path in paths]
    assert [change.mode for change in plan.changes] == ["0644", "0600", "0600"] * 3
    assert (plan.activations, plan.left) == ([], [])
    assert [change.header for change in plan.changes[3::3]] == [f"minikube: {paths[0]}", f"m02: {paths[0]}"]


def test_minikube_that_is_stopped_gets_the_files_at_its_start():
    plan = made("minikube", nodes=[[{**node(), "node": None}]])
    assert [change.place for change in plan.changes] == [0, 0]
    assert plan.left == ["minikube: profile minikube is stopped; it takes the files at its next start"]


def test_minikube_with_docker_gets_its_daemons_file_merged_in_the_node():
    daemon = {DAEMON: ('{"log-driver":"json-file"}', "0644")}
    client = {"name": "minikube", "profile": "p", "program": "/mk"}
    plan = made(client, nodes=[[node("docker", files=daemon), node("docker", "m02", files=daemon)]])
    assert [(change.place, change.node, change.file.path, change.mode) for change in plan.changes] == [
        (1, "", DAEMON, "0644"),
        (1, "m02", DAEMON, "0644"),
    ]
    assert json.loads(plan.changes[0].file.content) == {"log-driver": "json-file", "registry-mirrors": [PROXY]}
    assert [item["argv"] for item in plan.activations] == [
        ["/mk", "-p", "p", "ssh", "--", "sudo", "systemctl", "reload", "docker"],
        ["/mk", "-p", "p", "ssh", "-n", "m02", "--", "sudo", "systemctl", "reload", "docker"],
    ]
    assert plan.who == ["minikube p", "minikube m02"]
    assert len(plan.left) == 1
    assert plan.left[0].startswith("minikube: run this again after each start of p")


def test_minikube_that_was_made_with_the_mirror_needs_nothing():
    plan = made("minikube", nodes=[[node("docker", dockerd=["--registry-mirror", PROXY])]])
    assert (plan.changes, plan.activations, plan.left) == ([], [], [])


def test_minikube_with_cri_o_has_podmans_files():
    plan = made("minikube", nodes=[[node("crio")]])
    assert [change.header for change in plan.changes] == [f"/m/files{CONF}", f"minikube: {CONF}"]
    assert [item["argv"][-4:] for item in plan.activations] == [["sudo", "systemctl", "reload", "crio"]]


@pytest.mark.parametrize(
    ("answers", "registry", "message"),
    [
        ([{**node("docker"), "node": None}], URL, "minikube: profile minikube is stopped, and its Docker's settings are in the node only"),
        ([node("crio")], LOGIN, "minikube: a login cannot be given to CRI-O"),
        ([node(CANARY)], URL, "minikube: profile minikube has a runtime that is none of containerd, cri-o, crio, docker"),
    ],
)
def test_what_minikube_cannot_take_is_refused(answers, registry, message):
    refused(message, "minikube", nodes=[answers], registry=registry)


def test_kinds_nodes_have_containerds_files_and_are_restarted_for_config_path_alone():
    nodes = [node(name="a"), node(name="b", files={CONFIG: ("version = 2\n", "0644")})]
    plan = made({"name": "kind", "engine": "podman"}, nodes=[nodes])
    assert [change.header for change in plan.changes][-1] == f"b: {CONFIG}"
    assert [len([change for change in plan.changes if change.node == name]) for name in "ab"] == [2, 3]
    assert [(item["who"], item["argv"]) for item in plan.activations] == [
        ("kind b", ["podman", "exec", "b", "systemctl", "restart", "containerd"])
    ]


def test_each_of_several_has_its_own_place():
    plan = made("podman", "kind", {"name": "minikube"}, nodes=[[node(name="k")], [node()]])
    assert {change.place for change in plan.changes if change.node == "k"} == {1}
    assert [change.place for change in plan.changes][-1] == 2
    assert {change.place for change in plan.changes} == {0, 1, 2}


# --- what people see


def shown(*clients, **more):
    return [diff_of(change) for change in made(*clients, **more).changes]


def test_an_own_file_is_shown_whole():
    (diff,) = shown(
        "podman",
        host=answer(
            {CONF: ("# Written by blumeops.zot from the upstreams of the registry. What is changed here is overwritten.\nold\n", "0644")}
        ),
    )
    assert diff["before"].endswith("old\n")
    assert 'location = "registry.test:5000/docker.io"' in diff["after"]
    assert diff["before_header"] == f"{CONF} (mode 0644)"


def test_of_others_settings_only_what_changes_is_shown():
    theirs = {"registry-mirrors": [URL], "proxies": {"https-proxy": f"http://u:{CANARY}@p"}}
    (diff,) = shown("docker", host=answer({DAEMON: (json.dumps(theirs), "0600")}))
    assert (yaml.safe_load(diff["before"]), yaml.safe_load(diff["after"])) == ({"registry-mirrors": [URL]}, {"registry-mirrors": [PROXY]})
    mirrors = {"registry-mirrors": [f"https://u:{CANARY}@other.test"]}
    assert CANARY not in json.dumps(shown("docker", host=answer({DAEMON: (json.dumps(mirrors), "0600")})))
    k3s = {"mirrors": {"quay.io": {"endpoint": [f"https://{CANARY}.test"]}, "docker.io": {"endpoint": [URL]}}}
    (diff,) = shown("k3s", host=answer({K3S: (yaml.safe_dump(k3s), "0600")}))
    assert yaml.safe_load(diff["before"]) == {"mirrors": {"docker.io": {"endpoint": [URL]}}}
    assert list(yaml.safe_load(diff["after"])["mirrors"]) == ["docker.io", "ghcr.io"]


@pytest.mark.parametrize("client", ALL)
def test_no_secret_is_shown_when_it_comes_changes_or_goes(client):
    login = made(client, registry=LOGIN)
    host = answer(after(login))
    for registry in (URL, {**LOGIN, "password": f"{CANARY}-new"}):
        told = json.dumps(shown(client, registry=registry, host=host))
        assert CANARY not in told
        assert base64.b64encode(f"node:{CANARY}".encode()).decode()[:12] not in told
    diffs = [diff_of(change) for change in login.changes]
    assert CANARY not in json.dumps(diffs)
    assert all(diff["before"] == "" and diff["after"] for diff in diffs)


def test_two_clients_have_their_parts_in_one_file():
    clients = [{"name": "podman"}, {"name": "podman", "path": "/etc/other.conf", "registry": "https://second.test"}]
    first = made(*clients, registry=LOGIN, upstreams=["docker.io"])
    auths = json.loads(contents(first)["~/.config/containers/auth.json"])["auths"]
    assert sorted(auths) == ["registry.test:5000/docker.io", "second.test/docker.io"]
    assert made(*clients, registry=LOGIN, upstreams=["docker.io"], host=answer(after(first))).changes == []


def test_two_clients_that_want_one_file_otherwise_are_refused_at_once():
    refused(
        "containerd: /etc/containerd/config.toml: config_path names another folder", "containerd", {"name": "containerd", "path": "/other"}
    )
    refused(
        "rke2: /r.yaml: mirrors.docker.io.endpoint is set",
        *({"name": name, "path": "/r.yaml", "registry": f"https://{name}.test"} for name in ("k3s", "rke2")),
    )


@pytest.mark.parametrize("client", ["k3s", "buildkit", "docker"])
def test_a_diff_does_not_depend_on_the_name_of_the_file(client):
    usual, named = made(client), made({"name": client, "path": "/etc/named"})
    assert [diff_of(change)["after"] for change in named.changes] == [diff_of(change)["after"] for change in usual.changes]


def test_the_diff_of_containerds_own_file_does_not_depend_on_its_name():
    (change,) = (change for change in made({"name": "containerd", "config_path": "/etc/cd"}).changes if change.header == "/etc/cd")
    assert "config_path: /etc/containerd/certs.d" in diff_of(change)["after"]


def test_files_that_containerd_imports_may_undo_it_and_that_is_told():
    text = 'imports = ["/etc/containerd/conf.d/*.toml"]\nversion = 2\n'
    first = made("containerd", host=answer({CONFIG: (text, "0644")}))
    assert "containerd: /etc/containerd/config.toml imports files, which are not looked at" in first.left[0]
    second = made("containerd", host=answer(after(first)))
    assert (second.changes, second.left) == ([], [])
    assert not any("imports" in left for left in made("containerd", host=answer({CONFIG: ("imports = []\nversion = 2\n", "0644")})).left)


def test_files_that_a_nodes_containerd_imports_are_told_with_its_name():
    there = answer({CONFIG: ('imports = ["x"]\nversion = 2\n', "0644")}, node="kind-worker")
    assert "kind kind-worker: /etc/containerd/config.toml imports files" in made("kind", nodes=[[there]]).left[0]


def test_a_login_in_a_file_that_everybody_may_read_is_not_shown_either():
    text = f'[host."{URL}".header]\nAuthorization = "Basic {CANARY}"\n'
    (change,) = (one for one in made("containerd", host=answer({HUB: (text, "0644")})).changes if one.header == HUB)
    assert diff_of(change)["before"] == "(a secret)\n"
    assert diff_of(change)["after"] == change.file.content
