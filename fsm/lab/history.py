"""One symbol's whole history, read once: candles, mark, funding, and what the rules say at every candle."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from exchange.candle_files import CandleColumns, CandleFolders, FundingColumns
from exchange.sim.feed import SymbolFeed
from indicators.candle import Timeframe
from indicators.series import Series, aggregate
from rules.facts import FactTable
from rules.load import Ruleset
from rules.regime import RegimeState
from rules.strategy import Reason
from rules.symbol_rules import SymbolRules
from rules.vector import REASONS, REGIMES, RegimeTrack, SignalTrack, regimes, signals

Anchors = Mapping[str, Mapping[Timeframe, int]]
"""Symbol → timeframe → open time of the first candle."""

SIGNAL = -1
"""Code of a candle at which a strategy signals, whatever becomes of it."""


@dataclass(frozen=True)
class Market:
    """What happened at the exchange: prices and funding of one symbol, at the entry timeframe."""

    symbol: str
    series: Series
    by_timeframe: dict[Timeframe, Series]
    feed: SymbolFeed
    feed_digest: bytes

    @cached_property
    def opens_ms(self) -> list[int]:
        times: list[int] = self.series.open_time_ms.tolist()
        return times

    def index_at(self, open_ms: int) -> int | None:
        """Index of the candle that opens at this instant; the series has no gaps."""
        index = (open_ms - self.opens_ms[0]) // self.series.timeframe.ms
        return index if 0 <= index < len(self.opens_ms) else None

    def anchored(self, first_ms: Mapping[Timeframe, int]) -> Market:
        """The same market, seen by somebody whose candles begin with these."""
        seen = {
            timeframe: series.since(first_ms[timeframe]) if timeframe in first_ms else series
            for timeframe, series in self.by_timeframe.items()
        }
        return replace(self, series=seen[self.series.timeframe], by_timeframe=seen)

    def digest(self) -> bytes:
        """SHA-256 of every number a run can read from this market."""
        found = hashlib.sha256(self.symbol.encode())
        for series in (self.series, *(self.by_timeframe[t] for t in sorted(self.by_timeframe))):
            for column in (series.open_time_ms, series.open, series.high, series.low, series.close, series.volume):
                found.update(column.tobytes())
        found.update(self.feed_digest)
        return found.digest()


def read_market(folders: CandleFolders, symbol: str, timeframes: frozenset[Timeframe], *, native: bool) -> Market:
    """Read and check one symbol's files. Raises CandleFileError or SeriesError."""
    candles = folders.candles(symbol)
    series = _series(candles)
    wanted = sorted(timeframes | {series.timeframe}, key=lambda timeframe: timeframe.ms)
    by_timeframe = {
        timeframe: series if timeframe is series.timeframe else _coarser(folders, series, timeframe, native=native)
        for timeframe in wanted
    }
    mark, intrabar, funding = folders.mark(symbol), folders.intrabar(symbol), folders.funding(symbol)
    return Market(
        symbol=symbol,
        series=series,
        by_timeframe=by_timeframe,
        feed=SymbolFeed(candles=candles, mark=mark, intrabar=intrabar, funding=funding),
        feed_digest=_feed_digest(mark, intrabar, funding),
    )


def _series(columns: CandleColumns) -> Series:
    return Series(
        symbol=columns.symbol,
        timeframe=columns.timeframe,
        open_time_ms=columns.open_time_ms,
        open=columns.open,
        high=columns.high,
        low=columns.low,
        close=columns.close,
        volume=columns.volume,
    )


def _coarser(folders: CandleFolders, series: Series, timeframe: Timeframe, *, native: bool) -> Series:
    return _series(folders.candles(series.symbol, timeframe)) if native else aggregate(series, timeframe)


def _feed_digest(
    mark: CandleColumns | None, intrabar: tuple[CandleColumns, ...], funding: FundingColumns | None
) -> bytes:
    """SHA-256 of what only the exchange reads."""
    found = hashlib.sha256()
    for columns in (*([] if mark is None else [mark]), *intrabar):
        for column in (columns.open_time_ms, columns.open, columns.high, columns.low, columns.close):
            found.update(column.tobytes())
    if funding is not None:
        found.update(funding.time_ms.tobytes() + funding.rate.tobytes())
    return found.digest()


@dataclass(frozen=True)
class History:
    """A market with what the rules say at each of its candles, computed over arrays before anything trades."""

    market: Market
    rules: SymbolRules
    table: FactTable
    regimes: RegimeTrack
    codes: list[int]
    signals: dict[str, SignalTrack]

    def regime_state(self, index: int) -> RegimeState:
        run = bisect_right(self.regimes.runs, index)
        return self.regimes.states[run - 1] if run else self.regimes.start

    def quiet_reading(self, index: int) -> tuple[str, str]:
        """(outcome, reason) of a candle at which an idle symbol does nothing; only where the code is not SIGNAL."""
        regime = REGIMES[int(self.regimes.codes[index])]
        route = self.rules.route(regime)
        if route.strategy is None:
            return "NO_TRADE", route.reason
        return "NO_SIGNAL", REASONS[int(self.signals[route.strategy].reasons[index])].value


def build_history(market: Market, ruleset: Ruleset, candles_min: int) -> History:
    """Compute features, regimes and signals of a whole market."""
    rules = ruleset.for_symbol(market.symbol)
    table = FactTable(rules, market.by_timeframe, candles_min)
    track = regimes(table)
    routed = {regime: rules.route(regime).strategy for regime in REGIMES}
    by_strategy = {name: signals(table, name) for name in sorted({s for s in routed.values() if s is not None})}
    codes = np.zeros(table.length, dtype=np.int16)
    for code, regime in enumerate(REGIMES):
        here = track.codes == code
        strategy = routed[regime]
        if strategy is None:
            codes[here] = 1_000 + code
            continue
        reasons = by_strategy[strategy].reasons[here].astype(np.int16)
        codes[here] = np.where(reasons == REASONS.index(Reason.SIGNAL), SIGNAL, reasons + 32 * code)
    return History(market, rules, table, track, codes.tolist(), by_strategy)


def data_hash(markets: list[Market]) -> str:
    """SHA-256 over everything the run reads."""
    found = hashlib.sha256()
    for market in markets:
        found.update(market.digest())
    return found.hexdigest()
