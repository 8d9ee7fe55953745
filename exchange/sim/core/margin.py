"""Leverage brackets: maintenance margin, the largest allowed notional, and where a position is liquidated.

Formulas: Binance's FAQ on the liquidation price of USDT-M contracts (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from exchange.types import Bracket


def leverage_max(brackets: Sequence[Bracket]) -> int:
    """The highest leverage of the symbol: that of its lowest bracket."""
    return max(bracket.initial_leverage for bracket in brackets)


def notional_max(leverage: int, brackets: Sequence[Bracket]) -> Decimal:
    """The largest position notional that this leverage is allowed for."""
    return max(bracket.notional_cap for bracket in brackets if bracket.initial_leverage >= leverage)


def bracket_of(notional: Decimal, brackets: Sequence[Bracket]) -> Bracket:
    """The bracket a notional falls into; beyond the table it is the last one."""
    return next((bracket for bracket in brackets if notional <= bracket.notional_cap), brackets[-1])


def maintenance(notional: Decimal, brackets: Sequence[Bracket]) -> Decimal:
    """Margin below which a position of this notional (at the mark) is liquidated."""
    bracket = bracket_of(notional, brackets)
    return notional * bracket.maintenance_margin_ratio - bracket.cumulative


def liquidation_price(
    quantity: Decimal, entry_price: Decimal, wallet: Decimal, brackets: Sequence[Bracket]
) -> Decimal | None:
    """The mark at which margin balance equals maintenance margin; None when no price above zero does it.

    ``quantity`` is signed. ``wallet`` is the isolated wallet, or for a crossed position the cross wallet less the
    maintenance margin plus the unrealised profit of the other positions. Ratio and cumulative amount must be those
    of the bracket that holds *at* that price, so each bracket is tried.
    """
    side = 1 if quantity > 0 else -1
    size = abs(quantity)
    price = Decimal(0)
    for bracket in brackets:
        slope = size * bracket.maintenance_margin_ratio - side * size
        price = (wallet + bracket.cumulative - side * size * entry_price) / slope
        if size * price <= bracket.notional_cap:
            break
    return price if price > 0 else None
