"""Orders as the simulated exchange keeps them, both families, and the register that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

import msgspec

from exchange.origin import Origin, Stated
from exchange.types import (
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)

ZERO = Decimal(0)


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """A regular order, at one moment of its life; each change makes a new one.

    ``original_type``, ``trigger_price``, ``working_type`` and ``algo_id`` are those of the conditional order it
    came from. ``quote`` is the sum of price × quantity of its fills. ``resume_ms`` is when a resting order whose
    level was eaten may fill again (only with limited depth, or where fills are told).
    """

    symbol: str
    order_id: int
    client_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    created_ms: int
    updated_ms: int
    status: OrderStatus = OrderStatus.NEW
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    close_position: bool = False
    good_till_ms: int | None = None
    original_type: str = ""
    trigger_price: Decimal | None = None
    working_type: WorkingType | None = None
    algo_id: int | None = None
    resume_ms: int = 0

    @property
    def id(self) -> int:
        return self.order_id

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal | None:
        return self.quote / self.executed if self.executed else None

    def as_order(self) -> Order:
        """The order as the exchange tells it."""
        return Order(
            symbol=self.symbol,
            order_id=self.order_id,
            client_id=self.client_id,
            side=self.side,
            type=self.type.value,
            status=self.status,
            price=self.price or ZERO,
            quantity=self.quantity,
            executed_quantity=self.executed,
            average_price=self.average_price,
            reduce_only=self.reduce_only,
            update_time_ms=self.updated_ms,
            time_in_force=self.time_in_force.value,
            origin=_origin(self.client_id),
        )


class AlgoState(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order, at one moment of its life. ``quantity`` is None for closePosition."""

    symbol: str
    algo_id: int
    client_id: str
    side: Side
    type: ConditionalType
    trigger_price: Decimal
    working_type: WorkingType
    quantity: Decimal | None
    close_position: bool
    reduce_only: bool
    created_ms: int
    updated_ms: int
    status: AlgoStatus = AlgoStatus.NEW
    triggered_ms: int | None = None
    actual_order_id: int | None = None
    actual_price: Decimal | None = None
    executed: Decimal = ZERO
    reject_reason: str | None = None

    @property
    def id(self) -> int:
        return self.algo_id

    @property
    def rising(self) -> bool:
        """True when it waits for the price to rise to its trigger price."""
        return (self.type is ConditionalType.STOP_MARKET) == (self.side is Side.BUY)

    def as_algo(self) -> AlgoOrder:
        """The order as the exchange tells it."""
        return AlgoOrder(
            symbol=self.symbol,
            algo_id=self.algo_id,
            client_id=self.client_id,
            side=self.side,
            type=self.type.value,
            status=self.status,
            trigger_price=self.trigger_price,
            working_type=self.working_type,
            quantity=self.quantity,
            close_position=self.close_position,
            reduce_only=self.reduce_only,
            update_time_ms=self.updated_ms,
            actual_order_id=self.actual_order_id,
            executed_quantity=self.executed,
            reject_reason=self.reject_reason,
        )


class _Status(Protocol):
    @property
    def is_open(self) -> bool: ...


class _Registered(Protocol):
    @property
    def symbol(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def status(self) -> _Status: ...


T = TypeVar("T", bound=_Registered)


class Register(Generic[T]):
    """All orders of one family, open and closed. A client id leads to the newest order that carries it."""

    def __init__(self) -> None:
        self._by_id: dict[int, T] = {}
        self._by_client_id: dict[str, int] = {}
        self._open: dict[str, dict[int, T]] = {}

    def put(self, order: T) -> None:
        """Add an order, or replace its older self."""
        self._by_id[order.id] = order
        self._by_client_id[order.client_id] = order.id
        if order.status.is_open:
            self._open.setdefault(order.symbol, {})[order.id] = order
        elif order.symbol in self._open:
            self._open[order.symbol].pop(order.id, None)

    def get(self, order_id: int) -> T | None:
        return self._by_id.get(order_id)

    def find(self, client_id: str) -> T | None:
        return self._by_id.get(self._by_client_id.get(client_id, -1))

    def is_taken(self, client_id: str) -> bool:
        """True while an open order carries this client id."""
        found = self.find(client_id)
        return found is not None and found.status.is_open

    def open(self, symbol: str) -> list[T]:
        """Open orders of the symbol, oldest first."""
        of_symbol = self._open.get(symbol)
        return list(of_symbol.values()) if of_symbol else []

    def open_count(self) -> int:
        return sum(map(len, self._open.values()))

    def open_symbols(self) -> list[str]:
        return [symbol for symbol, orders in self._open.items() if orders]

    def __iter__(self) -> Iterator[T]:
        """Every order there ever was, by id."""
        return iter(self._by_id.values())


def _origin(client_id: str) -> Stated:
    """Orders of the exchange's own are named before their first dash."""
    return _FORCED.get(client_id.partition("-")[0], msgspec.UNSET)


_FORCED = {"autoclose": Origin.LIQUIDATION, "adl_autoclose": Origin.ADL, "settlement_autoclose": Origin.SETTLEMENT}
