# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: from what was seen of a registry to the lines of its report. Pure: it asks nothing and knows no clock.

One cause colours one line. What stands behind a part that fails is grey and says since what it was not asked.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

GREEN, AMBER, RED, GREY = "green", "amber", "red", "grey"
# Of several parts of one line the worst counts; grey only where there is nothing else.
_RANK = {GREY: 0, GREEN: 1, AMBER: 2, RED: 3}

CHECKS = ("host", "ready", "release", "access", "external", "certificate", "upstreams", "cache", "disk", "drift", "oidc")
_DAY = 86400.0
Seen = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Line:
    """One line: which check, its colour, what it says to people, and numbers for machines."""

    check: str
    level: str
    text: str
    facts: dict[str, t.Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, t.Any]:
        return {"check": self.check, "level": self.level, "text": self.text, "facts": self.facts}


@dataclass(frozen=True)
class Limits:
    """From where on a number is no longer green: of Docker Hub's pulls and the disk per cent, of a certificate days."""

    allowance: float = 20
    certificate: float = 21
    disk_amber: float = 15
    disk_red: float = 5


class Part(t.NamedTuple):
    """What one of several things of a line is worth."""

    level: str
    text: str


def unreachable(reason: str) -> list[Line]:
    """All lines of a host that could not be asked."""
    return [Line("host", RED, reason), *(_since(check, "the host cannot be asked") for check in CHECKS[1:])]


def lines(host: Seen, seen: Seen, release: str | None, access: Line, drift: Line, limits: Limits) -> list[Line]:
    """All lines of a host, in the order of `CHECKS`. ``access`` and ``drift`` are compared with what was declared, and so by the caller."""
    config = seen["config"]
    unread = config["error"] or (config["found"] or {}).get("live_error") or ""
    known = bool(config["found"] and config["found"]["live"] is not None)
    ready = seen["ready"]
    found = [
        Line("host", GREEN, f"{host['user']}, {host['service_manager']}"),
        _ready(ready),
        _release(seen["release"], release),
        access,
        _external(seen["external"], seen["external_url"]),
        _certificate(seen["certificate"], seen["external_url"], limits),
        _merged("upstreams", [_upstream(one, limits) for one in seen["upstreams"]], "there are none", _allowances(seen["upstreams"])),
        _cache(seen),
        _disk(seen["disk"], limits),
        drift,
        _merged("oidc", [_issuer(one) for one in seen["issuers"]], "nobody logs in through a provider"),
    ]
    behind = {"release", "access", "external", "cache"} if not ready["ready"] else set()
    from_config = set() if known else {"external", "certificate", "upstreams", "cache", "disk", "oidc"}
    why = "the configuration cannot be read" if unread else "there is no configuration"
    return [
        _since(line.check, why)
        if line.check in from_config
        else _since(line.check, "zot is not ready")
        if line.check in behind and line.level != GREY
        else line
        for line in found
    ]


def _since(check: str, why: str) -> Line:
    return Line(check, GREY, f"not asked, since {why}")


def _broken(answer: t.Any) -> str:
    """Why there is no answer at all; empty where there is one."""
    if answer is None:
        return "it was not asked"
    if "late" in answer:
        return f"no answer within {answer['late']:g} s"
    return str(answer.get("error") or "")


def _merged(check: str, parts: list[Part], nothing: str, facts: dict[str, t.Any] | None = None) -> Line:
    if not parts:
        return Line(check, GREY, nothing)
    level = max((part.level for part in parts), key=lambda one: _RANK[one])
    # What is wrong comes first: people read the beginning.
    texts = [part.text for part in sorted(parts, key=lambda part: -_RANK[part.level])]
    return Line(check, level, "; ".join(texts), facts or {})


def _ready(ready: Seen) -> Line:
    facts = {"pid": ready["pid"], "url": ready["url"]}
    said = f"; it logged last: {ready['said']}" if ready["said"] else ""
    if ready["ready"] and ready["pid"]:
        return Line("ready", GREEN, f"process {ready['pid']} of {ready['service']} serves {ready['url']}", facts)
    if ready["ready"]:
        return Line("ready", RED, f"something serves {ready['url']}, but {ready['service']} runs no process", facts)
    run = f"process {ready['pid']} of {ready['service']} runs, but" if ready["pid"] else f"{ready['service']} runs no process;"
    return Line("ready", RED, f"{run} {ready['reason']}{said}", facts)


def _release(told: Seen, wanted: str | None) -> Line:
    facts = {"release": told["release"], "wanted": wanted}
    if told["other"]:
        return Line("release", RED, told["other"], facts)
    if wanted is None:
        return Line("release", GREY, f"it is zot {told['release'] or '?'}, and none is declared", facts)
    if told["release"] in (None, wanted):
        return Line("release", GREEN, f"zot {wanted}{'' if told['release'] else ', by its binary'}", facts)
    return Line("release", RED, f"it is zot {told['release']}, not {wanted}", facts)


def _external(answer: t.Any, url: str) -> Line:
    if not url:
        return Line("external", GREY, "no external URL is declared")
    reason = _broken(answer) or answer["reason"]
    return Line("external", RED, f"{url}: {reason}") if reason else Line("external", GREEN, f"{url} leads to a registry")


def _certificate(answer: t.Any, url: str, limits: Limits) -> Line:
    if not url.startswith("https://"):
        return Line("certificate", GREY, "the external URL has no TLS" if url else "no external URL is declared")
    if _broken(answer):
        return Line("certificate", RED, f"{url}: {_broken(answer)}")
    if answer["untrusted"]:
        return Line("certificate", RED, f"{url}: {answer['untrusted']}")
    if answer["reason"]:
        return _since("certificate", f"{url} cannot be reached ({answer['reason']})")
    days = answer["left"] / _DAY
    # Some live for six days and are renewed each second day: of these it is the share of the life that counts.
    share = answer["left"] / answer["life"] if answer["life"] > 0 else 0
    low = days < limits.certificate and share < 0.25
    level = RED if low and share < 0.05 else AMBER if low else GREEN
    return Line("certificate", level, f"{days:.0f} days left", {"days_left": round(days, 2)})


# ---- upstreams and what is kept of them


def is_down(upstream: Seen) -> bool:
    """Whether no address of it answers as a registry."""
    return bool(_broken(upstream)) or all(one["reason"] for one in upstream["asked"])


def _upstream(found: Seen, limits: Limits) -> Part:
    name = found["name"]
    if _broken(found):
        return Part(RED, f"{name}: {_broken(found)}")
    failed = [f"{one['url']}: {one['reason']}" for one in found["asked"] if one["reason"]]
    if failed:
        return Part(RED if is_down(found) else AMBER, f"{name} does not answer ({', '.join(failed)})")
    if found["untrusted"]:
        return Part(AMBER, f"{name} answers, but this Python does not trust its certificate ({found['untrusted']})")
    return _allowance(name, found["allowance"], limits) if found["allowance"] else Part(GREEN, f"{name} answers")


def _allowance(name: str, told: Seen, limits: Limits) -> Part:
    if told["reason"]:
        return Part(RED if told.get("refused") else AMBER, f"{name} answers, but {told['reason']}")
    limit, left = told["limit"], told["remaining"]
    if left is None:
        return Part(GREEN, f"{name} answers, and sets no limit")
    hours = f" in {told['window'] / 3600:g} h" if told["window"] else ""
    whose = f" of {told['who']}" if told["who"] else ""
    text = f"{name} answers, {left}{f' of {limit}' if limit else ''} pulls{whose} are left{hours}"
    low = limit and left < limit * limits.allowance / 100
    return Part(RED if not left else AMBER if low else GREEN, text)


def _allowances(upstreams: t.Iterable[Seen]) -> dict[str, t.Any]:
    told = next((one["allowance"] for one in upstreams if one.get("allowance")), None)
    return {f"pulls_{key}": told.get(key) for key in ("limit", "remaining")} if told else {}


def _cache(seen: Seen) -> Line:
    if seen["upstreams"] and not seen["ready"]["ready"]:
        return Line("cache", AMBER, "it was not asked")  # grey, as what stands before it says why
    return _merged("cache", [_cached(one, seen["upstreams"]) for one in seen["cache"]], "there are no upstreams")


def _cached(found: Seen, upstreams: t.Iterable[Seen]) -> Part:
    name = found["name"]
    if _broken(found):
        return Part(RED, f"{name}: {_broken(found)}")
    if not found["image"]:
        return Part(GREY, f"{name}: {found['reason']}")
    if not found["reason"]:
        return Part(GREEN, f"{found['image']} is served")
    if found["named"] and found["status"] == 404 and any(one["name"] == name and is_down(one) for one in upstreams):
        return Part(GREY, f"{found['image']} is not cached, and {name} does not answer")
    return Part(RED, f"{found['image']} is not served: {found['reason']}")


# ---- the rest


def _disk(told: Seen, limits: Limits) -> Line:
    if told["elsewhere"]:
        return Line("disk", GREY, f"the storage is {told['elsewhere']}")
    if told["reason"]:
        return Line("disk", RED, f"{told['path'] or 'storage'}: {told['reason']}")
    share = 100 * told["free"] / told["total"] if told["total"] else 0
    level = RED if share < limits.disk_red else AMBER if share < limits.disk_amber else GREEN
    text = f"{share:.0f} % of {told['total'] / 1e9:.0f} GB are free in {told['path']}"
    return Line("disk", level, text, {"free_percent": round(share, 1), "free_bytes": told["free"]})


def _issuer(found: Seen) -> Part:
    name = found["name"]
    if _broken(found):
        return Part(RED, f"{name}: {_broken(found)}")
    if found["state"] != "ok":
        named = f": {found['issuer']}" if found["state"] == "mismatch" else ""
        return Part(RED, f"{name}: {found['reason']}{named}; zot will not start again")
    if found["keys"]:
        return Part(RED, f"{name}: {found['keys']}")
    if found["tls"]:
        return Part(AMBER, f"{name} answers, but this Python does not trust its certificate ({found['tls']})")
    return Part(GREEN, f"{name} is what it says, and has its keys")
