"""The exchange changed a tick or lot: what is placed again is rounded anew, also where it was refused for that."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.filters import Rounding
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import ZERO, TradeSide

COARSER_MAX = 6
MOVED_PCT_MAX = Decimal("0.5")
"""A stop that would lie further off than this for its rounding is another stop."""


def on_known_tick(price: Decimal, side: TradeSide, context: DecisionContext) -> Decimal:
    """The price on the tick known now: a stop away from the entry, a target towards it."""
    filters = context.filters
    if context.edition < 2 or not filters.tick_size or (price - filters.price_min) % filters.tick_size == 0:
        return price
    return filters.round_price(price, Rounding.DOWN if side is TradeSide.LONG else Rounding.UP)


def on_known_lot(quantity: Decimal | None, context: DecisionContext) -> Decimal | None:
    """The quantity of a market order in the lots known now; less than one lot stays as it is. None is all of it."""
    if context.edition < 2 or quantity is None:
        return quantity
    return context.filters.floor_quantity(quantity, market=True) or quantity


def is_crumb(quantity: Decimal | None, context: DecisionContext) -> bool:
    """Whether the lots known now are larger than that: no exchange takes it."""
    if context.edition < 2 or quantity is None:
        return False
    return context.filters.floor_quantity(quantity, market=True) == 0


def rounded_anew(price: Decimal, side: TradeSide, context: DecisionContext) -> Decimal | None:
    """The price on the tick known now, away from the entry. Where that is the price that was refused, on the next
    coarser one, ten times as wide, that moves it. None where that would move it too far."""
    tick = context.filters.tick_size or _unit_of(price)
    for factor in (Decimal(10) ** power for power in range(COARSER_MAX)):
        rounding = ROUND_FLOOR if side is TradeSide.LONG else ROUND_CEILING
        base = context.filters.price_min if factor == 1 else ZERO
        rounded = ((price - base) / (tick * factor)).to_integral_value(rounding=rounding) * tick * factor + base
        if rounded != price:
            return rounded if rounded > 0 and abs(rounded - price) * 100 <= price * MOVED_PCT_MAX else None
    return None


def _unit_of(price: Decimal) -> Decimal:
    """The last decimal that the price has."""
    exponent = price.normalize().as_tuple().exponent
    return Decimal(1).scaleb(exponent) if isinstance(exponent, int) else Decimal(1)
