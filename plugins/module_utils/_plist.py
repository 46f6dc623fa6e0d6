# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the definition of a launchd job, as a dictionary, as bytes and as the file that holds it."""

from __future__ import annotations

import hashlib
import os
import plistlib
import re
import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError

DIGEST = "LAUNCH_AGENT_DIGEST"
"""The environment variable by which a loaded job tells which definition it was loaded from."""

Definition = dict[str, t.Any]
_PATH_KEYS = ("Program", "StandardErrorPath", "StandardInPath", "StandardOutPath", "WorkingDirectory")


@dataclass(frozen=True)
class PlistFile:
    """What lies at ``path``; ``definition`` is None where there is no file or none that can be read."""

    path: Path
    content: bytes | None = None
    definition: Definition | None = None
    problem: str | None = None
    mode: int = 0
    uid: int = -1
    link: bool = False

    def fits(self, definition: Definition, mode: int, uid: int) -> bool:
        """Whether it is a real file that says the same, with this mode and owner. The order of keys and comments do not matter."""
        return self.definition == definition and not self.link and (self.mode, self.uid) == (mode, uid)


def look(path: Path) -> PlistFile:
    """Read the file; what cannot be parsed is kept as bytes, what cannot be read raises ZotError."""
    try:
        found, content = path.stat(), path.read_bytes()
    except FileNotFoundError:
        return PlistFile(path, link=path.is_symlink())
    except OSError as error:
        raise ZotError(f"{path} cannot be read: {error.strerror}") from None
    definition, problem = None, None
    try:
        definition = parse(content)
    except ZotError as error:
        problem = error.message
    return PlistFile(path, content, definition, problem, stat.S_IMODE(found.st_mode), found.st_uid, path.is_symlink())


def parse(content: bytes) -> Definition:
    """The dictionary in a property list; raises ZotError, also for what plistlib lets pass: a key given twice, another root."""
    try:
        definition = plistlib.loads(content)
    except (ExpatError, ValueError, OverflowError, TypeError, IndexError, AttributeError) as error:
        raise ZotError(f"is not a property list: {error or type(error).__name__}") from None
    if not isinstance(definition, dict):
        raise ZotError("is not a property list: its root is no dictionary")
    if not content.startswith(b"bplist"):
        for item in ElementTree.fromstring(content).iter("dict"):  # noqa: S314 - plistlib, which refuses entities, has read it
            keys = [child.text for child in item if child.tag == "key"]
            twice = sorted({str(key) for key in keys if keys.count(key) > 1})
            if twice:
                raise ZotError(f"is not a property list: {', '.join(twice)} given twice")
    return definition


def build(label: str, arguments: list[str] | None, options: Definition, definition: Definition | None, home: str) -> Definition | None:
    """The definition a user asked for, linted, or None when neither ``arguments`` nor ``definition`` say any. ``~`` is ``home``."""
    if definition is None:
        if arguments is None:
            return None
        definition = {"ProgramArguments": arguments, "RunAtLoad": True, **options}
    wanted: Definition = {**definition, "Label": label}
    for key in _PATH_KEYS:
        if isinstance(wanted.get(key), str):
            wanted[key] = expand(wanted[key], home)
    argv = wanted.get("ProgramArguments")
    if isinstance(argv, list) and argv and isinstance(argv[0], str):
        wanted["ProgramArguments"] = [expand(argv[0], home), *argv[1:]]
    require_sound(wanted)
    return wanted


def expand(path: str, home: str) -> str:
    """``~`` and ``~/...`` with this home: launchd expands nothing, and C($HOME) may be another user's."""
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def require_label(label: str) -> None:
    """Raises ZotError for a label that is no file name or that launchctl would misread."""
    accepts, rule = _RULES["Label"]
    if not accepts(label):
        raise ZotError(f"label {label} {rule}")


def require_sound(definition: Definition) -> None:
    """Raises ZotError with everything that launchd would refuse or silently ignore."""
    problems = [f"{key} {rule}" for key, (accepts, rule) in _RULES.items() if key in definition and not accepts(definition[key])]
    if not definition.get("ProgramArguments") and not definition.get("Program"):
        problems.append("ProgramArguments is missing: say what to run")
    elif "Program" not in definition and not str(definition["ProgramArguments"][0]).startswith("/"):
        problems.append("ProgramArguments must begin with an absolute path")
    if not problems:
        try:
            plistlib.dumps(definition)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            problems.append(f"it cannot be written as a property list ({error})")
    if problems:
        raise ZotError(f"the definition of {definition.get('Label', 'the agent')} is not right: {'; '.join(problems)}")


def render(definition: Definition) -> bytes:
    """The same bytes for the same definition."""
    return plistlib.dumps(definition, sort_keys=True)


def sealed(definition: Definition) -> Definition:
    """With the digest of all the rest in its environment."""
    bare = unsealed(definition)
    digest = hashlib.sha256(render(bare)).hexdigest()[:16]
    return {**bare, "EnvironmentVariables": {**bare.get("EnvironmentVariables", {}), DIGEST: digest}}


def unsealed(definition: Definition) -> Definition:
    """Without the digest."""
    variables = {name: value for name, value in definition.get("EnvironmentVariables", {}).items() if name != DIGEST}
    rest = {key: value for key, value in definition.items() if key != "EnvironmentVariables"}
    return {**rest, "EnvironmentVariables": variables} if variables else rest


def digest_of(definition: Definition) -> str | None:
    """The digest it carries, if any."""
    return definition.get("EnvironmentVariables", {}).get(DIGEST)


def shown(definition: Definition, veil: t.Callable[[str], str] | None) -> str:
    """As XML for people; ``veil`` replaces the values of the environment."""
    if veil and definition.get("EnvironmentVariables"):
        definition = {**definition, "EnvironmentVariables": {k: veil(str(v)) for k, v in definition["EnvironmentVariables"].items()}}
    return render(definition).decode()


def make_folder(folder: Path, uid: int, gid: int) -> None:
    """Make it and its missing parents, the user's own: launchd refuses a file in a folder that others own."""
    if not folder.is_dir():
        make_folder(folder.parent, uid, gid)
        folder.mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(folder, uid, gid)


def _is_path(value: t.Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _is_count(value: t.Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_strings(value: t.Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _is_umask(value: t.Any) -> bool:
    return bool(re.fullmatch(r"0?[0-7]{1,3}", value)) if isinstance(value, str) else _is_count(value) and value <= 0o777


def _is_limits(value: t.Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) and _is_count(limit) for key, limit in value.items())


def _is_environment(value: t.Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair)


# launchd ignores most values of a wrong type without a word, so they are refused here.
_RULES: dict[str, tuple[t.Callable[[t.Any], bool], str]] = {
    "Label": (lambda value: bool(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", str(value))), "may only have letters, digits and . _ -"),
    "ProgramArguments": (_is_strings, "must be a list of strings"),
    "RunAtLoad": (lambda value: isinstance(value, bool), "must be true or false"),
    "KeepAlive": (lambda value: isinstance(value, bool) or (isinstance(value, dict) and bool(value)), "must be true, false or conditions"),
    "ThrottleInterval": (lambda value: _is_count(value, 1), "must be a number of seconds, at least 1"),
    "ExitTimeOut": (lambda value: _is_count(value, 1), "must be a number of seconds, at least 1"),
    "ProcessType": (lambda value: value in ("Adaptive", "Background", "Interactive", "Standard"), "is none of launchd's"),
    "EnvironmentVariables": (_is_environment, "must have strings as names and values (quote numbers and booleans)"),
    "SoftResourceLimits": (_is_limits, "must have numbers as values"),
    "HardResourceLimits": (_is_limits, "must have numbers as values"),
    "Umask": (_is_umask, 'must be octal digits in quotes, like "077"'),
    "LimitLoadToSessionType": (lambda value: isinstance(value, str) or _is_strings(value), "must be a string or a list of strings"),
    **dict.fromkeys(_PATH_KEYS, (_is_path, "must be an absolute path")),
}
