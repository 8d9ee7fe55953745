"""A desk at the simulated exchange: BTCUSDT at 60,000, isolated 10x, 1,000 USDT, and short words for every order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from exchange.errors import Refusal
from exchange.sim.core.events import AccountUpdated, AlgoUpdated, Batch, OrderUpdated
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Quote
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    ConditionalType,
    MarginType,
    Order,
    OrderRequest,
    OrderType,
    Position,
    Side,
    TimeInForce,
    WorkingType,
)

T0 = 1_704_067_200_000  # 2024-01-01 00:00 UTC
SYMBOL = "BTCUSDT"
FILTERS = shipped_filters()
BRACKETS = shipped_brackets()


class Desk:
    """A venue with prices, and one line for each thing a test does."""

    def __init__(self, *, balance: str = "1000", leverage: int = 10, isolated: bool = True, **settings: Any) -> None:
        self.venue = Venue(filters=FILTERS, brackets=BRACKETS, balance=Decimal(balance), **settings)
        if isolated:
            self.venue.set_margin_type(SYMBOL, MarginType.ISOLATED)
        self.venue.set_leverage(SYMBOL, leverage)
        self._ids = 0
        self.jump("60000")
        self.venue.drain()

    @property
    def position(self) -> Position:
        return self.venue.position(SYMBOL)

    @property
    def wallet(self) -> Decimal:
        return self.venue.account().wallet_balance

    def next_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def jump(self, last: str, mark: str | None = None, *, after_ms: int = 0, symbol: str = SYMBOL) -> list[Batch]:
        """Prices jump; gives the batches of what that did, and nothing older."""
        self.venue.drain()
        at_ms = max(self.venue.now_ms, T0) + after_ms
        return list(self.venue.tick(symbol, last=Decimal(last), mark=Decimal(mark or last), at_ms=at_ms))

    def move(self, last: str, mark: str | None = None, *, over_ms: int = 60_000) -> list[Batch]:
        """Prices go there in a straight line."""
        self.venue.drain()
        quotes: Mapping[str, Quote] = {SYMBOL: Quote(Decimal(last), Decimal(mark or last))}
        return list(self.venue.advance(self.venue.now_ms + over_ms, quotes))

    def market(self, side: Side, quantity: str, *, reduce_only: bool = False, symbol: str = SYMBOL) -> Order:
        return self.venue.place_order(
            OrderRequest(
                symbol=symbol,
                side=side,
                type=OrderType.MARKET,
                quantity=Decimal(quantity),
                client_id=self.next_id(),
                reduce_only=reduce_only,
            )
        )

    def limit(
        self,
        side: Side,
        quantity: str,
        price: str,
        tif: TimeInForce = TimeInForce.GTC,
        *,
        reduce_only: bool = False,
        good_till_ms: int | None = None,
        client_id: str | None = None,
    ) -> Order:
        return self.venue.place_order(
            OrderRequest(
                symbol=SYMBOL,
                side=side,
                type=OrderType.LIMIT,
                quantity=Decimal(quantity),
                price=Decimal(price),
                time_in_force=tif,
                client_id=client_id or self.next_id(),
                reduce_only=reduce_only,
                good_till_ms=good_till_ms,
            )
        )

    def conditional(
        self,
        kind: ConditionalType,
        side: Side,
        trigger: str,
        quantity: str | None = None,
        *,
        reduce_only: bool = False,
        by_mark: bool = False,
        client_id: str | None = None,
        symbol: str = SYMBOL,
    ) -> AlgoOrder:
        return self.venue.place_algo(
            AlgoRequest(
                symbol=symbol,
                side=side,
                type=kind,
                trigger_price=Decimal(trigger),
                working_type=WorkingType.MARK_PRICE if by_mark else WorkingType.CONTRACT_PRICE,
                client_id=client_id or self.next_id(),
                quantity=None if quantity is None else Decimal(quantity),
                close_position=quantity is None,
                reduce_only=reduce_only,
            )
        )

    def stop(self, side: Side, trigger: str, quantity: str | None = None, **more: Any) -> AlgoOrder:
        return self.conditional(ConditionalType.STOP_MARKET, side, trigger, quantity, **more)

    def target(self, side: Side, trigger: str, quantity: str | None = None, **more: Any) -> AlgoOrder:
        return self.conditional(ConditionalType.TAKE_PROFIT_MARKET, side, trigger, quantity, **more)

    def income(self) -> list[tuple[str, str]]:
        return [(row.income_type, f"{row.income.normalize():f}") for row in self.venue.income()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="session")
def make_desk() -> type[Desk]:
    return Desk


@pytest.fixture(scope="session")
def refusal_code() -> Callable[[Callable[[], object]], int | None]:
    """The code with which a call is refused, or None when it is not."""

    def code(call: Callable[[], object]) -> int | None:
        try:
            call()
        except Refusal as refusal:
            return refusal.code
        return None

    return code


@pytest.fixture(scope="session")
def story() -> Callable[[Batch], list[str]]:
    """Events in short words, to compare whole sequences."""

    def tell(batch: Batch) -> list[str]:
        words = []
        for event in batch:
            if isinstance(event, OrderUpdated):
                words.append(f"order {event.execution} {event.order.status} {event.expiry_reason.value}")
            elif isinstance(event, AlgoUpdated):
                words.append(f"algo {event.algo.client_id} {event.algo.status}")
            elif isinstance(event, AccountUpdated):
                words.append(f"account {event.reason}")
            else:
                words.append(f"leverage {event.leverage}")
        return words

    return tell
