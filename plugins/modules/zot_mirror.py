#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_mirror
short_description: Make clients pull through a registry that caches others
version_added: 0.1.0
description:
  - Writes the files that make container runtimes of a host ask the registry first, as P(blumeops.zot.mirror_files#filter) has them. What is
    there is read first; other settings stay, and what contradicts fails before anything is written.
  - It tells which services have to take what changed, and how. It starts and stops none of them; the role registry_mirror does, and tells
    M(blumeops.zot.zot_mirror_host) when they have.
  - A login makes the files that hold it secrets. They are not shown, and only their owner may read them.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Of files with others' settings the part that changes, and of secrets only that they do.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  registry:
    description:
      - The URL of the registry as the clients reach it; or a mapping of C(url), C(skip_verify), C(username) and C(password).
    type: raw
    required: true
  upstreams:
    description: What it caches, as in C(zot_upstreams) of the role P(blumeops.zot.zot#role); or the names alone.
    type: list
    elements: raw
    required: true
  clients:
    description: Who pulls.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - V(containerd) is for CRI, C(ctr --hosts-dir) and nerdctl. V(podman) is for skopeo, buildah and CRI-O too.
          - V(docker) wants O(proxy), as its mirrors cannot carry a path; V(caddy) is a site for Caddy 2 that is such a proxy.
          - V(minikube) and V(kind) run where those programs run, as their user, and reach into the nodes.
        type: str
        choices: [containerd, k3s, rke2, podman, buildkit, docker, caddy, minikube, kind]
        required: true
      registry:
        description: The URL of the registry for this client, where it is another; in minikube this host is C(host.minikube.internal).
        type: str
      proxy:
        description: O(proxy) for this client, where it is another.
        type: str
      path:
        description: Where its file is, if not in its usual place; for V(containerd) the folder.
        type: str
      config_path:
        description: containerd's own configuration, if not C(/etc/containerd/config.toml).
        type: str
      config:
        description:
          - Whether containerd's own configuration has to name the folder, as it has to for CRI before 2.2. True by default.
        type: bool
      ca_path:
        description: Where O(ca) goes, if not where the client looks for it anyway or beside its file.
        type: str
      auth_file:
        description:
          - Where the login goes for V(podman) (C(~/.config/containers/auth.json)) and V(buildkit) (C(~/.docker/config.json)).
        type: str
      owner:
        description: Who owns files that are new, such as the user who runs Caddy.
        type: str
      activate:
        description: Whether to tell that its service has to take what changed. True by default.
        type: bool
      command:
        description: What makes it take what changed, instead of C(systemctl) with its usual unit.
        type: list
        elements: str
      check_command:
        description: Not used here. The playbook cache_check, which takes the same list, pulls with it.
        type: list
        elements: str
      profile:
        description: The profile of minikube; V(minikube) by default.
        type: str
      home:
        description: What stands for C(MINIKUBE_HOME); of the environment by default, else C(~/.minikube).
        type: str
      cluster:
        description: The cluster of kind; V(kind) by default.
        type: str
      engine:
        description: The container engine that runs the nodes of V(kind); V(docker) by default.
        type: str
        choices: [docker, podman, nerdctl]
      program:
        description: The program of V(minikube) or V(kind), if it is not on the path.
        type: str
  proxy:
    description: For V(docker) and V(caddy), the URL of the host of its own that stands for Docker Hub.
    type: str
    default: ""
  username:
    description: A user of the registry who may read.
    type: str
    default: ""
  password:
    description: The user's password.
    type: str
    default: ""
  ca:
    description: The text of the authority whose certificate the registry has, in PEM. It is put where each client looks.
    type: str
    default: ""
author:
  - The blumeops.zot authors (@eblume)
seealso:
  - plugin: blumeops.zot.mirror_files
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make containerd and podman pull through the registry
  blumeops.zot.zot_mirror:
    registry: https://registry.example
    upstreams: [docker.io, ghcr.io]
    clients: [{name: containerd}, {name: podman}]

- name: Make the minikube of this Mac pull through the zot of this Mac
  blumeops.zot.zot_mirror:
    registry: http://host.minikube.internal:5050
    proxy: https://hub.example
    upstreams: [docker.io]
    clients: [{name: minikube}]
"""

RETURN = r"""
files:
  description: What was written, or would be; of a node with its name before.
  returned: success
  type: list
  elements: str
activations:
  description:
    - Who has to take what changed, now or in an earlier run that did not come so far; C(client), C(argv), C(why) and C(who).
  returned: success
  type: list
  elements: dict
left:
  description: What nobody here can do, in words.
  returned: success
  type: list
  elements: str
"""
