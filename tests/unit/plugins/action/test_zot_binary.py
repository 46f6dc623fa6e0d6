# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import os
import stat
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.blumeops.zot.plugins.action.zot_binary import ActionModule
from support.modules import Action

CONTENT = b"a program"
SUM = hashlib.sha256(CONTENT).hexdigest()
NAME = f"zot-2.1.20-{SUM[:12]}"
OTHER = "0" * 64


class Host:
    """Folders of the host and of the controller, and the task."""

    def __init__(self, folder):
        self.bin, self.given, self.task = folder / "lib/zot", folder / "given", Action(ActionModule, folder / "tmp")
        self.given.write_bytes(CONTENT)

    def __call__(self, check=False, **options):
        return self.task(check, **{"release": "2.1.20", "install_dir": str(self.bin), **options})

    def names(self):
        return sorted(path.name for path in self.bin.iterdir()) if self.bin.exists() else []


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def url(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_arguments):
            asked.append(self.path)

    asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.asked = asked
        yield f"http://127.0.0.1:{server.server_port}/given"
        server.shutdown()


@pytest.fixture(params=["path", "file", "url"])
def source(request, host):
    """Each of the places a binary may come from."""
    where = request.getfixturevalue("url") if request.param == "url" else str(host.given)
    return {request.param: where, **({"sha256": SUM} if request.param == "url" else {})}


def test_a_binary_is_installed_under_its_release_and_sum(host, source):
    answer = host(**source)
    assert (answer["changed"], answer["binary"], answer["sha256"]) == (True, str(host.bin / NAME), SUM)
    assert (host.bin / NAME).read_bytes() == CONTENT
    assert stat.S_IMODE((host.bin / NAME).stat().st_mode) == stat.S_IMODE(host.bin.stat().st_mode) == 0o755
    assert host.names() == [NAME]
    diff = answer["diff"]
    assert (diff["before"], diff["after"]) == ("", f"sha256 {SUM}\nfrom {next(iter(source.values()))}\n")


def test_one_that_is_there_is_left_alone_and_not_brought_again(host, source):
    host(**source)
    inode = (host.bin / NAME).stat().st_ino
    answer = host(**source)
    assert (answer["changed"], answer["binary"], answer["diff"]) == (False, str(host.bin / NAME), [])
    assert (host.bin / NAME).stat().st_ino == inode
    assert len(host.task.ran) == 1


def test_check_mode_tells_and_installs_nothing(host, source):
    answer = host(check=True, **source)
    assert (answer["changed"], answer["binary"]) == (True, str(host.bin / NAME))
    assert len(host.task.ran) == 1
    assert not host.bin.exists()


def test_a_damaged_one_is_replaced_while_others_stay(host, source):
    host.bin.mkdir(parents=True)
    (host.bin / NAME).write_bytes(b"damaged")
    (host.bin / "zot-2.1.19-123456789012").write_bytes(b"older")
    answer = host(**source)
    assert answer["diff"]["before"] == f"sha256 {hashlib.sha256(b'damaged').hexdigest()}\n"
    assert (host.bin / NAME).read_bytes() == CONTENT
    assert host.names() == ["zot-2.1.19-123456789012", NAME]


def test_one_of_another_sum_is_refused_and_leaves_nothing(host, source):
    answer = host(**{**source, "sha256": OTHER})
    assert answer["failed"]
    assert f"has the sha256 {SUM}, not {OTHER}" in answer["msg"]
    assert host.names() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "/nowhere/zot"}, "zot_binary_path: there is no file /nowhere/zot on the host"),
        ({"file": "/nowhere/zot"}, "zot_binary_file: there is no file /nowhere/zot on the controller"),
        ({"path": "/a", "file": "/b"}, "zot_binary_path (on the host) and zot_binary_file (on the controller) are both set"),
        ({"url": "http://mirror.test/zot"}, "no sha256 is known for http://mirror.test/zot; set zot_binary_sha256"),
        ({"url": "http://mirror.test/zot", "sha256": "ABC"}, "zot_binary_sha256 is no sha256"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_be_used_is_refused(host, check, given, message):
    answer = host(check, **given)
    assert answer["failed"]
    assert message in answer["msg"]
    assert host.names() == []


def test_a_download_that_fails_names_the_way_out(host, url):
    answer = host(url=f"{url}-of-another-release", sha256=SUM)
    assert answer["failed"]
    assert answer["msg"].startswith(f"{url}-of-another-release could not be downloaded (")
    assert "set zot_release_url to a mirror" in answer["msg"]
    assert host.names() == []


@pytest.mark.parametrize("check", [True, False])
def test_a_folder_that_cannot_be_made_is_refused(host, check):
    answer = host(check, path=str(host.given), install_dir=f"{host.given}/lib")
    assert answer["failed"]
    assert f"{host.given}/lib cannot be made" in answer["msg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_binary_this_user_may_not_read_is_refused(host):
    host.given.chmod(0)
    answer = host(path=str(host.given))
    assert answer["failed"]
    assert f"{host.given}: Permission denied" in answer["msg"]
