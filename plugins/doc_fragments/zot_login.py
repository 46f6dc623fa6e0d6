# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a registry is and who logs in, described once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description: The registry, as scheme, host and port, such as V(https://registry.example.org).
    type: str
    required: true
  username:
    description:
      - Whose keys. zot has no administrator of keys; everybody has their own, and logs in for them.
      - The name is exactly the one that zot knows, with OpenID that of the claim that the configuration maps.
    type: str
    required: true
  password:
    description: The user's password. Exactly one of this and O(api_key) is needed.
    type: str
  api_key:
    description: A key of that user that is still alive. It may list, make and revoke keys as the password may.
    type: str
  validate_certs:
    description: Whether the certificate of O(url) is verified.
    type: bool
    default: true
  ca_path:
    description: A file of certificates to trust besides the system's, where the module runs.
    type: path
"""
