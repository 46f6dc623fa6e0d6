#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: launch_agent
short_description: Manage a LaunchAgent of macOS
version_added: 0.1.0
description:
  - Writes the property list of a LaunchAgent, loads it into the session of its user, and makes sure that it runs and stays.
  - Works with launchd's domains (C(gui/UID), C(user/UID)) and looks at every effect, since launchctl's exit codes do not tell.
    It works over SSH, as the agent's user or as root.
  - When a changed agent does not come up, the file and the job that were there before are brought back.
  - An agent of the same label that was made by hand is adopted, in whichever session it is loaded.
extends_documentation_fragment:
  - blumeops.zot.attributes
  - blumeops.zot.attributes.actiongroup_zot
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
    details: With O(restart=true) a running agent is restarted every time.
  platform:
    support: full
    platforms: macOS
options:
  label:
    description: The agent's label, also the name of its file, in reverse-DNS form. It replaces a C(Label) in O(definition).
    type: str
    required: true
  state:
    description:
      - V(started) means loaded and running, and one second later still running.
      - V(loaded) means loaded, whether it runs or not. It is for a job that does its work and ends, such as one with C(StartInterval).
      - V(stopped) means not loaded; the file stays, so the agent is back after the next login unless O(enabled=false).
      - V(present) means that the file is there; what is loaded is left alone.
      - V(absent) means not loaded, no file, and nothing left in the store of disabled labels.
    type: str
    choices: [present, loaded, started, stopped, absent]
    default: started
  program_arguments:
    description:
      - The program, as absolute path (C(~) is the home of O(user)), and its arguments. No shell sees them and nothing is expanded.
      - Without this and O(definition) the file on the host says what is wanted, for example one that was restored from a backup.
    type: list
    elements: str
  options:
    description:
      - Further keys of the property list, by launchd's own names (see C(man launchd.plist)), used with O(program_arguments).
      - C(~) at the beginning of a path is the home of O(user).
    type: dict
    suboptions:
      RunAtLoad:
        description: Start when loaded, that is now and at every login. V(true) when not given.
        type: bool
      KeepAlive:
        description: V(true), V(false) or a dictionary of conditions, of which any one is enough.
        type: raw
      ThrottleInterval:
        description: Seconds from one start to the next at least; launchd's default is 10.
        type: int
      ExitTimeOut:
        description: Seconds from C(SIGTERM) to C(SIGKILL); launchd's default is 5, and newer releases allow 60 at most.
        type: int
      ProcessType:
        description: How much macOS may throttle it. Servers should not be V(Background).
        type: str
        choices: [Adaptive, Background, Interactive, Standard]
      EnvironmentVariables:
        description:
          - Environment variables; names and values are strings. A digest of the definition is added as C(LAUNCH_AGENT_DIGEST).
          - This is no place for secrets, everybody on the host can read it. If there is one, give the task C(no_log) too.
        type: dict
      WorkingDirectory:
        description: Folder to start in; it must exist.
        type: str
      StandardOutPath:
        description: File to which the output is appended.
        type: str
      StandardErrorPath:
        description: File to which the error output is appended; its end is shown when the agent does not keep running.
        type: str
      Umask:
        description: Octal digits, in quotes.
        type: str
      SoftResourceLimits:
        description: Such as C({NumberOfFiles:&nbsp;65536}).
        type: dict
      HardResourceLimits:
        description: Such as C({NumberOfFiles:&nbsp;65536}).
        type: dict
      LimitLoadToSessionType:
        description: Sessions it may be loaded in. When not given, the one it is loaded in.
        type: list
        elements: str
  definition:
    description: The whole property list, for keys that O(options) does not have.
    type: dict
  user:
    description: Whose agent it is; by default the user that runs the module. Only root can manage another user's.
    type: str
  domain:
    description:
      - The session to load it into. V(gui) is that of the user's login on the screen, the only one into which macOS loads agents
        after a reboot; V(user) is there after any login, also by SSH.
      - V(auto) stays with the session it is loaded in, and else takes V(gui) if there is one.
    type: str
    choices: [auto, gui, user]
    default: auto
  plist_dir:
    description: Folder of the file; C(~) is the home of O(user).
    type: str
    default: ~/Library/LaunchAgents
  mode:
    description: Mode of the file, octal digits in quotes. launchd refuses one that others may write.
    type: str
    default: '0644'
  enabled:
    description:
      - Whether launchd may load it, also after the next login. This is the switch of C(launchctl enable) and of System Settings, it is
        kept apart from the file.
    type: bool
    default: true
  restart:
    description: With O(state=started), restart it even if nothing changed. Nothing is restarted twice.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for it to end, and again for it to run. To end it has at least its C(ExitTimeOut) and 10 seconds.
    type: int
    default: 60
  allow_unloaded:
    description: With O(state=started) or O(state=loaded), when the session does not exist, write the file and warn, instead of failing.
    type: bool
    default: false
  launchctl:
    description: Path of launchctl.
    type: path
    default: /bin/launchctl
  redact_env:
    description: Hide the values of C(EnvironmentVariables) in the diff; whether they changed can still be seen.
    type: bool
    default: true
notes:
  - The digest in the agent's environment tells whether what is loaded is what the file says. launchd itself does not.
  - A changed configuration or binary of the program needs O(restart=true). A changed definition is reloaded by itself.
author:
  - The blumeops.zot authors (@eblume)
"""

EXAMPLES = r"""
- name: Run zot for the user who is logged in
  blumeops.zot.launch_agent:
    label: io.zotregistry.zot
    program_arguments: [~/.local/bin/zot, serve, /Users/erichblume/.config/zot/config.json]
    options:
      KeepAlive: true
      ExitTimeOut: 30
      StandardOutPath: ~/Library/Logs/zot.log
      StandardErrorPath: ~/Library/Logs/zot.log

- name: Restart it after its configuration changed
  blumeops.zot.launch_agent:
    label: io.zotregistry.zot
    restart: true

- name: Run a job every night
  blumeops.zot.launch_agent:
    label: net.example.nightly
    state: loaded
    definition:
      ProgramArguments: [/usr/local/bin/nightly]
      StartCalendarInterval: {Hour: 3, Minute: 30}

- name: Stop an agent, also after the next login
  blumeops.zot.launch_agent:
    label: net.example.nightly
    state: stopped
    enabled: false
"""

RETURN = r"""
actions:
  description:
    - "What was done, in order, or would be in check mode: C(bootout) (unload and wait), C(write), C(remove), C(enable), C(disable),
      C(bootstrap) (load), C(kickstart) (start a loaded job), C(restart)."
    - The same in check mode and in a real run. Retries are not listed.
  returned: success, and when a change failed
  type: list
  elements: str
  sample: [bootout, write, bootstrap]
label:
  description: The agent's label.
  returned: success
  type: str
domain:
  description: The domain it is managed in.
  returned: success
  type: str
  sample: gui/501
plist:
  description: Path of its file.
  returned: success
  type: str
loaded:
  description: Whether it is loaded; in check mode this and what follows is what was found.
  returned: success
  type: bool
enabled:
  description: Whether launchd may load it; V(none) when launchctl does not tell.
  returned: success
  type: bool
state:
  description: launchd's word for its state; V(none) when it is not loaded.
  returned: success, and when it does not keep running
  type: str
  sample: running
pid:
  description: Its process, if any.
  returned: success, and when it does not keep running
  type: int
runs:
  description: How often it was started since it was loaded.
  returned: success, and when it does not keep running
  type: int
last_exit_code:
  description: How it ended last, if it did; negative for a signal.
  returned: success, and when it does not keep running
  type: int
gui_session:
  description: Whether its user is logged in on the screen.
  returned: success
  type: bool
rolled_back:
  description: Whether the agent that was loaded before was brought back after a failure.
  returned: success, and when a change failed
  type: bool
log:
  description: The last lines it logged, at most 20.
  returned: when it does not keep running
  type: list
  elements: str
"""
