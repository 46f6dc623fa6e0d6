# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_live import ask
from support.blueprints import SIDE

DOCUMENT = {
    "issuer": SIDE.issuer,
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid", "email", "profile"],
    "claims_supported": ["sub", "preferred_username", "groups"],
}


class Provider:
    """Answers once; `asked` are the addresses."""

    def __init__(self, status=200, **changes):
        self.asked = []
        self.response = Response(status, json.dumps({**DOCUMENT, **changes}).encode(), reason="no route")

    def __call__(self, method, url, verify=True):
        self.asked.append((method, url, verify))
        return self.response


def codes(provider, side=SIDE):
    return [(finding.code, finding.severity) for finding in ask(side, provider)]


def test_a_provider_that_agrees_is_asked_once():
    provider = Provider()
    assert codes(provider) == []
    assert provider.asked == [("GET", "https://authentik.example.org/application/o/zot/.well-known/openid-configuration", True)]


@pytest.mark.parametrize(
    ("provider", "found"),
    [
        (Provider(0), [("AK401", "error")]),
        (Provider(404), [("AK401", "error")]),
        (Provider(issuer=""), [("AK401", "error")]),
        (Provider(issuer=SIDE.issuer.rstrip("/")), [("AK402", "error")]),
        (Provider(issuer=SIDE.issuer.replace("https", "http")), [("AK402", "error")]),
        (Provider(id_token_signing_alg_values_supported=["HS256"]), [("AK403", "error")]),
        (Provider(id_token_signing_alg_values_supported=["ES384"]), [("AK403", "error")]),
        (Provider(id_token_signing_alg_values_supported=["HS256", "ES256"]), []),
        (Provider(scopes_supported=["openid", "email"]), [("AK404", "warning")]),
        (Provider(claims_supported=["sub"]), [("AK405", "warning"), ("AK405", "warning")]),
        (Provider(scopes_supported=None, claims_supported=None, id_token_signing_alg_values_supported=None), []),
    ],
)
def test_what_differs_is_found(provider, found):
    assert codes(provider) == found


def test_a_registry_without_groups_needs_no_claim_of_them():
    assert codes(Provider(claims_supported=["preferred_username"]), replace(SIDE, groups=())) == []


def test_both_addresses_are_told():
    (finding,) = ask(SIDE, Provider(issuer="https://other.example.org/"))
    assert "https://other.example.org/" in finding.message
    assert SIDE.issuer in finding.message
