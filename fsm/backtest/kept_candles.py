"""What a backtest keeps of its candles, as a running bot would have: the candles as they were used, and their holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsm.backtest.history import Market
from fsm.journal.candle_holes import HOLE, facts, reason
from fsm.journal.engine_journal import to_json
from indicators.candle import Timeframe
from indicators.holes import Hole
from indicators.series import Series
from store.batch import Batch
from store.rows import CandleColumns, SystemEventRow

AT_ONCE = 5_000
"""Candles in one commit; as text they take ten times their room."""


def kept(markets: Sequence[Market], at_ms: int, *, candles: bool) -> Iterator[Batch]:
    """The holes over which candles were carried and, where they are to stay, the candles at every timeframe that the
    rules read, of these symbols and of others."""
    for market in markets:
        yield Batch(system_events=[_hole(market.symbol, hole, at_ms) for hole in market.holes])
        for timeframe, found in market.by_timeframe.items() if candles else ():
            yield from _in_parts(market.symbol, timeframe, found)
    own = {(market.symbol, timeframe) for market in markets for timeframe in market.by_timeframe}
    others = {read: each for market in markets for read, each in market.others.series.items()}
    for read, found in others.items():
        if (read.symbol, read.timeframe) not in own:
            missing = next(m.others.holes[read.symbol] for m in markets if read.symbol in m.others.holes)
            alike = [hole for hole in missing if hole.timeframe is read.timeframe]
            yield Batch(system_events=[_hole(read.symbol, hole, at_ms) for hole in alike])
            yield from _in_parts(read.symbol, read.timeframe, found) if candles else ()


def _hole(symbol: str, hole: Hole, at_ms: int) -> SystemEventRow:
    return SystemEventRow(at_ms=at_ms, kind=HOLE, symbol=symbol, reason=reason(hole), facts_json=to_json(facts(hole)))


def _in_parts(symbol: str, timeframe: Timeframe, found: Series) -> Iterator[Batch]:
    for first in range(0, found.length, AT_ONCE):
        yield Batch(series=[_columns(symbol, timeframe, found, slice(first, first + AT_ONCE))])


def _columns(symbol: str, timeframe: Timeframe, found: Series, span: slice) -> CandleColumns:
    return CandleColumns(
        symbol=symbol,
        timeframe=timeframe.value,
        open_time_ms=found.open_time_ms[span].tolist(),
        open=found.open[span].tolist(),
        high=found.high[span].tolist(),
        low=found.low[span].tolist(),
        close=found.close[span].tolist(),
        volume=found.volume[span].tolist(),
    )
