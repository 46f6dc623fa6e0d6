# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: users and groups of the host by their names."""

from __future__ import annotations

import grp
import pwd
import typing as t

from ansible_collections.blumeops.zot.plugins.module_utils._files import Owner


def owner(params: t.Mapping[str, t.Any]) -> Owner:
    """The owner that the module's options name; check mode may come before the user is made."""
    return Owner(uid(params.get("owner")), gid(params.get("group")), int(params["file_mode"], 8))


def uid(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
