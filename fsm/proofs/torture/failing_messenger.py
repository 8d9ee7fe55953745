"""Telegram as torture has it: nothing leaves the process, and it fails in every way that the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from fsm.live.operator.messenger import Message, NotDelivered, NotHeard

SILENT_S = 10.0
POLL_S = 25.0
"""How long Telegram keeps a question for messages open when there are none."""

TEXTS = ("/pause", "/resume", "/help", "/nothing", "what?")
"""What the operator writes. Questions are answered by threads, which a virtual loop cannot wait for."""


class FailingMessenger:
    """``trouble`` is what it answers with, if anything. One for each process."""

    def __init__(self, trouble: str, now_ms: Callable[[], int]) -> None:
        self.trouble = trouble
        self.delivered = 0
        self._now_ms = now_ms
        self._written: list[Message] = []
        self._wakes = asyncio.Event()

    def write(self, text: str) -> None:
        """The operator writes in our chat."""
        at_ms = self._now_ms()
        message = Message(number=at_ms, chat_id=1, is_ours=True, text=text, sent_ms=at_ms, message_id=at_ms)
        self._written.append(message)
        self._wakes.set()

    async def send(self, text: str, *, silent: bool) -> int | None:
        await asyncio.sleep(0)
        match self.trouble:
            case "down":
                raise NotDelivered("no connection")
            case "busy":
                raise NotDelivered("HTTP 429", retry_after_s=30)
            case "refuses":
                raise NotDelivered("HTTP 400", final=True)
            case "rights":
                raise NotDelivered("HTTP 400: not enough rights to send text messages", retry_after_s=900)
            case "nothing":
                await asyncio.sleep(SILENT_S)
                raise NotDelivered("timed out")
            case "broken":
                raise AttributeError("'NoneType' object has no attribute 'message_id'")
        self.delivered += 1
        return self.delivered

    async def edit(self, message_id: int, text: str) -> None:
        await self.send(text, silent=True)

    async def show(self, png: bytes, caption: str, *, silent: bool) -> None:
        await self.send(caption, silent=silent)

    async def hear(self, after: int | None) -> list[Message]:
        match self.trouble:
            case "down" | "rights" | "refuses":
                raise NotHeard("no connection")
            case "busy":
                raise NotHeard("HTTP 429", retry_after_s=30)
            case "conflict":
                raise NotHeard("another program reads our messages", conflict=True)
            case "unreadable":
                raise NotHeard("a message that cannot be read", unreadable=True)
            case "broken":
                raise AttributeError("'NoneType' object has no attribute 'text'")
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._wakes.wait()
        self._wakes.clear()
        found, self._written = self._written, []
        return found
