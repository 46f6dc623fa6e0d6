# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge for tests, one interface to both kinds: the stand-in under tests/standins, and a real Gitea.

    with standin_forge("forgejo-14") as forge:
        forge.make_repository("eblume", "blumeops")
        token = forge.token("eblume", "write:repository")
        ...  # the code under test talks to forge.url with the token
        assert forge.secret_value("repos/eblume/blumeops", "ZOT_CI_API_KEY") == key

Whose secrets: `repos/OWNER/NAME`, `orgs/NAME` or `users/NAME`. Both kinds are reached through the same small server, which keeps the
log and makes the faults that a test asks for.
"""

from __future__ import annotations

import abc
import base64
import contextlib
import hashlib
import http.client
import importlib.machinery
import importlib.util
import itertools
import json
import shutil
import sqlite3
import sys
import typing as t
import urllib.parse
from pathlib import Path

from testbed import gitea

STANDIN = Path(__file__).parents[1] / "standins" / "forgejo"
DEFAULT_FLAVOUR = "gitea-1.27"


def _load() -> t.Any:
    loader = importlib.machinery.SourceFileLoader("standin_forgejo", str(STANDIN))
    spec = importlib.util.spec_from_loader("standin_forgejo", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["standin_forgejo"] = module
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no cache beside a file that is no .py
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


standin: t.Any = _load()
"""The stand-in as a module: `State`, `Forge`, `Server`, `Fault`, `Request`, `Answer`."""


class Forge(abc.ABC):
    """What a test may do to a forge besides talking to its API. Users are made when they are first named; `root1` administers it."""

    flavour: str
    real: bool
    server: t.Any  # the stand-in's Server: .requests, .faults, .before, .after

    @property
    def url(self) -> str:
        """Without /api/v1."""
        return str(self.server.url)

    # The log

    @property
    def requests(self) -> list[t.Any]:
        """Of the code under test, in order: `.method`, `.path`, `.status` (None: not answered)."""
        return list(self.server.requests)

    def forget_requests(self) -> None:
        self.server.requests.clear()

    # Faults

    def fail(self, status: int | None = None, **options: t.Any) -> t.Any:
        """From now on something goes wrong, once; returns the fault, which `heal` or `faults.remove` ends.

        `status` is answered instead of the forge's answer; None closes the connection without an answer. Options:
        `method`, `path` (a regular expression) choose requests; `nth` (1) the first of those that fails; `times` (1) how many do;
        `effect=True`: the request takes effect all the same; `delay`: seconds before the answer; `passes=True`: the delay only;
        `headers`: pairs, such as ("Retry-After", "1").
        """
        fault = standin.Fault(status=status, **options)
        self.server.faults.append(fault)
        return fault

    def heal(self) -> None:
        self.server.faults.clear()

    # What is on it

    @abc.abstractmethod
    def user(self, name: str, *, admin: bool = False) -> str:
        """Make a user if there is none of that name; returns the password."""

    @abc.abstractmethod
    def token(self, user: str, scopes: str = "all") -> str:
        """A new token of a user; scopes as Gitea writes them: `all`, or some of `write:repository,read:organization,...`."""

    @abc.abstractmethod
    def revoke(self, token: str) -> None: ...

    @abc.abstractmethod
    def make_repository(self, owner: str, name: str, *, private: bool = True) -> None:
        """Of an organisation, if one has that name, else of a user."""

    @abc.abstractmethod
    def rename_repository(self, owner: str, old: str, new: str) -> None: ...

    @abc.abstractmethod
    def change_repository(self, owner: str, name: str, *, actions: bool | None = None, archived: bool | None = None) -> None:
        """Switch its Actions unit on or off; archive it."""

    @abc.abstractmethod
    def add_collaborator(self, owner: str, repository: str, user: str) -> None:
        """With admin permission."""

    @abc.abstractmethod
    def make_organization(self, name: str, owner: str = "root1") -> None: ...

    @abc.abstractmethod
    def rename_owner(self, old: str, new: str) -> None:
        """Of a user or an organisation."""

    @abc.abstractmethod
    def add_team_member(self, organization: str, user: str, permission: str = "admin") -> None:
        """In a team that has every repository of the organisation."""

    # What it has stored: the question no API answers

    @abc.abstractmethod
    def secrets(self, scope: str) -> dict[str, str]:
        """Names and values."""

    @abc.abstractmethod
    def variables(self, scope: str) -> dict[str, str]: ...

    def secret_value(self, scope: str, name: str) -> str | None:
        """What stands in that scope; names are stored in capitals."""
        return self.secrets(scope).get(name.upper())

    def variable_value(self, scope: str, name: str) -> str | None:
        return self.variables(scope).get(name.upper())

    def job_secrets(self, owner: str, repository: str) -> dict[str, str]:
        """What a CI job of that repository would be given now: a repository's secret goes before its owner's."""
        return {**self.secrets(f"{self._kind(owner)}/{owner}"), **self.secrets(f"repos/{owner}/{repository}")}

    @abc.abstractmethod
    def _kind(self, owner: str) -> str:
        """orgs or users."""


class StandinForge(Forge):
    """The stand-in, in this process."""

    real = False

    def __init__(self, flavour: str = DEFAULT_FLAVOUR, state: t.Any = None) -> None:
        self.flavour = flavour
        self.state = state or standin.State(flavour)
        self.server = standin.serve(self.state)
        self.user("root1", admin=True)

    def user(self, name: str, *, admin: bool = False) -> str:
        if name.lower() not in self.state.users:
            self.state.add_user(name, password=f"password-of-{name}", admin=admin)
        return str(self.state.users[name.lower()].password)

    def token(self, user: str, scopes: str = "all") -> str:
        self.user(user)
        return str(self.state.add_token(user, scopes))

    def revoke(self, token: str) -> None:
        del self.state.tokens[token]

    def make_repository(self, owner: str, name: str, *, private: bool = True) -> None:
        if self._kind(owner) == "users":
            self.user(owner)
        self.state.add_repository(owner, name, private=private)

    def rename_repository(self, owner: str, old: str, new: str) -> None:
        self.state.rename_repository(owner, old, new)

    def change_repository(self, owner: str, name: str, *, actions: bool | None = None, archived: bool | None = None) -> None:
        found = self.state.repositories[owner.lower(), name.lower()]
        found.actions = found.actions if actions is None else actions
        found.archived = found.archived if archived is None else archived

    def add_collaborator(self, owner: str, repository: str, user: str) -> None:
        self.user(user)
        self.state.repositories[owner.lower(), repository.lower()].collaborators.add(user.lower())

    def make_organization(self, name: str, owner: str = "root1") -> None:
        self.user(owner)
        self.state.add_organization(name, owner)

    def rename_owner(self, old: str, new: str) -> None:
        self.state.rename_owner(old, new)

    def add_team_member(self, organization: str, user: str, permission: str = "admin") -> None:
        self.user(user)
        self.state.organizations[organization.lower()].teams[user.lower()] = permission

    def secrets(self, scope: str) -> dict[str, str]:
        return dict(self.state.secret_values(scope))

    def variables(self, scope: str) -> dict[str, str]:
        return dict(self.state.variable_values(scope))

    def _kind(self, owner: str) -> str:
        return "orgs" if owner.lower() in self.state.organizations else "users"

    def close(self) -> None:
        self.server.close()


@contextlib.contextmanager
def standin_forge(flavour: str = DEFAULT_FLAVOUR) -> t.Iterator[StandinForge]:
    forge = StandinForge(flavour)
    try:
        yield forge
    finally:
        forge.close()


class GiteaForge(Forge):
    """A real Gitea, behind a server of ours that keeps the log and makes the faults."""

    real = True
    flavour = "gitea-1.27"

    def __init__(self, server: t.Any, running: gitea.Gitea) -> None:
        self.server, self.running = server, running
        self.passwords = {gitea.ADMIN: gitea.ADMIN_PASSWORD}
        self.token_names: dict[str, tuple[str, str]] = {}
        self.numbers = itertools.count(1)

    def _api(self, method: str, path: str, body: t.Any = None, user: str = gitea.ADMIN) -> t.Any:
        """What an administrator or a user does; it is not in the log."""
        login = base64.b64encode(f"{user}:{self.passwords[user]}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        request = standin.Request(method, f"/api/v1{path}", headers, b"" if body is None else json.dumps(body).encode())
        answer = forward(self.running.port, request)
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body.decode()[:500]}")
        return json.loads(answer.body) if answer.body else None

    def user(self, name: str, *, admin: bool = False) -> str:
        if name not in self.passwords:
            self.passwords[name] = f"password-of-{name}"
            account = {"username": name, "password": self.passwords[name], "email": f"{name}@example.com", "must_change_password": False}
            self._api("POST", "/admin/users", account)
            if admin:
                self._api("PATCH", f"/admin/users/{name}", {"admin": True, "login_name": name, "source_id": 0})
        return self.passwords[name]

    def token(self, user: str, scopes: str = "all") -> str:
        self.user(user)
        name = f"token-{next(self.numbers)}"
        token = str(self._api("POST", f"/users/{user}/tokens", {"name": name, "scopes": scopes.split(",")}, user)["sha1"])
        self.token_names[token] = (user, name)
        return token

    def revoke(self, token: str) -> None:
        user, name = self.token_names[token]
        self._api("DELETE", f"/users/{user}/tokens/{name}", user=user)

    def make_repository(self, owner: str, name: str, *, private: bool = True) -> None:
        if self._kind(owner) == "orgs":
            self._api("POST", f"/orgs/{owner}/repos", {"name": name, "private": private})
        else:
            self.user(owner)
            self._api("POST", f"/admin/users/{owner}/repos", {"name": name, "private": private})

    def rename_repository(self, owner: str, old: str, new: str) -> None:
        self._api("PATCH", f"/repos/{owner}/{old}", {"name": new})

    def change_repository(self, owner: str, name: str, *, actions: bool | None = None, archived: bool | None = None) -> None:
        for setting, value in (("has_actions", actions), ("archived", archived)):
            if value is not None:
                self._api("PATCH", f"/repos/{owner}/{name}", {setting: value})

    def add_collaborator(self, owner: str, repository: str, user: str) -> None:
        self.user(user)
        self._api("PUT", f"/repos/{owner}/{repository}/collaborators/{user}", {"permission": "admin"})

    def make_organization(self, name: str, owner: str = gitea.ADMIN) -> None:
        self.user(owner)
        self._api("POST", f"/admin/users/{owner}/orgs", {"username": name})

    def rename_owner(self, old: str, new: str) -> None:
        if self._kind(old) == "orgs":
            self._api("POST", f"/orgs/{old}/rename", {"new_name": new})
        else:
            self._api("POST", f"/admin/users/{old}/rename", {"new_username": new})
            self.passwords[new] = self.passwords.pop(old)

    def add_team_member(self, organization: str, user: str, permission: str = "admin") -> None:
        self.user(user)
        units = ["repo.code", "repo.actions"]
        team = {"name": f"team-{next(self.numbers)}", "permission": permission, "includes_all_repositories": True, "units": units}
        made = self._api("POST", f"/orgs/{organization}/teams", team)
        self._api("PUT", f"/teams/{made['id']}/members/{user}")

    def secrets(self, scope: str) -> dict[str, str]:
        return {name: _decrypted(data) for name, data in self._rows("secret", scope)}

    def variables(self, scope: str) -> dict[str, str]:
        return dict(self._rows("action_variable", scope))

    def _rows(self, table: str, scope: str) -> list[tuple[str, str]]:
        kind, name, *rest = scope.lower().split("/")
        owner = self._ask("SELECT id FROM user WHERE lower_name = ?", name)[0][0]
        if kind != "repos":
            return self._ask(f"SELECT name, data FROM {table} WHERE owner_id = ? AND repo_id = 0", owner)  # noqa: S608 - ours
        repository = self._ask("SELECT id FROM repository WHERE owner_id = ? AND lower_name = ?", owner, rest[0])[0][0]
        return self._ask(f"SELECT name, data FROM {table} WHERE owner_id = 0 AND repo_id = ?", repository)  # noqa: S608 - ours

    def _ask(self, question: str, *values: t.Any) -> list[t.Any]:
        address = f"file:{urllib.parse.quote(str(self.running.database))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=30)) as database:
            return database.execute(question, values).fetchall()

    def _kind(self, owner: str) -> str:
        return "orgs" if self._ask("SELECT 1 FROM user WHERE lower_name = ? AND type = 1", owner.lower()) else "users"


def forward(port: int, request: t.Any) -> t.Any:
    """A request to the real one, as it came."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        hop = ("connection", "content-length", "host", "transfer-encoding", "accept-encoding")
        headers = {name: value for name, value in request.headers.items() if name not in hop}
        connection.request(request.method, request.target, request.body or None, headers)
        response = connection.getresponse()
        kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in (*hop, "date", "keep-alive"))
        return standin.Answer(response.status, response.read(), kept)


def _decrypted(data: str) -> str:
    """As Gitea's modules/secret does it: AES-256 in CFB mode, the vector first, base64 within, hexadecimal around it."""
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    raw = bytes.fromhex(data)
    cipher = Cipher(algorithms.AES(hashlib.sha256(gitea.SECRET_KEY.encode()).digest()), CFB(raw[:16]))
    decryptor = cipher.decryptor()
    return base64.b64decode(decryptor.update(raw[16:]) + decryptor.finalize()).decode()


@contextlib.contextmanager
def real_forge(folder: Path, program: gitea.Program | None = None, seed: Path | None = None) -> t.Iterator[GiteaForge]:
    """A Gitea of its own in a folder that every user may reach; from ``seed`` (`testbed.gitea.make_seed`) it starts sooner."""
    program = program or gitea.find()
    if program is None:
        raise gitea.BedError(gitea.NO_GITEA)
    if seed is None:
        (folder / "seed").mkdir()
        seed = gitea.make_seed(program, folder / "seed")
    shutil.copytree(seed, folder / "data")
    server = standin.Server(lambda _request: standin.Answer(503)).start()
    try:
        with gitea.running(program, folder, server.url) as running:
            server.answer = lambda request: forward(running.port, request)
            yield GiteaForge(server, running)
    finally:
        server.close()
