"""The in-process exchange as its caller meets it: writes answer with outcomes, and one look shows everything."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchange.client_ids import Leg, parse
from exchange.errors import Refusal
from exchange.refusals import RefusalReason
from exchange.sim.core.ledger import IncomeType
from exchange.sim.core.pricing import shown
from exchange.sim.core.reasons import refused
from exchange.sim.core.venue import Venue
from exchange.types import (
    Account,
    AlgoOrder,
    AlgoRequest,
    Book,
    Confirmed,
    Fill,
    Income,
    LookRequest,
    MarginType,
    MarkPrice,
    Order,
    OrderRequest,
    Outcome,
    Refused,
    SymbolSnapshot,
)

TRANSFER = IncomeType.TRANSFER.value
REGULAR_LEGS = frozenset({Leg.ENTRY, Leg.CLOSE})


class AccountApi:
    """A venue behind the same questions and answers as the real exchange, without waiting for them."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._transfers = Decimal(0)
        self._rows_summed = 0

    @property
    def now_ms(self) -> int:
        return self.venue.now_ms

    # --- writes -------------------------------------------------------------------------------
    def place_order(self, request: OrderRequest) -> Outcome:
        return self._write(lambda: Confirmed(order=_answered(self.venue.place_order(request))))

    def place_algo(self, request: AlgoRequest) -> Outcome:
        return self._write(lambda: Confirmed(algo_order=self.venue.place_algo(request)))

    def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        return self._write(lambda: Confirmed(order=_answered(self.venue.cancel_order(symbol, client_id=client_id))))

    def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        del symbol  # conditional orders are found by their id alone
        return self._write(lambda: Confirmed(algo_order=self.venue.cancel_algo(client_id=client_id)))

    def sweep(self, symbol: str, client_ids: tuple[str, ...]) -> Outcome:
        """Cancel these orders of ours, whichever family each is of; one that is gone already is fine."""
        for client_id in client_ids:
            parts = parse(client_id)
            regular = parts is not None and parts.leg in REGULAR_LEGS
            outcome = self.cancel_order(symbol, client_id) if regular else self.cancel_algo(symbol, client_id)
            if isinstance(outcome, Refused) and outcome.reason is not RefusalReason.NO_SUCH_ORDER:
                return outcome
        return Confirmed()

    def ensure_setup(self, symbol: str, margin_type: MarginType, leverage: int) -> Outcome:
        """Read, then write only what differs."""

        def setup() -> Confirmed:
            found = self.venue.symbol_config(symbol)
            if found.margin_type is not margin_type:
                self.venue.set_margin_type(symbol, margin_type)
            if found.leverage != leverage:
                self.venue.set_leverage(symbol, leverage)
            return Confirmed()

        return self._write(setup)

    def _write(self, write: Callable[[], Confirmed]) -> Outcome:
        try:
            return write()
        except Refusal as refusal:
            return refused(refusal.code, refusal.message)
        finally:
            self.venue.drain()  # events of our own writes: their answers say the same

    # --- reads --------------------------------------------------------------------------------
    def prices(self, symbol: str) -> MarkPrice:
        return self.venue.mark_price(symbol)

    def book(self, symbol: str, depth: Decimal | None = None) -> Book:
        """The assumed book; with a ``depth`` no further than where so much is held."""
        state = self.venue.state
        return shown(symbol, self.prices(symbol).last_price, state.filters[symbol], state.settings, depth)

    def past_orders(self, symbol: str, start_ms: int) -> list[Order]:
        """Every order since then, open or ended."""
        kept = self.venue.state.orders
        return [order.as_order() for order in kept if order.symbol == symbol and order.created_ms >= start_ms]

    def held(self, symbol: str) -> Decimal:
        """The signed quantity that is open, 0 for none."""
        return self.venue.state.holding(symbol).quantity

    def account(self) -> Account:
        return self.venue.account()

    def transfers(self) -> Decimal:
        """Deposits less withdrawals so far."""
        rows = self.venue.state.ledger.rows
        for number in range(self._rows_summed, len(rows)):
            if rows[number].income_type == TRANSFER:
                self._transfers += rows[number].income
        self._rows_summed = len(rows)
        return self._transfers

    def look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        """Everything the request asks for, as of now."""
        venue = self.venue
        fills = self._fills(symbol, request)
        orders, algos = self._orders(symbol, request, fills)
        return SymbolSnapshot(
            symbol=symbol,
            at_ms=venue.now_ms,
            position=next(iter(venue.positions(symbol)), None),
            orders=orders,
            algo_orders=algos,
            fills=fills,
            account=venue.account() if request.with_account else None,
            income=() if request.income_start_ms is None else self._income(symbol, request.income_start_ms),
        )

    def _fills(self, symbol: str, request: LookRequest) -> tuple[Fill, ...]:
        if request.fills_after_id is None and request.fills_start_ms is None:
            return ()
        return tuple(self.venue.fills(symbol, after_fill_id=request.fills_after_id, start_ms=request.fills_start_ms))

    def _orders(
        self, symbol: str, request: LookRequest, fills: tuple[Fill, ...]
    ) -> tuple[tuple[Order, ...], tuple[AlgoOrder, ...]]:
        """Open orders, tracked ones that are still findable (a refusal means it is not), and those behind fills."""
        orders = {order.client_id: order for order in self.venue.open_orders(symbol)}
        algos = {algo.client_id: algo for algo in self.venue.open_algos(symbol)}
        kept = self.venue.state
        for client_id in request.tracked:
            parts = parse(client_id)
            if parts is not None and parts.leg in REGULAR_LEGS:
                order = kept.orders.find(client_id)
                if order is not None and order.symbol == symbol and client_id not in orders:
                    orders[client_id] = order.as_order()
            elif client_id not in algos and (algo := kept.algos.find(client_id)) is not None:
                algos[client_id] = algo.as_algo()
        for fill in fills:
            behind = kept.orders.get(fill.order_id)
            if behind is not None and behind.client_id not in orders:
                orders[behind.client_id] = behind.as_order()
        return tuple(orders.values()), tuple(algos.values())

    def _income(self, symbol: str, start_ms: int) -> tuple[Income, ...]:
        """Ledger rows of the symbol since then; the newest are read first, so old ones cost nothing."""
        found: list[Income] = []
        for row in reversed(self.venue.state.ledger.rows):
            if row.time_ms < start_ms:
                break
            if row.symbol == symbol:
                found.append(row)
        return tuple(reversed(found))


def _answered(order: Order) -> Order:
    """An order as it stands in the answer to placing or cancelling it: without its average price, which a query tells.

    Binance has not guaranteed it there since 2026-07-15 (change log, checked 2026-11).
    """
    return msgspec.structs.replace(order, average_price=None)
