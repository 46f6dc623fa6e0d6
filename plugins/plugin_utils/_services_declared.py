# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a host is to be, and the two lines that compare it with what was seen: drift and access."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.module_utils._document import changed_paths, effective, masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import HTPASSWD_FILE, SESSION_FILE
from ansible_collections.blumeops.zot.plugins.plugin_utils._activation import plan
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import Desired, build
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, GREY, RED, Line

_NO_SECRETS: dict[str, t.Any] = {"oidc_client_secret": None, "upstream_passwords": {}, "local_passwords": {}}
_SHOWN = 3


@dataclass(frozen=True)
class Wanted:
    """The document a host is to have and the names of the files beside it."""

    document: dict[str, t.Any]
    files: list[str] = field(default_factory=list)


def wanted(settings: dict[str, t.Any], release: str, folder: str) -> Wanted:
    """By the role's own builder, which needs no secret to name what it would write. Raises ZotError."""
    desired: Desired = build(settings, _NO_SECRETS, Release(release), folder)
    names = [file.name for file in desired.files]
    names += [SESSION_FILE] if desired.session_keys else []
    names += [HTPASSWD_FILE] if settings["local_users"] else []
    return Wanted(desired.document, names)


def drift(config: t.Mapping[str, t.Any], declared: Wanted) -> Line:
    """What a run of the role would change in the configuration. Of secrets only whether their files are there and were proved."""
    if config["error"]:
        return Line("drift", RED, config["error"])
    target = masked(effective(declared.document))
    live, record = config["found"]["live"], config["found"]["record"]
    found = {
        "folders_missing": [],
        "live": live,
        "live_error": config["found"]["live_error"],
        "live_differs": [] if live is None else changed_paths(live, target),
        "record": record and {**record, "differs": changed_paths(record["document"], target), "obsolete": []},
        "files": {name: config["found"]["files"][name] for name in declared.files},
        "drift": config["found"]["drift"],
    }
    # Which binary is right is another line.
    reasons = plan(found, config["path"].rpartition("/")[2], (record or {}).get("binary")).reasons
    if not reasons:
        return Line("drift", GREEN, f"{config['path']} is as declared")
    return Line("drift", RED, told(reasons), {"reasons": list(reasons)})


def told(reasons: t.Sequence[str]) -> str:
    """A few of them, on one line."""
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "; ".join(" ".join(one.split()) for one in reasons[:_SHOWN]) + more


def access(problems: t.Sequence[str], passing: t.Sequence[str], unheld: t.Sequence[str], asked: int) -> Line:
    """``problems`` are wrong answers, ``passing`` those that a next login may mend, ``unheld`` why somebody could not be asked for."""
    facts = {"asked": asked, "wrong": len(problems)}
    if problems:
        return Line("access", RED, told(problems), facts)
    if not asked:
        return Line("access", GREY, told(unheld) or "there was nothing to ask")
    if passing or unheld:
        return Line("access", AMBER, told([*passing, *unheld]), facts)
    return Line("access", GREEN, f"{asked} questions are answered as declared", facts)


def unknown(check: str, error: ZotError) -> Line:
    """What is declared cannot be understood."""
    return Line(check, RED, told([error.message]))
