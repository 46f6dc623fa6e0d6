#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_check_here
short_description: Look at CI's key, and at other services, from the controller
version_added: 0.1.0
description:
  - The key is taken from its store, and the registry is asked whether it takes it and how old it is. zot notes that as a use of the key.
    It is amber once M(blumeops.zot.zot_rotating_key) should have replaced it, and red when there is none, or it is refused.
  - All is asked at the same time. No secret is told.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
attributes:
  platform:
    support: full
    platforms: posix
options:
  key:
    description: The key, as the role V(blumeops.zot.zot_ci_key) keeps it.
    type: dict
    suboptions:
      url:
        description: The registry as the controller reaches it.
        type: str
        required: true
      username:
        description: Whose key it is.
        type: str
        required: true
      validate_certs:
        description: Whether the registry's certificate is verified.
        type: bool
        default: true
      ca_path:
        description: A file of certificates to trust, on the controller.
        type: str
      store:
        description: Where it is kept.
        type: dict
        required: true
        suboptions:
          kind:
            description: V(onepassword) is an item, V(file) a JSON object in a file, V(environment) the environment.
            type: str
            choices: [onepassword, file, environment]
            required: true
          vault:
            description: The vault. Needed for V(onepassword).
            type: str
          item:
            description: The item. Needed for V(onepassword).
            type: str
          account:
            description: The 1Password account, where C(op) knows several.
            type: str
          path:
            description: The file. Needed for V(file).
            type: path
          field:
            description: The field, or the variable's name.
            type: str
      max_age:
        description: How long a key lives.
        type: str
        default: 90d
      renew_after:
        description: After how long it is replaced; two thirds of O(key.max_age) when left out.
        type: str
      overlap:
        description: How long the key before lives on.
        type: str
        default: 24h
  others:
    description: Other services to look at, so that one command tells of all.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What its line is called.
        type: str
        required: true
      url:
        description: Green when it answers with success or a redirect. Exactly one of this and O(others[].command) is needed.
        type: str
      command:
        description: Given to C(/bin/sh -c) on the controller; green when that ends with 0. What it prints is not shown.
        type: str
  ca_path:
    description: A file of certificates to trust for O(others).
    type: str
  timeout:
    description: Seconds to wait for each of O(others).
    type: float
    default: 5
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: How old is the key, and does the forge answer?
  blumeops.zot.zot_check_here:
    key:
      url: https://registry.example.org
      username: zot-ci
      store: {kind: file, path: ~/.config/zot-ci.json, field: zot-ci-api}
    others:
      - {name: forge, url: https://forge.example.org/}
      - {name: backup, command: "test -n \"$(find /var/backups/zot -mtime -1)\""}
"""

RETURN = r"""
lines:
  description: One for each check.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: C(key), or the name of one of O(others).
      type: str
    level:
      description: V(green), V(amber), V(red), or V(grey) for what does not apply or was not asked, as RV(lines[].text) says.
      type: str
    text:
      description: What was found, for people.
      type: str
    facts:
      description: Numbers for machines, such as C(days_left).
      type: dict
"""
