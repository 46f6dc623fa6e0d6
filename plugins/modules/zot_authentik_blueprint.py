#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_authentik_blueprint
short_description: The identity provider's side of the registry's login, as a blueprint of authentik
version_added: 0.1.0
description:
  - Makes a blueprint for authentik from the very settings that zot's configuration is made from, so that both sides of the login agree.
    It has an application, an OAuth2 provider with the one redirect URI that zot uses, the groups that the policy names, and who may log in.
  - It judges the blueprint, or with O(state=judged) one that was made by hand, against those settings, without authentik, and says what
    differs and what authentik would take without a word. The findings are listed in C(docs/authentik.md).
  - The client secret is never part of it; it comes from the environment or from a file of authentik's worker.
  - It runs on the controller, where the file lies from which authentik, ArgoCD or a later task takes it.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the blueprint, in which there is no secret; not one that was made by hand.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description: Whether the blueprint is written, or the one at O(path) only compared.
    type: str
    choices: [written, judged]
    default: written
  path:
    description:
      - The file, on the controller; the blueprint itself, or with O(config_map) a manifest in which there may be others.
      - When left out nothing is written, and a later task delivers RV(blueprint).
    type: str
  config_map:
    description:
      - The blueprint is one key of a ConfigMap. Others, comments, and other manifests in the file stay byte for byte.
      - Where there is no such ConfigMap in the file it is added.
    type: dict
    suboptions:
      name:
        description: The ConfigMap's name.
        type: str
        required: true
      namespace:
        description: Its namespace, where it is made anew or several have the name.
        type: str
        default: ""
      key:
        description: The key. authentik reads files that end in C(.yaml).
        type: str
        default: zot.yaml
  replace:
    description: Whether a blueprint that somebody wrote by hand may be replaced. Without it that is an error.
    type: bool
    default: false
  release:
    description: The zot release.
    type: str
    required: true
  settings:
    description:
      - What the registry's configuration is made from, as M(blumeops.zot.zot_config) has it.
      - Exactly one of O(settings) and O(document) is needed.
    type: dict
    suboptions:
      external_url:
        description: How people reach the registry, such as V(https://registry.example.org).
        type: str
        default: ""
      oidc:
        description: The provider.
        type: dict
        suboptions:
          issuer:
            description: authentik's issuer of the application, such as V(https://authentik.example.org/application/o/zot/), with the slash.
            type: str
            required: true
          client_id:
            description: The client's name.
            type: str
            required: true
          name:
            description: What the button says.
            type: str
          username_claim:
            description: The claim that zot names people by.
            type: str
          groups_claim:
            description: The claim with the groups. One that authentik has not of its own gets a mapping.
            type: str
          scopes:
            description: What zot asks for.
            type: list
            elements: str
          users:
            description: Not used here.
            type: list
            elements: str
          images:
            description: Not used here.
            type: list
            elements: str
      local_users:
        description: Users of the registry itself.
        type: list
        elements: str
        default: []
      groups:
        description: Groups that the registry's configuration has members for; they need not be at authentik.
        type: dict
        default: {}
      grants:
        description: Who may do what. The groups in it are made at authentik, and bound to the application.
        type: list
        elements: raw
        default: []
      overrides:
        description: Keys of zot that are merged over all else; a policy, or another key of the provider, may be among them.
        type: dict
        default: {}
  document:
    description: A whole configuration of zot, such as one that was made by hand.
    type: dict
  client_id:
    description: The client's name, where it is not in the settings or the document but in a file of the host.
    type: str
    default: ""
  provider:
    description: The key of the provider in zot's configuration, where there are several.
    type: str
    default: ""
  authentik_release:
    description: The release of authentik, such as V(2026.2), in quotes. One that is newer than all that are known is judged as the newest.
    type: str
    required: true
  name:
    description: What people see as the application's name.
    type: str
    default: Zot
  client_secret_env:
    description: The environment variable of authentik's worker that holds the client secret.
    type: str
    default: AUTHENTIK_ZOT_CLIENT_SECRET
  client_secret_file:
    description: A file in the worker that holds it. Goes before the variable.
    type: str
    default: ""
  signing_key:
    description: The name of authentik's certificate that tokens are signed with. Without it authentik applies nothing, and says so.
    type: str
    default: authentik Self-signed Certificate
  authorization_flow:
    description: The slug of the flow that asks for consent, or does not.
    type: str
    default: default-provider-authorization-implicit-consent
  invalidation_flow:
    description: The slug of the flow of a logout.
    type: str
    default: default-provider-invalidation-flow
  bound_groups:
    description: Who may log in at all; all groups of the policy when left out, everybody with a login at authentik when empty.
    type: list
    elements: str
  retired_groups:
    description: Groups that were bound once and are not any more. authentik keeps a binding until it is told.
    type: list
    elements: str
    default: []
  service_users:
    description: Users for programs, which are made at authentik.
    type: list
    elements: dict
    default: []
    suboptions:
      username:
        description: The user's name.
        type: str
        required: true
      name:
        description: What people see; the user's name when left out.
        type: str
      email:
        description: The e-mail address.
        type: str
      groups:
        description: Just the groups that the user is in; authentik takes the user out of all others.
        type: list
        elements: str
        default: []
  after:
    description: Names of other blueprints that have to be applied before, because they make what is found here.
    type: list
    elements: str
    default: []
  discovery:
    description: Whether to ask the provider itself too, as zot does when it starts, from the controller.
    type: bool
    default: false
  validate_certs:
    description: Whether the provider's certificate has to be trusted.
    type: bool
    default: true
  ca_path:
    description: A file on the controller with certificates to trust besides.
    type: path
  fail_on:
    description: The least severity for which the task fails, and nothing is written.
    type: str
    choices: [error, warning, never]
    default: error
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Write the blueprint into the manifest that ArgoCD delivers
  blumeops.zot.zot_authentik_blueprint:
    path: argocd/manifests/authentik/configmap-blueprint.yaml
    config_map: {name: authentik-blueprints, namespace: authentik}
    release: 2.1.20
    authentik_release: "2026.2"
    settings:
      external_url: "{{ zot_external_url }}"
      oidc: "{{ zot_oidc }}"
      grants: "{{ zot_grants }}"
  delegate_to: localhost

- name: Compare a blueprint that was made by hand, and ask the provider
  blumeops.zot.zot_authentik_blueprint:
    state: judged
    path: blueprints/zot.yaml
    release: 2.1.20
    authentik_release: "2026.2"
    document: "{{ lookup('file', 'config.json') | from_json }}"
    client_id: zot
    discovery: true
  delegate_to: localhost
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
  sample: the two sides agree
findings:
  description: Everything that is wrong, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: The rule, such as C(AK203).
      type: str
    severity:
      description: C(error), C(warning) or C(advice).
      type: str
    path:
      description: Where in the blueprint; empty for the whole.
      type: str
    message:
      description: What is wrong.
      type: str
    hint:
      description: How to mend it.
      type: str
blueprint:
  description: The blueprint, for where a later task delivers it.
  returned: when O(state=written)
  type: str
environment:
  description: The names of variables that authentik's worker has to have.
  returned: always
  type: list
  elements: str
redirect_uri:
  description: Where the registry has the provider send people back to.
  returned: always
  type: str
"""
