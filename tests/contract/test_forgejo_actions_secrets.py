# SPDX-License-Identifier: GPL-3.0-or-later
"""The publisher at the forge: its stand-in as Gitea and as Forgejo, and a real Gitea where there is one."""

from __future__ import annotations

import json
import os
import threading
import time
import typing as t

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.action.forgejo_actions_secrets import ActionModule
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, Fingerprints
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import LOCK
from integration.playbook import Play
from support.modules import Action
from support.onepassword import Op

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.forge import Forge

CANARY = "canary-1be9-value"
LEVELS = {
    "repository": ({"repository": "eblume/blumeops"}, "repos/eblume/blumeops"),
    "organization": ({"organization": "acme"}, "orgs/acme"),
    "user": ({"user": True}, "users/eblume"),
}


class Quick(ActionModule):
    """Waits a hundred times shorter."""

    class clock:  # noqa: N801 - stands for a module
        from time import monotonic, time

        @staticmethod
        def sleep(seconds: float) -> None:
            time.sleep(seconds / 100)


class Publish:
    """The task, at one level of a forge, as its owner with just the scope that the level needs."""

    def __init__(self, forge: Forge, level: str = "repository") -> None:
        self.forge, self.level = forge, level
        forge.make_repository("eblume", "blumeops")
        forge.make_organization("acme", "eblume")
        self.scope, self.where = LEVELS[level]
        self.token = forge.token("eblume", f"write:{level}")

    def __call__(self, check: bool = False, token: str = "", scope: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        """Options of the task by their names, and of the scope: secrets (name=value), variables, prune."""
        rows = {key: [{"name": name, "value": value} for name, value in options.pop(key, {}).items()] for key in ("secrets", "variables")}
        of_scope = {**(scope or self.scope), **rows, "prune": options.pop("prune", False)}
        self.forge.forget_requests()
        result = Action(Quick)(check, url=self.forge.url, token=token or self.token, scopes=[of_scope], **options)
        assert CANARY not in json.dumps(result)
        return result

    @property
    def secrets(self) -> dict[str, str]:
        return self.forge.secrets(self.where)

    @property
    def known(self) -> Fingerprints:
        return Fingerprints.parse(self.forge.variable_value(self.where, VARIABLE))

    @property
    def written(self) -> int:
        return sum(seen.method != "GET" for seen in self.forge.requests)


@pytest.fixture
def publish(forge: Forge) -> Publish:
    return Publish(forge)


def state(result: dict[str, t.Any], name: str) -> str:
    assert not result.get("failed"), result
    return next(key for key, names in result["scopes"][0].items() if isinstance(names, list) and name in names)


# --- four ways, at each level


@pytest.mark.parametrize("level", LEVELS)
def test_published_then_left_alone_then_rotated(forge: Forge, level: str) -> None:
    publish = Publish(forge, level)
    # Of a user no forge tells which there are.
    for value, expected in (
        ("one", "unknown" if level == "user" else "created"),
        ("one", "unchanged"),
        ("two", "rotated"),
        ("two", "unchanged"),
    ):
        value = f"{CANARY}-{value}"
        predicted = publish(check=True, secrets={"zot_ci_api_key": value})
        assert publish.written == 0
        result = publish(secrets={"zot_ci_api_key": value})
        assert result == predicted
        assert (state(result, "ZOT_CI_API_KEY"), result["changed"]) == (expected, expected != "unchanged")
        assert bool(publish.written) is result["changed"]
        assert publish.secrets == {"ZOT_CI_API_KEY": value}
        assert publish.known.matches("ZOT_CI_API_KEY", value) is True
        assert set(forge.variables(publish.where)) == {VARIABLE}


@pytest.mark.parametrize("level", LEVELS)
def test_who_may_not_is_told_what_it_takes(forge: Forge, level: str) -> None:
    publish = Publish(forge, level)
    other = "write:organization" if level != "organization" else "write:repository"
    for check in (True, False):
        result = publish(check=check, token=forge.token("eblume", other), secrets={"A": CANARY})
        assert result["failed"]
        assert f"the token lacks the scope read:{level}" in result["msg"]
        result = publish(check=check, token="0" * 40, secrets={"A": CANARY})
        assert "revoked, expired or mistyped" in result["msg"]
    result = publish(token=forge.token("eblume", f"read:{level}"), secrets={"A": CANARY})
    assert f"the token lacks the scope write:{level}" in result["msg"]
    assert publish.secrets == {}


def test_a_collaborator_may_not_and_a_team_with_admin_rights_may(publish: Publish) -> None:
    forge = publish.forge
    forge.add_collaborator("eblume", "blumeops", "bob")
    bob = forge.token("bob", "write:repository,write:organization")
    assert "only the repository's owner" in publish(token=bob, secrets={"A": CANARY})["msg"]
    forge.make_repository("acme", "app")
    forge.add_team_member("acme", "bob")
    assert "only owners of the organization may" in publish(token=bob, scope={"organization": "acme"}, secrets={"A": CANARY})["msg"]
    assert state(publish(token=bob, scope={"repository": "acme/app"}, secrets={"A": CANARY}), "A") == "created"


@pytest.mark.parametrize("scope", [{"repository": "eblume/none"}, {"repository": "nobody/none"}, {"repository": "carol/hers"}])
def test_what_is_not_there_and_what_may_not_be_seen_is_one_error(publish: Publish, scope: dict[str, str]) -> None:
    publish.forge.make_repository("carol", "hers")
    assert "there is no such repository, or" in publish(scope=scope, secrets={"A": CANARY})["msg"]


def test_a_user_is_no_organization(forge: Forge) -> None:
    publish = Publish(forge, "organization")
    for name in ("eblume", "none"):
        assert "there is no such organization" in publish(scope={"organization": name}, secrets={"A": CANARY})["msg"]


def test_a_renamed_repository_is_named_and_nothing_sent_there(publish: Publish) -> None:
    publish.forge.rename_repository("eblume", "blumeops", "homelab")
    result = publish(secrets={"A": CANARY})
    assert result["failed"]
    assert "repository eblume/blumeops was renamed to eblume/homelab" in result["msg"]
    assert publish.forge.secrets("repos/eblume/homelab") == {}
    assert [seen.method for seen in publish.forge.requests] == ["GET"]


def test_an_archived_repository_and_one_whose_actions_are_off_can_be_written(publish: Publish) -> None:
    publish.forge.change_repository("eblume", "blumeops", archived=True)
    assert state(publish(secrets={"A": CANARY}), "A") == "created"
    publish.forge.change_repository("eblume", "blumeops", archived=False, actions=False)
    assert state(publish(secrets={"A": CANARY}), "A") == "unchanged"


# --- values and names


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "  spaces ", "ünïcödé €", 'quo"te\\', "é" * 32768, "\ttab"])
def test_a_value_arrives_as_it_is_and_is_known_again(publish: Publish, value: str) -> None:
    assert state(publish(secrets={"A": f"{value}\r\n\n"}), "A") == "created"
    assert publish.secrets == {"A": value}
    assert state(publish(secrets={"A": value}), "A") == "unchanged"


def test_every_name_that_is_let_through_is_taken(publish: Publish) -> None:
    names = ("CI_X", "GITHUB", "GIT_X", "ACTIONS_X", "_LEAD", "lower_case", "A" * 200)
    publish(secrets=dict.fromkeys(names, CANARY))
    assert set(publish.secrets) == {name.upper() for name in names}


def test_variables_are_created_compared_and_updated(publish: Publish) -> None:
    for value, expected in (("r1", "created"), ("r1", "unchanged"), ("a\r\nb\r\n", "updated"), ("a\nb", "unchanged")):
        predicted = publish(check=True, variables={"registry": value})
        result = publish(variables={"registry": value})
        assert result == predicted
        assert result["scopes"][0]["variables"][expected] == ["REGISTRY"]
        assert publish.written == (expected != "unchanged")
    assert publish.forge.variables(publish.where) == {"REGISTRY": "a\nb"}


# --- many


def test_a_hundred_secrets_take_few_requests_and_only_what_changed_is_put(publish: Publish) -> None:
    secrets = {f"S{number:03}": f"{CANARY}-{number}" for number in range(100)}
    result = publish(secrets=secrets)
    assert len(result["scopes"][0]["created"]) == 100
    assert publish.secrets == secrets
    result = publish(secrets=secrets)
    assert result["changed"] is False
    assert len(publish.forge.requests) <= 5
    secrets.update(dict.fromkeys(["S007", "S042", "S099"], f"{CANARY}-new"))
    result = publish(secrets=secrets)
    assert result["scopes"][0]["rotated"] == ["S007", "S042", "S099"]
    assert len(publish.forge.requests) <= 5 + 3 + 1
    assert publish.secrets == secrets


def test_what_was_published_and_is_no_longer_declared_is_pruned(publish: Publish) -> None:
    publish(secrets={"A": CANARY, "B": CANARY})
    assert publish(secrets={"A": CANARY})["changed"] is False
    predicted = publish(check=True, secrets={"A": CANARY}, prune=True)
    assert set(publish.secrets) == {"A", "B"}
    assert publish(secrets={"A": CANARY}, prune=True) == predicted
    assert (predicted["scopes"][0]["pruned"], set(publish.secrets)) == (["B"], {"A"})
    assert publish(secrets={}, prune=True)["scopes"][0]["pruned"] == ["A"]
    assert publish(secrets={}, prune=True)["changed"] is False


def test_nothing_of_a_user_is_pruned(forge: Forge) -> None:
    assert "no forge lists" in Publish(forge, "user")(secrets={"A": CANARY}, prune=True)["msg"]


# --- what goes wrong on the way


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "headers": (("Retry-After", "1"),)}, {"status": None}, {"status": None, "effect": True}]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_that_fails_is_made_again(publish: Publish, method: str, fault: dict[str, t.Any]) -> None:
    publish(secrets={"A": "old", "B": "b"})
    publish.forge.fail(method=method, **fault)
    assert state(publish(secrets={"A": CANARY, "B": "b"}), "A") == "rotated"
    assert publish.secrets == {"A": CANARY, "B": "b"}
    assert set(publish.forge.variables(publish.where)) == {VARIABLE}
    assert publish(secrets={"A": CANARY, "B": "b"})["changed"] is False


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_forge_that_goes_down_at_any_request_leaves_nothing_wrong_behind(publish: Publish, nth: int, effect: bool) -> None:
    publish(secrets={"A": "old", "B": "b"})
    publish.forge.fail(nth=nth, times=1, effect=effect)
    publish.forge.fail(nth=nth, times=99)
    result = publish(secrets={"A": CANARY, "B": "b"}, lock_wait=0)
    if result.get("failed"):
        assert "does not answer" in result["msg"]
    publish.forge.heal()
    lock = publish.forge.variable_value(publish.where, LOCK)
    if lock:  # its publisher could not give it back, and it would end by itself
        held = json.loads(lock)
        assert held["names"] == ["A"]
        expire(publish, held)
    assert not publish(secrets={"A": CANARY, "B": "b"}).get("failed")
    assert publish.secrets == {"A": CANARY, "B": "b"}
    assert all(publish.known.matches(name, value) for name, value in publish.secrets.items())
    assert publish(secrets={"A": CANARY, "B": "b"})["changed"] is False


def expire(publish: Publish, lock: dict[str, t.Any]) -> None:
    """As if an hour had passed."""
    from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge as Client
    from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Scope
    from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender

    client = Client(publish.forge.url, publish.token, sender(), time)
    client.set_variable(Scope("repository", "eblume", "blumeops"), LOCK, json.dumps({**lock, "until": "2020-01-01T00:00:00+00:00"}))


# --- two publishers


def test_whoever_comes_second_waits_finds_everything_done_and_writes_nothing(publish: Publish) -> None:
    forge = publish.forge
    results: list[dict[str, t.Any]] = []
    paused, resume = threading.Event(), threading.Event()

    def hold(request: t.Any) -> None:
        if request.method == "PUT" and "/secrets/" in request.path and not paused.is_set():
            paused.set()

    forge.server.after = hold
    forge.fail(method="PUT", path="/secrets/", delay=1.0, passes=True)

    def run() -> None:
        results.append(
            Action(Quick)(url=forge.url, token=publish.token, scopes=[{**publish.scope, "secrets": [{"name": "A", "value": CANARY}]}])
        )
        resume.set()

    first = threading.Thread(target=run, daemon=True)
    first.start()
    assert paused.wait(20)
    second = Action(ActionModule)(
        url=forge.url, token=publish.token, scopes=[{**publish.scope, "secrets": [{"name": "A", "value": CANARY}]}]
    )
    assert resume.wait(20)
    first.join(20)
    assert (results[0]["changed"], second["changed"]) == (True, False)
    assert [seen.method for seen in forge.requests if "/secrets/" in seen.path] == ["PUT"]
    assert set(forge.variables(publish.where)) == {VARIABLE}


def test_a_lock_that_stays_is_an_error_that_says_until_when(publish: Publish) -> None:
    forge = publish.forge
    forge.fail(method="DELETE", path=LOCK, status=500, times=99)
    publish(secrets={"A": "old"})
    forge.heal()
    assert "another publisher has the lock until" in publish(secrets={"A": CANARY}, lock_wait=0)["msg"]
    assert publish.secrets == {"A": "old"}
    expire(publish, json.loads(forge.variable_value(publish.where, LOCK) or ""))
    assert state(publish(secrets={"A": CANARY}), "A") == "unknown"
    assert set(forge.variables(publish.where)) == {VARIABLE}


# --- the role


def role(folder: Path, **environment: str) -> Play:
    """For a host that cannot be reached, with a become that cannot be: neither is needed."""
    playbook, inventory = folder / "play.yml", folder / "hosts.yml"
    roles = [{"role": "blumeops.zot.forgejo_actions_secrets"}]
    play = {"hosts": "all", "gather_facts": False, "become": True, "become_exe": "/nowhere/sudo", "roles": roles}
    playbook.write_text(yaml.safe_dump([play]))
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"indri.invalid": None}}}))
    return Play(playbook, [inventory], folder / "controller", environment)


def test_by_its_defaults_the_role_takes_the_ci_key_from_1password_and_reads_the_item_once(gitea: Forge, tmp_path: Path) -> None:
    publish = Publish(gitea)
    op = Op(tmp_path / "op", {"homelab": {"Forgejo Secrets": {"api-token": publish.token, "zot-ci-api": CANARY}}})
    play = role(tmp_path, PATH=f"{op.on_path()}:{os.environ['PATH']}", OP_SIM_FOLDER=str(op.folder))
    variables = {
        "forgejo_actions_secrets_api_url": gitea.url,
        "forgejo_actions_secrets_vault": "homelab",
        "forgejo_actions_secrets_zot_ci_repositories": ["eblume/blumeops"],
    }
    assert play("-vvv", **variables).changed == 1
    assert op.commands.count("item get") == 2, "before, and under the lock"
    assert play("-vvv", **variables).changed == 0
    assert op.commands.count("item get") == 3
    assert publish.secrets == {"ZOT_CI_API_KEY": CANARY}
    assert CANARY not in json.dumps(op.calls)
    op.behaves("locked")
    done = play(**variables)
    assert done.rc != 0
    assert "unlock it" in done.stdout
    assert "[ERROR]" in done.stdout
    assert CANARY not in done.stdout


def test_the_role_publishes_from_a_store_and_from_variables_and_shows_no_value(publish: Publish, tmp_path: Path) -> None:
    publish.forge.make_repository("eblume", "cv")
    store = tmp_path / "store.json"
    store.touch(mode=0o600)
    store.write_text(json.dumps({"api-token": publish.token, "zot-ci-api": CANARY}))
    play = role(tmp_path)
    variables = {
        "forgejo_actions_secrets_api_url": f"{publish.forge.url}/api/v1",
        "forgejo_actions_secrets_token_store": {"kind": "file", "path": str(store), "field": "api-token"},
        "forgejo_actions_secrets_zot_ci_store": {"kind": "file", "path": str(store), "field": "zot-ci-api"},
        "forgejo_actions_secrets_zot_ci_repositories": ["eblume/blumeops"],
        "forgejo_actions_secrets_owner": "eblume",
        "forgejo_actions_secrets_repos": [
            {"repo": "blumeops", "secrets": [{"name": "ARGOCD_AUTH_TOKEN", "value_var": "forgejo_secret_argocd_token"}]},
            {"repo": "cv", "secrets": [{"name": "FORGE_TOKEN", "value_var": "forgejo_secret_argocd_token"}]},
        ],
        "forgejo_secret_argocd_token": f"{CANARY}-argocd",
    }
    for arguments, changed in ((["--check", "--diff", "-vvv"], 1), (["--diff", "-vvv"], 1), (["-vvv"], 0), (["--check", "--diff"], 0)):
        done = play(*arguments, **variables)
        assert done.changed == changed
        assert CANARY not in done.stdout
        assert publish.token not in done.stdout
        if changed:
            assert "+secret ZOT_CI_API_KEY: declared value" in done.stdout
    assert publish.secrets == {"ZOT_CI_API_KEY": CANARY, "ARGOCD_AUTH_TOKEN": f"{CANARY}-argocd"}
    assert publish.forge.secrets("repos/eblume/cv") == {"FORGE_TOKEN": f"{CANARY}-argocd"}
    assert [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path not in (store, tmp_path / "controller/given.yml") and CANARY in path.read_text(errors="replace")
    ] == []
