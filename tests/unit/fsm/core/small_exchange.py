"""A complete small exchange: one symbol of a USDT-M account, with both order families, fills and a ledger."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from exchange.client_ids import Leg, parse
from exchange.filters import SymbolFilters, would_trigger
from exchange.sim.core.reasons import refused
from exchange.types import (
    Account,
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Confirmed,
    Fill,
    Income,
    LookRequest,
    MarkPrice,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Position,
    Side,
    SymbolSnapshot,
    TimeInForce,
)
from fsm.core.model.intents import (
    CancelAlgo,
    CancelEntry,
    ClosePosition,
    EnsureSetup,
    Intent,
    Look,
    PlaceEntry,
    PlaceStop,
    PlaceTarget,
    SweepOrders,
)
from fsm.core.model.records import ZERO
from tests.unit.fsm.core.parts import FILTERS, SYMBOL, T0


class Exchange:
    """One symbol of a USDT-M account in one-way mode: what is asked of it happens at once and at its last price."""

    def __init__(self, filters: SymbolFilters = FILTERS) -> None:
        self.filters = filters
        self.now_ms = T0
        self.last = self.mark = Decimal(60_000)
        self.position = ZERO
        self.entry_price = ZERO
        self.orders: dict[str, Order] = {}
        self.algos: dict[str, AlgoOrder] = {}
        self.fills: list[Fill] = []
        self.income: list[Income] = []
        self.expires: Callable[[OrderRequest], bool] = lambda request: False
        self.takes: Decimal | None = None  # the most that one order fills; the rest of it expires
        self._numbers = 0

    def do(self, intent: Intent) -> Outcome:
        match intent:
            case EnsureSetup():
                return Confirmed()
            case PlaceEntry(request=order) | ClosePosition(request=order):
                return self.place_order(order)
            case PlaceStop(request=algo) | PlaceTarget(request=algo):
                return self.place_algo(algo)
            case CancelEntry(client_id=client_id) | CancelAlgo(client_id=client_id):
                return self.cancel(client_id)
            case SweepOrders(client_ids=client_ids):
                for client_id in client_ids:
                    self.cancel(client_id)
                return Confirmed()
            case Look():
                raise AssertionError("a look is not an order")

    def place_order(self, request: OrderRequest) -> Outcome:
        unfit = self.filters.check_order(request, self.mark)
        if unfit is not None:
            return unfit
        if request.client_id in self.orders:
            return refused(-4116, "ClientOrderId is duplicated.")
        if request.reduce_only and self._reducible(request.side) == 0:
            return refused(-2022, "ReduceOnly Order is rejected.")
        order = self._new_order(request)
        self.orders[order.client_id] = order
        if self.expires(request):
            self.end(order.client_id, OrderStatus.EXPIRED)
        elif request.type is OrderType.MARKET or self._is_marketable(request):
            self.fill(order.client_id, min(request.quantity, self.takes or request.quantity))
            if self.orders[order.client_id].status.is_open:
                self.end(order.client_id, OrderStatus.EXPIRED)
        elif request.time_in_force is TimeInForce.IOC:
            self.end(order.client_id, OrderStatus.EXPIRED)
        return Confirmed(order=self.orders[order.client_id])

    def place_algo(self, request: AlgoRequest) -> Outcome:
        unfit = self.filters.check_algo(request, self.mark)
        if unfit is not None:
            return unfit
        if request.client_id in self.algos and self.algos[request.client_id].status.is_open:
            return refused(-4116, "ClientOrderId is duplicated.")
        if request.close_position and self._reducible(request.side) == 0:
            return refused(-4509, "GTE can only be used with open positions.")
        if request.close_position and any(self._is_sibling(algo, request) for algo in self.algos.values()):
            return refused(-4130, "An open stop or take profit order with GTE and closePosition is existing.")
        price = self.mark if request.working_type == "MARK_PRICE" else self.last
        if would_trigger(request.type, request.side, request.trigger_price, price):
            return refused(-2021, "Order would immediately trigger.")
        algo = AlgoOrder(
            symbol=SYMBOL,
            algo_id=self._number(),
            client_id=request.client_id,
            side=request.side,
            type=request.type.value,
            status=AlgoStatus.NEW,
            trigger_price=request.trigger_price,
            working_type=request.working_type,
            quantity=request.quantity,
            close_position=request.close_position,
            reduce_only=request.reduce_only,
            update_time_ms=self.now_ms,
        )
        self.algos[algo.client_id] = algo
        return Confirmed(algo_order=algo)

    def cancel(self, client_id: str) -> Outcome:
        order, algo = self.orders.get(client_id), self.algos.get(client_id)
        if order is not None and order.status.is_open:
            return Confirmed(order=self.end(client_id, OrderStatus.CANCELED))
        if algo is not None and algo.status.is_open:
            return Confirmed(algo_order=self.end_algo(client_id, AlgoStatus.CANCELED))
        return refused(-2011, "Unknown order sent.")

    def fill(self, client_id: str, quantity: Decimal) -> Order:
        """Execute so much of an order at the last price; a reduce-only one never more than there is to reduce."""
        order = self.orders[client_id]
        most = min(quantity, order.quantity - order.executed_quantity)
        amount = min(most, self._reducible(order.side)) if order.reduce_only else most
        self.execute(order.side, amount, order.order_id)
        done = order.executed_quantity + amount
        clamped = order.reduce_only and self._reducible(order.side) == 0
        status = OrderStatus.FILLED if done == order.quantity or clamped else OrderStatus.PARTIALLY_FILLED
        price = self.last if done else None
        self.orders[client_id] = replace(
            order, executed_quantity=done, status=status, average_price=price, update_time_ms=self.now_ms
        )
        self._expire_close_position()
        return self.orders[client_id]

    def execute(self, side: Side, quantity: Decimal, order_id: int, commission_asset: str = "USDT") -> None:
        """One execution, whoever ordered it; an order id of 0 is somebody else's."""
        if quantity == 0:
            return
        closing = min(quantity, self._reducible(side))
        profit = (self.last - self.entry_price) * closing * -side.sign
        if self._reducible(side) <= quantity:
            self.entry_price = self.last
        self.position += side.sign * quantity
        fee = self.last * quantity * Decimal("0.0005")
        fill = Fill(
            symbol=SYMBOL,
            fill_id=self._number(),
            order_id=order_id,
            side=side,
            price=self.last,
            quantity=quantity,
            realized_pnl=profit,
            commission=fee,
            commission_asset=commission_asset,
            maker=False,
            time_ms=self.now_ms,
        )
        self.fills.append(fill)
        self.pay("COMMISSION", -fee, str(fill.fill_id))
        if profit:
            self.pay("REALIZED_PNL", profit, str(fill.fill_id))

    def by_hand(self, side: Side, quantity: str) -> None:
        """Somebody trades the symbol in the app."""
        self.execute(side, Decimal(quantity), 0)
        self._expire_close_position()

    def pay(self, kind: str, amount: Decimal, trade_id: str = "") -> None:
        row = Income(
            symbol=SYMBOL,
            income_type=kind,
            income=amount,
            asset="USDT",
            time_ms=self.now_ms,
            transaction_id=self._number(),
            trade_id=trade_id,
        )
        self.income.append(row)

    def trigger(self, client_id: str) -> None:
        """A conditional order's price is reached: the real order fills what it may."""
        algo, order_id = self.algos[client_id], self._number()
        reducible = self._reducible(algo.side)
        quantity = reducible if algo.quantity is None else min(algo.quantity, reducible)
        self.execute(algo.side, quantity, order_id)
        self.algos[client_id] = replace(
            algo,
            status=AlgoStatus.FINISHED,
            executed_quantity=quantity,
            actual_order_id=order_id,
            update_time_ms=self.now_ms,
        )
        self._expire_close_position()

    def end(self, client_id: str, status: OrderStatus) -> Order:
        self.orders[client_id] = replace(self.orders[client_id], status=status, update_time_ms=self.now_ms)
        return self.orders[client_id]

    def end_algo(self, client_id: str, status: AlgoStatus, **changed: Any) -> AlgoOrder:
        algo = replace(self.algos[client_id], status=status, update_time_ms=self.now_ms, **changed)
        self.algos[client_id] = algo
        return algo

    def prices(self) -> MarkPrice:
        return MarkPrice(symbol=SYMBOL, mark_price=self.mark, last_price=self.last, time_ms=self.now_ms)

    def account(self, wallet: str = "10000") -> Account:
        unrealized = (self.mark - self.entry_price) * self.position
        balance = Decimal(wallet) + sum((fill.realized_pnl - fill.commission for fill in self.fills), ZERO)
        equity = balance + unrealized
        return Account(
            wallet_balance=balance,
            unrealized_pnl=unrealized,
            equity=equity,
            available_balance=equity - abs(self.position) * self.mark / 2,
            update_time_ms=self.now_ms,
        )

    def look(self, request: LookRequest) -> SymbolSnapshot:
        """Everything that the request asks for, as of now."""
        orders = tuple(o for o in self.orders.values() if o.status.is_open or o.client_id in request.tracked)
        algos = tuple(a for a in self.algos.values() if a.status.is_open or a.client_id in request.tracked)
        after, start = request.fills_after_id, request.fills_start_ms
        wanted = after is not None or start is not None
        fills = tuple(f for f in self.fills if wanted and f.fill_id > (after or 0) and f.time_ms >= (start or 0))
        since = request.income_start_ms
        return SymbolSnapshot(
            symbol=SYMBOL,
            at_ms=self.now_ms,
            position=self._position(),
            orders=orders,
            algo_orders=algos,
            fills=fills,
            income=() if since is None else tuple(row for row in self.income if row.time_ms >= since),
        )

    def open_ids(self) -> set[str]:
        """Client ids of everything that rests."""
        regular = {order.client_id for order in self.orders.values() if order.status.is_open}
        return regular | {algo.client_id for algo in self.algos.values() if algo.status.is_open}

    def resting(self, leg: Leg) -> list[AlgoOrder]:
        """Conditional orders of ours that rest, of one leg."""
        found = [algo for algo in self.algos.values() if algo.status is AlgoStatus.NEW]
        return [algo for algo in found if (parts := parse(algo.client_id)) is not None and parts.leg is leg]

    def covered(self) -> Decimal:
        """The quantity that resting stops would close."""
        stops = [*self.resting(Leg.STOP), *self.resting(Leg.BRIDGE)]
        return sum((abs(self.position) if algo.quantity is None else algo.quantity for algo in stops), ZERO)

    def _position(self) -> Position | None:
        return self.position_shown() if self.position or self.open_ids() else None

    def position_shown(self) -> Position:
        return Position(
            symbol=SYMBOL,
            quantity=self.position,
            entry_price=self.entry_price,
            mark_price=self.mark,
            unrealized_pnl=(self.mark - self.entry_price) * self.position,
            liquidation_price=None,
            isolated_wallet=abs(self.position) * self.entry_price / 2,
            update_time_ms=self.now_ms,
        )

    def _new_order(self, request: OrderRequest) -> Order:
        return Order(
            symbol=SYMBOL,
            order_id=self._number(),
            client_id=request.client_id,
            side=request.side,
            type=request.type.value,
            status=OrderStatus.NEW,
            price=request.price or ZERO,
            quantity=request.quantity,
            executed_quantity=ZERO,
            average_price=None,
            reduce_only=request.reduce_only,
            update_time_ms=self.now_ms,
        )

    def _is_marketable(self, request: OrderRequest) -> bool:
        price = request.price or ZERO
        return self.last <= price if request.side is Side.BUY else self.last >= price

    def _reducible(self, side: Side) -> Decimal:
        return max(-side.sign * self.position, ZERO)

    def _is_sibling(self, algo: AlgoOrder, request: AlgoRequest) -> bool:
        same = algo.side is request.side and algo.type == request.type.value
        return same and algo.close_position and algo.status.is_open

    def _expire_close_position(self) -> None:
        for algo in list(self.algos.values()):
            if algo.status.is_open and algo.close_position and self._reducible(algo.side) == 0:
                self.end_algo(algo.client_id, AlgoStatus.EXPIRED)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
