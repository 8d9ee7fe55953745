"""The trading rules of one symbol, and the only place where a price or a quantity is rounded."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

import msgspec


class Rounding(StrEnum):
    """Direction of a rounding; there is no default, because each use must choose."""

    DOWN = "DOWN"
    UP = "UP"


class SymbolFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of one symbol (GET /fapi/v1/exchangeInfo, checked 2026-11). Zero switches a bound off.

    ``pricePrecision`` and ``quantityPrecision`` are deliberately absent: they are not tick and step.
    """

    symbol: str
    status: str
    contract_type: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    tick_size: Decimal
    price_min: Decimal
    price_max: Decimal
    step_size: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_step_size: Decimal
    market_quantity_min: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    multiplier_up: Decimal
    multiplier_down: Decimal
    orders_max: int
    market_take_bound: Decimal
    trigger_protect: Decimal
    liquidation_fee: Decimal

    @property
    def tradable(self) -> bool:
        """Only plain perpetuals that are trading: everything else is left alone."""
        return self.contract_type == "PERPETUAL" and self.status == "TRADING"

    def round_price(self, price: Decimal, direction: Rounding) -> Decimal:
        """The nearest valid price in that direction: ``(price - price_min)`` is a multiple of the tick."""
        return _to_multiple(price - self.price_min, self.tick_size, direction) + self.price_min

    def floor_quantity(self, quantity: Decimal, *, market: bool) -> Decimal:
        """Largest valid quantity that is not above ``quantity``; zero when it is under the minimum lot."""
        step = self.market_step_size if market else self.step_size
        minimum = self.market_quantity_min if market else self.quantity_min
        floored = _to_multiple(quantity, step, Rounding.DOWN)
        return floored if floored >= minimum else Decimal(0)


def decimal_of(value: float) -> Decimal:
    """A float fact as a Decimal: the digits that its shortest text shows, never the binary tail."""
    return Decimal(str(value))


def _to_multiple(value: Decimal, unit: Decimal, direction: Rounding) -> Decimal:
    if unit == 0:
        return value
    rounding = ROUND_FLOOR if direction is Rounding.DOWN else ROUND_CEILING
    return (value / unit).to_integral_value(rounding=rounding) * unit
