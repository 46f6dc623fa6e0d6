# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that a store keeps: made once, and the same from then on."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._stores import open_here
from ansible_collections.blumeops.zot.plugins.plugin_utils._passwords import stored_password, stored_passwords


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, str]:
    return {"kind": "file", "path": str(tmp_path / "keys.json"), "field": "zot-ci-api-password"}


def test_a_password_is_made_once(reference) -> None:
    made = stored_passwords({"zot-ci": reference}, open_here)["zot-ci"]
    assert 40 < len(made) <= 72
    assert stored_passwords({"zot-ci": reference}, open_here) == {"zot-ci": made}
    assert stored_password("zot-ci", reference, open_here) == made
    other = stored_passwords({"other": {**reference, "field": "other"}}, open_here)["other"]
    assert other != made


def test_asking_makes_none(reference) -> None:
    with pytest.raises(ZotError, match="zot-ci-api-password"):
        stored_password("zot-ci", reference, open_here)
    assert not Path(reference["path"]).exists()


@pytest.mark.parametrize(
    "broken", ["text", {}, {"kind": "file", "path": "/x"}, {"kind": "file", "path": "/x", "field": "f", "fields": "g"}]
)
def test_a_reference_that_names_no_field_is_refused(broken) -> None:
    with pytest.raises(ZotError, match="the store of zot-ci's password is a mapping of"):
        stored_passwords({"zot-ci": broken}, open_here)


def test_the_environment_has_to_hold_one(monkeypatch) -> None:
    reference = {"kind": "environment", "field": "CI_PASSWORD"}
    monkeypatch.setenv("CI_PASSWORD", "given")
    assert stored_passwords({"zot-ci": reference}, open_here) == {"zot-ci": "given"}
    monkeypatch.setenv("CI_PASSWORD", "")
    with pytest.raises(ZotError, match="environment"):
        stored_passwords({"zot-ci": reference}, open_here)
