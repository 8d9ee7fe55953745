"""Sends one message to Telegram; whoever calls it decides when and how often."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

from fsm.config import Secrets

TIMEOUT_S = 10.0
RETRY_S_MAX = 3_600


class NotDelivered(Exception):
    """The message did not arrive. ``retry_after_s`` is what Telegram asked for, ``final`` that it never will."""

    def __init__(self, message: str, *, retry_after_s: int = 0, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = min(retry_after_s, RETRY_S_MAX)
        self.final = final


class Telegram:
    """POST /bot<token>/sendMessage (Telegram Bot API, checked 2026-11), in a thread: nothing else waits for it."""

    def __init__(self, base_url: str, secrets: Secrets) -> None:
        self._base_url = base_url.rstrip("/")
        self._secrets = secrets

    @property
    def is_configured(self) -> bool:
        return self._secrets.tg_bot_token is not None and self._secrets.tg_chat_id is not None

    async def send(self, text: str, *, silent: bool) -> None:
        """Raises NotDelivered, whose text has no secret in it."""
        await asyncio.to_thread(self._post, text, silent)

    def _post(self, text: str, silent: bool) -> None:
        token, chat = self._secrets.tg_bot_token, self._secrets.tg_chat_id
        assert token is not None
        assert chat is not None
        body = {"chat_id": chat.reveal(), "text": text[:4096], "disable_notification": silent}
        request = urllib.request.Request(  # noqa: S310 - the address comes from our own configuration
            f"{self._base_url}/bot{token.reveal()}/sendMessage",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, ValueError) as error:
            raise NotDelivered(self._secrets.redact(f"{type(error).__name__}: {error}")) from None

    def _refused(self, error: urllib.error.HTTPError) -> NotDelivered:
        try:
            answer = json.loads(error.read())
        except ValueError:
            answer = {}
        told = answer if isinstance(answer, dict) else {}
        retry_after_s = int(told.get("parameters", {}).get("retry_after", 0))
        message = self._secrets.redact(f"HTTP {error.code}: {told.get('description', error.reason)}")
        return NotDelivered(message, retry_after_s=retry_after_s, final=error.code in (400, 413))
