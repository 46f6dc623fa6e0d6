# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils import _listeners
from ansible_collections.blumeops.zot.plugins.module_utils._listeners import listeners, port_problem
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run
from support.zot_binary import free_port

ME = os.getpid()


def unused(*_argv, **_options):
    raise AssertionError("no program is needed")


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "", "localhost"])
def test_a_free_port_is_no_problem(address):
    assert port_problem(address, free_port(), None, unused) is None


def test_looking_leaves_the_port_free():
    port = free_port()
    assert port_problem("127.0.0.1", port, None, unused) is None
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", ""])
def test_a_port_that_another_process_has_is_a_problem(busy, address):
    problem = port_problem(address, busy, None, run)
    assert problem == f"port {busy} of {address or '127.0.0.1'} is in use by process {ME}; stop it or set zot_port to a free one"
    assert port_problem(address, busy, 1, run) == problem


def test_a_port_that_our_process_has_is_none(busy):
    assert port_problem("127.0.0.1", busy, ME, run) is None


def test_a_listener_that_this_user_may_not_see_is_somebody_elses(busy, monkeypatch):
    monkeypatch.setattr(_listeners, "listeners", lambda _port, _runner: set())
    problem = f"port {busy} of 127.0.0.1 is in use by a process of another user; stop it or set zot_port to a free one"
    assert port_problem("127.0.0.1", busy, ME, unused) == problem


def test_all_who_have_the_port_are_named(busy, monkeypatch):
    monkeypatch.setattr(_listeners, "listeners", lambda _port, _runner: {10, 9})
    assert "is in use by process 9, 10; stop it" in port_problem("127.0.0.1", busy, ME, unused)


def test_a_connection_that_was_just_closed_is_no_problem():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server.accept()[0].close()  # who closes first keeps the port in TIME_WAIT
        client.close()
    assert port_problem("127.0.0.1", port, None, unused) is None


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6_addresses_may_stand_in_brackets():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert f"port {port} of ::1 is in use by process {ME}" in port_problem("[::1]", port, None, run)
    assert port_problem("::1", port, None, unused) is None


@pytest.mark.parametrize("address", ["a..b", "a" * 70])
def test_an_address_that_no_host_can_have_is_named(address):
    problem = f"the address {address} is unknown (no name of a host); set zot_address to one of this host's"
    assert port_problem(address, 5000, None, unused) == problem


def test_an_address_that_nobody_knows_is_named_with_the_systems_reason(monkeypatch):
    def unknown(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_listeners.socket, "getaddrinfo", unknown)
    problem = "the address zot.test is unknown (Name or service not known); set zot_address to one of this host's"
    assert port_problem("zot.test", 5000, None, unused) == problem


def test_an_address_of_another_host_is_named():
    assert port_problem("192.0.2.1", 5000, None, unused) == "the address 192.0.2.1 is not one of this host's; set zot_address"


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.EACCES, "port 80 is reserved for root; set zot_port to one above 1023"),
        (errno.ENOBUFS, f"cannot listen on 127.0.0.1:80: {os.strerror(errno.ENOBUFS)}"),
    ],
)
def test_what_the_kernel_refuses_is_explained(monkeypatch, number, problem):
    class Refused(socket.socket):
        def bind(self, _where):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_listeners.socket, "socket", Refused)
    assert port_problem("127.0.0.1", 80, None, unused) == problem


# --- who listens


def test_only_listening_sockets_count(busy):
    with socket.create_connection(("127.0.0.1", busy)) as client:
        assert listeners(busy, run) == {ME}
        assert listeners(client.getsockname()[1], run) == set()


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A host's /proc: processes 7 and 8 listen on port 5000, by IPv4 and IPv6; 9 only is connected from there."""
    (tmp_path / "proc/net").mkdir(parents=True)
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = "   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   501        0 {inode} 1\n"
    four = line.format(address="0100007F", port=5000, state="0A", inode=70) + line.format(address="00000000", port=80, state="0A", inode=99)
    four += line.format(address="0100007F", port=5000, state="01", inode=90)
    (tmp_path / "proc/net/tcp").write_text(head + four)
    (tmp_path / "proc/net/tcp6").write_text(head + line.format(address="0" * 32, port=5000, state="0A", inode=80))
    for process, inode in ((7, 70), (8, 80), (9, 90)):
        opened = tmp_path / f"proc/{process}/fd"
        opened.mkdir(parents=True)
        (opened / "3").symlink_to(f"socket:[{inode}]")
    (tmp_path / "proc/10").mkdir()
    monkeypatch.setattr(_listeners, "Path", lambda path: tmp_path / path.lstrip("/"))
    return tmp_path / "proc"


@pytest.mark.usefixtures("proc")
def test_linux_tells_by_its_tables():
    assert listeners(5000, unused) == {7, 8}
    assert listeners(81, unused) == set()


def test_a_kernel_without_ipv6_tells_too(proc):
    (proc / "net/tcp6").unlink()
    assert listeners(5000, unused) == {7}


def test_a_file_that_is_closed_meanwhile_hides_no_process(proc):
    for number in range(4, 30):
        for process in (7, 8):
            (proc / f"{process}/fd/{number}").touch()  # cannot be read as a link, like one that is gone
    (proc / "8/fd/3").rename(proc / "8/fd/30")  # first or last in its folder, one of the two comes late
    assert listeners(5000, unused) == {7, 8}


def test_a_mac_is_asked_by_lsof(tmp_path, monkeypatch):
    asked = []

    def runner(argv):
        asked.append(argv)
        return Completed(0, "501\n502\nlsof: noise\n", "")

    monkeypatch.setattr(_listeners, "Path", lambda _path: tmp_path / "no proc")
    assert listeners(5000, runner) == {501, 502}
    assert asked == [["/usr/sbin/lsof", "-nP", "-iTCP:5000", "-sTCP:LISTEN", "-t"]]
