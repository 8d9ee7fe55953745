"""Sums a finished run up: results overall and by regime, strategy and symbol, from its trades and its equity curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from fsm.core.model.records import ZERO, Trade

DAYS_A_YEAR = 365
EQUAL = 1e-9
"""Returns that differ by less, as a part of their mean, differ by rounding alone."""

Curve = Sequence[tuple[int, Decimal]]
"""(time in ms, equity in USDT), ascending."""


def results(trades: Sequence[Trade]) -> dict[str, Any]:
    """Counts and sums of closed trades; money in USDT, expectancy in R."""
    nets = [trade.net_pnl or ZERO for trade in trades]
    rs = [trade.r or ZERO for trade in trades]
    return {
        "trades": len(trades),
        "wins": sum(1 for net in nets if net > 0),
        "losses": sum(1 for net in nets if net <= 0),
        "net_pnl_usdt": money(sum(nets, ZERO)),
        "fees_usdt": money(sum((trade.fees for trade in trades), ZERO)),
        "funding_usdt": money(sum((trade.funding for trade in trades), ZERO)),
        "expectancy_r": round(float(sum(rs, ZERO)) / len(rs), 6) if rs else 0.0,
    }


def grouped(trades: Iterable[Trade], key: Callable[[Trade], str]) -> dict[str, dict[str, Any]]:
    """The same results for each group, in the order of the groups' names."""
    groups: dict[str, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return {name: results(groups[name]) for name in sorted(groups)}


def money(amount: Decimal) -> float:
    """An amount for JSON: eight decimals, as the exchange's ledger."""
    return float(round(amount, 8))


def max_drawdown_pct(curve: Curve) -> float:
    """Largest fall from a high of the curve, in percent of that high."""
    high, worst = ZERO, ZERO
    for _, equity in curve:
        high = max(high, equity)
        if high > 0:
            worst = max(worst, (high - equity) / high * 100)
    return round(float(worst), 6)


def daily_returns(curve: Curve, day_ms: int = 86_400_000) -> list[float]:
    """What equity made of each UTC day as a fraction, the first and the last included.

    A reading at midnight is the close of the day that ends. The first reading is what the first day began with; a day
    without a reading changed nothing.
    """
    if not curve:
        return []
    closes = {(at_ms - 1) // day_ms: float(equity) for at_ms, equity in curve[1:]}
    returns: list[float] = []
    previous = float(curve[0][1])
    for day in range(curve[0][0] // day_ms, (curve[-1][0] - 1) // day_ms + 1):
        now = closes.get(day, previous)
        returns.append(now / previous - 1 if previous > 0 else 0.0)
        previous = now
    return returns


def thinned(curve: Curve, points: int) -> list[tuple[int, Decimal]]:
    """At most so many points that keep the lowest, the highest and the last of each span of the curve."""
    spans = max(1, points // 3)
    size = -(-len(curve) // spans)
    kept: list[tuple[int, Decimal]] = []
    for first in range(0, len(curve), max(1, size)):
        span = curve[first : first + size]
        chosen = {span.index(min(span, key=lambda point: point[1])), span.index(max(span, key=lambda point: point[1]))}
        kept += [span[index] for index in sorted(chosen | {len(span) - 1})]
    return kept


def sharpe(curve: Curve, day_ms: int = 86_400_000) -> float:
    """Yearly Sharpe ratio of daily equity returns, without a risk-free rate; 0.0 when it is not defined."""
    returns = daily_returns(curve, day_ms)
    if len(returns) < 2:
        return 0.0
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    deviation = math.sqrt(variance)
    if deviation <= EQUAL * abs(mean):
        return 0.0
    return round(mean / deviation * math.sqrt(DAYS_A_YEAR), 6)
