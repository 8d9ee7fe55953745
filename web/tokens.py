"""Says what is wrong with a dashboard token, for everybody who takes one: the bot, `check` and `python -m web`."""

from __future__ import annotations

import re

TOKEN_LENGTH_MIN = 16
HINT = 'make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


def weakness(token: str) -> str | None:
    """What is wrong with it in words that do not repeat it, or None."""
    if not _PRINTABLE.fullmatch(token):
        return "DASHBOARD_TOKEN has a space or a sign that is not ASCII: copy it again"
    if token.strip(".x") == "":
        return "DASHBOARD_TOKEN is still a placeholder: put the real one here, or leave it empty"
    if len(token) < TOKEN_LENGTH_MIN:
        return f"DASHBOARD_TOKEN has {len(token)} characters, at least {TOKEN_LENGTH_MIN} are needed"
    return None
