#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_check
short_description: Look at a registry and at what stands around it, and say how each part is
version_added: 0.1.0
description:
  - One call of the host asks everything at the same time, whether zot serves and which process of the service manager that is, its
    release, who may do what, the external URL and its certificate, the upstreams and how many pulls Docker Hub still allows, an image
    from the cache, the disk and the identity provider. The controller compares with what is declared.
  - Nothing is changed. zot logs the questions, and notes the login of each identity. A C(HEAD) of Docker Hub is no pull. Only an image
    of O(images) is fetched, where it is not cached yet.
  - One cause colours one line. What stands behind a part that fails is grey, and says since what it was not asked. That the host cannot be
    reached is a line too, and no failure of the task.
  - With C(playbooks/services_check.yml) all registries of an inventory are looked at, and told in one table.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
  - blumeops.zot.attributes.info_module
attributes:
  platform:
    support: full
    platforms: posix
options:
  declared:
    description:
      - What the host is to be. One of this, O(declared_in) and O(here) is needed, and not both of the first two.
    type: dict
    suboptions:
      config_path:
        description: Path on the host of zot's configuration.
        type: str
        required: true
      service:
        description: The service that runs zot, as M(blumeops.zot.zot_info) has it.
        type: dict
        required: true
      service_manager:
        description: Not needed here; C(service.manager) says it.
        type: str
        choices: [auto, launchd, systemd, systemd_user]
        default: auto
      release:
        description: The release that has to answer.
        type: str
      settings:
        description:
          - The settings of M(blumeops.zot.zot_config). Without them the configuration and who may do what are compared with nothing.
        type: dict
      identities:
        description: Who is asked for beside everybody, as M(blumeops.zot.zot_access_probe) has it.
        type: list
        elements: dict
        default: []
      data_dir:
        description: In place of that of O(declared.settings); C(~) is the home of the user who runs zot.
        type: str
      owner:
        description: Who owns zot's files.
        type: str
      group:
        description: Their group.
        type: str
      file_mode:
        description: Their mode, C(0600) or C(0640).
        type: str
  declared_in:
    description:
      - The name of a variable that holds O(declared). Its templates may need C(__zot_host), which is set to what the host turns out to be,
        so that one call is enough. The role V(blumeops.zot.zot) has one, C(__zot_declared).
    type: str
  options_in:
    description:
      - How the names of variables begin that hold those options which are not given, of O(images), O(ca_path), O(timeout) and what
        begins a colour. With V(services_check_) the variable of O(timeout) is C(services_check_timeout).
    type: str
  here:
    description:
      - What is asked on the controller, at the same time. Without O(declared) and O(declared_in) nothing is asked of the host.
      - The key is taken from its store, and the registry is asked whether it takes it and how old it is. zot notes that as a use of
        the key. It is amber once M(blumeops.zot.zot_rotating_key) should have replaced it, and red when there is none, or it is refused.
    type: dict
    suboptions:
      key:
        description: The key, as the role V(blumeops.zot.zot_ci_key) keeps it.
        type: dict
        suboptions:
          url:
            description: The registry as the controller reaches it.
            type: str
            required: true
          username:
            description: Whose key it is.
            type: str
            required: true
          validate_certs:
            description: Whether the registry's certificate is verified.
            type: bool
            default: true
          ca_path:
            description: A file of certificates to trust, on the controller.
            type: str
          store:
            description: Where it is kept.
            type: dict
            required: true
            suboptions:
              kind:
                description: V(onepassword) is an item, V(file) a JSON object in a file, V(environment) the environment.
                type: str
                choices: [onepassword, file, environment]
                required: true
              vault:
                description: The vault. Needed for V(onepassword).
                type: str
              item:
                description: The item. Needed for V(onepassword).
                type: str
              account:
                description: The 1Password account, where C(op) knows several.
                type: str
              path:
                description: The file. Needed for V(file).
                type: path
              field:
                description: The field, or the variable's name.
                type: str
          max_age:
            description: How long a key lives.
            type: str
            default: 90d
          renew_after:
            description: After how long it is replaced; two thirds of O(here.key.max_age) when left out.
            type: str
          overlap:
            description: How long the key before lives on.
            type: str
            default: 24h
      others:
        description: Other services to look at, so that one command tells of all.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: What its line is called.
            type: str
            required: true
          url:
            description: Green when it answers with success or a redirect. Exactly one of this and O(here.others[].command) is needed.
            type: str
          command:
            description: Given to C(/bin/sh -c) on the controller; green when that ends with 0. What it prints is not shown.
            type: str
      ca_path:
        description: A file of certificates to trust for O(here.others).
        type: str
  images:
    description:
      - By the name of an upstream an image of it, without that name, such as V(library/hello-world:latest). It is asked for by its tag, so
        that zot asks the upstream, and fetches it where it has to. Of other upstreams an image that is cached is asked for by its digest.
    type: dict
    default: {}
  ca_path:
    description: A file on the host with the certificates to trust in place of the system's.
    type: str
  timeout:
    description: Seconds to wait for each answer of the network; all together take at most twice as long.
    type: float
    default: 5
  allowance_percent:
    description: Docker Hub is amber when less of its pulls is left than this.
    type: float
    default: 20
  certificate_days:
    description: The certificate is amber when it ends in less days than this, and less than a quarter of its life is left.
    type: float
    default: 21
  disk_amber_percent:
    description: The disk is amber when less of it is free.
    type: float
    default: 15
  disk_red_percent:
    description: The disk is red when less of it is free.
    type: float
    default: 5
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: How is this registry?
  blumeops.zot.zot_check:
    declared:
      config_path: /Users/erichblume/.config/zot/config.json
      service: {manager: launchd, name: mcquack.eblume.zot}
      release: 2.1.20
    images: {docker.io: "library/hello-world:latest"}
  register: how

- name: Nothing is red
  ansible.builtin.assert:
    that: how.lines | selectattr('level', 'eq', 'red') | list | length == 0

- name: How old is the key, and does the forge answer?
  blumeops.zot.zot_check:
    here:
      key:
        url: https://registry.example.org
        username: zot-ci
        store: {kind: file, path: ~/.config/zot-ci.json, field: zot-ci-api}
      others:
        - {name: forge, url: https://forge.example.org/}
        - {name: backup, command: "test -n \"$(find /var/backups/zot -mtime -1)\""}
"""

RETURN = r"""
lines:
  description: One for each check of the host.
  returned: O(declared) or O(declared_in)
  type: list
  elements: dict
  contains:
    check:
      description:
        - C(host), C(ready), C(release), C(access), C(external), C(certificate), C(upstreams), C(cache), C(disk), C(drift) or C(oidc).
      type: str
    level:
      description: V(green), V(amber), V(red), or V(grey) for what does not apply or was not asked, as RV(lines[].text) says.
      type: str
    text:
      description: What was found, for people.
      type: str
    facts:
      description: Numbers for machines, such as C(days_left).
      type: dict
here:
  description: The same for C(key) and O(here.others).
  returned: O(here)
  type: list
  elements: dict
"""
