"""What delivery and chat need of a messenger, whoever it is: messages out, messages in, and how either fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

TEXT_MAX = 4_096
"""Characters of one message, counted as UTF-16 does (Telegram Bot API, sendMessage, checked 2026-11)."""

CAPTION_MAX = 1_024
"""Characters below a picture, counted alike (sendPhoto, checked 2026-11)."""

RETRY_S_MAX = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody wrote. ``number`` is that of its delivery and grows; ``message_id`` is its own within its chat,
    also where it is delivered again under another number; ``is_ours`` says it came from our chat."""

    number: int
    chat_id: int | None
    is_ours: bool
    text: str
    sent_ms: int
    message_id: int | None = None


@dataclass(slots=True)
class Tally:
    """What has happened since the start, for readers."""

    sent: int = 0
    failures: int = 0
    commands: int = 0
    conflicts: int = 0
    strangers: int = 0
    undelivered: str = ""
    """Why the oldest message that waits could not be delivered; empty: nothing waits for that."""


class NotDelivered(Exception):
    """The message did not arrive. ``retry_after_s`` is what we were asked to wait, ``final`` that it never will."""

    def __init__(self, message: str, *, retry_after_s: int = 0, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = min(retry_after_s, RETRY_S_MAX)
        self.final = final


class NotHeard(Exception):
    """Nothing could be fetched. ``conflict``: another program reads our messages; ``unreadable``: one of them is."""

    def __init__(
        self, message: str, *, retry_after_s: int = 0, conflict: bool = False, unreadable: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = min(retry_after_s, RETRY_S_MAX)
        self.conflict = conflict
        self.unreadable = unreadable


class Messenger(Protocol):
    """One chat with the operator. Texts are plain: nothing in them is markup."""

    async def send(self, text: str, *, silent: bool) -> int | None:
        """Gives the number under which ``edit`` knows it. Raises NotDelivered, whose text has no secret in it."""
        ...

    async def edit(self, message_id: int, text: str) -> None:
        """Another text in its place, without a sound. Raises NotDelivered; final: it cannot be edited any more."""
        ...

    async def show(self, png: bytes, caption: str, *, silent: bool) -> None:
        """A picture with words below it. Raises NotDelivered, as ``send`` does."""
        ...

    async def hear(self, after: int | None) -> list[Message]:
        """Messages newer than ``after``, waiting a while for one. Raises NotHeard, whose text has no secret in it."""
        ...


def fitted(text: str, most: int = TEXT_MAX) -> str:
    """The text, cut where one message ends."""
    if _length(text) <= most:
        return text
    cut = text[: most - 1]
    while _length(cut) > most - 1:
        cut = cut[:-1]
    return f"{cut}…"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2
