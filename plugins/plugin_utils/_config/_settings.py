# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: settings -> one zot document for one release, and the secret files it refers to.

No secret is ever in the document: it names files, and their content is kept apart.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.blumeops.zot.plugins.module_utils._document import merge_patch
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._files import HTPASSWD_FILE, OIDC_FILE, SESSION_FILE, UPSTREAMS_FILE
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._grants import compile_grants, parse_grants
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import find, text_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release

_UPSTREAM_URLS = {"docker.io": "https://registry-1.docker.io"}


@dataclass
class SecretFile:
    """A file beside the document. ``content`` is None when its secret was not given (check mode may go without)."""

    name: str
    missing: list[str] = field(default_factory=list)
    content: str | None = field(default=None, repr=False)


@dataclass
class Desired:
    """What the host is to have: the document, the secret files, and whether session keys are wanted."""

    document: dict[str, t.Any]
    files: list[SecretFile] = field(default_factory=list)
    session_keys: bool = False


def build(settings: dict[str, t.Any], secrets: dict[str, t.Any], release: Release, config_dir: str) -> Desired:
    """Settings (plain data, every option present) -> what the host is to have; raises ZotError with the path of what is wrong."""
    files = [made for made in (_oidc_file(settings, secrets), _upstreams_file(settings, secrets)) if made]
    with_auth = bool(settings["oidc"] or settings["local_users"])
    session_keys = with_auth and release.takes("http.auth.sessionKeysFile")
    document: dict[str, t.Any] = {
        "distSpecVersion": "1.1.1",
        "storage": _storage(settings, release),
        "http": _http(settings, release, config_dir, session_keys),
        "log": {"level": settings["log_level"]},
        "extensions": _extensions(settings, release, config_dir, any(made.name == UPSTREAMS_FILE for made in files)),
    }
    overrides = settings["overrides"]
    given_tree = bool(overrides.get("http", {}).get("accessControl")) if isinstance(overrides.get("http", {}), dict) else False
    if given_tree and settings["grants"]:
        raise ZotError("both zot_grants and http.accessControl in the overrides say who may do what; keep one of them")
    if not given_tree:
        document["http"]["accessControl"] = _access_control(settings, release)
    return Desired(merge_patch(document, overrides), files, session_keys)


def require_text(passwords: dict[str, t.Any], option: str) -> None:
    """YAML reads 0123 as another number: only what is quoted is what was meant."""
    for name, password in passwords.items():
        if password is not None and not isinstance(password, str):
            raise ZotError(f"zot_{option}['{name}']: a {type(password).__name__}, not text; quote it")


def _storage(settings: dict[str, t.Any], release: Release) -> dict[str, t.Any]:
    storage: dict[str, t.Any] = {
        "rootDirectory": settings["data_dir"],
        "dedupe": True,
        "gc": True,
        "gcDelay": "1h",
        "gcInterval": "24h",
    }
    policies = [_retention(upstream, settings, release) for upstream in settings["upstreams"]]
    if any(policies):
        storage["retention"] = {"policies": [policy for policy in policies if policy]}
    return storage


def _retention(upstream: dict[str, t.Any], settings: dict[str, t.Any], release: Release) -> dict[str, t.Any] | None:
    """What a cache keeps: what was pulled or pushed within the time given; the rest can be fetched again."""
    keep = upstream.get("retention") or settings["upstream_retention"]
    if keep == "forever":
        return None
    recently = {"pulledWithin": keep, "pushedWithin": keep}
    policy: dict[str, t.Any] = {"repositories": [f"{upstream['name']}/**"], "keepTags": [{"patterns": [".*"], **recently}]}
    if release.takes("storage.retention.policies[].keepUntagged"):
        policy["keepUntagged"] = recently  # pulls by digest leave untagged manifests, which would be fetched anew after each sweep
    return policy


def _http(settings: dict[str, t.Any], release: Release, config_dir: str, session_keys: bool) -> dict[str, t.Any]:
    http: dict[str, t.Any] = {"address": settings["address"], "port": str(settings["port"])}
    if settings["external_url"]:
        http["externalUrl"] = settings["external_url"]
    if settings["upstreams"] and release.takes("http.compat"):
        http["compat"] = ["docker2s2"]
    if release.takes("http.readTimeout"):
        # The limits cover a whole request with its body: zot's own minute cuts large layers.
        http["readTimeout"] = http["writeTimeout"] = settings["transfer_timeout"]
    auth: dict[str, t.Any] = {}
    if settings["oidc"]:
        auth["openid"] = {"providers": {"oidc": _openid(settings["oidc"], release, config_dir)}}
    if settings["local_users"]:
        auth["htpasswd"] = {"path": f"{config_dir}/{HTPASSWD_FILE}"}
    if auth:
        auth["apikey"] = settings["api_keys"]
        if session_keys:
            auth["sessionKeysFile"] = f"{config_dir}/{SESSION_FILE}"
        if release.takes("http.auth.secureSession") and settings["external_url"].startswith("https://"):
            auth["secureSession"] = True
        http["auth"] = auth
    return http


def _openid(oidc: dict[str, t.Any], release: Release, config_dir: str) -> dict[str, t.Any]:
    for setting, key in (
        ("client_id", "credentialsFile"),
        ("username_claim", "claimMapping.username"),
        ("groups_claim", "claimMapping.groups"),
    ):
        path = f"http.auth.openid.providers.*.{key}"
        if oidc.get(setting) and not release.takes(path):
            raise ZotError(f"oidc.{setting} needs zot {text_of(find(path).since)} or newer, not {release}")
    provider: dict[str, t.Any] = {
        "credentialsFile": f"{config_dir}/{OIDC_FILE}",
        "issuer": oidc["issuer"],
        "scopes": oidc.get("scopes") or ["openid", "profile", "email"],
    }
    if oidc.get("name"):
        provider["name"] = oidc["name"]
    claims = {ours: oidc[theirs] for ours, theirs in (("username", "username_claim"), ("groups", "groups_claim")) if oidc.get(theirs)}
    if claims:
        provider["claimMapping"] = claims
    return provider


def _access_control(settings: dict[str, t.Any], release: Release) -> dict[str, t.Any]:
    tree: dict[str, t.Any] = {"repositories": compile_grants(parse_grants(settings["grants"], "zot_grants"))}
    for name in settings["groups"]:
        if name != name.lower():
            raise ZotError(f"zot_groups: '{name}' never matches, because zot lower-cases it where it is declared; write '{name.lower()}'")
    if settings["groups"]:
        tree["groups"] = {name: {"users": users} for name, users in settings["groups"].items()}
    if settings["metrics"] == "users":
        tree["metrics"] = {"users": settings["metrics_users"]}
    elif settings["metrics"] == "anonymous":
        # Up to 2.1.17 the empty name opens /metrics; from 2.1.18 it does not, and the key that does is unknown before.
        tree["metrics"] = {"anonymousPolicy": ["read"]} if release.takes("http.accessControl.metrics.anonymousPolicy") else {"users": [""]}
    return tree


def _extensions(settings: dict[str, t.Any], release: Release, config_dir: str, credentials: bool) -> dict[str, t.Any]:
    extensions: dict[str, t.Any] = {}
    if settings["ui"]:
        extensions["search"] = {"enable": True}
        extensions["ui"] = {"enable": True}
    if settings["metrics"] != "disabled":
        extensions["metrics"] = {"enable": True, "prometheus": {"path": "/metrics"}}
    if settings["upstreams"]:
        sync: dict[str, t.Any] = {"enable": True, "registries": [_registry(upstream, release) for upstream in settings["upstreams"]]}
        if credentials:
            sync["credentialsFile"] = f"{config_dir}/{UPSTREAMS_FILE}"
        extensions["sync"] = sync
    return extensions


def _registry(upstream: dict[str, t.Any], release: Release) -> dict[str, t.Any]:
    registry: dict[str, t.Any] = {
        "urls": [_url(upstream)],
        "content": [{"prefix": "**", "destination": f"/{upstream['name']}"}],
        "onDemand": True,
        "tlsVerify": True,
        # Left to itself zot waits longer and longer for an upstream that is down, up to 30 s for each tag, though it has the image.
        "maxRetries": 3,
        "retryDelay": "500ms",
    }
    if release.takes("extensions.sync.registries[].preserveDigest"):
        registry["preserveDigest"] = True
    return registry


def _url(upstream: dict[str, t.Any]) -> str:
    name = upstream["name"]
    url = upstream.get("url") or _UPSTREAM_URLS.get(name, f"https://{name}")
    if not url.startswith(("https://", "http://")):
        raise ZotError(f"zot_upstreams: the url of {name} must begin with https:// or http://; zot takes one without for an empty host")
    return url


def _oidc_file(settings: dict[str, t.Any], secrets: dict[str, t.Any]) -> SecretFile | None:
    if not settings["oidc"]:
        return None
    secret = secrets["oidc_client_secret"]
    if not secret:
        return SecretFile(OIDC_FILE, ["zot_oidc_client_secret"])
    return SecretFile(OIDC_FILE, content=_json({"clientid": settings["oidc"]["client_id"], "clientsecret": secret}))


def _upstreams_file(settings: dict[str, t.Any], secrets: dict[str, t.Any]) -> SecretFile | None:
    named = [upstream for upstream in settings["upstreams"] if upstream.get("username")]
    if not named:
        return None
    require_text(secrets["upstream_passwords"], "upstream_passwords")
    missing = [f"zot_upstream_passwords['{up['name']}']" for up in named if not secrets["upstream_passwords"].get(up["name"])]
    if missing:
        return SecretFile(UPSTREAMS_FILE, missing)
    credentials: dict[str, dict[str, str]] = {}
    for upstream in named:
        host = _url(upstream).split("://", 1)[1].split("/", 1)[0]
        login = {"username": upstream["username"], "password": secrets["upstream_passwords"][upstream["name"]]}
        if credentials.setdefault(host, login) != login:
            raise ZotError(f"zot_upstreams: {upstream['name']} has another login than an upstream before it, and zot keeps one for {host}")
    return SecretFile(UPSTREAMS_FILE, content=_json(credentials))


def _json(value: dict[str, t.Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
