#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_report
short_description: Write a page that tells who may do what in a zot registry
version_added: 0.1.0
description:
  - Writes, on the controller, one HTML page that needs nothing else, and beside it the same as JSON.
  - It tells who may do what, by which pattern of the configuration and why; what is wrong with the configuration; why zot was restarted
    last; and, where that is given, what the running registry answered, and how old API keys are.
  - No secret is in it. The configuration itself is not shown, and is masked before anything is taken from it.
  - What is not given stays as the report told it before, as long as the configuration and the release are the same. So a run that changes
    nothing changes nothing here either.
  - It needs C(jsonschema) on the controller.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The difference is that of the JSON.
  idempotent:
    support: full
    details: The page holds no time. Its file's own tells when it was written.
  platform:
    support: full
    platforms: posix
options:
  path:
    description:
      - Where the page is written on the controller. It ends in C(.html), and the folder is there.
      - Each registry needs a path of its own. A relative one begins at the playbook.
    type: str
    required: true
  document:
    description:
      - The configuration, as a mapping.
      - Exactly one of O(document) and O(config_path) is needed.
    type: dict
  config_path:
    description: The configuration's path on the host.
    type: str
  release:
    description: The zot release, such as V(2.1.20).
    type: str
    required: true
  title:
    description: The page's title; V(Who may do what) when left out.
    type: str
  findings:
    description: What the judge found, as M(blumeops.zot.zot_config) and M(blumeops.zot.zot_validate) return it.
    type: list
    elements: dict
  suppressed:
    description: What the judge found that does not count, as they return it.
    type: list
    elements: dict
  suppress:
    description: Why it does not count, as a mapping from the code of a rule to the reason in words.
    type: dict
  activation:
    description: What M(blumeops.zot.zot_config) returns. V(none) without O(reasons) leaves what was told before.
    type: str
  reasons:
    description: What M(blumeops.zot.zot_config) returns.
    type: list
    elements: str
  answers:
    description: What the running registry was asked, and answered, as M(blumeops.zot.zot_access_probe) returns it.
    type: list
    elements: dict
    suboptions:
      who:
        description: A user, or C(anonymous), as the table of the report names them.
        type: str
      repository:
        description: The repository.
        type: str
      action:
        description: C(read), C(create), C(update) or C(delete).
        type: str
      expected:
        description: What was to be expected, as a boolean or in words.
        type: raw
      answered:
        description: What was answered; the same, if it is as expected; null where there was no answer that tells anything.
        type: raw
      certain:
        description: Whether the configuration foretells the answer. One that it does not is neither as expected nor otherwise.
        type: bool
  keys:
    description: API keys. Nothing is told but what is named here.
    type: list
    elements: dict
    suboptions:
      label:
        description: Its label.
        type: str
      owner:
        description: Whose it is.
        type: str
      created:
        description: When it was made, such as C(2026-01-31T12:00:00Z).
        type: str
      expires:
        description: When it expires; left out or empty for never.
        type: str
      last_used:
        description: When it was used last; left out or empty for never.
        type: str
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Tell who may do what, by what lies on the host
  blumeops.zot.zot_report:
    path: "{{ playbook_dir }}/reports/{{ inventory_hostname }}.html"
    config_path: /etc/zot/config.json
    release: 2.1.20

- name: Tell it of a file, with what the judge finds
  blumeops.zot.zot_report:
    path: report.html
    document: "{{ lookup('ansible.builtin.file', 'config.json') | from_json }}"
    release: 2.1.20
    findings: "{{ judged.findings }}"
    suppressed: "{{ judged.suppressed }}"
    suppress: "{{ zot_suppress }}"
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: Where the page is.
  returned: success
  type: str
json:
  description: Where the same is as JSON.
  returned: success
  type: str
as_expected:
  description: Whether everything in the report that the registry answered was as expected.
  returned: success
  type: bool
"""
