#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: forgejo_actions_secrets
short_description: Publish secrets and variables to Forgejo or Gitea Actions
version_added: 0.1.0
description:
  - Brings the Actions secrets of repositories, organizations and the token's user to the declared values, and tells which of them were
    created or rotated, although nobody can read a secret back. For that a salted scrypt fingerprint of each secret is kept beside them, in
    one Actions variable per scope, C(ANSIBLE_SECRETS_FINGERPRINTS).
  - It runs on the controller, whatever the host. Values and the token pass through no host, no file and no command line.
  - Every scope is looked at before the first is changed. A lock, the variable C(ANSIBLE_SECRETS_LOCK), which is only there while something
    is written, keeps two publishers from writing to one scope at once.
  - Newlines at the end of a value are left out, as a key that ends in one makes every login fail. Names are stored in capitals.
  - Tested with Gitea 1.27, whose API Forgejo shares; what differs in Forgejo 14 to 16 is known from their source.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details: Stores and the forge are asked, nothing is written.
  diff_mode:
    support: full
    details: Shows names and states of secrets, never a value or a fingerprint. Variables are shown with their values.
  idempotent:
    support: partial
    details: Except for the names in O(force).
  platform:
    support: full
    platforms: posix
options:
  url:
    description: Where the forge is, with or without C(/api/v1). A redirect is not followed.
    type: str
    required: true
  token:
    description:
      - An access token with the scope C(write:repository), C(write:organization) or C(write:user), by what O(scopes) has.
      - Its user has to own the repository, be in a team of its organization with admin rights, own the organization, or administer the
        forge. A collaborator with admin rights may not manage secrets.
      - Exactly one of O(token) and O(token_store) is needed.
    type: str
  token_store:
    description: Where the token is kept. The options are those of O(scopes[].secrets[].store).
    type: dict
    suboptions: &store
      kind:
        description:
          - What it is. V(onepassword) is an item, which the command C(op) reads on the controller; V(file) is a JSON object in a file that
            only its owner may read; V(environment) is the environment of the controller's process.
        type: str
        choices: [onepassword, file, environment]
        required: true
      vault:
        description: The vault, by name or ID. Needed for V(onepassword).
        type: str
      item:
        description: The item, by name or ID. Needed for V(onepassword).
        type: str
      account:
        description: The 1Password account, where C(op) knows several.
        type: str
      path:
        description: The file on the controller. Needed for V(file).
        type: path
      field:
        description: The field, or the variable's name for V(environment). For V(file) it may be left out, the value is then the whole file.
        type: str
  validate_certs:
    description: Whether the forge's certificate has to be trusted.
    type: bool
    default: true
  ca_path:
    description: A file on the controller with certificates to trust besides.
    type: path
  scopes:
    description: What is declared, by scope. Entries for one scope are merged.
    type: list
    elements: dict
    required: true
    suboptions:
      repository:
        description:
          - A repository, as V(owner/name).
          - Exactly one of O(scopes[].repository), O(scopes[].organization) and O(scopes[].user) is needed.
        type: str
      organization:
        description: An organization. All its repositories get its secrets; a secret of the repository goes before.
        type: str
      user:
        description: The token's own user, whose repositories all get the secrets.
        type: bool
        default: false
      secrets:
        description: The secrets.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description:
              - Letters, digits and underscores. C(CI) and what begins with C(FORGEJO_), C(GITEA_) or C(GITHUB_) is refused, as some release
                of either forge does.
            type: str
            required: true
          value:
            description: The value, at most 65536 bytes. Exactly one of it and O(scopes[].secrets[].store) is needed.
            type: raw
          store:
            description: Where the value is kept. Each store is read once for all its fields, and again under the lock.
            type: dict
            suboptions: *store
          pending:
            description:
              - In check mode, that an earlier task would have put another value into O(scopes[].secrets[].store), which is not read then.
              - It has no effect otherwise.
            type: bool
            default: false
      variables:
        description: Actions variables, which are no secrets. They are compared and set; the others of the scope are left alone.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: As that of a secret.
            type: str
            required: true
          value:
            description: The value, at most 65536 characters.
            type: raw
            required: true
      prune:
        description:
          - Whether secrets that were published by this module and are no longer declared are deleted. Others are never touched.
          - With it the declaration has to be the only one for the scope. Not possible at user level, where no forge lists secrets.
        type: bool
        default: false
  force:
    description: Names of secrets to put although their value is known to be there, such as after somebody else changed one.
    type: list
    elements: str
    default: []
  lock_wait:
    description: Seconds to wait for another publisher.
    type: int
    default: 30
  lock_lease:
    description: Seconds after which the lock of a publisher that died counts no more; at least 60.
    type: int
    default: 300
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Publish the CI key from 1Password
  blumeops.zot.forgejo_actions_secrets:
    url: https://forge.example.org
    token_store: {kind: onepassword, vault: homelab, item: Forgejo Secrets, field: api-token}
    scopes:
      - repository: eblume/blumeops
        secrets:
          - name: ZOT_CI_API_KEY
            store: {kind: onepassword, vault: homelab, item: Forgejo Secrets, field: zot-ci-api}

- name: Secrets of an organization, and no others that were published before
  blumeops.zot.forgejo_actions_secrets:
    url: https://forge.example.org
    token: "{{ forgejo_api_token }}"
    scopes:
      - organization: acme
        secrets:
          - {name: DEPLOY_TOKEN, value: "{{ deploy_token }}"}
        variables:
          - {name: REGISTRY, value: registry.example.org}
        prune: true
"""

RETURN = r"""
scopes:
  description: What came of each scope, or in check mode would. When the task fails, those that were done before.
  returned: success, or failure after the first scope
  type: list
  elements: dict
  contains:
    scope:
      description: The scope in words.
      type: str
      sample: repository eblume/blumeops
    changed:
      description: Whether anything was written there.
      type: bool
    created:
      description: Names of secrets that were not there.
      type: list
      elements: str
    rotated:
      description: Those that had another value.
      type: list
      elements: str
    unknown:
      description: Those that were there, or may have been, without a fingerprint. They were put, and are known from then on.
      type: list
      elements: str
    forced:
      description: Those that had the value, and were put again.
      type: list
      elements: str
    unchanged:
      description: Those that had the value.
      type: list
      elements: str
    pruned:
      description: Those that are no longer declared, and were deleted.
      type: list
      elements: str
    variables:
      description: Names of variables, as C(created), C(updated) and C(unchanged).
      type: dict
"""
