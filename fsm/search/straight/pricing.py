"""Prices of the kernel: where orders fill, where a position is liquidated, and when a line comes to a level."""

from __future__ import annotations

from typing import Any

from fsm.search.straight.numbers import LIQUIDATION, Brackets, Prices, Terms

SURE = 1e-9
"""A part of a price: bounds nearer than this are the evaluator's."""

HAIR = 1e-6
"""The same of the liquidation price, which is kept in floats."""


def half_even(amount: int, of: int) -> int:
    """amount / of as a whole number; a half goes to the even one."""
    whole = amount // of
    rest = 2 * (amount - whole * of)
    if rest > of or (rest == of and whole & 1):
        whole += 1
    return whole


def nearest(price: int, tick: int) -> int:
    """The price as the exchange tells it."""
    return half_even(price, tick) * tick


def market_price(t: Terms, side: int, last: int, mark: float) -> int:
    """Where a market order fills (side: 1 buys, -1 sells); -1: too far from the mark, or too close to tell."""
    of = t.tick * t.slip_of
    if side > 0:
        steps = -(-(last * t.slip_buy - t.price_min * t.slip_of) // of)
    else:
        steps = (last * t.slip_sell - t.price_min * t.slip_of) // of
    return within(t, side, steps * t.tick + t.price_min, mark)


def within(t: Terms, side: int, price: int, mark: float) -> int:
    """The price, if it surely is one that the exchange lets a market order trade at."""
    if price <= 0:
        return -1
    if side > 0:
        return price if price < mark * t.bound_up * (1 - SURE) else -1
    return price if price > mark * t.bound_down * (1 + SURE) else -1


def exit_price(
    t: Terms, p: Prices, sign: int, bar: int, level: int, last: float, mark: float, is_exact: bool, is_stop: bool
) -> int:
    """Where a stop or target fills; ``level`` is the last price where that is exact. -1: it cannot be told."""
    side = -sign
    worst = p.low[bar] if side < 0 else p.high[bar]
    if is_stop and t.depth > 0 and (worst < last if side < 0 else worst > last):
        last += (worst - last) * t.depth
    elif is_exact:
        return market_price(t, side, level, mark)
    steps = (last * (t.factor_buy if side > 0 else t.factor_sell) - t.price_min) / t.tick
    whole = round(steps)
    if abs(steps - whole) < 1e-7 + 2e-10 / (t.tick * t.unit):
        return -1
    if side > 0:
        whole += whole < steps
    else:
        whole -= whole > steps
    return within(t, side, whole * t.tick + t.price_min, mark)


def liquidated_at(t: Terms, b: Brackets, sign: int, lots: int, entry: int, margin: float) -> float:
    """The mark that ends a position, in units; 0: none does."""
    size, price = lots * t.lot, 0.0
    for number in range(len(b.cap)):
        slope = size * b.ratio[number] - sign * size
        price = (margin + b.cumulative[number] - sign * size * entry * t.unit) / slope
        if size * price <= b.cap[number]:
            break
    return max(price, 0.0) / t.unit


def is_near_liquidation(p: Prices, m: Any, sign: int, bar: int) -> bool:
    """Whether the mark may come to where it is liquidated."""
    level = m[LIQUIDATION]
    if level <= 0:
        return False
    if sign > 0:
        return bool(p.mark_low[bar] <= level * (1 + HAIR))
    return bool(p.mark_high[bar] >= level * (1 - HAIR))


def sinks_at(m: Any, sign: int) -> tuple[float, float]:
    """Marks, below and above, at which it comes near to that."""
    level = m[LIQUIDATION]
    if level <= 0:
        return -1.0, 1e19
    return (level * (1 + HAIR), 1e19) if sign > 0 else (-1.0, level * (1 - HAIR))


def moment(span_ms: int, way: int, whole: int) -> int:
    """How long a line takes to a part of its way; -1: too close to half a millisecond to tell."""
    if float(span_ms) * way < 4e18:
        ms = span_ms * way // whole
        rest = 2 * (span_ms * way - ms * whole)
        return -1 if rest == whole else ms + (rest > whole)
    exact = span_ms * (way / whole)
    ms = round(exact)
    return -1 if abs(abs(exact - ms) - 0.5) < 1e-6 else ms


__all__ = [
    "exit_price",
    "half_even",
    "is_near_liquidation",
    "liquidated_at",
    "market_price",
    "moment",
    "nearest",
    "sinks_at",
]
