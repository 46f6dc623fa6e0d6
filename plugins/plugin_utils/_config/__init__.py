# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: settings -> one zot document for one release. Pure; runs on the controller."""
