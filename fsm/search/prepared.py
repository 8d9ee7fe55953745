"""What all variants of a search share: the candles, the rules of the exchange, and the range; read once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from fsm.backtest.ground import BacktestError, Ground, Request, read_ground
from fsm.backtest.history import Market
from fsm.backtest.past_closes import PastCloses
from fsm.search.bars import BARS_KEPT, Bars
from indicators.candle import Timeframe
from indicators.correlation import read_on
from rules.features import CandlesRead
from rules.load import Ruleset
from rules.measured import KEPT_BYTES, Measured

COLUMNS = 6
"""Of a candle."""


class Prepared:
    """``ground`` is what was read for ``request``. Not for two threads."""

    def __init__(self, request: Request, ground: Ground) -> None:
        self.request = request
        self.ground = ground
        self._shared = _Shared()
        self._correlation: dict[Timeframe, Decimal | None] = {}

    @property
    def entry(self) -> Timeframe:
        """The entry timeframe, which no variant changes."""
        return self.request.rules.for_symbol("").entry_timeframe

    def over(self, from_ms: int | None, to_ms: int | None) -> Prepared:
        """The same over another range; None: all that there is. Raises BacktestError where it has no whole candle."""
        request = replace(self.request, from_ms=from_ms, to_ms=to_ms)
        other = Prepared(request, self.ground.over(request))
        other._shared = self._shared
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
        seen = self._shared.seen
        if key not in seen:
            seen[key] = market.only(own)
        return seen[key]

    def bars(self, market: Market) -> Bars:
        """The prices of a symbol."""
        bars = self._shared.bars
        if market.symbol not in bars:
            bars[market.symbol] = Bars(market.feed, BARS_KEPT // len(self.ground.markets))
        return bars[market.symbol]

    def count(self) -> None:
        """Candles in whole numbers, as the kernel reads them."""
        for market in self.ground.markets:
            self.bars(market).whole(self.ground.rules.begins.filters[market.symbol])

    def measured(self, market: Market) -> Measured:
        """What features of a symbol measure, as far as any variant asked; room for as much as its candles, at least."""
        measured, symbols = self._shared.measured, len(self.ground.markets)
        if market.symbol not in measured:
            kept_bytes = max(KEPT_BYTES // symbols, COLUMNS * market.series.open.nbytes)
            measured[market.symbol] = Measured(symbols, kept_bytes)
        return measured[market.symbol]

    def closes(self, markets: tuple[Market, ...]) -> PastCloses:
        """How far the prices of the symbols move together."""
        step, closes = read_on(markets[0].by_timeframe), self._shared.closes
        if step not in closes:
            closes[step] = PastCloses({market.symbol: market for market in markets})
        return closes[step]

    def mean_correlation(self, markets: tuple[Market, ...]) -> Decimal | None:
        """Over the range."""
        step = read_on(markets[0].by_timeframe)
        if step not in self._correlation:
            self._correlation[step] = self.closes(markets).mean(self.ground.from_ms, self.ground.to_ms)
        return self._correlation[step]


class _Shared:
    """What windows over the same candles share."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, frozenset[CandlesRead]], Market] = {}
        self.bars: dict[str, Bars] = {}
        self.measured: dict[str, Measured] = {}
        self.closes: dict[Timeframe, PastCloses] = {}


def prepare(request: Request, timeframes: frozenset[Timeframe] = frozenset()) -> Prepared:
    """Read it once. ``timeframes``: those that some variant reads and the request's rules do not.

    Raises BacktestError.
    """
    prepared = Prepared(request, read_ground(request, further=timeframes))
    if len(prepared.ground.markets) == 1:
        prepared.count()
    return prepared
