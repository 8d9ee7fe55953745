"""Sends stops that are owed while the event loop is held up: a commit that stalls must not leave a position naked.

Everything else of the bot lives on one loop, and a commit holds it on purpose: nothing may happen before it is on the
disk. The stop of an entry that has left is different. Its id and price follow from a plan that is on the disk already,
it can only close, and it cannot come to rest twice. So a thread of its own, with a client of its own, keeps a copy of
each such stop and lets it leave when the loop has not moved for ``protection.commit_wait_ms``. It also runs when a
process that was stopped goes on. What it did is found by the next look.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import structlog

from exchange.port import Exchange
from exchange.types import Confirmed, Outcome
from fsm.core.model.intents import PlaceStop

log = structlog.get_logger("fsm.lifeline")

BEAT_S = 0.1
"""How often the loop shows that it moves, and the thread looks whether it does."""

AGAIN_S = 0.5
"""From sending to sending, while the loop stands still and the stop was not accepted."""

ANSWER_S_MAX = 5.0


class Lifeline:
    """What is owed, and whether the loop moves. Called by two threads; times are of one monotonic clock."""

    def __init__(self, wait_s: Callable[[], float]) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._owed: dict[str, PlaceStop] = {}
        self._sent_s: dict[str, float] = {}
        self._beat_s: float | None = None

    def owe(self, symbol: str, stop: PlaceStop | None) -> None:
        """The stop that this symbol's position has to get, once it is open; None: nothing is owed any more."""
        with self._lock:
            if self._owed.get(symbol) == stop:
                return
            self._owed.pop(symbol, None)
            self._sent_s.pop(symbol, None)
            if stop is not None:
                self._owed[symbol] = stop

    def beat(self, now_s: float) -> None:
        """The loop moves."""
        with self._lock:
            self._beat_s = now_s
            self._sent_s.clear()

    def due(self, now_s: float) -> list[PlaceStop]:
        """What has to leave now."""
        with self._lock:
            if self._beat_s is None or now_s - self._beat_s < self._wait_s():
                return []
            due = [name for name in self._owed if now_s - self._sent_s.get(name, float("-inf")) >= AGAIN_S]
            self._sent_s.update(dict.fromkeys(due, now_s))
            return [self._owed[name] for name in due]

    def rests(self, stop: PlaceStop) -> None:
        """It was accepted: no need to send it again before the loop moves."""
        with self._lock:
            self._sent_s[stop.symbol] = float("inf")

    async def keep_beating(self) -> None:
        """Runs on the loop that is watched."""
        while True:
            self.beat(time.monotonic())
            await asyncio.sleep(BEAT_S)


@contextmanager
def watched_by_a_thread(
    lifeline: Lifeline,
    connect: Callable[[], AbstractAsyncContextManager[Exchange]],
    is_allowed: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """The thread lives as long as the block. ``connect`` opens its own client; ``is_allowed`` is False while the
    exchange has stated that it wants no requests."""
    ended = threading.Event()
    thread = _Thread(lifeline, connect, is_allowed, ended)
    running = threading.Thread(target=thread.run, name="lifeline", daemon=True)
    running.start()
    try:
        yield
    finally:
        ended.set()
        running.join(timeout=1.0)


class _Thread:
    """What runs in the thread: its faults are logged and end nothing."""

    def __init__(
        self,
        lifeline: Lifeline,
        connect: Callable[[], AbstractAsyncContextManager[Exchange]],
        is_allowed: Callable[[], bool],
        ended: threading.Event,
    ) -> None:
        self._lifeline = lifeline
        self._connect = connect
        self._is_allowed = is_allowed
        self._ended = ended

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                asyncio.run(self._watch())
            except Exception as error:
                log.error("handler_failed", reason=type(error).__name__, component="lifeline", exc_info=error)
                self._ended.wait(AGAIN_S)

    async def _watch(self) -> None:
        async with self._connect() as exchange:
            under_way: set[asyncio.Task[None]] = set()
            async for stop in self._due():
                sending = asyncio.create_task(self._send(exchange, stop))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
            for sending in under_way:
                sending.cancel()

    async def _due(self) -> AsyncIterator[PlaceStop]:
        while not self._ended.is_set():
            if self._is_allowed():
                for stop in self._lifeline.due(time.monotonic()):
                    yield stop
            await asyncio.sleep(BEAT_S)

    async def _send(self, exchange: Exchange, stop: PlaceStop) -> None:
        outcome: Outcome | Exception
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                exchange.set_naked(stop.symbol, True)
                outcome = await exchange.place_algo(stop.request)
        except Exception as error:
            outcome = error
        if isinstance(outcome, Confirmed):
            self._lifeline.rests(stop)
        log.warning("stop_without_the_loop", symbol=stop.symbol, reason="HELD_UP", outcome=str(outcome))
