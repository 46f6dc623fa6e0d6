# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of an image -> what is asked of the registry, and what of its upstream."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mirror_route
short_description: The route of an image through a registry that caches others
version_added: 0.1.0
description:
  - Tells what a client asks of the registry, whose files are as P(blumeops.zot.mirror_files#filter) gives them, and what the registry asks
    of its upstream.
  - It asks nobody, so it does not tell whether an image is there.
positional: upstreams, registry
options:
  _input:
    description: The name of an image as clients take it, such as V(nginx) or V(ghcr.io/owner/name:1); or a list of names.
    type: raw
    required: true
  upstreams:
    description: What the registry caches, as in C(zot_upstreams) of the role P(blumeops.zot.zot#role); or the names alone.
    type: list
    elements: raw
    required: true
  registry:
    description: The URL of the registry as clients reach it; or a mapping with C(url), as for P(blumeops.zot.mirror_files#filter).
    type: raw
    required: true
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Show the route of an image
  ansible.builtin.debug:
    msg: "{{ ('nginx' | blumeops.zot.mirror_route(zot_upstreams, 'https://registry.example')).route }}"
  vars:
    zot_upstreams: [{name: docker.io}, {name: ghcr.io}]
  # docker.io/library/nginx -> registry.example/docker.io/library/nginx -> registry-1.docker.io/library/nginx

- name: Everything that is deployed comes through the cache
  ansible.builtin.assert:
    that: routes | rejectattr('cached') | list | length == 0
    fail_msg: "{{ routes | rejectattr('cached') | map(attribute='why') | join('; ') }}"
  vars:
    routes: "{{ ['nginx:1.27', 'ghcr.io/owner/name:2'] | blumeops.zot.mirror_route(['docker.io', 'ghcr.io'], 'https://registry.example') }}"
"""

RETURN = r"""
_value:
  description: The route; of a list of names a list of routes.
  type: raw
  contains:
    image:
      description: The whole name of the image.
      type: str
    cached:
      description: Whether the registry caches it.
      type: bool
    registry:
      description: What is asked of the registry, with its host; empty if nothing is.
      type: str
    upstream:
      description: What is asked of the upstream, with its host; by the client itself if the registry does not cache it.
      type: str
    reference:
      description: The digest that is asked for, or the tag where there is none.
      type: str
    why:
      description: Why it is not cached; empty if it is.
      type: str
    route:
      description: All of it in one line.
      type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.plugin_utils._plain import plain
from ansible_collections.blumeops.zot.plugins.plugin_utils._routes import image_of, registry_of, route, upstreams_of


def mirror_route(images: t.Any, upstreams: t.Any, registry: t.Any) -> t.Any:
    """See DOCUMENTATION."""
    try:
        given = plain(images, "images")
        reached = registry_of(plain(registry, "registry"))
        known = upstreams_of(plain(upstreams, "upstreams"), reached)
        if isinstance(given, list):
            return [route(image_of(image, f"images[{number}]"), known, reached) for number, image in enumerate(given)]
        return route(image_of(given), known, reached)
    except ZotError as error:
        raise AnsibleFilterError(error.message) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"mirror_route": mirror_route}
