#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_files
short_description: Stage, write, promote and restore the files zot reads
version_added: 0.1.0
description:
  - The host's side of M(blumeops.zot.zot_config), which calls it to look and to stage; the role V(blumeops.zot.zot) calls it to
    write, promote and restore.
  - Every file is made beside its target and renamed over it. What was proved last is kept in C(last-good/record.json) beside the
    configuration, readable by its owner alone.
  - No content of a file is returned, logged or shown.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The diff is shown by M(blumeops.zot.zot_config), which knows what is wanted and why.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  config_path:
    description: Absolute path of zot's configuration on the host. The other files lie in the same folder.
    type: path
    required: true
  state:
    description:
      - V(look) compares and changes nothing. V(staged) writes everything that is wanted to a folder of its own and lets C(zot verify)
        judge it; in check mode, and when it is refused, nothing stays there.
      - V(written) renames the staged files over the live ones. V(promoted) records what is live as proved.
      - V(restored) brings back what was recorded.
    type: str
    choices: [look, staged, written, promoted, restored]
    required: true
  document:
    description: The configuration, as JSON text. Needed for O(state=look) and O(state=staged).
    type: str
  files:
    description: The secret files that are wanted beside the configuration.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: File name.
        type: str
        required: true
      content:
        description: Text; left out when it is not known (its secret was not given), or is made on the host once (session keys).
        type: str
  folders:
    description: Folders to make where they are missing, with parents.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      mode:
        description: Octal mode for a folder that is made.
        type: str
        default: "0750"
      user:
        description: Owner of a folder that is made; that of the files when left out.
        type: str
      group:
        description: Group of a folder that is made; that of the files when left out.
        type: str
  binary:
    description: The zot binary that is to run. Where it is not on the host yet (check mode), C(zot verify) is left out and that is said.
    type: path
  release:
    description: The release O(binary) must be.
    type: str
  owner:
    description: Owner of the files; the user who runs the module when left out.
    type: str
  group:
    description: Group of the files.
    type: str
  file_mode:
    description: Octal mode of the files. V(0640) lets the group read.
    type: str
    choices: ["0600", "0640"]
    default: "0600"
  run_as:
    description: User who runs zot; C(zot verify) runs as that user when there is one and the module runs as root.
    type: str
  service_file:
    description: The property list or unit of the service; recorded and restored with the configuration.
    type: path
  service:
    description: The service that runs zot, to tell whether a busy port is its own. Without it the port is not looked at.
    type: dict
    suboptions:
      manager:
        description: The service manager.
        type: str
        choices: [launchd, systemd, systemd_user]
        required: true
      name:
        description: Label or unit.
        type: str
        required: true
      launchctl:
        description: Path of launchctl.
        type: path
        default: /bin/launchctl
      log_paths:
        description: Where a launchd service logs.
        type: list
        elements: path
        default: []
author:
  - The blumeops.zot authors
"""

EXAMPLES = r"""
- name: Bring back what was proved last
  blumeops.zot.zot_files:
    config_path: /Users/erichblume/.config/zot/config.json
    state: restored
"""

RETURN = r"""
found:
  description: How the host differs from what is wanted; documents are masked, files are only C(same), C(differs) or C(absent).
  returned: O(state=look)
  type: dict
verified:
  description: Whether C(zot verify) of O(binary) was asked.
  returned: O(state=staged)
  type: bool
written:
  description: Names of the files that were renamed over the live ones.
  returned: O(state=written)
  type: list
  elements: str
restored:
  description: C(binary), C(release) and C(proved) of what was brought back; null where nothing was recorded.
  returned: O(state=restored)
  type: dict
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils import _files, _host
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._service import ARGUMENT_SPEC as SERVICE

FILE = {"name": {"type": "str", "required": True}, "content": {"type": "str", "no_log": True}}
FOLDER = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0750"},
    "user": {"type": "str"},
    "group": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config_path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["look", "staged", "written", "promoted", "restored"], "required": True},
            "document": {"type": "str", "no_log": True},
            "files": {"type": "list", "elements": "dict", "options": FILE, "default": []},
            "folders": {"type": "list", "elements": "dict", "options": FOLDER, "default": []},
            "binary": {"type": "path"},
            "release": {"type": "str"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "file_mode": {"type": "str", "choices": ["0600", "0640"], "default": "0600"},
            "run_as": {"type": "str"},
            "service_file": {"type": "path"},
            "service": {"type": "dict", "options": SERVICE},
        },
        required_if=[
            ("state", "look", ["document"]),
            ("state", "staged", ["document", "binary", "release"]),
            ("state", "promoted", ["binary", "release"]),
        ],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_STATES[module.params["state"]](module.params, module.check_mode))
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    except OSError as error:
        module.fail_json(msg=_told(error))


def _told(error: OSError) -> str:
    if error.filename is None:
        return f"{error.strerror}; nothing was left half-written, run again when that is mended"
    return f"{error.filename}: {error.strerror}; give this user the right to it, or another path"


def _wanted(params: dict) -> _files.Wanted:
    return _files.Wanted(json.loads(params["document"]), params["document"], {item["name"]: item["content"] for item in params["files"]})


def _look(params: dict, _check: bool) -> dict:
    layout, owner = _files.Layout(Path(params["config_path"])), _host.owner(params)
    found = _files.look(layout, _wanted(params), owner)
    found["folders_missing"] = [item["path"] for item in params["folders"] if not Path(item["path"]).is_dir()]
    found["salts"] = _host.bcrypt_salts(layout.folder / _files.HTPASSWD_FILE)
    return {"changed": False, "found": found}


def _staged(params: dict, check: bool) -> dict:
    verified = _host.stage_and_judge(params, _wanted(params), check)
    return {"changed": True, "verified": verified}


def _written(params: dict, check: bool) -> dict:
    layout = _files.Layout(Path(params["config_path"]))
    service_file = Path(params["service_file"]) if params["service_file"] else None
    return {"changed": True, "written": [] if check else _files.commit(layout, service_file)}


def _promoted(params: dict, check: bool) -> dict:
    layout = _files.Layout(Path(params["config_path"]))
    service_file = Path(params["service_file"]) if params["service_file"] else None
    return {"changed": False if check else _files.promote(layout, params["binary"], params["release"], service_file)}


def _restored(params: dict, check: bool) -> dict:
    layout = _files.Layout(Path(params["config_path"]))
    if check:
        record = _files.read_record(layout)
        return {"changed": record is not None, "restored": record and {key: record[key] for key in ("binary", "release", "proved")}}
    restored = _files.restore(layout, _host.owner(params))
    return {"changed": restored is not None, "restored": restored}


_STATES = {"look": _look, "staged": _staged, "written": _written, "promoted": _promoted, "restored": _restored}

if __name__ == "__main__":
    main()
