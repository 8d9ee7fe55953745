"""Before the first entry of a session: proof that stops can be placed, tried again while the exchange cannot say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from fsm.core.model.records import Flag, HaltCause
from fsm.live.context.entry_blocks import ALL, STOPS_UNPROVED
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.reconcile import Reconciler
from fsm.live.trading.selftest import Readiness, is_flat, self_test

log = structlog.get_logger("fsm.selftest")

AGAIN_S = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Pauses between attempts; the last one goes on for ever."""


class Say(Protocol):
    """Tells the operator."""

    def __call__(self, kind: str, text: str, *, key: str) -> None: ...


class ProofOfStops:
    """Entries are blocked until it stands. Only a refusal that is lasting by its nature halts the account (R61)."""

    def __init__(self, live: LiveContext, reconciler: Reconciler, say: Say) -> None:
        self._live = live
        self._reconciler = reconciler
        self._say = say
        self._symbols: tuple[str, ...] = ()
        self._attempts = 0
        self._wanted = asyncio.Event()

    async def at_start(self, symbols: Iterable[str]) -> None:
        """A resting stop of ours is proof enough: with a trade open nothing is tried."""
        self._symbols = tuple(symbols)
        if not self._live.engine.active() and self._symbols:
            await self._try()

    async def run(self) -> None:
        """Try again, with pauses, for as long as it is owed."""
        while True:
            await self._wanted.wait()
            await self._live.clock.sleep(AGAIN_S[max(0, min(self._attempts, len(AGAIN_S)) - 1)])
            if self._live.engine.active():  # it has a stop, or is closed for want of one
                self._proved("a position of ours has its stop")
            else:
                await self._try()

    async def _try(self) -> None:
        symbol = self._next_symbol()
        if symbol is None:
            self._wanted.set()  # as soon as one is flat
            return
        readiness, detail = await self_test(self._live, symbol)
        self._attempts += 1
        if readiness.is_enough:
            self._proved(detail)
        elif readiness is Readiness.NOT_READY:
            self._give_up(detail)
        else:
            self._owe(detail)

    def _next_symbol(self) -> str | None:
        """One after the other, of those that are flat and may be traded: a refusal may be about the symbol alone."""
        filters, blocked = self._live.active.filters, self._live.blocks
        usable = [
            name
            for name in self._symbols
            if filters[name].tradable and not blocked.of_symbol(name) and is_flat(self._live, self._reconciler, name)
        ]
        return usable[self._attempts % len(usable)] if usable else None

    def _proved(self, detail: str) -> None:
        self._wanted.clear()
        self._attempts = 0
        if self._live.blocks.clear(ALL, STOPS_UNPROVED):
            text = f"Stops can be placed, so entries are allowed again ({detail})."
            self._say("reconciliation_anomaly", text, key=f"self-test {self._live.clock.now_ms()}")

    def _owe(self, detail: str) -> None:
        """Told once; what is tried again meanwhile is in the log."""
        self._wanted.set()
        if self._live.blocks.set(ALL, STOPS_UNPROVED):
            text = f"A stop could not be placed on trial ({detail}), so nothing is entered until one can be. "
            text += "It is tried again by itself."
            self._say("reconciliation_anomaly", text, key=f"self-test {self._live.clock.now_ms()}")

    def _give_up(self, detail: str) -> None:
        self._wanted.clear()
        engine, at_ms = self._live.engine, self._live.clock.now_ms()
        halt = engine.account.halt or Flag(HaltCause.PERMISSION.value, at_ms)
        engine.set_account(at_ms, "SELF_TEST_FAILED", paused=engine.account.paused, halt=halt)
        text = f"Stops cannot be placed here ({detail}): no entries until you have mended that and typed `resume`. "
        text += "`doctor` says what is wrong."
        self._say("reconciliation_anomaly", text, key="self-test")
