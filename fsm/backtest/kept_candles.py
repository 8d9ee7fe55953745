"""What a backtest keeps of its candles, as a running bot would have: the candles as they were used, and their holes."""

from __future__ import annotations

from fsm.backtest.history import Market
from fsm.journal.candle_holes import HOLE, facts, reason
from fsm.journal.engine_journal import to_json
from store.batch import Batch
from store.rows import CandleColumns, SystemEventRow


def kept(market: Market, at_ms: int, *, candles: bool) -> Batch:
    """The holes over which a market was carried and, where they are to stay, its candles at every timeframe that the
    rules read."""
    series = [
        CandleColumns(
            symbol=market.symbol,
            timeframe=timeframe.value,
            open_time_ms=found.open_time_ms.tolist(),
            open=found.open.tolist(),
            high=found.high.tolist(),
            low=found.low.tolist(),
            close=found.close.tolist(),
            volume=found.volume.tolist(),
        )
        for timeframe, found in (market.by_timeframe.items() if candles else ())
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
    return Batch(series=series, system_events=holes)
