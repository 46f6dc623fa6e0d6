# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: where secrets are kept between runs: the fields of a 1Password item, of a file, or the environment.

A value goes through stdin and stdout only, never through an argument, a message or the name of anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, Runner, run

# One reference to a store in an argument spec; ``field`` is the caller's, a store has any number of them.
STORE: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "kind": {"type": "str", "choices": ["onepassword", "file", "environment"], "required": True},
        "vault": {"type": "str"},
        "item": {"type": "str"},
        "account": {"type": "str"},
        "path": {"type": "path"},
        "field": {"type": "str"},
    },
    "required_if": [("kind", "onepassword", ["vault", "item"]), ("kind", "file", ["path"])],
}

# Reading JSON on stdin came with this one.
OP_MINIMUM = (2, 23)

# The desktop app waits for a finger.
_OP_TIMEOUT = 90.0
_MOST_BYTES = 1 << 20
_LOCK_ATTEMPTS, _LOCK_PAUSE = 100, 0.1


class StoreError(ZotError):
    """``kind`` tells apart what went wrong.

    It is one of not_installed, signed_out, locked, token, forbidden, vault, item, several, rate_limit, timeout, unreachable, passkey,
    old, conflict, not_stored, missing, read_only, unsafe, broken, wrong_reference, unknown.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Store(t.Protocol):
    """Fields of text under names. Every method raises StoreError where the store cannot do it; a missing field is no error."""

    @property
    def where(self) -> str:
        """The store in a message."""

    def read(self, names: t.Iterable[str]) -> dict[str, str]:
        """Those of the fields that are there and not empty."""

    def write(self, fields: t.Mapping[str, str | None]) -> None:
        """Store all of them in one edit, and read them back; None empties a field. The others stay as they are."""


def open_store(spec: t.Mapping[str, t.Any], run: Runner, environ: t.Mapping[str, str]) -> Store:
    """The store that a reference (see `STORE`) names. Nothing is asked of it yet."""
    kind = spec.get("kind")
    if kind == "environment":
        return Environment(environ)
    if kind == "file":
        if not spec.get("path"):
            raise StoreError("wrong_reference", "a store of the kind file needs its path")
        return File(str(spec["path"]))
    if kind != "onepassword":
        raise StoreError("wrong_reference", "the kind of a store is onepassword, file or environment")
    names = {key: str(spec.get(key) or "") for key in ("vault", "item", "account")}
    for key in ("vault", "item"):
        if not names[key]:
            raise StoreError(
                "wrong_reference", f"a store of the kind onepassword needs its {key}: a service account is told nothing without it"
            )
    for key, name in names.items():
        if name.startswith("-"):
            raise StoreError(
                "wrong_reference", f"the {key} of a store begins with a dash, which op takes for an option: give its ID instead"
            )
    return OnePassword(run, environ, **names)


def open_here(spec: t.Mapping[str, t.Any]) -> Store:
    """With the op and the environment of this very process."""
    return open_store(spec, run, os.environ)


def require(store: Store, name: str) -> str:
    """The field; raises StoreError where it is missing or empty."""
    value = store.read([name]).get(name)
    if not value:
        what = f"has no field '{name}', or it is empty" if name else "is missing or empty"
        raise StoreError("missing", f"{store.where} {what}: store the value there once")
    return value


# ---- the environment


class Environment:
    """Variables of the process; a field is a variable. It is read only."""

    where = "the environment"

    def __init__(self, environ: t.Mapping[str, str]) -> None:
        self._environ = environ

    def read(self, names: t.Iterable[str]) -> dict[str, str]:
        return {name: self._environ[name] for name in _named(self.where, names) if self._environ.get(name)}

    def write(self, fields: t.Mapping[str, str | None]) -> None:
        raise StoreError(
            "read_only",
            f"the environment cannot keep {', '.join(sorted(fields)) or 'anything'}: it ends with the run; "
            "give a store of the kind onepassword or file",
        )


# ---- a file


class File:
    """A JSON object of texts that only its owner can read; the field without a name is the whole file."""

    def __init__(self, path: str, pause: t.Callable[[float], None] = time.sleep) -> None:
        self.where = path
        self._path = Path(path).expanduser()
        self._pause = pause
        if not self._path.is_absolute():
            raise StoreError("wrong_reference", f"{path}: the path of a store has to be absolute, or begin with ~")

    def read(self, names: t.Iterable[str]) -> dict[str, str]:
        wanted = list(names)
        with self._system_errors("read"):
            text = self._text()
        if text is None:
            return {}
        found = {"": text.rstrip("\r\n")} if _whole(self.where, wanted) else self._fields(text)
        return {name: found[name] for name in wanted if found.get(name)}

    def write(self, fields: t.Mapping[str, str | None]) -> None:
        if not fields:
            return
        with self._system_errors("written"), self._locked() as path:
            text = self._text()
            if _whole(self.where, fields):
                made = fields[""] + "\n" if fields[""] else None
            else:
                kept = self._fields(text) if text is not None else {}
                kept = {name: value for name, value in {**kept, **fields}.items() if value}
                made = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            if made == text:
                return
            self._replace(path, made)
            if self._text() != made:
                raise StoreError(
                    "conflict", f"{self.where} was changed by somebody else meanwhile: run again, and let one program write it"
                )

    def _text(self) -> str | None:
        """What is in the file, None where there is none; raises StoreError where others can read it or it is not ours."""
        path = self._real()
        try:
            # A FIFO would never open.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError("unsafe", f"{self.where} is not a file")
            self._is_ours(found)
            if found.st_mode & 0o077:
                raise StoreError("unsafe", f"{self.where} can be read by others than its owner: chmod 600 it, and renew what it holds")
            data = file.read(_MOST_BYTES + 1)
        with contextlib.suppress(ValueError):  # it would carry what was read
            if len(data) <= _MOST_BYTES:
                return data.decode()
        raise StoreError("broken", f"{self.where} is no text of a store (UTF-8, at most {_MOST_BYTES >> 20} MiB); nothing was changed")

    def _fields(self, text: str) -> dict[str, str]:
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
                return found
        raise StoreError("broken", f"{self.where} is not a JSON object of names and texts: mend it, or move it away; nothing was changed")

    def _real(self) -> Path:
        """Where a link leads that nobody else made."""
        with contextlib.suppress(FileNotFoundError):
            self._is_ours(self._path.lstat())
        return Path(os.path.realpath(self._path))

    def _is_ours(self, found: os.stat_result) -> None:
        if os.geteuid() not in (0, found.st_uid) and found.st_uid != 0:
            raise StoreError("unsafe", f"{self.where} belongs to somebody else: give a path of your own")

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[Path]:
        """One writer at a time on this machine. The folder is what is locked: the file itself is replaced."""
        import fcntl

        path = self._real()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mode = os.fstat(folder).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise StoreError("unsafe", f"everybody may write to the folder {path.parent}: chmod o-w it, or give another path")
            for _unused in range(_LOCK_ATTEMPTS):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                self._pause(_LOCK_PAUSE)
            else:
                raise StoreError(
                    "timeout", f"another program keeps the folder {path.parent} locked: end it, or run again when it has ended"
                )
            yield path
        finally:
            os.close(folder)

    def _replace(self, path: Path, text: str | None) -> None:
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)  # of a run that was killed
        if text is None:
            path.unlink(missing_ok=True)
        else:
            try:
                self._make(part, text, path.stat() if path.exists() else None)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _make(self, part: Path, text: str, like: os.stat_result | None) -> None:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if like and like.st_uid != os.geteuid():
                os.fchown(descriptor, like.st_uid, like.st_gid)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)

    @contextlib.contextmanager
    def _system_errors(self, done: str) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError("unsafe", f"{self.where} cannot be {done}: {error.strerror}; its folder has to be there, and yours") from None


def _named(where: str, names: t.Iterable[str]) -> list[str]:
    found = list(names)
    if not all(found):
        raise StoreError("wrong_reference", f"{where}: say which field is meant")
    return found


def _whole(where: str, names: t.Collection[str]) -> bool:
    if "" in names and len(names) > 1:
        raise StoreError("wrong_reference", f"{where}: it is either one value, without a field, or has fields; both were asked for")
    return "" in names


# ---- 1Password

# kind, what op says (held against its text in lower case, without the names of vault and item), what it means and what to do
_OP_SAYS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "vault",
        ("isn't a vault",),
        "there is no such vault, or whoever is signed in may not see it; a service account sees those that it was given when it was made",
    ),
    ("item", ("isn't an item",), "there is no such item: make it once in 1Password, or correct its name"),
    ("several", ("more than one",), "several match: give the ID instead of the name"),
    (
        "rate_limit",
        ("(429)", "too many requests", "rate limit"),
        "1Password's limit of requests is reached: run again later; `op service-account ratelimit` tells when",
    ),
    (
        "locked",
        ("authorization timeout", "authorization prompt", "authorization denied", "locked", "desktop app", "biometric"),
        "1Password's app did not let op in: unlock it, and allow what it asks; where nobody sits, set OP_SERVICE_ACCOUNT_TOKEN",
    ),
    (
        "signed_out",
        ("not currently signed in", "not signed in", "no account found", "no accounts configured", "session expired", "invalid session"),
        "op is not signed in: run `op signin`, or set OP_SERVICE_ACCOUNT_TOKEN",
    ),
    (
        "forbidden",
        ("(403)", "forbidden", "permission"),
        "whoever is signed in may not do that: give it the right to read and write items there",
    ),
    (
        "token",
        ("error initializing client", "lookupauth", "service account token", "(401)", "unauthorized", "invalid token", "failed to auth"),
        "the service account's token is revoked, expired or mistyped: make a new one, and set OP_SERVICE_ACCOUNT_TOKEN",
    ),
    (
        "unreachable",
        (
            "dial tcp",
            "no such host",
            "connection refused",
            "connection reset",
            "i/o timeout",
            "deadline exceeded",
            "network is unreachable",
        ),
        "1Password cannot be reached from here: look at the network, and run again",
    ),
    ("conflict", ("(409)", "conflict"), "it was changed by somebody else meanwhile: run again"),
)
_PREFIX = re.compile(r"\[\w+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d ")
# Whether the edit took effect is then not known.
_DOUBTFUL = ("timeout", "unreachable", "unknown")


class OnePassword:
    """The fields of one item, by 1Password's command C(op); what it needs of the environment it inherits."""

    def __init__(self, run: Runner, environ: t.Mapping[str, str], vault: str, item: str, account: str = "") -> None:
        self.where = f"the item '{item}' of the vault '{vault}'"
        self._run, self._vault, self._item = run, vault, item
        self._account = ["--account", account] if account else []
        self._reveal = ["--reveal"]
        self._version_is_known = False
        self._tokens = [value for name, value in environ.items() if name.startswith("OP_") and re.search("TOKEN|SESSION", name)]

    def read(self, names: t.Iterable[str]) -> dict[str, str]:
        wanted = _named(self.where, names)
        item = self._get(self._item, self._vault)
        found = {name: self._field(item, name) for name in wanted}
        return {name: str(field["value"]) for name, field in found.items() if field and field.get("value")}

    def write(self, fields: t.Mapping[str, str | None]) -> None:
        wanted = {name: fields[name] or "" for name in _named(self.where, fields)}
        item = self._get(self._item, self._vault)
        before = self._values(item, wanted)
        if before == wanted:
            return
        if _has_passkey(item):
            raise StoreError(
                "passkey", f"{self.where} holds a passkey, which an edit by op would destroy: keep the keys in an item of their own"
            )
        self._check_version()
        self._edit(item, wanted)
        after = self._get(item["id"], item["vault"]["id"])
        self._compare(wanted, self._values(after, wanted), item.get("version"), after.get("version"))

    def _compare(self, wanted: dict[str, str], found: dict[str, str], before: t.Any, after: t.Any) -> None:
        numbers = isinstance(before, int) and isinstance(after, int)
        if numbers and after > before + 1:
            raise StoreError(
                "conflict",
                f"{self.where} was changed by somebody else meanwhile: run again; what they changed is in the item's history in 1Password",
            )
        wrong = sorted(name for name, value in wanted.items() if found[name] != value)
        if wrong:
            raise StoreError("not_stored", f"{', '.join(wrong)} was not stored in {self.where}, though op reported no error: run again")

    def _values(self, item: dict[str, t.Any], names: t.Iterable[str]) -> dict[str, str]:
        fields = {name: self._field(item, name) for name in names}
        return {name: str((field or {}).get("value") or "") for name, field in fields.items()}

    def _field(self, item: dict[str, t.Any], name: str) -> dict[str, t.Any] | None:
        found = [field for field in item["fields"] if name in (field.get("label"), field.get("id"))]
        if len(found) > 1:
            raise StoreError(
                "several", f"{self.where} has {len(found)} fields named '{name}': rename all but one, or give the ID of the field"
            )
        return found[0] if found else None

    def _get(self, item: str, vault: str) -> dict[str, t.Any]:
        argv = ["op", "item", "get", item, "--vault", vault, *self._account, "--format", "json", "--cache=false"]
        done = self._run([*argv, *self._reveal], _OP_TIMEOUT)
        if done.rc and self._reveal and "unknown flag: --reveal" in done.stderr:
            self._reveal = []  # an op that always reveals
            done = self._run(argv, _OP_TIMEOUT)
        if done.rc:
            raise self._error(done, [])
        with contextlib.suppress(ValueError, AttributeError, LookupError, TypeError):
            found = json.loads(done.stdout)
            found.setdefault("fields", [])
            if (
                isinstance(found["id"], str)
                and isinstance(found["vault"]["id"], str)
                and all(isinstance(one, dict) for one in found["fields"])
            ):
                return found
        raise StoreError("unknown", f"{self.where}: op answered something else than an item; see what `op item get` says")

    def _edit(self, item: dict[str, t.Any], wanted: dict[str, str]) -> None:
        """The whole document with other values: what op does with a field that is not in it is not documented.

        For that reason a field is emptied rather than left out.
        """
        secrets = [str(field.get("value") or "") for field in item["fields"]]
        changed = json.loads(json.dumps(item))
        for name, value in wanted.items():
            field = self._field(changed, name)
            if field is not None:
                field["value"] = value
            elif value:
                changed["fields"].append({"type": "CONCEALED", "label": name, "value": value})
        argv = ["op", "item", "edit", item["id"], "--vault", item["vault"]["id"], *self._account, "--cache=false"]
        done = self._run(argv, _OP_TIMEOUT, stdin=json.dumps(changed).encode())
        if done.rc:
            problem = self._error(done, [*secrets, *wanted.values()])
            doubt = "; whether the fields were stored is not known: a new run looks first" if problem.kind in _DOUBTFUL else ""
            raise StoreError(problem.kind, problem.message + doubt)

    def _check_version(self) -> None:
        if self._version_is_known:
            return
        done = self._run(["op", "--version"], _OP_TIMEOUT)
        if done.rc:
            raise self._error(done, [])
        number = re.match(r"(\d+)\.(\d+)", done.stdout.strip())
        if not number or (int(number[1]), int(number[2])) < OP_MINIMUM:
            least = ".".join(map(str, OP_MINIMUM))
            raise StoreError(
                "old", f"op is {number[0] if number else 'of an unknown version'}: to write, {least} or newer is needed; update it"
            )
        self._version_is_known = True

    def _error(self, done: Completed, secrets: t.Iterable[str]) -> StoreError:
        if done.rc == 127:
            return StoreError(
                "not_installed", f"{self.where}: 1Password's command op cannot be run here ({done.stderr}): install it, on PATH"
            )
        if done.rc == 124:
            return StoreError(
                "timeout", f"{self.where}: op gave {done.stderr}: see whether 1Password's app asks for something, and run again"
            )
        line = _first_line(done.stderr)
        plain = line.replace(f'"{self._item}"', "").replace(f'"{self._vault}"', "").lower()
        said = _covered(line, [*self._tokens, *secrets])[:300]
        for kind, texts, meaning in _OP_SAYS:
            if any(text in plain for text in texts):
                return StoreError(kind, f"{self.where}: {meaning} (op: {said})")
        return StoreError("unknown", f"{self.where}: op failed with {done.rc}: {said or 'it said nothing'}")


def _has_passkey(node: t.Any) -> bool:
    """Whether anything in the item says so, by its key or as its type."""
    if isinstance(node, dict):
        named = any("passkey" in key.lower() and value for key, value in node.items())
        return named or "passkey" in str(node.get("type", "")).lower() or any(map(_has_passkey, node.values()))
    return isinstance(node, list) and any(map(_has_passkey, node))


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line.startswith("[ERROR]")] or lines
    return _PREFIX.sub("", lines[0]) if lines else ""


def _covered(line: str, secrets: t.Iterable[str]) -> str:
    """Without any secret, or a piece of one as long as a word."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    for secret in known:
        for form in (json.dumps(secret)[1:-1], secret):
            if len(form) > 3:
                line = line.replace(form, "***")
    line = re.sub(r"\bops_[A-Za-z0-9_-]+", "***", line)
    return re.sub(r"[^\s\"'`,:;()]{6,}", lambda word: "***" if any(word[0] in secret for secret in known) else word[0], line)
