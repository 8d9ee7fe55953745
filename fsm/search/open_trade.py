"""An open trade of the evaluator: its plan, its position at the exchange, and its result; amounts in USDT."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from exchange.sim.core.holding import money, money_up
from exchange.sim.core.margin import liquidation_price
from exchange.types import Side
from fsm.search.bars import UNITS
from fsm.search.closed_trade import ClosedTrade
from fsm.search.terms import ZERO, Terms

_MONEY, _AVERAGE = Decimal("1E-8"), Decimal("1E-12")


class Target:
    """``quantity`` None: it closes what is left."""

    __slots__ = ("is_open", "quantity", "trigger")

    def __init__(self, trigger: Decimal, quantity: Decimal | None, *, is_open: bool) -> None:
        self.trigger, self.quantity, self.is_open = trigger, quantity, is_open


class OpenTrade:
    """``held`` is what is open, unsigned; ``wallet`` the isolated margin; ``liquidation`` the mark that ends it."""

    def __init__(
        self,
        terms: Terms,
        *,
        number: int,
        sign: int,
        strategy: str,
        regime: str,
        candle_ms: int,
        quantity: Decimal,
        entry: Decimal,
        stop: Decimal,
        risk: Decimal,
        limit: Decimal | None,
        targets: list[tuple[Decimal, Decimal | None]],
    ) -> None:
        self.terms, self.number, self.sign = terms, number, sign
        self.strategy, self.regime, self.candle_ms = strategy, regime, candle_ms
        self.opened_ms = candle_ms + terms.entry_ms
        self.quantity, self.planned, self.stop_first, self.stop, self.risk = quantity, entry, stop, stop, risk
        self.limit = limit
        self.expires_ms = 0
        if limit is not None:
            self.expires_ms = self.opened_ms + terms.settings.orders.limit_expiry_candles * terms.entry_ms
        self.targets = [Target(price, share, is_open=share is None or share > 0) for price, share in targets]
        self.entry_side = Side.BUY if sign > 0 else Side.SELL
        self.exit_side = self.entry_side.opposite
        self.is_sent = False
        self.filled_ms: int | None = None
        self.entry: Decimal = entry
        self.held = self.wallet = ZERO
        self.liquidation: Decimal | None = None
        self.closed = self.realized = self.fees = self.funding = ZERO
        self.exit_price: Decimal | None = None
        self.asked: int | None = None
        self.levels: tuple[float, float] | None = None
        self.units: tuple[int, int, int] | None = None

    @property
    def is_filled(self) -> bool:
        return self.filled_ms is not None

    # --- what it ties up ----------------------------------------------------------------------
    def committed(self) -> tuple[Decimal, Decimal, Decimal]:
        """(risk down to the stop, notional, margin in flight)."""
        quantity = self.held if self.is_filled else self.quantity
        per_unit = self.terms.loss_per_unit(self.sign, self.entry, self.stop)
        notional = quantity * self.entry
        in_flight = ZERO if self.is_filled else self.quantity * self.entry / self.terms.leverage
        return max(ZERO, quantity * per_unit), notional, in_flight

    def order_margin(self) -> Decimal:
        """Of a LIMIT entry that rests."""
        if self.limit is None or not self.is_sent or self.is_filled:
            return ZERO
        return self.limit * self.quantity / self.terms.leverage

    def unrealized(self, mark: Decimal) -> Decimal:
        return money((mark - self.entry) * (self.sign * self.held))

    # --- fills; each gives what the wallet changes by -----------------------------------------
    def enter(self, price: Decimal, now_ms: int, *, maker: bool) -> Decimal:
        terms, quantity = self.terms, self.quantity
        self.entry = (quantity * price / quantity).quantize(_AVERAGE)
        self.held, self.filled_ms = quantity, now_ms
        self.wallet = money_up(price * quantity / terms.leverage)
        fee = money_up(price * quantity * (terms.maker if maker else terms.taker))
        self.fees += fee
        self._margin_changed()
        return -fee

    def leave(self, price: Decimal, quantity: Decimal) -> Decimal:
        """So much of it is closed at this price."""
        profit = money((price - self.entry) * quantity * self.sign)
        fee = money_up(price * quantity * self.terms.taker)
        left = self.held - quantity
        self.wallet = (self.wallet * left / self.held).quantize(_MONEY, rounding=ROUND_DOWN) if left else ZERO
        self.held = left
        self.fees += fee
        self.realized += profit
        closed = self.closed + quantity
        self.exit_price = ((self.exit_price or ZERO) * self.closed + price * quantity) / closed
        self.closed = closed
        self._margin_changed()
        return profit - fee

    def pay_funding(self, mark: Decimal, rate: Decimal) -> Decimal:
        paid = money(self.sign * self.held * mark * rate)
        self.funding -= paid
        self.wallet -= paid
        self._margin_changed()
        return -paid

    def clear(self, price: Decimal, quantity: Decimal, left: Decimal) -> Decimal:
        """What a liquidation takes beside, of what is left of the margin."""
        fee = min(money_up(price * quantity * self.terms.filters.liquidation_fee), left)
        self.funding -= fee
        return -fee

    def _margin_changed(self) -> None:
        self.levels = self.liquidation = self.units = None
        if self.held:
            self.units = self._counted()
            self.liquidation = liquidation_price(self.sign * self.held, self.entry, self.wallet, self.terms.brackets)

    def _counted(self) -> tuple[int, int, int] | None:
        """(entry in units, signed quantity in lots, lots in one): profit in units is whole numbers over the last."""
        entry, exponent = self.entry * UNITS, self.held.as_tuple().exponent
        if entry != int(entry) or not isinstance(exponent, int):
            return None
        lots = 10 ** max(0, -exponent)
        return int(entry), self.sign * int(self.held * lots), lots

    # --- what was planned ---------------------------------------------------------------------
    def move_stop(self, price: Decimal) -> None:
        self.stop, self.levels = price, None

    def booked(self, reason: str, now_ms: int, flagged: str | None = None) -> ClosedTrade:
        net = self.realized - self.fees + self.funding
        symbol = self.terms.symbol
        return ClosedTrade(
            id=f"{symbol}-{self.number}",
            symbol=symbol,
            side="LONG" if self.sign > 0 else "SHORT",
            strategy=self.strategy,
            regime=self.regime,
            signal_candle_ms=self.candle_ms,
            opened_ms=self.opened_ms,
            first_fill_ms=self.filled_ms,
            closed_ms=now_ms,
            quantity=self.quantity,
            entry_price_planned=self.planned,
            entry_price=self.entry,
            stop_price_initial=self.stop_first,
            stop_price=self.stop,
            exit_price=self.exit_price,
            closed_quantity=self.closed,
            risk_usdt=self.risk,
            realized_pnl=self.realized,
            fees=self.fees,
            funding=self.funding,
            net_pnl=net,
            r=net / self.risk if self.risk else ZERO,
            exit_reason=reason,
            flagged=flagged,
        )
