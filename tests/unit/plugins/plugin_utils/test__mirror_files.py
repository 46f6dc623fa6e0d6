# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file is parsed back by a parser of its format."""

from __future__ import annotations

import base64
import json
import re

import pytest
import tomllib
import yaml
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import CLIENTS, MARK, auth_file, files, needs_no_config
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_formats import toml
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import registry_of

CANARY = "canary-3c9f"
URL = "https://registry.test:5000"
AT = "registry.test:5000"
NAMES = ["docker.io", "ghcr.io"]
LOGIN = {"url": URL, "username": "node", "password": f'{CANARY}"\\: #ö'}
K3S, CONFIG, BUILDKIT, DAEMON = (CLIENTS[name][1] for name in ("k3s", "containerd_config", "buildkit", "docker"))


def made(client, registry=URL, upstreams=NAMES, **more):
    return files(client, upstreams, registry, **more)


def one(client, *args, **more):
    (file,) = made(client, *args, **more)
    return file


def refused(message, call, *args, **more):
    with pytest.raises(ZotError) as raised:
        call(*args, **more)
    assert message in raised.value.message
    assert CANARY not in raised.value.message


@pytest.mark.parametrize("client", CLIENTS)
def test_without_an_upstream_there_is_nothing_to_write(client):
    refused("there is none", made, client, upstreams=[], proxy="https://hub.test")


def test_an_unknown_client_is_refused():
    refused("client: one of buildkit, caddy, containerd, containerd_config, docker, k3s, podman, rke2", made, CANARY)


# --- containerd


def test_containerd_gets_the_whole_path_and_takes_it_as_it_is():
    hub, other = made("containerd")
    assert hub.path == "/etc/containerd/certs.d/docker.io/hosts.toml"
    assert tomllib.loads(hub.content) == {
        "server": "https://registry-1.docker.io",
        "host": {f"{URL}/v2/docker.io": {"capabilities": ["pull", "resolve"], "override_path": True}},
    }
    assert other.path == "/etc/containerd/certs.d/ghcr.io/hosts.toml"
    assert tomllib.loads(other.content)["server"] == "https://ghcr.io"
    assert hub.mode == "0644"


def test_an_upstream_of_another_name_has_the_folder_of_its_host():
    file = one("containerd", upstreams=[{"name": "up", "url": "http://up.test:5000"}], path="/certs/")
    assert file.path == "/certs/up.test:5000/hosts.toml"
    assert list(tomllib.loads(file.content)["host"]) == [f"{URL}/v2/up"]


@pytest.mark.parametrize("trust", [{"ca": "/etc/ssl/home.pem"}, {"skip_verify": True}])
def test_containerd_is_told_whom_to_trust(trust):
    (host,) = tomllib.loads(one("containerd", {"url": URL, **trust}, ["ghcr.io"]).content)["host"].values()
    assert {key: host.get(key) for key in ("ca", "skip_verify") if key in host} == trust


def test_containerds_login_is_a_header_and_makes_the_file_a_secret():
    file = one("containerd", LOGIN, ["ghcr.io"])
    (host,) = tomllib.loads(file.content)["host"].values()
    kind, _space, value = host["header"]["authorization"].partition(" ")
    assert (kind, base64.b64decode(value).decode()) == ("Basic", f"node:{LOGIN['password']}")
    assert file.mode == "0600"


@pytest.mark.parametrize(("client", "path"), [("containerd", "/c/ghcr.io/hosts.toml"), ("podman", "/c"), ("caddy", "/c")])
def test_a_file_that_somebody_else_wrote_is_refused_and_our_own_is_not(client, path):
    given = {"upstreams": ["docker.io", "ghcr.io"], "path": "/c", "proxy": "https://hub.test"}
    refused(f"{path} is there already", made, client, existing={path: f"# {CANARY}\n"}, **given)
    fresh = made(client, **given)
    assert made(client, existing={path: f"{MARK}old"}, **given) == fresh
    assert made(client, existing={path: "\n"}, **given) == fresh
    unmarked = {file.path: file.content for file in fresh}
    assert made(client, existing=unmarked, **given) == fresh


PLUGINS = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}


@pytest.mark.parametrize("version", PLUGINS)
def test_config_path_is_in_the_table_of_the_configurations_version(version):
    file = one("containerd_config", config_version=version)
    expected = {"version": version, "plugins": {PLUGINS[version]: {"registry": {"config_path": "/etc/containerd/certs.d"}}}}
    assert tomllib.loads(file.content) == expected
    assert one("containerd_config", existing={CONFIG: file.content}).content == file.content
    assert one("containerd_config", existing={CONFIG: f"version = {version}"}).content == file.content


@pytest.mark.parametrize(
    "body",
    [
        '# mine\n[plugins."{0}"]\nsandbox_image = "p"\n',
        '[plugins."{0}".registry]\nconfig_path = ""\n[plugins."{0}".registry.headers]\nA = ["b"]\n',
        "[plugins.'{0}'.registry]\n  config_path = ''\n\n[debug]\nlevel = \"info\"\n",
        '[plugins."{0}".registry] # ours\n[plugins."{0}".registry.mirrors]\n[other]\nconfig_path = ""\n',
        '[plugins."{0}".registry]',
        '[plugins."{0}".registry.configs."a.test".auth]\nusername = "x"\n',
    ],
)
@pytest.mark.parametrize("version", PLUGINS)
def test_config_path_is_added_and_all_else_stays(version, body):
    before = f"version = {version}\n" + body.replace("{0}", PLUGINS[version])
    after = one("containerd_config", existing={CONFIG: before}).content
    tree = tomllib.loads(after)
    assert tree["plugins"][PLUGINS[version]]["registry"].pop("config_path") == "/etc/containerd/certs.d"
    was = tomllib.loads(before)
    was["plugins"][PLUGINS[version]].setdefault("registry", {}).pop("config_path", None)
    assert tree == was
    assert re.findall("#.*", before) == re.findall("#.*", after)
    assert one("containerd_config", existing={CONFIG: after}).content == after


def test_a_config_path_of_several_folders_will_do():
    text = 'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d:/etc/docker/certs.d"\n'
    assert one("containerd_config", existing={CONFIG: text}).content == text


TABLE = '[plugins."io.containerd.grpc.v1.cri".registry'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give config_version"),
        ("[debug]\n", "rewrite it for version 2 first"),
        ("version = 1\n", "rewrite it for version 2 first"),
        ("version = []\n", "rewrite it for version 2 first"),
        (f"version = 2\n{TABLE}]\nconfig_path = '/{CANARY}'\n", "config_path names another folder"),
        (f"version = 2\n{TABLE}]\nconfig_path = 7\n", "config_path names another folder"),
        (f"version = 2\n{TABLE}.mirrors.'a.io']\nendpoint = ['{CANARY}']\n", "containerd refuses config_path"),
        (f"version = 2\n{TABLE}.configs.'a.io'.tls]\nca_file = '{CANARY}'\n", "containerd refuses config_path"),
        (f"version = 2\n{CANARY}", "is no valid TOML"),
        (f"version = 2\nplugins = {{'{CANARY}' = 1}}\n", "is written in a way that cannot be added to"),
        (f'version = 2\n{TABLE}]\nconfig_path = """"""\n', "is written in a way that cannot be added to"),
    ],
)
def test_a_containerd_configuration_that_contradicts_is_refused(text, message):
    refused(f"{CONFIG}", made, "containerd_config", existing={CONFIG: text})
    refused(message, made, "containerd_config", existing={CONFIG: text})


# --- k3s, rke2


def mirrors_of(text):
    return {name: mirror["endpoint"] for name, mirror in yaml.safe_load(text)["mirrors"].items()}


@pytest.mark.parametrize("client", ["k3s", "rke2"])
def test_k3s_gets_an_endpoint_with_the_path(client):
    file = one(client)
    assert (file.path, file.mode) == (f"/etc/rancher/{client}/registries.yaml", "0600")
    assert yaml.safe_load(file.content) == {
        "mirrors": {"docker.io": {"endpoint": [f"{URL}/v2/docker.io"]}, "ghcr.io": {"endpoint": [f"{URL}/v2/ghcr.io"]}}
    }


def test_k3s_keeps_login_and_trust_under_the_registrys_host():
    tree = yaml.safe_load(one("k3s", {**LOGIN, "ca": "/ca.pem"}).content)
    auth = {"username": "node", "password": LOGIN["password"]}
    assert tree["configs"] == {AT: {"tls": {"ca_file": "/ca.pem"}, "auth": auth}}
    assert yaml.safe_load(one("k3s", {"url": URL, "skip_verify": True}).content)["configs"] == {AT: {"tls": {"insecure_skip_verify": True}}}


THEIRS = """# kept until something changes
mirrors:
  '*': {endpoint: ['https://any.test']}
  docker.io: {endpoint: ['https://registry.test:5000'], extra: 1}
configs:
  any.test: {auth: {username: a, password: b}}
  registry.test:5000: {auth: {username: node, password: old}, tls: {cert_file: /c}}
other: [1]
"""


def test_k3s_keeps_what_is_not_ours_and_replaces_the_bare_root():
    text = one("k3s", {**LOGIN, "ca": "/ca.pem"}, existing={K3S: THEIRS}).content
    tree, was = yaml.safe_load(text), yaml.safe_load(THEIRS)
    was["mirrors"]["docker.io"]["endpoint"] = [f"{URL}/v2/docker.io"]
    was["mirrors"]["ghcr.io"] = {"endpoint": [f"{URL}/v2/ghcr.io"]}
    was["configs"][AT] = {"auth": {"username": "node", "password": LOGIN["password"]}, "tls": {"cert_file": "/c", "ca_file": "/ca.pem"}}
    assert tree == was
    assert one("k3s", {**LOGIN, "ca": "/ca.pem"}, existing={K3S: text}).content == text


def test_k3s_text_stays_as_it_is_where_nothing_changes():
    text = f"# mine\nmirrors: {{docker.io: {{endpoint: ['{URL}/v2/docker.io']}}}}\n"
    assert one("k3s", URL, ["docker.io"], existing={K3S: text}).content == text


@pytest.mark.parametrize(
    ("text", "registry", "message"),
    [
        (f"mirrors: {{ghcr.io: {{endpoint: ['https://{CANARY}']}}}}", URL, "mirrors.ghcr.io.endpoint is set already"),
        (f"mirrors: {{ghcr.io: {{endpoint: {CANARY}}}}}", URL, "mirrors.ghcr.io.endpoint is set already"),
        (f"mirrors: {{ghcr.io: {{rewrite: {{a: {CANARY}}}}}}}", URL, "mirrors.ghcr.io.rewrite is set already"),
        (f"mirrors: [{CANARY}]", URL, "mirrors is set already, and it is no mapping"),
        (f"mirrors: {{ghcr.io: {CANARY}}}", URL, "ghcr.io is set already, and it is no mapping"),
        (f"configs: {{'{AT}': {{auth: {{username: {CANARY}, password: b}}}}}}", LOGIN, f"configs.{AT}.auth is set already"),
        (f"configs: {{'{AT}': {{auth: {{username: node, auth: {CANARY}}}}}}}", LOGIN, f"configs.{AT}.auth is set already"),
        (f"configs: {{'{AT}': {{tls: {{ca_file: /{CANARY}}}}}}}", {"url": URL, "ca": "/ca"}, f"configs.{AT}.tls is set already"),
        (f"configs: {{'{AT}': {{tls: {{insecure_skip_verify: true}}}}}}", {"url": URL, "ca": "/ca"}, f"configs.{AT}.tls is set already"),
        (f"mirrors: {{}}\nmirrors: {{{CANARY}: 1}}", URL, "has a key twice"),
        (f"- {CANARY}", URL, "is no mapping"),
        (f"{{{CANARY}", URL, "is no valid YAML"),
        (f"a: !!python/name:{CANARY} b", URL, "is no valid YAML"),
    ],
)
def test_a_k3s_file_that_contradicts_is_refused(text, registry, message):
    refused(message, made, "k3s", registry, existing={K3S: text})


# --- podman and its kin


def test_podman_gets_locations_without_a_scheme():
    tree = tomllib.loads(one("podman").content)
    assert tree["registry"][0] == {"prefix": "docker.io", "location": "docker.io", "mirror": [{"location": f"{AT}/docker.io"}]}
    assert [(entry["prefix"], entry["mirror"]) for entry in tree["registry"]][1] == ("ghcr.io", [{"location": f"{AT}/ghcr.io"}])


@pytest.mark.parametrize("registry", ["http://r.test", {"url": "https://r.test", "skip_verify": True}])
def test_podmans_mirrors_say_each_that_they_are_insecure(registry):
    for entry in tomllib.loads(one("podman", registry).content)["registry"]:
        assert entry["mirror"][0]["insecure"] is True
        assert "insecure" not in entry


def test_podman_may_ask_an_upstream_over_http_that_is_there_over_http():
    (entry,) = tomllib.loads(one("podman", upstreams=[{"name": "up", "url": "http://up.test"}]).content)["registry"]
    assert entry == {"prefix": "up.test", "location": "up.test", "insecure": True, "mirror": [{"location": f"{AT}/up"}]}


def test_podman_says_where_it_wants_logins_and_authorities():
    refused(f"podman login {AT}", made, "podman", LOGIN)
    refused(f"/etc/containers/certs.d/{AT}/ca.crt", made, "podman", {"url": URL, "ca": "/ca.pem"})


# --- BuildKit


@pytest.mark.parametrize(
    ("registry", "options"),
    [
        ("http://r.test", {"http": True}),
        ({"url": "https://r.test", "skip_verify": True}, {"insecure": True}),
        ({"url": "https://r.test", "ca": "/ca.pem"}, {"ca": ["/ca.pem"]}),
        ("https://r.test", None),
    ],
)
def test_buildkits_options_are_under_the_mirrors_host(registry, options):
    tree = tomllib.loads(one("buildkit", registry).content)["registry"]
    assert tree.pop("r.test", None) == options
    assert tree == {"docker.io": {"mirrors": ["r.test/docker.io"]}, "ghcr.io": {"mirrors": ["r.test/ghcr.io"]}}


def test_buildkits_file_is_added_to_and_left_alone_when_complete():
    before = f'debug = true # mine\n[registry."docker.io"]\nmirrors = ["{AT}/docker.io"]\nhttp = false\n[registry."x.io"]\nhttp = true\n'
    after = one("buildkit", existing={BUILDKIT: before}).content
    assert after.startswith(before)
    was = tomllib.loads(before)
    was["registry"]["ghcr.io"] = {"mirrors": [f"{AT}/ghcr.io"]}
    assert tomllib.loads(after) == was
    assert one("buildkit", existing={BUILDKIT: after}).content == after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'[registry."ghcr.io"]\nmirrors = ["{CANARY}"]\n', 'registry."ghcr.io" is set already'),
        ('[registry."ghcr.io"]\nhttp = true\n', 'registry."ghcr.io" is set already'),
        (f"registry = {{'{CANARY}' = {{}}}}\n", "add this to it yourself"),
        (f"{CANARY}", "is no valid TOML"),
    ],
)
def test_a_buildkit_file_that_contradicts_is_refused(text, message):
    refused(message, made, "buildkit", existing={BUILDKIT: text})


def test_buildkit_says_where_it_wants_logins():
    refused(f"docker login {AT}", made, "buildkit", LOGIN)


# --- Docker and the proxy that it needs

HUB = {"proxy": "https://hub.test"}


def test_docker_alone_is_refused_with_the_reason():
    refused("Docker's registry-mirrors cannot carry a path", made, "docker")
    refused("caddy: give proxy", made, "caddy")


@pytest.mark.parametrize("client", ["docker", "caddy"])
def test_dockers_mirror_is_for_docker_hub_alone_and_elsewhere_than_the_registry(client):
    refused("docker.io is not among them", made, client, upstreams=["ghcr.io"], **HUB)
    refused("proxy is the registry itself", made, client, proxy=f"http://{AT}")
    refused("proxy has to be", made, client, proxy=f"https://hub.test/{CANARY}")
    refused("proxy has to be", made, client, proxy=f"https://hub.test {{{CANARY}")


def test_dockers_other_settings_stay():
    before = json.dumps({"debug": True, "registry-mirrors": ["https://other.test", f"{URL}/"], "log-opts": {"tag": "ö"}})
    file = one("docker", existing={DAEMON: before}, **HUB)
    expected = {"debug": True, "registry-mirrors": ["https://hub.test", "https://other.test"], "log-opts": {"tag": "ö"}}
    assert json.loads(file.content) == expected
    assert list(json.loads(file.content)) == list(expected)
    assert json.loads(one("docker", **HUB).content) == {"registry-mirrors": ["https://hub.test"]}


@pytest.mark.parametrize("url", ["https://hub.test", "https://hub.test/"])
def test_dockers_text_stays_as_it_is_where_nothing_changes(url):
    text = f'{{"registry-mirrors":["{url}"]}}'
    assert one("docker", existing={DAEMON: text}, **HUB).content == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"registry-mirrors": "{CANARY}"}}', "registry-mirrors is set already"),
        (f'{{"registry-mirrors": [["{CANARY}"]]}}', "registry-mirrors is set already"),
        (f'{{"a": 1, "a": "{CANARY}"}}', "has a key twice"),
        (f"{{{CANARY}", "is no valid JSON"),
        (f'["{CANARY}"]', "is no mapping"),
    ],
)
def test_a_daemons_file_that_contradicts_is_refused(text, message):
    refused(message, made, "docker", existing={DAEMON: text}, **HUB)


class Site:
    """As much of Caddy as the site uses: tokens of a line, blocks, one matcher and one rewrite."""

    def __init__(self, text):
        stack = [[]]
        for line in text.splitlines():
            words = [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', line.partition("#")[0])]
            if words == ["}"]:
                block = stack.pop()
                stack[-1][-1].append(block)
            elif words and words[-1] == "{":
                stack[-1].append(words[:-1])
                stack.append([])
            elif words:
                stack[-1].append(words)
        (only,) = stack
        ((self.address, self.lines),) = only

    def line(self, *start):
        (found,) = [words for words in self.lines if words[: len(start)] == list(start)]
        return found[len(start) :]

    def rewritten(self, path):
        name, pattern = self.line("@image", "path_regexp")
        match = re.search(pattern, path)
        (target,) = self.line("rewrite", "@image")
        return target.replace(f"{{re.{name}.1}}", match[1]) if match else path


def test_the_proxy_adds_the_path_to_all_but_the_root():
    site = Site(one("caddy", upstreams=[{"name": "hub", "url": "https://docker.io"}], **HUB).content)
    assert site.address == "https://hub.test"
    assert site.rewritten("/v2/library/nginx/manifests/1") == "/v2/hub/library/nginx/manifests/1"
    assert [site.rewritten(path) for path in ("/v2/", "/v2", "/", "/healthz")] == ["/v2/", "/v2", "/", "/healthz"]


def test_the_proxy_only_reads():
    site = Site(one("caddy", **HUB).content)
    assert site.line("@write") == ["not", "method", "GET", "HEAD"]
    assert site.line("respond", "@write") == ["405"]


@pytest.mark.parametrize(
    ("registry", "inner"),
    [
        ("http://127.0.0.1:5000", []),
        (URL, [[["header_up", "Host", "{upstream_hostport}"]]]),
        (
            {"url": URL, "ca": "/ca.pem"},
            [[["header_up", "Host", "{upstream_hostport}"], ["transport", "http", [["tls_trust_pool", "file", "/ca.pem"]]]]],
        ),
        (
            {"url": URL, "skip_verify": True},
            [[["header_up", "Host", "{upstream_hostport}"], ["transport", "http", [["tls_insecure_skip_verify"]]]]],
        ),
    ],
)
def test_the_proxy_reaches_the_registry_as_clients_do(registry, inner):
    file = one("caddy", registry, **HUB)
    assert Site(file.content).line("reverse_proxy", registry_of(registry).url) == inner
    assert file.mode == "0644"


def test_the_proxys_login_makes_its_file_a_secret():
    file = one("caddy", LOGIN, **HUB)
    (inner,) = Site(file.content).line("reverse_proxy", URL)
    assert base64.b64decode(inner[0][2].removeprefix("Basic ")).decode() == f"node:{LOGIN['password']}"
    assert file.mode == "0600"


# --- formats


def test_any_text_survives_toml():
    texts = ['"', "\\", "\n\t\x00\x7f\x1f", "ö", "😀", "]", "#"]
    assert tomllib.loads(toml([([], {"a": texts, "b": True, "c": False}), (["t", 'x"].y'], {"d": texts[0]})])) == {
        "a": texts,
        "b": True,
        "c": False,
        "t": {'x"].y': {"d": '"'}},
    }


@pytest.mark.parametrize("client", ["k3s", "rke2", "containerd", "caddy"])
def test_a_login_is_told_of_nowhere_but_in_its_file(client):
    refused(
        "is there already" if client in ("containerd", "caddy") else "is set already", made, client, LOGIN, existing=taken(client), **HUB
    )


def taken(client):
    usual = CLIENTS[client][1]
    if client == "containerd":
        return {f"{usual}/docker.io/hosts.toml": CANARY}
    return {usual: f"{CANARY} {{\n" if client == "caddy" else "mirrors: {docker.io: {rewrite: {a: b}}}"}


# --- a hosts.toml that somebody else wrote

HUB_FILE = "/etc/containerd/certs.d/docker.io/hosts.toml"
SERVER = 'server = "https://registry-1.docker.io"'


@pytest.mark.parametrize(
    "text",
    [
        SERVER,  # as in the images of minikube's nodes
        f'{SERVER}\n[host."http://{AT}"]\n  capabilities = ["pull"]\n  skip_verify = true\n',
        f'[host."{URL}/v2"]\n',
    ],
)
def test_what_only_names_the_registrys_root_or_nothing_is_replaced(text):
    assert made("containerd", existing={HUB_FILE: text}) == made("containerd")


@pytest.mark.parametrize(
    "text",
    [
        'server = "https://elsewhere.test"',
        f'{SERVER}\n[host."https://mirror.test"]\n',
        f'{SERVER}\n[host."{URL}"]\n[host."https://mirror.test"]\n',
        f'{SERVER}\ncapabilities = ["pull"]\n',
        f'{SERVER}\nhost = "{URL}"\n',
        "# only a word\n",
        f"{CANARY} =",
    ],
)
def test_what_says_more_is_refused(text):
    refused(f"{HUB_FILE} is there already", made, "containerd", existing={HUB_FILE: text})


@pytest.mark.parametrize(
    ("text", "release", "told"),
    [
        ("", (2, 2), True),
        ("version = 3\n", (2, 4), True),
        ("version = 3\n", (2, 1), False),
        ("version = 2\n", (1, 7), False),
        ("", (), False),
        ('[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = ""\n', (2, 2), False),
        ('[plugins."io.containerd.cri.v1.images".registry.headers]\nX = ["y"]\n', (2, 2), False),
        ('[plugins."io.containerd.grpc.v1.cri".registry.mirrors."a"]\nendpoint = []\n', (2, 2), False),
    ],
)
def test_since_2_2_containerd_looks_in_its_folder_by_itself(text, release, told):
    assert needs_no_config(text, CONFIG, release) is told


def test_config_path_is_the_folder_that_is_given():
    file = one("containerd_config", config_version=3, folder="/certs")
    assert tomllib.loads(file.content)["plugins"][PLUGINS[3]]["registry"]["config_path"] == "/certs"


# --- logins in a file of their own

AUTH = "/root/.config/containers/auth.json"


def logged_in(existing="", logins=(f"{AT}/docker.io",), registry=LOGIN):
    return auth_file(AUTH, existing, list(logins), registry_of(registry))


def test_a_login_is_kept_under_each_name_and_others_stay():
    theirs = {"auths": {AT: {"auth": "dGhlaXJzOng="}, "quay.io": {"auth": "eDp5"}}, "credHelpers": {"gcr.io": "gcloud"}}
    file = logged_in(json.dumps(theirs), [f"{AT}/docker.io", f"{AT}/ghcr.io"])
    tree = json.loads(file.content)
    ours = {key: tree["auths"].pop(key)["auth"] for key in (f"{AT}/docker.io", f"{AT}/ghcr.io")}
    assert {base64.b64decode(auth).decode() for auth in ours.values()} == {f"node:{LOGIN['password']}"}
    assert tree == theirs
    assert (file.mode, file.secret, file.shared) == ("0600", True, True)


def test_a_changed_password_of_the_same_user_is_taken_over_and_the_same_one_changes_nothing():
    first = logged_in().content
    assert logged_in(first).content == first
    spaced = json.dumps(json.loads(first))
    assert logged_in(spaced).content == spaced
    assert logged_in(first, registry={**LOGIN, "password": "new"}).content != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"auths": {f"{AT}/docker.io": {"auth": base64.b64encode(f"other:{CANARY}".encode()).decode()}}}), "another login"),
        (json.dumps({"auths": {f"{AT}/docker.io": {"identitytoken": CANARY}}}), "another login"),
        (json.dumps({"auths": {f"{AT}/docker.io": {"auth": f"{CANARY}%"}}}), "another login"),
        (json.dumps({"auths": {f"{AT}/docker.io": CANARY}}), "another login"),
        (json.dumps({"auths": [CANARY]}), "is no mapping"),
        (json.dumps({"credHelpers": {AT: CANARY}}), "a credential helper answers first"),
        (json.dumps({"credsStore": CANARY}), "a credential helper answers first"),
        (CANARY, "is no valid JSON"),
    ],
)
def test_a_login_file_that_contradicts_is_refused(text, message):
    refused(message, logged_in, text)


def test_a_containerd_configuration_of_comments_alone_keeps_them():
    text = one("containerd_config", existing={CONFIG: "# ours\n"}, config_version=2).content
    assert text.startswith("# ours\n")
    assert tomllib.loads(text)["version"] == 2
