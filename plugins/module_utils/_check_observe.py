# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: everything that is asked on the registry's own host for one report, at the same time, as plain data.

Nothing is judged here: that is done on the controller, which knows what was declared.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils import _check_net as net
from ansible_collections.blumeops.zot.plugins.module_utils import _files, _probe
from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._facts import facts
from ansible_collections.blumeops.zot.plugins.module_utils._owners import owner
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._service import Service, command_line
from ansible_collections.blumeops.zot.plugins.module_utils._transport import local, remote
from ansible_collections.blumeops.zot.plugins.module_utils._zot import ask as ask_zot
from ansible_collections.blumeops.zot.plugins.module_utils._zot import local_url

Seen = dict[str, t.Any]

# So many of the stored repositories are looked through for a tag of which may be asked whether it can be overwritten.
_MOST_TAGGED = 3
_MANAGED = (_files.HTPASSWD_FILE, _files.OIDC_FILE, _files.SESSION_FILE, _files.UPSTREAMS_FILE)


class Ports(t.NamedTuple):
    """What tests script."""

    local: t.Any = local
    remote: t.Any = remote
    run: t.Any = run
    clock: t.Any = time


def look(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the module zot_observe answers; raises ZotError."""
    host = facts(params, True)
    place = params["places"].get(host["service_manager"])
    if place is None:
        raise ZotError(f"places: nothing says where zot lies under {host['service_manager']}")
    return {"host": {key: host[key] for key in ("user", "home", "service_manager")}, "seen": observe(params, place, Ports())}


def answer(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same without a module around it; a failure is an answer too."""
    ca_path = params.get("ca_path")
    try:
        return look({"release": None, **params, "ca_path": str(Path(ca_path).expanduser()) if ca_path else None})
    except ZotError as error:
        return {"failed": True, "msg": error.message}


def observe(params: t.Mapping[str, t.Any], place: t.Mapping[str, t.Any], ports: Ports) -> Seen:
    """``place`` is where zot lies on a host of this kind; see the module's documentation for the rest."""
    path = Path(place["config_path"]).expanduser()
    document, config = _config(path, place)
    url = local_url(document)
    seen: Seen = {"config": config, **_running(url, Service(**_service(place["service"])), params["release"], ports)}
    seen["disk"] = _disk(document)
    patient = functools.partial(ports.remote, timeout=params["timeout"], ca_path=params["ca_path"])
    calls: dict[str, t.Callable[[], t.Any]] = {}
    upstreams = net.upstreams_of(document)
    credentials = mapping(mapping(document.get("extensions")).get("sync")).get("credentialsFile")
    for number, upstream in enumerate(upstreams):
        login = net.login_of(credentials, upstream.urls[0])
        calls[f"upstreams {number}"] = functools.partial(net.ask_upstream, upstream, login, patient)
    for number, provider in enumerate(_issuers(document)):
        calls[f"issuers {number}"] = functools.partial(net.ask_issuer, provider, patient)
    external = mapping(document.get("http")).get("externalUrl") or ""
    if external.startswith("https://"):
        given = (external, params["timeout"], params["ca_path"], ports.clock.time())
        calls["certificate"] = functools.partial(net.ask_certificate, *given)
    if seen["ready"]["ready"]:
        identities = [_probe.Identity(*identity) for identity in json.loads(params["identities"])]
        storage = mapping(document.get("storage"))
        root = None if storage.get("storageDriver") else Path(str(storage.get("rootDirectory") or ""))
        # With its upstream down zot tries for some seconds before it serves what it has.
        asked = functools.partial(ports.local, timeout=params["timeout"] + 3)
        for number, upstream in enumerate(upstreams):
            image = params["images"].get(upstream.name) or ""
            calls[f"cache {number}"] = functools.partial(net.ask_cache, upstream.name, image, root, url, identities, asked)
        if params["questions"]:
            delay = mapping(mapping(document.get("http")).get("auth")).get("failDelay") or 0
            target = _probe.Target(url, verify=False, release=params["release"], fail_delay=delay)
            calls["access"] = functools.partial(_access, target, identities, params["questions"], ports.clock)
        if external:
            calls["external"] = functools.partial(net.ask_outside, external, patient)
    answers = together(calls, params["timeout"] * 2)
    for kind in ("upstreams", "issuers", "cache"):
        seen[kind] = [answers[name] for name in calls if name.startswith(f"{kind} ")]
    names = {"upstreams": [upstream.name for upstream in upstreams], "issuers": _issuers(document)}
    names["cache"] = names["upstreams"]
    for kind, wanted in names.items():
        seen[kind] = [{"name": name, **answer} for name, answer in zip(wanted, seen[kind])]
    return {**seen, **{kind: answers.get(kind) for kind in ("access", "external", "certificate")}, "external_url": external}


def together(calls: t.Mapping[str, t.Callable[[], t.Any]], seconds: float) -> dict[str, t.Any]:
    """All at once. C({"late": seconds}) or C({"error": why}) takes the place of an answer that did not come."""
    answers: dict[str, t.Any] = {name: {"late": seconds} for name in calls}

    def one(name: str, call: t.Callable[[], t.Any]) -> None:
        try:
            answers[name] = call()
        except ZotError as error:
            answers[name] = {"error": error.message}
        except Exception as error:  # a line of the report, and the others are still told
            answers[name] = {"error": f"{type(error).__name__} while it was asked"}

    # Daemons, as a name that does not resolve may take longer than anybody waits, and nobody waits for them at the end.
    threads = [threading.Thread(target=one, args=item, daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(answers)


def _config(path: Path, place: t.Mapping[str, t.Any]) -> tuple[Seen, Seen]:
    """The effective document, which may hold secrets and stays here, and what of it and its neighbours is told."""
    try:
        wanted = _files.Wanted({}, "", dict.fromkeys(_MANAGED))
        found = _files.look(_files.Layout(path), wanted, owner({**place, "file_mode": place.get("file_mode") or "0600"}))
        document = _files.read_document(path) if found["live"] is not None else {}
    except (ZotError, OSError) as error:
        why = error.message if isinstance(error, ZotError) else f"{error.filename}: {error.strerror}"
        return {}, {"path": str(path), "error": why, "found": None}
    told = {key: found[key] for key in ("live", "live_error", "record", "files", "drift")}
    return document, {"path": str(path), "error": "", "found": told}


def _service(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    logs = tuple(str(Path(path).expanduser()) for path in given.get("log_paths") or [])
    launchctl = {"launchctl": given["launchctl"]} if given.get("launchctl") else {}
    return {"manager": given["manager"], "name": given["name"], **launchctl, "log_paths": logs, "uid": os.geteuid()}


def _running(url: str, service: Service, release: str | None, ports: Ports) -> Seen:
    """Whether zot answers, which release it is, and which process its manager runs."""
    pid, answer = service.pid(ports.run), ask_zot(url, ports.local)
    ready = {"url": url, "service": service.name, "pid": pid, "ready": answer.ready, "reason": answer.reason, "said": ""}
    if not (answer.ready and pid):
        ready["said"] = next(iter(service.last_words(ports.run)[-1:]), "")
    told = {"release": answer.release, "other": ""}
    if answer.ready and pid and not answer.release and release:
        # Without its management endpoint, which is part of search, only the binary tells. Most hosts need no part of this.
        from ansible_collections.blumeops.zot.plugins.module_utils._binary import require_release

        binary = command_line(pid, ports.run).partition(" ")[0]
        try:
            require_release(Path(binary), release, ports.run)
        except ZotError as error:
            told["other"] = error.message
    return {"ready": ready, "release": told}


def _access(target: _probe.Target, identities: list[_probe.Identity], questions: t.Mapping[str, t.Any], clock: t.Any) -> Seen:
    first = _probe.probe(target, identities, questions, clock)
    candidates = first["stored"][:_MOST_TAGGED]
    if candidates:
        second = _probe.probe(target, identities, {"update": [[name] for name in candidates]}, clock)
        first["answers"] += second["answers"]
        first["refused"] = sorted({*first["refused"], *second["refused"]})
    return {key: first[key] for key in ("answers", "refused", "release")}


def _disk(document: Seen) -> Seen:
    storage = mapping(document.get("storage"))
    root = str(storage.get("rootDirectory") or "")
    driver = mapping(storage.get("storageDriver")).get("name")
    if driver or not root:
        return {"path": root, "elsewhere": str(driver or ""), "reason": "" if driver else "no storage is configured"}
    try:
        usage = shutil.disk_usage(root)
    except OSError as error:
        return {"path": root, "elsewhere": "", "reason": error.strerror or type(error).__name__}
    return {"path": root, "elsewhere": "", "reason": "", "total": usage.total, "free": usage.free}


def _issuers(document: Seen) -> list[str]:
    providers = mapping(mapping(mapping(mapping(document.get("http")).get("auth")).get("openid")).get("providers"))
    return list(dict.fromkeys(str(mapping(one).get("issuer")) for one in providers.values() if mapping(one).get("issuer")))
