"""Keeps an API key and its secret out of everything that is printed, logged or stored."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import NoReturn

HIDDEN = "***"
_SENSITIVE = re.compile(r"""(signature|listenKey)(=|['"]\s*:\s*['"])[^&\s'"]+""")


class Secret:
    """A text that never shows itself: not in repr, str, a format string, a pickle or a copy of its attributes."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself; call this only where it goes into a request."""
        return self.__text

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What identifies us to one environment; keys of demo and mainnet are separate (checked 2026-11)."""

    api_key: Secret
    api_secret: Secret

    def redact(self, text: str) -> str:
        """The text without our key and secret in it, whoever put them there."""
        for secret in (self.api_key, self.api_secret):
            if secret:
                text = text.replace(secret.reveal(), HIDDEN)
        return redact(text)


def redact(text: str) -> str:
    """The text without signatures and listen keys, as they appear in addresses and in JSON."""
    return _SENSITIVE.sub(rf"\1\2{HIDDEN}", text)


class RedactingFilter(logging.Filter):
    """For the loggers of libraries that log whole addresses: ours carry signatures and listen keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place and let it through."""
        record.msg, record.args = redact(record.getMessage()), ()
        return True
