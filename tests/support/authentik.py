# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of authentik as a blueprint for one OpenID client needs: an importer with a database in memory, and what it then says of people.

No authentik can be run where there is no container registry. This follows its importer (blueprints/v1) and its OAuth2 provider as they are
published, with null and unknown references as Django's REST framework answers them. It shares no code with the collection.
"""

from __future__ import annotations

import copy
import types
import typing as t
import uuid
from collections.abc import Mapping

import yaml

Object = dict[str, t.Any]

MANAGED = "goauthentik.io/providers/oauth2/scope-"
CERTIFICATE = "authentik Self-signed Certificate"
_DEFAULTS = {
    "openid": "return {}",
    "email": 'return {"email": request.user.email, "email_verified": False}',
    "profile": (
        'return {"name": request.user.name, "given_name": request.user.name, "preferred_username": request.user.username,'
        ' "nickname": request.user.username, "groups": [group.name for group in request.user.RELATION.all()]}'
    ),
    "offline_access": "return {}",
}
_MODELS = {
    "authentik_providers_oauth2.oauth2provider": ("name", "authorization_flow", "invalidation_flow", "redirect_uris"),
    "authentik_providers_oauth2.scopemapping": ("name", "scope_name", "expression"),
    "authentik_core.application": ("name", "slug"),
    "authentik_core.group": ("name",),
    "authentik_core.user": ("username", "name"),
    "authentik_policies.policybinding": ("target", "order"),
    "authentik_crypto.certificatekeypair": ("name", "certificate_data"),
    "authentik_flows.flow": ("name", "slug", "title", "designation"),
}
# Field -> the model that it refers to, and whether null will do.
_REFERENCES = {
    "authorization_flow": ("authentik_flows.flow", False),
    "invalidation_flow": ("authentik_flows.flow", False),
    "signing_key": ("authentik_crypto.certificatekeypair", True),
    "property_mappings": ("authentik_providers_oauth2.scopemapping", False),
    "provider": ("authentik_providers_oauth2.oauth2provider", True),
    "target": ("authentik_core.application", False),
    "group": ("authentik_core.group", True),
    "groups": ("authentik_core.group", False),
}


class BlueprintError(Exception):
    """Why nothing of the file was applied, as authentik's status would have it."""


class Authentik:
    """A database with what authentik makes itself, and the environment of its worker."""

    def __init__(self, environment: Mapping[str, str], relation: str = "groups", certificates: tuple[str, ...] = (CERTIFICATE,)) -> None:
        self.environment = environment
        # The field with a user's groups, which was another before 2026.2.
        self.relation = relation
        self.objects: list[Object] = []
        for name in certificates:
            self.add("authentik_crypto.certificatekeypair", name=name, certificate_data="-")
        for slug in ("default-provider-authorization-implicit-consent", "default-provider-invalidation-flow"):
            self.add("authentik_flows.flow", slug=slug, name=slug, title=slug, designation="authorization")
        for scope, expression in _DEFAULTS.items():
            text = expression.replace("RELATION", relation)
            self.add("authentik_providers_oauth2.scopemapping", managed=MANAGED + scope, name=scope, scope_name=scope, expression=text)

    def add(self, model: str, **fields: t.Any) -> Object:
        self.objects.append({"model": model, "pk": str(uuid.uuid4()), **fields})
        return self.objects[-1]

    def person(self, username: str, *groups: str) -> None:
        """A user, in groups that are made where they are not there."""
        found = [self.one("authentik_core.group", name=name) or self.add("authentik_core.group", name=name) for name in groups]
        fields = {
            "username": username,
            "name": username.title(),
            "email": f"{username}@example.org",
            "groups": [one["pk"] for one in found],
        }
        user = self.one("authentik_core.user", username=username)
        self.add("authentik_core.user", **fields) if user is None else user.update(fields)

    def all(self, model: str, **fields: t.Any) -> list[Object]:
        named = [one for one in self.objects if one["model"] == model]
        return [one for one in named if all(one.get(name) == value for name, value in fields.items())]

    def one(self, model: str, **fields: t.Any) -> Object | None:
        return next(iter(self.all(model, **fields)), None)

    def by_key(self, key: t.Any, model: str) -> Object | None:
        return self.one(model, pk=key)

    # --- the importer

    def apply(self, text: str) -> None:
        """All of the file or nothing."""
        given = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        if given["version"] != 1:
            raise BlueprintError("invalid version")
        before = copy.deepcopy(self.objects)
        made: dict[str, Object] = {}
        try:
            for entry in given["entries"]:
                self._apply(entry, made)
        except BlueprintError:
            self.objects = before
            raise

    def _apply(self, entry: dict[str, t.Any], made: dict[str, Object]) -> None:
        def resolve(value: t.Any) -> t.Any:
            return self._resolve(value, made)

        if not all(resolve(entry.get("conditions", []))):
            return
        model = entry["model"]
        if model == "authentik_blueprints.metaapplyblueprint":
            if resolve(entry["attrs"]).get("required", True):
                raise BlueprintError("Required blueprint does not exist")
            return
        identifiers = resolve(entry.get("identifiers", {}))
        if not identifiers:
            raise BlueprintError("No or invalid identifiers")
        found, state = self.one(model, **identifiers), entry.get("state", "present")
        if state == "absent":
            if found:
                self.objects.remove(found)
            return
        data = {**resolve(entry.get("attrs", {})), **identifiers}
        self._validate(model, data, found)
        if found is None:
            found = self.add(model, **data)
        elif state == "present":
            found.update(data)
        if entry.get("id"):
            made.setdefault(entry["id"], found)

    def _validate(self, model: str, data: Object, found: Object | None) -> None:
        if found is None:
            for name in _MODELS[model]:
                if name not in data:
                    raise BlueprintError(f"{name}: This field is required.")
        for name, value in data.items():
            refers, nullable = _REFERENCES.get(name, ("", name == "description"))
            for one in value if isinstance(value, list) and refers else [value]:
                if one is None and not nullable:
                    raise BlueprintError(f"{name}: This field may not be null.")
                if refers and one is not None and self.by_key(one, refers) is None:
                    raise BlueprintError(f"{name}: {one} - object does not exist.")
        if model == "authentik_policies.policybinding" and not data.get("group"):
            raise BlueprintError("One of 'policy', 'group', 'user' must be set.")

    def _resolve(self, value: t.Any, made: dict[str, Object]) -> t.Any:
        if isinstance(value, _Tag):
            return self._tag(value, made)
        if isinstance(value, dict):
            return {key: self._resolve(item, made) for key, item in value.items()}
        return [self._resolve(item, made) for item in value] if isinstance(value, list) else value

    def _tag(self, tag: _Tag, made: dict[str, Object]) -> t.Any:
        if tag.name == "KeyOf":
            if tag.given not in made:
                raise BlueprintError(f"KeyOf: failed to find entry with `id` of `{tag.given}`")
            return made[tag.given]["pk"]
        if tag.name == "Env":
            name, default = tag.given if isinstance(tag.given, list) else (tag.given, None)
            return self.environment.get(name) or default
        if tag.name == "Find":
            model, *fields = tag.given
            found = self.one(model, **{name: self._resolve(value, made) for name, value in fields})
            return found["pk"] if found else None
        if tag.name == "If":
            asked, then, otherwise = tag.given
            return self._resolve(then if self._resolve(asked, made) else otherwise, made)
        raise BlueprintError(f"could not determine a constructor for the tag !{tag.name}")

    # --- the provider

    def claims(self, username: str, scopes: list[str]) -> dict[str, t.Any]:
        """What the provider's mappings say of a user to a client that asks for these scopes."""
        provider = self.all("authentik_providers_oauth2.oauth2provider")[0]
        mappings = [self.by_key(key, "authentik_providers_oauth2.scopemapping") for key in provider["property_mappings"]]
        said: dict[str, t.Any] = {"sub": username}
        for mapping in sorted((one for one in mappings if one), key=lambda one: one["scope_name"]):
            if mapping["scope_name"] in scopes:
                said.update(_evaluate(mapping["expression"], self._user(username)))
        return said

    def _user(self, username: str) -> types.SimpleNamespace:
        user = self.one("authentik_core.user", username=username)
        assert user
        groups = [types.SimpleNamespace(name=one["name"]) for key in user["groups"] if (one := self.by_key(key, "authentik_core.group"))]
        relation = {self.relation: types.SimpleNamespace(all=lambda: groups)}
        return types.SimpleNamespace(username=username, name=user["name"], email=user.get("email", ""), **relation)

    def allows(self, username: str, application: Object) -> bool:
        """Whether the bindings let the user use the application."""
        user = self.one("authentik_core.user", username=username)
        bindings = [one for one in self.all("authentik_policies.policybinding", target=application["pk"]) if one.get("enabled", True)]
        passed = [user is not None and (one["group"] in user["groups"]) != one.get("negate", False) for one in bindings]
        return not passed or (all if application.get("policy_engine_mode") == "all" else any)(passed)


def _evaluate(expression: str, user: types.SimpleNamespace) -> dict[str, t.Any]:
    body = "".join(f"    {line}\n" for line in expression.splitlines())
    scope: dict[str, t.Any] = {"request": types.SimpleNamespace(user=user), "user": user}
    exec(f"def mapping():\n{body}", scope)  # noqa: S102 - as authentik does; the text is the test's own
    return scope["mapping"]()


class _Tag:
    def __init__(self, name: str, given: t.Any) -> None:
        self.name, self.given = name, given


class _Loader(yaml.SafeLoader):
    """With the tags that the model knows."""


def _construct(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> _Tag:
    return _Tag(suffix, node.value if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(t.cast("t.Any", node), deep=True))


_Loader.add_multi_constructor("!", _construct)
