# SPDX-License-Identifier: GPL-3.0-or-later
"""What zot counts of a pull, which is what zot_cache_check goes by: only of a real one, as the stand-in has neither search nor metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._cache_check import Zot
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender
from support.zot_binary import Serving, serving, write_htpasswd

from contract.ask import ask
from contract.images import INDEX, MANIFEST, compact, digest_of, manifest, push
from contract.test_pull_through import DOCKER, caching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.conftest import Binary

REPOSITORY = "docker.io/library/nginx"
BOTH = {"search": {"enable": True}, "metrics": {"enable": True}}


@pytest.fixture
def upstream(standin: Binary, tmp_path: Path) -> Iterator[Serving]:
    with serving(standin.path, {"storage": {"gc": False}}, tmp_path / "upstream") as running:
        push(running.url, "library/nginx", "v1")
        yield running


@pytest.fixture
def cache(real_zot: Path, upstream: Serving, tmp_path: Path) -> Iterator[Serving]:
    with serving(real_zot, counting(upstream, **BOTH), tmp_path / "cache") as running:
        yield running


def counting(upstream: Serving, **extensions: Any) -> dict[str, Any]:
    config = caching(upstream.url, DOCKER)
    config["extensions"].update(extensions)
    return config


def zot_of(running: Serving) -> Zot:
    return Zot(running.url, sender())


def counts(running: Serving) -> dict[str, int]:
    counted = zot_of(running).look(REPOSITORY).counted
    assert counted is not None
    return {tag: number for tag, (_digest, number) in counted.items()}


def test_the_get_of_a_manifest_counts_and_nothing_else_does(cache: Serving) -> None:
    assert counts(cache) == {}
    path = f"/v2/{REPOSITORY}/manifests"
    assert ask(cache.url, "HEAD", f"{path}/v1").status == 200
    assert counts(cache) == {"v1": 0}  # fetched, and not downloaded
    assert ask(cache.url, "GET", f"{path}/v1").status == 200
    assert counts(cache) == {"v1": 1}
    assert ask(cache.url, "GET", f"{path}/{digest_of(manifest())}").status == 200
    assert counts(cache) == {"v1": 2}
    for method, asked in (
        ("HEAD", f"{path}/v1"),
        ("GET", f"/v2/{REPOSITORY}/tags/list"),
        ("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(b'layer')}"),
        ("GET", "/v2/_catalog"),
        ("GET", f"{path}/absent"),
        ("GET", "/v2/library/nginx/manifests/v1?ns=docker.io"),
    ):
        ask(cache.url, method, asked)
        assert counts(cache) == {"v1": 2}, asked


def test_an_index_counts_by_itself(cache: Serving, upstream: Serving) -> None:
    described = {"mediaType": MANIFEST, "digest": digest_of(manifest()), "size": len(manifest())}
    index = compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})
    ask(upstream.url, "PUT", "/v2/library/nginx/manifests/multi", body=index, headers={"Content-Type": INDEX})
    path = f"/v2/{REPOSITORY}/manifests"
    ask(cache.url, "HEAD", f"{path}/multi")
    ask(cache.url, "GET", f"{path}/{digest_of(index)}", headers={"Accept": INDEX})
    ask(cache.url, "GET", f"{path}/{digest_of(manifest())}")
    assert counts(cache)["multi"] == 1


def test_metrics_count_every_request_of_a_repository(cache: Serving) -> None:
    zot, path = zot_of(cache), f"/v2/{REPOSITORY}"
    assert zot.requests(REPOSITORY) == 0
    for method, asked in (("HEAD", "manifests/v1"), ("GET", "manifests/v1"), ("GET", f"blobs/{digest_of(b'layer')}"), ("GET", "tags/list")):
        assert ask(cache.url, method, f"{path}/{asked}").status == 200
    assert zot.requests(REPOSITORY) == 4
    zot.look(REPOSITORY)
    assert zot.requests(REPOSITORY) == 5  # its list of tags, and not the search
    assert zot.requests("docker.io/library") == 0


def test_a_zot_without_search_and_metrics_tells_tags_alone(real_zot: Path, upstream: Serving, tmp_path: Path) -> None:
    with serving(real_zot, counting(upstream), tmp_path / "bare") as running:
        zot = zot_of(running)
        zot.require()
        assert (zot.look(REPOSITORY).tags, zot.look(REPOSITORY).counted, zot.requests(REPOSITORY)) == (frozenset(), None, None)
        assert zot.has_manifest(REPOSITORY, "v1").status == 200
        assert zot.look(REPOSITORY).tags == {"v1"}
        assert zot.has_manifest(REPOSITORY, "absent").status == 404


def test_who_may_not_read_is_told_so(real_zot: Path, upstream: Serving, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    config = counting(upstream, **BOTH)
    config["http"] = {"auth": {"htpasswd": {"path": str(write_htpasswd(tmp_path / "closed" / "htpasswd", {"node": "pw"}))}}}
    with serving(real_zot, config, tmp_path / "closed") as running:
        known = Zot(running.url, sender(), "node", "pw")
        known.require()
        assert known.look(REPOSITORY).counted == {}
        assert ask(running.url, "GET", f"/v2/{REPOSITORY}/manifests/v1", "node:pw").status == 200
        assert known.look(REPOSITORY).counted == {"v1": (digest_of(manifest()), 1)}
        for stranger, said in ((Zot(running.url, sender()), "without a login"), (Zot(running.url, sender(), "node", "no"), "is refused")):
            with pytest.raises(ZotError, match=said):
                stranger.require()
