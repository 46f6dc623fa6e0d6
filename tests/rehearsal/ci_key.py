# SPDX-License-Identifier: GPL-3.0-or-later
"""CI's key: made, published, used by a job, and replaced after a leak."""

from __future__ import annotations

import yaml
from support.forge import Forge

from rehearsal.host import GROUP_VARS, Host
from rehearsal.proof import REPOSITORY, Asker, Table

_PLACE = yaml.safe_load(GROUP_VARS.read_text(encoding="utf-8"))["forgejo_actions_secrets_zot_ci_repositories"][0]


def token(forge: Forge) -> str:
    """The repository of the example inventory, and a token of its owner."""
    owner, name = _PLACE.split("/")
    forge.make_repository(owner, name)
    return forge.token(owner, "write:repository")


def prove_ci_key(host: Host, forge: Forge, table: Table) -> None:
    ask = Asker(host)

    def job() -> str:
        """What a job of CI is given."""
        return forge.secret_value(f"repos/{_PLACE}", "ZOT_CI_API_KEY") or ""

    def push(tag: str, key: str) -> int:
        return ask.http.push(
            host.url, REPOSITORY, tag, image=ask.image(f"ci-{tag}-{len(table.rows)}"), username="zot-ci", password=key
        ).status

    table.add(
        "what the check of rotate-ci-key writes",
        "nothing",
        lambda: (host.play("rotate_ci_key.yml", "localhost", "--check") and job()) or "nothing",
    )
    # Of the four two are at the monitor's: a folder, and what it is told of the key.
    table.add("rotate-ci-key makes a key and publishes it", 4, lambda: host.play("rotate_ci_key.yml", "localhost"))
    table.add("a job of CI pushes with what it is given", 201, lambda: push("job", job()))
    table.add("a job of CI overwrites it", 403, lambda: push("job", job()))
    table.add("changes when it is rotated again", 0, lambda: host.play("rotate_ci_key.yml", "localhost"))
    leaked = job()
    table.add(
        "after a leak everything is renewed",
        "yes",
        lambda: "yes" if host.play("revoke_keys.yml", "localhost") and job() != leaked else "no",
    )
    table.add("the leaked key pushes", 401, lambda: push("leaked", leaked))
    table.add("the next job pushes", 201, lambda: push("next", job()))
