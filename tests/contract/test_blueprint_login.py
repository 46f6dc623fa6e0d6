# SPDX-License-Identifier: GPL-3.0-or-later
"""A login, from both sides that are made of the same variables: a provider as the blueprint has it, and a zot as the builder has it.

The provider is a model of authentik's; see support.authentik, and authentik_provider, for what is real in it.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._transport import remote
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Authentik as AuthentikRelease
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import Side, Wanted, build, side_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_live import ask
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_rules import validate
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import build as build_document
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from support.authentik import CERTIFICATE, Authentik
from support.authentik_provider import SIGNS, serving_provider
from support.blueprints import GRANTS, changed
from support.oidc import OidcError, create_api_key, login
from support.zot_binary import NotServingError, free_port, serving

from contract.ask import Question, ask_many
from contract.images import NO_UPLOAD

pytestmark = [
    pytest.mark.real_zot,
    pytest.mark.skipif(not SIGNS, reason="this oidc-provider-mock cannot be told how to sign; the one for Python 3.12 and newer can"),
]

SECRET = "canary-7d2b-of-a-length-that-will-do"
REPOSITORY = "blumeops/app"
QUESTIONS = {
    "read": Question("GET", f"/v2/{REPOSITORY}/blobs/uploads/{NO_UPLOAD}"),
    "create": Question("PUT", f"/v2/{REPOSITORY}/manifests/absent", "text/plain"),
    "delete": Question("DELETE", f"/v2/{REPOSITORY}/manifests/absent"),
}


class House:
    """One set of variables; `release` is authentik's. Both sides are made of them before anything is started."""

    def __init__(self, binary: Path, folder: Path, release: str = "2026.2", **oidc: t.Any) -> None:
        self.binary, self.folder, self.release = binary, folder, AuthentikRelease.of(release)
        self.zot_port, self.port = free_port(), free_port()
        provider = {
            "issuer": f"http://127.0.0.1:{self.port}/application/o/zot/",
            "client_id": "zot",
            "username_claim": "preferred_username",
        }
        defaults = {name: option.get("default") for name, option in SETTINGS.items()}
        self.settings = {
            **defaults,
            "data_dir": str(folder / "registry"),
            "port": self.zot_port,
            "external_url": f"http://127.0.0.1:{self.zot_port}",
            "oidc": {**provider, **oidc},
            "grants": GRANTS,
            "ui": False,
            "overrides": {"http": {"auth": {"sessionKeysFile": None}}},
        }
        self.desired = build_document(
            self.settings, {"oidc_client_secret": SECRET, "upstream_passwords": {}}, Release("2.1.20"), str(folder)
        )
        self.side: Side = side_of(load(self.desired.document, Release("2.1.20")), "zot")
        self.authentik = Authentik({"AUTHENTIK_ZOT_CLIENT_SECRET": SECRET}, "groups" if self.release.since(2026, 2) else "ak_groups")

    def blueprint(self, **wanted: t.Any) -> str:
        return build(self.side, Wanted(self.release, **wanted))

    @contextlib.contextmanager
    def open(self, blueprint: str) -> Iterator[None]:
        """Both are running. People come to the house after the blueprint."""
        self.authentik.apply(blueprint)
        for person, groups in {"ada": ["admins", "others"], "ci": ["artifact-workloads"], "eve": ["others"]}.items():
            self.authentik.person(person, *groups)
        for file in self.desired.files:
            (self.folder / file.name).write_text(file.content or "")
        with serving_provider(self.authentik, self.port), serving(self.binary, self.desired.document, self.folder):
            yield

    def key(self, person: str) -> str:
        """A login without a browser, and a key that is made in it."""
        with login(self.settings["external_url"], person) as session:
            return create_api_key(session, self.settings["external_url"], "made here")

    def may(self, name: str, key: str) -> dict[str, bool]:
        statuses = ask_many(self.zot_port, f"{name}:{key}" if name else None, list(QUESTIONS.values()))
        assert not [status for status in statuses if status >= 500]
        return {action: status not in (401, 403) for action, status in zip(QUESTIONS, statuses)}


@pytest.fixture
def house(real_zot: Path, tmp_path: Path) -> House:
    return House(real_zot, tmp_path)


def test_who_logs_in_has_the_rights_of_the_groups_and_a_key_that_works(house: House) -> None:
    with house.open(house.blueprint()):
        assert house.may("ada", house.key("ada")) == {"read": True, "create": True, "delete": True}
        assert house.may("ci", house.key("ci")) == {"read": True, "create": True, "delete": False}
        with pytest.raises(OidcError, match="403 Request has been denied"):
            house.key("eve")


def test_everybody_may_log_in_where_that_is_meant_and_has_no_more_rights_for_it(house: House) -> None:
    with house.open(house.blueprint(bound_groups=())):
        assert house.may("eve", house.key("eve")) == {"read": False, "create": False, "delete": False}


@pytest.mark.parametrize(
    ("release", "oidc", "name"),
    [
        ("2024.12", {}, "ada"),
        ("2026.5", {"username_claim": None}, "ada@example.org"),
        ("2025.10", {"groups_claim": "registry_groups"}, "ada"),
        ("2026.2", {"groups_claim": "registry_groups", "scopes": ["openid", "profile", "registry_groups"]}, "ada"),
        ("2026.2", {"scopes": ["email"], "username_claim": "email"}, "ada@example.org"),
    ],
)
def test_with_other_claims_scopes_and_releases_too(real_zot: Path, tmp_path: Path, release: str, oidc: dict[str, t.Any], name: str) -> None:
    house = House(real_zot, tmp_path, release, **oidc)
    with house.open(house.blueprint()):
        assert house.may(name, house.key("ada")) == {"read": True, "create": True, "delete": True}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("/zot/auth/callback/oidc", "/zot/auth/callback/authentik", "AK203"),
        ("matching_mode: strict", "matching_mode: regex", "AK203"),
        ("client_id: zot", "client_id: registry", "AK202"),
        ("client_secret: !Env AUTHENTIK_ZOT_CLIENT_SECRET", "client_secret: another", "AK303"),
        ("scope-openid]]", "scope-offline_access]]", "AK209"),
    ],
)
def test_a_blueprint_that_differs_lets_nobody_in_and_the_judge_knows(house: House, old: str, new: str, code: str) -> None:
    wrong = changed(house.blueprint(), old, new)
    assert code in {finding.code for finding in validate(wrong, house.side, house.release)}
    with house.open(wrong), pytest.raises(OidcError):
        house.key("ada")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("goauthentik.io/providers/oauth2/scope-profile", "goauthentik.io/providers/oauth2/scope-offline_access", "AK208"),
        ("name: admins", "name: Admins", "AK211"),
    ],
)
def test_a_blueprint_without_the_groups_lets_nobody_do_what_the_policy_says(house: House, old: str, new: str, code: str) -> None:
    wrong = changed(house.blueprint(bound_groups=()), old, new)
    assert code in {finding.code for finding in validate(wrong, house.side, house.release)}
    house.authentik.person("ada", "Admins")
    with house.open(wrong):
        if code == "AK211":
            house.authentik.person("ada", "Admins")
        for name in ("ada", "ada@example.org"):
            assert not any(house.may(name, house.key("ada")).values())


def test_another_slug_is_another_issuer(house: House) -> None:
    wrong = changed(house.blueprint(), "slug: zot", "slug: registry")
    assert "AK205" in {finding.code for finding in validate(wrong, house.side, house.release)}
    with pytest.raises(NotServingError, match="failed to initialize new relying party oidc"), house.open(wrong):
        pass


def test_without_a_binding_everybody_gets_in(house: House) -> None:
    text = house.blueprint()
    wrong = text[: text.index("  # Who may use it")]
    assert "AK304" in {finding.code for finding in validate(wrong, house.side, house.release)}
    with house.open(wrong):
        assert house.key("eve")


def test_a_signing_key_that_is_null_is_taken_by_authentik_and_lets_nobody_in(house: House) -> None:
    text = house.blueprint()
    guard = text[text.index("!If [") : text.index("\n", text.index("!If ["))]
    wrong = changed(text, guard, f"!Find [authentik_crypto.certificatekeypair, [name, {CERTIFICATE}]]")
    assert "AK302" in {finding.code for finding in validate(wrong, house.side, house.release)}
    house.authentik.objects = [one for one in house.authentik.objects if one["model"] != "authentik_crypto.certificatekeypair"]
    with house.open(wrong):
        assert [finding.code for finding in ask(house.side, remote)] == ["AK403"]
        with pytest.raises(OidcError, match="signature algorithm not supported"):
            house.key("ada")


def test_the_provider_that_is_running_agrees_with_what_the_registry_wants(house: House) -> None:
    with house.open(house.blueprint()):
        assert [finding.code for finding in ask(house.side, remote)] == []
        without = replace(house.side, issuer=house.side.issuer.rstrip("/"))
        assert [finding.code for finding in ask(without, remote)] == ["AK402"]


@pytest.mark.parametrize(("algorithm", "accepted"), [("RS256", True), ("ES256", True), ("ES384", False), ("ES512", False)])
def test_which_signatures_zot_takes_is_known(house: House, algorithm: str, accepted: bool) -> None:
    (certificate,) = house.authentik.all("authentik_crypto.certificatekeypair")
    certificate["algorithm"] = algorithm
    with house.open(house.blueprint()):
        assert ([finding.code for finding in ask(house.side, remote)] == []) is accepted
        if accepted:
            assert house.key("ada")
        else:
            with pytest.raises(OidcError, match="signature algorithm not supported"):
                house.key("ada")
