#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_validate
short_description: Judge a configuration of zot for one release
version_added: 0.1.0
description:
  - Finds everything that is wrong with a configuration at once, whoever wrote it, without the binary, and says how to mend it.
  - It knows what C(zot verify) of the release refuses, of what zot dies at its start although C(zot verify) lets it pass, what zot takes
    without a word and then does otherwise than it says, and what is seldom wise. The rules are listed in C(docs/rules.md).
  - It runs on the controller. Files that the configuration names (htpasswd, credentials, certificates) are looked at on the host with
    O(remote_src=true), and else on the controller, where one that is missing says nothing of the host and is only listed in RV(unseen).
    Names, kinds and lengths are looked at; no content leaves the host.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  path:
    description:
      - The configuration's path, on the controller, or with O(remote_src=true) on the host. Its ending tells the format (json, yaml, yml,
        toml), as it does for zot.
      - Exactly one of O(path) and O(content) is needed.
    type: str
  content:
    description: The configuration itself, as a mapping, or as text in JSON, TOML or YAML.
    type: raw
  remote_src:
    description: Whether O(path) is a path on the host. The files that it names are then looked at there, and identity providers asked.
    type: bool
    default: false
  chdir:
    description:
      - The folder in which zot is started, from which relative paths in the configuration are taken.
      - Without it they are looked for beside the configuration, and one that is not there is listed in RV(unseen).
    type: str
  release:
    description: The zot release, such as V(2.1.20). One that is newer than every known one is judged as the newest known, with a warning.
    type: str
    required: true
  suppress:
    description: Rules that do not count, as a mapping from the code, such as V(ZOT414), to the reason in words.
    type: dict
    default: {}
  advice:
    description: Whether findings of the severity C(advice) are returned and shown too.
    type: bool
    default: false
  fail_on:
    description: The least severity for which the task fails.
    type: str
    choices: [error, warning, never]
    default: error
  show:
    description: Whether to print the findings as a table.
    type: bool
    default: false
  oidc_users:
    description: Names of users at the identity provider; a local user of the same name is an error.
    type: list
    elements: str
    default: []
  oidc_images:
    description: Images that the identity provider runs from; one that comes from this registry is a warning.
    type: list
    elements: str
    default: []
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Judge a file in CI
  blumeops.zot.zot_validate:
    path: files/zot-config.json
    release: 2.1.20
    show: true
  delegate_to: localhost

- name: Judge what lies on the host, and stop at warnings too
  blumeops.zot.zot_validate:
    path: /etc/zot/config.json
    remote_src: true
    release: 2.1.20
    fail_on: warning
    suppress:
      ZOT403: the port is reached through a private network only
"""

RETURN = r"""
ok:
  description: Whether there is no error.
  returned: always
  type: bool
summary:
  description: How many errors and warnings there are, in words.
  returned: always
  type: str
  sample: 1 error, 2 warnings
findings:
  description: Everything that is wrong, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: The rule, such as C(ZOT210).
      type: str
    severity:
      description: C(error), C(warning) or C(advice).
      type: str
    path:
      description: Where in the configuration, in the words of zot's documentation; empty for the whole.
      type: str
    message:
      description: What is wrong.
      type: str
    hint:
      description: How to mend it.
      type: str
suppressed:
  description: Findings that O(suppress) keeps from counting.
  returned: always
  type: list
  elements: dict
unseen:
  description: Files and identity providers that a finding could depend on and that could not be looked at.
  returned: always
  type: list
  elements: str
release:
  description: The release for which it was judged.
  returned: always
  type: str
"""
