#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_cache_check
short_description: Prove that a client pulls through the registry, and not past it
version_added: 0.1.0
description:
  - Lets a client on its own host pull an image, and fails with the reason unless the registry served it. A pull that works proves nothing,
    as clients go to the upstream, without a word, where the registry does not serve them.
  - What proves it are zot's own counts, of which O(ignore:proof) is told. Where search is on, it is the number of downloads, to which only
    the C(GET) of a manifest adds; else the number of requests in the metrics; else that a tag is there that was not. Where none of these
    can be had, that is a failure too.
  - Only an image is pulled that the client does not have, and it is removed again. What the client's user has is neither changed nor
    removed. zot keeps what it fetched, as it does from any client.
  - Somebody else who pulls the same image in the same moment would be taken for this client. So take an image that nobody else pulls, and
    one host at a time (C(throttle=1)).
  - In check mode nothing is pulled, and no upstream is asked.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
    details: It tells what would be pulled. The registry and the client are asked what they have.
  diff_mode:
    support: N/A
    details: Nothing is left to be different.
  idempotent:
    support: full
    details: What it pulls is removed.
  platform:
    support: full
    platforms: posix
options:
  client:
    description:
      - Which client. V(containerd) is C(crictl) where that gets an answer, else C(ctr), which has to be told O(hosts_dir).
      - V(minikube) is run where minikube is, and pulls inside the node, with whichever runtime it has.
      - CRI-O and buildah read the files of V(podman).
    type: str
    choices: [containerd, k3s, rke2, podman, skopeo, docker, minikube]
    required: true
  command:
    description:
      - The client's program with global options, instead of its usual one, such as C([minikube, -p, home, ssh, --, sudo, crictl]).
    type: list
    elements: str
    default: []
  routes:
    description:
      - Images to pull, as P(blumeops.zot.mirror_route#filter) makes them of a list of names. The first that the client does not have is
        taken.
      - They are named by tag.
    type: list
    elements: dict
    required: true
    suboptions:
      image:
        description: The whole name of the image.
        type: str
        required: true
      cached:
        description: Whether the registry caches it.
        type: bool
        required: true
      registry:
        description: What is asked of the registry, with its host.
        type: str
        required: true
      upstream:
        description: What the registry asks, with its host.
        type: str
        default: ""
      reference:
        description: The tag.
        type: str
        required: true
      why:
        description: Why it is not cached.
        type: str
        default: ""
      route:
        description: All of it in one line.
        type: str
        default: ""
  url:
    description: The registry as this host reaches it, scheme, host and port.
    type: str
    required: true
  username:
    description: Who asks the registry, where anonymous may not read. The client has its own login.
    type: str
    default: ""
  password:
    description: The password or API key of O(username).
    type: str
    default: ""
  validate_certs:
    description: Whether the certificate of O(url) is verified.
    type: bool
    default: true
  ca_path:
    description: A file of certificates to trust besides the system's, on this host.
    type: path
  ca:
    description: The text of such a file, instead of O(ca_path).
    type: str
  hosts_dir:
    description:
      - The folder of containerd's C(hosts.toml). For V(k3s) and V(rke2) the one that they write at their start.
      - By default C(/etc/containerd/certs.d).
    type: path
  config_path:
    description: containerd's own configuration, where C(ctr) has to stand for CRI.
    type: path
    default: /etc/containerd/config.toml
  files:
    description:
      - What P(blumeops.zot.mirror_files#filter) makes for this client. A file that is otherwise is told as the reason where none is better.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it belongs.
        type: path
        required: true
      content:
        description: Its text.
        type: str
        required: true
      mode:
        description: Its mode, which is not looked at.
        type: str
  timeout:
    description: Seconds that a pull may take.
    type: int
    default: 120
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Prove that the nodes pull through the registry
  blumeops.zot.zot_cache_check:
    client: containerd
    url: https://registry.example
    routes: "{{ ['hello-world:linux'] | blumeops.zot.mirror_route(['docker.io', 'ghcr.io'], 'https://registry.example') }}"
  become: true
  throttle: 1

- name: Prove it for the cluster in minikube, and say which file is wrong
  blumeops.zot.zot_cache_check:
    client: minikube
    url: https://registry.example
    routes: "{{ images | blumeops.zot.mirror_route(['docker.io'], 'http://host.minikube.internal:5050') }}"
  vars:
    images: [hello-world:linux, hello-world:latest]
"""

RETURN = r"""
cached:
  description: Whether the registry served the image; null where nobody can tell, which is a failure, and in check mode.
  returned: when a client could be asked
  type: bool
proof:
  description:
    - V(fetched) means that zot did not have this image, fetched it and was asked for it. V(served) means that it had it, and counts a
      download more.
    - V(requests) means that its metrics count the requests of a pull. V(appeared) is the weakest, zot has a tag that it did not have.
  returned: when something was pulled
  type: str
program:
  description: The program that pulled, or would.
  returned: success
  type: str
image:
  description: The image that was pulled, or would be.
  returned: success
  type: str
repository:
  description: The registry's repository of it.
  returned: success
  type: str
seconds:
  description: How long the pull took.
  returned: when something was pulled
  type: float
requests:
  description: How many requests zot counted in that repository meanwhile; null where its metrics cannot be read.
  returned: when something was pulled
  type: int
reason:
  description: Why the image did not come through the registry, or why nobody can tell.
  returned: when something was pulled, and was not served
  type: str
left:
  description: What could not be removed; empty if nothing is left.
  returned: when something was pulled
  type: str
"""


import shutil
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._cache_check import Zot, check, choose, place
from ansible_collections.blumeops.zot.plugins.module_utils._client_faults import HOSTS_DIRS, fault_of
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._pulling import CLIENTS, puller
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run
from ansible_collections.blumeops.zot.plugins.module_utils._transport import sender

ROUTE = {
    "image": {"type": "str", "required": True},
    "cached": {"type": "bool", "required": True},
    "registry": {"type": "str", "required": True},
    "upstream": {"type": "str", "default": ""},
    "reference": {"type": "str", "required": True},
    "why": {"type": "str", "default": ""},
    "route": {"type": "str", "default": ""},
}
FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
    "mode": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "client": {"type": "str", "required": True, "choices": list(CLIENTS)},
            "command": {"type": "list", "elements": "str", "default": []},
            "routes": {"type": "list", "elements": "dict", "required": True, "options": ROUTE},
            "url": {"type": "str", "required": True},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "ca": {"type": "str"},
            "hosts_dir": {"type": "path"},
            "config_path": {"type": "path", "default": "/etc/containerd/config.toml"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
            "timeout": {"type": "int", "default": 120},
        },
        mutually_exclusive=[("ca_path", "ca")],
        supports_check_mode=True,
    )
    # Not in module.tmpdir: podman takes no path of more than 50 characters.
    scratch = tempfile.mkdtemp(prefix="zot-")
    try:
        told = _told(module.params, scratch, module.check_mode)
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if told.get("left"):
        module.warn(f"this is left of the check: {told['left']}")
    module.exit_json(changed=False, **told)


def _told(args: dict, scratch: str, check_mode: bool) -> dict:
    zot = Zot(args["url"].rstrip("/"), sender(args["validate_certs"], _authority(args, scratch)), args["username"], args["password"])
    zot.require()
    client = puller(args["client"], args["command"], args["hosts_dir"] or HOSTS_DIRS.get(args["client"], ""), scratch, run)
    route = choose(args["routes"], client)
    told = {"program": client.name, "image": route["image"], "repository": place(route)[0]}
    if check_mode:
        return {**told, "cached": None, "msg": f"would pull {route['image']} with {client.name}"}
    return {**told, **check(zot, client, route, lambda: fault_of(args, client.command, route, run), time, args["timeout"])}


def _authority(args: dict, scratch: str) -> str | None:
    if not args["ca"]:
        return args["ca_path"]
    path = Path(scratch, "ca.pem")
    path.write_text(args["ca"], encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
