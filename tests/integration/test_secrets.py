# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the secrets come from, and that they go nowhere but where zot reads them."""

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.conftest import CANARY, Mac
from integration.playbook import CHECKOUT, Outcome, Play
from support.oidc import mock_provider

PLAYBOOK = CHECKOUT / "playbooks" / "provision_indri.yml"
REFERENCE = "op://blumeops/Authentik (blumeops)/zot-client-secret"


def test_no_secret_is_told(mac: Mac) -> None:
    good, commands = watched(mac)
    assert good.rc == 0, good.stdout
    bad, more = watched(mac, zot_binary_path=str(mac.crashing_zot()))
    assert bad.rc == 2
    assert "ansible-playbook" in commands, "the watch saw nothing"
    for text in (good.stdout, bad.stdout, commands, more):
        assert CANARY not in text
    holders = [path for path in mac.home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert holders, "zot needs the upstream's password in a file"
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}


def watched(mac: Mac, **extra_vars: t.Any) -> tuple[Outcome, str]:
    """A run told in full, and the command lines of every process meanwhile."""
    seen: set[bytes] = set()
    log = mac.folder / "watched"
    with log.open("w") as output, mac.play.start("-vvv", "--diff", output=output, **extra_vars) as process:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            try:
                process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            break
    return Outcome(process.returncode, log.read_text()), b"\n".join(seen).replace(b"\0", b" ").decode(errors="replace")


class OnePassword:
    """The stand-in for op, first on a PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "op").symlink_to(CHECKOUT / "tests" / "standins" / "op")

    def holds(self, secret: str) -> None:
        self.folder.joinpath("items.json").write_text(json.dumps({"blumeops": {"Authentik (blumeops)": {"zot-client-secret": secret}}}))

    def calls(self) -> list[dict[str, t.Any]]:
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class Indri:
    """The host of provision_indri, with an identity provider; its secret is given by nobody yet."""

    def __init__(self, mac: Mac, issuer: str) -> None:
        self.mac = mac
        self.op = OnePassword(mac.folder / "op")
        self.variables = {
            "zot_oidc": {"issuer": issuer, "client_id": "zot"},
            "provision_indri_op_references": {"zot_oidc_client_secret": REFERENCE},
        }

    def play(self, **environment: str) -> Play:
        path = f"{self.op.folder}:/usr/bin:/bin"
        return self.mac.playing(PLAYBOOK, PATH=path, OP_SIM_FOLDER=str(self.op.folder), **environment)

    def secret(self) -> str:
        return json.loads(self.mac.secrets.read_text())["clientsecret"]


@pytest.fixture
def indri(mac: Mac) -> Iterator[Indri]:
    with mock_provider({"erich": {"preferred_username": "erich"}}) as provider:
        yield Indri(mac, provider.issuer)


def test_the_secret_comes_from_1password_the_environment_or_a_variable(indri: Indri) -> None:
    indri.op.holds(f"{CANARY}-op")
    done = indri.play()("-vvv", "--diff", **indri.variables)
    assert done.changed > 0
    assert CANARY not in done.stdout
    assert indri.op.calls() == [{"argv": ["read", "--no-newline", REFERENCE], "stdin": False}]
    assert indri.secret() == f"{CANARY}-op"

    assert indri.play(ZOT_OIDC_CLIENT_SECRET=f"{CANARY}-env")("-vvv", "--diff", **indri.variables).changed > 0
    assert indri.secret() == f"{CANARY}-env"

    assert indri.play()(zot_oidc_client_secret=f"{CANARY}-given", **indri.variables).changed > 0
    assert indri.secret() == f"{CANARY}-given"
    assert len(indri.op.calls()) == 1, "who has the secret asks nobody for it"


def test_without_the_secret_a_check_shows_the_plan_and_a_run_ends_early(indri: Indri) -> None:
    planned = indri.play()("--tags", "zot", "--check", "--diff", **indri.variables)
    assert planned.changed > 0
    assert indri.op.calls() == []

    done = indri.play()("--tags", "zot", **indri.variables)
    assert (done.rc, done.stdout.count("[ERROR]")) == (2, 1), done.stdout
    assert "zot_oidc_client_secret was not found" in done.stdout
    assert "You are not currently signed in" in done.stdout
    assert indri.mac.tree() == {}

    (indri.op.folder / "op").unlink()
    done = indri.play()("--tags", "zot", **indri.variables)
    assert (done.rc, done.stdout.count("[ERROR]")) == (2, 1), done.stdout
    assert "is it installed on the controller" in " ".join(done.stdout.split())
    assert indri.mac.tree() == {}
