"""Speaks with Telegram's Bot API: sends messages and pictures, fetches new ones; whoever calls decides when."""

from __future__ import annotations

import logging
import math

from telegram import Bot, LinkPreviewOptions, Update
from telegram.constants import UpdateType
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from exchange.environment import is_loopback
from exchange.secrets import Secret
from fsm.config import Secrets
from fsm.live.context.clock import Clock
from fsm.live.operator.messenger import CAPTION_MAX, Message, NotDelivered, NotHeard, fitted

TIMEOUT_S = 10.0
LONG_POLL_S = 25
MESSAGES_MAX = 20
ERROR_CHARACTERS_MAX = 300
PAUSE_WHEN_UNWANTED_S = 900
"""A wrong token, a wrong chat or a blocked bot is not mended by asking often."""

FAULTS_OF_TEXT = ("parse", "too long", "too_long", "text is empty", "must be encoded", "entities", "entity")
"""What 400 says of a text that no second try makes better (Bot API, checked 2026-11)."""

_MALFORMED = (TelegramError, AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError)
"""What python-telegram-bot raises for answers that are not as documented, beside its own errors."""


class Telegram:
    """sendMessage, sendPhoto and getUpdates of one bot in one chat (Bot API, checked 2026-11).

    After a 429 nothing is sent until the time is over that Telegram asked for. ``clock`` is that of this machine.
    """

    def __init__(self, base_url: str, *, token: Secret, chat: Secret, secrets: Secrets, clock: Clock) -> None:
        self._chat = chat
        self._secrets = secrets
        self._clock = clock
        self._quiet_until_s = -math.inf
        base_url = base_url.rstrip("/")
        self._requests = _requests(base_url)
        self._bot = Bot(
            token=token.reveal(),
            base_url=f"{base_url}/bot",
            request=self._requests,
            get_updates_request=self._requests,
        )
        # Both libraries log whole addresses, which have the token in them; what matters is in the errors they raise.
        logging.getLogger("telegram").setLevel(logging.CRITICAL + 1)
        logging.getLogger("httpx").addFilter(_Masking(secrets))

    async def show(self, png: bytes, caption: str, *, silent: bool) -> None:
        """sendPhoto. Raises NotDelivered."""
        self._refuse_while_quiet()
        words = fitted(self._secrets.redact(caption), CAPTION_MAX)
        try:
            await self._bot.send_photo(
                self._chat.reveal(), png, caption=words, disable_notification=silent, filename="picture.png"
            )
        except _MALFORMED as error:
            raise self._not_delivered(error) from None

    def _refuse_while_quiet(self) -> None:
        left_s = self._quiet_until_s - self._clock.monotonic()
        if left_s > 0:
            raise NotDelivered("Telegram asked for patience", retry_after_s=math.ceil(left_s))

    async def send(self, text: str, *, silent: bool) -> int | None:
        """Raises NotDelivered."""
        self._refuse_while_quiet()
        try:
            sent = await self._bot.send_message(
                self._chat.reveal(),
                fitted(self._secrets.redact(text)),
                disable_notification=silent,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
            return sent.message_id
        except _MALFORMED as error:
            raise self._not_delivered(error) from None

    async def edit(self, message_id: int, text: str) -> None:
        """editMessageText. Raises NotDelivered."""
        self._refuse_while_quiet()
        try:
            await self._bot.edit_message_text(
                fitted(self._secrets.redact(text)),
                self._chat.reveal(),
                message_id,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
        except BadRequest as error:
            if "not modified" not in str(error).lower():
                raise NotDelivered(self._told(error), final=True) from None
        except _MALFORMED as error:
            raise self._not_delivered(error) from None

    async def hear(self, after: int | None) -> list[Message]:
        """Raises NotHeard."""
        try:
            updates = await self._bot.get_updates(
                offset=None if after is None else after + 1,
                limit=MESSAGES_MAX,
                timeout=LONG_POLL_S,
                allowed_updates=[UpdateType.MESSAGE],
            )
            return [self._message(update) for update in updates]
        except TelegramError as error:
            raise NotHeard(
                self._told(error), retry_after_s=_patience(error), conflict=isinstance(error, Conflict)
            ) from None
        except _MALFORMED as error:
            raise NotHeard(self._told(error), unreadable=True) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._requests.shutdown()

    def _message(self, update: Update) -> Message:
        written = update.message
        chat = written.chat if written else None
        ours = self._chat.reveal().lower()
        names = () if chat is None else (str(chat.id), f"@{chat.username or ''}".lower())
        return Message(
            number=update.update_id,
            chat_id=None if chat is None else chat.id,
            is_ours=ours in names,
            text=(written.text or "") if written else "",
            sent_ms=int(written.date.timestamp() * 1000) if written else 0,
            message_id=written.message_id if written else None,
        )

    def _not_delivered(self, error: Exception) -> NotDelivered:
        patience_s = _patience(error)
        if isinstance(error, RetryAfter):
            self._quiet_until_s = self._clock.monotonic() + patience_s
        if isinstance(error, ChatMigrated):
            told = f"the group has a new id: set TG_CHAT_ID={error.new_chat_id}"
            return NotDelivered(told, retry_after_s=PAUSE_WHEN_UNWANTED_S)
        if isinstance(error, BadRequest):  # rights, topics, a chat that is gone: somebody can mend them
            is_text = any(fault in str(error).lower() for fault in FAULTS_OF_TEXT)
            return NotDelivered(self._told(error), final=is_text, retry_after_s=0 if is_text else PAUSE_WHEN_UNWANTED_S)
        return NotDelivered(self._told(error), retry_after_s=patience_s)

    def _told(self, error: Exception) -> str:
        return self._secrets.redact(f"{type(error).__name__}: {error}")[:ERROR_CHARACTERS_MAX]


class _Masking(logging.Filter):
    """For the logger of a library that logs whole addresses: ours carry the token."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secrets.redact(record.getMessage()), ()
        return True


def _requests(base_url: str) -> HTTPXRequest:
    here = is_loopback(base_url)  # as for the exchange: no proxy of the environment swallows loopback
    return HTTPXRequest(
        connection_pool_size=4,
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        write_timeout=TIMEOUT_S,
        pool_timeout=TIMEOUT_S,
        httpx_kwargs={"trust_env": not here, "verify": base_url.startswith("https:")},
    )


def _patience(error: Exception) -> int:
    """Seconds to wait because of an error; 0 leaves it to the caller."""
    if isinstance(error, RetryAfter):
        asked = error.retry_after
        return math.ceil(asked if isinstance(asked, (int, float)) else asked.total_seconds())
    return PAUSE_WHEN_UNWANTED_S if isinstance(error, (Forbidden, InvalidToken)) else 0
