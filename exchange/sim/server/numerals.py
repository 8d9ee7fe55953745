"""Writes numbers as Binance does: as texts, with the decimals that a symbol's tick and lot have."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

from exchange.filters import SymbolFilters
from exchange.sim.core.pricing import nearest

_CENT = Decimal("1E-8")


class Numerals(msgspec.Struct, frozen=True):
    """How prices and quantities of one symbol are written."""

    tick: Decimal
    step: Decimal

    @classmethod
    def of(cls, filters: SymbolFilters) -> Numerals:
        return cls(filters.tick_size, filters.step_size)

    def on_tick(self, value: Decimal) -> Decimal:
        """The nearest price that can be traded."""
        return nearest(value, self.tick)

    def price(self, value: Decimal | None) -> str:
        """With the decimals that the tick is written with: ``0.10`` gives ``65568.20``."""
        return format(self.on_tick(value or Decimal(0)).quantize(self.tick), "f")

    def ordered(self, value: Decimal | None) -> str:
        """The price of an order or a fill: as it was, also where the tick has changed since."""
        value = value or Decimal(0)
        return self.price(value) if value % self.tick == 0 else plain(value)

    def quantity(self, value: Decimal | None) -> str:
        """Rounded down to a lot."""
        lots = ((value or Decimal(0)) / self.step).to_integral_value(rounding=ROUND_DOWN)
        return format((lots * self.step).quantize(self.step), "f")

    def ordered_quantity(self, value: Decimal | None) -> str:
        """The quantity of an order or a fill: as it was, also where the lot has changed since."""
        value = value or Decimal(0)
        return self.quantity(value) if value % self.step == 0 else plain(value)


def money(value: Decimal) -> str:
    """Eight decimals, as the ledger counts."""
    return format(value.quantize(_CENT, rounding=ROUND_HALF_EVEN), "f")


def plain(value: Decimal) -> str:
    """As many decimals as the number has: ``0.1``, ``60000``; never an exponent."""
    return format(value.normalize(), "f") if value else "0"


def exact(value: float) -> str:
    """The shortest text that reads back as this number, bit for bit; never an exponent."""
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text
