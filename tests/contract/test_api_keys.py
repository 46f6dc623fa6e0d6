# SPDX-License-Identifier: GPL-3.0-or-later
"""The API-key endpoint: a recorded conversation, step by step, and what happens to keys over restarts."""

from __future__ import annotations

import datetime
import json
import re
import time
from typing import TYPE_CHECKING, Any

from support.zot_binary import serving, write_htpasswd

from contract.ask import Answer, ask
from contract.conftest import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

    from contract.conftest import Binary

TRANSCRIPT = json.loads((VECTORS / "apikey" / "2.1.20.json").read_text(encoding="utf-8"))
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
PLACEHOLDER = re.compile(r"<(?:UUID|KEY):[^>]+>")
NEVER = "0001-01-01T00:00:00Z"


def moment(text: str) -> datetime.datetime:
    parts = re.fullmatch(r"(.{19})(\.\d+)?(.+)", text)
    assert parts, text
    whole, fraction, zone = parts.groups()
    return datetime.datetime.fromisoformat(whole + (fraction or ".0")[:7].ljust(7, "0") + zone.replace("Z", "+00:00"))


class Replay:
    """Placeholders are bound where they first appear; dates near the recording are moved to now."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self.bound: dict[str, str] = {}
        self.expiry: dict[str, datetime.datetime] = {}
        recorded = next(moment(step["response"]["createdAt"]) for step in steps if step["status"] == 201)
        self.start = recorded.replace(microsecond=0)
        self.shift = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - self.start

    def filled(self, text: str) -> str:
        return PLACEHOLDER.sub(lambda match: self.bound.get(match[0], match[0]), text)

    def moved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.moved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.moved(item) for item in value]
        if isinstance(value, str) and MOMENT.fullmatch(value) and abs(moment(value) - self.start).days < 400:
            return (moment(value) + self.shift).strftime("%Y-%m-%dT%H:%M:%SZ")
        return value

    def play(self, url: str, step: dict[str, Any]) -> Answer:
        login = step["as"] and self.filled(step["as"])
        if step["status"] == 401 and login and step["as"].partition(":")[2] in self.expiry:
            wait = self.expiry[step["as"].partition(":")[2]] - datetime.datetime.now(datetime.timezone.utc)
            time.sleep(max(0.0, wait.total_seconds() + 0.01))
        body = step["body"]
        data = None if body is None else (body if isinstance(body, str) else json.dumps(self.moved(body))).encode()
        # the one header of the conversation that was not recorded
        headers = {"User-Agent": "docker/27.0"} if step["name"] == "docker user agent" else {}
        return ask(url, step["method"], self.filled(step["path"]), login, data, headers)

    def bind(self, recorded: Any, got: Any) -> None:
        for key in ("uuid", "apiKey"):
            if isinstance(recorded, dict) and PLACEHOLDER.fullmatch(str(recorded.get(key))):
                self.bound.setdefault(recorded[key], got[key])
        if isinstance(recorded, dict) and "apiKey" in recorded:
            expires = moment(got["expirationDate"])
            if 0 < (expires - datetime.datetime.now(datetime.timezone.utc)).total_seconds() < 60:
                self.expiry[recorded["apiKey"]] = expires

    def expected(self, value: Any) -> Any:
        """The recorded response with what is known now; moments that the server chose become `<now>`."""
        if isinstance(value, dict):
            return {key: self._of(key, item) for key, item in value.items()}
        return [self.expected(item) for item in value] if isinstance(value, list) else value

    def _of(self, key: str, item: Any) -> Any:
        if key in ("createdAt", "lastUsed") and item != NEVER:
            return "<now>"
        if isinstance(item, str):
            return self.moved(item) if key == "expirationDate" else self.filled(item)
        return self.expected(item)


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: "<now>" if key in ("createdAt", "lastUsed") and item != NEVER else comparable(item) for key, item in value.items()}
        if "apiKeys" in found:  # in no order
            found["apiKeys"] = sorted(found["apiKeys"], key=lambda record: str(record["uuid"]))
        return found
    return [comparable(item) for item in value] if isinstance(value, list) else value


def config(directory: Path) -> dict[str, Any]:
    htpasswd = write_htpasswd(directory / "htpasswd", {"zot-ci": "pw", "other": "pw2"})
    policies = [{"users": ["zot-ci"], "actions": ["read", "create"]}]
    control = {"repositories": {"**": {"anonymousPolicy": ["read"], "policies": policies}}}
    auth = {"htpasswd": {"path": str(htpasswd)}, "apikey": True}
    return {"http": {"auth": auth, "accessControl": control}, "storage": {"gc": False}}


def test_the_recorded_conversation(zot: Binary, tmp_path: Path) -> None:
    replay = Replay(TRANSCRIPT["steps"])
    with serving(zot.path, config(tmp_path), tmp_path) as running:
        for step in TRANSCRIPT["steps"]:
            answer = replay.play(running.url, step)
            context = f"step {step['name']!r}: {answer}"
            assert answer.status == step["status"], context
            assert answer.headers.get("www-authenticate") == step["www_authenticate"], context
            assert answer.headers.get("content-type") == step["content_type"], context
            if not isinstance(step["response"], dict):
                assert answer.body.decode() == step["response"], context
                continue
            got = answer.json
            replay.bind(step["response"], got)
            recorded = replay.expected(step["response"])
            if "repositories" in recorded:
                continue  # the recording began with other repositories
            assert comparable(got) == comparable(recorded), context
        assert len(replay.bound) >= 14
        log = running.log
    assert not [key for name, key in replay.bound.items() if name.startswith("<KEY") and key in log], "a key in the log"


def test_keys_outlive_restarts_and_are_not_stored_readably(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, config(tmp_path), tmp_path) as running:
        created = ask(running.url, "POST", "/zot/auth/apikey", "zot-ci:pw", b'{"label":"ci"}').json
        running.restart()
        assert ask(running.url, "GET", "/v2/_catalog", f"zot-ci:{created['apiKey']}").status == 200
        listed = ask(running.url, "GET", "/zot/auth/apikey", "zot-ci:pw").json["apiKeys"]
        assert [record["uuid"] for record in listed] == [created["uuid"]]
        secret = created["apiKey"].removeprefix("zak_").encode()
        stored = [path for path in (tmp_path / "registry").rglob("*") if path.is_file()]
        assert stored
        assert not [path for path in stored if secret in path.read_bytes()]


def test_a_key_carries_the_groups_of_the_last_password_login(zot: Binary, tmp_path: Path) -> None:
    settings = config(tmp_path)
    pushers = {"repositories": {"**": {"policies": [{"groups": ["pushers"], "actions": ["create"]}]}}}
    settings["http"]["accessControl"] = {**pushers, "groups": {"pushers": {"users": ["zot-ci"]}}}
    with serving(zot.path, settings, tmp_path) as running:
        key = ask(running.url, "POST", "/zot/auth/apikey", "zot-ci:pw", b"{}").json["apiKey"]

        def may_push(password: str) -> bool:
            path = "/v2/app/manifests/new"
            return ask(running.url, "PUT", path, f"zot-ci:{password}", b"", {"Content-Type": "text/plain"}).status == 415

        assert may_push(key)
        settings["http"]["accessControl"] = {**pushers, "groups": {"pushers": {"users": ["other"]}}}
        settings["http"]["port"] = str(running.port)
        settings["storage"]["rootDirectory"] = str(tmp_path / "registry")
        running.config_path.write_text(json.dumps(settings), encoding="utf-8")
        running.restart()
        assert may_push(key), "taken out of the group in the configuration: the key does not know yet"
        assert not may_push("pw"), "a login with the password does"
        assert not may_push(key), "and tells the key"


def test_without_apikey_there_is_no_endpoint(zot: Binary, tmp_path: Path) -> None:
    settings = config(tmp_path)
    settings["http"]["auth"]["apikey"] = False
    with serving(zot.path, settings, tmp_path) as running:
        assert ask(running.url, "GET", "/zot/auth/apikey", "zot-ci:pw").status == 404
