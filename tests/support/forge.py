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
import contextlib
import importlib.machinery
import importlib.util
import sys
import typing as t
from pathlib import Path

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
