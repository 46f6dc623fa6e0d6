# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the client of a running zot."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Transport


class Answer(t.NamedTuple):
    """``ready``: it serves; ``release``: what it says it is, None where it does not say; ``reason``: why it is not ready."""

    ready: bool
    release: str | None = None
    reason: str = ""


def ask(url: str, transport: Transport) -> Answer:
    """Is the zot at ``url`` (scheme://host:port) ready, and which release is it?

    C(/readyz) exists since 2.1.6; before, C(/v2/) answers 200 or 401 as soon as the port is open. The release is told by
    the management endpoint, which needs no credentials and exists where search is enabled.
    """
    ready = transport("GET", f"{url}/readyz")
    if ready.status in (401, 404):
        ready = transport("GET", f"{url}/v2/")
        if ready.status not in (200, 401):
            return Answer(False, reason=f"{url}/v2/ answers {ready.status or ready.reason}")
    elif ready.status != 200:
        return Answer(False, reason=f"{url}/readyz answers {ready.status or ready.reason}")
    told = transport("GET", f"{url}/v2/_zot/ext/mgmt")
    return Answer(True, _release(told.body) if told.status == 200 else None)


def local_url(document: t.Mapping[str, t.Any]) -> str:
    """Where a zot with this (effective) document answers on its own host."""
    http = mapping(document.get("http"))
    address = str(http.get("address") or "127.0.0.1")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}.get(address, address)  # noqa: S104 - recognised, not listened on
    tls = mapping(http.get("tls"))
    # With half a tls block zot serves plain HTTP.
    scheme = "https" if tls.get("cert") and tls.get("key") else "http"
    return f"{scheme}://{host}:{http.get('port') or 8080}"


def _release(body: bytes) -> str | None:
    try:
        tag = json.loads(body).get("releaseTag")
    except (ValueError, AttributeError):
        return None
    return tag.lstrip("v") if isinstance(tag, str) and tag else None
