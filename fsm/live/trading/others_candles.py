"""Candles of symbols that other symbols' rules read: asked for once and kept once, however many read them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from exchange.errors import ExchangeError
from exchange.port import Exchange
from indicators.candle import Candle
from indicators.holes import Hole
from rules.features import OtherCandles

OnTrouble = Callable[[str, ExchangeError], None]


class OthersCandles:
    """One for all symbols. ``now_ms`` is the exchange's clock: an answer stands until the next candle has closed."""

    def __init__(self, now_ms: Callable[[], int], on_trouble: OnTrouble = lambda symbol, error: None) -> None:
        self._now_ms = now_ms
        self._on_trouble = on_trouble
        self._asking: defaultdict[OtherCandles, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._answers: dict[OtherCandles, tuple[int | None, int, list[Candle]]] = {}
        self._kept_ms: dict[OtherCandles, int] = {}
        self._told: set[tuple[str, Hole]] = set()

    async def candles(
        self, exchange: Exchange, read: OtherCandles, *, start_ms: int | None, limit: int
    ) -> list[Candle]:
        """What the exchange lists; asked again only where what was answered to the same question is not the newest."""
        async with self._asking[read]:
            asked_ms, most, found = self._answers.get(read, (None, 0, []))
            if (asked_ms, most) == (start_ms, limit) and self._is_newest(read, found):
                return found
            found = await exchange.candles(read.symbol, read.timeframe, start_ms=start_ms, limit=limit)
            self._answers[read] = start_ms, limit, found
            return found

    def _is_newest(self, read: OtherCandles, found: list[Candle]) -> bool:
        return bool(found) and found[-1].open_time_ms + read.ms >= read.floor(self._now_ms())

    def missed(self, read: OtherCandles, error: ExchangeError) -> None:
        """They could not be had: the rules go on without, and somebody is told."""
        self._on_trouble(read.symbol, error)

    def unkept(self, read: OtherCandles, candles: list[Candle]) -> list[Candle]:
        """Those that no symbol has kept yet; from now on they count as kept."""
        found = [candle for candle in candles if candle.open_time_ms > self._kept_ms.get(read, -1)]
        if found:
            self._kept_ms[read] = found[-1].open_time_ms
        return found

    def is_news(self, symbol: str, hole: Hole) -> bool:
        """Whether nobody has written down this hole of a symbol yet; from now on it counts as written."""
        if (symbol, hole) in self._told:
            return False
        self._told.add((symbol, hole))
        return True
