# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of this collection promise, described once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  platform:
    description: Target operating systems that the module can be used on.
"""

    ACTIONGROUP_ZOT = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/blumeops.zot.zot) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - blumeops.zot.zot
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This module does not modify state.
  diff_mode:
    support: N/A
    details: This module does not modify state.
  idempotent:
    support: full
    details: This module does not modify state.
"""
