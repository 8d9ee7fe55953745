"""Reads an equity curve: returns, drawdowns, and the ratios of what was earned to what was risked for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

ZERO = Decimal(0)
DAY_MS = 86_400_000
DAYS_A_YEAR = 365
EQUAL = 1e-9
"""Returns that differ by less, as a part of their mean, differ by rounding alone."""

YEARLY_DAYS_MIN = 28
"""A shorter run says nothing about a year: a week that earned 5 % would be 1,160 %."""

Curve = Sequence[tuple[int, Decimal]]
"""(time in ms, equity in USDT), ascending."""


class OfCurve(NamedTuple):
    """All figures that a curve decides; the ratios count from when on anything could be traded."""

    max_drawdown_pct: float
    longest_drawdown_days: float
    return_yearly_pct: float | None
    sharpe: float
    sortino: float | None
    calmar: float | None


def figures_of(curve: Curve, start_ms: int) -> OfCurve:
    """``start_ms``: from when on anything could be traded."""
    tried = since(curve, start_ms)
    returns, yearly = daily_returns(tried), return_yearly_pct(tried)
    return OfCurve(
        max_drawdown_pct=max_drawdown_pct(curve),
        longest_drawdown_days=longest_drawdown_days(curve),
        return_yearly_pct=yearly,
        sharpe=sharpe_of(returns),
        sortino=sortino_of(returns),
        calmar=calmar_of(yearly, max_drawdown_pct(tried)),
    )


def max_drawdown_pct(curve: Curve) -> float:
    """Largest fall from a high of the curve, in percent of that high."""
    high, low, worst = ZERO, ZERO, ZERO
    for _, equity in curve:
        if equity > high:
            worst = max(worst, _fall_pct(high, low))
            high = low = equity
        elif equity < low:
            low = equity
    return round(float(max(worst, _fall_pct(high, low))), 6)


def _fall_pct(high: Decimal, low: Decimal) -> Decimal:
    return (high - low) / high * 100 if high > 0 else ZERO


def since(curve: Curve, start_ms: int) -> list[tuple[int, Decimal]]:
    """The part of a curve from an instant on; it begins with what equity was then."""
    first = bisect_right(curve, start_ms, key=itemgetter(0))
    return [(start_ms, equity) for _, equity in curve[max(0, first - 1) : first]] + [*curve[first:]]


def daily_returns(curve: Curve, day_ms: int = 86_400_000) -> list[float]:
    """What equity made of each UTC day as a fraction, the first and the last included.

    A reading at midnight is the close of the day that ends. The first reading is what the first day began with; a day
    without a reading changed nothing.
    """
    if not curve:
        return []
    closes = {(at_ms - 1) // day_ms: equity for at_ms, equity in curve[1:]}
    returns: list[float] = []
    previous = float(curve[0][1])
    for day in range(curve[0][0] // day_ms, (curve[-1][0] - 1) // day_ms + 1):
        now = float(closes[day]) if day in closes else previous
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
    return sharpe_of(daily_returns(curve, day_ms))


def sharpe_of(returns: Sequence[float]) -> float:
    """The same of the returns themselves."""
    if len(returns) < 2:
        return 0.0
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    deviation = math.sqrt(variance)
    if deviation <= EQUAL * abs(mean):
        return 0.0
    return round(mean / deviation * math.sqrt(DAYS_A_YEAR), 6)


def sortino(curve: Curve) -> float | None:
    """Yearly Sortino ratio: the mean daily return over the root of the mean square of the losing days.

    Every day counts in that mean, winning ones as 0. None without a losing day, or with fewer than two days.
    """
    return sortino_of(daily_returns(curve))


def sortino_of(returns: Sequence[float]) -> float | None:
    """The same of the returns themselves."""
    downside = math.sqrt(math.fsum(value**2 for value in returns if value < 0) / len(returns)) if returns else 0.0
    if len(returns) < 2 or downside == 0.0:
        return None
    return round(math.fsum(returns) / len(returns) / downside * math.sqrt(DAYS_A_YEAR), 6)


def return_yearly_pct(curve: Curve) -> float | None:
    """The yearly return that, compounded, gives what equity did. None for fewer than four weeks, or after a ruin."""
    if not curve or curve[-1][0] - curve[0][0] < YEARLY_DAYS_MIN * DAY_MS or curve[0][1] <= 0 or curve[-1][1] <= 0:
        return None
    years = (curve[-1][0] - curve[0][0]) / (DAYS_A_YEAR * DAY_MS)
    return round((math.exp(math.log(curve[-1][1] / curve[0][1]) / years) - 1) * 100, 6)


def calmar(curve: Curve) -> float | None:
    """Yearly return over the largest drawdown. None where either is not defined, or nothing was ever lost."""
    return calmar_of(return_yearly_pct(curve), max_drawdown_pct(curve))


def calmar_of(yearly: float | None, fall: float) -> float | None:
    """The same of both, in percent."""
    return None if yearly is None or fall == 0.0 else round(yearly / fall, 6)


def drawdowns(curve: Curve) -> list[tuple[int, int, bool, float]]:
    """Each stretch below a high: (from the high, until it is reached again or the end, whether it was, depth in %)."""
    found: list[tuple[int, int, bool, float]] = []
    high_ms, high, low = 0, ZERO, ZERO
    for at_ms, equity in curve:
        if equity >= high:
            if low < high:
                found.append((high_ms, at_ms, True, float((high - low) / high * 100)))
            high_ms, high, low = at_ms, equity, equity
        elif equity < low:
            low = equity
    if low < high:
        found.append((high_ms, curve[-1][0], False, float((high - low) / high * 100)))
    return found


def longest_drawdown_days(curve: Curve) -> float:
    """The longest time from a high until equity was there again, or until the end, in days."""
    return round(max((until - since for since, until, _, _ in drawdowns(curve)), default=0) / DAY_MS, 6)
