# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstreams of a registry -> the files that make a client pull through it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mirror_files
short_description: The files that make a client pull through a registry that caches others
version_added: 0.1.0
description:
  - zot tells its upstreams apart by the repository's path alone. A client whose mirror is the registry's bare address is answered 404 and
    goes to the upstream itself, without a word; in these files the path is there.
  - Nothing is read or written. Files that may be there already are given in O(existing); other settings in them stay, and what contradicts
    is an error.
positional: registry, client
options:
  _input:
    description: What the registry caches, as in C(zot_upstreams) of the role P(blumeops.zot.zot#role); or the names alone.
    type: list
    elements: raw
    required: true
  registry:
    description:
      - The URL of the registry as the client reaches it; or a mapping of C(url), C(ca) (the path of a certificate authority on the client),
        C(skip_verify), C(username) and C(password).
      - A login can be given for V(containerd), V(k3s), V(rke2) and V(caddy). The content is a secret then.
    type: raw
    required: true
  client:
    description:
      - V(containerd) is one C(hosts.toml) for each upstream, for containerd 1.6, 1.7 and 2.x. It is read at each pull.
      - V(containerd_config) is containerd's own configuration with C(config_path), which says where they are.
      - V(podman) is for skopeo, buildah and CRI-O too.
      - V(docker) is the daemon's configuration, and wants O(proxy), as its mirrors cannot carry a path.
      - V(caddy) is a site for Caddy 2 that is such a proxy. With C(ca) it wants 2.8.
    type: str
    required: true
    choices: [containerd, containerd_config, k3s, rke2, podman, buildkit, docker, caddy]
  path:
    description:
      - Where the file is, if not in its usual place; for V(containerd) the folder.
      - >-
        Usual are C(/etc/containerd/certs.d), C(/etc/containerd/config.toml), C(/etc/rancher/k3s/registries.yaml),
        C(/etc/rancher/rke2/registries.yaml), C(/etc/containers/registries.conf.d/50-zot.conf), C(/etc/buildkit/buildkitd.toml),
        C(/etc/docker/daemon.json) and C(/etc/caddy/sites/zot-docker.caddy).
    type: str
    default: ""
  existing:
    description: The texts of files that are there, by their paths. What is not given is taken for absent, and would be lost.
    type: dict
    default: {}
  proxy:
    description: For V(docker) and V(caddy), the URL of the host of its own that stands for Docker Hub.
    type: str
    default: ""
  config_version:
    description: For V(containerd_config) where the file is not there yet; V(2) for containerd 1.x, V(3) for 2.x.
    type: int
    default: 0
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Make the folders of containerd's mirrors
  ansible.builtin.file:
    path: "{{ item.path | dirname }}"
    state: directory
    mode: "0755"
  loop: "{{ ['docker.io', 'ghcr.io'] | blumeops.zot.mirror_files('https://registry.example', 'containerd') }}"
  loop_control:
    label: "{{ item.path }}"

- name: Make containerd pull through the registry
  ansible.builtin.copy:
    dest: "{{ item.path }}"
    content: "{{ item.content }}"
    mode: "{{ item.mode }}"
  loop: "{{ ['docker.io', 'ghcr.io'] | blumeops.zot.mirror_files('https://registry.example', 'containerd') }}"
  loop_control:
    label: "{{ item.path }}"

- name: Read what k3s has
  ansible.builtin.slurp:
    src: /etc/rancher/k3s/registries.yaml
  register: k3s_registries
  failed_when: k3s_registries is failed and 'not found' not in k3s_registries.msg

- name: Make k3s pull through the registry with a login, and keep what is there
  ansible.builtin.copy:
    dest: "{{ item.path }}"
    content: "{{ item.content }}"
    mode: "{{ item.mode }}"
  loop: "{{ ['docker.io'] | blumeops.zot.mirror_files(registry, 'k3s', existing=existing) }}"
  no_log: true
  vars:
    registry: {url: "https://registry.example", username: node, password: "{{ vault_registry_password }}"}
    existing: "{{ {'/etc/rancher/k3s/registries.yaml': k3s_registries.content | default('') | b64decode} }}"
"""

RETURN = r"""
_value:
  description: The files, whole.
  type: list
  elements: dict
  contains:
    path:
      description: Where it belongs.
      type: str
    content:
      description: Its text. With a login it is a secret, in base64 or as it is.
      type: str
    mode:
      description: Its mode; V(0600) where others' settings or a login may be in it.
      type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._mirror_files import files
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain


def mirror_files(
    upstreams: t.Any,
    registry: t.Any,
    client: t.Any,
    path: t.Any = "",
    existing: t.Any = None,
    proxy: t.Any = "",
    config_version: t.Any = 0,
) -> list[dict[str, str]]:
    """See DOCUMENTATION."""
    try:
        texts = plain(existing, "existing") or {}
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ZotError("existing: a mapping of paths to texts is wanted")
        names = {key: plain(value, key) for key, value in (("client", client), ("path", path), ("proxy", proxy))}
        if not all(isinstance(value, str) for value in names.values()):
            raise ZotError("client, path and proxy are texts")
        version = plain(config_version, "config_version")
        version = int(version) if isinstance(version, str) and version in ("2", "3") else version
        given, reached = plain(upstreams, "upstreams"), plain(registry, "registry")
        made = files(upstreams=given, registry=reached, existing=texts, config_version=version, **names)
        return [{"path": file.path, "content": file.content, "mode": file.mode} for file in made]
    except ZotError as error:
        raise AnsibleFilterError(error.message) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"mirror_files": mirror_files}
