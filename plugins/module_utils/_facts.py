# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the host in the words of zot's releases. It imports little: each import is compiled anew in every call."""

from __future__ import annotations

import os
import pwd
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

_MANAGERS = {"darwin": "launchd", "linux": "systemd"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def facts(params: t.Mapping[str, t.Any], _check: bool) -> dict[str, t.Any]:
    """The host in the words of zot's releases, and the user who runs the module: under become another than gathered facts may know."""
    machine = os.uname()
    system = machine.sysname.lower()
    account = pwd.getpwuid(os.geteuid())
    manager = _MANAGERS.get(system) if params["service_manager"] == "auto" else params["service_manager"]
    if manager is None:
        raise ZotError(f"{system} has neither launchd nor systemd: set zot_service_manager, or use another host")
    if manager == "systemd" and account.pw_uid != 0:
        raise ZotError("zot_service_manager 'systemd' needs root: run the play with become, or set zot_service_manager: systemd_user")
    return {
        "changed": False,
        "system": system,
        "architecture": _ARCHITECTURES.get(machine.machine, machine.machine),
        "service_manager": manager,
        "user": account.pw_name,
        "uid": account.pw_uid,
        "home": account.pw_dir,
    }
