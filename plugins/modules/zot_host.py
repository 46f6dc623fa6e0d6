#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: zot_host
short_description: The host's side of the collection's actions
version_added: 0.1.0
description:
  - What M(blumeops.zot.zot_binary), M(blumeops.zot.zot_config), M(blumeops.zot.zot_info), M(blumeops.zot.zot_access_probe) and
    M(blumeops.zot.launch_agent) do on the host. The role V(blumeops.zot.zot) calls it to write, promote and restore what
    M(blumeops.zot.zot_config) staged.
  - It is one module because Ansible builds each module anew in every run, and a second call of the same one is far cheaper.
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
    details: The diff is shown by the actions, which know what is wanted and why.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description:
      - V(facts) tells the system, the service manager and the user, V(serving) waits until zot serves and tells what runs.
      - V(binary) looks for a binary among the installed ones, and installs it from O(path) or O(source).
      - V(look) compares and changes nothing. V(preflight) tells what zot would find of the files, folders and identity providers that a
        configuration names, and whether it could listen, and V(judged) what C(zot verify) says of a copy; they change nothing either.
      - V(staged) writes everything that is wanted to a folder of its own and lets C(zot verify)
        judge it; in check mode, and when it is refused, nothing stays there.
      - V(written) renames the staged files over the live ones. V(promoted) records what is live as proved.
      - V(restored) brings back what was recorded.
      - V(agent) does what M(blumeops.zot.launch_agent) is for, and returns what that says.
      - V(probe) asks a live zot at O(url) who may do what. It changes nothing.
    type: str
    choices: [facts, binary, look, preflight, judged, staged, written, promoted, restored, serving, agent, probe]
    required: true
  agent:
    description: The options of M(blumeops.zot.launch_agent), all of them, for O(state=agent).
    type: dict
  service_manager:
    description: What is to run zot, for O(state=facts). V(auto) is launchd on macOS and systemd on Linux; V(systemd) needs root.
    type: str
    choices: [auto, launchd, systemd, systemd_user]
    default: auto
  config_path:
    description: Absolute path of zot's configuration on the host. The other files lie in the same folder.
    type: path
  install_dir:
    description: Folder of the binaries, for O(state=binary); made when missing.
    type: path
  path:
    description: A binary that was given on the host.
    type: path
  source:
    description: Where the binary was brought from elsewhere.
    type: path
  sha256:
    description: The sum the binary must have.
    type: str
    default: ""
  document:
    description: The configuration, as JSON text.
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
    description: The zot release that is wanted.
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
    description:
      - User who runs zot. C(zot verify) runs as that user, and O(inspect) looks with that user's rights, when there is one and the module
        runs as root.
    type: str
  inspect:
    description: What to look at, for O(state=preflight). What O(folders) lists and is missing counts as made.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description:
          - What it is to be. V(keys) is a file of names and values in a format that zot's own configuration may have, V(credentials) one
            with the logins of upstream registries, V(log) a file that can be appended to, V(folder) one for data.
        type: str
        choices: [credentials, exists, folder, htpasswd, keys, log, pem, readable]
        required: true
      path:
        description: Absolute path; taken as it is, as zot takes it.
        type: str
        required: true
  issuers:
    description: OpenID providers to ask, by the issuer that the configuration names, for O(state=preflight).
    type: list
    elements: str
    default: []
  listen:
    description: Where zot is to listen, for O(state=preflight). Looked at when O(service) tells whose a busy port is.
    type: dict
    suboptions:
      address:
        description: Address; that of loopback when left out.
        type: str
      port:
        description: Port; zot's own default when left out.
        type: str
  service_file:
    description: The property list or unit of the service; recorded and restored with the configuration.
    type: path
  service:
    description:
      - The service that runs zot, for O(state=serving). With O(state=preflight) it tells whether a busy port is its
        own.
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
  steady:
    description: Seconds after which the same process must still serve.
    type: float
    default: 0
  wait_timeout:
    description: Seconds to wait until zot serves.
    type: int
    default: 60
  url:
    description: Where zot answers, for O(state=probe); scheme, host and port.
    type: str
  validate_certs:
    description: Whether the certificate at O(url) is verified.
    type: bool
    default: true
  identities:
    description:
      - Who asks, for O(state=probe), as the JSON text of a list of pairs of name and secret; an empty name is everybody who is not logged
        in. It is one text because Ansible covers each secret wherever it finds it in a result, within other words too.
    type: str
  questions:
    description: What each of O(identities) is asked, for O(state=probe).
    type: dict
    default: {}
    suboptions:
      read:
        description: Repositories.
        type: list
        elements: str
      create:
        description: Repositories.
        type: list
        elements: str
      update:
        description: Lists of repositories. Of each the first that has a tag is asked.
        type: list
        elements: list
      delete:
        description: Repositories.
        type: list
        elements: str
  fail_delay:
    description: Seconds by which zot delays a denial.
    type: int
    default: 0
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Bring back what was proved last
  blumeops.zot.zot_host:
    config_path: /Users/erichblume/.config/zot/config.json
    state: restored
"""

RETURN = r"""
system:
  description: The system in the words of zot's releases, such as C(linux) or C(darwin).
  returned: O(state=facts)
  type: str
architecture:
  description: The architecture, such as C(amd64) or C(arm64).
  returned: O(state=facts)
  type: str
service_manager:
  description: What is to run zot; never C(auto).
  returned: O(state=facts)
  type: str
user:
  description: The user who runs the module.
  returned: O(state=facts)
  type: str
uid:
  description: That user's number.
  returned: O(state=facts)
  type: int
home:
  description: That user's home.
  returned: O(state=facts)
  type: str
binary:
  description: Where the binary lies or belongs.
  returned: O(state=binary)
  type: str
sha256:
  description: Its sum.
  returned: O(state=binary)
  type: str
found_sha256:
  description: The sum of what lay there; null for nothing.
  returned: O(state=binary)
  type: str
installed:
  description: Whether it lies there now.
  returned: O(state=binary)
  type: bool
found:
  description: How the host differs from what is wanted; documents are masked, files are only C(same), C(differs) or C(absent).
  returned: O(state=look)
  type: dict
facts:
  description: What was found. Names, kinds and lengths; no content of a file.
  returned: O(state=preflight)
  type: dict
  contains:
    files:
      description:
        - The answer to each of O(inspect), by kind and path with a blank between them. C(state) is C(ok), C(absent), C(unreadable),
          C(broken) or C(unjudged), C(reason) says why it is not C(ok), and the rest is of that C(kind).
      type: dict
    issuers:
      description: For each of O(issuers) C(state) (C(ok), C(unreachable), C(broken) or C(mismatch)), C(issuer), C(tls) and C(reason).
      type: dict
    port:
      description: Why zot cannot listen; null where it can.
      type: str
complaint:
  description: What C(zot verify) of O(binary) has against it; empty for nothing, null where no binary of the release is there.
  returned: O(state=judged)
  type: str
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
url:
  description: Where zot answers.
  returned: O(state=serving)
  type: str
release:
  description: The release zot says it is; null where it does not tell.
  returned: O(state=serving) and O(state=probe)
  type: str
answers:
  description:
    - Each answer. C(who) is the number of the identity, C(answered) is C(allowed), C(denied), or null where the C(status) tells neither.
  returned: O(state=probe)
  type: list
  elements: dict
refused:
  description: Numbers of the identities whose login was refused. They were asked nothing.
  returned: O(state=probe)
  type: list
  elements: int
unasked:
  description: Questions that could not be asked, with the reason.
  returned: O(state=probe)
  type: list
  elements: dict
stored:
  description: Repositories that the identities together may see, when nothing was asked of V(update).
  returned: O(state=probe)
  type: list
  elements: str
pid:
  description: The process that serves.
  returned: O(state=serving)
  type: int
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._service import ARGUMENT_SPEC as SERVICE
from ansible_collections.blumeops.zot.plugins.module_utils._states import STATES

FILE = {"name": {"type": "str", "required": True}, "content": {"type": "str", "no_log": True}}
KINDS = ["credentials", "exists", "folder", "htpasswd", "keys", "log", "pem", "readable"]
INSPECT = {"kind": {"type": "str", "choices": KINDS, "required": True}, "path": {"type": "str", "required": True}}
LISTEN = {"address": {"type": "str"}, "port": {"type": "str"}}
REPOSITORIES = {"type": "list", "elements": "str"}
QUESTIONS = {"read": REPOSITORIES, "create": REPOSITORIES, "update": {"type": "list", "elements": "list"}, "delete": REPOSITORIES}
FOLDER = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0750"},
    "user": {"type": "str"},
    "group": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "agent": {"type": "dict"},
            "service_manager": {"type": "str", "choices": ["auto", "launchd", "systemd", "systemd_user"], "default": "auto"},
            "config_path": {"type": "path"},
            "install_dir": {"type": "path"},
            "path": {"type": "path"},
            "source": {"type": "path"},
            "sha256": {"type": "str", "default": ""},
            "document": {"type": "str", "no_log": True},
            "files": {"type": "list", "elements": "dict", "options": FILE, "default": []},
            "folders": {"type": "list", "elements": "dict", "options": FOLDER, "default": []},
            "binary": {"type": "path"},
            "release": {"type": "str"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "file_mode": {"type": "str", "choices": ["0600", "0640"], "default": "0600"},
            "run_as": {"type": "str"},
            "inspect": {"type": "list", "elements": "dict", "options": INSPECT, "default": []},
            "issuers": {"type": "list", "elements": "str", "default": []},
            "listen": {"type": "dict", "options": LISTEN},
            "service_file": {"type": "path"},
            "service": {"type": "dict", "options": SERVICE},
            "steady": {"type": "float", "default": 0},
            "wait_timeout": {"type": "int", "default": 60},
            "url": {"type": "str"},
            "validate_certs": {"type": "bool", "default": True},
            "identities": {"type": "str", "no_log": True},
            "questions": {"type": "dict", "options": QUESTIONS, "default": {}},
            "fail_delay": {"type": "int", "default": 0},
        },
        required_if=[
            ("state", "binary", ["install_dir", "release"]),
            ("state", "look", ["config_path", "document"]),
            ("state", "judged", ["config_path", "document", "binary", "release"]),
            ("state", "staged", ["config_path", "document", "binary", "release"]),
            ("state", "written", ["config_path"]),
            ("state", "promoted", ["config_path", "binary", "release"]),
            ("state", "restored", ["config_path"]),
            ("state", "serving", ["config_path", "service"]),
            ("state", "agent", ["agent"]),
            ("state", "probe", ["url", "identities"]),
        ],
        supports_check_mode=True,
    )
    try:
        told = STATES[module.params["state"]](module.params, module.check_mode)
        for warning in told.pop("warnings", []):
            module.warn(warning)
        module.exit_json(**told)
    except ZotError as error:
        module.fail_json(msg=error.message, **error.facts)
    except OSError as error:
        module.fail_json(msg=_told(error))


def _told(error: OSError) -> str:
    if error.filename is None:
        return f"{error.strerror}; nothing was left half-written, run again when that is mended"
    return f"{error.filename}: {error.strerror}; give this user the right to it, or another path"


if __name__ == "__main__":
    main()
