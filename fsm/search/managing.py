"""Where a stop moves that the rules want elsewhere, as fsm/core/states/protected.py has it."""

from __future__ import annotations

from decimal import Decimal

from exchange.filters import Rounding, decimal_of
from fsm.search.open_trade import OpenTrade
from fsm.search.terms import Beyond


def moved_stop(trade: OpenTrade, wanted: float, told: tuple[Decimal, Decimal]) -> Decimal | None:
    """The new price; None where that is not worth an order, or the market is beyond it already."""
    terms, sign, old = trade.terms, trade.sign, trade.stop
    filters = terms.filters
    price = filters.round_price(decimal_of(wanted), Rounding.DOWN if sign > 0 else Rounding.UP)
    nearest = min(told) if sign > 0 else max(told)
    worth = sign * (price - old) * 100 >= old * terms.settings.orders.stop_move_pct_min
    if not worth or sign * (nearest - price) <= filters.tick_size:
        return None
    if filters.check_price(price) is not None:
        return None
    if filters.check_quantity(filters.covering_quantity(trade.held), market=True) is not None:
        raise Beyond("a stop that moves for more than one order takes")
    return price
