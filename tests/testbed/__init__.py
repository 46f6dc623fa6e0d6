# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to provision: real Linux ones (`testbed.nspawn`) and one that resembles the Mac (`testbed.maclike`).

Each is reached by real ssh, as Ansible reaches any host, and is gone without a trace afterwards.
"""
