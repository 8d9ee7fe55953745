"""The funding rates that rules ask for: read once an hour, of the symbols whose strategies name them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog

from exchange.errors import ExchangeError
from exchange.port import Exchange
from fsm.live.trading.others_candles import OnTrouble
from rules.moment_words import FUNDING_AGE_MS_MAX, HOUR_MS

log = structlog.get_logger("fsm.funding")

READERS_MAX = 10
READ_S_MAX = 5.0
"""All symbols' decisions wait for it, exits too."""


class FundingRates:
    """One for all symbols. What cannot be had is UNKNOWN, and asked for again at the next close."""

    def __init__(self, on_trouble: OnTrouble) -> None:
        self._on_trouble = on_trouble
        self._settled: dict[str, list[tuple[int, float]]] = {}
        self._read_ms: dict[str, int] = {}
        self._readers = asyncio.Semaphore(READERS_MAX)

    async def read(self, exchange: Exchange, symbols: Collection[str], close_ms: int) -> None:
        """Ask for what may have been settled before a close since the last time."""
        hour_ms = (close_ms - 1) // HOUR_MS * HOUR_MS
        due = [symbol for symbol in symbols if self._is_due(symbol, hour_ms)]
        try:
            async with asyncio.timeout(READ_S_MAX):
                await asyncio.gather(*(self._read(exchange, symbol, hour_ms) for symbol in due))
        except TimeoutError:
            log.warning(
                "funding_late", reason="NO_ANSWER", symbols=[name for name in due if self._is_due(name, hour_ms)]
            )

    def _is_due(self, symbol: str, hour_ms: int) -> bool:
        return self._read_ms.get(symbol, -1) < hour_ms

    async def _read(self, exchange: Exchange, symbol: str, hour_ms: int) -> None:
        try:
            async with self._readers:
                found = await exchange.funding_rates(symbol, start_ms=hour_ms - FUNDING_AGE_MS_MAX)
        except ExchangeError as error:
            self._on_trouble(symbol, error)
            return
        self._settled[symbol] = [(at_ms - at_ms % HOUR_MS, rate) for at_ms, rate in found]
        self._read_ms[symbol] = hour_ms

    def before(self, symbol: str, close_ms: int) -> float | None:
        """Settled last before a close, in percent; None while it is not known."""
        if self._is_due(symbol, (close_ms - 1) // HOUR_MS * HOUR_MS):
            return None
        rates = [rate * 100 for at_ms, rate in self._settled[symbol] if at_ms < close_ms <= at_ms + FUNDING_AGE_MS_MAX]
        return rates[-1] if rates else None
