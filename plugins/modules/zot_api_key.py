#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_api_key
short_description: Make or revoke an API key of zot
version_added: 0.1.0
description:
  - Makes a key where the user has no live one with O(label), and revokes keys by O(label) or O(uuid).
  - zot tells the secret of a key once, when it is made. A key that is there already stays as it is, and its secret cannot be had again.
  - For a key that renews itself and is kept in a store, without passing through a variable, take the role V(blumeops.zot.zot_ci_key).
  - It runs where the task is told to; C(delegate_to=localhost) asks from the controller.
  - A key may do what its owner may. It carries the groups of the owner's last login, and ends neither with the owner's password nor with
    the owner. Only the owner can revoke it.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.zot_login
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Keys are shown by uuid, label and expiry. Ansible hides the diff of a task with C(no_log).
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description:
      - V(present) has one live key with O(label); it fails where there are several.
      - V(absent) revokes the key O(uuid), or all keys with O(label), expired ones too. A key that this login uses is revoked last, with a
        warning.
    type: str
    choices: [present, absent]
    default: present
  label:
    description: Name of the key. zot lets any number of keys have the same.
    type: str
  uuid:
    description: The key to revoke, for O(state=absent). Only this one, or O(label), is given.
    type: str
  expires:
    description:
      - When a new key is to expire, needed for O(state=present). A date and time with zone (RFC 3339), a duration from now by the
        registry's clock of weeks, days, hours, minutes and seconds such as V(90d) or V(1w12h), or V(never).
      - zot cannot change it later. Where a live key has another expiry than the date that is given, that is a warning.
    type: str
  scopes:
    description: Refused, as zot stores scopes and never enforces them; see O(send_scopes).
    type: list
    elements: str
    default: []
  send_scopes:
    description: Whether O(scopes) are stored with a new key all the same, as a note.
    type: bool
    default: false
  return_secret:
    description:
      - Whether a new key is returned although the task does not say C(no_log=true), so that Ansible may print it.
      - Without either nothing is made, as the secret would be shown or lost.
    type: bool
    default: false
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: A key for a script
  blumeops.zot.zot_api_key:
    url: https://registry.example.org
    username: erich
    password: "{{ vault_erich_password }}"
    label: laptop
    expires: 90d
  delegate_to: localhost
  register: made
  no_log: true

- name: Keep it, if it is new
  ansible.builtin.copy:
    content: "{{ made.api_key }}"
    dest: ~/.config/zot-key
    mode: "0600"
  delegate_to: localhost
  when: made is changed
  no_log: true

- name: A laptop was lost
  blumeops.zot.zot_api_key:
    url: https://registry.example.org
    username: erich
    password: "{{ vault_erich_password }}"
    label: laptop
    state: absent
"""

RETURN = r"""
key:
  description: The live key with O(label), without its secret; null where check mode would make it, and for O(state=absent).
  returned: success
  type: dict
  contains:
    uuid:
      description: Its name for zot.
      type: str
    label:
      description: Its label.
      type: str
    created:
      description: When it was made, as RFC 3339 in UTC like all that follow.
      type: str
    expires:
      description: When it expires; null for never.
      type: str
    last_used:
      description: When it was last used; null for never.
      type: str
    expired:
      description: Whether it has expired.
      type: bool
    scopes:
      description: What zot stores as scopes, and does not enforce.
      type: list
      elements: str
api_key:
  description: The secret, to log in with as the password of O(username). It cannot be had again.
  returned: when a key was made
  type: str
revoked:
  description: The uuids of the keys that were revoked, or would be.
  returned: success
  type: list
  elements: str
"""


from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import LOGIN, ONE_SECRET, ApiKeys, Plan, difference, plan, shown
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "label": {"type": "str"},
            "uuid": {"type": "str"},
            "expires": {"type": "str"},
            "scopes": {"type": "list", "elements": "str", "default": []},
            "send_scopes": {"type": "bool", "default": False},
            "return_secret": {"type": "bool", "default": False, "no_log": False},
        },
        required_one_of=[*ONE_SECRET["required_one_of"], ("label", "uuid")],
        mutually_exclusive=[*ONE_SECRET["mutually_exclusive"], ("label", "uuid")],
        required_if=[("state", "present", ["label", "expires"])],
        supports_check_mode=True,
    )
    args = module.params
    try:
        client = ApiKeys(
            args["url"], args["username"], args["password"] or args["api_key"], sender(args["validate_certs"], args["ca_path"])
        )
        keys = client.listed()
        todo = plan(keys, args, client.now or datetime.now(timezone.utc))
        if todo.mint and not (module.no_log or args["return_secret"]):
            raise ZotError("the new key would be shown: say no_log: true on the task, or return_secret: true if that does not matter")
        done = {} if module.check_mode else _apply(client, todo, args)
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    for warning in todo.warnings:
        module.warn(warning)
    module.exit_json(
        changed=todo.changed,
        diff=difference(todo, args["label"] or ""),
        revoked=[key.uuid for key in todo.revoke],
        **{"key": shown(todo.kept) if todo.kept else None, **done},
    )


def _apply(client: ApiKeys, todo: Plan, args: dict) -> dict:
    for key in todo.revoke:
        client.revoke(key.uuid)
    if not todo.mint:
        return {}
    key, secret = client.mint(args["label"], todo.expires, args["scopes"])
    return {"key": shown(key), "api_key": secret}


if __name__ == "__main__":
    main()
