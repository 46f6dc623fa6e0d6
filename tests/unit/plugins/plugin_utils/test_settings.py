# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import build
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS

OIDC = {"issuer": "https://idp.test/zot/", "client_id": "zot", "username_claim": "sub"}
READ = [{"anonymous": True, "actions": ["read"]}]
SECRETS = {"oidc_client_secret": "s3cret-client", "upstream_passwords": {"docker.io": "s3cret-hub"}, "local_passwords": {}}


def settings(**given):
    outcome = ArgumentSpecValidator(SETTINGS).validate({"data_dir": "/srv/zot", **given})
    assert not outcome.error_messages
    return outcome.validated_parameters


def made(release="2.1.20", secrets=SECRETS, **given):
    return build(settings(**given), secrets, Release(release), "/etc/zot")


def test_the_reference_host():
    desired = made(
        port=5050,
        external_url="https://registry.test",
        upstreams=[{"name": "docker.io", "username": "me"}, {"name": "ghcr.io", "retention": "forever"}],
        oidc=OIDC,
        grants=READ,
        metrics="anonymous",
        overrides={"log": {"level": "warn"}, "storage": {"gcDelay": None}},
    )
    document = desired.document
    assert document["http"]["port"] == "5050"
    assert document["http"]["compat"] == ["docker2s2"]
    assert document["http"]["readTimeout"] == document["http"]["writeTimeout"] == "1h"
    assert document["http"]["auth"] == {
        "apikey": True,
        "openid": {
            "providers": {
                "oidc": {
                    "credentialsFile": "/etc/zot/oidc-credentials.json",
                    "issuer": "https://idp.test/zot/",
                    "scopes": ["openid", "profile", "email"],
                    "claimMapping": {"username": "sub"},
                }
            }
        },
        "secureSession": True,
        "sessionKeysFile": "/etc/zot/session-keys.json",
    }
    assert document["http"]["accessControl"]["repositories"]["**"] == {"defaultPolicy": [], "anonymousPolicy": ["read"]}
    assert document["http"]["accessControl"]["metrics"] == {"anonymousPolicy": ["read"]}
    assert document["log"] == {"level": "warn"}
    assert "gcDelay" not in document["storage"]
    (policy,) = document["storage"]["retention"]["policies"]
    assert policy["repositories"] == ["docker.io/**"]
    hub, github = document["extensions"]["sync"]["registries"]
    assert hub["urls"] == ["https://registry-1.docker.io"]
    assert hub["content"] == [{"prefix": "**", "destination": "/docker.io"}]
    assert hub["preserveDigest"] is True
    assert github["urls"] == ["https://ghcr.io"]
    assert desired.session_keys


def test_secrets_stay_out_of_the_document():
    desired = made(upstreams=[{"name": "docker.io", "username": "me"}], oidc=OIDC, grants=READ)
    assert "s3cret" not in json.dumps(desired.document)
    assert "s3cret" not in repr(desired)
    contents = {file.name: json.loads(file.content) for file in desired.files}
    assert contents == {
        "oidc-credentials.json": {"clientid": "zot", "clientsecret": "s3cret-client"},
        "upstream-credentials.json": {"registry-1.docker.io": {"username": "me", "password": "s3cret-hub"}},
    }


def test_secrets_that_were_not_given_are_named():
    nothing = {"oidc_client_secret": "", "upstream_passwords": {}, "local_passwords": {}}
    desired = made(secrets=nothing, upstreams=[{"name": "docker.io", "username": "me"}], oidc=OIDC, grants=READ)
    assert [(file.content, file.missing) for file in desired.files] == [
        (None, ["zot_oidc_client_secret"]),
        (None, ["zot_upstream_passwords['docker.io']"]),
    ]


@pytest.mark.parametrize(
    ("release", "metrics", "timeouts", "untagged"),
    [
        ("2.1.10", {"users": [""]}, False, False),
        ("2.1.17", {"users": [""]}, True, False),
        ("2.1.18", {"anonymousPolicy": ["read"]}, True, False),
        ("2.1.20", {"anonymousPolicy": ["read"]}, True, True),
    ],
)
def test_each_release_gets_the_keys_it_knows(release, metrics, timeouts, untagged):
    document = made(release, grants=READ, metrics="anonymous", upstreams=[{"name": "quay.io"}]).document
    assert document["http"]["accessControl"]["metrics"] == metrics
    assert ("readTimeout" in document["http"]) is timeouts
    assert ("keepUntagged" in document["storage"]["retention"]["policies"][0]) is untagged


def test_the_oldest_release_knows_neither_compat_nor_session_keys():
    desired = made("2.1.1", grants=READ, local_users=["bob"], upstreams=[{"name": "quay.io"}])
    assert "compat" not in desired.document["http"]
    assert "sessionKeysFile" not in desired.document["http"]["auth"]
    assert "preserveDigest" not in desired.document["extensions"]["sync"]["registries"][0]
    assert not desired.session_keys


def test_zots_own_tree_replaces_grants():
    tree = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
    assert made(overrides={"http": {"accessControl": tree}}).document["http"]["accessControl"] == tree
    with pytest.raises(ZotError, match="keep one of them"):
        made(grants=READ, overrides={"http": {"accessControl": tree}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": {"Admins": ["bob"]}}, "write 'admins'"),
        ({"upstreams": [{"name": "docker.io", "url": "registry-1.docker.io"}]}, "must begin with https://"),
        ({"oidc": OIDC, "release": "2.1.5"}, r"oidc.client_id needs zot 2.1.6 or newer, not 2.1.5"),
        ({"oidc": {**OIDC, "groups_claim": "roles"}, "release": "2.1.16"}, "needs zot 2.1.17"),
        ({"release": "latest"}, "not a zot release"),
        ({"release": "2.0.4"}, "older than 2.1.0"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ZotError, match=message):
        made(**given)


@pytest.mark.real_zot
def test_a_real_zot_accepts_what_is_made(tmp_path, real_zot):
    keys = tmp_path / "session-keys.json"
    keys.write_text(json.dumps({"hashKey": "0" * 64, "encryptKey": "0" * 32}))
    credentials = tmp_path / "oidc-credentials.json"
    credentials.write_text(json.dumps({"clientid": "zot", "clientsecret": "x"}))
    upstreams = [{"name": "docker.io", "username": "me"}, {"name": "ghcr.io"}]
    for given in (
        {"grants": READ},
        {"oidc": OIDC, "local_users": ["bob"], "metrics": "anonymous", "upstreams": upstreams, "external_url": "https://r.test"},
        {"local_users": ["bob"], "metrics": "users", "metrics_users": ["bob"], "groups": {"admins": ["bob"]}, "ui": False},
    ):
        config = tmp_path / "config.json"
        config.write_text(json.dumps(build(settings(**given), SECRETS, Release("2.1.20"), str(tmp_path)).document))
        done = run([str(real_zot), "verify", str(config)])
        assert done.rc == 0, done.stderr + done.stdout
