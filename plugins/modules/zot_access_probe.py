#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_access_probe
short_description: Ask a live zot whether everybody may do what its configuration says, and nothing else
version_added: 0.1.0
description:
  - Reads from a configuration who may do what, over one repository of each kind that it tells apart, asks a running zot the same, and
    fails with every difference.
  - Nothing is stored, changed or deleted for it, no upstream registry is asked, and C(log.audit) stays as it is. Each question is a
    request that zot refuses in any case, but in another way when it is allowed. In zot's own log, and in its metrics, they are requests
    like any other.
  - A login with a password makes zot write the groups of that user to C(meta.db), as each pull and push does, the same ones again unless
    the groups in the configuration were changed. A login with an API key writes there when the key was last used. No other file changes.
  - To be allowed to V(update) a tag is asked of a tag that is there, and so only where a repository of that kind is stored.
  - zot checks a password anew for each request, which takes it about 50 ms of one processor where the collection made the password file.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
attributes:
  platform:
    support: full
    platforms: posix
options:
  config_path:
    description:
      - Path on the host of the configuration that says what is expected.
      - Exactly one of O(config_path) and O(document) is needed.
    type: str
  document:
    description: The configuration itself.
    type: dict
  release:
    description: The release whose rules say what the configuration means.
    type: str
    required: true
  url:
    description:
      - Where to ask, such as V(https://registry.example.org). The certificate is verified; a proxy of the environment is not used.
      - When left out, zot is asked where the configuration listens on its own host, whatever name its certificate carries.
    type: str
  identities:
    description: Who asks, beside everybody who is not logged in.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name to log in with.
        type: str
        required: true
      password:
        description: The password. Exactly one of this, O(identities[].api_key) and O(identities[].store) is needed.
        type: str
      api_key:
        description:
          - An API key of that user. Its groups are those of the user's last login, so a difference is only a warning.
        type: str
      store:
        description: A store that keeps the password; the controller reads it.
        type: dict
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
      groups:
        description: Groups that an identity provider puts the user into; those of the configuration are known.
        type: list
        elements: str
        default: []
  repositories:
    description: Names of repositories to ask for too.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: Seconds to wait until zot is ready.
    type: int
    default: 10
  fail:
    description: Whether it fails when an answer differs. That nothing could be asked is always a failure.
    type: bool
    default: true
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Does it answer as its configuration says?
  blumeops.zot.zot_access_probe:
    config_path: /Users/erichblume/.config/zot/config.json
    release: 2.1.20
    identities:
      - {name: zot-ci, password: "{{ vault_zot_ci_password }}"}

- name: The same from outside, with an API key of somebody whom the identity provider knows
  blumeops.zot.zot_access_probe:
    config_path: /Users/erichblume/.config/zot/config.json
    release: 2.1.20
    url: https://registry.example.org
    identities:
      - {name: erich@example.org, api_key: "{{ vault_zot_api_key }}", groups: [admins]}
    repositories: [blumeops/devpi]
"""

RETURN = r"""
asked:
  description: How many questions zot answered.
  returned: success, and when an answer differs
  type: int
wrong:
  description:
    - What zot answers otherwise than declared, with C(who), C(repository), C(action), what was C(expected) and C(answered), the
      pattern C(rule) that decides (null for none) and C(why). C(severity) is C(warning) for API keys, else C(error).
  returned: success, and when an answer differs
  type: list
  elements: dict
unsure:
  description: Answers that the configuration does not foretell, as patterns of one length or conditions decide; with the same keys.
  returned: success, and when an answer differs
  type: list
  elements: dict
unasked:
  description: What was not asked, with C(repository), C(action) and C(reason).
  returned: success, and when an answer differs
  type: list
  elements: dict
refused:
  description: Who could not log in.
  returned: success, and when an answer differs
  type: list
  elements: str
untold:
  description: What zot gave no answer to that tells anything, with its C(status).
  returned: success, and when an answer differs
  type: list
  elements: dict
answers:
  description: Every answer, with the keys of RV(wrong) and whether what was expected is C(certain).
  returned: success
  type: list
  elements: dict
url:
  description: Where zot was asked.
  returned: success, and when an answer differs
  type: str
release:
  description: The release zot says it is; null where it does not tell.
  returned: success, and when an answer differs
  type: str
"""
