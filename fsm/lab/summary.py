"""Sums a finished run up: results overall and by regime, strategy and symbol, from its trades and its equity curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from fsm.core.records import ZERO, Trade

DAYS_A_YEAR = 365
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


def sharpe(curve: Curve, day_ms: int = 86_400_000) -> float:
    """Yearly Sharpe ratio of daily equity returns, without a risk-free rate; 0.0 when it is not defined."""
    daily: dict[int, float] = {}
    for at_ms, equity in curve:
        daily[at_ms // day_ms] = float(equity)
    if not daily:
        return 0.0
    first, last = min(daily), max(daily)
    returns: list[float] = []
    previous = daily[first]
    for day in range(first + 1, last + 1):
        now = daily.get(day, previous)
        returns.append(now / previous - 1 if previous > 0 else 0.0)
        previous = now
    if len(returns) < 2:
        return 0.0
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    return round(mean / math.sqrt(variance) * math.sqrt(DAYS_A_YEAR), 6) if variance > 0 else 0.0
