# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import functools
import json
import os
import pwd
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _inspect
from ansible_collections.blumeops.zot.plugins.module_utils._inspect import as_user, inspect, inspect_content

# The workers of pytest-xdist have threads; a module has none.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NOBODY = pwd.getpwnam("nobody")
KINDS = ["credentials", "exists", "folder", "htpasswd", "keys", "log", "pem", "readable"]
SALTED = "./abcdefghijklmnopqrst"
HASHED = "ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

# Of each kind that is read one content that is in order and full of secrets.
SECRETS = {
    ("keys", "a.json"): '{"hashKey": "canary", "x": ["canary"], "y": {"z": "canary"}, "n": 1}',
    ("keys", "a.yaml"): "bindPassword: canary\nbinddn: 'canary'\nlist: [canary]\ntext: |\n  canary\n",
    ("keys", "a.toml"): "bindPassword = 'canary'\nlist = ['canary']\n[x]\ny = \"canary\"\n",
    ("credentials", "a.json"): '{"a.test": {"username": "canary", "password": "canary", "more": "canary"}}',
    ("htpasswd", "htpasswd"): f"bob:$2y$05${SALTED}canary\nal:canary\n:canary\nbob:{{SHA}}canary\n#canary\ncanary\n",
    ("pem", "a.pem"): "canary\n-----BEGIN X-----\nProc-Type: canary\n\ncanary++\n-----END X-----\ncanary\n",
}


@pytest.fixture
def place():
    """A folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="zot-inspect-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def unprivileged(kind, path):
    """Root may do everything: then it is nobody who looks."""
    return as_user(NOBODY.pw_uid, NOBODY.pw_gid, functools.partial(inspect, kind, str(path)))


def keys(content, name="keys.json"):
    return inspect_content("keys", content if isinstance(content, bytes) else content.encode(), name)


def kinds(content, name="keys.json"):
    answer = keys(content, name)
    assert answer["state"] == "ok", answer
    return {key: (told["kind"], told["length"]) for key, told in answer["keys"].items()}


def htpasswd(content):
    return inspect_content("htpasswd", content if isinstance(content, bytes) else content.encode(), "htpasswd")


# --- any file


@pytest.mark.parametrize("kind", ["credentials", "exists", "htpasswd", "pem", "readable"])
def test_what_is_not_there_is_absent(tmp_path, kind):
    assert inspect(kind, str(tmp_path / "none")) == {"state": "absent", "reason": "not there"}
    (tmp_path / "file").write_text("")
    assert inspect(kind, str(tmp_path / "file/none"))["state"] == "absent"
    (tmp_path / "link").symlink_to("none")
    assert inspect(kind, str(tmp_path / "link")) == {"state": "absent", "reason": "a link to nothing"}
    assert inspect(kind, "") == {"state": "absent", "reason": "no path"}


@pytest.mark.parametrize("kind", ["credentials", "htpasswd", "pem", "readable"])
def test_what_is_no_file_is_unreadable(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    assert inspect(kind, str(tmp_path)) == {"state": "unreadable", "reason": "a folder"}
    assert inspect(kind, str(tmp_path / "pipe")) == {"state": "unreadable", "reason": "not a regular file"}
    assert inspect(kind, "/dev/null") == {"state": "unreadable", "reason": "not a regular file"}


@pytest.mark.parametrize("kind", ["credentials", "htpasswd", "keys", "pem", "readable"])
def test_a_file_without_the_right_to_it_is_unreadable(place, kind):
    (place / "a.json").write_text("{}")
    (place / "a.json").chmod(0)
    assert unprivileged(kind, place / "a.json") == {"state": "unreadable", "reason": "Permission denied"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_a_folder_that_is_closed_is_unreadable(place, kind):
    (place / "closed").mkdir()
    (place / "closed/a.json").write_text("{}")
    (place / "closed").chmod(0)
    assert unprivileged(kind, place / "closed/a.json")["state"] == "unreadable"
    (place / "closed").chmod(0o700)


def test_a_link_is_followed_and_one_to_itself_is_unreadable(tmp_path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link.json").symlink_to("file")
    (tmp_path / "loop.json").symlink_to("loop.json")
    for kind in ("exists", "keys", "readable"):
        assert inspect(kind, str(tmp_path / "link.json"))["state"] == "ok"
        assert inspect(kind, str(tmp_path / "loop.json"))["state"] == "unreadable"


def test_a_file_that_is_there_and_can_be_read(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff")
    for kind in ("exists", "readable"):
        assert inspect(kind, str(tmp_path / "file")) == {"state": "ok"}
    assert inspect("exists", str(tmp_path)) == {"state": "ok"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_is_none_or_relative_is_no_traceback(kind):
    assert inspect(kind, "/nul\0byte.json")["state"] == "unreadable"
    assert inspect(kind, "/" + "x" * 5000 + ".json")["state"] == "unreadable"
    assert inspect(kind, "keys.json")["state"] == "unjudged"
    assert inspect(kind, "~/keys.json")["state"] == "unjudged"


def test_an_unknown_kind_is_not_judged():
    assert inspect("nonsense", "/etc/passwd")["state"] == "unjudged"
    assert inspect_content("nonsense", b"", "x")["state"] == "unjudged"


def test_a_content_tells_nothing_of_its_place():
    for kind in ("exists", "readable"):
        assert inspect_content(kind, b"", "x") == {"state": "ok"}
    for kind in ("log", "folder"):
        assert inspect_content(kind, b"", "x")["state"] == "unjudged"


@pytest.mark.parametrize(("kind", "name"), SECRETS)
def test_a_file_is_judged_as_its_content(tmp_path, kind, name):
    (tmp_path / name).write_text(SECRETS[kind, name])
    assert inspect(kind, str(tmp_path / name)) == inspect_content(kind, SECRETS[kind, name].encode(), name)


# --- no secret


@pytest.mark.parametrize(("kind", "name"), SECRETS)
def test_no_answer_holds_a_secret(kind, name):
    content = SECRETS[kind, name].encode()
    assert inspect_content(kind, content, name)["state"] == "ok"
    for cut in range(len(content)):
        for broken in (content[:cut], content[:cut] + b"\x01" + content[cut:], content[:cut] + b"\xff" + content[cut + 1 :]):
            assert "canary" not in json.dumps(inspect_content(kind, broken, name)), broken


@pytest.mark.parametrize(("kind", "name"), SECRETS)
def test_nor_when_it_is_taken_for_another_kind(kind, name):
    content = SECRETS[kind, name].encode()
    for other, its_name in SECRETS:
        if (kind, other) != ("pem", "htpasswd"):  # where a header's name would be a user's
            assert "canary" not in json.dumps(inspect_content(other, content, its_name))


# --- hostile content

HOSTILE = {
    "garbage": bytes(range(256)) * 64,
    "nothing but a zero": b"\0",
    "deep lists": b"[" * 300_000,
    "deep objects": b'{"a":' * 300_000,
    "deep and closed": b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a huge number": b'{"a": ' + b"9" * 100_000 + b"}",
    "10 MB of text": b"x" * 10_000_000,
    "10 MB of lines": b"\n" * 10_000_000,
    "half a character": b'{"\\ud800": "\\udc00"}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("kind", "name"), SECRETS)
def test_hostile_content_is_an_answer_in_time(kind, name, content):
    begun = time.monotonic()
    told = json.dumps(inspect_content(kind, content, name))
    assert json.loads(told)["state"] in ("ok", "broken", "unjudged")
    assert len(told) < 100_000
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("name", ["deep lists", "deep objects"])
def test_what_is_nested_too_deeply_is_broken(name):
    assert keys(HOSTILE[name]) == {"state": "broken", "reason": "nested too deeply"}


def test_a_file_that_is_too_large_is_not_judged(tmp_path):
    with (tmp_path / "a.json").open("wb") as stream:
        stream.truncate(17 << 20)
    assert inspect("keys", str(tmp_path / "a.json")) == {"state": "unjudged", "reason": "larger than 16 MiB"}
    assert inspect("readable", str(tmp_path / "a.json")) == {"state": "ok"}


@pytest.mark.parametrize("name", ["a.yaml", "a.toml"])
def test_what_takes_long_to_read_is_not_judged(name):
    assert keys(b"#" * 70_000, name) == {"state": "unjudged", "reason": "larger than 64 KiB"}


# --- keys


def test_keys_have_a_kind_and_texts_a_length():
    found = kinds('{"clientID": "zot", "clientSecret": "äöü", "N": 1, "f": 1.5, "b": false, "list": [], "map": {"x": 1}, "empty": ""}')
    assert found == {
        "clientid": ("string", 3),
        "clientsecret": ("string", 6),
        "n": ("number", 0),
        "f": ("number", 0),
        "b": ("bool", 0),
        "list": ("list", 0),
        "map": ("map", 0),
        "empty": ("string", 0),
    }


@pytest.mark.parametrize("content", ["{}", "null", ' {"a": null, "b": {}, "c": {"d": {"e": null}}}\n'])
def test_nulls_and_empty_objects_are_dropped(content):
    assert keys(content) == {"state": "ok", "keys": {}}


def test_of_two_spellings_the_one_with_capitals_counts():
    assert kinds('{"Key": "abc", "key": 1}') == kinds('{"key": 1, "Key": "abc"}') == {"key": ("string", 3)}
    assert kinds('{"Key": null, "key": 1}') == {}


def test_the_last_of_two_equal_keys_counts():
    assert kinds('{"key": 1, "key": "abc"}') == {"key": ("string", 3)}


@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "{",
        '{"a": 1} x',
        '{"a": 1}{}',
        '\ufeff{"a": 1}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": [' + "9" * 400 + "]}",
        '{"a": 01}',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": "\n"}',
        '{"a": 1} // b',
        "[]",
        '"a"',
        "1",
        b'{"a": \xff}',
        b"\xff\xfe{\x00}\x00",
        "{\u00a0}",
    ],
)
def test_what_go_takes_for_no_json_object_is_broken(content):
    told = keys(content)
    assert told["state"] == "broken"
    assert told["reason"]


def test_within_a_text_go_takes_what_is_no_utf8_for_one_character_a_byte():
    assert kinds(b'{"a": "\xff\xc3\xa9\xe2\x82"}') == {"a": ("string", 3 + 2 + 3 + 3)}
    assert kinds('{"a": "\\ud83d\\ude00", "b": "\\ud800"}') == {"a": ("string", 4), "b": ("string", 3)}


@pytest.mark.parametrize(
    ("name", "extension"),
    [("keys", ""), ("keys.", ""), ("/a.json/keys", ""), ("keys.JSON", "JSON"), ("keys.json.bak", "bak"), ("keys.txt", "txt")],
)
def test_an_extension_that_viper_does_not_know_is_broken(tmp_path, name, extension):
    wanted = {"state": "broken", "reason": f'Unsupported Config Type "{extension}"'}
    assert keys("{}", name) == wanted
    assert inspect("keys", str(tmp_path / name.lstrip("/"))) == wanted  # told before the file is looked for


def test_a_name_may_begin_with_its_extension(tmp_path):
    assert keys("{}", "/x/.json")["state"] == "ok"
    assert inspect("keys", str(tmp_path / ".json"))["state"] == "absent"


@pytest.mark.parametrize("extension", ["properties", "props", "prop", "hcl", "tfvars", "dotenv", "env", "ini"])
def test_formats_that_are_not_read_here_are_not_judged(tmp_path, extension):
    assert keys("a=b", f"keys.{extension}")["state"] == "unjudged"
    assert inspect("keys", str(tmp_path / f"keys.{extension}"))["state"] == "absent"


@pytest.mark.parametrize("name", ["a.yaml", "a.yml"])
def test_yaml_has_the_types_of_gos(name):
    pytest.importorskip("yaml")
    strings = {"a": "yes", "b": "on", "c": "1:30", "d": "'12'", "e": "0x", "f": "1_x", "g": "2020-13-01", "h": "äö", "i": "a b", "j": "_1"}
    found = kinds("".join(f"{key}: {text}\n" for key, text in strings.items()), name)
    assert found == {key: ("string", len(text.strip("'").encode())) for key, text in strings.items()}
    numbers = ["1", "-1.5", "010", "0o17", "0x1F", "0b11", "1_000", "1e3", ".5", "5.", ".inf", "-.INF", ".nan", "+49"]
    assert {kinds(f"a: {text}", name)["a"] for text in numbers} == {("number", 0)}
    assert {kinds(f"a: {text}", name)["a"] for text in ("true", "False", "TRUE")} == {("bool", 0)}
    times = ["2020-1-1", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43"]
    assert {kinds(f"a: {text}", name)["a"] for text in times} == {("map", 0)}
    assert kinds("A: {x: 1}\nB: [1]\nC: {}\nD: ~\nE:\nF: null\n", name) == {"a": ("map", 0), "b": ("list", 0)}
    assert kinds("a: |\n  ab\n  c\nb: >-\n  d\n  e\n", name) == {"a": ("string", 5), "b": ("string", 3)}


def test_yaml_ends_with_its_first_document():
    pytest.importorskip("yaml")
    assert kinds("---\na: 1\n---\nb: 1\n", "a.yaml") == {"a": ("number", 0)}
    for nothing in ("", "# only\n", "null", "--- ~\n"):
        assert kinds(nothing, "a.yaml") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: 1\nb: [", "not YAML: line 2"),
        ("a: b: c", "not YAML: line 1"),
        ("a: 1\na: 2", "not YAML: line 2: a key stands there twice"),
        ("a: {b: 1, b: 2}", "not YAML: line 1: a key stands there twice"),
        ("- a", "its top level is not an object"),
        ("text", "its top level is not an object"),
        (b"a: \xff", "not YAML: no UTF-8"),
        (b"a: \x01", "not YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_yaml_object_is_broken(content, reason):
    pytest.importorskip("yaml")
    assert keys(content, "a.yaml") == {"state": "broken", "reason": reason}


@pytest.mark.parametrize("content", ["a: &b 1\nc: *b", "a: !!str 1", "!x a: 1", "<<: {a: 1}", "[a]: 1", "a:\t1"])
def test_yaml_that_few_write_is_not_judged(content):
    pytest.importorskip("yaml")
    assert keys(content, "a.yaml")["state"] == "unjudged"


@pytest.mark.parametrize(("library", "name"), [("yaml", "a.yaml"), ("tomllib", "a.toml")])
def test_without_its_library_a_format_is_not_judged(monkeypatch, library, name):
    monkeypatch.setitem(sys.modules, library, None)
    assert keys("", name)["state"] == "unjudged"


def test_toml():
    pytest.importorskip("tomllib")
    found = kinds('A = "äö"\nb = 1\nc = 1.5\nd = true\ne = [1]\nf = 2020-01-01\n[g]\nx = 1\n[h]\n', "a.toml")
    assert found == {
        "a": ("string", 4),
        "b": ("number", 0),
        "c": ("number", 0),
        "d": ("bool", 0),
        "e": ("list", 0),
        "f": ("map", 0),
        "g": ("map", 0),
    }
    assert kinds("", "a.toml") == {}
    assert keys("a = 1\nb = ", "a.toml")["reason"].startswith("not TOML")
    assert keys("a = 1\nb = x\n", "a.toml") == {"state": "broken", "reason": "not TOML: line 2"}
    assert keys(b"a = '\xff'", "a.toml") == {"state": "broken", "reason": "not TOML"}


# --- credentials of upstreams


def logins(content):
    return inspect_content("credentials", content.encode(), "credentials")


def test_credentials_tell_what_a_host_lacks():
    content = '{"a.test": {"username": "me", "password": "x"}, "b.test:5000": {"username": ""}, "c.test": {}, "d.test": null}'
    both = ["username", "password"]
    assert logins(content) == {"state": "ok", "hosts": {"a.test": [], "b.test:5000": both, "c.test": both, "d.test": both}}
    for nothing in ("{}", "null"):
        assert logins(nothing) == {"state": "ok", "hosts": {}}


def test_their_fields_have_no_case_and_others_do_not_matter():
    assert logins('{"A": {"UserName": "me", "PASSWORD": "x", "token": [1], "email": null}}')["hosts"] == {"A": []}
    assert logins('{"A": {"username": "me", "password": "x", "Password": null}}')["hosts"] == {"A": []}
    assert logins('{"A": {"username": "me", "user": "x", "pass": "x"}}')["hosts"] == {"A": ["password"]}


@pytest.mark.parametrize(
    "content", ["", "[]", '"a"', '{"a": "b"}', '{"a": []}', '{"a": {"username": 1}}', '{"a": {}, "b": {"Password": ["x"]}}', '{"a": {}} x']
)
def test_credentials_of_another_shape_are_broken(content):
    assert logins(content)["state"] == "broken"


# --- htpasswd


@pytest.mark.parametrize(
    ("hashed", "scheme"),
    [
        (f"$2y$05${SALTED}{HASHED}", "bcrypt"),
        (f"$2a$31${SALTED}{HASHED}", "bcrypt"),
        (f"$2b$04${SALTED}{HASHED}", "bcrypt"),
        (f"$2y$03${SALTED}{HASHED}", "broken-bcrypt"),
        (f"$2y$32${SALTED}{HASHED}", "broken-bcrypt"),
        (f"$2y$5${SALTED}{HASHED}", "broken-bcrypt"),
        (f"$2y$05${SALTED}{HASHED[1:]}", "broken-bcrypt"),
        (f"$2y$05${SALTED}{HASHED}x", "broken-bcrypt"),
        (f"$2y$05${SALTED}{HASHED} ", "broken-bcrypt"),
        (f"$2y$05${SALTED}{HASHED[1:]}+", "broken-bcrypt"),
        (f"$2y$05${SALTED}{HASHED}:", "broken-bcrypt"),
        ("$2y$", "broken-bcrypt"),
        (f"$2x$05${SALTED}{HASHED}", "crypt"),
        (f" $2y$05${SALTED}{HASHED}", "plain"),
        ("$5$rounds=5000$salt$hash", "sha256"),
        ("$6$salt$hash", "sha512"),
        ("$apr1$salt$hash", "apr1"),
        ("$1$salt$hash", "md5"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "sha1"),
        ("$argon2id$v=19$m=65536", "argon2"),
        ("$y$j9T$salt$hash", "crypt"),
        ("rqXexS6ZhobKA", "crypt"),
        ("password", "plain"),
        ("", "plain"),
    ],
)
def test_the_scheme_of_a_password(hashed, scheme):
    told = htpasswd(f"bob:{hashed}\n")
    assert told["users"] == {"bob": scheme}
    assert told["costs"] == ({"bob": int(hashed[4:6])} if scheme == "bcrypt" else {})


def test_lines_are_cut_and_not_trimmed():
    told = htpasswd("bob : x\r\n\tal:x\n\n  \n# remark\n#eve:x\nno colon\n:x\n:\nlast:x:y")
    assert list(told["users"]) == ["bob ", "\tal", "#eve", "last"]
    assert (told["state"], told["bad_lines"], told["duplicates"]) == ("ok", [7, 8, 9], [])


def test_the_end_of_a_windows_line_belongs_to_no_hash():
    assert htpasswd(f"bob:$2y$05${SALTED}{HASHED}\r\n")["users"] == {"bob": "bcrypt"}
    assert htpasswd(f"bob:$2y$05${SALTED}{HASHED}\r\r\n")["users"] == {"bob": "broken-bcrypt"}


def test_the_last_of_two_entries_counts():
    told = htpasswd(f"bob:$2y$05${SALTED}{HASHED}\nal:x\nbob:x\nbob:y\n")
    assert (told["users"], told["duplicates"], told["costs"]) == ({"bob": "plain", "al": "plain"}, ["bob"], {})


@pytest.mark.parametrize("content", ["", "\n", "\n\n# nobody\n"])
def test_a_file_without_users_is_in_order(content):
    assert htpasswd(content) == {"state": "ok", "users": {}, "bad_lines": [], "duplicates": [], "costs": {}}


def test_names_are_bytes():
    assert htpasswd("jürgen:x\n".encode() + b"\xff:x\n")["users"] == {"jürgen": "plain", "\\xff": "plain"}


@pytest.mark.parametrize(("length", "state"), [(65535, "ok"), (65536, "broken")])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nal:x\n"])
def test_zot_reads_no_further_than_a_line_that_is_too_long(length, state, end):
    told = htpasswd(b"first:x\nbob:".ljust(length + 8, b"x") + end)
    assert told["state"] == state
    assert "first" in told["users"]
    assert ("bob" in told["users"]) == (state == "ok")
    assert ("al" in told["users"]) == (state == "ok" and b"al" in end)


def test_not_every_bad_line_is_told():
    assert htpasswd("x\n" * 1000)["bad_lines"] == list(range(1, 101))


# --- PEM


def pem(content):
    return inspect_content("pem", content.encode(), "a.pem")


def block(label="CERTIFICATE", body="YWJj\nZA==", headers=""):
    return f"-----BEGIN {label}-----\n{headers}{body}\n-----END {label}-----\n"


def test_the_blocks_are_told_in_order():
    content = "remark\n" + block("EC PRIVATE KEY", headers="Proc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n") + "\n" + block() + block("X", "")
    assert pem(content) == {"state": "ok", "blocks": ["EC PRIVATE KEY", "CERTIFICATE", "X"]}
    assert pem(content.replace("\n", "\r\n")) == pem(content)
    assert pem(content.replace("\n", " \t\n")) == pem(content)
    assert pem(content.rstrip())["blocks"] == pem(content)["blocks"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text",
        block(body="YWJ"),
        block(body="YW-j"),
        block(body="", headers="Proc-Type: x"),
        block()[1:],
        " " + block(),
        block().replace("END CERTIFICATE", "END OTHER"),
        block().replace("-----END CERTIFICATE-----", ""),
        block().rstrip() + "x",
        block().replace("CERTIFICATE-----\nY", "CERTIFICATE\nY"),
    ],
)
def test_without_a_whole_block_it_is_broken(content):
    assert pem(content) == {"state": "broken", "reason": "it has no PEM block"}


def test_a_block_that_is_broken_is_skipped():
    assert pem(block("A", body="?") + block("B") + "-----BEGIN A-----\n" + block("C"))["blocks"] == ["B", "C"]


# --- places


def test_a_log_that_can_be_written(tmp_path):
    (tmp_path / "old.log").write_text("")
    (tmp_path / "link.log").symlink_to("new.log")
    for name in ("old.log", "new.log", "link.log"):
        assert inspect("log", str(tmp_path / name)) == {"state": "ok"}
    assert inspect("log", "/dev/null") == {"state": "ok"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.log", "old.log"]


def test_a_log_that_cannot_be_made(tmp_path, place):
    assert inspect("log", str(tmp_path / "none/zot.log")) == {"state": "absent", "reason": f"its folder {tmp_path}/none is not there"}
    assert inspect("log", str(tmp_path)) == {"state": "unreadable", "reason": "a folder"}
    (place / "old.log").write_text("")
    (place / "old.log").chmod(0o444)
    place.chmod(0o555)
    assert unprivileged("log", place / "old.log") == {"state": "unreadable", "reason": "no right to write to it"}
    assert unprivileged("log", place / "new.log") == {"state": "unreadable", "reason": f"no right to write to {place}"}
    place.chmod(0o755)


def test_a_folder_that_is_there_or_can_be_made(tmp_path):
    for path, exists in ((tmp_path, True), (tmp_path / "a/b/c", False)):
        told = inspect("folder", str(path))
        assert (told["state"], told["exists"], told["owner_uid"]) == ("ok", exists, os.geteuid())
        assert 0 < told["free_bytes"] <= shutil.disk_usage(tmp_path).total
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_its_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("none")
    for path in ("file", "file/a/b"):
        told = inspect("folder", str(tmp_path / path))
        assert (told["state"], told["exists"]) == ("unreadable", False)
        assert told["reason"] == f"{tmp_path}/file is in the way: not a folder"
    (tmp_path / "loop").symlink_to("loop")
    for path in ("loop", "loop/a", "nul\0byte", "x" * 5000):
        told = inspect("folder", str(tmp_path / path))
        assert (told["state"], told["exists"], told["free_bytes"]) == ("unreadable", False, None)
    assert inspect("folder", str(tmp_path / "link/a"))["reason"] == f"{tmp_path}/link is in the way: a link to nothing that can be seen"


def test_a_folder_without_the_right_to_write(place):
    (place / "data").mkdir()
    (place / "data").chmod(0o555)
    for path, exists in (("data", True), ("data/a/b", False)):
        told = unprivileged("folder", place / path)
        assert (told["state"], told["exists"]) == ("unreadable", exists)
        assert told["reason"] == f"no right to write to {place}/data"
    (place / "data").chmod(0o333)
    assert unprivileged("folder", place / "data")["state"] == "unreadable"  # zot has to list it too
    (place / "data").chmod(0o777)
    assert unprivileged("folder", place / "data")["state"] == "ok"


# --- as another user


def me():
    return {"uid": os.getuid(), "euid": os.geteuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid()}


def test_without_another_user_it_is_this_process_that_looks():
    assert as_user(None, None, me) == me()
    assert as_user(0, 0, me) == me()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_root_looks_as_another_user():
    told = as_user(NOBODY.pw_uid, NOBODY.pw_gid, me)
    assert (told["uid"], told["euid"], told["gid"]) == (NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_gid)
    assert told["pid"] != os.getpid()
    assert told["groups"] == os.getgrouplist(NOBODY.pw_name, NOBODY.pw_gid)
    assert as_user(54321, None, me)["groups"] == [54321]
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_other_process_answers_whatever_happens_and_is_gone():
    assert as_user(NOBODY.pw_uid, None, lambda: sys.exit(3))["state"] == "unjudged"
    assert as_user(NOBODY.pw_uid, None, lambda: os._exit(3))["reason"] == "the process that looked ended without an answer"
    assert as_user(NOBODY.pw_uid, None, lambda: {"x": object()})["state"] == "unjudged"
    assert as_user(NOBODY.pw_uid, None, lambda: {"x": "x" * 1_000_000}) == {"x": "x" * 1_000_000}  # more than a pipe holds
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("uid", [None, NOBODY.pw_uid])
def test_an_exception_is_an_answer_without_its_message(uid):
    def fail():
        raise LookupError("canary")

    assert as_user(uid, None, fail) == {"state": "unjudged", "reason": "LookupError"}


def test_an_answer_survives_the_way_to_this_process(place):
    (place / "htpasswd").write_bytes(b"\xff\xc3\xa4:x\n")
    assert unprivileged("htpasswd", place / "htpasswd") == inspect("htpasswd", str(place / "htpasswd"))


def test_every_kind_is_known():
    assert sorted({*_inspect._CONTENTS, *_inspect._PLACES}) == KINDS
