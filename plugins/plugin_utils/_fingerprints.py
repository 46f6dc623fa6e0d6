# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a forge's Actions variable says of the secrets beside it, which nobody can read back.

The variable is readable by whoever may change the secrets. So it holds no plain hash, which would give away a short secret, but a salted
scrypt of each, and when it was published.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
import re
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import LONGEST_VALUE

VARIABLE = "ANSIBLE_SECRETS_FINGERPRINTS"
VERSION = 1

_LENGTH = 32
_SALT = 16
# 3 ms each: a hundred take 0.3 s on a small machine, and a guesser 300 tries a second.
_LOG_N, _R, _P = 11, 8, 1
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_HASH = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_MOST_MEMORY = 64 << 20


@dataclass(frozen=True)
class _Fingerprint:
    """Of one secret. The parameters go with each, so that those of new ones can change."""

    since: datetime
    salt: bytes
    digest: bytes
    log_n: int = _LOG_N
    r: int = _R
    p: int = _P

    @property
    def text(self) -> str:
        """In the usual form of password hashes."""
        return f"$scrypt$ln={self.log_n},r={self.r},p={self.p}${_encoded(self.salt)}${_encoded(self.digest)}"


@dataclass(frozen=True)
class Fingerprints:
    """Of the secrets of one scope, by name; ``damaged`` when some of the text could not be read, and counts as not there."""

    known: t.Mapping[str, _Fingerprint] = field(default_factory=dict)
    damaged: bool = False

    @classmethod
    def parse(cls, text: str | None) -> Fingerprints:
        """Of the variable's text; None: there is none.

        A damaged text counts as nothing known: each secret is then put once more, which mends it, as it does where the variable was
        deleted. One of a newer version raises ZotError: to write over it would take from the newer release what it needs.
        """
        if text is None:
            return cls()
        try:
            found = json.loads(text)
            version, secrets = found["version"], found["secrets"]
            if isinstance(version, int) and version > VERSION:
                raise ZotError(
                    f"the variable {VARIABLE} was written by a newer release of blumeops.zot: use that one; to start afresh "
                    "delete the variable, and every secret is put once more"
                )
            entries = {str(name): _entry(row) for name, row in secrets.items()}
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return cls(damaged=True)
        known = {name: entry for name, entry in entries.items() if entry}
        return cls(known, damaged=len(known) < len(entries) or version != VERSION)

    def matches(self, name: str, value: str) -> bool | None:
        """Whether this is the value that was published last; None: no fingerprint."""
        entry = self.known.get(name)
        if entry is None:
            return None
        return hmac.compare_digest(_scrypt(value, entry.salt, entry.log_n, entry.r, entry.p), entry.digest)

    def since(self, name: str) -> datetime | None:
        """When the value was put (UTC, by the forge's clock), for the last time if it was put again: since then every new job gets it."""
        entry = self.known.get(name)
        return entry.since if entry else None

    def with_(self, name: str, value: str, now: datetime, randomness: t.Callable[[int], bytes]) -> Fingerprints:
        """With a value that was put now."""
        salt = randomness(_SALT)
        entry = _Fingerprint(now.astimezone(timezone.utc).replace(microsecond=0), salt, _scrypt(value, salt, _LOG_N, _R, _P))
        return replace(self, known={**self.known, name: entry})

    def without(self, name: str) -> Fingerprints:
        """With nothing known of it."""
        return replace(self, known={key: entry for key, entry in self.known.items() if key != name})

    def text(self) -> str:
        """For the variable; raises ZotError where it is too long for one."""
        rows = {name: [entry.since.strftime(_TIME), entry.text] for name, entry in sorted(self.known.items())}
        text = json.dumps({"version": VERSION, "secrets": rows}, separators=(",", ":"))
        if len(text) > LONGEST_VALUE:
            raise ZotError(
                f"the fingerprints of {len(rows)} secrets need {len(text)} characters, and a variable holds {LONGEST_VALUE}: spread the "
                "secrets over the organization and its repositories"
            )
        return text

    def check_room(self, names: t.Iterable[str]) -> None:
        """Raises ZotError where these would not fit in besides; asked before anything is written."""
        filler = _Fingerprint(datetime.now(timezone.utc), bytes(_SALT), bytes(_LENGTH))
        replace(self, known={**self.known, **dict.fromkeys(names, filler)}).text()


def _entry(row: t.Any) -> _Fingerprint | None:
    """None: it cannot be read, or would cost more than any of ours."""
    if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)):
        return None
    parts = _HASH.fullmatch(row[1])
    if not parts:
        return None
    log_n, r, p = (int(parts[group]) for group in (1, 2, 3))
    if not (r >= 1 and p >= 1 and 1 <= log_n < min(16 * r, 20) and 128 * r * p << log_n <= _MOST_MEMORY):
        return None
    try:
        since = datetime.strptime(row[0], _TIME).replace(tzinfo=timezone.utc)
        entry = _Fingerprint(since, _decoded(parts[4]), _decoded(parts[5]), log_n, r, p)
    except ValueError:
        return None
    return entry if len(entry.digest) == _LENGTH else None


# What was planned is planned again under a lock.
@functools.lru_cache(maxsize=1024)
def _scrypt(value: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    if not hasattr(hashlib, "scrypt"):
        raise ZotError("this Python has no scrypt (its OpenSSL is too old or is none): run Ansible with another one")
    return hashlib.scrypt(value.encode("utf-8", "surrogatepass"), salt=salt, n=1 << log_n, r=r, p=p, maxmem=2 * _MOST_MEMORY, dklen=_LENGTH)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None
