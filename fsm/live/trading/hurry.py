"""Gets a stop through while its position has none: again under its id, until it rests or nobody wants it any more.

A closePosition stop cannot come to rest twice: refused because its id or its kind is there, it does. So an
answer that is late is not waited for: the same request leaves on another connection, and whichever is answered first
counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from exchange.types import Confirmed, Outcome, Refused, Unknown
from fsm.core.refusals import MAY_REST_LATER
from fsm.live.context.clock import Clock

UNANSWERED_S = 0.75
"""Without an answer for so long it leaves again; the calls before stay under way."""

AGAIN_S = 0.5
"""From sending to sending, after an answer that says nothing of the stop itself."""

CALLS_MAX = 4
"""So many calls of one stop are under way at most. The first one may be answered late, the newest meet a route that is
back; so the second oldest gives its connection to the next."""

Send = Callable[[], Awaitable[Outcome]]


class Hurry:
    """One stop. ``is_wanted`` is asked before each sending but the first.

    While the exchange holds everything up by its own word (``is_held_up``) one call waits for its turn, and no more.
    """

    def __init__(
        self,
        send: Send,
        clock: Clock,
        *,
        is_wanted: Callable[[], bool],
        is_held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._send = send
        self._clock = clock
        self._is_wanted = is_wanted
        self._is_held_up = is_held_up
        self._calls: list[asyncio.Task[Outcome]] = []
        self._outcome: Outcome = Unknown("no answer")

    async def run(self) -> Outcome:
        """The first answer that settles it, or else the last one. Calls under way are left to themselves."""
        try:
            while True:
                sent_s = self._sent()
                while (left_s := self._left_s(sent_s)) > 0:
                    settled = await self._heard_within(left_s)
                    if settled is not None:
                        return settled
                if not self._is_wanted():
                    return self._outcome
        except asyncio.CancelledError:
            for call in self._calls:
                call.cancel()
            raise
        finally:
            _left_alone(self._calls)

    def _sent(self) -> float:
        if not (self._calls and self._is_held_up()):
            if len(self._calls) >= CALLS_MAX:
                self._calls.pop(1).cancel()
            self._calls.append(asyncio.ensure_future(self._send()))
        return self._clock.monotonic()

    def _left_s(self, sent_s: float) -> float:
        """Until it leaves again: sooner when nothing is under way any more."""
        wait_s = UNANSWERED_S if self._calls else AGAIN_S
        return sent_s + wait_s - self._clock.monotonic()

    async def _heard_within(self, seconds: float) -> Outcome | None:
        if not self._calls:
            await self._clock.sleep(seconds)
            return None
        await asyncio.wait(self._calls, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        done = [call for call in self._calls if call.done()]
        self._calls = [call for call in self._calls if not call.done()]
        for call in done:
            self._outcome = call.result()
            if not passes(self._outcome):
                return self._outcome
        return None


def passes(outcome: Outcome) -> bool:
    """The same stop may rest at the next try: nobody knows of it, or it was refused for what is not the stop's own
    fault, as far as is known. Where the exchange says that there is no position, a look comes first (R59)."""
    if isinstance(outcome, Refused):
        return outcome.reason in MAY_REST_LATER
    return not isinstance(outcome, Confirmed)


def _left_alone(calls: list[asyncio.Task[Outcome]]) -> None:
    """What they answer is of no interest any more; what they did shows in the next look."""
    for call in calls:
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
