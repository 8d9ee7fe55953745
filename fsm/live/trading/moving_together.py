"""How much the symbols that a bot watches move together, by the candles that it has read."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from fsm.live.trading.market import Market
from indicators.correlation import correlation, mean_correlation


class MovingTogether:
    """Measured anew once candles have closed since the last time."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._markets = markets
        self._known: dict[tuple[str, str], tuple[tuple[int, ...], Decimal]] = {}
        self._mean: tuple[tuple[int, ...], Decimal | None] = ((), None)

    def correlation(self, one: str, other: str) -> Decimal:
        """Of two symbols; 1 where the candles of one are not read."""
        pair = (min(one, other), max(one, other))
        found = [self._markets[name] for name in pair if name in self._markets]
        if len(found) < 2:
            return Decimal(1)
        newest = tuple(market.newest_ms for market in found)
        if pair not in self._known or self._known[pair][0] != newest:
            self._known[pair] = newest, correlation(found[0].closes, found[1].closes, found[0].compared.ms)
        return self._known[pair][1]

    def mean(self) -> Decimal | None:
        """Over all pairs; None while too little was read."""
        markets = list(self._markets.values())
        newest = tuple(market.newest_ms for market in markets)
        if self._mean[0] != newest and markets:
            self._mean = newest, mean_correlation([market.closes for market in markets], markets[0].compared.ms)
        return self._mean[1]
