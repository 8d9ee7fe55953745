"""Turns what the user stream tells into looks: an event that is lost, late or repeated costs a look, no more.

Word of a fill of an entry also lets its stop leave: that can only close, and cannot come to rest twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from exchange.event_queue import EventQueue
from exchange.events import AlgoChanged, Resync, StreamAlarm, StreamEvent, filled_client_id, nudged_symbols
from exchange.types import AlgoOrder, AlgoStatus
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.symbol_worker import SymbolWorker

log = structlog.get_logger("fsm.stream")


class StreamListener:
    """Consumes the queue that a stream fills."""

    def __init__(self, queue: EventQueue, live: LiveContext) -> None:
        self._queue = queue
        self._live = live
        self.workers: Mapping[str, SymbolWorker] = {}
        self.on_placed: Callable[[str], None] = lambda client_id: None
        """Told the client id of each conditional order that came to rest."""

    async def run(self) -> None:
        """Wake the workers that an event is about; where something may have been missed, all that hold something."""
        while True:
            self.hear(await self._queue.get())

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
        for symbol in symbols:
            worker = self.workers.get(symbol)
            if worker is not None:
                if (client_id := filled_client_id(event)) is not None:
                    worker.heard_fill(client_id)
                worker.request_check()
