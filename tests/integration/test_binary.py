# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the binary comes from."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from integration.conftest import Mac
from integration.test_refusals import refused

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
ASSET = f"zot-{os.uname().sysname.lower()}-{MACHINE}"


class Mirror(ThreadingHTTPServer):
    """Serves a folder, and keeps which paths it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []
        super().__init__(("127.0.0.1", 0), self._handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def _handler(self, *arguments: object) -> SimpleHTTPRequestHandler:
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None:
                asked.append(self.path)

        return Handler(*arguments, directory=str(self.folder))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    with Mirror(tmp_path / "mirror") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def offer(mirror: Mirror, binary: Path) -> dict[str, str]:
    """The variables that take this release from there."""
    asset = mirror.folder / "v2.1.20" / ASSET
    asset.parent.mkdir(parents=True)
    shutil.copyfile(binary, asset)
    return {"zot_release_url": mirror.url, "zot_binary_path": "", "zot_binary_sha256": hashlib.sha256(binary.read_bytes()).hexdigest()}


def test_a_release_comes_from_a_mirror_once_and_not_in_check_mode(mac: Mac, mirror: Mirror) -> None:
    given = offer(mirror, mac.zot)
    planned = mac.play("--check", "--diff", **given)
    assert planned.changed > 0
    assert f"from {mirror.url}/v2.1.20/{ASSET}" in planned.stdout
    assert (mirror.asked, mac.tree()) == ([], {})
    assert mac.play(**given).changed > 0
    assert mac.status() == 200
    assert mirror.asked == [f"/v2.1.20/{ASSET}"]
    assert mac.play(**given).changed == 0
    assert len(mirror.asked) == 1


def test_a_release_with_another_sum_or_none_is_refused(serving_mac: Mac, mirror: Mirror) -> None:
    given = offer(mirror, serving_mac.zot)
    done = refused(serving_mac, **{**given, "zot_binary_sha256": "0" * 64})
    assert f"not {'0' * 64}" in done.stdout
    done = refused(serving_mac, **{**given, "zot_version": "2.1.19"})
    assert f"{mirror.url}/v2.1.19/{ASSET} could not be downloaded" in done.stdout
    done = refused(serving_mac, **{**given, "zot_version": "2.1.19", "zot_binary_sha256": ""})
    assert f"no sha256 is known for {mirror.url}/v2.1.19/{ASSET}" in done.stdout


def test_a_binary_of_the_controller_is_brought_once(mac: Mac) -> None:
    given = {"zot_binary_path": "", "zot_binary_file": str(mac.zot)}
    assert mac.play("--check", **given).changed > 0
    assert mac.tree() == {}
    assert mac.play(**given).changed > 0
    assert mac.status() == 200
    assert mac.play(**given).changed == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"zot_binary_path": "", "zot_binary_file": "/nowhere/zot"}, "zot_binary_file: there is no file /nowhere/zot on the controller"),
        ({"zot_binary_file": "/nowhere/zot"}, "are both set; keep one"),
        ({"zot_binary_sha256": "abc"}, "zot_binary_sha256 is no sha256"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(serving_mac: Mac, given: dict[str, str], said: str) -> None:
    assert said in refused(serving_mac, **given).stdout
