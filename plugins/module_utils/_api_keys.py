# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: zot's API keys: list, mint and revoke those of one user, who logs in with a password or with a key.

zot knows no administrator of keys: everybody sees and revokes their own, and nobody else's.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, Sender

PATH = "/zot/auth/apikey"

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d:\d\d))")
_DURATION = re.compile(r"(?:\d+[wdhms])+")
_LONGEST = timedelta(days=36500)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class RefusedError(ZotError):
    """The login is refused: another password, a key that is revoked or expired, or no such user. zot does not say which."""


class NoApiKeysError(ZotError):
    """There is no such endpoint: C(http.auth.apikey) is off."""


@dataclass(frozen=True)
class ApiKey:
    """One key, without its secret, which zot tells once. Moments are in UTC; ``expires`` and ``last_used`` are None for never."""

    uuid: str
    label: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    expired: bool
    scopes: list[str]


class ApiKeys:
    """The keys of the user ``name``; ``secret`` is the password or one of these keys.

    Every method raises ZotError: RefusedError and NoApiKeysError as they say, and ZotError itself for the rest.
    """

    def __init__(self, url: str, name: str, secret: str, send: Sender) -> None:
        if not _is_address(url):
            raise ZotError("the url of a registry is scheme, host and port, such as https://registry.example.org")
        if not name or not secret:
            raise ZotError(f"{url}: whose keys? Give a user name, and the password or an API key: zot has no keys for anonymous")
        if ":" in name:
            raise ZotError(f"{url}: a user whose name has a colon cannot log in with it (RFC 7617)")
        self.url, self.name = url.rstrip("/"), name
        self.now: datetime | None = None
        self._send = send
        login = base64.b64encode(f"{name}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Accept": "application/json", "User-Agent": "blumeops.zot"}

    def listed(self) -> list[ApiKey]:
        """All of them, expired ones too, the oldest first."""
        answer = self._ask("GET", "list the keys")
        if answer.status != 200:
            raise self._unexpected(answer, "list the keys")
        found = _json(answer).get("apiKeys")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._not_zot()
        return sorted((self._key(one) for one in found), key=lambda key: (key.created, key.uuid))

    def mint(self, label: str, expires: datetime | None, scopes: t.Sequence[str] = ()) -> tuple[ApiKey, str]:
        """A new key and its secret. When no answer comes (ZotError) it may have been made all the same: list them then."""
        asked = {"label": label, "scopes": list(scopes), "expirationDate": text_of(expires) or ""}
        answer = self._ask("POST", "make a key", body=json.dumps(asked).encode())
        if answer.status == 413:
            raise ZotError(f"{self.url}: the label of the key (or its scopes) is too long: zot takes a few thousand bytes")
        if answer.status == 400:
            clock = f"; its clock says {text_of(self.now)}" if self.now else ""
            raise ZotError(f"{self.url} refuses to make this key: an expiry has to lie in the future{clock}, and a label to be text")
        if answer.status != 201:
            raise self._unexpected(answer, "make a key")
        made = _json(answer)
        secret = made.get("apiKey")
        if not isinstance(secret, str) or not secret:
            raise self._not_zot()
        return self._key(made), secret

    def revoke(self, uuid: str) -> None:
        """End a key. zot agrees as gladly to one that it does not know, or that is another's: only a list tells what is there."""
        answer = self._ask("DELETE", "revoke a key", f"?id={quote(uuid, safe='')}")
        if answer.status != 200:
            raise self._unexpected(answer, "revoke a key")

    def _ask(self, method: str, what: str, query: str = "", body: bytes | None = None) -> Response:
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        answer = self._send(method, f"{self.url}{PATH}{query}", headers, 30, body)
        told = {name.lower(): value for name, value in answer.headers.items()}
        self.now = _http_date(told.get("date", "")) or self.now
        if answer.untrusted:
            raise ZotError(f"{self.url}: its certificate is not trusted ({answer.untrusted}): give ca_path, the authority that made it")
        if not answer.status:
            doubt = "" if method == "GET" else "; whether it was done is not known: list the keys"
            raise ZotError(f"{self.url} gives no answer to the request to {what}: {answer.reason}{doubt}")
        if 300 <= answer.status < 400:
            where = urlsplit(told.get("location", ""))
            raise ZotError(f"{self.url} sends its clients to {where.scheme}://{where.hostname}: give the address that answers itself")
        if answer.status == 401:
            raise RefusedError(
                f"{self.url} refuses the login of {self.name}: a wrong password, a key revoked, expired or of another, or no such user"
            )
        if answer.status == 404:
            raise NoApiKeysError(
                f"{self.url} has no API keys: http.auth.apikey is off in its configuration, or what answers there is no zot"
            )
        return answer

    def _unexpected(self, answer: Response, what: str) -> ZotError:
        hints = {
            429: "it answers fewer requests a second (http.ratelimit): run again later",
            500: "its log says why",
        }
        hint = hints.get(answer.status, "nobody behind the proxy answers: is zot running?" if answer.status in (502, 503, 504) else "")
        return ZotError(f"{self.url} answers {answer.status} to the request to {what}{'; ' + hint if hint else ''}")

    def _not_zot(self) -> ZotError:
        return ZotError(f"{self.url} does not answer as zot does: give the address of the registry itself")

    def _key(self, told: t.Any) -> ApiKey:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            expires = moment(told.get("expirationDate") or NEVER)
            return ApiKey(
                uuid=_text(told["uuid"]),
                label=str(told.get("label") or ""),
                created=moment(told.get("createdAt") or NEVER) or datetime.min.replace(tzinfo=timezone.utc),
                expires=expires,
                last_used=moment(told.get("lastUsed") or NEVER),
                expired=bool(told.get("isExpired")) or bool(expires and self.now and expires <= self.now),
                scopes=[str(scope) for scope in told.get("scopes") or []],
            )
        raise self._not_zot()


# ---- moments

NEVER = "0001-01-01T00:00:00Z"


def moment(text: str) -> datetime | None:
    """RFC 3339, in UTC and to the microsecond; None for zot's never. Raises ValueError."""
    match = _MOMENT.fullmatch(text)
    if not match:
        raise ValueError("not a date and time of RFC 3339")
    day, clock, fraction, _zulu, offset = match.groups()
    found = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6].ljust(6, '0')}{offset or '+00:00'}")
    if found.year == 1:
        return None
    return found.astimezone(timezone.utc)


def text_of(when: datetime | None) -> str | None:
    """RFC 3339 to the second, in UTC; None stays None."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def expiry(text: str, now: datetime) -> datetime | None:
    """When a key is to expire: RFC 3339, a duration from ``now`` such as 90d or 1w12h, or never (None). Raises ZotError."""
    told = _life(text)
    found = now + told if isinstance(told, timedelta) else told
    if found and found <= now:
        raise ZotError(f"expires lies in the past: {text_of(found)}, and it is {text_of(now)} by the registry's clock")
    return found


def duration(text: str, what: str) -> timedelta:
    """From such as 90d or 1w12h; raises ZotError, which names ``what`` it was to be."""
    with contextlib.suppress(ZotError):
        found = _life(text)
        if isinstance(found, timedelta):
            return found
    raise ZotError(f"{what} is a duration, such as 90d, 12h or 1w2d")


def _life(text: str) -> timedelta | datetime | None:
    if text == "never":
        return None
    with contextlib.suppress(ValueError, OverflowError):
        if _DURATION.fullmatch(text):
            parts = re.findall(r"(\d+)([wdhms])", text)
            length = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
            if timedelta() < length <= _LONGEST:
                return length
        elif (found := moment(text)) is not None:
            return found
    raise ZotError("expires is a date and time with zone (2027-02-21T00:00:00Z), a duration from now (90d, 12h, 1w2d), or never")


def _http_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _is_address(url: str) -> bool:
    with contextlib.suppress(ValueError):
        where = urlsplit(url)
        extras = where.username is not None or where.query or where.fragment
        return where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0 and not extras
    return False


def _text(told: t.Any) -> str:
    if not isinstance(told, str) or not told:
        raise ValueError("no text")
    return told


def _json(answer: Response) -> dict[str, t.Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# ---- what the modules zot_api_key and zot_api_key_info do

# Where the registry is and who logs in, in the argument specs of both.
LOGIN: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "api_key": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}
ONE_SECRET = {"required_one_of": [("password", "api_key")], "mutually_exclusive": [("password", "api_key")]}


@dataclass(frozen=True)
class Plan:
    """What to do: mint a key or not, and which to revoke, in this order. ``kept`` is the key that is there already."""

    mint: bool = False
    expires: datetime | None = None
    revoke: tuple[ApiKey, ...] = ()
    kept: ApiKey | None = None
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.mint or bool(self.revoke)


def plan(keys: t.Sequence[ApiKey], args: t.Mapping[str, t.Any], now: datetime) -> Plan:
    """From the keys that are there and the module's options to what has to be done. Raises ZotError."""
    if args["scopes"] and not args["send_scopes"]:
        raise ZotError(
            "zot stores the scopes of a key and never looks at them: the key may do whatever its owner may. "
            "Give rights in accessControl; or set send_scopes, to store them as a note"
        )
    return _present(keys, args, now) if args["state"] == "present" else _absent(keys, args)


def _present(keys: t.Sequence[ApiKey], args: t.Mapping[str, t.Any], now: datetime) -> Plan:
    live = [key for key in keys if key.label == args["label"] and not key.expired]
    if len(live) > 1:
        uuids = ", ".join(key.uuid for key in live)
        raise ZotError(f"{len(live)} live keys have the label '{args['label']}': {uuids}; revoke all but one, by uuid")
    if not live:
        return Plan(mint=True, expires=expiry(args["expires"], now))
    told = _life(args["expires"])
    as_told = isinstance(told, timedelta) or text_of(told) == text_of(live[0].expires)
    warning = f"the key expires {text_of(live[0].expires) or 'never'}: zot cannot change that; revoke it, and make another"
    return Plan(kept=live[0], warnings=() if as_told else (warning,))


def _absent(keys: t.Sequence[ApiKey], args: t.Mapping[str, t.Any]) -> Plan:
    doomed = [key for key in keys if (key.uuid == args["uuid"] if args["uuid"] else key.label == args["label"])]
    # zot notes each use before it answers: the key of this very login was used last, and without it no other can be revoked.
    own = max(keys, key=_used, default=None) if args["api_key"] else None
    warning = f"the key that this login used is revoked too, as the last: {own.uuid}" if own else ""
    return Plan(revoke=tuple(sorted(doomed, key=_used)), warnings=(warning,) if own in doomed else ())


def _used(key: ApiKey) -> tuple[bool, datetime, str]:
    return key.last_used is not None, key.last_used or key.created, key.uuid


def difference(todo: Plan, label: str) -> dict[str, str]:
    """Which keys come and go, for people."""
    here = [*todo.revoke, *([todo.kept] if todo.kept else [])]
    before = {key.uuid: _line(key.uuid, key.label, key.expires) for key in here}
    after = [line for uuid, line in before.items() if todo.kept and uuid == todo.kept.uuid]
    after += [_line("a new key", label, todo.expires)] if todo.mint else []
    return {"before": "".join(before.values()), "after": "".join(after)}


def _line(what: str, label: str, expires: datetime | None) -> str:
    return f"{what}  label {label}  expires {text_of(expires) or 'never'}\n"


def shown(key: ApiKey, now: datetime | None = None) -> dict[str, t.Any]:
    """As plain data; with ``now`` how old it is and how long it lives, in days."""
    plain = {
        "uuid": key.uuid,
        "label": key.label,
        "created": text_of(key.created),
        "expires": text_of(key.expires),
        "last_used": text_of(key.last_used),
        "expired": key.expired,
        "scopes": key.scopes,
    }
    if now is None:
        return plain
    return {
        **plain,
        "age_days": round((now - key.created) / timedelta(days=1), 2),
        "expires_in_days": round((key.expires - now) / timedelta(days=1), 2) if key.expires else None,
    }
