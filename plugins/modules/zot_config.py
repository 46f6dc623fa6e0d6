#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_config
short_description: Build, judge, plan and stage a configuration of zot
version_added: 0.1.0
description:
  - Makes one zot document for one zot release from a few settings and judges it, as M(blumeops.zot.zot_validate) does. An error ends it
    before anything is touched, in check mode too; every error is told at once.
  - Then it compares the document with what the host has and with what was proved there last, says what must happen and why, and stages
    it, after C(zot verify) of the binary that is to run accepted it as well.
  - Secrets are kept apart from the document, in files of their own beside it. Their content is in no diff, result or message.
  - With O(state=written) the files are put in their place. Restarting zot, proving it and promoting the result is the role's work.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details: C(zot verify) runs in check mode too, once the binary is on the host. Secrets are not needed.
  diff_mode:
    support: full
    details: The effective document, without what zot drops when it loads it. Secret files are named as same or different.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  release:
    description: The zot release the document is made for, such as V(2.1.20).
    type: str
    required: true
  binary:
    description: Absolute path, on the host, of the binary that is to run it.
    type: path
    required: true
  config_path:
    description: Absolute path of the configuration on the host.
    type: path
    required: true
  state:
    description: V(staged) leaves the files in C(.staged) beside the configuration; V(written) puts them in their place.
    type: str
    choices: [staged, written]
    default: written
  settings:
    description: What the document is made from. Exactly one of O(settings) and O(document) is given.
    type: dict
    suboptions:
      address:
        description: Address to listen on.
        type: str
        default: 127.0.0.1
      port:
        description: TCP port.
        type: int
        default: 5000
      external_url:
        description: URL under which clients and the identity provider reach zot. Behind a proxy with TLS it begins with https.
        type: str
        default: ""
      data_dir:
        description: Absolute path of the storage.
        type: str
        required: true
      log_level:
        description: At V(debug) zot logs the headers of each request; cookies are among them.
        type: str
        choices: [debug, info, warn, error]
        default: info
      transfer_timeout:
        description: Longest time for one request with its body, as a Go duration. For zot 2.1.17 and newer, whose own limit is a minute.
        type: str
        default: 1h
      upstreams:
        description: Registries that are cached, each under its own name.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name under which it is cached, such as V(docker.io).
            type: str
            required: true
          url:
            description: Its URL; C(https://) and the name when left out.
            type: str
          username:
            description: Its user; the password is given in O(upstream_passwords).
            type: str
          retention:
            description: How long unused content is kept, as a Go duration, or V(forever).
            type: str
      upstream_retention:
        description: O(settings.upstreams[].retention) of upstreams that name none.
        type: str
        default: 720h
      oidc:
        description: The identity provider people log in with.
        type: dict
        suboptions:
          issuer:
            description: Exactly as the provider's discovery document spells it, to the last slash.
            type: str
            required: true
          client_id:
            description: The client's name at the provider.
            type: str
            required: true
          name:
            description: Name shown at the login.
            type: str
          username_claim:
            description: Claim that names the user; zot takes the e-mail when left out.
            type: str
          groups_claim:
            description: Claim that lists the groups, V(groups) when left out; for zot 2.1.17 and newer.
            type: str
          scopes:
            description: Scopes to ask for; openid, profile and email when left out.
            type: list
            elements: str
          users:
            description: Names of users at the provider. A local user of the same name is refused, being the same person for zot.
            type: list
            elements: str
          images:
            description: Images that the provider runs from. One that comes from this registry is a warning, as neither starts alone.
            type: list
            elements: str
      local_users:
        description: Users with a password in htpasswd, given in O(local_passwords).
        type: list
        elements: str
        default: []
      api_keys:
        description: Whether users may make API keys. An identity provider switches them on in any case.
        type: bool
        default: true
      groups:
        description: Groups that zot itself knows, as a mapping of lower-case names to lists of users.
        type: dict
        default: {}
      grants:
        description:
          - Who may do what. Grants add up. Each names somebody (C(anonymous), C(authenticated), C(groups), C(users)), C(actions)
            (C(read), C(create), C(update), C(delete)) and, when it does not hold everywhere, C(repositories).
          - What cannot be said in zot's rule, by which the longest matching pattern alone counts, is refused; nothing is ever widened.
        type: list
        elements: raw
        default: []
      metrics:
        description: Who may read C(/metrics), V(disabled) for no metrics at all.
        type: str
        choices: [disabled, users, anonymous]
        default: disabled
      metrics_users:
        description: The users of O(settings.metrics=users).
        type: list
        elements: str
        default: []
      ui:
        description: Search, and the web page where the binary has it.
        type: bool
        default: true
      overrides:
        description: Any of zot's own keys, merged last as RFC 7386 says; null removes.
        type: dict
        default: {}
  document:
    description: A whole zot configuration, used as it is.
    type: dict
  oidc_client_secret:
    description: The client's secret at the identity provider.
    type: str
  upstream_passwords:
    description: Mapping of upstream names to passwords.
    type: dict
    default: {}
  local_passwords:
    description: Mapping of local users to passwords.
    type: dict
    default: {}
  local_password_stores:
    description:
      - Mapping of local users to stores that keep their passwords, each with a C(kind), what names it, and a C(field). A password that
        is not there yet is made at random; for a user who is no person, and of whom nobody has to know it.
      - One in O(local_passwords) goes before. In check mode no store is asked.
    type: dict
    default: {}
  folders:
    description: As in M(blumeops.zot.zot_host).
    type: list
    elements: dict
    default: []
  owner:
    description: As in M(blumeops.zot.zot_host).
    type: str
  group:
    description: As in M(blumeops.zot.zot_host).
    type: str
  file_mode:
    description: As in M(blumeops.zot.zot_host).
    type: str
    choices: ["0600", "0640"]
    default: "0600"
  run_as:
    description: As in M(blumeops.zot.zot_host).
    type: str
  service_file:
    description: As in M(blumeops.zot.zot_host).
    type: path
  service:
    description: As in M(blumeops.zot.zot_host).
    type: dict
  suppress:
    description: Rules that do not count, as a mapping from the code, such as V(ZOT314), to the reason in words.
    type: dict
    default: {}
  advice:
    description: Whether findings of the severity C(advice) are shown too.
    type: bool
    default: false
  forbid_widening:
    description:
      - Whether a change that widens rights is an error. It does where anonymous gain any right, or anybody one to create, update or delete.
      - On a host that has no configuration yet nothing is widened.
    type: bool
    default: false
  confirm_widening:
    description: Lets the change pass that O(forbid_widening) would refuse.
    type: bool
    default: false
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Put a registry's configuration in its place
  blumeops.zot.zot_config:
    release: 2.1.20
    binary: /usr/local/bin/zot
    config_path: /etc/zot/config.json
    settings:
      data_dir: /var/lib/zot
      local_users: [zot-ci]
      grants:
        - {anonymous: true, actions: [read]}
        - {users: [zot-ci], actions: [read, create]}
    local_passwords:
      zot-ci: "{{ vault_zot_ci_password }}"
"""

RETURN = r"""
activation:
  description: What zot needs so that it runs with what was asked for; C(none) or C(restart).
  returned: always
  type: str
reasons:
  description: Why, one text per difference.
  returned: always
  type: list
  elements: str
url:
  description: Where zot answers on its own host.
  returned: always
  type: str
access_diff:
  description: Who gains or loses which rights where, from what was proved last to what is wanted; also at the end of the diff.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: C(anonymous), C(authenticated), C(group) or C(user).
      type: str
    who:
      description: The group's or user's name.
      type: str
    where:
      description: The repositories, as a pattern.
      type: str
    witness:
      description: One of them.
      type: str
    gains:
      description: Actions that become allowed.
      type: list
      elements: str
    loses:
      description: Actions that become denied.
      type: list
      elements: str
    widens:
      description: Whether anonymous gain a right, or anybody one to create, update or delete.
      type: bool
summary:
  description: How many errors and warnings the judge found, in words.
  returned: always
  type: str
findings:
  description: What the judge found, as M(blumeops.zot.zot_validate) returns it.
  returned: always
  type: list
  elements: dict
suppressed:
  description: Findings that O(suppress) keeps from counting.
  returned: always
  type: list
  elements: dict
unseen:
  description: Files and identity providers that the judge did not look at; where nothing changes it looks at none.
  returned: always
  type: list
  elements: str
verified:
  description: Whether C(zot verify) was asked.
  returned: when something changes
  type: bool
"""
