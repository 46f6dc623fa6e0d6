#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_check_report
short_description: Tell what M(blumeops.zot.zot_check) found on all hosts, in one table or as JSON
version_added: 0.1.0
description:
  - Fails when a line is red. A host whose check failed is a red line.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
attributes:
  platform:
    support: full
    platforms: posix
options:
  hosts:
    description:
      - The hosts of the report. Those that were skipped, or not asked, are left out. What C(localhost) was asked by C(here) is told too.
    type: list
    elements: str
    required: true
  variable:
    description: The variable in which the result of M(blumeops.zot.zot_check) was registered.
    type: str
    required: true
  output:
    description: V(table) is for people, V(json) for machines.
    type: str
    choices: [table, json]
    default: table
  path:
    description: A file on the controller to write to; shown when left out.
    type: str
  colour:
    description: Whether the words for colours have them, for a terminal.
    type: bool
    default: false
  fail_on:
    description: V(amber) makes amber lines a failure too.
    type: str
    choices: [red, amber]
    default: red
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Tell how they are
  blumeops.zot.zot_check_report:
    hosts: "{{ groups['all'] }}"
    variable: services_checked
"""

RETURN = r"""
report:
  description: C(ok), C(counts) by colour, and C(hosts) with the C(lines) of each.
  returned: success
  type: dict
msg:
  description: How many lines have which colour.
  returned: always
  type: str
"""
