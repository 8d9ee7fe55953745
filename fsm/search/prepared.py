"""What all variants of a search share: the candles, the rules of the exchange, and the range; read once."""

from __future__ import annotations

from dataclasses import replace

from fsm.backtest.ground import BacktestError, Ground, Request, read_ground
from fsm.backtest.history import Market
from indicators.candle import Timeframe
from rules.features import CandlesRead
from rules.load import Ruleset


class Prepared:
    """``ground`` is what was read for ``request``. Not for two threads."""

    def __init__(self, request: Request, ground: Ground) -> None:
        self.request = request
        self.ground = ground
        self._seen: dict[tuple[str, frozenset[CandlesRead]], Market] = {}

    @property
    def entry(self) -> Timeframe:
        """The entry timeframe, which no variant changes."""
        return self.request.rules.for_symbol("").entry_timeframe

    def over(self, from_ms: int | None, to_ms: int | None) -> Prepared:
        """The same over another range; None: all that there is. Raises BacktestError where it has no whole candle."""
        request = replace(self.request, from_ms=from_ms, to_ms=to_ms)
        other = Prepared(request, self.ground.over(request))
        other._seen = self._seen
        return other

    def markets(self, rules: Ruleset) -> tuple[Market, ...]:
        """As these rules see them. Raises BacktestError where they read what was not prepared."""
        return tuple(self._market(market, rules) for market in self.ground.markets)

    def _market(self, market: Market, rules: Ruleset) -> Market:
        own = rules.for_symbol(market.symbol)
        if own.entry_timeframe is not self.entry:
            raise BacktestError(
                f"these rules enter on {own.entry_timeframe}, what was prepared is for {self.entry}: prepare again"
            )
        missing = sorted(own.candles - set(market.every_series), key=lambda read: (read.ms, str(read)))
        if missing:
            listed = ", ".join(map(str, missing))
            raise BacktestError(
                f"these rules read candles of {listed}, which were not prepared: name them in prepare()"
            )
        key = (market.symbol, own.candles)
        if key not in self._seen:
            self._seen[key] = market.only(own)
        return self._seen[key]


def prepare(request: Request, timeframes: frozenset[Timeframe] = frozenset()) -> Prepared:
    """Read it once. ``timeframes``: those that some variant reads and the request's rules do not.

    Raises BacktestError.
    """
    return Prepared(request, read_ground(request, further=timeframes))
