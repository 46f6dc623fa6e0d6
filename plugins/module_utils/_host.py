# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: judging what is wanted on the host itself: folders, port, and the new binary's own verdict."""

from __future__ import annotations

import functools
import json
import os
import pwd
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils import _binary, _files
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._listeners import port_problem
from ansible_collections.blumeops.zot.plugins.module_utils._owners import gid, owner, uid
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner, run
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service

_BCRYPT = re.compile(r"^([^:\s]+):(\$2[aby]\$\d\d\$[./A-Za-z0-9]{22})[./A-Za-z0-9]{31}$", re.MULTILINE)

# What zot verify reads in place of a secret that was not given.
_PLACEHOLDERS = {
    _files.OIDC_FILE: {"clientid": "placeholder", "clientsecret": "placeholder"},
    _files.UPSTREAMS_FILE: {},
    _files.SESSION_FILE: {"hashKey": "0" * 64, "encryptKey": "0" * 32},
}


def bcrypt_salts(path: Path) -> dict[str, str]:
    """User -> cost and salt of its bcrypt hash, without the hash."""
    try:
        return dict(_BCRYPT.findall(path.read_text()))
    except (OSError, UnicodeDecodeError):
        return {}


def stage_and_judge(params: dict[str, t.Any], wanted: _files.Wanted, check_mode: bool) -> bool:
    """Stage what is wanted after everything that can be judged beforehand was; returns whether the binary was asked.

    Raises ZotError with the first thing that is wrong, and leaves nothing staged then. In check mode the verdict is made
    in a temporary folder, with placeholders for secrets, so that none is written.
    """
    layout = _files.Layout(Path(params["config_path"]))
    runner = runner_as(params.get("run_as"))
    binary = Path(params["binary"])
    if not check_mode:
        _require_known(params)
    _files.make_folders(_folders(params), owner(params), check_mode)
    if not binary.exists():
        if check_mode:
            return False
        raise ZotError(f"{binary} is not there; install it first")
    _binary.require_release(binary, params["release"], runner)
    if not check_mode:
        return _judge_staged(params, wanted, layout, runner)
    _require_accepted(params, _complaint_of_copy(params, wanted, layout, runner))
    return True


def second_opinion(params: dict[str, t.Any], wanted: _files.Wanted) -> str | None:
    """What C(zot verify) has against what is wanted, empty for nothing; None where no binary of the release is there to ask.

    Writes nothing.
    """
    binary, runner = Path(params["binary"]), runner_as(params.get("run_as"))
    if not binary.exists():
        return None
    try:
        _binary.require_release(binary, params["release"], runner)
    except ZotError:
        return None
    return _complaint_of_copy(params, wanted, _files.Layout(Path(params["config_path"])), runner) or ""


def _judge_staged(params: dict[str, t.Any], wanted: _files.Wanted, layout: _files.Layout, runner: Runner) -> bool:
    try:
        _files.stage(layout, wanted, owner(params))
        moved = {str(layout.folder / name): str(layout.staged / name) for name in wanted.files}
        _require_accepted(params, _complaint(params, wanted, layout.staged, moved, runner))
    except BaseException:
        _files.discard(layout)
        raise
    return True


def _complaint_of_copy(params: dict[str, t.Any], wanted: _files.Wanted, layout: _files.Layout, runner: Runner) -> str | None:
    folder = Path(tempfile.mkdtemp(prefix="zot-check-"))
    reader = _files.Owner(uid=uid(params.get("run_as")) if os.geteuid() == 0 else None)
    try:
        if reader.uid is not None:
            os.chown(folder, reader.uid, -1)
        moved = {}
        for name in wanted.files:
            _files.write_file(folder / name, json.dumps(_PLACEHOLDERS.get(name, {})).encode(), reader)
            moved[str(layout.folder / name)] = str(folder / name)
        return _complaint({**params, "file_mode": "0600", "owner": params.get("run_as"), "group": None}, wanted, folder, moved, runner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _complaint(params: dict[str, t.Any], wanted: _files.Wanted, folder: Path, moved: dict[str, str], runner: Runner) -> str | None:
    return _binary.verify(Path(params["binary"]), wanted.document, folder, moved, owner(params), runner)


def _require_accepted(params: dict[str, t.Any], complaint: str | None) -> None:
    if complaint:
        raise ZotError(
            f"zot {params['release']} refuses this configuration: {complaint}; nothing was changed: mend the settings and run again",
            verify=complaint,
        )


def port_in_the_way(params: dict[str, t.Any], address: str | None, port: str | None, runner: Runner) -> str | None:
    """Why zot cannot listen there; None where it can, or where nothing tells (whose a busy port is, or which)."""
    number = port or "8080"
    if not params.get("service") or not number.isdigit() or not 0 < int(number) < 65536:
        return None
    service = Service(params["service"]["manager"], params["service"]["name"], params["service"]["launchctl"], uid=os.geteuid())
    return port_problem(address or "127.0.0.1", int(number), service.pid(run), runner)


def _require_known(params: dict[str, t.Any]) -> None:
    named = [("owner", "user", params.get("owner"), uid), ("group", "group", params.get("group"), gid)]
    for item in params["folders"]:
        named += [("folders", "user", item["user"], uid), ("folders", "group", item["group"], gid)]
    for key, kind, name, find in named:
        if name and find(name) is None:
            raise ZotError(f"{key}: there is no {kind} {name} on this host; make it first")


def runner_as(user: str | None) -> Runner:
    """Root asks as the service user once there is one, so that rights which that user lacks show before anything is changed."""
    if user is None or os.geteuid() != 0:
        return run
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return run
    return functools.partial(run, user=entry.pw_uid, group=entry.pw_gid)


def _folders(params: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{"path": item["path"], "mode": item["mode"], "uid": uid(item["user"]), "gid": gid(item["group"])} for item in params["folders"]]
