# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: who may do what. Pure; runs on the controller."""
