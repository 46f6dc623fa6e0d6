# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the provider itself says, in its discovery document, against what the registry wants."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._discovery import discover
from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Side
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ERROR, WARNING, Finding

_WHERE = "discovery"
# Tried with zot 2.1.20, which answers 401 to others: authentik has HS256 without a key, and ES384 and ES512 with other curves.
_SIGNATURES = {"ES256", "RS256"}


def ask(side: Side, transport: t.Callable[..., Response]) -> list[Finding]:
    """Findings AK4..; the transport is asked once, as zot asks when it starts."""
    answers: list[Response] = []

    def listening(method: str, url: str, **more: t.Any) -> Response:
        answers.append(transport(method, url, **more))
        return answers[-1]

    verdict = discover(side.issuer, listening)
    if verdict["state"] == "mismatch":
        said = f"the provider calls itself {verdict['issuer']}, and zot, which is told {side.issuer}, does not start"
        return [Finding("AK402", ERROR, f"{_WHERE}.issuer", said, "set zot_oidc.issuer to what the provider says, byte for byte")]
    if verdict["state"] != "ok":
        hint = "apply the blueprint at authentik, and look at its status there; zot does not start as long as nobody answers"
        return [Finding("AK401", ERROR, _WHERE, f"{side.issuer}: {verdict['reason']}", hint)]
    return list(_differences(side, mapping(json.loads(answers[-1].body))))


def _differences(side: Side, document: dict[str, t.Any]) -> t.Iterator[Finding]:
    algorithms = [str(name) for name in _listed(document, "id_token_signing_alg_values_supported")]
    if algorithms and not _SIGNATURES & set(algorithms):
        said = f"tokens are signed with {', '.join(algorithms)}, and zot takes {' and '.join(sorted(_SIGNATURES))}"
        hint = "give the provider a signing_key, of a certificate with an RSA or a P-256 key"
        yield Finding("AK403", ERROR, f"{_WHERE}.id_token_signing_alg_values_supported", said, hint)
    scopes = _listed(document, "scopes_supported")
    for scope in side.scopes if scopes else ():
        if scope not in scopes:
            said = f"the registry asks for {scope}, and the provider does not know it"
            yield Finding(
                "AK404", WARNING, f"{_WHERE}.scopes_supported", said, "attach a mapping for it, or take it out of zot_oidc.scopes"
            )
    claims = _listed(document, "claims_supported")
    for claim in (side.username_claim, *([side.groups_claim] if side.groups else [])) if claims else ():
        if claim not in claims:
            said = f"the registry needs the claim {claim}, and the provider does not list it"
            yield Finding("AK405", WARNING, f"{_WHERE}.claims_supported", said, "attach a mapping that says it")


def _listed(document: dict[str, t.Any], name: str) -> list[t.Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []
