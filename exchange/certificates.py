"""The certificates that this machine trusts."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted(trust_env: bool) -> ssl.SSLContext:
    """Read once for all connections of a process, as that takes 20 ms. ``trust_env``: ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` of the environment count, as with httpx."""
    return httpx.create_ssl_context(trust_env=trust_env)
