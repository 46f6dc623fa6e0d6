# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the files zot reads, on the host: look, stage, commit, promote, restore.

Everything lies in the folder of the configuration. A file is made beside its target and renamed over it, so a run that is
stopped anywhere leaves whole files only. C(last-good/record.json) holds what was proved last, secrets included, and is
readable by its owner alone; plans compare with it and a rollback restores it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import secrets
import shutil
import stat
import typing as t
from pathlib import Path
from types import MappingProxyType

from ansible_collections.blumeops.zot.plugins.module_utils._document import changed_paths, effective, masked
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

OIDC_FILE = "oidc-credentials.json"
UPSTREAMS_FILE = "upstream-credentials.json"
SESSION_FILE = "session-keys.json"
HTPASSWD_FILE = "htpasswd"
_MANAGED = (HTPASSWD_FILE, OIDC_FILE, SESSION_FILE, UPSTREAMS_FILE)


class Owner(t.NamedTuple):
    """Whose the files are (ids, or None to leave them) and the mode of what zot reads (0600 or 0640)."""

    uid: int | None = None
    gid: int | None = None
    mode: int = 0o600

    @property
    def folder_mode(self) -> int:
        return 0o750 if self.mode & 0o040 else 0o700


class Layout(t.NamedTuple):
    """Where things lie for one configuration file."""

    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def staged(self) -> Path:
        return self.folder / ".staged"

    @property
    def record(self) -> Path:
        return self.folder / "last-good" / "record.json"


class Wanted(t.NamedTuple):
    """The files the host is to have: name -> text, None where the text is not known (its secret was not given)."""

    document: dict[str, t.Any]
    text: str
    files: t.Mapping[str, str | None] = MappingProxyType({})


def look(layout: Layout, wanted: Wanted, owner: Owner) -> dict[str, t.Any]:
    """How the host differs from what is wanted. Holds no secret: documents are masked, files are only same, differs, absent or unknown."""
    live, error = _read_document(layout.config)
    record = read_record(layout)
    return {
        "live": None if live is None else masked(effective(live)),
        "live_error": error,
        "live_differs": None if live is None else changed_paths(effective(live), effective(wanted.document)),
        "record": None if record is None else _shown_record(layout, record, wanted),
        "files": {name: _compare(layout.folder / name, text, record, name) for name, text in sorted(wanted.files.items())},
        "drift": _drift(layout, wanted, owner),
    }


def stage(layout: Layout, wanted: Wanted, owner: Owner) -> None:
    """Write everything that is wanted into a folder of its own beside the live files; what a former run left there goes."""
    discard(layout)
    _make_folder(layout.folder, owner, owner.folder_mode)
    _make_folder(layout.staged, owner, owner.folder_mode)
    for name, text in {**_texts(layout, wanted), layout.config.name: wanted.text}.items():
        write_file(layout.staged / name, text.encode(), owner)


def discard(layout: Layout) -> None:
    """Remove the staged files, if any."""
    shutil.rmtree(layout.staged, ignore_errors=True)


def commit(layout: Layout, service_file: Path | None) -> list[str]:
    """Rename the staged files over the live ones, the configuration last; returns their names.

    On the first run over an installation made by hand, what is there becomes the (unproved) record, so that even
    this run can go back. Recorded files that are no longer needed go; those that come new are noted, for a rollback.
    """
    if not (layout.staged / layout.config.name).exists():
        raise ZotError(f"nothing is staged in {layout.staged}: run zot_config with state=staged first")
    names = sorted(path.name for path in layout.staged.iterdir() if path.name != layout.config.name)
    added = [name for name in names if not (layout.folder / name).exists()]
    known = read_record(layout)
    record = known
    if record is None and layout.config.exists():
        record = {**_snapshot(layout, service_file), "proved": False, "binary": None, "release": None}
    if record is not None and (record is not known or added):
        _save_record(layout, {**record, "added": sorted({*record.get("added", []), *added})})
    obsolete = _obsolete(layout, record, names, read_document(layout.staged / layout.config.name)) if record else []
    for name in [*names, layout.config.name]:
        (layout.staged / name).replace(layout.folder / name)
    for name in obsolete:
        (layout.folder / name).unlink(missing_ok=True)
    sync_folder(layout.folder)
    layout.staged.rmdir()
    return [*names, layout.config.name]


def promote(layout: Layout, binary: str, release: str, service_file: Path | None) -> bool:
    """What is live has been proved: make it the record. Returns whether the record changed."""
    record = {**_snapshot(layout, service_file), "proved": True, "binary": binary, "release": release}
    if record == read_record(layout):
        return False
    _save_record(layout, record)
    return True


def restore(layout: Layout, owner: Owner) -> dict[str, t.Any] | None:
    """Bring the record's files back, by rename; returns its C(binary), C(release) and C(proved), or None where there is none."""
    discard(layout)
    record = read_record(layout)
    if record is None:
        return None
    for name in record.get("added", []):
        (layout.folder / name).unlink(missing_ok=True)
    for name, text in record["files"].items():
        write_file(layout.folder / name, text.encode(), owner)
    write_file(layout.config, record["config"].encode(), owner)
    if record["service"]:
        path = Path(record["service"]["path"])
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        write_file(path, base64.b64decode(record["service"]["content"]), Owner(mode=mode))
    return {key: record[key] for key in ("binary", "release", "proved")}


def read_record(layout: Layout) -> dict[str, t.Any] | None:
    """The record, or None when there is none. One that cannot be read is an error: it is what a rollback needs."""
    try:
        return json.loads(layout.record.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ZotError(f"{layout.record} cannot be read ({_reason(error)}); mend or remove it: without it there is no rollback") from None


def read_document(path: Path) -> dict[str, t.Any]:
    """The effective document at ``path``; raises ZotError when there is none that can be read."""
    document, error = _read_document(path)
    if document is None:
        raise ZotError(error or f"{path} is not there")
    return effective(document)


def make_folders(folders: list[dict[str, t.Any]], owner: Owner, check_mode: bool) -> list[str]:
    """Make the folders that are missing, owned like the files; returns their paths. Raises ZotError where that is not possible."""
    missing = [item for item in folders if not Path(item["path"]).is_dir()]
    for item in missing:
        path = Path(item["path"])
        if check_mode:
            _require_writable(path)
        else:
            uid, gid = item.get("uid"), item.get("gid")
            theirs = Owner(owner.uid if uid is None else uid, owner.gid if gid is None else gid)
            _make_folder(path, theirs, int(item.get("mode", "0750"), 8))
    return [item["path"] for item in missing]


def write_file(path: Path, content: bytes, owner: Owner) -> None:
    """Write atomically: a temporary file beside the target, on disk before it is renamed. Never readable by more than the target."""
    temporary = path.with_name(f".{path.name}.{binascii.hexlify(os.urandom(4)).decode()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if owner.uid is not None or owner.gid is not None:
                os.fchown(stream.fileno(), _id(owner.uid), _id(owner.gid))
            os.fchmod(stream.fileno(), owner.mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _texts(layout: Layout, wanted: Wanted) -> dict[str, str]:
    """The text of every wanted file. Session keys are made once and kept; they never leave the host."""
    texts = {}
    for name, text in wanted.files.items():
        live = layout.folder / name
        if text is not None:
            texts[name] = text
        elif live.exists():
            texts[name] = live.read_text()
        elif name == SESSION_FILE:
            texts[name] = json.dumps({"hashKey": secrets.token_hex(32), "encryptKey": secrets.token_hex(16)}) + "\n"
        else:
            raise ZotError(f"{live} is wanted, but its secret was not given and the host does not have it")
    return texts


def _compare(path: Path, text: str | None, record: dict[str, t.Any] | None, name: str) -> dict[str, str]:
    live = path.read_text(errors="replace") if path.exists() else None
    proved = (record or {}).get("files", {}).get(name)
    expected = live if text is None else text
    return {"live": _verdict(live, expected), "proved": _verdict(proved, expected)}


def _verdict(found: str | None, expected: str | None) -> str:
    if found is None:
        return "absent"
    return "same" if found == expected else "differs"


def _drift(layout: Layout, wanted: Wanted, owner: Owner) -> list[str]:
    """What zot does not notice: files whose mode or owner is not as wanted, and what a stopped run staged, secrets among it."""
    drifted = [f"{layout.staged}: left by a run that was stopped"] if layout.staged.exists() else []
    for path in [layout.config, *(layout.folder / name for name in wanted.files)]:
        if path.exists():
            found = path.stat()
            if (
                stat.S_IMODE(found.st_mode) != owner.mode
                or owner.uid not in (None, found.st_uid)
                or owner.gid not in (None, found.st_gid)
                or path.is_symlink()
            ):
                drifted.append(f"{path}: mode or owner differs")
    return drifted


def _read_document(path: Path) -> tuple[dict[str, t.Any] | None, str | None]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as error:
        return None, f"{path} cannot be read as JSON ({_reason(error)})"
    return (document, None) if isinstance(document, dict) else (None, f"{path} holds no JSON object")


def _reason(error: Exception) -> str:
    """Why, without quoting the content."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}: {error.msg}"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _shown_record(layout: Layout, record: dict[str, t.Any], wanted: Wanted) -> dict[str, t.Any]:
    try:
        document = effective(json.loads(record["config"]))
    except ValueError:
        document = {}
    return {
        "document": masked(document),
        "differs": changed_paths(document, effective(wanted.document)),
        "obsolete": _obsolete(layout, record, wanted.files, wanted.document),
        **{key: record[key] for key in ("binary", "release", "proved")},
    }


def _obsolete(layout: Layout, record: dict[str, t.Any], names: t.Iterable[str], document: dict[str, t.Any]) -> list[str]:
    """Recorded files that are not wanted any more. One that the document names is the user's own, and needed."""
    return [name for name in sorted(set(record["files"]) - set(names)) if not _is_named(str(layout.folder / name), document)]


def _is_named(path: str, value: t.Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(_is_named(path, item) for item in (value.values() if isinstance(value, dict) else value))
    return value == path


def _snapshot(layout: Layout, service_file: Path | None) -> dict[str, t.Any]:
    """What lies there now."""
    service = None
    if service_file and service_file.exists():
        service = {"path": str(service_file), "content": base64.b64encode(service_file.read_bytes()).decode()}
    others = [layout.folder / name for name in _MANAGED if (layout.folder / name).is_file()]
    return {
        "config": layout.config.read_text(),
        "files": {path.name: path.read_text() for path in others},
        "inode": layout.config.stat().st_ino,
        "service": service,
    }


def _save_record(layout: Layout, record: dict[str, t.Any]) -> None:
    _make_folder(layout.record.parent, Owner(), 0o700)
    write_file(layout.record, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode(), Owner())
    sync_folder(layout.record.parent)


def _make_folder(path: Path, owner: Owner, mode: int) -> None:
    if path.is_dir():
        return
    _require_writable(path)
    missing = [path, *(parent for parent in path.parents if not parent.exists())]
    for folder in reversed(missing):
        folder.mkdir()
        folder.chmod(mode if folder == path else 0o755)
        if owner.uid is not None or owner.gid is not None:
            os.chown(folder, _id(owner.uid), _id(owner.gid))


def _require_writable(path: Path) -> None:
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ZotError(f"{path} cannot be made: {nearest} is not a folder this user may write to; give another path or the right to write")


def _id(value: int | None) -> int:
    return -1 if value is None else value
