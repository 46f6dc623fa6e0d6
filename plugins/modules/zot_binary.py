#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_binary
short_description: Install a zot binary beside the others
version_added: 0.1.0
description:
  - Puts a zot binary into a folder, under a name made of its release and its sum, beside those that are there. Nothing is started, and no
    binary that is there is replaced by another one.
  - It comes from O(path) on the host, from O(file) on the controller, or else from O(url), which the host downloads when the binary is not
    there yet.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details: O(url) is not asked in check mode.
  diff_mode:
    support: full
    details: Release, sum and origin.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  release:
    description: The zot release it is, such as V(2.1.20).
    type: str
    required: true
  install_dir:
    description: Folder of the binaries on the host; made when missing.
    type: path
    required: true
  path:
    description: A binary on the host.
    type: path
  file:
    description: A binary on the controller; a relative name is looked for as M(ansible.builtin.copy) does.
    type: str
  url:
    description: Where the binary can be downloaded, when neither O(path) nor O(file) is given.
    type: str
  sha256:
    description: The sum the binary must have. Needed for O(url).
    type: str
    default: ""
author:
  - The blumeops.zot authors (@eblume)
seealso:
  - name: zot's releases
    description: The binaries and their sums.
    link: https://github.com/project-zot/zot/releases
"""

EXAMPLES = r"""
- name: Install the zot that was built on this Mac
  blumeops.zot.zot_binary:
    release: 2.1.20
    install_dir: ~/.local/lib/zot
    path: ~/src/zot/bin/zot-darwin-arm64
"""

RETURN = r"""
binary:
  description: Its path on the host.
  returned: success
  type: str
sha256:
  description: Its sum.
  returned: success
  type: str
"""
