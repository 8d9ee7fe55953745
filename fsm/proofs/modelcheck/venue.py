"""An exchange reduced to what a decision can tell apart: a position, orders of both families, fills, and looks."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.client_ids import ClientId, Leg, parse
from exchange.sim.core.reasons import refused
from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Confirmed,
    Fill,
    Income,
    LookRequest,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Outcome,
    Position,
    Side,
    SymbolSnapshot,
)
from fsm.core.model.records import ZERO
from fsm.proofs.modelcheck.setup import PRICE, SYMBOL

FULL, PART, NONE = "full", "part", "none"
"""How much of an order is executed when it arrives."""


class AbstractVenue:
    """One symbol in one-way mode at one price. ``theirs`` is what others bought and sold of it, in sum; ``stranger`` is
    an order of theirs that rests. ``released``: the operator has taken over what is open, until it is flat; ``bare``:
    and wants no stop of ours there.

    It obeys the exchange's rules (reduce-only is clamped, one closePosition order of a kind, orders of that kind end
    with their position) and leaves everything else to the choices of whoever drives it.
    """

    __slots__ = ("algos", "bare", "fills", "income", "number", "orders", "position", "released", "stranger", "theirs")

    def __init__(self) -> None:
        self.position = ZERO
        self.theirs = ZERO
        self.stranger: Order | None = None
        self.orders: dict[str, Order] = {}
        self.algos: dict[str, AlgoOrder] = {}
        self.fills: tuple[Fill, ...] = ()
        self.income: tuple[Income, ...] = ()
        self.number = 0
        self.released = self.bare = False

    def copy(self) -> AbstractVenue:
        other = AbstractVenue.__new__(AbstractVenue)
        other.position, other.theirs, other.number = self.position, self.theirs, self.number
        other.orders, other.algos = dict(self.orders), dict(self.algos)
        other.fills, other.income, other.stranger = self.fills, self.income, self.stranger
        other.released, other.bare = self.released, self.bare
        return other

    # --- what is true -----------------------------------------------------------------------------
    @property
    def ours(self) -> Decimal:
        """The part of the position that our orders account for; what others closed may have been theirs or ours."""
        if self.released:
            return ZERO
        sign = 1 if self.position > 0 else -1
        return max(ZERO, min(abs(self.position), sign * (self.position - self.theirs)))

    def live_stops(self) -> list[AlgoOrder]:
        """Stops that would close something if the price came: of any version, and bridges."""
        return [algo for algo in self.algos.values() if algo.status is AlgoStatus.NEW and is_stop(algo.client_id)]

    def is_covered(self) -> bool:
        """True when the resting stops would close all that is ours, or nothing is."""
        stops = self.live_stops()
        whole = any(algo.quantity is None for algo in stops)
        return self.ours == 0 or whole or sum((a.quantity or ZERO for a in stops), ZERO) >= self.ours

    def bridge_was_ended(self) -> bool:
        """The stop that rested while another was replaced has triggered or was ended here, unknown to us."""
        bridges = [algo for algo in self.algos.values() if parts_of(algo.client_id).leg is Leg.BRIDGE]
        return any(algo.status is not AlgoStatus.NEW for algo in bridges)

    def open_ids(self) -> list[str]:
        regular = [cid for cid, order in self.orders.items() if order.status.is_open]
        return regular + [cid for cid, algo in self.algos.items() if algo.status.is_open]

    # --- what is asked of it ----------------------------------------------------------------------
    def place_order(self, request: OrderRequest, now_ms: int, amount: str) -> Outcome:
        """``amount``: how much is executed at once. The rest stays open for an entry and expires for a close."""
        if request.client_id in self.orders:
            return refused(-4116, "ClientOrderId is duplicated.")
        if request.reduce_only and self._reducible(request.side) == 0:
            return refused(-2022, "ReduceOnly Order is rejected.")
        self.number += 1
        self.orders[request.client_id] = Order(
            symbol=SYMBOL,
            order_id=self.number,
            client_id=request.client_id,
            side=request.side,
            type=request.type.value,
            status=OrderStatus.NEW,
            price=request.price or ZERO,
            quantity=request.quantity,
            executed_quantity=ZERO,
            average_price=None,
            reduce_only=request.reduce_only,
            update_time_ms=now_ms,
        )
        if amount != NONE:
            self.fill(request.client_id, now_ms, whole=amount == FULL)
        if request.reduce_only and self.orders[request.client_id].status.is_open:
            self.end(request.client_id, OrderStatus.EXPIRED, now_ms)
        return Confirmed(order=self.orders[request.client_id])

    def place_algo(self, request: AlgoRequest, now_ms: int) -> Outcome:
        known = self.algos.get(request.client_id)
        if known is not None and known.status.is_open:
            return refused(-4116, "ClientOrderId is duplicated.")
        if request.close_position and self._reducible(request.side) == 0:
            return refused(-4509, "GTE can only be used with open positions.")
        if request.close_position and any(self._is_sibling(algo, request) for algo in self.algos.values()):
            return refused(-4130, "An open stop or take profit order with GTE and closePosition is existing.")
        self.number += 1
        self.algos[request.client_id] = AlgoOrder(
            symbol=SYMBOL,
            algo_id=self.number,
            client_id=request.client_id,
            side=request.side,
            type=request.type.value,
            status=AlgoStatus.NEW,
            trigger_price=request.trigger_price,
            working_type=request.working_type,
            quantity=request.quantity,
            close_position=request.close_position,
            reduce_only=request.reduce_only,
            update_time_ms=now_ms,
        )
        return Confirmed(algo_order=self.algos[request.client_id])

    def cancel(self, client_id: str, now_ms: int) -> Outcome:
        order, algo = self.orders.get(client_id), self.algos.get(client_id)
        if order is not None and order.status.is_open:
            self.end(client_id, OrderStatus.CANCELED, now_ms)
            return Confirmed(order=self.orders[client_id])
        if algo is not None and algo.status.is_open:
            self.end_algo(client_id, AlgoStatus.CANCELED, now_ms)
            return Confirmed(algo_order=self.algos[client_id])
        return refused(-2011, "Unknown order sent.")

    # --- what happens to it -----------------------------------------------------------------------
    def fill(self, client_id: str, now_ms: int, *, whole: bool) -> None:
        """Execute what is left of an order, or half of what it asks; reduce-only never more than there is."""
        order = self.orders[client_id]
        left = order.quantity - order.executed_quantity
        amount = left if whole else min(left, half_of(order.quantity))
        if order.reduce_only:
            amount = min(amount, self._reducible(order.side))
        self._execute(order.side, amount, order.order_id, now_ms)
        done = order.executed_quantity + amount
        clamped = order.reduce_only and self._reducible(order.side) == 0
        status = OrderStatus.FILLED if done == order.quantity or clamped else OrderStatus.PARTIALLY_FILLED
        self.orders[client_id] = replace(
            order, executed_quantity=done, status=status, average_price=PRICE, update_time_ms=now_ms
        )
        self._expire_with_position(now_ms)

    def end(self, client_id: str, status: OrderStatus, now_ms: int) -> None:
        self.orders[client_id] = replace(self.orders[client_id], status=status, update_time_ms=now_ms)

    def end_algo(self, client_id: str, status: AlgoStatus, now_ms: int) -> None:
        self.algos[client_id] = replace(self.algos[client_id], status=status, update_time_ms=now_ms)

    def trigger(self, client_id: str, now_ms: int) -> None:
        """The price of a conditional order is reached, and its market order closes what it may."""
        algo = self.algos[client_id]
        reducible = self._reducible(algo.side)
        amount = reducible if algo.quantity is None else min(algo.quantity, reducible)
        self.number += 1
        actual = self.number
        self._execute(algo.side, amount, actual, now_ms)
        if algo.quantity is None:
            self.theirs = ZERO  # it closes the whole position, whoever opened it
        self.algos[client_id] = replace(
            algo,
            status=AlgoStatus.FINISHED,
            executed_quantity=amount,
            actual_order_id=actual,
            update_time_ms=now_ms,
        )
        self._expire_with_position(now_ms)

    def by_hand(self, side: Side, quantity: Decimal, now_ms: int) -> None:
        """Somebody else trades the symbol."""
        self.theirs += side.sign * quantity
        self._execute(side, quantity, 0, now_ms)
        self._expire_with_position(now_ms)

    def hand_over(self, *, bare: bool) -> None:
        """What is open, and what our orders still bring, belongs to the operator from now on."""
        self.released, self.bare = True, bare

    def let_go(self) -> None:
        """What was handed over is closed, as far as anybody here knows."""
        self.released, self.bare, self.theirs = False, False, self.position

    def order_by_hand(self, side: Side, now_ms: int) -> None:
        """Somebody else leaves an order here."""
        self.stranger = Order(
            symbol=SYMBOL,
            order_id=0,
            client_id="web_1",
            side=side,
            type=OrderType.LIMIT.value,
            status=OrderStatus.NEW,
            price=PRICE,
            quantity=Decimal(1),
            executed_quantity=ZERO,
            average_price=None,
            reduce_only=False,
            update_time_ms=now_ms,
        )

    # --- what a look shows ------------------------------------------------------------------------
    def look(self, request: LookRequest, now_ms: int) -> SymbolSnapshot:
        tracked = set(request.tracked)
        orders = tuple(o for o in self.orders.values() if o.status.is_open or o.client_id in tracked)
        orders += () if self.stranger is None else (self.stranger,)
        algos = tuple(a for a in self.algos.values() if a.status.is_open or a.client_id in tracked)
        after, start, since = request.fills_after_id, request.fills_start_ms, request.income_start_ms
        wanted = after is not None or start is not None
        fills = tuple(f for f in self.fills if wanted and f.fill_id > (after or 0) and f.time_ms >= (start or 0))
        return SymbolSnapshot(
            symbol=SYMBOL,
            at_ms=now_ms,
            position=self.shown_position(self.position, now_ms),
            orders=orders,
            algo_orders=algos,
            fills=fills,
            income=() if since is None else tuple(row for row in self.income if row.time_ms >= since),
        )

    @staticmethod
    def shown_position(quantity: Decimal, now_ms: int) -> Position | None:
        if quantity == 0:
            return None
        return Position(
            symbol=SYMBOL,
            quantity=quantity,
            entry_price=PRICE,
            mark_price=PRICE,
            unrealized_pnl=ZERO,
            liquidation_price=None,
            isolated_wallet=ZERO,
            update_time_ms=now_ms,
        )

    # --- inside -----------------------------------------------------------------------------------
    def _execute(self, side: Side, amount: Decimal, order_id: int, now_ms: int) -> None:
        if amount == 0:
            return
        self.position += side.sign * amount
        self.number += 1
        fill = Fill(
            symbol=SYMBOL,
            fill_id=self.number,
            order_id=order_id,
            side=side,
            price=PRICE,
            quantity=amount,
            realized_pnl=ZERO,
            commission=ZERO,
            commission_asset="USDT",
            maker=False,
            time_ms=now_ms,
        )
        row = Income(
            symbol=SYMBOL,
            income_type="COMMISSION",
            income=ZERO,
            asset="USDT",
            time_ms=now_ms,
            transaction_id=self.number,
        )
        self.fills, self.income = (*self.fills, fill), (*self.income, row)

    def _reducible(self, side: Side) -> Decimal:
        return max(-side.sign * self.position, ZERO)

    def _is_sibling(self, algo: AlgoOrder, request: AlgoRequest) -> bool:
        same = algo.side is request.side and algo.type == request.type.value
        return same and algo.close_position and algo.status.is_open

    def _expire_with_position(self, now_ms: int) -> None:
        for algo in list(self.algos.values()):
            if algo.status.is_open and algo.close_position and self._reducible(algo.side) == 0:
                self.end_algo(algo.client_id, AlgoStatus.EXPIRED, now_ms)


def half_of(quantity: Decimal) -> Decimal:
    """Half an order, on the lot."""
    return (quantity / 2).quantize(Decimal("0.001"))


def is_market(order: Order) -> bool:
    return order.type == OrderType.MARKET.value


def is_stop(client_id: str) -> bool:
    return parts_of(client_id).leg in (Leg.STOP, Leg.BRIDGE)


def parts_of(client_id: str) -> ClientId:
    """The parts of an id; nothing else than ours is ever placed here."""
    parts = parse(client_id)
    assert parts is not None
    return parts
