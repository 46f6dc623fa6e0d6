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
from support.zot_binary import standin_zot

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
        ({"upstreams": [{"name": "docker.io", "url": "ftp://registry-1.docker.io"}]}, "must begin with https://"),
        ({"oidc": OIDC, "release": "2.1.5"}, r"oidc.client_id needs zot 2.1.6 or newer, not 2.1.5"),
        ({"oidc": OIDC, "release": "2.1.10"}, r"oidc.username_claim needs zot 2.1.11 or newer, not 2.1.10"),
        ({"oidc": {**OIDC, "groups_claim": "roles"}, "release": "2.1.16"}, r"oidc.groups_claim needs zot 2.1.17 or newer, not 2.1.16"),
        ({"release": "latest"}, "not a zot release"),
        ({"release": "2.0.4"}, "older than 2.1.0"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ZotError, match=message):
        made(**given)


# --- storage and retention


def test_storage_collects_garbage_and_keeps_one_copy():
    assert made().document["distSpecVersion"] == "1.1.1"
    assert made().document["storage"] == {"rootDirectory": "/srv/zot", "dedupe": True, "gc": True, "gcDelay": "1h", "gcInterval": "24h"}


def test_a_cache_keeps_what_was_used_within_its_time():
    upstreams = [{"name": "docker.io"}, {"name": "ghcr.io", "retention": "24h"}, {"name": "quay.io", "retention": "forever"}]
    policies = made(upstreams=upstreams, upstream_retention="48h").document["storage"]["retention"]["policies"]
    for policy, name, keep in zip(policies, ("docker.io", "ghcr.io"), ("48h", "24h"), strict=True):
        recently = {"pulledWithin": keep, "pushedWithin": keep}
        assert policy == {
            "repositories": [f"{name}/**"],
            "keepTags": [{"patterns": [".*"], **recently}],
            "keepUntagged": recently,
        }


def test_where_everything_is_kept_there_is_no_policy():
    for given in (
        {"upstreams": [{"name": "a.io", "retention": "forever"}]},
        {"upstream_retention": "forever", "upstreams": [{"name": "a.io"}]},
    ):
        assert "retention" not in made(**given).document["storage"]


# --- http


def test_where_it_listens_and_under_which_name_it_is_known():
    http = made(address="0.0.0.0", port=5001, external_url="http://registry.test", transfer_timeout="2h").document["http"]
    assert (http["address"], http["port"], http["externalUrl"]) == ("0.0.0.0", "5001", "http://registry.test")
    assert http["readTimeout"] == http["writeTimeout"] == "2h"
    assert "externalUrl" not in made().document["http"]


def test_it_logs_as_much_as_was_asked_for():
    assert made(log_level="debug").document["log"] == {"level": "debug"}


def test_dockers_own_format_is_taken_only_where_there_is_an_upstream():
    assert "compat" not in made().document["http"]
    assert made(upstreams=[{"name": "quay.io"}]).document["http"]["compat"] == ["docker2s2"]


def test_without_anybody_to_log_in_there_is_no_authentication():
    desired = made(grants=READ)
    assert "auth" not in desired.document["http"]
    assert desired.files == []
    assert not desired.session_keys


def test_local_users_are_in_htpasswd():
    desired = made(local_users=["bob"], api_keys=False)
    assert desired.document["http"]["auth"] == {
        "htpasswd": {"path": "/etc/zot/htpasswd"},
        "apikey": False,
        "sessionKeysFile": "/etc/zot/session-keys.json",
    }
    assert desired.session_keys


@pytest.mark.parametrize(
    ("url", "release", "secure"),
    [("https://r.test", "2.1.11", True), ("http://r.test", "2.1.11", False), ("", "2.1.11", False), ("https://r.test", "2.1.10", False)],
)
def test_cookies_are_secure_behind_tls(url, release, secure):
    auth = made(release, local_users=["bob"], external_url=url).document["http"]["auth"]
    assert auth.get("secureSession", False) is secure


def test_a_provider_is_as_it_was_described():
    given = {**OIDC, "name": "Login", "groups_claim": "roles", "scopes": ["openid", "groups"]}
    provider = made(oidc=given).document["http"]["auth"]["openid"]["providers"]["oidc"]
    assert provider == {
        "credentialsFile": "/etc/zot/oidc-credentials.json",
        "issuer": "https://idp.test/zot/",
        "scopes": ["openid", "groups"],
        "name": "Login",
        "claimMapping": {"username": "sub", "groups": "roles"},
    }
    plain = made(oidc={"issuer": "https://idp.test/", "client_id": "zot"}).document["http"]["auth"]["openid"]["providers"]["oidc"]
    assert set(plain) == {"credentialsFile", "issuer", "scopes"}


# --- who may do what


def test_groups_and_metrics_are_part_of_the_access_rules():
    tree = made(groups={"admins": ["ann", "bob"]}, metrics="users", metrics_users=["prometheus"]).document["http"]["accessControl"]
    assert tree["groups"] == {"admins": {"users": ["ann", "bob"]}}
    assert tree["metrics"] == {"users": ["prometheus"]}
    assert set(made().document["http"]["accessControl"]) == {"repositories"}


def test_no_grants_deny_everything():
    assert made().document["http"]["accessControl"]["repositories"] == {"**": {"defaultPolicy": []}}


@pytest.mark.parametrize("http", [{"realm": "zot"}, {"accessControl": {}}])
def test_overrides_without_a_tree_leave_the_grants_in_force(http):
    document = made(grants=READ, overrides={"http": http}).document
    assert document["http"]["accessControl"] == made(grants=READ).document["http"]["accessControl"]


def test_overrides_are_merged_last_and_null_removes():
    document = made(
        grants=READ, overrides={"http": {"accessControl": None, "realm": "zot"}, "extensions": {"ui": {"enable": False}}}
    ).document
    assert "accessControl" not in document["http"]
    assert document["http"]["realm"] == "zot"
    assert document["extensions"] == {"search": {"enable": True}, "ui": {"enable": False}}


def test_overrides_of_the_wrong_shape_are_left_for_zot_to_judge():
    assert made(grants=READ, overrides={"http": "nonsense"}).document["http"] == "nonsense"


# --- extensions


def test_extensions_are_what_was_asked_for():
    assert made().document["extensions"] == {"search": {"enable": True}, "ui": {"enable": True}}
    assert made(ui=False).document["extensions"] == {}
    metrics = {"enable": True, "prometheus": {"path": "/metrics"}}
    for who in ("users", "anonymous"):
        assert made(ui=False, metrics=who).document["extensions"] == {"metrics": metrics}


def test_an_upstream_is_cached_on_demand_under_its_own_name():
    upstreams = [{"name": "quay.io"}, {"name": "hub", "url": "http://hub.test:5000"}]
    sync = made(upstreams=upstreams).document["extensions"]["sync"]
    assert sync == {
        "enable": True,
        "registries": [
            {
                "urls": [url],
                "content": [{"prefix": "**", "destination": f"/{name}"}],
                "onDemand": True,
                "tlsVerify": True,
                "maxRetries": 3,
                "retryDelay": "500ms",
                "preserveDigest": True,
            }
            for name, url in (("quay.io", "https://quay.io"), ("hub", "http://hub.test:5000"))
        ],
    }


def test_credentials_are_those_of_the_upstreams_with_a_user():
    upstreams = [{"name": "hub", "url": "https://hub.test:5000/v2", "username": "me"}, {"name": "quay.io"}]
    desired = made(secrets={**SECRETS, "upstream_passwords": {"hub": "x", "quay.io": "unused"}}, upstreams=upstreams)
    (file,) = desired.files
    assert json.loads(file.content) == {"hub.test:5000": {"username": "me", "password": "x"}}
    assert desired.document["extensions"]["sync"]["credentialsFile"] == "/etc/zot/upstream-credentials.json"
    assert "credentialsFile" not in made(upstreams=[{"name": "quay.io"}]).document["extensions"]["sync"]


def test_the_order_of_the_upstreams_is_no_difference_in_their_credentials():
    upstreams = [{"name": name, "username": "me"} for name in ("a.io", "b.io")]
    secrets = {**SECRETS, "upstream_passwords": {"a.io": "x", "b.io": "y"}}
    assert made(secrets=secrets, upstreams=upstreams).files == made(secrets=secrets, upstreams=upstreams[::-1]).files


def test_two_logins_of_one_host_are_refused():
    upstreams = [{"name": "hub", "url": "https://r.io/a", "username": "me"}, {"name": "mirror", "url": "https://r.io/b", "username": "me"}]
    same = {**SECRETS, "upstream_passwords": {"hub": "x", "mirror": "x"}}
    assert made(secrets=same, upstreams=upstreams).files
    with pytest.raises(ZotError, match=r"zot_upstreams: mirror has another login .* keeps one for r\.io"):
        made(secrets={**SECRETS, "upstream_passwords": {"hub": "x", "mirror": "y"}}, upstreams=upstreams)


def test_credentials_that_were_not_given_leave_the_document_the_same():
    nothing = {"oidc_client_secret": None, "upstream_passwords": {"docker.io": None}, "local_passwords": {}}
    given = {"upstreams": [{"name": "docker.io", "username": "me"}], "oidc": OIDC}
    assert made(secrets=nothing, **given).document == made(**given).document


@pytest.mark.parametrize("password", [123, True, {"a": 1}])
def test_a_password_that_is_no_text_is_refused_and_not_quoted(password):
    secrets = {**SECRETS, "upstream_passwords": {"docker.io": password}}
    with pytest.raises(ZotError, match=r"zot_upstream_passwords\['docker.io'\]: a (int|bool|dict), not text; quote it"):
        made(secrets=secrets, upstreams=[{"name": "docker.io", "username": "me"}])


# --- every release


EVERYTHING = {
    "oidc": {"issuer": "https://idp.test/", "client_id": "zot"},
    "local_users": ["bob"],
    "groups": {"admins": ["bob"]},
    "grants": READ,
    "metrics": "anonymous",
    "upstreams": [{"name": "docker.io", "username": "me"}, {"name": "ghcr.io"}],
    "external_url": "https://r.test",
}


@pytest.mark.parametrize("release", [f"2.1.{number}" for number in (0, 2, 3, 5, 6, 10, 11, 16, 17, 18, 19, 21)])
def test_each_release_knows_every_key_it_gets(tmp_path, release):
    given = {
        key: value
        for key, value in EVERYTHING.items()
        if key != "oidc" or Release(release).takes("http.auth.openid.providers.*.credentialsFile")
    }
    desired = build(settings(**given), SECRETS, Release(release), str(tmp_path))
    for file in desired.files:
        (tmp_path / file.name).write_text(file.content)
    (tmp_path / "session-keys.json").write_text(json.dumps({"hashKey": "0" * 64, "encryptKey": "0" * 32}))
    (tmp_path / "config.json").write_text(json.dumps(desired.document))
    done = run([str(standin_zot(tmp_path / "bin", release)), "verify", str(tmp_path / "config.json")])
    assert done.rc == 0, done.stderr


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
