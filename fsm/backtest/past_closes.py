"""The closes that a backtest's clock has passed, for how much the prices of symbols move together."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from fsm.backtest.history import Market
from indicators.correlation import RETURNS, correlation, mean_correlation, read_on


class PastCloses:
    """``now_ms`` is moved by the clock: only candles that have closed by then are compared."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = dict(markets)
        self._step = read_on(next(iter(self._markets.values())).by_timeframe)
        self._known: dict[tuple[str, str], Decimal] = {}
        self._known_ms = -1
        self.now_ms = 0

    def correlation(self, one: str, other: str) -> Decimal:
        """As a bot measures it that has read the same candles."""
        newest_ms = self._step.floor(self.now_ms) - self._step.ms
        if newest_ms != self._known_ms:
            self._known, self._known_ms = {}, newest_ms
        pair = (min(one, other), max(one, other))
        if pair not in self._known:
            first, second = (self._closes(self._markets[name], newest_ms, RETURNS) for name in pair)
            self._known[pair] = correlation(first, second, self._step.ms)
        return self._known[pair]

    def mean(self, from_ms: int, to_ms: int) -> Decimal | None:
        """Over all pairs of symbols and all returns of a run."""
        if len(self._markets) < 2:
            return None
        returns = (to_ms - from_ms) // self._step.ms
        newest_ms = self._step.floor(to_ms) - self._step.ms
        closes = (self._closes(market, newest_ms, returns) for market in self._markets.values())
        return mean_correlation(closes, self._step.ms, returns)

    def _closes(self, market: Market, newest_ms: int, returns: int) -> dict[int, float]:
        """The newest closes up to a candle, without those that stand for missing ones."""
        series = market.by_timeframe[self._step]
        first, end = np.searchsorted(series.open_time_ms, (newest_ms - returns * self._step.ms, newest_ms + 1))
        opens, closes = series.open_time_ms[first:end].tolist(), series.close[first:end].tolist()
        found = dict(zip(opens, closes, strict=True))
        for hole in market.holes:
            if hole.timeframe is self._step:
                for open_ms in range(
                    max(hole.first_ms, newest_ms - returns * self._step.ms), hole.end_ms, self._step.ms
                ):
                    found.pop(open_ms, None)
        return found
