# SPDX-License-Identifier: GPL-3.0-or-later
"""What `verify` says: a table of small configurations, and recorded verdicts on thousands of larger ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contract.conftest import EVERYTHING, spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from contract.conftest import Binary

RECORDED = Path(__file__).parents[3] / "shared" / "vectors" / "verify"
FLOOR = 0.99  # of the recorded verdicts, per release
ANYONE = {"repositories": {"**": {"anonymousPolicy": ["read"]}}}
USERS = {"repositories": {"**": {"defaultPolicy": ["read"]}}}
LOCAL = {"storage": {"rootDirectory": "/tmp/zot-contract"}}


def http(**settings: Any) -> dict[str, Any]:
    return {**LOCAL, "http": settings}


def sync(**registry: Any) -> dict[str, Any]:
    return {**LOCAL, "extensions": {"sync": {"registries": [{"urls": ["http://127.0.0.1:1"], "onDemand": True, **registry}]}}}


def storage(**settings: Any) -> dict[str, Any]:
    return {"storage": {"rootDirectory": "/tmp/zot-contract", **settings}}


# name: (configuration, what the refusal says or None where it is accepted)
CASES: dict[str, tuple[Any, str | None]] = {
    "the least": (LOCAL, None),
    "nothing": ({}, "absence of any key:value pair"),
    "no JSON": ("{bad", "While parsing config"),
    "trailing comma": ('{"storage": {"rootDirectory": "/tmp/x"},}', "While parsing config"),
    "an array": ("[]", ""),
    "unknown key": ({**LOCAL, "nope": {"a": 1}}, "'config.Config' has invalid keys: nope"),
    "unknown key that is empty": ({**LOCAL, "nope": {}, "http": {"other": None}}, None),
    "unknown keys of two places": (http(port="1", foo=1, bar=2, auth={"x": 1}), "'HTTP' has invalid keys: bar, foo"),
    "unknown key in a list": (http(accessControl={"repositories": {"**": {"policies": [{"user": ["a"]}]}}}), "invalid keys: user"),
    "any case will do": ({"STORAGE": {"ROOTDirectory": "/tmp/x", "GC": False}}, None),
    "port as number": (http(port=5000), None),
    "port too high": (http(port="70000"), "invalid port 70000"),
    "port with fraction": (http(port=5000.5), "invalid port 5000.5"),
    "port as word": (http(port="http"), "invalid port http"),
    "duration in days": (storage(gcDelay="1d"), "time: unknown unit"),
    "duration as text digits": (storage(gcDelay="30"), "time: missing unit"),
    "duration as number": (storage(gcDelay=3600), None),
    "negative delay": (storage(gcDelay="-1h"), "invalid garbage-collect delay specified -1h0m0s"),
    "bool as text": (storage(gc="false"), None),
    "bool as word": (storage(gc="yes"), "strconv.ParseBool"),
    "a struct that is text": ({**LOCAL, "http": "x"}, "expected a map or struct"),
    "log level": ({**LOCAL, "log": {"level": "loud"}}, "invalid log level 'loud'"),
    "log level in capitals": ({**LOCAL, "log": {"level": "WARN"}}, None),
    "access for anyone": (http(accessControl=ANYONE), None),
    "access for users nobody can be": (http(accessControl=USERS), "access control config requires one of"),
    "access for users with htpasswd": (http(accessControl=USERS, auth={"htpasswd": {"path": "/absent"}}), None),
    "access for users with API keys": (http(accessControl=USERS, auth={"apikey": True}), None),
    "access that drops to nothing": (http(accessControl={"repositories": {"**": {}}, "adminPolicy": None}), None),
    "a pattern left open": (http(accessControl={"repositories": {"a[": {"anonymousPolicy": ["read"]}}}), "authorization pattern"),
    "an unknown provider": (http(auth={"openid": {"providers": {"dex": {"clientid": "x"}}}}), "unsupported openid/oauth2 provider"),
    "a provider without issuer": (
        http(auth={"openid": {"providers": {"oidc": {"clientid": "x", "scopes": ["openid"]}}}}),
        "requires clientid, issuer and scopes",
    ),
    "credentials in no file": (
        http(auth={"openid": {"providers": {"oidc": {"credentialsFile": "/absent.json", "issuer": "http://x", "scopes": ["a"]}}}}),
        "/absent.json",
    ),
    "session keys in no file": (http(auth={"sessionKeysFile": "/absent.json"}), "/absent.json"),
    "ui without search": ({**LOCAL, "extensions": {"ui": {"enable": True}}}, "search extension must be enabled"),
    "ui and search, both empty": ({**LOCAL, "extensions": {"ui": {}, "search": {}}}, None),
    "ui beside an empty search": (
        {**LOCAL, "extensions": {"search": {}, "ui": {"enable": True}}},
        "search extension must be enabled",
    ),
    "retries without delay": (sync(maxRetries=3), "retryDelay is required when using maxRetries"),
    "retries with delay": (sync(maxRetries=3, retryDelay="1s"), None),
    "digest kept without compat": (sync(preserveDigest=True), "PreserveDigest"),
    "strip without wildcard": (
        sync(content=[{"prefix": "a", "destination": "/", "stripPrefix": True}]),
        "stripPrefix true and destination '/'",
    ),
    "strip with two stars alone": (
        sync(content=[{"prefix": "**", "destination": "/", "stripPrefix": True}]),
        "stripPrefix true and destination '/'",
    ),
    "a bad prefix": (sync(content=[{"prefix": "["}]), "sync prefix could not be compiled"),
    "a bad regex": (sync(content=[{"prefix": "**", "tags": {"regex": "(?=x)"}}]), "sync content regex could not be compiled"),
    "retention regex": (
        storage(retention={"policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["v(\\d+"]}]}]}),
        "retention tag regex could not be compiled",
    ),
    "retention glob": (storage(retention={"policies": [{"repositories": ["{a"]}]}), "retention repo glob pattern"),
    "subpath in the root": (storage(subPaths={"/a": {"rootDirectory": "/tmp/zot-contract/a"}}), "cannot be inside"),
    "subpath beside the root": (storage(subPaths={"/a": {"rootDirectory": "/tmp/zot-contract-a"}}), None),
    "metrics path with a slash too many": (
        {**LOCAL, "extensions": {"metrics": {"prometheus": {"path": "/metrics/"}}}},
        "invalid server config",
    ),
    "a cluster of nobody": ({**LOCAL, "cluster": {"hashKey": "0123456789abcdef"}}, "cannot have 0 members"),
    "an unknown sink": ({**LOCAL, "extensions": {"events": {"sinks": [{"type": "smtp"}]}}}, "event sink is not supported"),
}


@pytest.mark.parametrize("name", CASES)
def test_verify(zot: Binary, name: str, tmp_path: Path) -> None:
    config, refusal = CASES[name]
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    answer = subprocess.run([str(zot.path), "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == (0 if refusal is None else 1), answer
    if refusal is None:
        assert answer.stderr == ""
        assert "config file is valid" in answer.stdout
    else:
        assert answer.stderr.startswith("Error: "), answer
        assert refusal in answer.stderr, answer


NEWER = {
    "metrics.anonymousPolicy": ("2.1.18", http(accessControl={**ANYONE, "metrics": {"anonymousPolicy": ["read"]}})),
    "readTimeout": ("2.1.17", http(readTimeout="5m")),
    "conditions": (
        "2.1.17",
        http(auth={"apikey": True}, accessControl={"adminPolicy": {"users": ["a"], "conditions": [{"expression": "true"}]}}),
    ),
    "fastRestart": ("2.1.18", storage(fastRestart=True)),
    "gcTimeWindow": ("2.1.19", storage(gcTimeWindow="1:00-2:00")),
    "maxRepos": ("2.1.16", storage(maxRepos=3)),
    "maxRetryDelay": ("2.1.19", sync(retryDelay="1s", maxRetryDelay="2s")),
    "secureSession": ("2.1.11", http(auth={"secureSession": True, "apikey": True})),
    "mtls": ("2.1.12", http(auth={"mtls": {"identityAttributes": ["CN"]}}, tls={"cert": "a", "key": "b", "cacert": "c"})),
    "credentialHelper": ("2.1.3", sync(credentialHelper="ecr")),
    "sessionKeysFile": ("2.1.2", http(auth={"sessionKeysFile": ""})),
}
RELEASES = ["2.1.1", "2.1.2", "2.1.10", "2.1.11", "2.1.12", "2.1.15", "2.1.16", "2.1.17", "2.1.18", "2.1.19", "2.1.20"]


@pytest.mark.parametrize("name", NEWER)
def test_a_key_is_refused_by_releases_older_than_it(name: str, standin_module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    born, config = NEWER[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    verdicts = {}
    for release in RELEASES:
        module = standin_module(release)
        try:
            module.load_config(str(path))
            verdicts[release] = True
        except module.BadConfigError as error:
            assert "invalid keys" in str(error)
            verdicts[release] = False
    assert verdicts == {release: RELEASES.index(release) >= _first(born) for release in RELEASES}


def _first(born: str) -> int:
    return next(index for index, release in enumerate(RELEASES) if _numbers(release) >= _numbers(born))


def _numbers(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


def test_keys_that_differ_in_case_collapse_and_empties_vanish(standin_module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    control = '"accessControl": {"repositories": {"A/**": {"anonymousPolicy": []}, "b": {}, "C": {"defaultPolicy": null}}}'
    path.write_text('{"storage": {"rootDirectory": "/low", "rootdirectory": "/lower"}, "http": {' + control + "}}", encoding="utf-8")
    module = standin_module("2.1.20")
    with pytest.raises(module.BadConfigError, match="requires one of"):
        module.load_config(str(path))  # the empty list stays, and gives nobody anything
    document = module.Decoder().decode(module._key_tree(), module.pruned(module.lowered(json.loads(path.read_text()))), "")
    assert document["storage"]["rootdirectory"] == "/low"
    assert document["http"]["accesscontrol"] == {"repositories": {"a/**": {"anonymouspolicy": []}}}


def verdict(module: ModuleType, path: Path) -> bool:
    try:
        module.load_config(str(path))
    except (module.BadConfigError, module.PanicError):
        return False
    return True


@pytest.mark.parametrize("release", ["2.1.2", "2.1.10", "2.1.14", "2.1.15", "2.1.17", "2.1.18", "2.1.19", "2.1.20"])
def test_recorded_verdicts(
    release: str,
    standin_module: Callable[[str], ModuleType],
    tmp_path: Path,
    report: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts = RECORDED / f"verdicts-{release}.jsonl"
    if not verdicts.exists():
        pytest.skip("no ../shared/vectors/verify beside this checkout")
    monkeypatch.chdir(tmp_path)  # some of the configurations name a log file
    rows = [json.loads(line) for line in verdicts.read_text(encoding="utf-8").splitlines()[1:]]
    taken = spread(rows, 260)
    wanted = {row["id"]: row["ok"] for row in taken}
    module, path, wrong = standin_module(release), tmp_path / "config.json", []
    with (RECORDED / "corpus.jsonl").open(encoding="utf-8") as corpus:
        for line in corpus:
            entry = json.loads(line)
            if entry["id"] in wanted:
                text = json.dumps(entry["config"]).replace("@FIXTURES@", str(RECORDED / "fixtures"))
                path.write_text(text.replace('"/tmp/zot.log"', json.dumps(str(tmp_path / "zot.log"))), encoding="utf-8")
                if verdict(module, path) != wanted[entry["id"]]:
                    wrong.append(entry["id"])
    share = 1 - len(wrong) / len(taken)
    more = "" if EVERYTHING or len(taken) == len(rows) else f" of {len(rows)} (ZOT_VECTORS=all takes every one)"
    report(f"verify {release}: the stand-in agrees on {share:.2%} of {len(taken)} recorded verdicts{more}")
    assert share >= FLOOR, wrong[:20]
