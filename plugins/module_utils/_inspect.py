# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the files, folders and identity providers that a configuration names are worth to zot.

Every answer has C(state): C(ok), C(absent), C(unreadable), C(broken) or C(unjudged), and C(reason) where it is not C(ok). It holds
names, kinds and lengths, never a content: no answer can give a secret away. Content is read as zot reads it, with Go's rules.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pwd
import re
import shutil
import stat
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._document import effective
from ansible_collections.blumeops.zot.plugins.module_utils._judging import Answer, VerdictError, answer_of, json_of, judged, shown

_MOST_BYTES = 16 << 20
_MOST_SLOW_BYTES = 64 << 10  # of YAML and TOML, whose parsers are written in Python


# What viper takes for a format. Which of those that are not read here can be read depends on the release of zot.
_ELSEWHERE = frozenset({"properties", "props", "prop", "hcl", "tfvars", "dotenv", "env", "ini"})

_BCRYPT_PREFIXES = (b"$2a$", b"$2b$", b"$2y$")
_BCRYPT = re.compile(rb"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_SCHEMES = ((b"$5$", "sha256"), (b"$6$", "sha512"), (b"$apr1$", "apr1"), (b"$1$", "md5"), (b"{SHA}", "sha1"), (b"$argon2", "argon2"))
_CRYPT = re.compile(rb"[./0-9A-Za-z]{13}|\$[0-9a-z-]+\$.*")
_LONGEST_LINE = 65535  # Go's bufio.Scanner gives up at a longer one
_MOST_BAD_LINES = 100

_YAML_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_YAML_BOOLS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_YAML_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?0([xX][0-9a-fA-F]{1,16}|[oO][0-7]+|[bB][01]+)", re.ASCII)
_YAML_WORDY_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_YAML_TIME = re.compile(
    r"\d{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12]\d|3[01])"
    r"([Tt]\d?\d:\d?\d:\d?\d(\.\d+)?(Z|[-+]\d\d:\d\d)| \d?\d:\d?\d:\d?\d(\.\d+)?)?",
    re.ASCII,
)
_YAML_TAG = "tag:yaml.org,2002:"


def inspect(kind: str, path: str) -> Answer:
    """Look at what lies at ``path``, with the rights of this very process; never raises and changes nothing."""
    try:
        if not path:
            return answer_of("absent", "no path")
        if not Path(path).is_absolute():
            return answer_of("unjudged", "a relative path: what it names depends on the folder in which zot is started")
        if kind in _PLACES:
            return _PLACES[kind](path)
        if kind in _CONTENTS:
            return _file(kind, path)
    except FileNotFoundError:
        return answer_of("absent", "a link to nothing" if Path(path).is_symlink() else "not there")
    except NotADirectoryError:
        return answer_of("absent", "not there: a part of its path is a file")
    except OSError as error:
        return answer_of("unreadable", error.strerror or type(error).__name__)
    except ValueError:
        return answer_of("unreadable", "not a path")
    return answer_of("unjudged", "an unknown kind of file")


def inspect_content(kind: str, data: bytes, name: str) -> Answer:
    """The same for a content that is known beforehand; ``name`` is that of its file."""
    if kind in ("exists", "readable"):
        return {"state": "ok"}
    if kind not in _CONTENTS:
        return answer_of("unjudged", "not told by its content")
    return judged(lambda: _CONTENTS[kind](data, name))


def as_user(uid: int | None, gid: int | None, call: t.Callable[[], Answer]) -> Answer:
    """What ``call`` answers with the rights of another user, where root asks for that."""
    if uid is None or os.geteuid() != 0 or uid == 0:
        return _told(call)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, this copy of the process must not go on: it would end the module a second time.
        try:
            answer = _told(lambda: _turned_into(uid, gid, call))
            with os.fdopen(writing, "wb") as stream:
                stream.write(json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else answer_of("unjudged", "the process that looked ended without an answer")


def _told(call: t.Callable[[], Answer]) -> Answer:
    try:
        return call()
    except Exception as error:
        return answer_of("unjudged", type(error).__name__)


def _turned_into(uid: int, gid: int | None, call: t.Callable[[], Answer]) -> Answer:
    """For good: nothing of root is left in this process."""
    try:
        account = pwd.getpwuid(uid)
        group = account.pw_gid if gid is None else gid
        os.initgroups(account.pw_name, group)
    except KeyError:
        group = uid if gid is None else gid
        os.setgroups([group])
    os.setgid(group)
    os.setuid(uid)
    return call()


# --- places


def _file(kind: str, path: str) -> Answer:
    if kind == "keys" and not _is_format(path):
        return _unsupported(path)  # which viper says before it looks at the file
    with _opened(path) as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        return answer_of("unjudged", f"larger than {_MOST_BYTES >> 20} MiB")
    return inspect_content(kind, data, path)


def _readable(path: str) -> Answer:
    with _opened(path):
        return {"state": "ok"}


def _opened(path: str) -> t.BinaryIO:
    """Looked at before it is opened: to open a pipe or a device does something."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(0, "a folder" if stat.S_ISDIR(mode) else "not a regular file")
    return Path(path).open("rb")


def _exists(path: str) -> Answer:
    Path(path).stat()
    return {"state": "ok"}


def _log(path: str) -> Answer:
    """zot opens it to append, and makes it where it is missing, but not its folder."""
    place = Path(os.path.realpath(path))
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        if not place.parent.is_dir():
            return answer_of("absent", f"its folder {place.parent} is not there")
        if not os.access(place.parent, os.W_OK | os.X_OK):
            return answer_of("unreadable", f"no right to write to {place.parent}")
        return {"state": "ok"}
    if stat.S_ISDIR(mode):
        return answer_of("unreadable", "a folder")
    if not os.access(place, os.W_OK):
        return answer_of("unreadable", "no right to write to it")
    return {"state": "ok"}


def _folder(path: str) -> Answer:
    """zot makes it where it is missing, with parents."""
    wanted = Path(path)
    answer: Answer = {"exists": False, "free_bytes": None, "owner_uid": None}
    try:
        wanted.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        return {**answer, **answer_of("unreadable", getattr(error, "strerror", "") or "not a path")}
    nearest = next(place for place in (wanted, *wanted.parents) if os.path.lexists(place))
    try:
        found = nearest.stat()
    except OSError:
        return {**answer, **answer_of("unreadable", f"{nearest} is in the way: a link to nothing that can be seen")}
    answer["owner_uid"] = found.st_uid
    if not stat.S_ISDIR(found.st_mode):
        return {**answer, **answer_of("unreadable", f"{nearest} is in the way: not a folder")}
    with contextlib.suppress(OSError):
        answer["free_bytes"] = shutil.disk_usage(nearest).free
    answer["exists"] = nearest == wanted
    if not os.access(nearest, os.W_OK | os.X_OK | (os.R_OK if answer["exists"] else 0)):
        return {**answer, **answer_of("unreadable", f"no right to write to {nearest}")}
    return {**answer, "state": "ok"}


_PLACES: dict[str, t.Callable[[str], Answer]] = {"exists": _exists, "folder": _folder, "log": _log, "readable": _readable}


# --- contents


def _keys(data: bytes, name: str) -> Answer:
    """What viper makes of it: names in lower case, without nulls and empty objects."""
    if not _is_format(name):
        return _unsupported(name)
    extension = _extension(name)
    if extension not in _READERS:
        raise VerdictError("unjudged", f"the format {extension} is not read here")
    content = _READERS[extension](data)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise VerdictError("broken", "its top level is not an object")
    # Of two spellings of one name viper keeps the one that is not in lower case.
    spelled = sorted(content.items(), key=lambda item: item[0] != item[0].lower())
    kept = effective({key.lower(): value for key, value in spelled})
    return {"state": "ok", "keys": {shown(key): {"kind": _kind(value), "length": _length(value)} for key, value in kept.items()}}


def _kind(value: t.Any) -> str:
    kinds = ((str, "string"), (bool, "bool"), ((int, float), "number"), (list, "list"))
    # A time of YAML or TOML is a struct in Go, which no text takes.
    return next((kind for types, kind in kinds if isinstance(value, types)), "map")


def _length(value: t.Any) -> int:
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 0


def _extension(name: str) -> str:
    """Go's: a name may begin with it, and case counts."""
    _before, dot, extension = name.rpartition("/")[2].rpartition(".")
    return extension if dot else ""


def _is_format(name: str) -> bool:
    return _extension(name) in _READERS or _extension(name) in _ELSEWHERE


def _unsupported(name: str) -> Answer:
    return answer_of("broken", f'Unsupported Config Type "{shown(_extension(name))}"')


def _credentials(data: bytes, _name: str) -> Answer:
    """Go reads it into a map of structs, whose fields have no case and whose other fields do not matter."""
    content = json_of(data)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise VerdictError("broken", "its top level is not an object")
    return {"state": "ok", "hosts": {shown(host): _lacking(login) for host, login in content.items()}}


def _lacking(login: t.Any) -> list[str]:
    """Which halves of a login are missing or empty. One value of another type, and Go reads nothing of the file."""
    if login is not None and not isinstance(login, dict):
        raise VerdictError("broken", "what it says of a host is not an object")
    found = {"username": "", "password": ""}
    for key, value in (login or {}).items():
        field = key.lower()
        if field in found and value is not None:
            if not isinstance(value, str):
                raise VerdictError("broken", f"a {field} is not a text")
            found[field] = value
    return [field for field, value in found.items() if not value]


def _htpasswd(data: bytes, _name: str) -> Answer:
    """zot cuts each line at its first colon, trims nothing, lets the last of two entries win and skips what has no colon."""
    told: Answer = {"state": "ok", "users": {}, "bad_lines": [], "duplicates": [], "costs": {}}
    for number, ended in enumerate(data.removesuffix(b"\n").split(b"\n") if data else [], 1):
        if len(ended) > _LONGEST_LINE:
            return {**told, **answer_of("broken", f"line {number} is longer than zot reads: it skips this one and all that follow")}
        line = ended.removesuffix(b"\r")
        name, colon, hashed = line.partition(b":")
        if colon and name:
            _add_user(told, name.decode("utf-8", "backslashreplace"), hashed)
        elif (colon or not _is_remark(line)) and len(told["bad_lines"]) < _MOST_BAD_LINES:
            told["bad_lines"].append(number)
    return told


def _is_remark(line: bytes) -> bool:
    return not line.strip() or line.lstrip().startswith(b"#")


def _add_user(told: Answer, name: str, hashed: bytes) -> None:
    if name in told["users"] and name not in told["duplicates"]:
        told["duplicates"].append(name)
    told["users"][name] = _scheme(hashed)
    told["costs"].pop(name, None)
    if told["users"][name] == "bcrypt":
        told["costs"][name] = int(hashed[4:6])


def _scheme(hashed: bytes) -> str:
    if hashed.startswith(_BCRYPT_PREFIXES):
        return "bcrypt" if _BCRYPT.fullmatch(hashed) else "broken-bcrypt"
    known = next((scheme for prefix, scheme in _SCHEMES if hashed.startswith(prefix)), None)
    return known or ("crypt" if _CRYPT.fullmatch(hashed) else "plain")


def _pem(data: bytes, _name: str) -> Answer:
    """The blocks that Go finds; it skips those that are no base64 or do not end as they began."""
    blocks: list[str] = []
    label, body = None, []
    for line in (line.rstrip(b" \t") for line in data.replace(b"\r\n", b"\n").split(b"\n")):
        if line.startswith(b"-----BEGIN "):
            label, body = (line[11:-5] if line.endswith(b"-----") else None), []
        elif line.startswith(b"-----END "):
            if label is not None and line == b"-----END " + label + b"-----" and _is_base64(body):
                blocks.append(label.decode("ascii", "replace")[:64])
            label = None
        elif label is not None:
            body.append(line)
    if not blocks:
        raise VerdictError("broken", "it has no PEM block")
    return {"state": "ok", "blocks": blocks}


def _is_base64(lines: list[bytes]) -> bool:
    """Behind headers, which do not stand alone."""
    headers = next((number for number, line in enumerate(lines) if b":" not in line), len(lines))
    try:
        base64.b64decode(re.sub(rb"[ \t\r]", b"", b"".join(lines[headers:])), validate=True)
    except ValueError:
        return False
    return headers == 0 or headers < len(lines)


_CONTENTS: dict[str, t.Callable[[bytes, str], Answer]] = {"credentials": _credentials, "htpasswd": _htpasswd, "keys": _keys, "pem": _pem}


# --- formats


def _toml(data: bytes) -> t.Any:
    try:
        import tomllib
    except ImportError:
        raise VerdictError("unjudged", "TOML, which needs Python 3.11") from None
    try:
        return tomllib.loads(_small(data))
    except ValueError as error:
        raise VerdictError("broken", f"not TOML{_where(str(error))}") from None  # the error itself may quote


def _where(message: str) -> str:
    found = re.search(r"at line (\d+)", message)
    return f": line {found.group(1)}" if found else ""


def _small(data: bytes) -> str:
    if len(data) > _MOST_SLOW_BYTES:
        raise VerdictError("unjudged", f"larger than {_MOST_SLOW_BYTES >> 10} KiB")
    return data.decode()


def _yaml(data: bytes) -> t.Any:
    """The first document, with the types of Go's YAML, for which C(yes) is a text and C(1:30) too."""
    try:
        import yaml
    except ImportError:
        raise VerdictError("unjudged", "YAML, for which Python has no PyYAML here") from None

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: t.Any, index: t.Any) -> t.Any:
            if self.check_event(yaml.AliasEvent) or self.peek_event().tag is not None:
                raise VerdictError("unjudged", "YAML with aliases or tags")
            return super().compose_node(parent, index)

        def resolve(self, kind: t.Any, value: t.Any, implicit: t.Any) -> t.Any:
            plain = kind is yaml.ScalarNode and implicit[0]
            return _YAML_TAG + _yaml_type(value) if plain else super().resolve(kind, value, (False, False))

    if b"\t" in data:
        raise VerdictError("unjudged", "YAML with tabs")  # where Go and Python differ in what they take
    try:
        loader = Loader(_small(data))
        return _yaml_value(loader.get_node()) if loader.check_node() else None
    except UnicodeDecodeError:
        raise VerdictError("broken", "not YAML: no UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise VerdictError("broken", f"not YAML: line {mark.line + 1}" if mark else "not YAML") from None  # the error itself may quote


def _yaml_type(text: str) -> str:
    if text in _YAML_NULLS:
        return "null"
    if text in _YAML_BOOLS:
        return "bool"
    if text == "<<":
        return "merge"
    if _YAML_TIME.fullmatch(text):
        return "timestamp"
    digits = text.replace("_", "") if text[0] in "+-0123456789" else text
    return "float" if _YAML_NUMBER.fullmatch(digits) or _YAML_WORDY_NUMBER.fullmatch(text) else "str"


def _yaml_value(node: t.Any) -> t.Any:
    """Its kind is what counts: lists, numbers and times have a value of their kind."""
    if node.id == "sequence":
        return [_yaml_value(item) for item in node.value]
    if node.id == "mapping":
        return _yaml_mapping(node)
    values = {"null": None, "bool": True, "float": 0.0, "timestamp": object()}
    return values.get(node.tag[len(_YAML_TAG) :], node.value)


def _yaml_mapping(node: t.Any) -> dict[str, t.Any]:
    content: dict[str, t.Any] = {}
    for key, value in node.value:
        if key.id != "scalar" or key.tag == _YAML_TAG + "merge":
            raise VerdictError("unjudged", "YAML with keys that are no names")
        if key.value in content:
            raise VerdictError("broken", f"not YAML: line {key.start_mark.line + 1}: a key stands there twice")
        content[key.value] = _yaml_value(value)
    return content


_READERS: dict[str, t.Callable[[bytes], t.Any]] = {"json": json_of, "toml": _toml, "yaml": _yaml, "yml": _yaml}
