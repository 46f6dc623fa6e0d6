# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release


@pytest.mark.parametrize(("text", "release"), [("2.1.20", "2.1.20"), ("v2.1.5", "2.1.5"), (" 2.1.0\n", "2.1.0"), ("10.0.1", "10.0.1")])
def test_a_release_is_three_numbers(text, release):
    assert str(Release(text)) == release


@pytest.mark.parametrize("text", ["", "latest", "2.1", "2.1.x", "2.1.20-rc1", "2.1.20.1", 2.1, None])
def test_what_is_no_release_is_refused(text):
    with pytest.raises(ZotError, match=f"'{text}' is not a zot release; write it like 2.1.20"):
        Release(text)


@pytest.mark.parametrize("text", ["2.0.99", "1.4.3", "0.0.0"])
def test_what_is_too_old_is_refused(text):
    with pytest.raises(ZotError, match=rf"zot {text} is older than 2\.1\.0"):
        Release(text)


@pytest.mark.parametrize(
    ("text", "unknown"), [("2.1.0", False), ("2.1.9", False), ("2.1.21", False), ("2.1.22", True), ("2.2.0", True), ("3.0.0", True)]
)
def test_what_is_newer_than_every_known_release_is_unknown(text, unknown):
    assert Release(text).unknown is unknown


# The last release without it and the first with it, as release notes and recorded answers of zot say.
KEYS = {
    "http.auth.sessionKeysFile": (1, 2),
    "http.compat": (1, 2),
    "extensions.sync.registries[].preserveDigest": (2, 3),
    "http.auth.openid.providers.*.credentialsFile": (5, 6),
    "http.auth.secureSession": (10, 11),
    "http.auth.openid.providers.*.claimMapping.username": (10, 11),
    "http.auth.mtls": (11, 12),
    "http.auth.bearer.oidc": (13, 14),
    "http.readTimeout": (16, 17),
    "http.auth.openid.providers.*.claimMapping.groups": (16, 17),
    "http.accessControl.metrics.anonymousPolicy": (17, 18),
    "storage.retention.policies[].keepUntagged": (18, 19),
    "storage.subPaths.*.gcTimeWindow": (18, 19),
}


@pytest.mark.parametrize(("key", "releases"), KEYS.items())
def test_a_key_comes_with_its_release_and_stays(key, releases):
    without, first = (f"2.1.{number}" for number in releases)
    assert not Release(without).takes(key)
    assert Release(first).takes(key)
    assert Release("2.2.0").takes(key)
