# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the states of the module zot_host, each from its options and whether it is check mode to its result.

Each imports what it needs when it is called: the host compiles everything anew in every call, and all of it would make a call that only
looks half as long again.
"""

from __future__ import annotations

import json
import os
import pwd
import time
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._facts import facts

if t.TYPE_CHECKING:
    from ansible_collections.blumeops.zot.plugins.module_utils._files import Layout, Wanted

Params = dict[str, t.Any]


def binary(params: Params, check: bool) -> Params:
    """Look for a binary among the installed ones; install it where its source is at hand."""
    from ansible_collections.blumeops.zot.plugins.module_utils import _files, _install

    folder = Path(params["install_dir"])
    given = Path(params["path"]) if params["path"] else None
    source = given or (Path(params["source"]) if params["source"] else None)
    wanted = _install.look(folder, params["release"], params["sha256"], given)
    if not wanted.installed:
        _files.make_folders([{"path": str(folder), "mode": "0755"}], _files.Owner(), check)
        if source and not check:
            _install.install(wanted, source)
    return {
        "changed": not wanted.installed,
        "installed": wanted.installed or (source is not None and not check),
        "binary": str(wanted.path),
        "sha256": wanted.sha256,
        "found_sha256": wanted.found,
    }


def look(params: Params, _check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _files, _host

    layout = _layout(params)
    found = _files.look(layout, _wanted(params), _host.owner(params))
    found["folders_missing"] = [item["path"] for item in params["folders"] if not Path(item["path"]).is_dir()]
    found["salts"] = _host.bcrypt_salts(layout.folder / _files.HTPASSWD_FILE)
    return {"changed": False, "found": found}


def preflight(params: Params, _check: bool) -> Params:
    """What the controller cannot know of what a configuration names: files as the service's user sees them, providers, the port."""
    import functools

    from ansible_collections.blumeops.zot.plugins.module_utils import _host, _inspect
    from ansible_collections.blumeops.zot.plugins.module_utils._discovery import discover
    from ansible_collections.blumeops.zot.plugins.module_utils._transport import remote

    uid, gid = _ids(params["run_as"])
    made = [Path(item["path"]) for item in params["folders"] if not Path(item["path"]).is_dir()]
    files = {}
    for item in params["inspect"]:
        kind, path = item["kind"], Path(item["path"])
        look = functools.partial(_inspect.inspect, kind, item["path"])
        if kind == "log" and path.parent in made:
            looked = {"state": "ok"}
        elif kind == "folder" and any(folder in (path, *path.parents) for folder in made):
            looked = look()  # not the service's user makes it, but who runs the module
        else:
            looked = _inspect.as_user(uid, gid, look)
        files[f"{kind} {item['path']}"] = {"kind": kind, **looked}
    issuers = {issuer: discover(issuer, remote) for issuer in params["issuers"]}
    listen, port = params["listen"], None
    if listen:
        port = _host.port_in_the_way(params, listen["address"], listen["port"], _host.runner_as(params["run_as"]))
    return {"changed": False, "facts": {"files": files, "issuers": issuers, "port": port}}


def judged(params: Params, _check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _host

    return {"changed": False, "complaint": _host.second_opinion(params, _wanted(params))}


def staged(params: Params, check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _host

    return {"changed": True, "verified": _host.stage_and_judge(params, _wanted(params), check)}


def written(params: Params, check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _files

    return {"changed": True, "written": [] if check else _files.commit(_layout(params), _service_file(params))}


def promoted(params: Params, check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _files

    changed = not check and _files.promote(_layout(params), params["binary"], params["release"], _service_file(params))
    return {"changed": changed}


def restored(params: Params, check: bool) -> Params:
    from ansible_collections.blumeops.zot.plugins.module_utils import _files, _host

    layout = _layout(params)
    if check:
        record = _files.read_record(layout)
        return {"changed": record is not None, "restored": record and {key: record[key] for key in ("binary", "release", "proved")}}
    record = _files.restore(layout, _host.owner(params))
    return {"changed": record is not None, "restored": record}


def agent(params: Params, check: bool) -> Params:
    """What launch_agent does."""
    from ansible_collections.blumeops.zot.plugins.module_utils import _runner
    from ansible_collections.blumeops.zot.plugins.module_utils._launch_agent import manage

    told, diff, warnings = manage(params["agent"], check, _runner.run, time)
    return {**told, "diff": diff, "warnings": warnings}


def serving(params: Params, _check: bool) -> Params:
    """Wait until zot serves; a failure has what it logged last."""
    from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
    from ansible_collections.blumeops.zot.plugins.module_utils._files import read_document
    from ansible_collections.blumeops.zot.plugins.module_utils._ready import Expected, wait_ready
    from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
    from ansible_collections.blumeops.zot.plugins.module_utils._service import Service
    from ansible_collections.blumeops.zot.plugins.module_utils._transport import local
    from ansible_collections.blumeops.zot.plugins.module_utils._zot import local_url

    options = params["service"]
    service = Service(options["manager"], options["name"], options["launchctl"], tuple(options["log_paths"]), os.geteuid())
    try:
        url = local_url(read_document(Path(params["config_path"])))
        expected = Expected(url, params["release"], params["binary"], params["steady"])
        seen = wait_ready(expected, service, params["wait_timeout"], local, run, time)
    except ZotError as error:
        log = service.last_words(run)
        said = "; it logged last: " + " | ".join(log[-5:]) if log else ""
        raise ZotError(error.message + said, log=log) from None
    return {"changed": False, "ready": True, "url": url, "release": seen.release, "pid": seen.pid}


def probe(params: Params, _check: bool) -> Params:
    """Ask a live zot who may do what; a check asks too, as it changes nothing."""
    from ansible_collections.blumeops.zot.plugins.module_utils import _probe

    target = _probe.Target(params["url"], params["validate_certs"], params["release"], params["wait_timeout"], params["fail_delay"])
    identities = [_probe.Identity(*identity) for identity in json.loads(params["identities"])]
    return {"changed": False, **_probe.probe(target, identities, params["questions"], time)}


STATES: dict[str, t.Callable[[Params, bool], Params]] = {
    "facts": facts,
    "binary": binary,
    "look": look,
    "preflight": preflight,
    "judged": judged,
    "staged": staged,
    "written": written,
    "promoted": promoted,
    "restored": restored,
    "serving": serving,
    "agent": agent,
    "probe": probe,
}


def _layout(params: Params) -> Layout:
    from ansible_collections.blumeops.zot.plugins.module_utils._files import Layout

    return Layout(Path(params["config_path"]))


def _wanted(params: Params) -> Wanted:
    from ansible_collections.blumeops.zot.plugins.module_utils._files import Wanted

    return Wanted(json.loads(params["document"]), params["document"], {item["name"]: item["content"] for item in params["files"]})


def _ids(user: str | None) -> tuple[int, int] | tuple[None, None]:
    """Of a user that there is; before it is made (check mode) whoever runs the module looks."""
    try:
        account = pwd.getpwnam(user or "")
    except KeyError:
        return None, None
    return account.pw_uid, account.pw_gid


def _service_file(params: Params) -> Path | None:
    return Path(params["service_file"]) if params["service_file"] else None
