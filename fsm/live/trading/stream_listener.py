"""Turns what the user stream tells into looks: an event that is lost, late or repeated costs a look, no more.

Word of a fill of an entry also lets its stop leave: that can only close, and cannot come to rest twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from exchange.event_queue import EventQueue
from exchange.events import (
    AlgoChanged,
    Resync,
    StreamAlarm,
    StreamEvent,
    filled_client_id,
    nudged_symbols,
    told_client_id,
)
from exchange.types import AlgoOrder, AlgoStatus
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.symbol_worker import SymbolWorker

log = structlog.get_logger("fsm.stream")


CHATTER_MAX = 10
CHATTER_REFILL_S = 1.0
"""So much news at once that names no order, and then one a second, makes a look at its symbol sooner: a stream that
chatters, or that cannot be read, must not use up the requests that protect (R45). The look that is due anyway comes."""


class Patience:
    """How much news that names no order may still hurry a look, by symbol."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def lets(self, symbol: str, now_s: float) -> bool:
        """Whether this piece of news may; it is counted."""
        left, since_s = self._left.get(symbol, (CHATTER_MAX, now_s))
        left = min(left + max(now_s - since_s, 0.0) / CHATTER_REFILL_S, CHATTER_MAX)
        may = left >= 1
        self._left[symbol] = (left - 1 if may else left, now_s)
        return may


class StreamListener:
    """Consumes the queue that a stream fills, and wakes these workers."""

    def __init__(self, events: EventQueue, live: LiveContext, workers: Mapping[str, SymbolWorker]) -> None:
        self.events = events
        self._live = live
        self._workers = workers
        self._patience = Patience()
        self.on_placed: Callable[[str], None] = lambda client_id: None
        """Told the client id of each conditional order that came to rest."""

    async def run(self) -> None:
        """Wake the workers that an event is about; where something may have been missed, all that hold something."""
        while True:
            self.hear(await self.events.get())

    def hear(self, event: StreamEvent) -> None:
        match event:
            case Resync(stream=stream, reason=reason):
                log.info("stream_resync", reason=reason, stream=stream)
                symbols: tuple[str, ...] = tuple(self._live.engine.active())
            case StreamAlarm(stream=stream, reason=reason):
                log.warning("stream_deaf", reason=reason, stream=stream)
                symbols = tuple(self._live.engine.active())
            case AlgoChanged(algo_order=AlgoOrder(status=AlgoStatus.NEW, client_id=placed)):
                self.on_placed(placed)
                symbols = nudged_symbols(event)
            case _:
                symbols = nudged_symbols(event)
        is_about_an_order = told_client_id(event) is not None
        for symbol in symbols:
            worker = self._workers.get(symbol)
            if worker is not None and (is_about_an_order or self._patience.lets(symbol, self._live.clock.monotonic())):
                if (client_id := filled_client_id(event)) is not None:
                    worker.heard_fill(client_id)
                worker.request_check()
