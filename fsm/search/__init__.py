"""The search mode: the trades and figures of many variants of rules and settings, exactly as a backtest has them.

    prepared = prepare(request)                          # candles, funding, filters: read once
    outcome = evaluate(prepared, rules, settings)        # as often as there are variants
    outcome.trades, outcome.figures, outcome.curve

``request`` is that of a backtest (fsm/backtest/ground.py); its rules and config are the first variant, and name the
symbols, the range and the entry timeframe. Variants may change everything else: thresholds, features, strategies,
sizing, limits, fees. What features measure is computed once for all variants that read the same.
``prepared.over(from_ms, to_ms)`` is another window over the same candles.

A ``Prepared`` belongs to one process; make one in each worker. docs/search.md says what is computed in which way.
"""

from fsm.search.closed_trade import ClosedTrade
from fsm.search.evaluate import evaluate
from fsm.search.outcome import Outcome
from fsm.search.prepared import Prepared, prepare

__all__ = ["ClosedTrade", "Outcome", "Prepared", "evaluate", "prepare"]
