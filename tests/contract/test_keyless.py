# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that push without a key: `http.auth.bearer.oidc` of a real zot, with tokens of a mock provider that look like Forgejo's.

The configuration is made by the collection, from the variables of docs/ci-pushes.md. The stand-in knows no bearer tokens.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import Judgement, judge
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import build
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from support.modules import program
from support.oci import make_image
from support.oidc import Provider, create_api_key, mock_provider
from support.waiting import until
from support.web import Server, answer, servers
from support.workflow import Done, Runner, example
from support.zot_binary import Serving, free_port, release_of, serving, write_htpasswd

from contract.ask import ask
from contract.images import NO_UPLOAD

pytestmark = pytest.mark.real_zot

PAGE = Path(__file__).parents[2] / "docs" / "ci-pushes.md"
AUDIENCE = "registry.ops.eblu.me"
ISSUER, EXTERNAL = "https://forge.eblu.me/api/actions", "https://registry.ops.eblu.me"
ASKING = "canary-of-the-request"
SUBJECT = "repo:eblume/blumeops:ref:refs/heads/main"


def claims(**more: object) -> dict[str, object]:
    return {"repository": "eblume/blumeops", "repository_owner": "eblume", "ref": "refs/heads/main", **more}


JOBS = {
    SUBJECT: claims(),
    "repo:eblume/blumeops:pull_request": claims(ref="refs/pull/7/head"),
    "repo:eblume/other:ref:refs/heads/main": claims(repository="eblume/other"),
    "repo:mallory/blumeops:ref:refs/heads/main": claims(repository="mallory/blumeops", repository_owner="mallory"),
}


def variables() -> dict[str, t.Any]:
    """Those of the page."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (given,) = (yaml.safe_load(block) for block in blocks if "bearer:" in block)
    return given


def configured(issuer: str, folder: Path, external: str = EXTERNAL, port: int = 5050) -> tuple[dict[str, t.Any], Judgement]:
    """What the role would write, and what the judge says to it."""
    text = json.dumps(variables()).replace(ISSUER, issuer).replace(EXTERNAL, external).replace(AUDIENCE, urlsplit(external).netloc)
    given = {name.removeprefix("zot_").replace("config_overrides", "overrides"): value for name, value in json.loads(text).items()}
    checked = ArgumentSpecValidator(SETTINGS).validate({"data_dir": str(folder), "port": port, **given})
    assert not checked.error_messages
    secrets = {"oidc_client_secret": "", "upstream_passwords": {}, "local_passwords": {}}
    document = build(checked.validated_parameters, secrets, Release("2.1.20"), str(folder)).document
    return document, judge(document, Release("2.1.20"))


@dataclass
class Keyless:
    """A registry that takes tokens, and the forge that makes them."""

    zot: Serving
    forge: Provider
    folder: Path

    @property
    def host(self) -> str:
        return urlsplit(self.zot.url).netloc

    def token(self, subject: str = SUBJECT, audience: str = "") -> str:
        return self.forge.id_token(subject, audience or self.host)

    def may(self, token: str, repository: str = "blumeops/hello") -> dict[str, int]:
        """Status of the traceless questions: 404 and 415 are a yes."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        uploads, absent = (f"/v2/{repository}/{part}" for part in (f"blobs/uploads/{NO_UPLOAD}", "manifests/absent"))
        return {
            "read": ask(self.zot.url, "GET", uploads, headers=headers).status,
            "create": ask(self.zot.url, "PUT", absent, body=b"", headers={**headers, "Content-Type": "text/plain"}).status,
            "delete": ask(self.zot.url, "DELETE", absent, headers=headers).status,
        }


@pytest.fixture(scope="module")
def keyless(real_zot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyless]:
    folder, port = tmp_path_factory.mktemp("keyless"), free_port()
    if not Release(release_of(real_zot)).takes("http.auth.bearer.upstreamTokenEndpoint.realm"):
        pytest.skip("before 2.1.19 zot has no place where a client gets its token by a login")
    with mock_provider(JOBS) as forge:
        document, _judged = configured(forge.issuer, folder / "data", f"http://127.0.0.1:{port}", port)
        with serving(real_zot, document, folder) as zot:
            yield Keyless(zot, forge, folder)


REFUSED = {"read": 401, "create": 401, "delete": 401}


def test_the_job_of_the_right_branch_may_push_and_nothing_else(keyless: Keyless) -> None:
    assert keyless.may(keyless.token()) == {"read": 404, "create": 415, "delete": 403}
    assert keyless.may(keyless.token(), "elsewhere/hello") == {"read": 404, "create": 403, "delete": 403}


@pytest.mark.parametrize("subject", sorted(set(JOBS) - {SUBJECT}))
def test_other_jobs_of_the_forge_may_read(keyless: Keyless, subject: str) -> None:
    assert keyless.may(keyless.token(subject)) == {"read": 404, "create": 403, "delete": 403}


def test_a_token_for_somebody_else_is_refused(keyless: Keyless) -> None:
    assert keyless.may(keyless.token(audience="vault.example.org")) == REFUSED


def test_a_token_of_somebody_else_is_refused(keyless: Keyless) -> None:
    with mock_provider(JOBS) as other:
        assert keyless.may(other.id_token(SUBJECT, keyless.host)) == REFUSED


def test_a_token_that_was_changed_is_refused(keyless: Keyless) -> None:
    head, body, signature = keyless.token("repo:eblume/other:ref:refs/heads/main").split(".")
    told = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**told, "repository": "eblume/blumeops"}).encode()).decode().rstrip("=")
    assert keyless.may(f"{head}.{forged}.{signature}") == REFUSED
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert keyless.may(f"{unsigned}.{forged}.") == REFUSED


def test_a_token_that_expired_is_refused(real_zot: Path, tmp_path: Path) -> None:
    port = free_port()
    with mock_provider(JOBS, token_seconds=3) as forge:
        document, _judged = configured(forge.issuer, tmp_path / "data", f"http://127.0.0.1:{port}", port)
        with serving(real_zot, document, tmp_path) as zot:
            short = Keyless(zot, forge, tmp_path)
            token = short.token()
            assert short.may(token)["create"] == 415
            assert until(lambda: short.may(token) == REFUSED)


def test_an_issuer_that_is_not_there_shows_only_when_a_token_comes(keyless: Keyless, real_zot: Path, tmp_path: Path) -> None:
    document, _judged = configured(f"http://127.0.0.1:{free_port()}", tmp_path / "data", port=free_port())
    with serving(real_zot, document, tmp_path) as zot:
        assert ask(zot.url, "GET", "/readyz").status == 200
        assert Keyless(zot, keyless.forge, tmp_path).may(keyless.token()) == REFUSED


class Job:
    """push-keyless.yaml on a host whose forge gives its jobs this token."""

    def __init__(self, keyless: Keyless, folder: Path, start: Callable[..., Server]) -> None:
        if not shutil.which("skopeo") or not shutil.which("curl"):
            pytest.skip("not installed: skopeo or curl (.ci/install-debian)")
        self.keyless, self.start = keyless, start
        self.runner = Runner(folder / "host", os.environ["PATH"])
        self.runner.use(keyless.host)
        self.image = make_image(folder / "image")
        program(self.runner.work / "build", f'rm -rf "$1"; cp -R {self.image.layout} "$1"')
        self.asked: list[str] = []

    def __call__(self, token: str, tag: str) -> Done:
        forge = self.start(answer("200 OK", json.dumps({"value": token}).encode(), "Content-Type: application/json"))
        self.runner.environment |= {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{forge.url}/idtoken?placeholder=true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": ASKING,
        }
        image = {"REGISTRY": self.keyless.host, "IMAGE": f"{self.keyless.host}/blumeops/hello:{tag}"}
        done = self.runner(example("push-keyless.yaml"), github={"sha": tag}, env=image)
        self.asked = forge.asked
        arguments = b"".join(seen.arguments for seen in self.runner.watch.seen)
        assert not [secret for secret in (token, ASKING) if secret.encode() in arguments]
        assert not list(self.runner.temporary.iterdir())
        return done


@pytest.fixture
def job(keyless: Keyless, tmp_path: Path) -> Iterator[Job]:
    with servers() as start:
        yield Job(keyless, tmp_path, start)


def test_a_job_pushes_with_the_token_of_its_forge_and_a_retry_is_content(keyless: Keyless, job: Job) -> None:
    """skopeo logs in with the token for a password, and zot sends it to its own endpoint for tokens."""
    first, second = (job(keyless.token(), "1") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.output + second.output
    assert f"is now {job.image.digest}" in first.output
    assert f"is there already, as {job.image.digest}" in second.output
    (asked,) = job.asked
    assert asked.startswith(f"GET /idtoken?placeholder=true&audience={keyless.host} ")
    assert f"\r\nauthorization: bearer {ASKING}\r\n".lower() in asked.lower()
    assert b"skopeo copy" in job.runner.watch.everything.replace(b"\0", b" ")


def test_a_job_of_another_repository_is_denied_and_one_with_another_audience_not_let_in(keyless: Keyless, job: Job) -> None:
    denied = job(keyless.token("repo:mallory/blumeops:ref:refs/heads/main"), "2")
    assert (denied.returncode != 0, "Login Succeeded" in denied.output, "denied" in denied.output) == (True, True, True)
    refused = job(keyless.token(audience="vault.example.org"), "2")
    assert (refused.returncode != 0, "Login Succeeded" in refused.output) == (True, False)


def test_a_forge_without_tokens_is_told(job: Job) -> None:
    done = job.runner(example("push-keyless.yaml"), github={"sha": "3"}, env={"REGISTRY": "registry.test"})
    assert (done.returncode, "Push" in done.ran) == (1, False)
    assert "This forge gives its jobs no tokens" in done.output


# --- what it costs


def test_nobody_else_gets_in_any_more(real_zot: Path, tmp_path: Path) -> None:
    """Passwords, API keys, and whoever is not logged in: the clients of a cache, for example."""
    port = free_port()
    with mock_provider(JOBS) as forge:
        document, _judged = configured(forge.issuer, tmp_path / "data", f"http://127.0.0.1:{port}", port)
        bearer = document["http"]["auth"].pop("bearer")
        control = document["http"]["accessControl"]["repositories"]
        assert control
        for policy in control.values():
            policy["anonymousPolicy"] = ["read"]
        document["http"]["auth"] = {"htpasswd": {"path": str(write_htpasswd(tmp_path / "htpasswd", {"zot-ci": "pw"}))}, "apikey": True}
        with serving(real_zot, document, tmp_path) as zot:
            key = create_api_key(("zot-ci", "pw"), zot.url, "ci")
            logins = [None, "zot-ci:pw", f"zot-ci:{key}"]
            assert [ask(zot.url, "GET", "/v2/_catalog", login).status for login in logins] == [200, 200, 200]
        document["http"]["auth"]["bearer"] = bearer
        with serving(real_zot, document, tmp_path) as zot:
            assert [ask(zot.url, "GET", "/v2/_catalog", login).status for login in logins] == [401, 401, 401]
            assert Keyless(zot, forge, tmp_path).may("") == REFUSED
            assert ask(zot.url, "GET", "/readyz").status == 200
        assert {"ZOT364", "ZOT372"} <= codes(judge(document, Release("2.1.20")))


def codes(judged: Judgement) -> set[str]:
    return {finding.code for finding in judged.findings}


def test_the_role_writes_it_and_the_judge_is_content(tmp_path: Path) -> None:
    document, judged = configured(ISSUER, tmp_path)
    assert document["http"]["auth"] == variables()["zot_config_overrides"]["http"]["auth"]
    assert judged.of("error", "warning") == []
    older = judge(document, Release("2.1.13"))
    assert any("bearer" in finding.path for finding in older.refused)
