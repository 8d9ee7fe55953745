"""One position of the account: what a fill does to quantity, average entry, isolated wallet and realised profit."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal

import msgspec
from msgspec.structs import replace

from exchange.types import Side

ZERO = Decimal(0)
_MONEY = Decimal("1E-8")  # the ledger counts in hundred-millionths of a USDT, so that sums are exact
_AVERAGE = Decimal("1E-12")


def money(amount: Decimal) -> Decimal:
    """An amount as the ledger counts it."""
    return amount.quantize(_MONEY, rounding=ROUND_HALF_EVEN)


def money_up(amount: Decimal) -> Decimal:
    """An amount we pay, rounded away from zero."""
    return amount.quantize(_MONEY, rounding=ROUND_UP)


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A one-way position; quantity zero means flat.

    ``isolated_wallet`` is the margin moved in when it was opened (zero for a crossed one). ``realized`` adds up all
    realised profit of the symbol before fees. ``costs`` are fees less profit since it was opened: what the
    break-even price must earn back.
    """

    symbol: str
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    isolated: bool = True
    isolated_wallet: Decimal = ZERO
    realized: Decimal = ZERO
    costs: Decimal = ZERO
    updated_ms: int = 0

    @property
    def side(self) -> Side | None:
        """The side that opened it; None when flat."""
        if self.quantity == 0:
            return None
        return Side.BUY if self.quantity > 0 else Side.SELL

    @property
    def break_even_price(self) -> Decimal:
        if self.quantity == 0:
            return ZERO
        return (self.entry_price + self.costs / self.quantity).quantize(_AVERAGE)

    def unrealized(self, mark_price: Decimal) -> Decimal:
        return money((mark_price - self.entry_price) * self.quantity)

    def reducible(self, side: Side) -> Decimal:
        """How much an order of this side can close at most."""
        return abs(self.quantity) if self.side is side.opposite else ZERO

    def increased(self, side: Side, price: Decimal, quantity: Decimal, *, leverage: int, isolated: bool) -> Holding:
        """The average entry moves; isolated margin is the notional over the leverage."""
        before = abs(self.quantity)
        average = (before * self.entry_price + quantity * price) / (before + quantity)
        moved = money_up(price * quantity / leverage) if isolated else ZERO
        return replace(
            self,
            quantity=self.quantity + side.sign * quantity,
            entry_price=average.quantize(_AVERAGE),
            isolated=isolated,
            isolated_wallet=self.isolated_wallet + moved,
        )

    def reduced(self, price: Decimal, quantity: Decimal) -> tuple[Holding, Decimal]:
        """The rest, and the profit realised. The entry stays; the isolated wallet shrinks in proportion."""
        sign = 1 if self.quantity > 0 else -1
        profit = money((price - self.entry_price) * quantity * sign)
        left = abs(self.quantity) - quantity
        realized = self.realized + profit
        if left == 0:
            return Holding(symbol=self.symbol, isolated=self.isolated, realized=realized), profit
        wallet = (self.isolated_wallet * left / abs(self.quantity)).quantize(_MONEY, rounding=ROUND_DOWN)
        rest = replace(self, quantity=sign * left, isolated_wallet=wallet, realized=realized, costs=self.costs - profit)
        return rest, profit

    def after_fill(
        self, side: Side, price: Decimal, quantity: Decimal, *, leverage: int, isolated: bool
    ) -> tuple[Holding, Decimal]:
        """Position and profit after one execution; one that crosses zero closes first and opens with the rest."""
        closing = min(quantity, self.reducible(side))
        holding, profit = self.reduced(price, closing) if closing else (self, ZERO)
        if quantity > closing:
            holding = holding.increased(side, price, quantity - closing, leverage=leverage, isolated=isolated)
        return holding, profit
