# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the controller knows by itself, asked at the same time: CI's key and other services."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone
from functools import partial

from ansible_collections.blumeops.zot.plugins.module_utils._check_observe import together
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._stores import STORE, open_here
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, remote, sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import GREY, RED, Line
from ansible_collections.blumeops.zot.plugins.plugin_utils._services_key import Registry, look_at_command, look_at_key, look_at_url

_KEY: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "str"},
    "store": {**STORE, "required": True},
    "max_age": {"type": "str", "default": "90d"},
    "renew_after": {"type": "str"},
    "overlap": {"type": "str", "default": "24h"},
}
_OTHER: dict[str, t.Any] = {"name": {"type": "str", "required": True}, "url": {"type": "str"}, "command": {"type": "str"}}
# Of the store: 1Password's app may wait for a finger.
_PATIENCE = 30.0

HERE: dict[str, t.Any] = {
    "key": {"type": "dict", "options": _KEY},
    "others": {
        "type": "list",
        "elements": "dict",
        "options": _OTHER,
        "default": [],
        "mutually_exclusive": [("url", "command")],
        "required_one_of": [("url", "command")],
    },
    "ca_path": {"type": "str"},
}


def look_here(given: t.Mapping[str, t.Any], timeout: float) -> list[Line]:
    """``given`` is as `HERE` has it. The key comes first, the others in their order."""
    calls: dict[str, t.Callable[[], Line]] = {}
    if given["key"]:
        calls["key"] = partial(_key, given["key"], timeout)
    for number, other in enumerate(given["others"]):
        if not other["name"].strip() or not other["name"].isprintable() or not (other["url"] or other["command"] or "").strip():
            raise ZotError(f"others[{number}]: a name on one line is wanted, and a url or a command")
        calls[f"other {number}"] = partial(_other, other, timeout, given["ca_path"])
    answers = together(calls, max(_PATIENCE, timeout + 1))
    names = {"key": "key", **{f"other {number}": other["name"] for number, other in enumerate(given["others"])}}
    found = [answer if isinstance(answer, Line) else _none(names[name], answer) for name, answer in answers.items()]
    return found if given["key"] else [Line("key", GREY, "no key of CI is declared (zot_ci_key_registry)"), *found]


def _other(given: t.Mapping[str, t.Any], timeout: float, ca_path: str | None) -> Line:
    if given["url"]:
        return look_at_url(given["name"], given["url"], partial(remote, ca_path=ca_path), timeout)
    return look_at_command(given["name"], given["command"], run, timeout)


def _key(given: dict[str, t.Any], timeout: float) -> Line:
    name = given["store"].get("field")
    if not name:
        raise ZotError("the store of the key has no field: set zot_ci_key_store")
    policy = Policy.of({**given, "grace": "1h", "label": "blumeops.zot"})
    ask = sender(given["validate_certs"], given["ca_path"])

    def send(method: str, url: str, headers: t.Any = None, _patience: float = 0, body: bytes | None = None) -> Response:
        """A report waits for less than a rotation does."""
        return ask(method, url, headers, timeout, body)

    registry = Registry(given["url"].rstrip("/"), given["username"], send)
    return look_at_key(registry, open_here(given["store"]), name, policy, datetime.now(timezone.utc))


def _none(name: str, answer: dict[str, t.Any]) -> Line:
    return Line(name, RED, answer.get("error") or f"no answer within {answer['late']:g} s")
