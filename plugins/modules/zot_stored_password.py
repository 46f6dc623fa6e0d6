#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_stored_password
short_description: A random password that is made once and kept in a store
version_added: 0.1.0
description:
  - Returns the password that a field of a store holds, and makes one there when it holds none. It is for a local user of zot who is no
    person, such as C(zot-ci), and of whom nobody has to know the password.
  - It runs on the controller, whatever the host.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details: A password that is not there yet is not made, and RV(password) is null.
  diff_mode:
    support: none
    details: There is nothing that may be shown.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  store:
    description: Where the password is kept. V(environment) is read only, and so has to hold one.
    type: dict
    required: true
    suboptions:
      kind:
        description: V(onepassword) is an item, which the command C(op) reads and writes; V(file) is a JSON object in a file of mode 0600.
        type: str
        choices: [onepassword, file, environment]
        required: true
      vault:
        description: The vault, by name or ID. Needed for V(onepassword).
        type: str
      item:
        description: The item, by name or ID. Needed for V(onepassword). It has to be there.
        type: str
      account:
        description: The 1Password account, where C(op) knows several.
        type: str
      path:
        description: The file. Needed for V(file).
        type: path
      field:
        description: The field that holds the password.
        type: str
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Find the password of the CI user
  blumeops.zot.zot_stored_password:
    store: {kind: file, path: ~/.config/blumeops/zot-ci.json, field: zot-ci-api-password}
  register: ci
  no_log: true
"""

RETURN = r"""
password:
  description: The password; null in check mode where it would be made.
  returned: success
  type: str
"""
