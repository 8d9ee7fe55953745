"""What happens again in one incident is told by editing its message, so that one incident is one message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fsm.live.context.clock import Clock
from fsm.live.operator.messenger import Messenger, NotDelivered
from store.alerts import AlertBox
from store.rows import AlertRow

EDIT_S = 10.0
"""Between two edits of one message: nobody reads faster, and Telegram counts edits as messages."""

KEPT_MAX = 20
"""So many messages can still be edited; an older incident has long been read."""


@dataclass(slots=True)
class _Sent:
    text: str
    message_id: int
    repeats: int
    edited_s: float


class Repeated:
    """``sent`` remembers a message, ``round`` edits those whose incident went on. It is about this process alone, as a
    start begins every incident anew."""

    def __init__(self, box: AlertBox, messenger: Messenger, clock: Clock) -> None:
        self._box = box
        self._messenger = messenger
        self._clock = clock
        self._sent: dict[int, _Sent] = {}

    def sent(self, row: AlertRow, text: str, message_id: int | None) -> None:
        """``text`` as it was sent, without a count. A message without a number cannot be edited."""
        if message_id is None:
            return
        self._sent[row.id] = _Sent(text, message_id, row.repeats, self._clock.monotonic())
        while len(self._sent) > KEPT_MAX:
            del self._sent[next(iter(self._sent))]

    async def round(self) -> None:
        """One edit at most, of what waits longest. Raises NotDelivered where it is to be tried again."""
        now_s = self._clock.monotonic()
        repeats = self._box.repeats(self._sent)
        waiting = [
            (alert_id, each)
            for alert_id, each in self._sent.items()
            if repeats.get(alert_id, 0) > each.repeats and now_s - each.edited_s >= EDIT_S
        ]
        if not waiting:
            return
        alert_id, sent = min(waiting, key=lambda each: each[1].edited_s)
        sent.edited_s = now_s
        count = repeats[alert_id]
        last = datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC)
        try:
            await self._messenger.edit(sent.message_id, f"{sent.text} ({count + 1} times, last {last:%H:%M} UTC)")
        except NotDelivered as error:
            if not error.final:
                raise
            del self._sent[alert_id]  # deleted in the chat, or too old
        else:
            sent.repeats = count
