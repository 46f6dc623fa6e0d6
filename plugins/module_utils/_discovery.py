# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: an OpenID provider as zot sees it when it starts."""

from __future__ import annotations

import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._judging import Answer, answer_of, json_of, judged, shown
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response


def discover(issuer: str, transport: t.Callable[..., Response]) -> Answer:
    """Ask an OpenID provider as zot does when it starts: it dies when there is no answer, or the document names another issuer.

    C(tls) is why Python does not trust the certificate, which is no failure in itself: Go may know other authorities.
    """
    url = issuer.removesuffix("/") + "/.well-known/openid-configuration"
    response = transport("GET", url)
    untrusted = response.untrusted
    if untrusted:
        response = transport("GET", url, verify=False)
    return {"issuer": "", "tls": untrusted, **judged(lambda: _discovered(issuer, response))}


def _discovered(issuer: str, response: Response) -> Answer:
    if response.status == 0:
        return answer_of("unreachable", response.reason)
    if response.status != 200:
        return answer_of("broken", f"it answers {response.status}")
    document = json_of(response.body)
    named = document.get("issuer") if isinstance(document, dict) else None
    if not isinstance(named, str) or not named:
        return answer_of("broken", "it names no issuer")
    if named != issuer:
        return {**answer_of("mismatch", "it names another issuer"), "issuer": shown(named)}
    return {"state": "ok", "issuer": named}
