# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration of zot -> who may do what."""

from __future__ import annotations

DOCUMENTATION = r"""
name: access_matrix
short_description: Who may do what in a zot registry, by its configuration
version_added: 0.1.0
description:
  - Decides as zot decides, and says by which pattern and why.
  - Without names it tells of everybody, and of every kind of repository, that the configuration tells apart.
  - It needs C(jsonschema) on the controller.
positional: release, users, groups, repositories
options:
  _input:
    description:
      - The configuration, as a mapping or as the text of its file. It is read as zot reads it, so spellings of keys, nulls and texts in
        place of numbers do not matter.
    type: raw
    required: true
  release:
    description: The zot release, such as V(2.1.20).
    type: str
    default: 2.1.20
  users:
    description:
      - The users to ask for. An empty name is everybody who is not logged in.
      - Each is in the groups that the configuration puts it into. For others, such as those of an identity provider, give a mapping of
        C(name) and C(groups).
    type: list
    elements: raw
    default: []
  groups:
    description: The groups to ask for. Of each, what somebody may do who is in no other.
    type: list
    elements: str
    default: []
  repositories:
    description: The repositories to ask for, by their names. Without them, all kinds that the configuration tells apart.
    type: list
    elements: str
    default: []
  file_name:
    description: The name of the file that a text comes from; its ending tells the format (json, yaml, yml, toml), as it does for zot.
    type: str
    default: config.json
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Whoever is not logged in may only read
  ansible.builtin.assert:
    that: >-
      config | blumeops.zot.access_matrix(release='2.1.20', users=['']) | map(attribute='actions')
      | rejectattr('create.allowed', 'false') | list | length == 0
  vars:
    config: "{{ lookup('ansible.builtin.file', 'config.json') | from_json }}"

- name: What somebody may do who is in a group of the identity provider
  ansible.builtin.debug:
    msg: "{{ config | blumeops.zot.access_matrix(users=[{'name': 'jane', 'groups': ['admins']}], repositories=['team/app']) }}"
  vars:
    config: "{{ lookup('ansible.builtin.file', 'config.json') }}"
"""

RETURN = r"""
_value:
  description: One entry for each who and where.
  type: list
  elements: dict
  contains:
    who:
      description: The name of a user or group, or C(anonymous), or C(somebody logged in), of whom the configuration says nothing else.
      type: str
    kind:
      description: C(anonymous), C(authenticated), C(group) or C(user).
      type: str
    where:
      description: The pattern that tells most of a kind of repositories; or the repository that was named.
      type: str
    witness:
      description: A repository of that kind.
      type: str
    actions:
      description: >-
        For each of C(read), C(create), C(update) and C(delete) a mapping of C(allowed); C(certain), which is false where a condition of the
        request decides, or zot at random; C(rule), the pattern that decides, if any; and C(why), in words.
      type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._answer import access, load, tree_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import Release
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain


def access_matrix(
    document: t.Any,
    release: str = "2.1.20",
    users: t.Any = (),
    groups: t.Any = (),
    repositories: t.Any = (),
    file_name: str = "config.json",
) -> list[dict[str, t.Any]]:
    """See DOCUMENTATION."""
    try:
        number = Release(release)
        given = plain(document, "the configuration")
        if not isinstance(given, (dict, str)):
            raise ZotError("a configuration is a mapping, or the text of its file")
        tree = tree_of(given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given, str(file_name))
        names = {"users": users, "groups": groups, "repositories": repositories}
        return access(load(tree, number), number, **{key: _list(value, key) for key, value in names.items()})
    except ZotError as error:
        raise AnsibleFilterError(error.message) from None


def _list(value: t.Any, key: str) -> list[t.Any]:
    items = plain(value, key)
    wanted = (str, dict) if key == "users" else str
    if not isinstance(items, list) or not all(isinstance(item, wanted) for item in items):
        raise ZotError(f"{key}: a list of names is wanted")
    return items


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"access_matrix": access_matrix}
