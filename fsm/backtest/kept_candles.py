"""What a backtest keeps of its candles, as a running bot would have: the candles as they were used, and their holes."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.backtest.history import Market
from fsm.journal.candle_holes import HOLE, facts, reason
from fsm.journal.engine_journal import to_json
from indicators.candle import Timeframe
from indicators.series import Series
from store.batch import Batch
from store.rows import CandleColumns, SystemEventRow

AT_ONCE = 5_000
"""Candles in one commit; as text they take ten times their room."""


def kept(market: Market, at_ms: int, *, candles: bool) -> Iterator[Batch]:
    """The holes over which a market was carried and, where they are to stay, its candles at every timeframe that the
    rules read."""
    holes = [
        SystemEventRow(
            at_ms=at_ms,
            kind=HOLE,
            symbol=market.symbol,
            reason=reason(hole),
            facts_json=to_json(facts(hole)),
        )
        for hole in market.holes
    ]
    yield Batch(system_events=holes)
    for timeframe, found in market.by_timeframe.items() if candles else ():
        for first in range(0, found.length, AT_ONCE):
            yield Batch(series=[_columns(market.symbol, timeframe, found, slice(first, first + AT_ONCE))])


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
