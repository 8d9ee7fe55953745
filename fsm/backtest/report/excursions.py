"""How far a trade went for and against itself while it was open, in R: its MFE and its MAE.

Read from the entry timeframe's candles: the highest and the lowest from the candle of the first fill up to the one
before that of the end, and the prices of the trade's own fills. What the last candle did after the trade had ended is
so left out; what it did before, beyond the price of the exit, is not known and left out too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from indicators.series import Series
from store.rows import FillRow
from store.trade_rows import TradeRow


class Excursion(NamedTuple):
    """``mae_r`` is 0 or negative, ``mfe_r`` 0 or positive; both in R of the first stop."""

    mae_r: float
    mfe_r: float


def excursion(trade: TradeRow, fills: Sequence[FillRow], series: Series | None) -> Excursion | None:
    """None where it cannot be told: no entry, no distance to the stop, or no candles."""
    if trade.entry_price is None or trade.first_fill_ms is None or series is None:
        return None
    entry, risk = float(trade.entry_price), abs(float(trade.entry_price_planned - trade.stop_price_initial))
    if risk == 0:
        return None
    step, first_ms = series.timeframe.ms, int(series.open_time_ms[0])
    first = max((trade.first_fill_ms - first_ms) // step, 0)
    end = max(((trade.closed_ms or trade.first_fill_ms) - first_ms) // step, 0)
    prices = [float(fill.price) for fill in fills] or [entry]
    low = min([*prices, *series.low[first:end].tolist()])
    high = max([*prices, *series.high[first:end].tolist()])
    worst, best = (low - entry, high - entry) if trade.side == "LONG" else (entry - high, entry - low)
    return Excursion(round(min(worst, 0.0) / risk, 4), round(max(best, 0.0) / risk, 4))
