# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import bcrypt
import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils import _htpasswd
from ansible_collections.blumeops.zot.plugins.plugin_utils._htpasswd import htpasswd

SALT = "$2y$04$abcdefghijklmnopqrstuu"


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    monkeypatch.setattr(_htpasswd, "_ROUNDS", 4)


def hashes(text):
    return dict(line.split(":", 1) for line in text.splitlines())


def test_every_user_has_a_line_that_opens_to_the_password_alone():
    text = htpasswd({"zot-ci": "secret", "ann": "größe"}, {})
    assert list(hashes(text)) == ["ann", "zot-ci"]
    assert text.endswith("\n")
    for name, password in (("zot-ci", "secret"), ("ann", "größe")):
        assert bcrypt.checkpw(password.encode(), hashes(text)[name].encode())
        assert not bcrypt.checkpw(b"other", hashes(text)[name].encode())


def test_no_users_make_an_empty_file():
    assert htpasswd({}, {}) == ""


def test_a_new_line_has_a_salt_of_its_own_and_ten_rounds(monkeypatch):
    monkeypatch.undo()
    one, other = (hashes(htpasswd({"bob": "secret"}, {}))["bob"] for _time in range(2))
    assert one != other
    assert one.split("$")[2] == "10"


def test_with_the_hosts_salt_the_same_password_is_the_same_line():
    line = htpasswd({"bob": "secret"}, {"bob": SALT, "ann": SALT})
    assert line.startswith(f"bob:{SALT[:28]}")
    assert htpasswd({"bob": "secret"}, {"bob": SALT}) == line
    assert htpasswd({"bob": "other"}, {"bob": SALT}) != line
    assert htpasswd({"bob": "secret"}, {}) != line


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\nb", "a\t"])
def test_a_name_the_file_cannot_hold_is_refused(name):
    with pytest.raises(ZotError, match=r"^zot_local_users: a name may not be empty nor hold a colon or a blank$"):
        htpasswd({name: "secret"}, {})


def test_a_password_that_bcrypt_would_cut_is_refused_and_not_quoted():
    assert bcrypt.checkpw(b"x" * 72, hashes(htpasswd({"bob": "x" * 72}, {}))["bob"].encode())
    for password in ("x" * 73, "ü" * 37):
        with pytest.raises(ZotError, match="the password of bob is longer than the 72 bytes") as error:
            htpasswd({"bob": password}, {})
        assert password not in error.value.message


def test_without_bcrypt_it_is_named(monkeypatch):
    monkeypatch.setattr(_htpasswd, "_MISSING", ImportError("no bcrypt"))
    with pytest.raises(ZotError, match=r"Python package 'bcrypt' on the controller: pip install bcrypt$"):
        htpasswd({"bob": "secret"}, {})
