#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_api_key_info
short_description: List the API keys of a user of zot
version_added: 0.1.0
description:
  - Tells of each key of O(username) how old it is, when it expires and when it was last used. Nobody, not even an administrator, can
    list the keys of somebody else.
  - No secret is told; zot itself keeps none.
  - When it logs in with a key, zot notes that as its last use.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
  - blumeops.zot.zot_login
attributes:
  platform:
    support: full
    platforms: posix
options:
  label:
    description: Only keys with this label.
    type: str
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: How long does the CI key live?
  blumeops.zot.zot_api_key_info:
    url: https://registry.example.org
    username: zot-ci
    password: "{{ vault_zot_ci_password }}"
    label: ci
  register: ci

- name: It is about to expire
  ansible.builtin.fail:
    msg: "{{ item.uuid }} expires in {{ item.expires_in_days }} days"
  loop: "{{ ci.api_keys }}"
  when: item.expires_in_days is not none and item.expires_in_days < 14
"""

RETURN = r"""
api_keys:
  description: The keys, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    uuid:
      description: Its name for zot.
      type: str
    label:
      description: Its label; several keys may have the same.
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
    age_days:
      description: Days since it was made.
      type: float
    expires_in_days:
      description: Days until it expires, less than 0 for since then; null for never.
      type: float
now:
  description: The time by the registry's clock, from which the days are counted.
  returned: success
  type: str
"""


from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import LOGIN, ONE_SECRET, ApiKeys, shown, text_of
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender


def main() -> None:
    module = AnsibleModule(argument_spec={**LOGIN, "label": {"type": "str"}}, supports_check_mode=True, **ONE_SECRET)
    args = module.params
    try:
        client = ApiKeys(
            args["url"], args["username"], args["password"] or args["api_key"], sender(args["validate_certs"], args["ca_path"])
        )
        keys = client.listed()
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    now = client.now or datetime.now(timezone.utc)
    wanted = [key for key in keys if args["label"] is None or key.label == args["label"]]
    module.exit_json(changed=False, api_keys=[shown(key, now) for key in wanted], now=text_of(now))


if __name__ == "__main__":
    main()
