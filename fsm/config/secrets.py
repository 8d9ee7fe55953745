"""Secrets that stay out of every log line, traceback, dump and pickle."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, fields
from typing import NoReturn

MASK = "***"


class Secret:
    """A text that shows itself only when asked to by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where it is used, and do not keep what it returns."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process: hand over the place it is read from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """All secrets of the process; None is one that was not given."""

    api_key: Secret | None = None
    api_secret: Secret | None = None
    dashboard_token: Secret | None = None
    tg_bot_token: Secret | None = None
    tg_chat_id: Secret | None = None

    def shown(self) -> dict[str, str | None]:
        """Which secrets there are, for a person to read."""
        return {field.name: MASK if getattr(self, field.name) else None for field in fields(self)}

    def redact(self, text: str) -> str:
        """The text with every secret in it masked: for messages that others composed, such as a URL in an error."""
        for field in fields(self):
            secret = getattr(self, field.name)
            if secret is not None:
                text = text.replace(secret.reveal(), MASK)
        return text
