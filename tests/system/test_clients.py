# SPDX-License-Identifier: GPL-3.0-or-later
"""skopeo, as people use it, at a registry that serves compiled grants: it gets done what the access model says, and nothing else.

Needs no root. The zot is a real one where there is one, else the stand-in: the tests' names say which.
"""

from __future__ import annotations

import itertools
import shutil
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import (
    ACTIONS,
    ANONYMOUS,
    CREATE,
    DELETE,
    READ,
    UPDATE,
    Identity,
    control_of,
    decide,
    member,
)
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import Where, Who, matrix
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._loader import flatten, normal
from support.oci import HttpClient, Image, Skopeo, make_image
from support.programs import absent, skip
from support.zot_binary import Serving, real_zot, release_of, serving, standin_zot, write_htpasswd

if t.TYPE_CHECKING:
    from collections.abc import Iterator

INDRI = Path(__file__).parents[2] / "inventory" / "host_vars" / "indri.yml"
GROUPS = {"artifact-workloads": {"users": ["zot-ci"]}, "admins": {"users": ["root"]}}
ROOT, ANYBODY, SOMEBODY, CI = "root", "", "visitor", "zot-ci"
OURS, CACHED = "blumeops/app", "docker.io/library/app"

# All that a client needs for it. A push asks first which blobs are there, and a delete which manifest has the tag: both read.
NEEDS = {
    "pull": (READ,),
    "push": (READ, CREATE),
    "overwrite": (READ, CREATE, UPDATE),
    "move": (READ, UPDATE),  # the tag to an image that is stored already, so that nothing is uploaded
    "delete": (READ, DELETE),
}
SEEDED = ("v1", "latest")

# What the example's three tiers come to, in words that no code makes.
TIERS = {ANYBODY: {"pull"}, SOMEBODY: {"pull"}, CI: {"pull", "push"}, ROOT: set(NEEDS)}

SETS = [held for size in range(len(ACTIONS) + 1) for held in itertools.combinations(ACTIONS, size)]


def user_of(held: tuple[str, ...]) -> str:
    """Who holds just these rights."""
    return "-".join(("holder", *held))


def login(name: str) -> dict[str, str]:
    return {"username": name, "password": f"pw of {name}"} if name else {}


@dataclass
class Registry:
    """A zot that serves a policy, and skopeo to use it with."""

    zot: Serving
    release: tuple[int, ...]
    skopeo: Skopeo
    folder: Path
    _images: dict[str, dict[str, Image]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.document = normal(flatten(self.zot.config).tree, splits_commas=False)

    def tried(self, name: str, repository: str, tag: str = "v1") -> dict[str, str | int]:
        """What comes of each operation, tried by somebody: done, or the status of the refusal."""
        return {operation: self._try(name, operation, repository, tag) for operation in NEEDS}

    def decided(self, name: str, repository: str, tag: str = "v1") -> dict[str, str | int]:
        """The same, as the access model has it."""
        who = member(control_of(self.document), name) if name else ANONYMOUS
        held = {action for action in ACTIONS if decide(self.document, who, action, repository, tag, self.release).allowed}
        return {operation: "done" if held.issuperset(needed) else 403 if name else 401 for operation, needed in NEEDS.items()}

    def shown(self, name: str, repository: str) -> set[str]:
        """What should get done, as people read it off the matrix."""
        who = Who("user", name, Identity(name)) if name else Who("anonymous", "anonymous", ANONYMOUS)
        (entry,) = matrix(self.document, [who], [Where(repository, repository)])
        return {operation for operation, needed in NEEDS.items() if set(needed) <= set(entry.allowed)}

    def _try(self, name: str, operation: str, repository: str, tag: str) -> str | int:
        """From one known state; the tags have to change as the client says, or not at all."""
        images = self._images.pop(repository, None) or self._seed(repository)
        seeded = {seed: image.digest for seed, image in images.items()}
        wanted = dict(seeded)
        tag = "new" if operation == "push" else tag
        if operation == "pull":
            outcome = self.skopeo.pull(self.zot.url, repository, tag, into=self._place(), **login(name))
            assert outcome.digest == (wanted[tag] if outcome.ok else "")
        elif operation == "delete":
            outcome = self.skopeo.delete(self.zot.url, repository, tag, **login(name))
            if outcome.ok:
                del wanted[tag]
        else:
            image = images[next(other for other in SEEDED if other != tag)] if operation == "move" else self._image()
            outcome = self.skopeo.push(self.zot.url, repository, tag, image=image, **login(name))
            if outcome.ok:
                wanted[tag] = image.digest
        assert self._stored(repository) == wanted, (name, operation, outcome)
        if wanted == seeded:
            self._images[repository] = images  # proved to be as it was: the next one starts from it
        return "done" if outcome.ok else outcome.status or outcome.error

    def _seed(self, repository: str) -> dict[str, Image]:
        """Two tags with an image each, and no other tag."""
        for tag in HttpClient().tags(self.zot.url, repository, **login(ROOT)).tags:
            assert HttpClient().delete(self.zot.url, repository, tag, **login(ROOT)).ok
        images = {tag: self._image() for tag in SEEDED}
        for tag, image in images.items():
            pushed = HttpClient().push(self.zot.url, repository, tag, image=image, **login(ROOT))
            assert pushed.ok, pushed.error
        return images

    def _stored(self, repository: str) -> dict[str, str]:
        """Tag -> digest, of images that are there with all their blobs."""
        found = {}
        for tag in HttpClient().tags(self.zot.url, repository, **login(ROOT)).tags:
            pulled = HttpClient().pull(self.zot.url, repository, tag, into=self._place(), **login(ROOT))
            assert pulled.ok, pulled.error
            found[tag] = pulled.digest
        return found

    def _image(self) -> Image:
        """A new one each time: of blobs that are stored already, in any repository one can read, nothing would be uploaded."""
        return make_image(self._place(), random=True)

    def _place(self) -> Path:
        return self.folder / f"image-{next(self._numbers)}"


@pytest.fixture(scope="module")
def skopeo() -> Skopeo:
    if reason := absent("skopeo"):
        skip(reason)
    return Skopeo(str(shutil.which("skopeo")))


@pytest.fixture(scope="module", params=[real_zot()], ids=lambda real: "real" if real else "standin")
def binary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.param or standin_zot(tmp_path_factory.mktemp("standin"))


def policy(name: str) -> tuple[dict[str, t.Any], list[str]]:
    """The repositories of accessControl, and those who can log in."""
    if name == "each set of rights":
        grants = [{"users": [user_of(held)], "actions": list(held)} for held in SETS if held]
        return compile_grants(parse_grants([*grants, {"users": [ROOT], "actions": list(ACTIONS)}])), [*map(user_of, SETS), ROOT]
    grants = yaml.safe_load(INDRI.read_text(encoding="utf-8"))["zot_grants"]
    if name == "narrowed":
        (narrowed,) = (grant for grant in grants if grant.get("groups") == ["artifact-workloads"])
        narrowed["repositories"] = ["blumeops/**"]
    return compile_grants(parse_grants(grants)), [SOMEBODY, CI, ROOT]


@pytest.fixture(scope="module")
def registry(request: pytest.FixtureRequest, binary: Path, skopeo: Skopeo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    repositories, users = policy(request.param)
    htpasswd = write_htpasswd(folder / "htpasswd", {user: login(user)["password"] for user in users})
    http = {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": {"repositories": repositories, "groups": GROUPS}}
    with serving(binary, {"http": http, "storage": {"gc": False}}, folder) as zot:
        release = release_of(binary) or "2.1.20"
        yield Registry(zot, tuple(int(part) for part in release.split(".")), skopeo, folder)


@pytest.mark.parametrize("registry", ["as in the inventory", "narrowed"], indirect=True)
@pytest.mark.parametrize("repository", [OURS, CACHED])
@pytest.mark.parametrize("name", TIERS, ids=lambda name: name or "anonymous")
def test_everybody_gets_done_what_the_grants_say(registry: Registry, request: pytest.FixtureRequest, name: str, repository: str) -> None:
    narrowed = request.node.callspec.params["registry"] == "narrowed"
    tried = registry.tried(name, repository)
    assert tried == registry.decided(name, repository)
    done = {operation for operation, came in tried.items() if came == "done"}
    assert done == registry.shown(name, repository)
    assert done == (TIERS[SOMEBODY] if narrowed and (name, repository) == (CI, CACHED) else TIERS[name])


@pytest.mark.parametrize("registry", ["as in the inventory"], indirect=True)
def test_latest_is_a_tag_like_any_other_since_2_1_15(registry: Registry) -> None:
    tried = registry.tried(CI, OURS, "latest")
    assert tried == registry.decided(CI, OURS, "latest")
    assert tried["overwrite"] == (403 if registry.release >= (2, 1, 15) else "done")


@pytest.mark.parametrize("registry", ["each set of rights"], indirect=True)
@pytest.mark.parametrize("held", SETS, ids=lambda held: "-".join(held) or "none")
def test_no_operation_goes_with_less_than_it_needs(registry: Registry, held: tuple[str, ...]) -> None:
    name = user_of(held)
    tried = registry.tried(name, OURS)
    assert tried == registry.decided(name, OURS)
    assert tried == {operation: "done" if set(needed) <= set(held) else 403 for operation, needed in NEEDS.items()}
