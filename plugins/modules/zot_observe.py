#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_observe
short_description: The host's side of zot_check
version_added: 0.1.0
description:
  - Looks at everything around one zot that M(blumeops.zot.zot_check) judges, at the same time and in one call. It judges nothing.
  - Nothing is changed. Each login of O(identities) and each question is a request like any other in zot's log and metrics.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
attributes:
  platform:
    support: full
    platforms: posix
options:
  service_manager:
    description: What runs zot; V(auto) is launchd on macOS and systemd on Linux.
    type: str
    choices: [auto, launchd, systemd, systemd_user]
    default: auto
  places:
    description:
      - Where zot lies by service manager; C(~) is the home of the user who runs the module. Each has C(config_path) and C(service), as
        M(blumeops.zot.zot_info) has it, and C(owner), C(group) and C(file_mode) of its files.
    type: dict
    required: true
  release:
    description: The release that is expected; the binary is asked for it where zot does not tell.
    type: str
  identities:
    description: A JSON list of name and secret, the empty name for everybody who is not logged in.
    type: str
    default: '[["", ""]]'
  questions:
    description: What each of O(identities) is asked, as M(blumeops.zot.zot_host) has it; nothing when empty.
    type: dict
    default: {}
  images:
    description: By name of an upstream an image of it that is fetched through zot, without the upstream's name.
    type: dict
    default: {}
  ca_path:
    description: A file on the host with certificates to trust besides the system's.
    type: path
  timeout:
    description: Seconds to wait for each answer of the network; all together take at most twice as long.
    type: float
    default: 5
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Look at everything around this zot
  blumeops.zot.zot_observe:
    places:
      launchd:
        config_path: ~/.config/zot/config.json
        service: {manager: launchd, name: mcquack.eblume.zot}
"""

RETURN = r"""
host:
  description: C(user), C(home) and C(service_manager), as M(blumeops.zot.zot_host) tells them.
  returned: success
  type: dict
seen:
  description: What was found, by the check it is for. No secret is in it, and no content of a file but the masked configuration.
  returned: success
  type: dict
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._check_observe import look
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service_manager": {"type": "str", "choices": ["auto", "launchd", "systemd", "systemd_user"], "default": "auto"},
            "places": {"type": "dict", "required": True},
            "release": {"type": "str"},
            # As a whole: Ansible covers each secret wherever it stands in a result, within other words too.
            "identities": {"type": "str", "no_log": True, "default": '[["", ""]]'},
            "questions": {"type": "dict", "default": {}},
            "images": {"type": "dict", "default": {}},
            "ca_path": {"type": "path"},
            "timeout": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module.params)
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
