"""Writes numbers as Binance does: as texts, with the decimals that a symbol's tick and lot have."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

from exchange.filters import SymbolFilters

_CENT = Decimal("1E-8")


class Numerals(msgspec.Struct, frozen=True):
    """How prices and quantities of one symbol are written."""

    tick: Decimal
    step: Decimal

    @classmethod
    def of(cls, filters: SymbolFilters) -> Numerals:
        return cls(_unit(filters.tick_size), _unit(filters.step_size))

    def price(self, value: Decimal | None) -> str:
        """Rounded to the tick's decimals; prices between ticks exist only on a path."""
        return format((value or Decimal(0)).quantize(self.tick, rounding=ROUND_HALF_EVEN), "f")

    def quantity(self, value: Decimal | None) -> str:
        return format((value or Decimal(0)).quantize(self.step, rounding=ROUND_DOWN), "f")


def money(value: Decimal) -> str:
    """Eight decimals, as the ledger counts."""
    return format(value.quantize(_CENT, rounding=ROUND_HALF_EVEN), "f")


def plain(value: Decimal) -> str:
    """As many decimals as the number has: ``0.1``, ``60000``; never an exponent."""
    return format(value.normalize(), "f") if value else "0"


def exact(value: Decimal) -> str:
    """The number as it is, so that a recorded candle reads back bit for bit."""
    return format(value, "f")


def _unit(size: Decimal) -> Decimal:
    exponent = size.as_tuple().exponent
    return Decimal(1).scaleb(min(int(exponent), 0)) if isinstance(exponent, int) else Decimal(1)
