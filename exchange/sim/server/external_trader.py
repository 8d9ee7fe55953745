"""Somebody else's hand on the account: deposits, orders and closes from outside, orders that vanish, liquidation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.errors import Refusal
from exchange.sim.core.events import Batch
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.listing import Told
from exchange.sim.server.modes import Modes
from exchange.sim.server.numerals import Numerals
from exchange.sim.server.params import Params
from exchange.sim.server.routes_algo import algo_request
from exchange.sim.server.routes_orders import order_request
from exchange.types import OrderRequest, OrderType, Side

Json = dict[str, object]


class Deed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``action``: deposit, withdraw (amount); order, algo (params as of the exchange's own calls); close, liquidate,
    settle (symbol): delisted, and its position closed; listing (symbol, how): what is told of it from now on; rules
    (symbol, filters by type, status, fundingIntervalHours, which is told and no more): other rules; vanish
    (clientOrderId, clientAlgoId, orderId or algoId): the order is gone, and no event tells it; modes: the account and
    its key are set up like this from now on."""

    action: str
    amount: Decimal | None = None
    symbol: str | None = None
    params: dict[str, str] = {}
    modes: Modes | None = None
    how: Told | None = None
    filters: dict[str, dict[str, str]] = {}
    status: str | None = None
    marginAsset: str | None = None  # noqa: N815 - Binance's names
    fundingIntervalHours: int | None = None  # noqa: N815
    clientOrderId: str | None = None  # noqa: N815 - Binance's names
    clientAlgoId: str | None = None  # noqa: N815
    orderId: int | None = None  # noqa: N815
    algoId: int | None = None  # noqa: N815


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both prices jump; the mark is the last price unless it is given. The recorded path goes on afterwards."""

    symbol: str
    last: Decimal
    mark: Decimal | None = None


class ExternalTrader:
    """Changes the account as its owner could elsewhere, and as the exchange sometimes does."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._deeds: dict[str, Callable[[Deed], None]] = {
            "deposit": self._deposit,
            "withdraw": self._withdraw,
            "order": self._order,
            "algo": self._algo,
            "close": self._close,
            "vanish": self._vanish,
            "liquidate": self._liquidate,
            "modes": self._set_modes,
            "listing": self._list,
            "rules": self._change_rules,
            "settle": self._settle,
        }

    def account(self) -> Json:
        """Everything the account has, in the venue's own words."""
        venue = self._emulator.venue
        return {
            "account": venue.account(),
            "positions": venue.positions(),
            "orders": venue.open_orders(),
            "algoOrders": venue.open_algos(),
            "fills": len(venue.state.fills),
        }

    def act(self, value: object) -> Json:
        """Carry out one deed; returns the account afterwards."""
        deed = msgspec.convert(value, Deed, strict=False)
        action = self._deeds.get(deed.action)
        if action is None:
            raise ValueError(f"action {deed.action!r}: one of {', '.join(self._deeds)}")
        action(deed)
        return self.account()

    def set_price(self, value: object) -> Json:
        """Let the price of a symbol jump; what is crossed executes."""
        price = msgspec.convert(value, Price, strict=False)
        if min(price.last, price.last if price.mark is None else price.mark) <= 0:
            raise ValueError("prices are above zero")
        self._emulator.move_prices(lambda: self._jump(price))
        return self.account()

    def _jump(self, price: Price) -> Iterator[Batch]:
        mark = price.last if price.mark is None else price.mark
        return self._emulator.venue.tick(price.symbol, last=price.last, mark=mark, at_ms=self._emulator.now_ms)

    def _deposit(self, deed: Deed) -> None:
        amount = _amount(deed)
        self._emulator.write(lambda: self._emulator.venue.deposit(amount))

    def _withdraw(self, deed: Deed) -> None:
        amount = _amount(deed)
        self._emulator.write(lambda: self._emulator.venue.withdraw(amount))

    def _order(self, deed: Deed) -> None:
        request = order_request(self._emulator, Params(deed.params))
        self._emulator.write(lambda: self._emulator.venue.place_order(request))

    def _algo(self, deed: Deed) -> None:
        request = algo_request(self._emulator, Params({"algoType": "CONDITIONAL", **deed.params}))
        self._emulator.write(lambda: self._emulator.venue.place_algo(request))

    def _close(self, deed: Deed) -> None:
        """As the button in the exchange's app: resting reduce-only orders must not stand in its way."""
        symbol = _symbol(deed)
        holding = self._emulator.state.holding(symbol)
        side = holding.side
        if side is None:
            raise Refusal(-2022, "ReduceOnly Order is rejected.")
        request = OrderRequest(
            symbol=symbol,
            side=Side(side.opposite),
            type=OrderType.MARKET,
            quantity=abs(holding.quantity),
            client_id=f"web_{self._emulator.new_client_id()}",
        )
        self._emulator.write(lambda: self._emulator.venue.place_order(request))

    def _vanish(self, deed: Deed) -> None:
        """Cancelled without a word; queries do not find it either."""
        emulator, state = self._emulator, self._emulator.state
        order = state.orders.get(deed.orderId) if deed.orderId else state.orders.find(deed.clientOrderId or "")
        algo = state.algos.get(deed.algoId) if deed.algoId else state.algos.find(deed.clientAlgoId or "")
        if order is not None and order.status.is_open:
            emulator.venue.cancel_order(order.symbol, order_id=order.order_id)
            emulator.hidden.add(order.order_id)
        elif algo is not None and algo.status.is_open:
            emulator.venue.cancel_algo(algo_id=algo.algo_id)
            emulator.hidden.add(algo.algo_id)
        else:
            raise ValueError("vanish: no open order has this id")
        emulator.venue.drain()
        emulator.changes += 1

    def _set_modes(self, deed: Deed) -> None:
        if deed.modes is None:
            raise ValueError("modes: what is to be set is missing")
        emulator = self._emulator
        emulator.modes = deed.modes
        emulator.state.settings = replace(emulator.state.settings, bnb_price=deed.modes.bnb_price)

    def _list(self, deed: Deed) -> None:
        if deed.how is None:
            raise ValueError(f"listing: how is missing: {', '.join(Told)}")
        self._emulator.listing.tell(self._known(deed), deed.how)

    def _change_rules(self, deed: Deed) -> None:
        symbol, emulator = self._known(deed), self._emulator
        filters = emulator.listing.change(symbol, deed.filters, status=deed.status, marginAsset=deed.marginAsset)
        emulator.state.filters[symbol] = filters
        emulator.numerals[symbol] = Numerals.of(filters)
        if deed.fundingIntervalHours is not None:
            emulator.listing.funding_hours[symbol] = deed.fundingIntervalHours

    def _settle(self, deed: Deed) -> None:
        symbol = self._known(deed)
        self._emulator.listing.change(symbol, {}, status="SETTLING")
        self._emulator.write(lambda: self._emulator.venue.settle(symbol))

    def _known(self, deed: Deed) -> str:
        symbol = _symbol(deed)
        if symbol not in self._emulator.world.feeds:
            raise ValueError(f"{deed.action}: there is no {symbol} here")
        return symbol

    def _liquidate(self, deed: Deed) -> None:
        """The mark goes to where the position is liquidated."""
        symbol = _symbol(deed)
        level = self._emulator.state.liquidation_price(symbol)
        if level is None:
            raise ValueError(f"liquidate: {symbol} has no position, or none that any price would liquidate")
        last = self._emulator.state.quotes[symbol].last
        self._emulator.move_prices(lambda: self._jump(Price(symbol=symbol, last=last, mark=level)))


def _amount(deed: Deed) -> Decimal:
    if deed.amount is None or deed.amount <= 0:
        raise ValueError(f"{deed.action}: amount must be above zero")
    return deed.amount


def _symbol(deed: Deed) -> str:
    if deed.symbol is None:
        raise ValueError(f"{deed.action}: symbol is missing")
    return deed.symbol
