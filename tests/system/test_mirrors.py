# SPDX-License-Identifier: GPL-3.0-or-later
"""Real clients, with the files that the collection makes for them, before a real zot, before another real registry that logs.

A bypass is a pull that works and that zot knows nothing of, so the upstream can be reached by the clients too: its images are named
by its own address. Of Docker Hub's names the upstream is reached by zot alone.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import sys
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._pulling import NAMESPACE
from ansible_collections.blumeops.zot.plugins.modules import zot_cache_check
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import files
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import image_of, registry_of, route, upstreams_of
from integration.playbook import CHECKOUT, Outcome, Play
from support.distribution import PROGRAM, Distribution
from support.modules import program, run_module
from support.oci import HttpClient, read_image
from support.programs import call, skip
from support.pullers import Caddy, Client, Containerd, Cri, Ctr, Docker, DockerDaemon, Podman, Resolver, Skopeo
from support.zot_binary import Serving, free_port, serving, write_htpasswd
from testbed import _common, golang

PROGRAMS = (PROGRAM, "containerd", "ctr", "podman", "skopeo", "dockerd", "openssl")
BUILT = ("crictl", "caddy", "resolver-1.7", "resolver-2")
USER, PASSWORD = "node", "canary-3f61b0-must-stay-secret"
_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    if reason := _common.missing(PROGRAMS):
        skip(reason)
    if reason := golang.absent(*BUILT):
        pytest.skip(reason)


@pytest.fixture(scope="module")
def lab() -> t.Iterator[Path]:
    """Not in pytest's folders: neither podman nor a socket takes a long path."""
    with tempfile.TemporaryDirectory(prefix="zot-m-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def upstream(lab: Path) -> t.Iterator[Distribution]:
    with Distribution(lab / "upstream", _common.sbin(PROGRAM)) as running:
        yield running


@dataclass
class Bed:
    """A zot that caches the upstream, twice: as Docker Hub, and under a name of its own. ``registry`` is how clients are told of it."""

    lab: Path
    upstream: Distribution
    zot: Serving
    registry: dict[str, t.Any]

    @property
    def upstreams(self) -> list[dict[str, str]]:
        return [{"name": "docker.io"}, {"name": "local", "url": self.upstream.url}]

    def image(self, host: str = "") -> str:
        """One that nobody ever pulled, of Docker Hub unless a host is named; without C(library/), which clients add."""
        name = f"app{next(_numbers)}"
        self.upstream.seed(f"library/{name}")
        return f"{host}/library/{name}:1" if host else f"docker.io/{name}:1"

    def made(self, client: str, folder: Path, **more: t.Any) -> Path:
        """The files of a client, as mirror_files makes them."""
        for file in files(client=client, upstreams=self.upstreams, registry=self.registry, path=str(folder), **more):
            path = Path(file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content)
            path.chmod(int(file.mode, 8))
        return folder

    def stored(self, image: str) -> bool:
        return (Path(self.zot.config["storage"]["rootDirectory"]) / repository_of(image, self)).is_dir()

    def check(self, client: Client, *images: str, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
        reached = registry_of(self.registry)
        known = upstreams_of(self.upstreams, reached)
        routes = [route(image_of(image), known, reached) for image in images]
        login = {key: self.registry[key] for key in ("username", "password") if key in self.registry}
        trust = {"ca_path": self.registry["ca"]} if "ca" in self.registry else {}
        return run_module(zot_cache_check.main, check, url=self.zot.url, routes=routes, **{**client.checked, **login, **trust, **more})


def repository_of(image: str, bed: Bed) -> str:
    reached = registry_of(bed.registry)
    return route(image_of(image), upstreams_of(bed.upstreams, reached), reached)["registry"].partition("/")[2]


def caching(upstream: Distribution, **http: t.Any) -> dict[str, t.Any]:
    # Without these zot waits longer and longer for an upstream that is down, up to 30 s for each request.
    patience = {"maxRetries": 1, "retryDelay": "100ms", "maxRetryDelay": "500ms"}
    registries = [
        {"urls": [upstream.url], "onDemand": True, "tlsVerify": False, "content": [{"prefix": "**", "destination": f"/{name}"}], **patience}
        for name in ("docker.io", "local")
    ]
    extensions = {"sync": {"registries": registries}, "search": {"enable": True}, "metrics": {"enable": True}}
    return {"http": http, "storage": {"gc": False}, "extensions": extensions}


@pytest.fixture(scope="module")
def bed(lab: Path, upstream: Distribution, real_zot: Path) -> t.Iterator[Bed]:
    with serving(real_zot, caching(upstream), lab / "zot") as zot:
        yield Bed(lab, upstream, zot, {"url": zot.url})


@pytest.fixture(scope="module")
def guarded(lab: Path, upstream: Distribution, real_zot: Path) -> t.Iterator[Bed]:
    """One with TLS by an authority of its own, that lets nobody read without a login."""
    cert, key = lab / "cert.pem", lab / "key.pem"
    names = ["-subj", "/CN=zot", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    _common.check(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, *names])
    htpasswd = write_htpasswd(lab / "htpasswd", {USER: PASSWORD})
    http = {"tls": {"cert": str(cert), "key": str(key)}, "auth": {"htpasswd": {"path": str(htpasswd)}}}
    with serving(real_zot, caching(upstream, **http), lab / "guarded") as zot:
        yield Bed(lab, upstream, zot, {"url": zot.url, "ca": str(cert), "username": USER, "password": PASSWORD})


# ---- the clients


class Host:
    """This machine as Ansible sees it, with the clients of the lab; ``role`` and ``checked`` run the role and the playbook."""

    def __init__(self, bed: Bed) -> None:
        lab = bed.lab
        self.containerd = Containerd(lab / "c", None)
        self.proxy_port = free_port()
        self.hosts_dir, self.conf, self.settings, self.site = lab / "certs.d", lab / "registries.conf", lab / "daemon.json", lab / "site"
        self.clients: list[dict[str, t.Any]] = [
            {"name": "containerd", "path": str(self.hosts_dir), "config_path": str(self.containerd.config)},
            {"name": "podman", "path": str(self.conf)},
            {"name": "docker", "path": str(self.settings)},
            {"name": "caddy", "path": str(self.site)},
        ]
        self._variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(lab / "remote"),
            "registry_mirror_registry": bed.zot.url,
            "registry_mirror_upstreams": bed.upstreams,
            "registry_mirror_proxy": f"http://127.0.0.1:{self.proxy_port}",
        }
        self._folder = lab
        self._play = lab / "role.yml"
        self._play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["blumeops.zot.registry_mirror"]}]))

    def role(self) -> Outcome:
        return self._run(self._play, [{**client, "activate": False} for client in self.clients])

    def checked(self, *clients: dict[str, t.Any], arguments: t.Sequence[str] = (), **more: t.Any) -> Outcome:
        return self._run(CHECKOUT / "playbooks" / "cache_check.yml", list(clients), *arguments, **more)

    def _run(self, playbook: Path, clients: list[dict[str, t.Any]], *arguments: str, **more: t.Any) -> Outcome:
        inventory = self._folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node": {**self._variables, "registry_mirror_clients": clients}}}}))
        play = Play(playbook, [inventory], self._folder / "controller", {"CONTAINERS_REGISTRIES_CONF": str(self.conf)})
        return play(*arguments, **more)


@pytest.fixture(scope="module")
def host(bed: Bed) -> Host:
    """Its clients have what the role gives them."""
    made = Host(bed)
    first, second = made.role(), made.role()
    assert (first.rc, second.rc) == (0, 0), first.stdout + second.stdout
    assert (first.changed, second.changed) == (1, 0)
    return made


@pytest.fixture(scope="module")
def daemon(host: Host) -> t.Iterator[Containerd]:
    with host.containerd as running:
        yield running


@pytest.fixture(scope="module")
def docker(lab: Path, host: Host, daemon: Containerd) -> t.Iterator[DockerDaemon]:
    """Behind the proxy."""
    proxy = Caddy(lab / "caddy", golang.build("caddy"), host.site.read_text(), host.proxy_port)
    with proxy, DockerDaemon(lab / "d", daemon, host.settings) as running:
        yield running


CLIENTS = ("crictl", "ctr", "resolver-1.7", "resolver-2", "podman", "skopeo", "docker")
CHECKED = tuple(name for name in CLIENTS if not name.startswith("resolver"))


@pytest.fixture
def client(request: pytest.FixtureRequest, host: Host, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(host.conf))  # for podman in the check
    return make_client(request, request.param, host)


def make_client(request: pytest.FixtureRequest, name: str, host: Host) -> Client:
    if name == "docker":
        return Docker(request.getfixturevalue("docker"))
    if name in ("podman", "skopeo"):
        return (Podman if name == "podman" else Skopeo)(request.getfixturevalue("lab") / f"{name}-of-its-own", host.conf)
    if name.startswith("resolver"):
        return Resolver(golang.build(name), host.hosts_dir)
    daemon = request.getfixturevalue("daemon")
    return Cri(daemon, golang.build("crictl"), host.hosts_dir) if name == "crictl" else Ctr(daemon, host.hosts_dir)


@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_the_upstream_is_asked_once(bed: Bed, client: Client) -> None:
    image = bed.image()
    upstream_name = repository_of(image, bed).removeprefix("docker.io/")
    assert (client.pull(image).ok, bed.stored(image)) == (True, True)
    assert len(bed.upstream.blobs(upstream_name)) == 2  # a configuration and a layer
    assert client.pull(image).ok
    assert len(bed.upstream.blobs(upstream_name)) == 2


@pytest.mark.parametrize("client", CHECKED, indirect=True)
def test_the_check_proves_what_comes_through_and_leaves_nothing(bed: Bed, client: Client, daemon: Containerd, scratch: Path) -> None:
    image, before = bed.image(), daemon.images
    foreseen = bed.check(client, image, check=True)
    assert (foreseen["changed"], foreseen["cached"], bed.stored(image)) == (False, None, False)
    assert f"would pull {image_of(image).name} with {client.name}" in foreseen["msg"]
    first, second = bed.check(client, image), bed.check(client, image)
    assert (first.get("msg"), first["cached"], first["proof"], first["left"]) == (first["msg"], True, "fetched", "")
    assert (second["cached"], second["proof"], second["program"]) == (True, "served", client.name)
    assert second["requests"] >= 3
    assert (daemon.images, NAMESPACE in call("ctr", "-a", daemon.address, "namespaces", "ls", "-q").stdout) == (before, False)
    assert list(scratch.iterdir()) == []


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """Where temporary folders are made; podman takes no long path."""
    with tempfile.TemporaryDirectory(prefix="zot-s-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


# ---- the playbook


def test_the_playbook_tells_of_every_client_and_leaves_nothing(bed: Bed, host: Host, daemon: Containerd, docker: DockerDaemon) -> None:
    containerd, podman, _docker, caddy = host.clients
    by_cri = {**containerd, "check_command": Cri(daemon, golang.build("crictl"), host.hosts_dir).command}
    by_ctr = {**containerd, "check_command": Ctr(daemon, host.hosts_dir).command}
    clients = [by_cri, by_ctr, podman, {"name": "docker", "check_command": Docker(docker).command}, caddy]
    images, before = [bed.image()], daemon.images
    foreseen = host.checked(*clients, arguments=["--check"], cache_check_images=images)
    assert (foreseen.changed, bed.stored(images[0])) == (0, False)
    assert foreseen.stdout.count("would pull ") == 4
    done = host.checked(*clients, cache_check_images=images)
    assert (done.changed, daemon.images) == (0, before), done.stdout
    words = [re.sub(" +", " ", line).strip() for line in done.stdout.splitlines()]
    through = [line.split()[:2] for line in words if "came through the registry" in line]
    assert through == [[client["name"], "yes"] for client in clients if client != caddy]
    assert sum("fetched it and was asked" in line for line in words) == 1
    assert "caddy - is not asked: it pulls nothing by itself, or only for builds" in words


def test_the_playbook_reaches_into_nodes(bed: Bed, host: Host, daemon: Containerd, tmp_path: Path) -> None:
    """Of minikube and kind nothing is here but the way into a node; the node is this machine."""
    crictl = " ".join(Cri(daemon, golang.build("crictl"), host.hosts_dir).command)
    minikube = program(tmp_path / "minikube", f'[ "$*" != "${{*#-p home ssh -- sudo crictl }}" ] || exit 9; shift 6; exec {crictl} "$@"')
    docker = program(tmp_path / "docker", f'[ "$*" != "${{*#exec c1-control-plane crictl }}" ] || exit 9; shift 3; exec {crictl} "$@"')
    nodes = [
        {"name": "minikube", "program": str(minikube), "profile": "home", "registry": bed.zot.url},
        {"name": "kind", "engine": str(docker), "cluster": "c1"},
    ]
    done = host.checked(*nodes, cache_check_images=[bed.image()])
    assert (done.rc, len(re.findall(r"(?:minikube|kind) +yes ", done.stdout))) == (0, 2), done.stdout


def test_the_playbook_fails_with_the_reason_of_each_client(bed: Bed, host: Host, daemon: Containerd, tmp_path: Path) -> None:
    hosts_dir = past(bed, tmp_path / "certs.d", PATHLESS)
    by_ctr = {**host.clients[0], "path": str(hosts_dir), "check_command": Ctr(daemon, hosts_dir).command}
    done = host.checked(by_ctr, host.clients[1], cache_check_images=[bed.image(bed.upstream.authority)])
    assert (done.rc, done.recap("failed")) == (2, 1)
    assert re.search(r"containerd +NO +.*it was pulled past the registry: .*without a path, where zot answers 404", done.stdout), (
        done.stdout
    )
    assert re.search(r"podman +yes ", done.stdout)
    nobody = host.checked()
    assert (nobody.rc, "so nothing would be proved" in nobody.stdout) == (2, True), nobody.stdout


# ---- TLS by an authority of its own, and a login


@pytest.mark.parametrize("name", ["ctr", "crictl", "resolver-1.7", "resolver-2", "podman", "skopeo"])
def test_an_authority_of_its_own_and_a_login(guarded: Bed, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = guarded.image()
    with contextlib.ExitStack() as stack:
        if name in ("podman", "skopeo"):
            client = with_login(guarded, name, tmp_path, monkeypatch)
        else:
            hosts_dir = guarded.made("containerd", tmp_path / "certs.d")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zot-c-")))
            if name.startswith("resolver"):
                client = Resolver(golang.build(name), hosts_dir)
            else:
                daemon = stack.enter_context(Containerd(folder, hosts_dir))
                client = Ctr(daemon, hosts_dir) if name == "ctr" else Cri(daemon, golang.build("crictl"), hosts_dir)
        pulled = client.pull(image)
        assert (pulled.ok, guarded.stored(image)) == (True, True), pulled.said
        if not client.checked:
            return
        told = guarded.check(client, guarded.image())
        assert (told["cached"], told["proof"]) == (True, "fetched"), told["msg"]
        stranger = guarded.check(client, guarded.image(), username="", password="")
        assert "answers 401" in stranger["msg"] and "lets nobody read without a login" in stranger["msg"]
        trustless = guarded.check(client, guarded.image(), ca_path=None)
        assert "its certificate is not trusted on this host" in trustless["msg"]
        assert PASSWORD not in json.dumps([told, stranger, trustless])


def test_docker_by_a_proxy_that_has_the_login(guarded: Bed, daemon: Containerd, tmp_path: Path) -> None:
    port = free_port()
    proxy = f"http://127.0.0.1:{port}"
    site = guarded.made("caddy", tmp_path / "site", proxy=proxy)
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"registry-mirrors": [proxy]}))
    with (
        tempfile.TemporaryDirectory(prefix="zot-d-") as folder,
        Caddy(tmp_path / "caddy", golang.build("caddy"), site.read_text(), port),
        DockerDaemon(Path(folder), daemon, settings) as running,
    ):
        told = guarded.check(Docker(running), guarded.image())
        assert (told["cached"], told["proof"]) == (True, "fetched"), told["msg"]


def with_login(bed: Bed, name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """podman and skopeo keep logins in a file of their own, and authorities in folders named by the registry."""
    authority = registry_of(bed.registry).authority
    trusted = home / ".config" / "containers" / "certs.d" / authority / "ca.crt"
    trusted.parent.mkdir(parents=True)
    trusted.write_text(Path(bed.registry["ca"]).read_text())
    auth, conf = home / "auth.json", home / "registries.conf"
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    auth.write_text(json.dumps({"auths": {authority: {"auth": login}}}))
    files_of = files(client="podman", upstreams=bed.upstreams, registry={"url": bed.zot.url}, path=str(conf))
    conf.write_text(next(file.content for file in files_of if file.path == str(conf)))
    for key, value in {"HOME": home, "REGISTRY_AUTH_FILE": auth, "CONTAINERS_REGISTRIES_CONF": conf}.items():
        monkeypatch.setenv(key, str(value))
    return (Podman if name == "podman" else Skopeo)(bed.lab / f"{name}-with-login", conf)


# ---- clients that go past it


PATHLESS = 'server = "{server}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'
RIGHT = 'server = "{server}"\n[host."{url}/v2/local"]\ncapabilities = ["pull", "resolve"]\noverride_path = true\n'
BROKEN = {
    "no path": (PATHLESS, "names the registry without a path, where zot answers 404"),
    "no override_path": (RIGHT.replace("override_path = true\n", ""), "override_path = true is missing"),
    "a misspelt capability": (RIGHT.replace('"resolve"', '"reslove"'), "have a word that is none of pull, resolve and push"),
    "a slip in TOML": (RIGHT.replace('"resolve"]', '"resolve"'), "is no valid TOML (line "),
    "resolves alone": (RIGHT.replace('"pull", ', ""), "capabilities are not both pull and resolve"),
    "another registry": (RIGHT.replace("{url}", "http://127.0.0.1:1"), "does not name the registry"),
    "another scheme": (RIGHT.replace('"{url}', '"{https}'), "names the registry with another scheme than http://"),
}


def past(bed: Bed, folder: Path, text: str) -> Path:
    """containerd's folder with this C(hosts.toml) for the upstream."""
    path = folder / bed.upstream.authority / "hosts.toml"
    path.parent.mkdir(parents=True)
    https = bed.zot.url.replace("http:", "https:")
    path.write_text(text.format(server=bed.upstream.url, url=bed.zot.url, https=https))
    return folder


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["ctr", "crictl"])
def test_a_bypass_of_containerd_is_caught_with_its_reason(bed: Bed, name: str, kind: str, tmp_path: Path) -> None:
    text, reason = BROKEN[kind]
    hosts_dir = past(bed, tmp_path / "certs.d", text)
    with tempfile.TemporaryDirectory(prefix="zot-c-") as folder, Containerd(Path(folder), hosts_dir) as daemon:
        client: t.Any = Ctr(daemon, hosts_dir) if name == "ctr" else Cri(daemon, golang.build("crictl"), hosts_dir)
        image = bed.image(bed.upstream.authority)
        pulled = client.pull(image)
        assert pulled.ok, pulled.said  # nobody would notice
        told = bed.check(client, bed.image(bed.upstream.authority))
        assert (told["failed"], told["cached"]) == (True, False)
        assert reason in told["msg"], told["msg"]
        assert "it was pulled past the registry" in told["msg"]
        assert daemon.images == {one for one in daemon.images if image in one or "sha256:" in one or "pause" in one}


def test_containerd_that_does_not_look_for_mirrors_is_caught(bed: Bed, lab: Path) -> None:
    with Containerd(lab / "n", None) as other:
        cri, ctr = Cri(other, golang.build("crictl"), lab / "certs.d"), Ctr(other, lab / "certs.d")
        bed.made("containerd", lab / "certs.d")
        told = bed.check(cri, bed.image(bed.upstream.authority))
        assert "config_path in containerd's configuration names no folder" in told["msg"], told["msg"]
        # ctr is told the folder, and so would not notice.
        told = bed.check(ctr, bed.image())
        assert (told["cached"], "CRI does not look into" in told["msg"]) == (False, True)


@pytest.mark.parametrize("name", ["podman", "skopeo"])
@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        ('location = "{zot}"\ninsecure = true', "names the registry without its path, where zot answers 404"),
        ('location = "{zot}/local"', "the registry speaks http, and its mirror is not insecure = true"),
        ('location = "127.0.0.1:1/local"\ninsecure = true', "has no mirror at"),
    ],
)
def test_a_bypass_of_podman_and_skopeo_is_caught(
    bed: Bed, name: str, mirror: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = tmp_path / "registries.conf"
    authority = bed.upstream.authority
    text = mirror.format(zot=registry_of(bed.registry).authority)
    conf.write_text(f'[[registry]]\nprefix = "{authority}"\nlocation = "{authority}"\ninsecure = true\n[[registry.mirror]]\n{text}\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    told = bed.check((Podman if name == "podman" else Skopeo)(bed.lab / "past", conf), bed.image(authority))
    assert (told["failed"], told["cached"], reason in told["msg"]) == (True, False, True), told["msg"]
    assert "it was pulled past the registry" in told["msg"]


@pytest.mark.parametrize(
    ("mirrors", "reason"),
    [([], "the Docker daemon has no registry-mirrors"), (["{zot}"], "registry-mirrors names the registry itself, where zot answers 404")],
)
def test_docker_without_the_proxy_is_caught(bed: Bed, daemon: Containerd, mirrors: list[str], reason: str, tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"registry-mirrors": [url.format(zot=bed.zot.url) for url in mirrors]}))
    with tempfile.TemporaryDirectory(prefix="zot-d-") as folder, DockerDaemon(Path(folder), daemon, settings) as running:
        told = bed.check(Docker(running), bed.image())
        assert (told["cached"], reason in told["msg"]) == (False, True), told["msg"]
        elsewhere = bed.check(Docker(running), bed.image(bed.upstream.authority))
        assert "Docker's mirrors are for docker.io alone" in elsewhere["msg"]


# ---- images with which nothing can be proved


@pytest.mark.parametrize("client", ["crictl", "ctr", "docker"], indirect=True)
def test_an_image_that_the_client_has_is_left_alone_and_the_next_is_taken(bed: Bed, client: Client, daemon: Containerd) -> None:
    theirs = bed.image()
    assert client.pull(theirs).ok
    before = daemon.images
    told = bed.check(client, theirs)
    assert "has every one of these images already, so a pull would prove nothing" in told["msg"]
    told = bed.check(client, theirs, bed.image())
    assert told["cached"] is True
    assert told["image"] != image_of(theirs).name
    assert daemon.images == before


@pytest.mark.parametrize("client", ["crictl", "ctr"], indirect=True)
def test_content_that_the_client_has_under_another_name_is_no_bypass(bed: Bed, client: Client, daemon: Containerd) -> None:
    theirs = bed.image()
    other = theirs.replace(":1", ":same")
    image = read_image(bed.upstream.folder / "seeds" / "library" / theirs.partition("/")[2].partition(":")[0] / "1")
    assert HttpClient().push(bed.upstream.url, repository_of(theirs, bed).removeprefix("docker.io/"), "same", image=image).ok
    assert client.pull(theirs).ok
    before = daemon.images
    told = bed.check(client, other)
    assert (told["failed"], told["cached"]) == (True, None), told
    assert "it had the image's content under another name" in told["msg"]
    assert before <= daemon.images  # nothing of theirs went with it


@pytest.mark.parametrize("name", ["resolver-1.7", "resolver-2"])
def test_later_releases_of_containerd_go_past_a_mirror_without_its_path_too(bed: Bed, name: str, tmp_path: Path) -> None:
    image = bed.image(bed.upstream.authority)
    for kind in ("no path", "a misspelt capability", "a slip in TOML"):
        client = Resolver(golang.build(name), past(bed, tmp_path / kind.replace(" ", "-"), BROKEN[kind][0]))
        pulled = client.pull(image)
        assert (pulled.ok, bed.stored(image)) == (True, False), pulled.said


# ---- the upstream is gone


def test_what_was_pulled_once_comes_without_the_upstream(bed: Bed, host: Host, request: pytest.FixtureRequest) -> None:
    clients = [make_client(request, name, host) for name in CLIENTS]
    images = [bed.image() for _ in clients]
    for client, image in zip(clients, images):
        assert client.pull(image).ok
    checked = bed.image()
    bed.check(clients[-2], checked)
    with bed.upstream.stopped(), ThreadPoolExecutor(len(clients)) as pool:
        pulled = list(pool.map(lambda pair: pair[0].pull(pair[1]), zip(clients, images)))
        assert [one.said for one in pulled if not one.ok] == []
        assert bed.check(clients[-2], checked)["proof"] == "served"
        absent = bed.check(clients[-2], "docker.io/absent:1")
        assert "answers 404: registry-1.docker.io has no such image, is down, or refuses zot" in absent["msg"]
