# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients, each against the stand-in registry and a real one: what they move, and what they say when they may not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import oci, zot_binary

PASSWORDS = {"writer": "wr:iter-pässword", "reader": "reader-password"}
WRITER = {"username": "writer", "password": PASSWORDS["writer"]}
READER = {"username": "reader", "password": PASSWORDS["reader"]}
EVERYTHING = ["read", "create", "update", "delete"]


@pytest.fixture(scope="module", params=["standin", pytest.param("real", marks=pytest.mark.real_zot)])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that `writer` may change, `reader` may read, and anonymous may not even read, except in `public`."""
    folder = tmp_path_factory.mktemp("registry")
    binary = request.getfixturevalue("real_zot") if request.param == "real" else zot_binary.standin_zot(folder)
    repositories = {
        "**": {"defaultPolicy": ["read"], "policies": [{"users": ["writer"], "actions": EVERYTHING}]},
        "public/**": {"anonymousPolicy": ["read"], "policies": [{"users": ["writer"], "actions": EVERYTHING}]},
    }
    auth = {"htpasswd": {"path": str(zot_binary.write_htpasswd(folder / "htpasswd", PASSWORDS))}}
    # docker pushes manifests of its own kind, which zot takes only if told so.
    config = {"http": {"auth": auth, "compat": ["docker2s2"], "accessControl": {"repositories": repositories}}}
    with zot_binary.serving(binary, config, folder) as zot:
        yield zot.url


TOOLS = oci.tool_clients()
NO_TOOL = pytest.param(None, id="tool", marks=pytest.mark.skip("no skopeo, crane, oras, podman or docker (with its daemon) on PATH"))


@pytest.fixture(params=[oci.HttpClient(), *(TOOLS or [NO_TOOL])], ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> oci.Client:
    return request.param


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository that no other test uses."""
    return "r/" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


def test_a_pushed_image_comes_back_whole(client: oci.Client, registry: str, repository: str, tmp_path: Path) -> None:
    image = oci.make_image(tmp_path / "image", random=True)
    pushed = client.push(registry, repository, "v1", image=image, **WRITER)
    assert pushed.ok, pushed.error
    pulled = client.pull(registry, repository, "v1", into=tmp_path / "pulled", **READER)
    assert pulled.ok, pulled.error
    assert pulled.digest == pushed.digest
    # A tool may compress anew, so the layer's uncompressed digest, which the configuration holds, is what has to stay.
    back = oci.read_image(tmp_path / "pulled")
    assert diff_ids(back) == diff_ids(image)


def diff_ids(image: oci.Image) -> list[str]:
    config, *_ = image.blobs
    return json.loads(image.blob(config))["rootfs"]["diff_ids"]


def test_a_tag_can_be_overwritten_and_removed(client: oci.Client, registry: str, repository: str, tmp_path: Path) -> None:
    for number in range(2):
        image = oci.make_image(tmp_path / f"image-{number}", random=True)
        pushed = client.push(registry, repository, "v1", image=image, **WRITER)
        assert pushed.ok, pushed.error
    assert oci.HttpClient().pull(registry, repository, "v1", into=tmp_path / "seen", **READER).digest == pushed.digest

    assert client.tags(registry, repository, **READER).tags == ("v1",)
    deleted = client.delete(registry, repository, "v1", **WRITER)
    assert deleted.ok, deleted.error
    gone = client.pull(registry, repository, "v1", into=tmp_path / "gone", **READER)
    assert (gone.ok, gone.status) == (False, 404), gone.error


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        pytest.param({}, 401, id="anonymous"),
        pytest.param({"username": "writer", "password": "wrong"}, 401, id="wrong-password"),
        pytest.param(READER, 403, id="no-right"),
    ],
)
def test_a_refused_push_says_why(
    client: oci.Client, registry: str, repository: str, identity: dict[str, str], status: int, tmp_path: Path
) -> None:
    outcome = client.push(registry, repository, "v1", image=oci.make_image(tmp_path / "image"), **identity)
    assert (outcome.ok, outcome.status) == (False, status), outcome.error
    assert outcome.denied
    assert outcome.error


def test_reading_and_removing_are_refused_too(client: oci.Client, registry: str, repository: str, tmp_path: Path) -> None:
    assert oci.HttpClient().push(registry, repository, "v1", image=oci.make_image(tmp_path / "image"), **WRITER).ok
    assert client.tags(registry, repository).status == 401
    assert client.pull(registry, repository, "v1", into=tmp_path / "pulled").status == 401
    assert client.delete(registry, repository, "v1", **READER).status == 403
    assert client.tags(registry, repository, **READER).tags == ("v1",)


def test_anonymous_may_read_what_is_public(client: oci.Client, registry: str, repository: str, tmp_path: Path) -> None:
    assert oci.HttpClient().push(registry, f"public/{repository}", "v1", image=oci.make_image(tmp_path / "image"), **WRITER).ok
    pulled = client.pull(registry, f"public/{repository}", "v1", into=tmp_path / "pulled")
    if client.name == "docker":
        # zot asks docker, by its User-Agent, to log in where some users have rights: else docker would never send credentials.
        assert pulled.status == 401
    else:
        assert pulled.ok, pulled.error


def test_http_names_the_status_of_success(registry: str, repository: str, tmp_path: Path) -> None:
    http = oci.HttpClient()
    assert http.push(registry, repository, "v1", image=oci.make_image(tmp_path / "image"), **WRITER).status == 201
    assert http.pull(registry, repository, "v1", into=tmp_path / "pulled", **READER).status == 200
    assert http.delete(registry, repository, "v1", **WRITER).status == 202


def test_http_pulls_by_digest(registry: str, repository: str, tmp_path: Path) -> None:
    http = oci.HttpClient()
    image = oci.make_image(tmp_path / "image")
    assert http.push(registry, repository, "v1", image=image, **WRITER).ok
    assert http.pull(registry, repository, image.digest, into=tmp_path / "pulled", **READER).ok
    assert oci.read_image(tmp_path / "pulled").manifest == image.manifest


class Answers:
    """Answers in order, in place of a registry's."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, _session: object, method: str, url: str, **_options: object) -> object:
        self.asked.append(f"{method} {url}")
        answer = oci.requests.Response()
        answer.url = url
        answer.status_code, headers, answer._content = self.answers.pop(0)
        answer.headers.update(headers)
        return answer


def test_http_follows_pages_of_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    link = {"Link": '</v2/r/tags/list?n=1&last=a>; rel="next"'}
    answers = Answers((200, link, b'{"tags": ["a"]}'), (200, {}, b'{"tags": ["b"]}'))
    monkeypatch.setattr(oci.requests.Session, "request", lambda *args, **options: answers(*args, **options))
    assert oci.HttpClient().tags("http://127.0.0.1:5000", "r").tags == ("a", "b")
    assert answers.asked[1] == "GET http://127.0.0.1:5000/v2/r/tags/list?n=1&last=a"


def test_http_notices_a_blob_that_is_not_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = oci.make_image(tmp_path / "image")
    answers = Answers((200, {"Content-Type": oci.MANIFEST}, image.manifest), (200, {}, b"something else"))
    monkeypatch.setattr(oci.requests.Session, "request", lambda *args, **options: answers(*args, **options))
    outcome = oci.HttpClient().pull("http://127.0.0.1:5000", "r", "v1", into=tmp_path / "pulled")
    assert not outcome.ok
    assert "digest" in outcome.error


def test_every_blob_of_an_image_has_the_digest_it_is_named_by(tmp_path: Path) -> None:
    image = oci.make_image(tmp_path / "image")
    for digest in (image.digest, *image.blobs):
        assert "sha256:" + hashlib.sha256(image.blob(digest)).hexdigest() == digest
    assert oci.read_image(tmp_path / "image") == image


def test_images_differ_only_on_request(tmp_path: Path) -> None:
    one, two = (oci.make_image(tmp_path / name).digest for name in ("1", "2"))
    three, four = (oci.make_image(tmp_path / name, random=True).digest for name in ("3", "4"))
    assert one == two
    assert len({one, three, four}) == 3


# Programs that only note how they are called


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program of a given name on PATH that notes its arguments, environment and credentials, and then fails with some words."""

    def make(name: str, words: str) -> Path:
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        notes = tmp_path / f"{name}.json"
        program = folder / name
        program.write_text(
            f"#!{sys.executable} -E\n"
            "import json, os, pathlib, sys\n"
            "file = pathlib.Path(os.environ['DOCKER_CONFIG'], 'config.json')\n"
            "notes = {'argv': sys.argv, 'env': dict(os.environ), 'file': str(file), 'logins': json.loads(file.read_text()),"
            " 'mode': file.parent.stat().st_mode}\n"
            f"pathlib.Path({str(notes)!r}).write_text(json.dumps(notes))\n"
            f"sys.exit({words!r})\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return notes

    return make


@pytest.mark.parametrize("kind", oci._TOOLS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("action", ["push", "pull"])
def test_no_program_sees_a_password_in_its_arguments(
    kind: type[oci._Tool], action: str, noting: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = noting(kind.name, "no")
    monkeypatch.setenv("CALLERS_SECRET", "hunter2")
    client = kind(str(notes.parent / "programs" / kind.name))
    options = {"image": oci.make_image(tmp_path / "image")} if action == "push" else {"into": tmp_path / "pulled"}
    outcome = getattr(client, action)("http://127.0.0.1:5000", "r", "v1", **options, **WRITER)
    assert not outcome.ok

    seen = json.loads(notes.read_text())
    login = seen["logins"]["auths"]["127.0.0.1:5000"]["auth"]
    for secret in (PASSWORDS["writer"], login):
        assert secret not in json.dumps(seen["argv"], ensure_ascii=False)
        assert secret not in json.dumps(seen["env"], ensure_ascii=False)
    assert "CALLERS_SECRET" not in seen["env"]
    assert stat.S_IMODE(seen["mode"]) == 0o700
    assert not Path(seen["file"]).parent.exists(), "the credentials outlived the call"


@pytest.mark.parametrize(
    ("name", "words", "status"),
    [
        ("skopeo", 'level=fatal msg="Error reading manifest v1 in 127.0.0.1:5000/r: unauthorized: authentication required"', 401),
        ("skopeo", 'level=fatal msg="writing blob: initiating layer upload in 127.0.0.1:5000: denied: requested access is denied"', 403),
        ("crane", "Error: PUT http://127.0.0.1:5000/v2/r/manifests/v1: DENIED: requested access to the resource is denied", 403),
        ("crane", "Error: HEAD http://127.0.0.1:5000/v2/r/manifests/v1: unexpected status code 401 Unauthorized", 401),
        ("oras", 'Error from destination registry for "127.0.0.1:5000/r:v1": basic credential not found', 401),
        ("podman", "Error: reading manifest v9 in 127.0.0.1:5000/r: manifest unknown", 404),
        ("docker", 'Error response from daemon: Head "http://127.0.0.1:5000/v2/r/manifests/v1": no basic auth credentials', 401),
        ("docker", "Cannot connect to the Docker daemon", 0),
    ],
)
def test_a_programs_words_become_a_status(name: str, words: str, status: int, noting: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = noting(name, words).parent / "programs"
    (kind,) = (kind for kind in oci._TOOLS if kind.name == name)
    outcome = kind(str(folder / name)).push("http://127.0.0.1:5000", "r", "v1", image=oci.make_image(tmp_path / "image"))
    assert (outcome.ok, outcome.status) == (False, status)
    assert words in outcome.error


def test_the_most_convenient_program_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(**ends: int) -> list[str]:
        folder = tmp_path / "-".join(ends)
        folder.mkdir()
        for name, rc in ends.items():
            (folder / name).write_text(f"#!/bin/sh\nexit {rc}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        names = [client.name for client in oci.tool_clients()]
        assert (client := oci.tool_client()) is None or client.name == names[0]
        return names

    assert found(another=0) == []
    assert found(docker=1, podman=125) == [], "without a daemon, or ids to map, they are of no use"
    assert found(docker=0) == ["docker"]
    assert found(podman=0, oras=1, crane=1, skopeo=1) == ["skopeo", "crane", "oras", "podman"]


def test_tls_is_asked_for_wherever_the_url_says_so(noting: Callable[[str, str], Path], tmp_path: Path) -> None:
    notes = noting("skopeo", "no")
    client = oci.Skopeo(os.fspath(notes.parent / "programs" / "skopeo"))
    image = oci.make_image(tmp_path / "image")
    for url, verify in (("https://registry.example", "true"), ("http://127.0.0.1:5000", "false")):
        client.push(url, "r", "v1", image=image)
        assert re.search(rf"--dest-tls-verify={verify}\b", " ".join(json.loads(notes.read_text())["argv"]))
