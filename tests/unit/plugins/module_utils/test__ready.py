# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _service
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._ready import Expected, Seen, wait_ready
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

URL = "http://127.0.0.1:5000"
BINARY = "/opt/zot-2.1.20"
COMMAND = f"{BINARY} serve /etc/zot/config.json"


class Host:
    """Clock, service manager, process table and registry of one host: ``states`` are the moments, one for each look."""

    def __init__(self, *states):
        self.states, self.looks, self.now, self.slept = states, -1, 1000.0, []

    @property
    def state(self):
        return {"pid": 7, "readyz": 200, "release": "2.1.20", "command": COMMAND, **self.states[min(self.looks, len(self.states) - 1)]}

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds

    def run(self, argv):
        if argv[0] == "systemctl":
            self.looks += 1
            return Completed(0, f"MainPID={self.state['pid']}\n", "")
        assert argv[-1] == str(self.state["pid"])
        return Completed(0, self.state["command"], "")

    def ask(self, _method, url):
        assert url.startswith(f"{URL}/")
        if url.endswith("/readyz"):
            return Response(self.state["readyz"], reason="Connection refused")
        release = self.state["release"]
        return Response(200, f'{{"releaseTag": "v{release}"}}'.encode()) if release else Response(404)


def wait(host, timeout=60, **expected):
    return wait_ready(Expected(URL, **expected), Service("systemd", "zot.service"), timeout, host.ask, host.run, host)


@pytest.fixture(autouse=True)
def _no_proc(tmp_path, monkeypatch):
    monkeypatch.setattr(_service, "Path", lambda _path: tmp_path / "none")


def test_what_serves_is_told():
    host = Host({})
    assert wait(host, release="2.1.20", binary=BINARY) == Seen("2.1.20", 7)
    assert host.slept == []


def test_it_waits_until_zot_is_as_expected():
    host = Host({"pid": 0}, {"readyz": 503}, {"release": "2.1.19"}, {"command": "/opt/zot-2.1.19 serve"}, {})
    assert wait(host, release="2.1.20", binary=BINARY) == Seen("2.1.20", 7)
    assert len(host.slept) == 4


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"pid": 0}, "zot.service has no running process"),
        ({"readyz": 503}, f"{URL}/readyz answers 503"),
        ({"readyz": 0}, f"{URL}/readyz answers Connection refused"),
        ({"release": "2.1.19"}, f"{URL} is zot 2.1.19, not 2.1.20"),
        ({"command": "/opt/zot-2.1.19 serve"}, f"process 7 does not run {BINARY}"),
        ({"command": f"{BINARY}-old serve"}, f"process 7 does not run {BINARY}"),
        ({"command": f"/old{BINARY} serve"}, f"process 7 does not run {BINARY}"),
        ({"command": ""}, f"process 7 does not run {BINARY}"),
    ],
)
def test_in_the_end_it_fails_with_the_last_reason(state, reason):
    host = Host({"pid": 0}, state)
    with pytest.raises(ZotError) as failure:
        wait(host, timeout=5, release="2.1.20", binary=BINARY)
    assert failure.value.message == f"zot is not ready after 5 s: {reason}"
    assert 1005 <= host.now < 1006


def test_without_time_it_looks_once():
    assert wait(Host({}), timeout=0) == Seen("2.1.20", 7)
    host = Host({"pid": 0}, {})
    with pytest.raises(ZotError, match="after 0 s"):
        wait(host, timeout=0)
    assert host.slept == []


def test_any_release_and_binary_will_do_where_none_is_expected():
    assert wait(Host({"release": "9.9.9", "command": "anything"})) == Seen("9.9.9", 7)


def test_where_zot_does_not_tell_its_release_the_binary_decides():
    assert wait(Host({"release": None}), release="2.1.20", binary=BINARY) == Seen(None, 7)
    with pytest.raises(ZotError, match="does not run"):
        wait(Host({"release": None, "command": "/opt/other"}), timeout=0, release="2.1.20", binary=BINARY)


@pytest.mark.parametrize("command", [BINARY, COMMAND, f"/usr/bin/env {COMMAND}"])
def test_the_binary_is_a_whole_word_of_the_command_line(command):
    assert wait(Host({"command": command}), timeout=0, binary=BINARY).pid == 7


def test_a_folder_with_a_blank_is_no_trouble():
    assert wait(Host({"command": "/my apps/zot serve"}), timeout=0, binary="/my apps/zot").pid == 7


def test_the_same_process_is_there_a_while_later():
    host = Host({"pid": 0}, {}, {})
    assert wait(host, steady=1.5) == Seen("2.1.20", 7)
    assert host.slept[-1] == 1.5
    assert host.looks == 2


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ({"pid": 8}, "another process does"),
        ({"pid": 0}, "zot.service has no running process"),
        ({"readyz": 503}, f"{URL}/readyz answers 503"),
    ],
)
def test_what_does_not_stay_fails(later, reason):
    with pytest.raises(ZotError) as failure:
        wait(Host({}, later), steady=1)
    assert failure.value.message == f"zot does not stay: process 7 served, 1 s later {reason}"
