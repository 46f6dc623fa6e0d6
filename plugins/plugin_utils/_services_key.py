# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the controller knows by itself: how CI's key is, and other services that were always looked at too."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKey, ApiKeys, NoApiKeysError, RefusedError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Runner
from ansible_collections.blumeops.zot.plugins.module_utils._stores import Store
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Sender
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Kept, Policy
from ansible_collections.blumeops.zot.plugins.plugin_utils._services import AMBER, GREEN, RED, Line

# A line that says this is grey where a registry itself is what fails: see `_services_report.settle`.
REGISTRY = "registry"


class Registry(t.NamedTuple):
    """Where the key is used, by whom, and how it is asked."""

    url: str
    username: str
    send: Sender


def look_at_key(registry: Registry, store: Store, name: str, policy: Policy, now: datetime) -> Line:
    """The key in the store, as the registry knows it. zot notes the question as a use of the key."""
    where = f"{store.where}, field '{name}'"
    try:
        found = store.read([name, f"{name}-rotation"])
    except ZotError as error:
        return Line("key", AMBER, f"the store cannot be read: {error.message}")
    try:
        kept = Kept.read(found.get(name), found.get(f"{name}-rotation"), where)
    except ZotError as error:
        return Line("key", RED, error.message)
    if kept.current is None:
        return Line("key", RED, f"there is none in {where}: run rotate-ci-key")
    client = ApiKeys(registry.url, registry.username, kept.current.secret, registry.send)
    try:
        keys = client.listed()
    except (RefusedError, NoApiKeysError) as error:
        return Line("key", RED, error.message)
    except ZotError as error:
        return Line("key", AMBER, f"it cannot be told: {error.message}", {"since": REGISTRY})
    key = _own(keys, kept.current.uuid)
    return judge_key(key, policy, client.now or now) if key else Line("key", GREEN, f"{registry.url} accepts it")


def _own(keys: list[ApiKey], uuid: str) -> ApiKey | None:
    """The one that logged in: as the store knows it, else the last that was used, which zot notes before it answers."""
    known = next((key for key in keys if uuid and key.uuid == uuid), None)
    return known or max((key for key in keys if key.last_used), key=lambda key: key.last_used or key.created, default=None)


def judge_key(key: ApiKey, policy: Policy, now: datetime) -> Line:
    """Green as long as the daily run need not have replaced it; a key that nobody replaced in time is amber until it expires."""
    age, left = now - key.created, key.expires - now if key.expires else None
    days = {"age_days": _days(age), "expires_in_days": _days(left) if left is not None else None}
    if left is not None and left <= timedelta():
        return Line("key", RED, f"{key.label} expired {_days(-left):g} days ago", days)
    life = f"expires in {_days(left):g} days" if left is not None else "never expires"
    text = f"{key.label} is {_days(age):g} days old and {life}"
    # A day of runs, and one more that may have failed.
    late = age > policy.renew_after + 2 * timedelta(days=1)
    ending = left is not None and left < (policy.max_age - policy.renew_after) / 2
    if late or ending:
        return Line("key", AMBER, f"{text}: it should have been renewed after {_days(policy.renew_after):g} days; run rotate-ci-key", days)
    return Line("key", GREEN, text, days)


def _days(length: timedelta) -> float:
    return round(length / timedelta(days=1), 1)


# ---- other services


def look_at_url(name: str, url: str, send: Sender, timeout: float) -> Line:
    """Green where it answers with success or a redirect."""
    answer = send("GET", url, None, timeout)
    if 200 <= answer.status < 400:
        return Line(name, GREEN, f"it answers {answer.status}")
    return Line(name, RED, f"it answers {answer.status}" if answer.status else f"no answer: {answer.untrusted or answer.reason}")


def look_at_command(name: str, command: str, run: Runner, timeout: float) -> Line:
    """Green where the shell ends with 0. What it printed is not shown: it may be anything."""
    done = run(["/bin/sh", "-c", command], timeout)
    if done.rc == 0:
        return Line(name, GREEN, "the command succeeds")
    return Line(name, RED, f"no end within {timeout:g} s" if done.rc == 124 else f"the command ends with {done.rc}")
