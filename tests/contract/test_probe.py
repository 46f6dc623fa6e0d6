# SPDX-License-Identifier: GPL-3.0-or-later
"""The access probe against the stand-in and a real zot: what it tells is true, and it leaves nothing behind."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.blumeops.zot.plugins.action.zot_access_probe import ActionModule, Asker
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, ANONYMOUS, control_of, decide, member
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import places
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._schema import load
from support import bolt
from support.modules import Action
from support.web import answer, certificate, servers
from support.zot_binary import Serving, serving, write_htpasswd

from contract.ask import ask
from contract.conftest import spread
from contract.images import lay_down
from contract.test_authz import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.conftest import Binary

probe = Action(ActionModule)
RELEASE = Release("2.1.20")
USERS = ("alice", "ci")
POLICY: dict[str, Any] = {
    "groups": {"makers": {"users": ["ci"]}, "admins": {"users": ["alice"]}},
    "adminPolicy": {"users": ["root"], "actions": list(ACTIONS)},
    "repositories": {
        "**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]},
        "team/**": {
            "defaultPolicy": ["read"],
            "policies": [
                {"groups": ["makers"], "actions": ["read", "create"]},
                {"groups": ["admins"], "actions": ["read", "create", "update", "delete"]},
            ],
        },
        "secret/*": {"policies": [{"users": ["alice"], "actions": ["read"]}]},
    },
}


def configuration(folder: Path, control: dict[str, Any] | None, users: tuple[str, ...] = (*USERS, "root"), **more: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    passwords = {user: f"word of {user}" for user in users}
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", passwords))}, "apikey": True}
    http = {"auth": auth, **({"accessControl": control} if control else {})}
    return {"http": http, "storage": {"gc": False, "rootDirectory": str(folder / "registry")}, "log": {"level": "error"}, **more}


def logins(*users: str) -> list[dict[str, str]]:
    return [{"name": user, "password": f"word of {user}"} for user in users]


def probed(running: Serving, users: tuple[str, ...] = USERS, **options: Any) -> dict[str, Any]:
    given = {} if "document" in options else {"config_path": str(running.config_path)}
    return probe(**{**given, "release": "2.1.20", "identities": logins(*users), **options})


def repositories(control: dict[str, Any]) -> list[str]:
    return [where.witness for where in places(load({"http": {"accessControl": control}}, RELEASE, "policy"))]


def state(*roots: Path) -> dict[str, str]:
    """Every folder, and every file by what is in it."""
    found = [path for root in roots for path in (root, *root.rglob("*")) if path.exists()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder" for path in found}


def settled(*roots: Path) -> dict[str, str]:
    """Once zot has done what it does by itself after a start."""
    time.sleep(1)
    found = state(*roots)
    while (now := state(*roots)) != found:
        found = now
        time.sleep(0.5)
    return found


# ---- no trace


def test_nothing_is_written_but_what_each_login_writes(zot: Binary, tmp_path: Path) -> None:
    """A password lets zot write the user's groups anew to its database, a key when it was last used, as every pull does: no client can
    ask without. The file differs then, as each transaction leaves its number; what it says is the same, and no other file is touched."""
    config = configuration(tmp_path, POLICY)
    config["log"]["audit"] = str(tmp_path / "audit.log")
    for name in ("team/app", "other"):
        lay_down(tmp_path / "registry", name, ["v1", "latest"])
    meta = tmp_path / "registry/meta.db"
    with serving(zot.path, config, tmp_path) as running:
        looked = (tmp_path / "registry", tmp_path / "audit.log")
        before = settled(*looked)
        assert probed(running, (), repositories=["team/app", "absent/app"])["asked"] == 16
        assert state(*looked) == before, "anonymous leave nothing"
        made = ask(running.url, "POST", "/zot/auth/apikey", "ci:word of ci", b'{"label": "probe"}', {"Content-Type": "application/json"})
        for user in (*USERS, "root"):
            ask(running.url, "GET", "/v2/", f"{user}:word of {user}")
        before, said = state(*looked), said_by(meta)
        assert bool(said) == zot.real
        result = probed(running, identities=logins("alice", "ci", "root"), repositories=["team/app", "absent/app"])
        assert (result["asked"], result["wrong"], result["refused"]) == (68, [], [])
        after = state(*looked)
        assert [Path(path).name for path in after if after[path] != before.get(path)] in ([], ["meta.db"])
        assert set(after) == set(before)
        assert said_by(meta) == said
        probed(running, identities=[{"name": "ci", "api_key": made.json["apiKey"]}], repositories=["team/app"])
        assert differing(said, said_by(meta)) == ({b"UserData"} if zot.real else set())
        assert [path for path, found in state(*looked).items() if found != after.get(path) and not path.endswith("meta.db")] == []
        assert ask(running.url, "GET", "/v2/_catalog", "root:word of root").json == {"repositories": ["other", "team/app"]}


def said_by(meta: Path) -> dict[bytes, Any]:
    """Empty where a stand-in has no such database."""
    return bolt.content(meta) if meta.exists() and meta.read_bytes()[16:20] == b"\xed\xda\x0c\xed" else {}


def differing(one: dict[bytes, Any], other: dict[bytes, Any]) -> set[bytes]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def test_what_lies_at_the_limit_of_repositories_is_told_from_what_is_denied(zot: Binary, tmp_path: Path) -> None:
    if not zot.real:
        pytest.skip("the stand-in has no such limit")
    lay_down(tmp_path / "registry", "team/app", ["v1"])
    config = configuration(tmp_path, POLICY)
    config["storage"]["maxRepos"] = 1
    with serving(zot.path, config, tmp_path) as running:
        result = probed(running)
        assert (result["failed"], result["wrong"], result["untold"]) == (False, [], [])


@pytest.mark.parametrize("content", [[{"prefix": "**", "destination": "/docker.io"}], []])
def test_the_upstream_is_never_asked(zot: Binary, tmp_path: Path, content: list[dict[str, str]]) -> None:
    with servers() as start:
        upstream = start(answer("404 Not Found", b"{}", "Content-Type: application/json"))
        registry = {"urls": [upstream.url], "onDemand": True, "tlsVerify": False, **({"content": content} if content else {})}
        config = configuration(tmp_path, POLICY, extensions={"sync": {"registries": [registry]}})
        for name in ("docker.io/library/nginx", "team/app"):
            lay_down(tmp_path / "registry", name, ["v1"])
        with serving(zot.path, config, tmp_path) as running:
            result = probed(running, repositories=["docker.io/library/nginx", "docker.io/library/absent"])
            assert (result["failed"], result["wrong"]) == (False, [])
            assert {"allowed", "denied"} == {row["answered"] for row in result["answers"] if row["action"] == "update"}
            assert upstream.asked == []
            ask(running.url, "GET", "/v2/docker.io/library/absent/manifests/v1")
            assert upstream.asked, "it would have been seen"


# ---- true


def test_random_policies_are_answered_as_declared(zot: Binary, tmp_path: Path, report: Callable[[str], None]) -> None:
    rows = spread(rows_of("2.1.20"), 5)
    asked = unsure = 0
    for index, row in enumerate(rows):
        folder, names = tmp_path / str(index), sorted({repository for _, repository, _ in row["answers"]})
        config = configuration(folder, row["accessControl"], tuple(row["users"]))
        for name in names:
            lay_down(folder / "registry", name, ["v1"])
        with serving(zot.path, config, folder) as running:
            result = probed(running, tuple(row["users"]), repositories=names)
        assert not result["failed"], f"{row['policy_id']}: {result['msg']}"
        assert (result["wrong"], result["untold"], result["refused"]) == ([], [], []), row["policy_id"]
        asked, unsure = asked + result["asked"], unsure + len(result["unsure"])
    report(f"probe: {asked} answers of {zot.path} under {len(rows)} random policies, none wrong, {unsure} not foretold")


def paths_of_lists(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where lists of names or actions stand."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield (*path, key)
        yield from paths_of_lists(value, (*path, key))


def with_value(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """POLICY with another value there."""
    made = copy.deepcopy(POLICY)
    place: Any = made
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return made


def changed_lists() -> Iterator[tuple[str, dict[str, Any]]]:
    """One action, group or user taken away, added or exchanged."""
    known = {"groups": ("makers", "admins"), "users": USERS}
    for path in paths_of_lists(POLICY):
        here: Any = functools.reduce(lambda place, part: place[part], path, POLICY)
        every, name = known.get(path[-1], ACTIONS), ".".join(map(str, path))
        for item in every:
            rest = [other for other in here if other != item]
            if item in here:
                yield f"{name} without {item}", with_value(path, rest)
                yield from ((f"{name}: {other} for {item}", with_value(path, [*rest, other])) for other in every if other not in here)
            else:
                yield f"{name} with {item}", with_value(path, [*here, item])


def changed_patterns() -> Iterator[tuple[str, dict[str, Any]]]:
    entries = POLICY["repositories"]
    for pattern, entry in entries.items():
        rest = {key: value for key, value in entries.items() if key != pattern}
        yield f"without {pattern}", with_value(("repositories",), rest)
        for other in ("team/*", "secret/**", "other/**", "*"):
            yield f"{other} for {pattern}", with_value(("repositories",), {**rest, other: entry})
    for pattern in ("team/*", "secret/**", "**/**", "*/x"):
        yield f"with {pattern}", with_value(("repositories", pattern), {"policies": [{"users": ["ci"], "actions": list(ACTIONS)}]})


def differences(served: dict[str, Any]) -> tuple[set[tuple[str, str, str]], bool]:
    """Who, where and what is decided otherwise than by POLICY; and whether zot decides anything by chance."""
    documents = [load({"http": {"auth": {"htpasswd": {"path": "x"}}, "accessControl": it}}, RELEASE, "it") for it in (POLICY, served)]
    found, certain = set(), True
    for who in (None, *USERS):
        for repository in repositories(POLICY):
            for action in ACTIONS:
                decisions = []
                for document in documents:
                    asker = Asker(member(control_of(document), who) if who else ANONYMOUS)
                    decisions.append(decide(document, asker.identity, action, repository, "v1", RELEASE.number))
                certain = certain and all(decision.certain for decision in decisions)
                if decisions[0].allowed != decisions[1].allowed:
                    found.add((who or "anonymous", repository, action))
    return found, certain


def test_every_change_of_the_served_policy_is_caught(zot: Binary, tmp_path: Path, report: Callable[[str], None]) -> None:
    names = repositories(POLICY)
    for name in names:
        lay_down(tmp_path / "registry", name, ["v1"])
    cases = [(name, policy, *differences(policy)) for name, policy in (*changed_lists(), *changed_patterns())]
    telling = [(name, policy, different) for name, policy, different, certain in cases if different and certain]
    taken = spread(telling, 12)
    asked = 0
    for name, policy, different in taken:
        declared, served = configuration(tmp_path, POLICY), configuration(tmp_path, policy)
        with serving(zot.path, served, tmp_path) as running:
            declared["http"].update({key: running.config["http"][key] for key in ("address", "port")})
            result = probed(running, (*USERS, "root"), document=declared)
        asked += result["asked"]
        wrong = {(row["who"], row["repository"], row["action"]) for row in result["wrong"]}
        assert (wrong, result["failed"]) == (different, True), name
    report(
        f"probe: {len(taken)} of {len(telling)} changed policies caught by {zot.path} with exactly their differences, {asked} answers"
        f" ({len(cases)} changes, {sum(not different for _, _, different, _ in cases)} decide nothing otherwise)"
    )


def test_without_rules_only_those_who_log_in_may_do_anything(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, configuration(tmp_path, None), tmp_path) as running:
        result = probed(running, ("ci",))
        assert {(row["who"], row["answered"]) for row in result["answers"]} == {("anonymous", "denied"), ("ci", "allowed")}
        assert result["wrong"] == []
    nameless = {"repositories": {"**": {"policies": [{"users": ["", "ci"], "actions": ["read"]}]}}}
    with serving(zot.path, configuration(tmp_path, nameless), tmp_path) as running:
        assert probed(running, ("ci",))["wrong"] == []
    with serving(zot.path, {"storage": {"gc": False}}, tmp_path) as running:
        assert {row["answered"] for row in probed(running, ())["answers"]} == {"allowed"}


# ---- logins


def test_a_wrong_password_is_told_once_and_the_others_are_asked(zot: Binary, tmp_path: Path) -> None:
    with serving(zot.path, configuration(tmp_path, POLICY), tmp_path) as running:
        identities = [{"name": "ci", "password": "canary-1"}, {"name": "nobody", "password": "canary-2"}, *logins("alice")]
        result = probed(running, identities=identities)
        assert (result["failed"], result["refused"], result["wrong"]) == (True, ["ci", "nobody"], [])
        assert [line for line in result["msg"].splitlines() if line.startswith("- ")] == [
            f"- the password of {name} is refused: it is another, or there is no such user" for name in ("ci", "nobody")
        ]
        assert result["asked"] == 2 * 9
        assert "canary" not in str(result) + str([call["answer"] for call in probe.ran])


def test_the_groups_of_an_api_key_are_those_of_the_last_login(zot: Binary, tmp_path: Path) -> None:
    config = configuration(tmp_path, POLICY)
    with serving(zot.path, config, tmp_path) as running:
        made = ask(running.url, "POST", "/zot/auth/apikey", "ci:word of ci", b'{"label": "probe"}', {"Content-Type": "application/json"})
    identities = [{"name": "ci", "api_key": made.json["apiKey"]}]
    config["http"]["accessControl"] = {**POLICY, "groups": {**POLICY["groups"], "makers": {"users": []}, "admins": {"users": ["ci"]}}}
    with serving(zot.path, config, tmp_path) as running:
        result = probed(running, identities=identities)
        assert not result["failed"]
        assert {(row["who"], row["severity"], row["action"]) for row in result["wrong"]} == {("ci (API key)", "warning", "delete")}
        assert "groups of its owner's last login" in result["warnings"][0]
        assert probed(running, ("ci",))["wrong"] == []
        assert probed(running, identities=identities)["wrong"] == [], "that was a login"
        refused = probed(running, identities=[{"name": "alice", "api_key": made.json["apiKey"]}])
        assert "the API key of alice is refused: expired, revoked, or of another name" in refused["msg"]


def test_zot_delays_denials_and_not_the_probe(zot: Binary, tmp_path: Path) -> None:
    config = configuration(tmp_path, POLICY)
    config["http"]["auth"]["failDelay"] = 1
    with serving(zot.path, config, tmp_path) as running:
        assert probed(running)["wrong"] == []


def test_tls(zot: Binary, tmp_path: Path) -> None:
    config = configuration(tmp_path, POLICY)
    pem = str(certificate(tmp_path / "tls.pem", "registry.example.net"))
    config["http"]["tls"] = {"cert": pem, "key": pem}
    with serving(zot.path, config, tmp_path) as running:
        assert probed(running, wait_timeout=20)["wrong"] == []
        refused = probed(running, url=running.url)
        assert refused["msg"].startswith(f"{running.url}: its certificate is not trusted (self-signed certificate)"), refused["msg"]
        plain = running.url.replace("https", "http")
        if zot.real:
            assert probed(running, url=plain)["msg"] == f"{plain} speaks TLS: the address begins with https; nothing was asked"


def test_a_condition_is_asked_and_reported(zot: Binary, tmp_path: Path) -> None:
    if not zot.real:
        pytest.skip("the stand-in does not evaluate conditions")
    policy = copy.deepcopy(POLICY)
    policy["repositories"]["secret/*"]["policies"][0]["conditions"] = [{"expression": "req.userAgent.contains('nobody has this')"}]
    with serving(zot.path, configuration(tmp_path, policy), tmp_path) as running:
        result = probed(running)
        assert (result["failed"], result["wrong"]) == (False, [])
        assert [(row["who"], row["repository"], row["action"], row["answered"]) for row in result["unsure"]] == [
            ("alice", "secret/x", "read", "denied")
        ]


def test_the_result_is_plain_data(standin: Binary, tmp_path: Path) -> None:
    with serving(standin.path, configuration(tmp_path, POLICY), tmp_path) as running:
        assert json.loads(json.dumps(probed(running)))["changed"] is False
