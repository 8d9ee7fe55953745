"""What a backtest keeps of its candles, as a running bot would have: the candles as they were used, and their holes."""

from __future__ import annotations

from fsm.backtest.history import Market
from fsm.journal.candle_holes import HOLE, facts, reason
from fsm.journal.engine_journal import to_json
from store.batch import Batch
from store.rows import CandleRow, SystemEventRow


def kept(market: Market, at_ms: int, *, candles: bool) -> Batch:
    """The holes over which a market was carried and, where they are to stay, its candles at every timeframe that the
    rules read."""
    rows = [
        CandleRow(
            symbol=market.symbol,
            timeframe=timeframe.value,
            open_time_ms=candle.open_time_ms,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
        )
        for timeframe, series in (market.by_timeframe.items() if candles else ())
        for candle in series.candles()
    ]
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
    return Batch(candles=rows, system_events=holes)
