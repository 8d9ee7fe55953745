"""The dashboard's token: what is wrong with one, for everybody who takes one, and one that stands in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

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


class TokenFile:
    """A token that can be exchanged while it is in use: the file is looked at again when somebody asks.

    What is no token (a file that is gone, half written or too short) changes nothing: the last one holds.
    """

    LOOK_S = 1.0

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._looked_s = clock()
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> str | None:
        """Another token than was told last, or None."""
        now = self._clock()
        if now - self._looked_s < self.LOOK_S:
            return None
        self._looked_s = now
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return None
            token = read_token(self._path)
        except (OSError, UnicodeDecodeError):
            return None
        self._seen = seen
        return None if weakness(token) else token


def read_token(path: Path) -> str:
    """What stands in the file, without the line break at its end."""
    return path.read_text("utf-8-sig").strip("\r\n")


def token_given(environ: Mapping[str, str]) -> tuple[str | None, Path | None]:
    """DASHBOARD_TOKEN, or what the file that DASHBOARD_TOKEN_FILE names holds, and that file. Raises OSError."""
    path = environ.get("DASHBOARD_TOKEN_FILE") or None
    token = environ.get("DASHBOARD_TOKEN") or None
    if token is not None or path is None:
        return token, None
    return read_token(Path(path)) or None, Path(path)
