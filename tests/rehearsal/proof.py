# SPDX-License-Identifier: GPL-3.0-or-later
"""What the provisioned registry has to answer: each thing asked is a row of expected and answered."""

from __future__ import annotations

import datetime as dt
import re
import typing as t
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from support.oci import Client, HttpClient, Image, Outcome, make_image, tool_clients
from support.oidc import OidcError, create_api_key, login

from rehearsal.host import Host

REPOSITORY = "blumeops/rehearsal"
LOGIN = "builder"  # who logs in at the provider
CLAIMS = {"preferred_username": LOGIN, "name": LOGIN, "email": f"{LOGIN}@example.org", "groups": ["artifact-workloads"]}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    expected: str
    answered: str

    @property
    def right(self) -> bool:
        return self.expected == self.answered


@dataclass
class Table:
    """What was asked so far; `say` tells of each row as it comes."""

    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, expected: object, ask: Callable[[], object]) -> None:
        """Ask, and keep the answer; a failure to ask is an answer too."""
        try:
            answered = ask()
        except (OidcError, requests.RequestException) as error:
            answered = f"{type(error).__name__}: {error}"
        row = Row(what, str(expected), str(answered))
        self.rows.append(row)
        self.say(f"  {what}: {_short(row.answered)}" + ("" if row.right else f"   WRONG, expected {_short(row.expected)}"))

    def lines(self) -> list[str]:
        """The table as text; what differs is marked."""
        cells = [("what", "expected", "answered"), *((row.what, _short(row.expected), _short(row.answered)) for row in self.rows)]
        first, second, third = (max(map(len, column)) for column in zip(*((what, wanted, found[:20]) for what, wanted, found in cells)))
        lines = [f"{what:<{first}} | {wanted:<{second}} | {found}" for what, wanted, found in cells]
        marked = [line + ("" if row.right else "   <-- WRONG") for line, row in zip(lines[1:], self.rows)]
        return [lines[0], f"{'-' * first}-+-{'-' * second}-+-{'-' * third}", *marked]


def _short(text: str) -> str:
    """As a reader wants it: digests by their beginning."""
    return re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1", text)


def everyday_client() -> Client:
    """A program people use, else plain HTTP. Not docker: its images have a format that zot takes only when told to."""
    return next((client for client in tool_clients() if client.name != "docker"), HttpClient())


class Asker:
    """Asks as somebody, by status: the identities are the local users, or nobody."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.http = HttpClient()

    def identity(self, user: str | None) -> dict[str, t.Any]:
        return {"username": user, "password": self.host.passwords[user]} if user else {}

    def image(self, name: str) -> Image:
        """A new image."""
        folder = self.host.scratch / "images" / name
        folder.mkdir(parents=True)
        return make_image(folder, random=True)

    def into(self, name: str) -> Path:
        folder = self.host.scratch / "pulled" / name
        folder.mkdir(parents=True)
        return folder

    def push(self, user: str | None, tag: str, image: Image) -> int:
        return self.http.push(self.host.url, REPOSITORY, tag, image=image, **self.identity(user)).status

    def delete(self, user: str | None, tag: str) -> int:
        return self.http.delete(self.host.url, REPOSITORY, tag, **self.identity(user)).status

    def tag_is(self, tag: str) -> str:
        """The digest anybody gets."""
        return self.http.pull(self.host.url, REPOSITORY, tag, into=self.into(f"{tag}-again")).digest


def prove_images(host: Host, client: Client, table: Table) -> None:
    """An image goes there and back; the three tiers may do what they may."""
    ask = Asker(host)
    first, other = ask.image("first"), ask.image("other")

    def there() -> str:
        done = client.push(host.url, REPOSITORY, "v1", image=first, **ask.identity("zot-ci"))
        pushed.append(done)
        return "ok" if done.ok else done.error

    def back() -> str:
        done = client.pull(host.url, REPOSITORY, "v1", into=ask.into("v1"), **ask.identity("zot-ci"))
        return done.digest if done.ok else done.error

    pushed: list[Outcome] = []
    table.add(f"zot-ci pushes an image ({client.name})", "ok", there)
    digest = pushed[0].digest if pushed and pushed[0].ok else first.digest
    table.add(f"zot-ci pulls it ({client.name})", digest, back)
    table.add("nobody pulls it", 200, lambda: ask.http.pull(host.url, REPOSITORY, "v1", into=ask.into("nobody")).status)
    table.add("nobody pushes", 401, lambda: ask.push(None, "v2", other))
    table.add("nobody deletes", 401, lambda: ask.delete(None, "v1"))
    table.add("zot-ci (artifact-workloads) pushes a new tag", 201, lambda: ask.push("zot-ci", "v2", first))
    table.add("zot-ci overwrites it", 403, lambda: ask.push("zot-ci", "v2", other))
    table.add("zot-ci deletes it", 403, lambda: ask.delete("zot-ci", "v2"))
    table.add("boss (admins) overwrites it", 201, lambda: ask.push("boss", "v2", other))
    table.add("what the tag is then", other.digest, lambda: ask.tag_is("v2"))
    table.add("boss deletes it", 202, lambda: ask.delete("boss", "v2"))


def prove_keys(host: Host, standin: bool, table: Table) -> None:
    """Who logged in makes an API key, and the key is in the same group. The stand-in has no login: there a local user makes the key."""
    ask = Asker(host)
    image = ask.image("key")
    keys: list[str] = []
    expires = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)

    def make() -> str:
        if standin:
            keys.append(create_api_key(("zot-ci", host.passwords["zot-ci"]), host.url, "rehearsal", expires))
        else:
            with login(host.url, LOGIN) as session:
                keys.append(create_api_key(session, host.url, "rehearsal", expires))
        return "made"

    def push(tag: str, pushed: Image) -> int:
        return ask.http.push(host.url, REPOSITORY, tag, image=pushed, username=user, password=keys[0]).status if keys else 0

    user = "zot-ci" if standin else LOGIN
    table.add("zot-ci makes an API key" if standin else f"{LOGIN} logs in (OIDC) and makes an API key", "made", make)
    table.add(f"the key of {user} pushes a new tag", 201, lambda: push("key", image))
    table.add(f"the key of {user} overwrites it", 403, lambda: push("key", ask.image("key-other")))
