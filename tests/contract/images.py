# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny image, pushed over HTTP or laid down in a storage folder before a registry starts on it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from contract.ask import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
OCTETS = "application/octet-stream"
NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


CONFIG = compact({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}})


def manifest(layer: bytes = b"layer", **more: object) -> bytes:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(CONFIG), "size": len(CONFIG)}
    layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(layer), "size": len(layer)}]
    return compact({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more})


def put_blob(url: str, repository: str, blob: bytes, login: str | None = None) -> Answer:
    path = f"/v2/{repository}/blobs/uploads/?digest={digest_of(blob)}"
    return ask(url, "POST", path, login, blob, {"Content-Type": OCTETS})


def put_manifest(url: str, repository: str, reference: str, body: bytes, login: str | None = None) -> Answer:
    return ask(url, "PUT", f"/v2/{repository}/manifests/{reference}", login, body, {"Content-Type": MANIFEST})


def push(url: str, repository: str, tag: str, login: str | None = None, layer: bytes = b"layer") -> str:
    """Push an image; its digest."""
    for blob in (CONFIG, layer):
        assert put_blob(url, repository, blob, login).status == 201
    answer = put_manifest(url, repository, tag, manifest(layer), login)
    assert answer.status == 201, answer
    return answer.headers["docker-content-digest"]


def lay_down(root: Path, repository: str, tags: Iterable[str]) -> None:
    """The same image as files: an OCI layout, which is how zot stores a repository."""
    folder = root / repository
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / ".uploads").mkdir()
    body = manifest()
    for blob in (CONFIG, b"layer", body):
        (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    entry = {"mediaType": MANIFEST, "digest": digest_of(body), "size": len(body)}
    entries = [{**entry, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags]
    (folder / "index.json").write_bytes(compact({"schemaVersion": 2, "manifests": entries}))
    (folder / "oci-layout").write_bytes(compact({"imageLayoutVersion": "1.0.0"}))
