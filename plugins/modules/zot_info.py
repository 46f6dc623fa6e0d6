#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_info
short_description: Wait until zot serves, and tell what runs
version_added: 0.1.0
description:
  - Asks the zot of this very host whether it is ready (C(/readyz), for older releases C(/v2/)), which release it is and which process
    runs it.
  - Fails, with the last lines it logged, when that is not so within O(wait_timeout), when another release answers or when the process
    changes.
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
    description: Path of zot's configuration on the host; it tells where zot answers.
    type: path
    required: true
  release:
    description:
      - The release that must answer. Where zot does not tell (its management endpoint is part of search), the process must run O(binary).
    type: str
  binary:
    description: The binary the process must run.
    type: path
  steady:
    description: Seconds after which the same process must still be there.
    type: float
    default: 0
  wait_timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 60
  service:
    description: The service that runs zot.
    type: dict
    required: true
    suboptions:
      manager:
        description: The service manager.
        type: str
        choices: [launchd, systemd, systemd_user]
        required: true
      name:
        description: Label or unit.
        type: str
        required: true
      launchctl:
        description: Path of launchctl.
        type: path
        default: /bin/launchctl
      log_paths:
        description: Where a launchd service logs.
        type: list
        elements: path
        default: []
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Which zot runs on this Mac?
  blumeops.zot.zot_info:
    config_path: /Users/erichblume/.config/zot/config.json
    service: {manager: launchd, name: mcquack.eblume.zot}
"""

RETURN = r"""
ready:
  description: Always true; anything else is a failure.
  returned: success
  type: bool
url:
  description: Where it answers.
  returned: success
  type: str
release:
  description: The release zot says it is; null where it does not tell.
  returned: success
  type: str
pid:
  description: The process that serves.
  returned: success
  type: int
log:
  description: What it logged last, of zot's own lines only level, message and error.
  returned: failure
  type: list
  elements: str
"""
