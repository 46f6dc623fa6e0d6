# SPDX-License-Identifier: GPL-3.0-or-later
"""zot_authentik_blueprint on the controller: the registry's variables -> a blueprint -> findings -> a file, or a manifest's key."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import remote
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import load
from ansible_collections.blumeops.zot.plugins.plugin_utils._action import Args, ZotAction
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint import MARK, Authentik, Side, Wanted, build, side_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_file import ConfigMap, blueprint_in, with_blueprint
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_live import ask
from ansible_collections.blumeops.zot.plugins.plugin_utils._blueprint_rules import environment, is_without_secret, told, validate
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._settings import build as build_document
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._spec import SETTINGS
from ansible_collections.blumeops.zot.plugins.plugin_utils._local import read_local, write_local
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain

_TEXT, _NAMES = {"type": "str"}, {"type": "list", "elements": "str", "default": []}
_USER = {"username": {"type": "str", "required": True}, "name": _TEXT, "email": _TEXT, "groups": _NAMES}
_PLACE = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "zot.yaml"},
}
_SIDE = ("external_url", "oidc", "local_users", "groups", "grants", "overrides")


class ActionModule(ZotAction):
    """See the module's documentation."""

    SPEC: t.ClassVar = {
        "state": {"type": "str", "choices": ["written", "judged"], "default": "written"},
        "path": {"type": "str"},
        "config_map": {"type": "dict", "options": _PLACE},
        "replace": {"type": "bool", "default": False},
        "release": {"type": "str", "required": True},
        "settings": {"type": "dict", "options": {name: SETTINGS[name] for name in _SIDE}},
        "document": {"type": "dict"},
        "client_id": {"type": "str", "default": ""},
        "provider": {"type": "str", "default": ""},
        "authentik_release": {"type": "str", "required": True},
        "name": {"type": "str", "default": Wanted.name},
        "client_secret_env": {"type": "str", "default": Wanted.secret_env, "no_log": False},
        "client_secret_file": {"type": "str", "default": "", "no_log": False},
        "signing_key": {"type": "str", "default": Wanted.signing_key, "no_log": False},
        "authorization_flow": {"type": "str", "default": Wanted.authorization_flow},
        "invalidation_flow": {"type": "str", "default": Wanted.invalidation_flow},
        "bound_groups": {"type": "list", "elements": "str"},
        "retired_groups": _NAMES,
        "service_users": {"type": "list", "elements": "dict", "options": _USER, "default": []},
        "after": _NAMES,
        "discovery": {"type": "bool", "default": False},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    }
    RULES: t.ClassVar = {
        "mutually_exclusive": [("settings", "document")],
        "required_one_of": [("settings", "document")],
        "required_by": {"config_map": "path"},
        "required_if": [("state", "judged", ["path"])],
    }
    transport: t.ClassVar[t.Any] = staticmethod(remote)

    def act(self, args: Args, _task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        given = plain(args, "arguments")
        side, wanted, writes = _side(given), _wanted(given), given["state"] == "written"
        file = _File.of(given, self._loader.path_dwim) if given["path"] else None
        blueprint = build(side, wanted) if writes else t.cast("_File", file).require()
        findings = validate(blueprint, side, wanted.release, everyone=wanted.bound_groups == ())
        if given["discovery"]:
            findings += ask(side, self._transport(given))
        result = told(findings, given["fail_on"], wanted.release)
        result.update(changed=False, environment=environment(blueprint), redirect_uri=side.redirect_uri)
        if file and file.place and not file.place.key.endswith(".yaml"):
            result["warnings"].append(f"{file.where}: authentik reads files that end in .yaml alone, so mount the key as one")
        if writes:
            result["blueprint"] = blueprint
        if writes and file:
            self._write(file, blueprint, given["replace"], result)
        return result

    def _write(self, file: _File, blueprint: str, replace: bool, result: dict[str, t.Any]) -> None:
        text = file.with_blueprint(blueprint, replace)
        if text == file.text or result["failed"]:
            return
        result.update(changed=True, diff=[file.diff(blueprint)])
        if not self._task.check_mode:
            write_local(file.path.resolve(), text.encode())  # a link stays one

    def _transport(self, given: dict[str, t.Any]) -> t.Callable[..., t.Any]:
        def asked(method: str, url: str, verify: bool = True) -> t.Any:
            return self.transport(method, url, verify=verify and given["validate_certs"], ca_path=given["ca_path"])

        return asked


def _side(given: dict[str, t.Any]) -> Side:
    """What the registry's configuration wants, by the very builder that makes it."""
    release = Release(given["release"])
    document, client_id = given["document"], given["client_id"]
    if document is None:
        defaults = {name: option.get("default") for name, option in SETTINGS.items()}
        settings = {**defaults, "data_dir": "/", **given["settings"]}
        document = build_document(settings, {"oidc_client_secret": "", "upstream_passwords": {}}, release, "/").document
        client_id = client_id or (settings["oidc"] or {}).get("client_id", "")
    return side_of(load(document, release), client_id, given["provider"])


def _wanted(given: dict[str, t.Any]) -> Wanted:
    bound = given["bound_groups"]
    return Wanted(
        release=Authentik.of(given["authentik_release"]),
        **{name: given[name] for name in ("name", "signing_key", "authorization_flow", "invalidation_flow")},
        secret_env="" if given["client_secret_file"] else given["client_secret_env"],
        secret_file=given["client_secret_file"],
        bound_groups=None if bound is None else tuple(bound),
        **{name: tuple(given[name]) for name in ("retired_groups", "service_users", "after")},
    )


@dataclass
class _File:
    """The file on the controller, and what is in it."""

    path: Path
    place: ConfigMap | None
    text: str | None

    @staticmethod
    def of(given: dict[str, t.Any], found: t.Callable[[str], str]) -> _File:
        path = Path(found(given["path"]))
        content = read_local(path)
        if content is None and not path.parent.is_dir():
            raise ZotError(f"{path.parent} is no folder on the controller; make it first")
        try:
            text = None if content is None else content.decode()
        except UnicodeDecodeError:
            raise ZotError(f"{path} is there and is no text; give another path, or move that file away") from None
        return _File(path, ConfigMap(**given["config_map"]) if given["config_map"] else None, text)

    @property
    def where(self) -> str:
        return f"{self.path}, key {self.place.key} of {self.place.name}" if self.place else str(self.path)

    @property
    def blueprint(self) -> str:
        """Empty where there is none."""
        return (blueprint_in(self.text, self.place, str(self.path)) or "") if self.text is not None else ""

    def require(self) -> str:
        if not self.blueprint:
            raise ZotError(f"{self.where}: there is no blueprint on the controller; name another path")
        return self.blueprint

    def with_blueprint(self, blueprint: str, replace: bool) -> str:
        """The text that is to be there. One that somebody wrote by hand is not lost without a word of theirs."""
        if self.blueprint.strip() and not self.blueprint.startswith(MARK) and not replace:
            raise ZotError(f"{self.where}: a blueprint made by hand; compare it with state: judged, then replace it with replace: true")
        return with_blueprint(self.text, blueprint, self.place, str(self.path))

    def diff(self, blueprint: str) -> dict[str, str]:
        """Of the blueprint alone. What others wrote may hold anything, and is not shown."""
        before = self.blueprint
        shown = before if not before or (before.startswith(MARK) and is_without_secret(before)) else "(made by hand, and not shown)\n"
        return {"before_header": self.where, "after_header": self.where, "before": shown, "after": blueprint}
