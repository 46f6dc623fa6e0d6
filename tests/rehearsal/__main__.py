# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the main job and tells what came of it. Ends with 0 when everything answered as expected, and leaves nothing behind."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.forge import standin_forge
from support.oidc import mock_provider

from rehearsal.ci_key import prove_ci_key, token
from rehearsal.host import Host, RehearsalError, find_zot
from rehearsal.neighbours import prove_neighbours
from rehearsal.proof import CLAIMS, LOGIN, Table, everyday_client, prove_images, prove_keys

_START = time.monotonic()


def _say(text: str) -> None:
    print(f"[{time.monotonic() - _START:5.1f} s] {text}", flush=True)


def _interrupt(number: int, _frame: object) -> t.NoReturn:
    _ignore_signals()  # cleaning up takes a moment, and is not to be interrupted
    raise SystemExit(128 + number)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _scratch_host() -> Iterator[Host]:
    """The host, gone with all it ran when the block ends."""
    with ExitStack() as outer, tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as folder:
        host = Host(Path(folder).resolve())
        outer.callback(_require_nothing_left, host)
        try:
            yield host
        finally:
            _ignore_signals()
            _say("cleaning up")
            host.close()


def _require_nothing_left(host: Host) -> None:
    if left := host.left():
        raise RehearsalError("\n  ".join(["left behind:", *left]))
    _say("nothing left behind")


def _rehearse(host: Host, stack: ExitStack, table: Table) -> None:
    zot = find_zot(host.scratch / "zot")
    _say(f"zot: {zot.said}")
    client = everyday_client()
    _say(f"client: {client.name}{', no other is here' if client.name == 'http' else ', and plain HTTP where the status counts'}")
    issuer = stack.enter_context(mock_provider({LOGIN: CLAIMS})).issuer
    forge = stack.enter_context(standin_forge("forgejo-14"))
    host.forge_token = token(forge)
    host.describe(zot, issuer, forge.url)

    _say("provision-indri --tags zot --check --diff, on the virgin host")
    before = host.on_disk()
    planned = host.provision("--check", "--diff")
    table.add("the check shows changes", "yes", lambda: "yes" if planned else "no")
    table.add("the check changes the disk, or launchd", "no", lambda: "yes" if host.on_disk() != before or host.loaded() else "no")
    _say("provision-indri --tags zot")
    changed = host.provision()
    table.add("provisioning changes things, and the service is loaded", "yes", lambda: "yes" if changed and host.loaded() else "no")
    _say("provision-indri --tags zot, again")
    again = host.provision()
    table.add("changes when provisioned again", 0, lambda: again)

    _say(f"images at {host.url}")
    prove_images(host, client, table)
    _say("API keys")
    if zot.standin:
        _say("  the stand-in cannot do the OIDC login: a local user makes the key instead")
    prove_keys(host, zot.standin, table)
    _say("CI's key, and a stand-in for the forge that gives it to CI")
    prove_ci_key(host, forge, table)
    prove_neighbours(host, table)


def main() -> int:
    """Rehearse, clean up in any case, print the table."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    table = Table(_say)
    try:
        with _scratch_host() as host, ExitStack() as stack:
            _rehearse(host, stack, table)
    except RehearsalError as error:
        _say(str(error))
        return 1
    wrong = sum(not row.right for row in table.rows)
    print("", *table.lines(), "", f"{wrong} of {len(table.rows)} differ" if wrong else "All as expected.", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
