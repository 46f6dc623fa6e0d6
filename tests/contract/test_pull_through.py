# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull-through: names mapped to the upstream's, images fetched when asked for, and served when the upstream is gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.zot_binary import Serving, free_port, serving, write_htpasswd

from contract.ask import ask
from contract.images import INDEX, MANIFEST, compact, digest_of, manifest, push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from contract.conftest import Binary

DOCKER = [{"prefix": "**", "destination": "/docker.io"}]


def caching(url: str, content: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    registry = {"urls": [url], "onDemand": True, "tlsVerify": False, **({"content": content} if content else {})}
    return {"storage": {"gc": False}, "extensions": {"sync": {"registries": [registry], **more}}}


@pytest.fixture
def upstream(standin: Binary, tmp_path: Path) -> Iterator[Serving]:
    with serving(standin.path, {"storage": {"gc": False}}, tmp_path / "upstream") as running:
        push(running.url, "library/nginx", "v1")
        yield running


def requests(log: str) -> list[str]:
    lines = [json.loads(line) for line in log.splitlines()]
    return [f"{line['method']} {line['path']}" for line in lines if line.get("message") == "HTTP API"]


def test_an_image_is_fetched_kept_and_served_without_the_upstream(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    with serving(zot.path, caching(upstream.url, DOCKER), tmp_path / "cache") as running:
        first = ask(running.url, "GET", "/v2/docker.io/library/nginx/manifests/v1")
        assert (first.status, first.headers["docker-content-digest"]) == (200, digest_of(manifest()))
        blob = f"/v2/docker.io/library/nginx/blobs/{digest_of(b'layer')}"
        assert ask(running.url, "GET", blob).body == b"layer"
        assert ask(running.url, "GET", "/v2/_catalog").json["repositories"] == ["docker.io/library/nginx"]
        for path in ("/v2/docker.io/library/absent/manifests/v1", "/v2/docker.io/library/nginx/manifests/absent"):
            assert ask(running.url, "GET", path).status == 404
        # what a client sends to a mirror that was named without a path: this is no route to the cache
        asked_before = requests(upstream.log)
        assert ask(running.url, "GET", "/v2/library/nginx/manifests/v1?ns=docker.io").status == 404
        assert requests(upstream.log) == asked_before
        upstream.stop()
        assert ask(running.url, "GET", "/v2/docker.io/library/nginx/manifests/v1").status == 200
        assert ask(running.url, "GET", "/v2/docker.io/library/other/manifests/v1").status == 404


def test_a_tag_follows_the_upstream_and_layers_are_fetched_once(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    with serving(zot.path, caching(upstream.url, DOCKER), tmp_path / "cache") as running:
        path = "/v2/docker.io/library/nginx/manifests/v1"
        old = ask(running.url, "GET", path).headers["docker-content-digest"]
        blobs = [line for line in requests(upstream.log) if line.startswith("GET") and "/blobs/sha256:" in line]
        assert ask(running.url, "GET", path).headers["docker-content-digest"] == old
        assert [line for line in requests(upstream.log) if line.startswith("GET") and "/blobs/sha256:" in line] == blobs
        new = push(upstream.url, "library/nginx", "v1", layer=b"another layer")
        assert ask(running.url, "GET", path).headers["docker-content-digest"] == new
        asked_before = len(requests(upstream.log))
        assert ask(running.url, "GET", f"/v2/docker.io/library/nginx/manifests/{new}").status == 200
        assert len(requests(upstream.log)) == asked_before, "a digest that is there is not asked for again"


def test_an_index_comes_with_its_images(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    described = {"mediaType": MANIFEST, "digest": digest_of(manifest()), "size": len(manifest())}
    index = compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})
    ask(upstream.url, "PUT", "/v2/library/nginx/manifests/multi", body=index, headers={"Content-Type": INDEX})
    with serving(zot.path, caching(upstream.url, DOCKER), tmp_path / "cache") as running:
        assert ask(running.url, "GET", "/v2/docker.io/library/nginx/manifests/multi").headers["content-type"] == INDEX
        upstream.stop()
        assert ask(running.url, "GET", f"/v2/docker.io/library/nginx/manifests/{described['digest']}").status == 200


def test_the_upstream_may_ask_for_a_login(zot: Binary, standin: Binary, tmp_path: Path) -> None:
    tmp_path.joinpath("upstream").mkdir()
    htpasswd = write_htpasswd(tmp_path / "upstream" / "htpasswd", {"puller": "pw"})
    guarded = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}, "storage": {"gc": False}}
    credentials = tmp_path / "credentials.json"
    with serving(standin.path, guarded, tmp_path / "upstream") as upstream:
        push(upstream.url, "app", "v1", "puller:pw")
        for word, status in (("pw", 200), ("wrong", 404)):
            login = {upstream.url.removeprefix("http://"): {"username": "puller", "password": word}}
            credentials.write_text(json.dumps(login), encoding="utf-8")
            config = caching(upstream.url, credentialsFile=str(credentials))
            with serving(zot.path, config, tmp_path / word) as running:
                assert ask(running.url, "GET", "/v2/app/manifests/v1").status == status
                assert "puller:pw" not in running.log


def test_reading_is_enough_to_have_an_image_fetched(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    config = {**caching(upstream.url, DOCKER), "http": {"accessControl": {"repositories": {"docker.io/**": {"anonymousPolicy": ["read"]}}}}}
    with serving(zot.path, config, tmp_path / "cache") as running:
        assert ask(running.url, "GET", "/v2/docker.io/library/nginx/manifests/v1").status == 200
        asked_before = len(requests(upstream.log))
        assert ask(running.url, "GET", "/v2/elsewhere/library/nginx/manifests/v1").status == 401
        assert len(requests(upstream.log)) == asked_before


def test_the_next_registry_is_asked_where_the_first_has_nothing(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    registries = [{"urls": [url], "onDemand": True, "content": DOCKER} for url in (gone, upstream.url)]
    config = {"storage": {"gc": False}, "extensions": {"sync": {"registries": registries}}}
    with serving(zot.path, config, tmp_path / "cache") as running:
        assert ask(running.url, "GET", "/v2/docker.io/library/nginx/manifests/v1").status == 200


def test_stripped_prefixes(zot: Binary, upstream: Serving, tmp_path: Path) -> None:
    content = [{"prefix": "library/**", "destination": "/hub", "stripPrefix": True}]
    with serving(zot.path, caching(upstream.url, content), tmp_path / "cache") as running:
        assert ask(running.url, "GET", "/v2/hub/nginx/manifests/v1").status == 200
        assert ask(running.url, "GET", "/v2/hub/library/nginx/manifests/v1").status == 404


@pytest.mark.parametrize(
    ("content", "local", "remote"),
    [
        ({"prefix": "**", "destination": "/docker.io"}, "docker.io/library/nginx", "library/nginx"),
        ({"prefix": "**", "destination": "/docker.io"}, "docker.io/nginx", "nginx"),
        ({"prefix": "**", "destination": "/docker.io"}, "docker.io", None),
        ({"prefix": "**", "destination": "/docker.io"}, "ghcr.io/x", None),
        ({"prefix": "**", "destination": "/docker.io"}, "docker.iox/y", None),
        ({"prefix": "**", "destination": "/docker.io", "stripPrefix": True}, "docker.io/library/nginx", "library/nginx"),
        ({"prefix": "**"}, "docker.io/library/nginx", "docker.io/library/nginx"),
        ({"prefix": "library/**", "destination": "/hub", "stripPrefix": True}, "hub/nginx", "library/nginx"),
        ({"prefix": "library/*", "destination": "/hub", "stripPrefix": True}, "hub/a/b", None),
        ({"prefix": "library/nginx", "destination": "/hub", "stripPrefix": True}, "hub", "library/nginx"),
        ({"prefix": "library/nginx", "destination": "/hub", "stripPrefix": True}, "hub/nginx", None),
        ({"prefix": "library/nginx", "destination": "/hub"}, "hub/library/nginx", "library/nginx"),
        ({"prefix": "lib*/**", "destination": "/h", "stripPrefix": True}, "h/library/nginx", "lib/library/nginx"),
    ],
)
def test_names_upstream(content: dict[str, Any], local: str, remote: str | None, standin_module: Callable[[str], ModuleType]) -> None:
    registry = {"content": [{key.lower(): value for key, value in content.items()}]}
    assert standin_module("2.1.20").source_name(registry, local) == remote
