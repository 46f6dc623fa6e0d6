# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the settings, their types and defaults; documented in the module zot_config and in the role's specs."""

from __future__ import annotations

UPSTREAM = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str"},
    "username": {"type": "str"},
    "retention": {"type": "str"},
}

OIDC = {
    "issuer": {"type": "str", "required": True},
    "client_id": {"type": "str", "required": True},
    "name": {"type": "str"},
    "username_claim": {"type": "str"},
    "groups_claim": {"type": "str"},
    "scopes": {"type": "list", "elements": "str"},
    # Known to the judge alone: what it cannot ask the provider.
    "users": {"type": "list", "elements": "str"},
    "images": {"type": "list", "elements": "str"},
}

SETTINGS = {
    "address": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "default": 5000},
    "external_url": {"type": "str", "default": ""},
    "data_dir": {"type": "str", "required": True},
    "log_level": {"type": "str", "default": "info", "choices": ["debug", "info", "warn", "error"]},
    "transfer_timeout": {"type": "str", "default": "1h"},
    "upstreams": {"type": "list", "elements": "dict", "options": UPSTREAM, "default": []},
    "upstream_retention": {"type": "str", "default": "720h"},
    "oidc": {"type": "dict", "options": OIDC},
    "local_users": {"type": "list", "elements": "str", "default": []},
    "api_keys": {"type": "bool", "default": True},
    "groups": {"type": "dict", "default": {}},
    # Grants are judged where they are compiled, with messages that name the grant.
    "grants": {"type": "list", "elements": "raw", "default": []},
    "metrics": {"type": "str", "default": "disabled", "choices": ["disabled", "users", "anonymous"]},
    "metrics_users": {"type": "list", "elements": "str", "default": []},
    "ui": {"type": "bool", "default": True},
    "overrides": {"type": "dict", "default": {}},
}
