"""Answers questions about a venue in the words of ``exchange.types``; nothing here changes anything."""

from __future__ import annotations

from decimal import Decimal

from exchange.errors import Refusal
from exchange.filters import SymbolFilters
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.pricing import nearest
from exchange.sim.core.state import VenueState
from exchange.sim.playback.candle_path import Bias, Quote
from exchange.types import (
    Account,
    AlgoOrder,
    Bracket,
    Fill,
    Income,
    MarkPrice,
    Order,
    Position,
    Side,
    SymbolConfig,
)

ZERO = Decimal(0)
_MARK_TICK = Decimal("1E-8")


class Reads:
    """The reading half of a venue."""

    def __init__(self, state: VenueState) -> None:
        self.state = state

    @property
    def now_ms(self) -> int:
        return self.state.now_ms

    def filters(self) -> dict[str, SymbolFilters]:
        """Filters of every symbol that can be traded here."""
        return dict(self.state.filters)

    def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        self.state.rules(symbol)
        return self.state.brackets[symbol]

    def commission_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        """(maker, taker) as fractions of notional."""
        self.state.rules(symbol)
        return self.state.settings.maker_rate, self.state.settings.taker_rate

    def mark_price(self, symbol: str) -> MarkPrice:
        return self.as_told(symbol, self.state.quote(symbol), self.state.now_ms)

    def as_told(self, symbol: str, quote: Quote, at_ms: int) -> MarkPrice:
        """Prices as an exchange tells them: the last one on a tick, the mark price with eight decimals."""
        last = nearest(quote.last, self.state.rules(symbol).tick_size)
        return MarkPrice(symbol=symbol, mark_price=nearest(quote.mark, _MARK_TICK), last_price=last, time_ms=at_ms)

    def symbol_config(self, symbol: str) -> SymbolConfig:
        self.state.rules(symbol)
        return self.state.config(symbol)

    def order(self, symbol: str, *, client_id: str | None = None, order_id: int | None = None) -> Order:
        """One order, open or closed; -2013 when there is none of this id on the symbol."""
        found = self._find_order(symbol, client_id, order_id)
        if found is None:
            raise Refusal(-2013, "Order does not exist.")
        return found.as_order()

    def algo(self, *, client_id: str | None = None, algo_id: int | None = None) -> AlgoOrder:
        """One conditional order, open or closed; -2013 when there is none."""
        found = self._find_algo(client_id, algo_id)
        if found is None:
            raise Refusal(-2013, "Order does not exist.")
        return found.as_algo()

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Open regular orders, never conditional ones."""
        symbols = self.state.orders.open_symbols() if symbol is None else [symbol]
        return [order.as_order() for name in symbols for order in self.state.orders.open(name)]

    def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        symbols = self.state.algos.open_symbols() if symbol is None else [symbol]
        return [algo.as_algo() for name in symbols for algo in self.state.algos.open(name)]

    def fills(self, symbol: str, *, after_fill_id: int | None = None, start_ms: int | None = None) -> list[Fill]:
        """Fills of the symbol, oldest first."""
        first = 0 if after_fill_id is None else after_fill_id  # fill ids count from 1 without gaps
        return [
            fill
            for fill in self.state.fills[first:]
            if fill.symbol == symbol and (start_ms is None or fill.time_ms >= start_ms)
        ]

    def income(
        self, *, start_ms: int = 0, end_ms: int | None = None, symbol: str | None = None, kind: str | None = None
    ) -> list[Income]:
        """Rows of the ledger in [start_ms, end_ms], oldest first."""
        return [
            row
            for row in self.state.ledger.shown(self.state.now_ms)
            if row.time_ms >= start_ms
            and (end_ms is None or row.time_ms <= end_ms)
            and (symbol is None or row.symbol == symbol)
            and (kind is None or row.income_type == kind)
        ]

    def position(self, symbol: str) -> Position:
        """The position of a symbol, quantity zero when flat."""
        quote, holding = self.state.quote(symbol), self.state.holding(symbol)
        return Position(
            symbol=symbol,
            quantity=holding.quantity,
            entry_price=holding.entry_price,
            mark_price=quote.mark,
            unrealized_pnl=self.state.unrealized(symbol),
            liquidation_price=self.state.liquidation_price(symbol),
            isolated_wallet=holding.isolated_wallet,
            update_time_ms=holding.updated_ms,
        )

    def positions(self, symbol: str | None = None) -> list[Position]:
        """Only symbols with a position or an open regular order, as GET /fapi/v3/positionRisk (checked 2026-11)."""
        held = [name for name, holding in self.state.holdings.items() if holding.quantity]
        names = dict.fromkeys([*held, *self.state.orders.open_symbols()])
        return [self.position(name) for name in names if symbol is None or name == symbol]

    def account(self) -> Account:
        wallet = self.state.ledger.wallet
        unrealized = sum((self.state.unrealized(symbol) for symbol in self.state.holdings), ZERO)
        return Account(
            wallet_balance=wallet,
            unrealized_pnl=unrealized,
            equity=wallet + unrealized,
            available_balance=self.state.available(),
            update_time_ms=self.state.now_ms,
        )

    def bias(self, symbol: str) -> Bias:
        """The extreme of a candle that hurts more if it comes first: see ``path``. Flat without orders: the low."""
        side = self.state.holding(symbol).side
        if side is not None:
            return Bias.LOW_FIRST if side is Side.BUY else Bias.HIGH_FIRST
        waiting: list[OrderState | AlgoState] = [*self.state.orders.open(symbol), *self.state.algos.open(symbol)]
        opening = {order.side for order in waiting if not order.reduce_only}
        return Bias.HIGH_FIRST if opening == {Side.BUY} else Bias.LOW_FIRST

    def _find_order(self, symbol: str, client_id: str | None, order_id: int | None) -> OrderState | None:
        self.state.rules(symbol)
        register = self.state.orders
        if order_id is not None:
            found = register.get(order_id)
        elif client_id is not None:
            found = register.find(client_id)
        else:
            raise Refusal(-1102, "Either orderId or origClientOrderId must be sent.")
        return found if found is not None and found.symbol == symbol else None

    def _find_algo(self, client_id: str | None, algo_id: int | None) -> AlgoState | None:
        if algo_id is not None:
            return self.state.algos.get(algo_id)
        if client_id is not None:
            return self.state.algos.find(client_id)
        raise Refusal(-1102, "Either algoId or clientAlgoId must be sent.")
