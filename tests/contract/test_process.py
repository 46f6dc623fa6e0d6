# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a program: commands, exit codes, signals, the log."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support import zot_binary
from support.waiting import until
from support.zot_binary import serving, standin_zot, write_htpasswd

from contract.ask import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from contract.conftest import Binary


def run(zot: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(zot), *arguments], capture_output=True, text=True, timeout=60, check=False)


def try_to_serve(zot: Path, config: dict[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    config = {"storage": {"rootDirectory": str(directory / "registry")}, **config}
    config["http"] = {"port": str(zot_binary.free_port()), **config.get("http", {})}
    path = directory / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return run(zot, "serve", str(path))


def test_version_names_the_commit(zot: Binary) -> None:
    answer = run(zot.path, "--version")
    assert answer.returncode == 0
    line = json.loads(answer.stdout)
    assert line["message"] == "version"
    assert line["commit"].lstrip("v").startswith(zot.release)
    assert zot_binary.is_standin(zot.path) is not zot.real


def test_it_says_how_it_is_used(zot: Binary) -> None:
    answer = run(zot.path)
    assert (answer.returncode, answer.stdout) == (0, "")
    assert answer.stderr.startswith("Usage:")
    answer = run(zot.path, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Usage:" in answer.stdout
    assert ("STAND-IN" in answer.stdout) is not zot.real


@pytest.mark.parametrize("arguments", [("bogus",), ("--bogus",), ("serve",), ("serve", "a", "b"), ("verify", "/absent.json")])
def test_wrong_use_ends_with_one(zot: Binary, arguments: tuple[str, ...]) -> None:
    answer = run(zot.path, *arguments)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: ")


def test_verify_of_nothing_says_nothing(zot: Binary) -> None:
    answer = run(zot.path, "verify")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_busy_port_ends_with_zero(zot: Binary, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = try_to_serve(zot.path, {"http": {"port": str(taken.getsockname()[1])}}, tmp_path)
    assert answer.returncode == 0
    assert "bind: address already in use" in answer.stdout


def test_a_foreign_address_ends_with_zero(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"http": {"address": "203.0.113.5"}}, tmp_path)
    assert answer.returncode == 0
    assert "failed to start controller, exiting" in answer.stdout


def test_a_missing_certificate_ends_with_zero(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"http": {"tls": {"cert": "/absent.pem", "key": "/absent.key"}}}, tmp_path)
    assert answer.returncode == 0
    assert "open /absent.pem: no such file or directory" in answer.stdout


def test_a_missing_htpasswd_ends_with_one(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"http": {"auth": {"htpasswd": {"path": "/absent"}}}}, tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: open /absent: no such file or directory")


def test_a_missing_htpasswd_was_a_panic_before_2_1_3(tmp_path: Path) -> None:
    answer = try_to_serve(standin_zot(tmp_path / "bin", "2.1.2"), {"http": {"auth": {"htpasswd": {"path": "/absent"}}}}, tmp_path)
    assert answer.returncode == 2


def test_an_invalid_configuration_ends_with_one(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"nope": {"a": 1}}, tmp_path)
    assert answer.returncode == 1
    assert "has invalid keys: nope" in answer.stderr


def test_no_root_directory_ends_with_one(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"storage": {"rootDirectory": ""}}, tmp_path)
    assert answer.returncode == 1
    assert "image store not found" in answer.stderr


def test_a_root_directory_below_a_file_panics(zot: Binary, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert try_to_serve(zot.path, {"storage": {"rootDirectory": str(tmp_path / "file" / "x")}}, tmp_path).returncode == 2


def test_a_log_file_that_cannot_be_opened_panics(zot: Binary, tmp_path: Path) -> None:
    config = {"log": {"output": str(tmp_path / "absent" / "zot.log")}}
    answer = try_to_serve(zot.path, config, tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.startswith("panic: open ")
    assert run(zot.path, "verify", str(tmp_path / "config.json")).returncode == 2


@pytest.fixture
def issuer() -> Iterator[Callable[[str], str]]:
    """A discovery document that names whatever issuer it is told to."""
    servers: list[http.server.HTTPServer] = []

    def start(named: str) -> str:
        class Discovery(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = named.replace("{url}", f"http://127.0.0.1:{self.server.server_address[1]}")
                ends = dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"), f"{url}/x")
                body = json.dumps({"issuer": url, **ends}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Nobody reads it."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Discovery)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def openid(issuer: str) -> dict[str, Any]:
    provider = {"clientid": "zot", "clientsecret": "s", "issuer": issuer, "scopes": ["openid"], "name": "the provider"}
    return {"auth": {"openid": {"providers": {"oidc": provider}}}}


def test_an_identity_provider_out_of_reach_panics(zot: Binary, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"http": openid(f"http://127.0.0.1:{zot_binary.free_port()}")}, tmp_path)
    assert answer.returncode == 2
    assert "Discovery has failed" in answer.stdout
    assert answer.stderr.startswith("panic: failed to initialize new relying party oidc")


@pytest.mark.parametrize(("named", "configured"), [("{url}/o/zot/", "/o/zot"), ("{url}/o/zot", "/o/zot/"), ("http://other", "")])
def test_an_issuer_of_another_name_panics(zot: Binary, issuer: Callable[[str], str], named: str, configured: str, tmp_path: Path) -> None:
    answer = try_to_serve(zot.path, {"http": openid(issuer(named) + configured)}, tmp_path)
    assert answer.returncode == 2
    assert "issuer does not match" in answer.stdout


def test_openid_brings_api_keys_and_is_shown_by_mgmt(zot: Binary, issuer: Callable[[str], str], tmp_path: Path) -> None:
    config = {"http": openid(issuer("{url}/o/zot/") + "/o/zot/"), "extensions": {"search": {"enable": True}}}
    with serving(zot.path, config, tmp_path) as running:
        shown = ask(running.url, "GET", "/v2/_zot/ext/mgmt").json["http"]["auth"]
        assert shown == {"openid": {"providers": {"oidc": {"name": "the provider"}}}, "apikey": True}
        assert ask(running.url, "GET", "/zot/auth/apikey").status == 401
        login = ask(running.url, "GET", "/zot/auth/login?provider=oidc")
        assert login.status == (302 if zot.real else 501)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_with_zero(zot: Binary, number: int, tmp_path: Path) -> None:
    with serving(zot.path, {}, tmp_path) as running:
        os.kill(running.process.pid, number)
        assert running.process.wait(15) == 0
        assert "received signal" in running.log


def test_two_cannot_share_a_root_directory(zot: Binary, tmp_path: Path) -> None:
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"ann": "pw"})
    shared = {"storage": {"rootDirectory": str(tmp_path / "registry")}, "http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}}
    (tmp_path / "second").mkdir()
    with serving(zot.path, shared, tmp_path):
        answer = try_to_serve(zot.path, shared, tmp_path / "second")
    assert answer.returncode == 1
    assert "boltdb file is already in use" in answer.stderr


def test_passwords_and_authorization_are_never_logged(zot: Binary, tmp_path: Path) -> None:
    htpasswd = write_htpasswd(tmp_path / "htpasswd", {"ann": "open-sesame"})
    log = tmp_path / "zot.log"
    config = {"http": {"auth": {"htpasswd": {"path": str(htpasswd)}}}, "log": {"output": str(log), "level": "debug"}}
    with serving(zot.path, config, tmp_path) as running:
        assert ask(running.url, "GET", "/v2/_catalog", "ann:open-sesame").status == 200
        assert ask(running.url, "GET", "/v2/_catalog", "ann:wrong-word").status == 401

        def statuses() -> list[int]:
            lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            return [line["statusCode"] for line in lines if line.get("path") == "/v2/_catalog"]

        assert until(lambda: statuses() == [200, 401])  # a line may come after its answer
        written = running.log
    for secret in ("open-sesame", "wrong-word", "YW5uO", "YW5uOm9wZW4tc2VzYW1l"):
        assert secret not in written
    assert log.stat().st_mode & 0o777 == 0o600


def test_some_things_are_said_on_stdout_even_with_a_log_file(zot: Binary, tmp_path: Path) -> None:
    """So that the log file alone does not tell why a registry is gone."""
    log = {"log": {"output": str(tmp_path / "zot.log")}}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = try_to_serve(zot.path, {**log, "http": {"port": str(taken.getsockname()[1])}}, tmp_path)
    assert "failed to start controller, exiting" in answer.stdout
    assert "failed to start controller" not in (tmp_path / "zot.log").read_text(encoding="utf-8")
    answer = try_to_serve(zot.path, {**log, "http": {"auth": {"htpasswd": {"path": "/absent"}}}}, tmp_path)
    assert "failed to init controller" in (tmp_path / "zot.log").read_text(encoding="utf-8")
    assert "failed to init controller" not in answer.stdout


def test_the_audit_log_has_what_was_changed(zot: Binary, tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    with serving(zot.path, {"log": {"audit": str(audit)}}, tmp_path) as running:
        ask(running.url, "POST", "/v2/app/blobs/uploads/")
        ask(running.url, "GET", "/v2/_catalog")
        ask(running.url, "DELETE", "/v2/app/manifests/absent")
    lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    assert [(line["action"], line["object"], line["status"]) for line in lines] == [("POST", "/v2/app/blobs/uploads/", 202)]


CONDITIONAL = {"users": ["a"], "conditions": [{"expression": "true"}]}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("bearer", {"http": {"auth": {"bearer": {"realm": "x", "service": "y", "cert": "/z"}}}}),
        ("LDAP", {"http": {"auth": {"ldap": {"address": "x", "userAttribute": "uid", "baseDN": "o=x"}}}}),
        ("clusters", {"cluster": {"members": ["127.0.0.1:1"], "hashKey": "0123456789abcdef"}}),
        ("remote storage", {"storage": {"rootDirectory": "/x", "dedupe": False, "storageDriver": {"name": "s3"}}}),
        ("conditions", {"http": {"auth": {"apikey": True}, "accessControl": {"adminPolicy": CONDITIONAL}}}),
    ],
)
def test_the_stand_in_refuses_what_it_cannot_do(standin: Binary, name: str, config: dict[str, Any], tmp_path: Path) -> None:
    answer = try_to_serve(standin.path, config, tmp_path)
    assert answer.returncode == 1
    assert "the stand-in cannot do" in answer.stderr
    assert name in answer.stderr


def test_the_stand_in_serves_loopback_only(standin: Binary, tmp_path: Path) -> None:
    with serving(standin.path, {"http": {"address": "0.0.0.0"}}, tmp_path) as running:
        listening = [line for line in running.log.splitlines() if '"the stand-in is serving"' in line]
        assert json.loads(listening[0])["address"] == "127.0.0.1"
        assert "serves loopback only" in running.log
