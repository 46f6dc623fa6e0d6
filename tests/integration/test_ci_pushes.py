# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflows of docs/examples, taken out of their files and run: real skopeo, a real API key, a real zot where there is one.

Needs no root. The tests' names say which zot it is.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from contract import test_keyless as keyless
from integration.conftest import Mac
from support.modules import program
from support.oci import HttpClient, Image, Skopeo, make_image
from support.oidc import create_api_key, mock_provider
from support.processes import forms
from support.programs import absent, skip
from support.workflow import EXAMPLES, Done, Runner, Tree, example
from support.zot_binary import Serving, real_zot, serving, standin_zot, write_htpasswd
from testbed import dagger_sdk, golang

USER, READER, PASSWORD = "zot-ci", "reader", "pw of the registry's users"
REPOSITORY = "blumeops/hello"
SHA = "3f2a1b0"
NIX_BUILD = 'test "$*" = "--attr image" && ln -sfn "$BUILT" result'
PUSH, NIX, DAGGER = "push.yaml", "push-nix.yaml", "push-dagger.yaml"
CHECKOUT = EXAMPLES.parents[1]
WORKFLOWS = sorted(path.name for path in EXAMPLES.glob("*.yaml") if "jobs" in example(path.name))


# --- a registry, and a host whose runner takes jobs


class Registry:
    """A zot, the keys of two of its users, and what lies in it."""

    def __init__(self, zot: Serving) -> None:
        self.zot, self.host = zot, zot.url.removeprefix("http://")
        self.key, self.reading_key = (create_api_key((user, PASSWORD), zot.url, "ci") for user in (USER, READER))

    def put(self, image: Image, tag: str) -> None:
        pushed = HttpClient().push(self.zot.url, REPOSITORY, tag, image=image, username=USER, password=self.key)
        assert pushed.ok, pushed.error

    def tags(self, folder: Path) -> dict[str, str]:
        """Tag -> digest, of images that are there with all their blobs."""
        names = HttpClient().tags(self.zot.url, REPOSITORY).tags
        return {name: HttpClient().pull(self.zot.url, REPOSITORY, name, into=folder / f"pulled-{name}").digest for name in names}


def configuration(folder: Path, **http: t.Any) -> dict[str, t.Any]:
    policies = [{"users": [USER], "actions": ["read", "create"]}, {"users": [READER], "actions": ["read"]}]
    control = {"repositories": {"**": {"anonymousPolicy": ["read"], "policies": policies}}}
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", dict.fromkeys((USER, READER), PASSWORD)))}, "apikey": True}
    return {"http": {"auth": auth, "accessControl": control, **http}, "storage": {"gc": False}}


@pytest.fixture(scope="module", params=[real_zot()], ids=lambda real: "real" if real else "standin")
def binary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.param or standin_zot(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def registry(binary: Path, tmp_path: Path) -> Iterator[Registry]:
    folder = tmp_path / "zot"
    folder.mkdir()
    with serving(binary, configuration(folder), folder) as zot:
        yield Registry(zot)


@pytest.fixture(scope="module")
def skopeo() -> Skopeo:
    if reason := absent("skopeo"):
        skip(reason)
    return Skopeo(str(shutil.which("skopeo")))


class House:
    """The registry and the runner's host. Jobs are given the registry's address for the one that the examples have."""

    def __init__(self, folder: Path, registry: Registry, skopeo: str) -> None:
        self.registry, self.folder, self.skopeo = registry, folder, skopeo
        self.runner = Runner(folder / "host", f"{folder / 'bin'}:{os.environ['PATH']}", BUILT=str(folder / "built"))
        self.built = folder / "built"
        self.may_hold = {"bash"}
        self.runner.use(registry.host)
        # What jobs build with: it is counted, and takes what a test has put down.
        for place, gives in ((self.runner.work / "build", 'rm -rf "$1"; cp -R "$BUILT" "$1"'), (folder / "bin" / "nix-build", NIX_BUILD)):
            program(place, f'echo "$0 $*" >> "$BUILT.calls"\n{gives}')

    def build(self, content: bytes = b"hello") -> Image:
        """Put down what the next build gives."""
        shutil.rmtree(self.built, ignore_errors=True)
        return make_image(self.built, content=content)

    @property
    def builds(self) -> int:
        calls = Path(f"{self.built}.calls")
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    def __call__(self, name: str, workflow: Tree | None = None, key: str | None = None, tag: str = SHA) -> Done:
        key = self.registry.key if key is None else key
        image = f"{self.registry.host}/{REPOSITORY}:{tag}"
        secrets = {"ZOT_CI_API_KEY": key} if key else {}
        done = self.runner(workflow or example(name), secrets=secrets, github={"sha": SHA}, env={"IMAGE": image})
        if key:
            self.assert_kept(key, done)
        return done

    def assert_kept(self, key: str, done: Done) -> None:
        """The key is in nothing that is printed or left behind, in no argument, and in the environment of the steps' shells alone."""
        assert not [form for form in forms(key) if form in done.output.encode()]
        files = {path: path.read_bytes() for path in self.runner.folder.rglob("*") if path.is_file()}
        assert not [path for path, data in files.items() for form in forms(key) if form in data]
        assert not list(self.runner.temporary.iterdir())
        assert not [seen.arguments for seen in self.runner.watch.seen for form in forms(key) if form in seen.arguments]
        # One that is just becoming another program has no arguments yet.
        told = [seen.arguments for seen in self.runner.watch.seen if key.encode() in seen.environment and seen.arguments]
        holders = {Path(os.fsdecode(arguments.split(b"\0")[0])).name for arguments in told}
        assert holders <= self.may_hold

    @property
    def seen(self) -> bytes:
        return self.runner.watch.everything.replace(b"\0", b" ")

    @property
    def tags(self) -> dict[str, str]:
        return self.registry.tags(self.folder)


@pytest.fixture
def house(tmp_path: Path, registry: Registry, skopeo: Skopeo) -> House:
    return House(tmp_path, registry, skopeo.program)


# --- push.yaml


def test_a_job_pushes_what_it_built_and_its_key_is_seen_nowhere(house: House) -> None:
    image = house.build()
    done = house(PUSH)
    assert (done.returncode, house.tags) == (0, {SHA: image.digest}), done.output
    assert [name for name in done.ran if name != "push"] == ["Try the key, and look whether the image is there", "Build", "Push"]
    # It was really looked at while it ran.
    assert b"skopeo login --username zot-ci --password-stdin" in house.seen
    assert b"skopeo copy --all" in house.seen


def test_a_job_that_is_retried_builds_nothing_and_is_content(house: House) -> None:
    house.build()
    assert house(PUSH).returncode == 0
    tags = house.tags
    house.build(b"another, as a clock is in it")
    again = house(PUSH)
    assert (again.returncode, house.builds, house.tags) == (0, 1, tags), again.output
    assert again.outputs["before"] == {"there": "true"}


@pytest.mark.parametrize("name", [PUSH, NIX, DAGGER])
def test_a_secret_that_is_not_set_ends_a_push_before_anything_is_built(house: House, name: str) -> None:
    done = house(name, key="")
    assert (done.returncode, house.builds, house.tags) == (1, 0, {})
    (line,) = done.output.splitlines()
    assert line.endswith("was not published to this repository, or a fork asks.")


@pytest.mark.parametrize("name", [PUSH, NIX])
def test_a_wrong_key_is_found_before_anything_is_built(house: House, name: str) -> None:
    house.build()
    done = house(name, key="zak_0123456789abcdef0123456789abcdef")
    assert (done.returncode != 0, house.builds, house.tags) == (True, 0, {})
    assert "invalid username/password" in done.output


def test_a_key_without_the_right_is_told_so_and_leaves_nothing(house: House) -> None:
    house.build()
    workflow = example(PUSH)
    for step in workflow["jobs"]["push"]["steps"]:
        if "with" in step:
            step["with"]["username"] = READER
    done = house(PUSH, workflow, key=house.registry.reading_key)
    assert (done.returncode != 0, house.builds, house.tags) == (True, 1, {})
    assert "denied" in done.output


def test_the_login_is_a_file_for_its_user_alone(house: House) -> None:
    """In a folder of its own each time."""
    house.build()
    log = house.folder / "modes"
    look = f'[ "$1" = login ] || stat -c "%a %n" "$REGISTRY_AUTH_FILE" "$(dirname "$REGISTRY_AUTH_FILE")" >> {log}'
    program(house.folder / "bin" / "skopeo", f'{look}\nexec {house.skopeo} "$@"')
    assert house(PUSH).returncode == 0
    modes = {Path(name): mode for mode, name in (line.split(" ", 1) for line in log.read_text().splitlines())}
    logins, folders = ({path for path in modes if (path.name == "auth.json") is wanted} for wanted in (True, False))
    assert ({modes[path] for path in logins}, {modes[path] for path in folders}) == ({"600"}, {"700"})
    assert {path.parent for path in logins} == folders
    assert ({path.parent for path in folders}, len(folders)) == ({house.runner.temporary}, 2)


def test_a_job_that_is_cancelled_leaves_no_login_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.build()
    program(house.folder / "bin" / "skopeo", f'[ "$1" != inspect ] || exec sleep 30\nexec {house.skopeo} "$@"')
    monkeypatch.setattr(house.runner, "kill_at", "sleep 30")
    done = house(PUSH)
    assert done.returncode != 0
    assert "Login Succeeded" in done.output


def test_the_watch_sees_a_key_that_is_an_argument(house: House) -> None:
    """The assertions of all the others can fail."""
    house.build()
    workflow = example(PUSH)
    (build,) = (step for step in workflow["jobs"]["push"]["steps"] if step.get("name") == "Build")
    build["env"] = {"KEY": "${{ secrets.ZOT_CI_API_KEY }}"}
    build["run"] = 'sh -c "sleep 1; exit 1" leak --dest-creds "zot-ci:$KEY"'
    with pytest.raises(AssertionError, match="dest-creds"):
        house(PUSH, workflow)
    build["run"] = "sh -c 'sleep 1; exit 1'"
    house.runner.watch.seen.clear()
    with pytest.raises(AssertionError, match="sh"):
        house(PUSH, workflow)


# --- tags


@pytest.fixture
def always(house: House) -> Callable[..., Done]:
    """push.yaml as one writes it for a build that comes out the same each time: what is there already is built again, and compared."""
    workflow = example(PUSH)
    for step in workflow["jobs"]["push"]["steps"]:
        step.pop("if", None)
    return lambda **more: house(PUSH, workflow, **more)


def test_the_same_image_again_is_no_push_and_no_error(house: House, always: Callable[..., Done]) -> None:
    image = house.build()
    assert always().returncode == 0
    again = always()
    assert (again.returncode, house.builds, house.tags) == (0, 2, {SHA: image.digest}), again.output
    assert f"is there already, as {image.digest}" in again.output


def test_another_image_under_the_tag_is_an_error_and_stays(house: House, always: Callable[..., Done]) -> None:
    there = make_image(house.folder / "there", content=b"there")
    house.registry.put(there, SHA)
    built = house.build()
    done = always()
    assert (done.returncode, house.tags) == (1, {SHA: there.digest})
    assert f"is another image, {there.digest}; {built.digest} was built" in done.output


def test_zot_itself_refuses_the_identical_push_and_the_action_asks_before(house: House, skopeo: Skopeo) -> None:
    image = house.build()
    assert house(PUSH).returncode == 0
    login = {"username": USER, "password": house.registry.key}
    assert skopeo.push(house.registry.zot.url, REPOSITORY, SHA, image=image, **login).denied


def test_latest_is_pushed_once_and_then_never_again(house: House, always: Callable[..., Done]) -> None:
    """Up to 2.1.14 zot let anybody who may create move it."""
    first = house.build()
    assert always(tag="latest").returncode == 0
    house.build(b"the next")
    again = always(tag="latest")
    assert (again.returncode, house.tags) == (1, {"latest": first.digest})
    assert "Give it a tag of its own" in again.output


# --- archives, as Docker and Nix make them


def archive(skopeo: Skopeo, image: Image, place: Path) -> None:
    """What `docker save` gives, and dockerTools.buildImage packed."""
    subprocess.run(
        [skopeo.program, "--insecure-policy", "copy", "-q", f"oci:{image.layout}", f"docker-archive:{place}:hello:1"], check=True
    )


def packed(place: Path) -> None:
    place.write_bytes(gzip.compress(place.read_bytes(), mtime=0))
    place.chmod(0o444)


def streaming(place: Path) -> None:
    """As streamLayeredImage: a program that writes the archive."""
    place.rename(place.with_suffix(".tar"))
    program(place, f'cat "{place.with_suffix(".tar")}"')


@pytest.mark.parametrize("form", [packed, streaming, lambda place: place.chmod(0o444)], ids=["packed", "streamed", "plain"])
def test_what_nix_builds_is_pushed_and_compared_when_it_is_built_again(house: House, skopeo: Skopeo, form: Callable[[Path], None]) -> None:
    def build(content: bytes) -> Image:
        for old in house.folder.glob("built*"):
            if old.suffix != ".calls":
                old.unlink()
        image = make_image(house.folder / content.decode(), content=content)
        archive(skopeo, image, house.built)
        form(house.built)
        return image

    image = build(b"first")
    done = house(NIX)
    assert done.returncode == 0, done.output
    (digest,) = house.tags.values()
    pulled = Image(house.folder / f"pulled-{SHA}", digest)
    assert json.loads(pulled.manifest)["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert layers(pulled) == layers(image)
    again = house(NIX)
    assert (again.returncode, house.builds, house.tags) == (0, 2, {SHA: digest}), again.output
    assert f"is there already, as {digest}" in again.output
    build(b"second")
    other = house(NIX)
    assert (other.returncode, house.tags) == (1, {SHA: digest})
    assert "is another image" in other.output


def layers(image: Image) -> list[bytes]:
    """Unpacked: who packs them anew, packs them otherwise."""
    return [gzip.decompress(image.blob(digest)) for digest in image.blobs[1:]]


OCI, DOCKER = "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize(
    ("compat", "arrives"), [([], {"any": OCI}), (["docker2s2"], {"any": DOCKER, "v2s2": DOCKER})], ids=["oci", "docker2s2"]
)
def test_what_becomes_of_an_archive_depends_on_the_registry_unless_it_is_converted_before(
    binary: Path, tmp_path: Path, skopeo: Skopeo, compat: list[str], arrives: dict[str, str]
) -> None:
    """So the action converts it: the digest is known before the push, and the same everywhere."""
    archive(skopeo, make_image(tmp_path / "image"), tmp_path / "archive")
    with serving(binary, configuration(tmp_path, **({"compat": compat} if compat else {})), tmp_path / "zot") as zot:
        registry = Registry(zot)
        login = base64.b64encode(f"{USER}:{registry.key}".encode()).decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {registry.host: {"auth": login}}}))
        call = [
            skopeo.program,
            "--insecure-policy",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            "--dest-authfile",
            str(tmp_path / "auth.json"),
        ]
        for tag, form in (("any", []), ("v2s2", ["--format", "v2s2"])):
            target = f"docker://{registry.host}/{REPOSITORY}:{tag}"
            done = subprocess.run(
                [*call, *form, f"docker-archive:{tmp_path / 'archive'}", target], capture_output=True, text=True, check=False
            )
            assert (done.returncode == 0) == (tag in arrives), done.stderr
        assert {tag: media_type(registry, tag) for tag in HttpClient().tags(zot.url, REPOSITORY).tags} == arrives


def media_type(registry: Registry, tag: str) -> str:
    accepted = {"Accept": f"{OCI}, {DOCKER}"}
    return requests.get(f"{registry.zot.url}/v2/{REPOSITORY}/manifests/{tag}", headers=accepted, timeout=30).headers["Content-Type"]


# --- Dagger


def test_dagger_is_given_the_name_of_the_variable_and_not_the_key(house: House) -> None:
    """The program is one that writes down how it was called: there is no engine here."""
    log = house.folder / "dagger"
    program(house.folder / "bin" / "dagger", f'printf "%s\\n" "$@" > {log}; printf %s "$ZOT_CI_API_KEY" | sha256sum > {log}.key; sleep 0.2')
    house.may_hold |= {"dagger", "sh", "sleep", "sha256sum"}
    done = house(DAGGER)
    assert done.returncode == 0, done.output
    image = f"{house.registry.host}/{REPOSITORY}:{SHA}"
    assert log.read_text().splitlines() == ["call", "publish", "--source=.", f"--image={image}", "--key=env:ZOT_CI_API_KEY"]
    assert Path(f"{log}.key").read_text().split()[0] == hashlib.sha256(house.registry.key.encode()).hexdigest()


class Engine:
    """Dagger's real SDK, which calls the module of the example, at a stand-in of the engine that writes its queries down."""

    image = "registry.test/blumeops/hello:1"

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.log, self.folder = python, folder / "queries", folder

    def __call__(self, key: str = "zak_canary", there: str = "") -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        argv = [self.python, CHECKOUT / "tests" / "standins" / "dagger_engine.py", EXAMPLES / "push-dagger" / "src" / "push" / "main.py"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "THERE": there, "KEY": key, "LOG": str(self.log)}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    @property
    def queries(self) -> list[str]:
        """Without what asks for the release and for ids."""
        asked = [json.loads(line)[0] for line in self.log.read_text().splitlines()]
        return [query for query in asked if query != "{ version }" and not query.endswith("{ id: id } }")]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(dagger_sdk.find() or pytest.skip(dagger_sdk.NO_SDK), tmp_path)


EMPTY = '{ secret(uri: "env:ZOT_CI_API_KEY") { plaintext: plaintext } }'
LOGIN = 'withRegistryAuth: withRegistryAuth( address: "registry.test" username: "zot-ci" secret: "secret-1" )'


@pytest.mark.built
def test_the_module_asks_for_the_image_and_then_publishes_it_with_a_secret(engine: Engine) -> None:
    done = engine()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{engine.image}@sha256:")
    asked = f'{{ container {{ {LOGIN} {{ from: from(address: "{engine.image}") {{ imageRef: imageRef }} }} }} }}'
    published = f'{{ directory {{ dockerBuild: dockerBuild {{ {LOGIN} {{ publish: publish(address: "{engine.image}") }} }} }} }}'
    assert engine.queries == [EMPTY, asked, published]
    assert "zak_canary" not in engine.log.read_text() + done.stdout + done.stderr


@pytest.mark.built
def test_the_module_builds_nothing_where_the_image_is(engine: Engine) -> None:
    done = engine(there="1")
    assert (done.returncode, done.stdout.startswith(f"{engine.image}@sha256:")) == (0, True), done.stderr
    assert "dockerBuild" not in engine.log.read_text()
    assert len(engine.queries) == 2


@pytest.mark.built
def test_the_module_refuses_an_empty_key_before_anything_is_built(engine: Engine) -> None:
    done = engine(key="")
    assert (done.returncode, engine.queries) == (1, [EMPTY])
    assert f"there is no key for {engine.image}" in done.stderr


# --- without a key


@pytest.mark.real_zot
def test_the_role_makes_a_registry_for_jobs_without_keys(mac: Mac, real_zot: Path) -> None:
    """From the page's variables, which `test_keyless` in tests/contract holds to what zot does with them."""
    here = f"127.0.0.1:{mac.port}"
    shutil.copy(real_zot, mac.zot)
    nothing_else: dict[str, t.Any] = {"zot_local_users": [], "zot_upstreams": [], "zot_oidc": {}}
    with mock_provider(keyless.JOBS) as forge:
        given = json.dumps(keyless.variables()).replace(keyless.ISSUER, forge.issuer)
        given = given.replace(keyless.EXTERNAL, f"http://{here}").replace(keyless.AUDIENCE, here)
        assert mac.play(**json.loads(given), **nothing_else).changed
        assert mac.play(**json.loads(given), **nothing_else).changed == 0
        login = {"Authorization": f"Bearer {forge.id_token(keyless.SUBJECT, here)}"}
        answers = [requests.get(f"http://{here}/v2/_catalog", headers=headers, timeout=30).status_code for headers in (login, {})]
    assert answers == [200, 401]


# --- the files


@pytest.mark.built
def test_a_real_linter_has_nothing_against_the_workflows(tmp_path: Path) -> None:
    """It looks for workflows where GitHub has them, and knows no labels but GitHub's."""
    linter = golang.find("actionlint") or pytest.skip(golang.absent("actionlint"))
    files = tmp_path / ".github" / "workflows"
    files.mkdir(parents=True)
    for name in WORKFLOWS:
        shutil.copy(EXAMPLES / name, files / name)
    shutil.copytree(EXAMPLES / "push-image", tmp_path / ".forgejo" / "actions" / "push-image")
    labels = tmp_path / "labels.yaml"
    labels.write_text(json.dumps({"self-hosted-runner": {"labels": ["docker", "k8s", "nix-container-builder", "ops"]}}))
    forgejos = ["-ignore", 'unexpected key "enable-openid-connect"']
    argv = [linter, "-config-file", labels, "-shellcheck=", "-pyflakes=", *forgejos, *(files / name for name in WORKFLOWS)]

    def lint() -> tuple[int, str]:
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert lint() == (0, "")
    broken = files / PUSH
    broken.write_text(broken.read_text().replace("          key: ", "          kee: "))
    code, said = lint()
    assert (code, 'missing input "key"' in said) == (1, True), said


@pytest.mark.parametrize("name", [*WORKFLOWS, "push-image/action.yaml"])
def test_shell_of_the_examples_is_shell(name: str) -> None:
    tree = example(name)
    steps = tree["runs"]["steps"] if "runs" in tree else next(iter(tree["jobs"].values()))["steps"]
    for step in steps:
        done = subprocess.run(["bash", "-n", "-c", step.get("run", "")], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), step


@pytest.mark.parametrize("name", [PUSH, NIX, DAGGER])
def test_the_secret_reaches_only_the_steps_that_need_it(name: str) -> None:
    (job,) = example(name)["jobs"].values()
    holders = {step.get("name") for step in job["steps"] if "secrets." in json.dumps(step)}
    assert "secrets." not in json.dumps(job["env"])
    assert "Build" not in holders
    assert len(holders) == (EXAMPLES / name).read_text().count("secrets.ZOT_CI_API_KEY")
