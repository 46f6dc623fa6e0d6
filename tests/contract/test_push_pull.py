# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution API: pushing, pulling, listing, deleting, and that data outlive a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.zot_binary import Serving, serving, write_htpasswd

from contract.ask import ask
from contract.images import CONFIG, INDEX, MANIFEST, OCTETS, compact, digest_of, manifest, push, put_blob, put_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.conftest import Binary

LAYER = b"layer"


@pytest.fixture
def running(zot: Binary, tmp_path: Path) -> Iterator[Serving]:
    with serving(zot.path, {"storage": {"gc": False}}, tmp_path) as handle:
        yield handle


def code(body: bytes) -> str:
    return json.loads(body)["errors"][0]["code"]


def test_what_was_pushed_is_pulled_and_outlives_a_restart(running: Serving) -> None:
    digest = push(running.url, "team/app", "v1")
    running.restart()
    for reference in ("v1", digest):
        pulled = ask(running.url, "GET", f"/v2/team/app/manifests/{reference}")
        assert (pulled.status, pulled.body) == (200, manifest())
        assert (pulled.headers["content-type"], pulled.headers["docker-content-digest"]) == (MANIFEST, digest)
        assert ask(running.url, "HEAD", f"/v2/team/app/manifests/{reference}").headers["content-length"] == str(len(manifest()))
    blob = f"/v2/team/app/blobs/{digest_of(LAYER)}"
    assert ask(running.url, "GET", blob).body == LAYER
    part = ask(running.url, "GET", blob, headers={"Range": "bytes=1-2"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"ay", "bytes 1-2/5")
    assert ask(running.url, "GET", "/v2/team/app/tags/list").json == {"name": "team/app", "tags": ["v1"]}
    assert ask(running.url, "GET", "/v2/_catalog").json == {"repositories": ["team/app"]}


def test_a_blob_in_pieces(running: Serving) -> None:
    place = ask(running.url, "POST", "/v2/app/blobs/uploads/").headers["location"]
    first = ask(running.url, "PATCH", place, body=b"lay", headers={"Content-Type": OCTETS})
    assert (first.status, first.headers["range"]) == (202, "0-2")
    assert ask(running.url, "GET", place).headers["range"] == "0-2"
    assert ask(running.url, "PATCH", place, body=b"er", headers={"Content-Range": "0-1"}).status == 416
    assert ask(running.url, "PATCH", place, body=b"er", headers={"Content-Range": "3-4"}).status == 202
    done = ask(running.url, "PUT", f"{place}?digest={digest_of(LAYER)}")
    assert (done.status, done.headers["docker-content-digest"]) == (201, digest_of(LAYER))
    assert ask(running.url, "HEAD", f"/v2/app/blobs/{digest_of(LAYER)}").headers["content-length"] == "5"


def test_a_blob_streamed_without_a_length(running: Serving) -> None:
    place = ask(running.url, "POST", "/v2/app/blobs/uploads/").headers["location"]
    chunks = b"3\r\nlay\r\n2\r\ner\r\n0\r\n\r\n"
    assert ask(running.url, "PATCH", place, body=chunks, headers={"Transfer-Encoding": "chunked"}).headers["range"] == "0-4"
    assert ask(running.url, "PUT", f"{place}?digest={digest_of(LAYER)}").status == 201


def test_a_damaged_blob_is_refused(running: Serving) -> None:
    answer = ask(running.url, "POST", f"/v2/app/blobs/uploads/?digest={digest_of(b'x')}", body=b"y", headers={"Content-Type": OCTETS})
    assert (answer.status, code(answer.body)) == (400, "DIGEST_INVALID")
    assert ask(running.url, "HEAD", f"/v2/app/blobs/{digest_of(b'x')}").status == 404


def test_a_blob_is_mounted_from_another_repository(running: Serving) -> None:
    put_blob(running.url, "one", LAYER)
    assert ask(running.url, "POST", f"/v2/two/blobs/uploads/?mount={digest_of(LAYER)}&from=one").status == 201
    assert ask(running.url, "GET", f"/v2/two/blobs/{digest_of(LAYER)}").body == LAYER
    assert ask(running.url, "POST", f"/v2/two/blobs/uploads/?mount={digest_of(b'absent')}&from=one").status == 202


def test_a_blob_of_a_repository_one_cannot_read_is_not_mounted(zot: Binary, tmp_path: Path) -> None:
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"ann": "pw", "bob": "pw"})
    every = ["read", "create", "update", "delete"]
    repositories = {user + "/**": {"policies": [{"users": [user], "actions": every}]} for user in ("ann", "bobby")}
    repositories["bobby/**"]["policies"][0]["users"] = ["bob"]
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}, "accessControl": {"repositories": repositories}}}
    with serving(zot.path, config, tmp_path) as running:
        assert put_blob(running.url, "bobby/x", b"secret", "bob:pw").status == 201
        mount = f"/v2/ann/x/blobs/uploads/?mount={digest_of(b'secret')}&from=bobby/x"
        assert ask(running.url, "POST", mount, "ann:pw").status == 202
        assert ask(running.url, "HEAD", f"/v2/ann/x/blobs/{digest_of(b'secret')}", "ann:pw").status == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("text/plain", 415), ("", 415), ("application/vnd.docker.distribution.manifest.v2+json", 415), (MANIFEST, 400)]
)
def test_a_manifest_of_the_wrong_kind_or_shape(running: Serving, kind: str, status: int) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = ask(running.url, "PUT", "/v2/app/manifests/v1", body=b"{}", headers=headers)
    assert (answer.status, code(answer.body)) == (status, "MANIFEST_INVALID")
    # trap: only the refusal of the body leaves an empty repository behind
    assert ask(running.url, "GET", "/v2/_catalog").json["repositories"] == (["app"] if status == 400 else [])


def test_a_manifest_needs_its_blobs(running: Serving) -> None:
    assert put_blob(running.url, "app", CONFIG).status == 201
    assert put_manifest(running.url, "app", "v1", manifest()).status == 400
    assert put_blob(running.url, "app", LAYER).status == 201
    assert put_manifest(running.url, "app", "v1", manifest()).status == 201


def test_a_push_by_digest_may_name_tags(running: Serving) -> None:
    push(running.url, "app", "v1")
    body = manifest()
    answer = put_manifest(running.url, "app", f"{digest_of(body)}?tag=a&tag=b", body)
    assert (answer.status, answer.headers["oci-tag"]) == (201, "b")
    assert ask(running.url, "GET", "/v2/app/tags/list").json["tags"] == ["a", "b", "v1"]
    assert put_manifest(running.url, "app", digest_of(b"other"), body).status == 400


def test_deleting(running: Serving) -> None:
    digest = push(running.url, "app", "v1")
    assert put_manifest(running.url, "app", "v2", manifest()).status == 201
    assert ask(running.url, "DELETE", "/v2/app/manifests/v1").status == 202
    assert ask(running.url, "GET", "/v2/app/tags/list").json["tags"] == ["v2"]
    assert ask(running.url, "DELETE", "/v2/app/manifests/v2").status == 202
    assert ask(running.url, "GET", f"/v2/app/manifests/{digest}").status == 200, "the last tag leaves the manifest"
    assert ask(running.url, "DELETE", f"/v2/app/blobs/{digest_of(LAYER)}").status == 405, "which still needs its layer"
    assert ask(running.url, "DELETE", f"/v2/app/manifests/{digest}").status == 202
    assert ask(running.url, "DELETE", f"/v2/app/blobs/{digest_of(LAYER)}").status == 202
    assert ask(running.url, "DELETE", f"/v2/app/manifests/{digest}").status == 404
    absent = ask(running.url, "DELETE", "/v2/absent/manifests/v1")
    assert (absent.status, code(absent.body)) == (400, "NAME_UNKNOWN")


def test_indexes_and_referrers(running: Serving) -> None:
    digest = push(running.url, "app", "v1")
    described = {"mediaType": MANIFEST, "digest": digest, "size": len(manifest())}
    index = compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})
    answer = ask(running.url, "PUT", "/v2/app/manifests/multi", body=index, headers={"Content-Type": INDEX})
    assert answer.status == 201
    assert ask(running.url, "GET", "/v2/app/manifests/multi").headers["content-type"] == INDEX
    assert ask(running.url, "DELETE", f"/v2/app/manifests/{digest}").status == 405, "it is part of an index"
    signature = manifest(subject=described, artifactType="application/x-signature")
    assert put_manifest(running.url, "app", "sig", signature).headers["oci-subject"] == digest
    found = ask(running.url, "GET", f"/v2/app/referrers/{digest}").json["manifests"]
    assert [(entry["digest"], entry["artifactType"]) for entry in found] == [(digest_of(signature), "application/x-signature")]
    assert ask(running.url, "GET", f"/v2/app/referrers/{digest}?artifactType=other").json["manifests"] == []


def test_lists_in_pages(running: Serving) -> None:
    for repository, tag in (("a", "1"), ("a", "2"), ("a", "3"), ("b/c", "1"), ("b-c", "1")):
        push(running.url, repository, tag)
    page = ask(running.url, "GET", "/v2/a/tags/list?n=2")
    assert page.json["tags"] == ["1", "2"]
    assert page.headers["link"] == '</v2/a/tags/list?n=2&last=2>; rel="next"'
    assert ask(running.url, "GET", "/v2/a/tags/list?n=2&last=2").json["tags"] == ["3"]
    assert ask(running.url, "GET", "/v2/a/tags/list?n=x").status == 400
    names = ask(running.url, "GET", "/v2/_catalog").json["repositories"]
    assert sorted(names) == ["a", "b-c", "b/c"]
    paged = ask(running.url, "GET", "/v2/_catalog?n=1")
    assert paged.json["repositories"] == names[:1]
    assert paged.headers["link"] == f'</v2/_catalog?n=1&last={names[0]}>; rel="next"'
    assert ask(running.url, "GET", f"/v2/_catalog?last={names[0]}").json["repositories"] == names[1:]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v2/absent/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/absent/manifests/v1", 404, "NAME_UNKNOWN"),
        ("/v2/app/manifests/absent", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/app/blobs/{digest_of(b'absent')}", 404, "BLOB_UNKNOWN"),
        ("/v2/app/blobs/nonsense", 400, "DIGEST_INVALID"),
        ("/v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("/v2/App/tags/list", 404, ""),
        ("/v2/app", 404, ""),
        ("/", 404, ""),
    ],
)
def test_what_is_not_there(running: Serving, path: str, status: int, said: str) -> None:
    push(running.url, "app", "v1")
    answer = ask(running.url, "GET", path)
    assert answer.status == status
    assert (code(answer.body) if said else answer.body.decode()) == (said or "404 page not found\n")


def test_subpaths_keep_their_repositories_elsewhere(zot: Binary, tmp_path: Path) -> None:
    storage = {"gc": False, "rootDirectory": str(tmp_path / "main"), "subPaths": {"/team": {"rootDirectory": str(tmp_path / "other")}}}
    with serving(zot.path, {"storage": storage}, tmp_path) as running:
        for repository in ("app", "team/app", "team"):
            push(running.url, repository, "v1")
        assert (tmp_path / "other" / "team" / "app" / "index.json").exists()
        assert (tmp_path / "main" / "team" / "index.json").exists(), "a name without a slash stays"
        assert sorted(ask(running.url, "GET", "/v2/_catalog").json["repositories"]) == ["app", "team", "team/app"]
