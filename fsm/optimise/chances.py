"""What would have come of the same trades in another order, drawn again, or entered later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from fsm.backtest.history import Market
from fsm.search import ClosedTrade

Floats = npt.NDArray[np.float64]

DRAWS = 2_000
DELAYS = (1, 2, 3)
"""Entry candles."""


def trade_order(trades: Sequence[ClosedTrade], balance: Decimal, seed: int = 1) -> dict[str, Any] | None:
    """Drawdowns of the same trades in other orders; returns of as many trades drawn from them, some of them twice.

    A trade is what it made of the equity before it. None without trades.
    """
    parts = _parts(trades, balance)
    if not len(parts):
        return None
    chance = np.random.Generator(np.random.PCG64(seed))
    falls = [_fall(parts[chance.permutation(len(parts))]) for _ in range(DRAWS)]
    returns = [float(np.prod(1 + chance.choice(parts, len(parts)))) - 1 for _ in range(DRAWS)]
    return {
        "draws": DRAWS,
        "max_drawdown_pct": round(100 * _fall(parts), 6),
        "max_drawdown_pct_50": _percentile(falls, 50),
        "max_drawdown_pct_95": _percentile(falls, 95),
        "return_pct_5": _percentile(returns, 5),
        "return_pct_50": _percentile(returns, 50),
        "return_pct_95": _percentile(returns, 95),
        "loss_share": round(sum(1 for each in returns if each < 0) / DRAWS, 6),
    }


def _parts(trades: Sequence[ClosedTrade], balance: Decimal) -> Floats:
    equity, parts = float(balance), []
    for trade in sorted(trades, key=lambda trade: (trade.closed_ms or trade.opened_ms, trade.id)):
        net = float(trade.net_pnl or 0)
        parts.append(net / equity if equity > 0 else 0.0)
        equity += net
    return np.array(parts)


def _fall(parts: Floats) -> float:
    """Largest fall from a high, at the ends of trades, as a fraction of that high."""
    equity = np.concatenate(([1.0], np.cumprod(1 + parts)))
    highs = np.maximum.accumulate(equity)
    return float(((highs - equity) / highs).max())


def _percentile(values: Sequence[float], percent: int) -> float:
    return round(100 * float(np.percentile(np.array(values), percent)), 6)


def entry_delay(
    trades: Sequence[ClosedTrade], markets: Mapping[str, Market], balance: Decimal, seed: int = 1
) -> dict[str, Any] | None:
    """Every trade entered candles later, at their open, with the same exits; one that was over by then is left out.

    ``drawn``: each trade by 0 to 3 candles at random, many times. Returns are of the balance, in percent. None without
    trades.
    """
    if not trades:
        return None
    nets = np.array([[_delayed(trade, markets[trade.symbol], delay) for delay in (0, *DELAYS)] for trade in trades])
    chance = np.random.Generator(np.random.PCG64(seed))
    rows = np.arange(len(trades))
    drawn = [float(nets[rows, chance.integers(0, nets.shape[1], len(trades))].sum()) for _ in range(DRAWS)]
    whole = float(balance)
    return {
        "return_pct": round(100 * float(nets[:, 0].sum()) / whole, 6),
        **{
            f"return_pct_{delay}_later": round(100 * float(nets[:, place].sum()) / whole, 6)
            for place, delay in enumerate(DELAYS, start=1)
        },
        "drawn_pct_5": _percentile([each / whole for each in drawn], 5),
        "drawn_pct_50": _percentile([each / whole for each in drawn], 50),
        "drawn_pct_95": _percentile([each / whole for each in drawn], 95),
    }


def _delayed(trade: ClosedTrade, market: Market, delay: int) -> float:
    """What the trade makes with an entry so many candles later."""
    net = float(trade.net_pnl or 0)
    if delay == 0 or trade.first_fill_ms is None or trade.entry_price is None:
        return net
    step, opens = market.series.timeframe.ms, market.series.open
    index = (trade.first_fill_ms - market.opens_ms[0]) // step
    at_ms = (index + delay) * step + market.opens_ms[0]
    if index + delay >= market.series.length or (trade.closed_ms is not None and at_ms >= trade.closed_ms):
        return 0.0
    moved = float(opens[index + delay] / opens[index]) - 1
    sign = 1 if trade.side == "LONG" else -1
    return net - sign * moved * float(trade.entry_price) * float(trade.closed_quantity)
