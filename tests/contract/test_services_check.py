# SPDX-License-Identifier: GPL-3.0-or-later
"""services-check on a host where all is well, and on hosts where one thing is not: that line changes its colour, and no other.

The registry is the stand-in and a real zot; around it are a real registry as upstream (Debian's docker-registry, else another zot), a
stand-in for Docker Hub's limits, a proxy with TLS by an authority that nobody knows, and a mock provider of identities.
"""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.blumeops.zot.plugins.action import zot_check
from ansible_collections.blumeops.zot.plugins.module_utils._files import Layout, promote
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import build
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import CHECKS
from support.distribution import Distribution
from support.modules import Action, launchd
from support.neighbours import Authority, Front, Hub
from support.oci import HttpClient, make_image
from support.oidc import Provider, mock_provider
from support.zot_binary import Serving, free_port, serving, standin_zot, write_htpasswd

from contract.ask import ask

if t.TYPE_CHECKING:
    from contract.conftest import Binary

CANARY = "canary-3f2a-word"
READERS = [{"anonymous": True, "actions": ["read"]}, {"authenticated": True, "actions": ["read"]}]
GRANTS = [*READERS, {"users": ["ci"], "actions": ["read", "create"]}]
CACHED = "ghcr.io/team/app"
Levels = dict[str, str]


class Around(t.NamedTuple):
    """What all hosts of these tests share."""

    authority: Authority
    hub: Hub
    provider: Provider
    upstream: str


def push(url: str, repository: str, folder: Path) -> None:
    pushed = HttpClient().push(url, repository, "1", image=make_image(folder, random=True))
    assert pushed.ok, pushed.error


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    folder = tmp_path_factory.mktemp("around")
    hub, program = Hub(), shutil.which("docker-registry")
    upstream: t.Any = (
        Distribution(folder / "upstream", program)
        if program
        else serving(standin_zot(folder / "bin"), {"storage": {"gc": False}}, folder / "upstream")
    )
    with mock_provider({"erich": {"groups": ["admins"]}}) as provider, upstream as registry:
        push(registry.url, "team/app", folder / "image")
        yield Around(Authority(folder / "authority"), hub, provider, registry.url)
    hub.close()


class Host:
    """A registry as the role leaves it, and everything that can be broken about it."""

    def __init__(self, binary: Binary, around: Around, folder: Path) -> None:
        self.around, self.folder, self.binary = around, folder, binary
        self.front = Front(around.authority.context())
        self.settings: dict[str, t.Any] = {
            **{name: option.get("default") for name, option in SETTINGS.items()},
            "port": free_port(),
            "data_dir": str(folder / "data"),
            "external_url": self.front.url,
            "log_level": "error",
            "upstreams": [{"name": "docker.io", "url": around.hub.url}, {"name": "ghcr.io", "url": around.upstream}],
            "oidc": {"issuer": around.provider.issuer, "client_id": "zot", "username_claim": "preferred_username"},
            "local_users": ["ci"],
            "grants": GRANTS,
            "overrides": {},
        }
        self.declared: dict[str, t.Any] = {
            "config_path": str(folder / "config.json"),
            "release": "2.1.20",
            "settings": self.settings,
            "identities": [{"name": "ci", "password": CANARY}],
        }
        self.options: dict[str, t.Any] = {
            "ca_path": str(around.authority.path),
            "disk_amber_percent": 0,
            "disk_red_percent": 0,
            "timeout": 4,
        }
        self.pid: int | None = None
        self.running: Serving | None = None
        self.write()

    def write(self) -> None:
        """What the role would have written and proved."""
        secrets = {"oidc_client_secret": CANARY, "upstream_passwords": {"docker.io": CANARY}, "local_passwords": {}}
        desired = build(self.settings, secrets, Release("2.1.20"), str(self.folder))
        self.folder.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(desired.document))
        for file in desired.files:
            (self.folder / file.name).write_text(file.content or "")
        (self.folder / "session-keys.json").write_text(json.dumps({"hashKey": "0" * 64, "encryptKey": "0" * 32}))
        write_htpasswd(self.folder / "htpasswd", {"ci": CANARY})
        for path in self.folder.glob("*"):
            if path.is_file():
                path.chmod(0o600)
        promote(Layout(self.config), str(self.binary.path), "2.1.20", None)

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def document(self) -> dict[str, t.Any]:
        return json.loads(self.config.read_text())

    def lines(self, check: bool = False) -> dict[str, dict[str, t.Any]]:
        assert self.running
        service = launchd(self.folder / "launchctl", self.running.process.pid if self.pid is None else self.pid)
        answer = self.ask(check, {**self.declared, "service": service})
        assert answer["changed"] is False
        assert CANARY not in str(answer), "a secret is told"
        return {line["check"]: line for line in answer["lines"]}

    @staticmethod
    def ask(check: bool, declared: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        raise NotImplementedError

    def levels(self) -> Levels:
        return {check: line["level"] for check, line in self.lines().items()}


@pytest.fixture
def host(zot: Binary, around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    around.hub.remaining, around.hub.account = 76, ("puller", CANARY)
    made = Host(zot, around, tmp_path / "host")
    action = Action(zot_check.ActionModule)
    monkeypatch.setattr(made, "ask", lambda check, declared: action(check, declared=declared, **made.options), raising=False)
    with serving(zot.path, made.document, made.folder) as running:
        made.running, made.front.behind = running, running.url
        made.config.chmod(0o600)
        assert ask(running.url, "GET", f"/v2/{CACHED}/manifests/1").status == 200, "it is cached"
        yield made
    made.front.close()


WELL = {**dict.fromkeys(CHECKS, "green")}


@pytest.mark.parametrize("check", [True, False])
def test_where_all_is_well_all_is_green_and_the_numbers_are_told(host: Host, check: bool) -> None:
    lines = host.lines(check)
    assert {name: line["level"] for name, line in lines.items()} == WELL, lines
    assert list(lines) == list(CHECKS)
    assert "docker.io answers, 76 of 100 pulls are left in 6 h; ghcr.io answers" in lines["upstreams"]["text"]
    assert lines["upstreams"]["facts"] == {"pulls_limit": 100, "pulls_remaining": 76}
    assert lines["cache"]["text"].startswith(f"{CACHED}@sha256:")
    assert 59 < lines["certificate"]["facts"]["days_left"] <= 60
    assert lines["release"]["facts"] == {"release": "2.1.20", "wanted": "2.1.20"}
    assert lines["access"]["facts"] == {"asked": 3 * 3 * 2 + 2, "wrong": 0}, (
        "three kinds of repositories, three actions, two identities; and a tag"
    )
    assert not any(path.startswith("GET /v2/rate") for path in host.around.hub.asked), "a GET would be a pull"


# ---- one thing is broken


def stop(host: Host) -> None:
    assert host.running
    host.running.stop()


def another_policy(host: Host) -> None:
    """zot runs with more rights than its file says: the file was renamed over, which zot does not see."""
    assert host.running
    right = host.config.read_text()
    loose = json.loads(right)
    loose["http"]["accessControl"]["repositories"]["**"]["anonymousPolicy"] = ["read", "create"]
    host.config.write_text(json.dumps(loose))
    host.running.restart()
    renamed = host.folder / "new"
    renamed.write_text(right)
    renamed.chmod(0o600)
    renamed.replace(host.config)


def change_on_disk(host: Host) -> None:
    """As an editor writes: another file under the name, so that zot goes on as it was."""
    edited = {**host.document, "log": {"level": "warn"}}
    renamed = host.folder / "edited"
    renamed.write_text(json.dumps(edited))
    renamed.chmod(0o600)
    renamed.replace(host.config)


def lose(name: str) -> Callable[[Host], None]:
    return lambda host: (host.folder / name).unlink()


def declare(**more: t.Any) -> Callable[[Host], None]:
    return lambda host: host.declared.update(more)


def option(**more: t.Any) -> Callable[[Host], None]:
    return lambda host: host.options.update(more)


def certified(**more: t.Any) -> Callable[[Host], None]:
    def one(host: Host) -> None:
        host.front.context = host.around.authority.context(**more)

    return one


def front_without_zot(host: Host) -> None:
    host.front.behind = ""


def pulls_left(count: int) -> Callable[[Host], None]:
    return lambda host: setattr(host.around.hub, "remaining", count)


def no_process(host: Host) -> None:
    host.pid = 0


BROKEN = {
    "no process of the service": (no_process, {"ready": "red"}, "but net.example.zot runs no process"),
    "zot is stopped": (stop, {"ready": "red", **dict.fromkeys(("release", "access", "external", "cache"), "grey")}, "Connection refused"),
    "another release": (declare(release="2.1.21"), {"release": "red"}, "it is zot 2.1.20, not 2.1.21"),
    "more rights than declared": (another_policy, {"access": "red"}, "anonymous may create"),
    "a password that is refused": (
        declare(identities=[{"name": "ci", "password": f"{CANARY}-not"}]),
        {"access": "red"},
        "the password of ci is refused",
    ),
    "a password that no store has": (
        declare(identities=[{"name": "ci", "store": {"kind": "environment", "field": "NO_SUCH_VARIABLE"}}]),
        {"access": "amber"},
        "NO_SUCH_VARIABLE",
    ),
    "nobody behind the proxy": (front_without_zot, {"external": "red"}, "it answers 502"),
    "a certificate that expired": (certified(left=-1), {"certificate": "red"}, "certificate has expired"),
    "a certificate that ends soon": (certified(left=10), {"certificate": "amber"}, "10 days left"),
    "a certificate for another name": (certified(name="registry.test"), {"certificate": "red"}, "localhost"),
    "an authority that nobody knows": (option(ca_path=None), {"certificate": "red"}, "certificate"),
    "few pulls of Docker Hub": (pulls_left(19), {"upstreams": "amber"}, "19 of 100 pulls are left"),
    "no pulls of Docker Hub": (pulls_left(0), {"upstreams": "red"}, "0 of 100 pulls are left"),
    "an image that its upstream has not": (
        option(images={"ghcr.io": "team/absent:1"}),
        {"cache": "red"},
        "ghcr.io/team/absent:1 is not served: zot answers 404",
    ),
    "little disk": (option(disk_amber_percent=100), {"disk": "amber"}, "are free in"),
    "no disk": (option(disk_red_percent=100), {"disk": "red"}, "are free in"),
    "an edited configuration": (change_on_disk, {"drift": "red"}, "config.json differs: log.level"),
    "a lost secret file": (lose("oidc-credentials.json"), {"drift": "red"}, "oidc-credentials.json is missing"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_colours_its_line_and_leaves_all_others(host: Host, what: str) -> None:
    breaks, expected, words = BROKEN[what]
    breaks(host)
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == {**WELL, **expected}, lines
    first = next(iter(expected))
    assert re.search(re.escape(words), lines[first]["text"]), lines[first]
    assert all(line["text"].startswith("not asked, since ") for line in lines.values() if line["level"] == "grey")


def test_an_upstream_that_is_down_is_red_and_what_is_cached_is_served(host: Host) -> None:
    assert host.running
    host.options["images"] = {"ghcr.io": "team/app:1"}
    assert host.levels() == WELL
    gone = f"http://127.0.0.1:{free_port()}"
    host.settings["upstreams"][1]["url"] = gone
    host.write()
    host.running.restart()
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == {**WELL, "upstreams": "red"}, lines
    assert f"ghcr.io does not answer ({gone}: " in lines["upstreams"]["text"]
    assert lines["cache"]["text"].startswith(f"{CACHED}:1 is served")
    host.options["images"] = {"ghcr.io": "team/other:1"}
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == {**WELL, "upstreams": "red", "cache": "grey"}, lines
    assert "is not cached, and ghcr.io does not answer" in lines["cache"]["text"]


def test_an_image_that_is_named_is_fetched_through_zot(host: Host, tmp_path: Path) -> None:
    push(host.around.upstream, "team/new", tmp_path / "image")
    host.options["images"] = {"ghcr.io": "team/new"}
    assert host.levels()["cache"] == "red", "it has no tag latest"
    host.options["images"] = {"ghcr.io": "team/new:1"}
    assert host.levels() == WELL


def test_a_login_of_docker_hub_has_its_own_limit_and_is_told_when_it_is_refused(host: Host) -> None:
    assert host.running
    host.settings["upstreams"][0]["username"] = "puller"
    host.write()
    host.running.restart()
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == WELL, lines
    assert "190 of 100 pulls of puller are left" in lines["upstreams"]["text"]
    host.around.hub.account = ("puller", "another")
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == {**WELL, "upstreams": "red"}
    assert "it refuses the login of puller" in lines["upstreams"]["text"]


def test_a_provider_that_is_gone_is_told_before_zot_needs_it(host: Host) -> None:
    assert host.running
    with mock_provider({"erich": {}}) as mortal:
        host.settings["oidc"]["issuer"] = mortal.issuer
        host.write()
        host.running.restart()
        assert host.levels() == WELL
    lines = host.lines()
    assert {name: line["level"] for name, line in lines.items()} == {**WELL, "oidc": "red"}
    assert "zot will not start again" in lines["oidc"]["text"]


def test_without_a_configuration_what_stands_in_it_is_not_asked(host: Host) -> None:
    host.config.write_text("{")
    lines = host.lines()
    assert lines["drift"]["level"] == "red"
    assert "cannot be read as JSON" in lines["drift"]["text"]
    grey = ("external", "certificate", "upstreams", "cache", "disk", "oidc")
    assert {lines[name]["text"] for name in grey} == {"not asked, since the configuration cannot be read"}


def test_a_host_that_cannot_be_reached_is_one_red_line(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_given: t.Any, **_more: t.Any) -> t.NoReturn:
        raise AnsibleConnectionFailure("Permission denied (publickey)")

    action = Action(zot_check.ActionModule)
    monkeypatch.setattr(action.plugin, "_execute_module", gone)
    answer = action(declared={**host.declared, "service": {"manager": "launchd", "name": "zot"}})
    lines = {line["check"]: line for line in answer["lines"]}
    assert {name: line["level"] for name, line in lines.items()} == {**dict.fromkeys(CHECKS, "grey"), "host": "red"}
    assert "Permission denied (publickey)" in lines["host"]["text"]
    assert not answer.get("failed")
