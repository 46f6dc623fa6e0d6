# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook people run, against a host like theirs: indri over ssh, from nothing to a registry that serves."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from integration.indri import indri

pytestmark = pytest.mark.usefixtures("system")

SECRET = "canary-4e90aa-must-stay-secret"


def test_provision_indri(tmp_path: Path) -> None:
    with indri(tmp_path) as bed:
        play = bed.play()
        before = sorted(bed.host.home.rglob("*"))

        planned = play("--tags", "zot", "--check", "--diff", **bed.overrides)
        assert planned.changed > 0
        for shown in (f'"port": "{bed.port}"', "docker.io", "artifact-workloads", "mcquack.eblume.zot"):
            assert shown in planned.stdout
        kept = [path for path in sorted(bed.host.home.rglob("*")) if ".ansible" not in path.parts and "launchctl" not in path.parts]
        assert kept == [path for path in before if "launchctl" not in path.parts]

        done = play("--tags", "zot", "--diff", zot_oidc_client_secret=SECRET, **bed.overrides)
        assert done.changed > 0
        assert SECRET not in done.stdout
        with urllib.request.urlopen(f"http://127.0.0.1:{bed.port}/v2/", timeout=5) as answer:
            assert answer.status == 200

        assert play("--tags", "zot", "--check", "--diff", **bed.overrides).changed == 0
        assert play("--tags", "zot", zot_oidc_client_secret=SECRET, **bed.overrides).changed == 0
