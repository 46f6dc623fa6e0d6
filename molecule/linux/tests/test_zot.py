# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Linux host has after the role, seen from outside: over ssh by testinfra, and the registry from its own network."""

from __future__ import annotations

import pytest
import testinfra
from molecule_hosts import USERS, folder
from support import oci
from testbed import nspawn

URL = "http://127.0.0.1:5000"


@pytest.fixture(scope="module")
def bed():
    return nspawn.Bed.load(folder("linux") / "bed")


@pytest.fixture(scope="module")
def host(bed):
    return testinfra.get_host("ssh://zot", ssh_config=str(bed.ssh_config))


def test_the_unit_runs_as_zot(host):
    service = host.service("zot")
    assert service.is_running
    assert service.is_enabled
    pid = host.check_output("systemctl show -P MainPID zot")
    assert host.check_output("ps -o user= -p %s", pid).strip() == "zot"


def test_files_are_roots_and_zot_may_only_read_them(host):
    for name in ("config.json", "htpasswd", "session-keys.json"):
        file = host.file(f"/etc/zot/{name}")
        assert (file.user, file.group, file.mode) == ("root", "zot", 0o640)
    assert host.file("/etc/zot/last-good").mode == 0o700
    assert host.run("runuser -u zot -- cat /etc/zot/last-good/record.json").rc != 0


def test_the_sandbox_holds(host):
    exposure = host.check_output("systemd-analyze security --no-pager zot | tail -n 1")
    assert float(exposure.split("zot.service:")[1].split()[0]) < 4


def test_the_tiers(bed, tmp_path):
    client, image = oci.HttpClient(), oci.make_image(tmp_path / "one", random=True)
    tag = image.digest[-12:]
    with bed["zot"].network():
        assert client.push(URL, "blumeops/app", tag, image=image).status == 401
        assert client.push(URL, "blumeops/app", tag, image=image, username="zot-ci", password=USERS["zot-ci"]).ok
        assert client.pull(URL, "blumeops/app", tag, into=tmp_path / "pulled").digest == image.digest
        assert client.delete(URL, "blumeops/app", tag, username="zot-ci", password=USERS["zot-ci"]).status == 403
        assert client.delete(URL, "blumeops/app", tag, username="boss", password=USERS["boss"]).ok
