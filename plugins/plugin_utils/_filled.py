# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a role's variables with their templates filled in, each of them once.

Ansible compiles the template of a variable anew wherever the variable is named. A role whose variables name each other pays for that
with most of the time that its settings take; for many hosts it is most of what the controller does.
"""

from __future__ import annotations

import re
import typing as t

from ansible.template import is_trusted_as_template

_REFERENCE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Templar(t.Protocol):
    """As much as is used of Ansible's."""

    def copy_with_new_env(self, *, available_variables: dict[str, t.Any]) -> Templar: ...

    def template(self, variable: t.Any) -> t.Any: ...


class Filled:
    """Fills in values as ``templar`` would with these ``variables``. Those whose names begin with ``own`` are known to name each other."""

    def __init__(self, templar: Templar, variables: dict[str, t.Any], own: str) -> None:
        # Each is replaced by what it comes to, so that no template that names it fills it in again.
        self._variables = dict(variables)
        self._templar = templar.copy_with_new_env(available_variables=self._variables)
        self._own = re.compile(rf"\b{own}\w+")
        self._begun: set[str] = set()
        self._open: set[str] = set()

    def __call__(self, value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        if not isinstance(value, str):
            return self._templar.template(value)
        if "{" not in value and not value.startswith("#jinja2:"):
            return value
        # Only of what somebody wrote into the inventory or the role: what a host says is no template.
        if is_trusted_as_template(value):
            reference = _REFERENCE.fullmatch(value)
            if reference and self._resolve(reference[1]):
                return self._variables[reference[1]]
            for name in self._own.findall(value):
                self._resolve(name)
        return self._templar.template(value)

    def _resolve(self, name: str) -> bool:
        """Whether it is known now. One that is not, or that leads back to itself, is for Ansible to complain of."""
        if name in self._begun:
            return name not in self._open
        if name not in self._variables:
            return False
        self._begun.add(name)
        self._open.add(name)
        self._variables[name] = self(self._variables[name])
        self._open.discard(name)
        return True
