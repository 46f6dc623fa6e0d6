# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that judges a configuration of anybody's, run as its readers run it."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from integration.conftest import CANARY, Mac
from integration.playbook import CHECKOUT, Play
from support.zot_binary import write_htpasswd

PLAYBOOK = CHECKOUT / "playbooks" / "validate.yml"
RIGHT = {"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "5000"}}
WARNED = {**RIGHT, "http": {"port": "5000", "address": "0.0.0.0"}}
WRONG = {**RIGHT, "http": {"address": "0.0.0.0", "prot": 5000, "tls": {"cert": "cert.pem"}}}


class Reader:
    """Somebody in a folder of their own, which holds configurations; no inventory is needed there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "theirs"
        self.folder.mkdir()
        self.play = Play(PLAYBOOK, [], folder / "controller", cwd=self.folder)
        for name, document in (("right", RIGHT), ("warned", WARNED), ("wrong", WRONG)):
            self.write(f"{name}.json", document)

    def write(self, name: str, document: dict[str, t.Any]) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(document))
        return path


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_what_is_wrong_is_shown_as_a_table_and_ends_the_run(reader: Reader) -> None:
    done = reader.play("-e", "path=wrong.json")
    assert (done.rc, done.errors) == (2, ["Task failed: Action failed: 2 errors, 1 warning"])
    table = done.stdout.partition("TASK [Judge it]")[2].partition("\nok: [localhost]")[0]
    assert f"{reader.folder}/wrong.json, judged for zot 2.1.20: 2 errors, 1 warning" in table
    assert [line.split() for line in table.splitlines() if line.startswith(("ERROR", "WARNING", "ADVICE"))] == [
        ["ERROR", "ZOT103", "http.prot"],
        ["ERROR", "ZOT308", "http.tls"],
        ["WARNING", "ZOT402", "http.address"],
    ]
    assert "unknown key; did you mean port?" in table
    assert "not looked at: /srv/zot, cert.pem" in table
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("words", "rc"),
    [
        (["path=right.json"], 0),
        (["path=warned.json"], 0),
        (["path=warned.json", "fail_on=warning"], 2),
        (["path=right.json", "fail_on=warning", "advice=true"], 0),
        (["path=wrong.json", '{"suppress": {"ZOT103": "a build of our own", "ZOT308": "half is enough"}}'], 0),
        (["path=right.json", "release=2.1.0"], 0),
        (["path=missing.json"], 2),
    ],
)
def test_the_exit_code_tells_whether_something_is_wrong(reader: Reader, words: list[str], rc: int) -> None:
    done = reader.play(*(part for word in words for part in ("-e", word)), "--check" if rc else "--diff")
    assert done.rc == rc, done.stdout
    assert done.stdout.count("[ERROR]") == (1 if rc else 0)
    assert ("ADVICE" in done.stdout) is ("advice=true" in words)


def test_what_lies_on_a_host_is_judged_there_with_the_files_that_it_names(mac: Mac, tmp_path: Path) -> None:
    conf = mac.home / "conf"
    conf.mkdir()
    users = write_htpasswd(conf / "htpasswd", {"bob": CANARY})
    document = {**RIGHT, "http": {"port": "5000", "auth": {"htpasswd": {"path": str(users)}}, "realm": CANARY}}
    document["storage"] = {"rootDirectory": str(mac.home / "zot")}
    path = conf / "config.json"
    path.write_text(json.dumps(document))
    play = Play(PLAYBOOK, [tmp_path / "hosts.yml"], tmp_path / "controller", cwd=tmp_path)
    given = ("-e", "host=indri", "-e", "remote_src=true", "-e", f"path={path}")
    before = mac.tree()
    good = play(*given)
    assert good.rc == 0, good.stdout
    assert "not looked at" not in good.stdout
    users.write_text(f"bob:{CANARY}\n")
    assert "ZOT310" in play(*given).stdout
    users.unlink()
    bad = play(*given, "-vvv")
    assert bad.rc == 2
    assert f"{users}: not there" in bad.stdout
    assert CANARY not in good.stdout + bad.stdout
    assert sorted(mac.tree()) == sorted(name for name in before if not name.endswith("htpasswd"))


def test_the_command_judges_a_file_of_the_folder_it_is_called_in(tmp_path):
    (tmp_path / "zot.json").write_text('{"storage": {"rootDirectory": "/srv/zot"}, "http": {"port": "70000"}}')
    for arguments, rc, words in (
        (["zot.json"], 2, "ZOT210"),
        ([str(tmp_path / "zot.json"), "-e", '{"suppress": {"ZOT210": "tried"}}'], 0, "suppressed: ZOT210"),
        ([], 2, "usage: validate FILE"),
        (["-e", "advice=true"], 2, "usage: validate FILE"),
    ):
        done = subprocess.run([str(CHECKOUT / "bin/validate"), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == rc, done.stdout + done.stderr
        assert words in done.stdout + done.stderr
