"""What the page's script is given: curves, regimes, trades with their orders and fills, and where the candles lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from fsm.backtest.curve import Curve, thinned
from fsm.backtest.report.candle_charts import CandleCharts
from fsm.backtest.report.excursions import Excursion
from fsm.backtest.report.periods import days, results_by_day
from fsm.backtest.report.run_rows import RunRows
from indicators.series import Series
from store.rows import FillRow, RegimeRow
from store.trade_rows import TradeRow
from store.views import OrderRow

POINTS_MAX = 3_000
"""More points than pixels only make the page heavy; the lowest and the highest of each span are among them."""

HOLD_POINTS = 1_500
STOP, TARGET = "PlaceStop", "PlaceTarget"


def page_facts(rows: RunRows, excursions: Mapping[str, Excursion]) -> dict[str, Any]:
    """Prices and amounts as the database has them, in decimal text; times in ms UTC."""
    by_day = results_by_day(rows.trades)
    return {
        "from_ms": rows.from_ms,
        "to_ms": rows.to_ms,
        "step_ms": rows.entry.ms,
        "balance": str(rows.balance),
        "symbols": rows.symbols,
        "equity": _equity(rows.curve),
        "hold": _hold(rows),
        "regimes": {symbol: _regimes(found) for symbol, found in rows.regimes.items()},
        "days": [
            (day.isoformat(), round(change.pct, 4), str(change.usdt), str(by_day.get(day, Decimal(0))))
            for day, change in days(rows.curve).items()
        ],
        "trades": [
            _trade(trade, rows.orders.get(trade.id, []), rows.fills.get(trade.id, []), excursions.get(trade.id))
            for trade in rows.trades
        ],
    }


def chart_facts(charts: CandleCharts) -> dict[str, Any]:
    """Where the page finds its candles and indicators."""
    return {
        "symbolCharts": charts.symbols,
        "tradeCharts": charts.trades,
        "readBy": charts.read,
        "steps": charts.steps,
        "indicators": charts.indicators,
        "chartsLeftOut": charts.left_out,
    }


def _equity(curve: Curve) -> list[tuple[int, str, float]]:
    """(time, equity, fall from the highest so far in %), thinned; falls are those of the whole curve."""
    high, falls = Decimal(0), {}
    for at_ms, equity in curve:
        high = max(high, equity)
        falls[at_ms] = round(float((high - equity) / high * 100), 4) if high > 0 else 0.0
    first = list(curve[:1])
    points = dict([*first, *(thinned(curve, POINTS_MAX) if len(curve) > POINTS_MAX else curve)])
    return [(at_ms, str(equity), falls[at_ms]) for at_ms, equity in points.items()]


def _hold(rows: RunRows) -> list[tuple[int, float]]:
    """The balance put into equal parts of all symbols at the start and left alone, without costs."""
    bought = [series for symbol in rows.symbols if (series := rows.entry_series(symbol)) is not None]
    if not bought or len(bought) < len(rows.symbols):
        return []
    closes_ms = np.arange(rows.from_ms + rows.entry.ms, rows.to_ms + 1, rows.entry.ms)
    kept = closes_ms[np.unique(np.linspace(0, len(closes_ms) - 1, min(HOLD_POINTS, len(closes_ms))).astype(int))]
    share = float(rows.balance) / len(bought)
    total = sum(share * _grown(series, rows.from_ms, kept) for series in bought)
    return [(int(at_ms), round(float(value), 2)) for at_ms, value in zip(kept, np.asarray(total), strict=True)]


def _grown(series: Series, from_ms: int, at_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What 1 became of it; a symbol that is listed later is bought at its first candle and is 1 until then."""
    first = int(np.searchsorted(series.open_time_ms, from_ms))
    last = np.searchsorted(series.open_time_ms + series.timeframe.ms, at_ms, side="right") - 1
    if first >= series.length:
        return np.ones(len(at_ms))
    return np.where(last >= first, series.close[np.maximum(last, 0)] / series.open[first], 1.0)


def _regimes(found: Sequence[RegimeRow]) -> list[tuple[int, str]]:
    """(since when, regime); what held before the first change is known from that change."""
    before = [(0, found[0].previous)] if found and found[0].previous else []
    return [*before, *((row.at_ms, row.regime) for row in found)]


def _trade(
    trade: TradeRow, orders: Sequence[OrderRow], fills: Sequence[FillRow], reached: Excursion | None
) -> dict[str, Any]:
    return {
        "id": trade.id,
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy_used,
        "regime": trade.regime_at_entry,
        "signal_ms": trade.signal_candle_ms,
        "opened_ms": trade.opened_ms,
        "fill_ms": trade.first_fill_ms,
        "closed_ms": trade.closed_ms,
        "quantity": str(trade.closed_quantity),
        "entry": _text(trade.entry_price),
        "exit": _text(trade.exit_price),
        "stop": str(trade.stop_price_initial),
        "risk": str(trade.risk_usdt),
        "pnl": str(trade.pnl),
        "fees": str(trade.fees),
        "funding": str(trade.funding),
        "net": _text(trade.net_pnl),
        "r": _text(trade.r),
        "reason": trade.exit_reason,
        "flagged": trade.flagged,
        "mae": None if reached is None else reached.mae_r,
        "mfe": None if reached is None else reached.mfe_r,
        "stops": [(order.created_ms, str(order.trigger_price)) for order in orders if order.purpose == STOP],
        "targets": [
            (order.created_ms, str(order.trigger_price), order.updated_ms, order.status)
            for order in orders
            if order.purpose == TARGET
        ],
        "fills": [(fill.at_ms, fill.side, str(fill.price), str(fill.quantity), str(fill.commission)) for fill in fills],
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
