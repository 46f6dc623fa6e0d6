# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: questions to what stands around a zot: upstreams, Docker Hub's allowance, the way in from outside, issuers.

Each answer is plain data without a secret; none raises for what the network does. What it means is for the controller to say.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import typing as t
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._discovery import discover
from ansible_collections.blumeops.zot.plugins.module_utils._document import mapping
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Identity
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response

Answer = dict[str, t.Any]
# As _transport.remote, with ``verify`` and ``ca_path``.
Ask = t.Callable[..., Response]

DOCKER_HUB = "docker.io"
# What Docker documents for asking; a HEAD of it is not counted as a pull.
_PREVIEW = "ratelimitpreview/test"
_HUB_HOSTS = ("docker.io", "index.docker.io")
_MANIFESTS = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_LIMIT = re.compile(r"(\d+)(?:;w=(\d+))?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
# A folder of a cache may have hundreds of thousands of entries.
_MOST_FOLDERS = 500
_DEEPEST = 6


class Upstream(t.NamedTuple):
    """A registry that zot fetches from: the name below which it is kept here, and how it is asked."""

    name: str
    urls: tuple[str, ...]
    verify: bool = True
    own_authority: bool = False


def upstreams_of(document: t.Mapping[str, t.Any]) -> list[Upstream]:
    """Those of an effective document, in its order."""
    sync = mapping(mapping(document.get("extensions")).get("sync"))
    if sync.get("enable") is False:
        return []
    found = []
    for registry in sync.get("registries") or []:
        urls = tuple(url for url in mapping(registry).get("urls") or [] if isinstance(url, str) and "://" in url)
        if urls:
            content = [mapping(item) for item in registry.get("content") or []]
            kept = next((str(item["destination"]).strip("/") for item in content if item.get("destination")), "")
            name = kept or urlsplit(urls[0]).hostname or ""
            found.append(Upstream(name, urls, registry.get("tlsVerify") is not False, bool(registry.get("certDir"))))
    return found


def ask_upstream(upstream: Upstream, login: t.Mapping[str, str] | None, ask: Ask) -> Answer:
    """Whether one of its addresses answers as a registry does; of Docker Hub also how many pulls are left."""
    found: Answer = {"name": upstream.name, "asked": [], "untrusted": "", "allowance": None}
    for url in upstream.urls:
        base = _base(url)
        answer = ask("GET", f"{base}/v2/", verify=upstream.verify)
        untrusted = answer.untrusted
        if untrusted:
            # No failure in itself: Go may know other authorities, and zot has its certDir.
            answer = ask("GET", f"{base}/v2/", verify=False)
            found["untrusted"] = "" if upstream.own_authority else untrusted
        reason = "" if answer.status in (200, 401) else (f"it answers {answer.status}" if answer.status else answer.reason)
        found["asked"].append({"url": _shown(url), "reason": reason})
        # Whose certificate is not trusted is told no password, and not asked for a token.
        if not (reason or untrusted) and upstream.name == DOCKER_HUB and found["allowance"] is None:
            found["allowance"] = allowance(base, answer, login, lambda *asked, **more: ask(*asked, verify=upstream.verify, **more))
    return found


def _base(url: str) -> str:
    where = urlsplit(url)
    return "https://registry-1.docker.io" if where.hostname in _HUB_HOSTS else f"{where.scheme}://{where.netloc}"


def _shown(url: str) -> str:
    where = urlsplit(url)
    return f"{where.scheme}://{where.netloc.rpartition('@')[2]}"


def allowance(base: str, challenged: Response, login: t.Mapping[str, str] | None, ask: Ask) -> Answer:
    """What Docker Hub's headers C(ratelimit-limit) and C(ratelimit-remaining) say, for this login or for this address.

    Source: docs.docker.com/docker-hub/usage/pulls. Without these headers there is no limit.
    """
    who = (login or {}).get("username") or ""
    headers = {"Accept": _MANIFESTS}
    realm, service = _challenge(challenged)
    if realm:
        if login and urlsplit(realm).scheme != "https" and urlsplit(base).scheme == "https":
            return {"who": who, "reason": "it wants the password without TLS, which it is not given"}
        query = urlencode({"service": service, "scope": f"repository:{_PREVIEW}:pull"})
        basic = Identity(who, (login or {}).get("password") or "").headers if login else {}
        answer = ask("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", basic)
        if answer.status in (401, 403):
            return {"who": who, "refused": True, "reason": f"it refuses the login of {who}" if who else "it gives nobody a token"}
        token = _json(answer).get("token") or _json(answer).get("access_token")
        if answer.status != 200 or not isinstance(token, str):
            return {"who": who, "reason": f"it gives no token ({answer.status or answer.reason})"}
        headers["Authorization"] = f"Bearer {token}"
    told = ask("HEAD", f"{base}/v2/{_PREVIEW}/manifests/latest", headers)
    given = {name.lower(): value for name, value in told.headers.items()}
    if told.status not in (200, 429):
        return {"who": who, "reason": f"it does not say how many pulls are left ({told.status or told.reason})"}
    limit, window = _limit(given.get("ratelimit-limit", ""))
    remaining, _window = _limit(given.get("ratelimit-remaining", ""))
    if told.status == 429:
        remaining = 0
    return {"who": who, "reason": "", "limit": limit, "remaining": remaining, "window": window}


def _challenge(answer: Response) -> tuple[str, str]:
    given = {name.lower(): value for name, value in answer.headers.items()}.get("www-authenticate", "")
    words = dict(_CHALLENGE.findall(given)) if given.lower().startswith("bearer") else {}
    return words.get("realm", ""), words.get("service", "")


def _limit(text: str) -> tuple[int | None, int | None]:
    match = _LIMIT.match(text.strip())
    return (int(match[1]), int(match[2]) if match[2] else None) if match else (None, None)


# ---- the cache


def ask_cache(name: str, image: str, root: Path | None, url: str, identities: t.Sequence[Identity], ask: Ask) -> Answer:
    """Is an image of the upstream ``name`` served? ``image`` is fetched if need be; else one that lies in ``root`` is asked for.

    That one is asked for by its digest, which zot never asks an upstream about: a tag might make it fetch a new image.
    """
    found: Answer = {"name": name, "image": f"{name}/{image}" if image else "", "named": bool(image), "reason": "", "status": 0}
    if image:
        repository, _colon, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
        path, digest = f"{name}/{repository}/manifests/{tag}", ""
    else:
        kept, why = _kept(root / name) if root else (None, "its storage is not on this host")
        if not kept or not root:
            return {**found, "reason": why}
        repository, digest = str(kept[0].relative_to(root)), kept[1]
        path, found["image"] = f"{repository}/manifests/{digest}", f"{repository}@{digest[:19]}"
    answer = Response(0)
    for identity in identities:
        answer = ask("GET" if digest else "HEAD", f"{url}/v2/{path}", {"Accept": _MANIFESTS, **identity.headers})
        if answer.status not in (401, 403):
            break
    whole = not digest or f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == digest
    reason = "" if answer.status == 200 else (f"zot answers {answer.status}" if answer.status else answer.reason)
    return {**found, "status": answer.status, "reason": reason or ("" if whole else "what zot serves is not what that digest names")}


def _kept(folder: Path) -> tuple[tuple[Path, str] | None, str]:
    """A repository below ``folder`` and a manifest in it, or why there is none."""
    todo, seen = [(folder, 0)], 0
    while todo and seen < _MOST_FOLDERS:
        where, depth = todo.pop(0)
        seen += 1
        try:
            index = where / "index.json"
            if index.is_file():
                digests = [str(mapping(item).get("digest")) for item in mapping(json.loads(index.read_bytes())).get("manifests") or []]
                digest = next((one for one in digests if one.startswith("sha256:")), None)
                if digest:
                    return (where, digest), ""
            if depth < _DEEPEST:
                todo += [(one, depth + 1) for one in sorted(where.iterdir()) if one.is_dir() and one.name not in ("blobs", ".uploads")]
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return None, f"{where} cannot be read by this user"
    return None, "nothing is cached yet"


# ---- from outside


def ask_outside(url: str, ask: Ask) -> Answer:
    """Whether the external URL leads to a registry. Whom its certificate is for is `ask_certificate`'s question."""
    answer = ask("GET", f"{url.rstrip('/')}/v2/", verify=False)
    if answer.status in (200, 401):
        return {"url": url, "reason": ""}
    return {"url": url, "reason": f"it answers {answer.status}" if answer.status else answer.reason}


def ask_certificate(url: str, timeout: float, ca_path: str | None, now: float) -> Answer:
    """The certificate of an https URL: seconds it lives in all and from ``now`` on, or why it is not trusted."""
    import ssl

    where = urlsplit(url)
    try:
        context = ssl.create_default_context(cafile=ca_path)
        # Python 3.13 refuses what no client of a registry does.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        with socket.create_connection((where.hostname or "", where.port or 443), timeout) as line:  # noqa: SIM117 - Python 3.9
            with context.wrap_socket(line, server_hostname=where.hostname) as tls:
                told = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return {"untrusted": str(error.verify_message), "reason": ""}
    except ssl.SSLError as error:
        return {"untrusted": f"TLS: {(error.reason or 'it fails').replace('_', ' ').lower()}", "reason": ""}
    except (OSError, ValueError) as error:
        return {"untrusted": "", "reason": getattr(error, "strerror", "") or str(error) or type(error).__name__}
    begins, ends = (ssl.cert_time_to_seconds(str(told[key])) for key in ("notBefore", "notAfter"))
    return {"untrusted": "", "reason": "", "left": ends - now, "life": ends - begins}


# ---- the identity provider


def ask_issuer(issuer: str, ask: Ask) -> Answer:
    """What zot asks it when it starts, and whether the keys it names are there."""
    heard: list[Response] = []

    def listening(method: str, url: str, **more: t.Any) -> Response:
        heard.append(ask(method, url, **more))
        return heard[-1]

    found = {"name": issuer, "keys": None, **discover(issuer, listening)}
    if found["state"] == "ok":
        where = _json(heard[-1]).get("jwks_uri")
        if not isinstance(where, str) or not where.startswith(("https://", "http://")):
            return {**found, "keys": "it names no jwks_uri"}
        answer = ask("GET", where, verify=not found["tls"])
        keys = _json(answer).get("keys") if answer.status == 200 else None
        if not isinstance(keys, list) or not keys:
            found["keys"] = f"its keys are not at jwks_uri ({answer.status or answer.reason})" if answer.status != 200 else "it has no keys"
    return found


def _json(answer: Response) -> dict[str, t.Any]:
    try:
        return mapping(json.loads(answer.body))
    except (ValueError, RecursionError):
        return {}


def login_of(path: str | None, url: str) -> dict[str, str] | None:
    """zot's own login for an upstream, from its credentials file, under the literal host of the first URL."""
    try:
        known = mapping(json.loads(Path(path or "").read_bytes()))
    except (OSError, ValueError):
        return None
    login = mapping(known.get(urlsplit(url).netloc.rpartition("@")[2]))
    told = {key: value for key, value in login.items() if key in ("username", "password") and isinstance(value, str) and value}
    return told if len(told) == 2 else None
