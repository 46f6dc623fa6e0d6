# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenID provider of `support.authentik`: oidc-provider-mock talks, and the database says who, what and with which key."""

from __future__ import annotations

import contextlib
import re
import threading
import typing as t
from collections.abc import Iterator

import flask
import oidc_provider_mock
import pytest
import werkzeug.serving
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from oidc_provider_mock import _app as mock
from oidc_provider_mock._storage import Client, ClientAllowAny
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from support.authentik import Authentik, Object

# Older ones, which are those for Python 3.11, sign in another way.
SIGNS = hasattr(mock.OpenIDCode, "get_client_claims")


@contextlib.contextmanager
def serving_provider(authentik: Authentik, port: int) -> Iterator[str]:
    """Hold the conversation for the one application of the database, and yield its issuer."""
    (application,) = authentik.all("authentik_core.application")
    provider = authentik.by_key(application["provider"], "authentik_providers_oauth2.oauth2provider")
    assert provider
    issuer = f"http://127.0.0.1:{port}/application/o/{application['slug']}/"
    mappings = [authentik.by_key(key, "authentik_providers_oauth2.scopemapping") for key in provider["property_mappings"]]
    client = Client(
        id=provider["client_id"],
        secret=provider["client_secret"],
        redirect_uris=[item["url"] for item in provider["redirect_uris"] if item["matching_mode"] == "strict"],
        allowed_scopes=[mapping["scope_name"] for mapping in mappings if mapping],
        token_endpoint_auth_method=ClientAllowAny(),
    )
    algorithm, signing = _signing(authentik, provider)
    people = [oidc_provider_mock.User(sub=one["username"]) for one in authentik.all("authentik_core.user")]
    app = oidc_provider_mock.app(require_client_registration=True, user_claims=people)

    @app.before_request
    def as_configured() -> tuple[str, int] | None:
        flask.g.oidc_provider_mock_storage.store_client(client)
        flask.g.oidc_provider_mock_storage.jwk = signing if algorithm != "HS256" else flask.g.oidc_provider_mock_storage.jwk
        who = flask.request.form.get("sub", "")
        asked = flask.request.path == "/oauth2/authorize" and flask.request.method == "POST"
        return ("Request has been denied.", 403) if asked and not authentik.allows(who, application) else None

    @app.after_request
    def named(response: flask.Response) -> flask.Response:
        if flask.request.path.endswith("/openid-configuration"):
            key = b'"issuer": "'
            response.data = re.sub(key + b'[^"]*', key + issuer.encode(), response.data)
            response.data = response.data.replace(b"RS256", algorithm.encode())
        return response

    patched = pytest.MonkeyPatch()
    patched.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    said = mock.OpenIDCode.get_client_claims
    patched.setattr(mock.OpenIDCode, "get_client_claims", lambda self, one: {**said(self, one), "iss": issuer})
    patched.setattr(mock.OpenIDCode, "get_client_algorithm", lambda _self, _client: algorithm)
    patched.setattr(mock.OpenIDCode, "resolve_client_private_key", lambda _self, _client: KeySet([signing]))
    patched.setattr(mock, "_user_claims_for_scope", lambda user, scope: authentik.claims(user.sub, scope.split()))
    mounted = DispatcherMiddleware(NotFound(), {f"/application/o/{application['slug']}": app})
    server = werkzeug.serving.make_server("127.0.0.1", port, mounted, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        patched.undo()


def _signing(authentik: Authentik, provider: Object) -> tuple[str, t.Any]:
    """The key's own algorithm; without a key authentik signs with the secret."""
    certificate = authentik.by_key(provider["signing_key"], "authentik_crypto.certificatekeypair")
    if certificate is None:
        return "HS256", OctKey.import_key(provider["client_secret"])
    algorithm = certificate.get("algorithm", "RS256")
    curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    made = ECKey.generate_key(curves[algorithm]) if algorithm in curves else RSAKey.generate_key(2048)
    return algorithm, made


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log(self, *_said: t.Any) -> None:
        """Nothing on the terminal."""
