#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_rotating_key
short_description: Keep a fresh API key of a zot user in a store
version_added: 0.1.0
description:
  - Sees to it that a store (a 1Password item, or a file) holds an API key of one user of zot that is not too old, and that what came before
    it is revoked once nobody needs it any more.
  - A new key is made, stored, proved (it may do what it should and nothing else; asking leaves no trace) and only then takes the place of
    the one before. The one before stays alive while jobs that began with it may run, and is revoked by a later run.
  - "Each run looks again at the store, at zot and at the forge, and takes the next step. A run that was stopped anywhere, or failed, is
    finished by the next one, and two at once do each other no harm: a key that somebody may be using is never revoked."
  - To publish the key is M(blumeops.zot.forgejo_actions_secrets)'s part, after this one. With O(published_in) this one looks at what was
    published, and revokes nothing before.
  - It runs on the controller, whatever the host. No key passes through a variable, a result, a host, a file of Ansible or a command line.
  - zot has no administrator of keys. Keys that another user made are not seen here, and cannot be revoked.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details:
      - The store, zot and the forge are asked, nothing is written. zot notes a key's use, and the groups of a user who logs in.
      - Before the store holds anything zot is not asked, and what a first run will do is told.
  diff_mode:
    support: full
    details: The steps in words, no key.
  idempotent:
    support: partial
    details: Except for O(state=renewed), which makes a new key each time.
  platform:
    support: full
    platforms: posix
options:
  url:
    description: The registry as the controller reaches it, as scheme, host and port, such as V(https://registry.example.org).
    type: str
    required: true
  username:
    description: Whose keys. The name is exactly the one that zot knows.
    type: str
    required: true
  validate_certs:
    description: Whether the certificate of O(url) is verified.
    type: bool
    default: true
  ca_path:
    description: A file on the controller with certificates to trust besides.
    type: path
  state:
    description:
      - V(fresh) makes a new key when there is none that is good, or when the current one is older than O(renew_after).
      - V(renewed) makes a new one in any case.
      - V(sole) does as V(fresh), and revokes every other key of O(username) at once, whoever made it, unless the current one is not
        published everywhere yet. It proves that zot refuses those that the store knew. This and V(renewed) are for a leak.
    type: str
    choices: [fresh, renewed, sole]
    default: fresh
  store:
    description:
      - Where the key is kept. V(environment) cannot be written, and is refused.
      - Three fields are used. The key is in O(store.field); what else is known, successor and predecessors among it, in a field of that
        name with C(-rotation) behind; and the user's password in O(password_field).
      - A key that a person put into O(store.field) is taken over. Without a password it renews itself, as long as it is alive.
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
        description: The field that holds the key. It is needed here.
        type: str
  password_field:
    description:
      - The field with the password of O(username), for a local user; that of O(store.field) with C(-password) behind when left out.
      - With a password zot is always entered by it, so that a new key has the groups of today. It is needed for the first key, and after
        the last one expired.
    type: str
  max_age:
    description: How long a key lives, such as V(90d) or V(12h).
    type: str
    default: 90d
  renew_after:
    description: After how long it is replaced; two thirds of O(max_age) when left out. It has to be shorter than that.
    type: str
  overlap:
    description:
      - How long the key before is kept alive after the new one was published. At least as long as the longest job, with what it waits
        for a runner.
      - A key that was used within that time stays too, and is told in RV(waiting).
    type: str
    default: 24h
  grace:
    description: After how long a key that was made, and neither stored nor used, counts as left behind by a run that stopped.
    type: str
    default: 1h
  label:
    description: With what the labels of the keys begin that are made here. Others are left alone, but for O(state=sole).
    type: str
    default: blumeops.zot
  repositories:
    description: For which repositories a new key is proved, such as V(blumeops/proof). They need not exist.
    type: list
    elements: str
    required: true
  may:
    description: What it must be allowed to do there.
    type: list
    elements: str
    choices: [read, create, update, delete]
    default: [read, create]
  may_not:
    description:
      - What it must not. V(update) is asked of a tag that is there, and so only where one of O(repositories), or of those that the key
        sees, has one.
    type: list
    elements: str
    choices: [read, create, update, delete]
    default: [update, delete]
  published_in:
    description: Where the key is published by M(blumeops.zot.forgejo_actions_secrets). Only the fingerprints are read there.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: The forge.
        type: str
        required: true
      token:
        description: A token of the forge that may read Actions variables. Exactly one of this and O(published_in[].token_store) is needed.
        type: str
      token_store:
        description: Where the token is kept. The options are those of O(store).
        type: dict
        suboptions:
          kind:
            description: As in O(store.kind); V(environment) is the environment of the controller's process.
            type: str
            choices: [onepassword, file, environment]
            required: true
          vault:
            description: The vault.
            type: str
          item:
            description: The item.
            type: str
          account:
            description: The account.
            type: str
          path:
            description: The file.
            type: path
          field:
            description: The field, or the variable's name; without one a file is the token.
            type: str
      validate_certs:
        description: Whether the forge's certificate has to be trusted.
        type: bool
        default: true
      ca_path:
        description: A file on the controller with certificates to trust besides.
        type: path
      scopes:
        description: The places.
        type: list
        elements: dict
        required: true
        suboptions:
          repository:
            description: A repository, as V(owner/name).
            type: str
          organization:
            description: An organization.
            type: str
          user:
            description: The token's own user.
            type: bool
            default: false
          name:
            description: The secret's name there.
            type: str
            required: true
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Keep a fresh key for CI
  blumeops.zot.zot_rotating_key:
    url: https://registry.ops.eblu.me
    username: zot-ci
    store: {kind: onepassword, vault: blumeops, item: Forgejo Secrets, field: zot-ci-api}
    repositories: [blumeops/proof]
    published_in:
      - url: https://forge.ops.eblu.me
        token_store: {kind: onepassword, vault: blumeops, item: Forgejo Secrets, field: api-token}
        scopes:
          - {repository: eblume/blumeops, name: ZOT_CI_API_KEY}

- name: And publish it
  blumeops.zot.forgejo_actions_secrets:
    url: https://forge.ops.eblu.me
    token_store: {kind: onepassword, vault: blumeops, item: Forgejo Secrets, field: api-token}
    scopes:
      - repository: eblume/blumeops
        secrets:
          - name: ZOT_CI_API_KEY
            store: {kind: onepassword, vault: blumeops, item: Forgejo Secrets, field: zot-ci-api}
"""

RETURN = r"""
steps:
  description: What was done, in words; in check mode what would be.
  returned: success
  type: list
  elements: str
key:
  description: The current key, without its secret; null in check mode where it would be a new one.
  returned: success
  type: dict
  contains:
    uuid:
      description: Its name for zot.
      type: str
    label:
      description: Its label.
      type: str
    created:
      description: When it was made, as RFC 3339 in UTC like all that follow.
      type: str
    expires:
      description: When it expires; null for never.
      type: str
    last_used:
      description: When it was last used; null for never.
      type: str
    expired:
      description: Whether it has expired.
      type: bool
    scopes:
      description: What zot stores as scopes, and does not enforce.
      type: list
      elements: str
waiting:
  description: Keys that will be revoked by a later run.
  returned: success
  type: list
  elements: dict
  contains:
    uuid:
      description: The key.
      type: str
    reason:
      description: Why not yet.
      type: str
"""
