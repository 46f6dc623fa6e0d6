# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, played for real in a scratch home on this machine: what `bin/rehearsal` runs."""
