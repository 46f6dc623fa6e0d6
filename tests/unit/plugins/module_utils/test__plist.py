# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import plistlib

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _plist
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

SOUND = {"Label": "a.b", "ProgramArguments": ["/bin/zot", "serve"]}


def xml(body: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">{body}</plist>\n'.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"bplist00junk",
        xml("<dict><key>a</key></dict>"),
        xml("<dict><key>a</key><string>b</string>"),
        xml("<dict><string>b</string></dict>"),
        xml("<dict><key>a</key><nonsense/></dict>"),
        xml("<array/>"),
        xml("<unknown/>"),
        xml("<dict><key>a</key><integer>x</integer></dict>"),
        xml("<dict><key>a</key><true/><key>a</key><false/></dict>"),
        xml("<dict><key>x</key><dict><key>a</key><true/><key>a</key><false/></dict></dict>"),
        b'<!DOCTYPE plist [<!ENTITY e "x">]><plist><dict><key>a</key><string>&e;</string></dict></plist>',
    ],
)
def test_what_is_no_property_list(content):
    with pytest.raises(ZotError, match="is not a property list"):
        _plist.parse(content)


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_every_form_is_read(form):
    assert _plist.parse(plistlib.dumps(SOUND, fmt=form)) == SOUND


def test_the_same_definition_gives_the_same_bytes():
    assert _plist.render(SOUND) == _plist.render(dict(reversed(SOUND.items())))
    assert _plist.parse(_plist.render(SOUND)) == SOUND


def test_the_digest_is_of_all_the_rest():
    sealed = _plist.sealed(SOUND)
    digest = _plist.digest_of(sealed)
    assert digest is not None
    assert _plist.sealed(sealed) == sealed
    assert _plist.unsealed(sealed) == SOUND
    assert _plist.digest_of(SOUND) is None
    others = [{**SOUND, "RunAtLoad": True}, {**SOUND, "EnvironmentVariables": {"A": "b"}}, {**SOUND, "EnvironmentVariables": {"A": "c"}}]
    assert len({digest, *(_plist.digest_of(_plist.sealed(other)) for other in others)}) == 4
    assert _plist.sealed(others[1])["EnvironmentVariables"].keys() == {"A", _plist.DIGEST}


def test_shown_veils_the_environment_only():
    text = _plist.shown({**SOUND, "EnvironmentVariables": {"A": "canary"}}, lambda value: f"veiled {len(value)}")
    assert "canary" not in text
    assert "veiled 6" in text
    assert "serve" in text
    assert "canary" in _plist.shown({**SOUND, "EnvironmentVariables": {"A": "canary"}}, None)


def test_build():
    built = _plist.build("a.b", ["~/bin/zot", "~/x"], {"StandardOutPath": "~/log", "KeepAlive": True}, None, "/Users/u")
    assert built == {
        "Label": "a.b",
        "ProgramArguments": ["/Users/u/bin/zot", "~/x"],
        "RunAtLoad": True,
        "StandardOutPath": "/Users/u/log",
        "KeepAlive": True,
    }
    assert _plist.build("a.b", ["/x"], {"RunAtLoad": False}, None, "/h")["RunAtLoad"] is False
    assert _plist.build("a.b", None, {}, {"Label": "other", "Program": "~/x"}, "/h") == {"Label": "a.b", "Program": "/h/x"}
    assert _plist.build("a.b", None, {}, None, "/h") is None
    assert [_plist.expand(path, "/h") for path in ("~", "~/x", "~x", "/~/x")] == ["/h", "/h/x", "~x", "/~/x"]


@pytest.mark.parametrize(
    "definition",
    [
        {"KeepAlive": {"SuccessfulExit": False}},
        {"Umask": "027"},
        {"Umask": 23},
        {"LimitLoadToSessionType": "Background"},
        {"LimitLoadToSessionType": ["Aqua", "Background"]},
        {"ExitTimeOut": 30, "ThrottleInterval": 1, "ProcessType": "Interactive"},
        {"SoftResourceLimits": {"NumberOfFiles": 65536}},
        {"EnvironmentVariables": {"A": "1"}},
        {"StartCalendarInterval": {"Hour": 3}, "Since": datetime.datetime(2026, 1, 1)},
        {"Program": "/bin/zot", "ProgramArguments": ["zot"]},
    ],
)
def test_sound_definitions(definition):
    _plist.require_sound({**SOUND, **definition})


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"Label": "a b"}, "Label may only have"),
        ({"Label": ".a"}, "Label may only have"),
        ({"Label": "a/../b"}, "Label may only have"),
        ({"ProgramArguments": []}, "say what to run"),
        ({"ProgramArguments": "zot serve"}, "list of strings"),
        ({"ProgramArguments": ["/zot", 1]}, "list of strings"),
        ({"ProgramArguments": ["zot"]}, "begin with an absolute path"),
        ({"Program": "zot"}, "Program must be an absolute path"),
        ({"RunAtLoad": "yes"}, "RunAtLoad must be true or false"),
        ({"RunAtLoad": 1}, "RunAtLoad must be true or false"),
        ({"KeepAlive": {}}, "KeepAlive must be"),
        ({"ThrottleInterval": 0}, "ThrottleInterval must be"),
        ({"ExitTimeOut": 0}, "ExitTimeOut must be"),
        ({"ExitTimeOut": True}, "ExitTimeOut must be"),
        ({"ProcessType": "Fast"}, "ProcessType is none"),
        ({"EnvironmentVariables": {"A": True}}, "quote numbers"),
        ({"EnvironmentVariables": {1: "a"}}, "quote numbers"),
        ({"SoftResourceLimits": {"NumberOfFiles": "1"}}, "SoftResourceLimits must"),
        ({"HardResourceLimits": {"NumberOfFiles": -1}}, "HardResourceLimits must"),
        ({"WorkingDirectory": "~/x"}, "WorkingDirectory must be an absolute path"),
        ({"StandardOutPath": "x"}, "StandardOutPath must be an absolute path"),
        ({"Umask": "9"}, "Umask must be octal"),
        ({"Umask": 512}, "Umask must be octal"),
        ({"LimitLoadToSessionType": []}, "LimitLoadToSessionType must"),
        ({"Extra": None}, "cannot be written as a property list"),
        ({"Extra": "bell\a"}, "cannot be written as a property list"),
    ],
)
def test_unsound_definitions(definition, message):
    with pytest.raises(ZotError) as caught:
        _plist.require_sound({**SOUND, **definition})
    assert message in caught.value.message


def test_all_problems_are_told_at_once():
    with pytest.raises(ZotError, match=r"RunAtLoad .*; KeepAlive .*; Umask "):
        _plist.require_sound({**SOUND, "RunAtLoad": 1, "KeepAlive": 1, "Umask": "x"})


def test_look(tmp_path):
    path = tmp_path / "a.b.plist"
    assert _plist.look(path) == _plist.PlistFile(path)
    path.write_bytes(b"junk")
    path.chmod(0o600)
    found = _plist.look(path)
    assert (found.content, found.definition, found.mode, found.link) == (b"junk", None, 0o600, False)
    assert "is not a property list" in found.problem
    path.write_bytes(plistlib.dumps(SOUND, sort_keys=False))
    found = _plist.look(path)
    assert found.fits(SOUND, 0o600, path.stat().st_uid)
    assert not found.fits(SOUND, 0o644, path.stat().st_uid)
    assert not found.fits(SOUND, 0o600, path.stat().st_uid + 1)
    assert not found.fits({**SOUND, "RunAtLoad": True}, 0o600, path.stat().st_uid)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not _plist.look(link).fits(SOUND, 0o600, path.stat().st_uid)
    link.unlink()
    link.symlink_to("nowhere")
    assert _plist.look(link).link
    with pytest.raises(ZotError, match="cannot be read"):
        _plist.look(tmp_path)


def test_make_folder(tmp_path):
    _plist.make_folder(tmp_path / "Library" / "LaunchAgents", -1, -1)
    assert (tmp_path / "Library" / "LaunchAgents").is_dir()
    _plist.make_folder(tmp_path / "Library" / "LaunchAgents", -1, -1)
