#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_mirror_host
short_description: The host's side of zot_mirror
version_added: 0.1.0
description:
  - What M(blumeops.zot.zot_mirror) does on the host, or in the nodes that minikube or kind run on it. It is of no use alone.
  - Every file is made beside its place and renamed over it; an owner stays. No content is logged or shown.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The diff is shown by M(blumeops.zot.zot_mirror), which knows what is wanted and why.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description:
      - V(looked) returns what is there and changes nothing. V(written) notes O(owed) and writes O(files). V(settled) forgets what was
        noted.
    type: str
    choices: [looked, written, settled]
    required: true
  places:
    description: Where files are.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: The host, or the nodes of a profile of minikube or of a cluster of kind.
        type: str
        choices: [host, minikube, kind]
        required: true
      name:
        description: The profile or cluster.
        type: str
      program:
        description: The program of minikube or kind.
        type: str
      engine:
        description: The program of the container engine that runs kind's nodes.
        type: str
      home:
        description: What stands for C(MINIKUBE_HOME).
        type: str
      paths:
        description: What to read. A C(~) at the beginning is the user's home.
        type: list
        elements: str
        default: []
      units:
        description: Units of systemd that may be active.
        type: list
        elements: str
        default: []
      programs:
        description: Programs that are asked for their version.
        type: list
        elements: str
        default: []
  files:
    description: What to write.
    type: list
    elements: dict
    default: []
    suboptions:
      place:
        description: The number of the place.
        type: int
        required: true
      node:
        description: The node, for minikube and kind; the first one when empty.
        type: str
        default: ""
      path:
        description: Where it belongs.
        type: str
        required: true
      content:
        description: Its content in base64.
        type: str
        required: true
      mode:
        description: Its octal mode.
        type: str
        required: true
      folder_mode:
        description: The octal mode of a folder that has to be made for it on the host.
        type: str
        default: "0755"
      owner:
        description: Who owns it on the host when it is new.
        type: str
  owed:
    description: Names of those that have to take what is written. They are returned to V(looked) until V(settled).
    type: list
    elements: str
    default: []
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Look what is there
  blumeops.zot.zot_mirror_host:
    state: looked
    places:
      - kind: host
        paths: [/etc/docker/daemon.json]
        units: [docker]
"""

RETURN = r"""
answers:
  description:
    - For each place the answers of its nodes; a host is its only one. C(files) are content and mode by path, C(active) the units that are,
      C(said) what programs say, C(dockerds) the arguments of each Docker daemon that runs.
    - Of minikube also C(runtime), C(folder), and what is C(kept) in it.
  returned: O(state=looked)
  type: list
  elements: list
owed:
  description: Who still has to take what an earlier run wrote.
  returned: O(state=looked)
  type: list
  elements: str
"""

import itertools

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_places import Host, owe, owed, place_of
from ansible_collections.blumeops.zot.plugins.module_utils._runner import run

STRINGS = {"type": "list", "elements": "str", "default": []}
PLACE = {
    "kind": {"type": "str", "choices": ["host", "minikube", "kind"], "required": True},
    **{name: {"type": "str"} for name in ("name", "program", "engine", "home")},
    **dict.fromkeys(("paths", "units", "programs"), STRINGS),
}
FILE = {
    "place": {"type": "int", "required": True},
    "node": {"type": "str", "default": ""},
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
    "mode": {"type": "str", "required": True},
    "folder_mode": {"type": "str", "default": "0755"},
    "owner": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["looked", "written", "settled"], "required": True},
            "places": {"type": "list", "elements": "dict", "options": PLACE, "default": []},
            "files": {"type": "list", "elements": "dict", "options": FILE, "default": []},
            "owed": STRINGS,
        },
        supports_check_mode=True,
    )
    state, asked, files = module.params["state"], module.params["places"], module.params["files"]
    places = [place_of(place["kind"], {**place, "tmp": module.tmpdir}, run) for place in asked]
    try:
        if state == "looked":
            module.exit_json(changed=False, answers=[place.look(wanted) for place, wanted in zip(places, asked)], owed=owed())
        for number, place in enumerate(places):
            if isinstance(place, Host):
                place.require([file for file in files if file["place"] == number])
        if not module.check_mode:
            owe(module.params["owed"])  # before it is so: a run that is stopped in between tells somebody for nothing
            for (place, node), some in itertools.groupby(files, lambda file: (file["place"], file["node"])):
                places[place].write(node, list(some))
    except ZotError as error:
        module.fail_json(msg=error.message)
    module.exit_json(changed=bool(files))


if __name__ == "__main__":
    main()
