"""Places, cancels and reads orders of both families; a write answers with an Outcome and never raises.

An answer that cannot be read after a write is Unknown: the order may rest. Refusals made here, before
anything was sent, carry Binance's own codes (error catalogue, checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from exchange.binance import codec_orders, endpoints
from exchange.binance.codec_orders import UnsendableOrder
from exchange.binance.fields import OnUnreadable
from exchange.binance.http import Http
from exchange.binance.refusals import refused
from exchange.binance.tasks import together
from exchange.errors import ExchangeError, RateLimited, Refusal
from exchange.priority import Priority
from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    ConditionalType,
    Confirmed,
    Order,
    OrderRequest,
    Outcome,
    Refused,
    Unknown,
)

UNSENDABLE = -1102
TOO_MANY_REQUESTS = -1003
_CANCEL_REJECTED = -2011
_NO_SUCH_ORDER = -2013
_DUPLICATE_ID = -4116
_TRIGGERING = -4117
_SIBLING_EXISTS = -4130
_NO_POSITION_YET = -4509
_OTHER_MODE = frozenset({-4061, -4062})
_NOTHING_IN_THAT_MODE = _OTHER_MODE | {-2022, _NO_POSITION_YET}
"""The other mode has no such position either: what was refused first says more."""

_NOT_THERE = frozenset({_CANCEL_REJECTED, _NO_SUCH_ORDER})
_NOT_SHOWN = _NOT_THERE | {404}  # a 404 without a code of its own says no more than that, and no less

_ENDED = (AlgoStatus.CANCELED, AlgoStatus.EXPIRED, AlgoStatus.REJECTED)


class Orders:
    """Both order families of one account in one-way mode."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.on_unreadable: OnUnreadable = lambda symbol, what: None
        """Hears of rows of the account's lists that nobody can read."""
        self._hedge = False

    async def place_order(self, request: OrderRequest) -> Outcome:
        """POST /fapi/v1/order. Closing goes as early as protecting; opening does not."""
        endpoint = endpoints.ORDER_PLACE
        priority = Priority.COVER if request.reduce_only else Priority.TRADE
        if_naked = Priority.NAKED if request.reduce_only else None
        try:
            payload = await self._in_a_form_that_is_taken(
                request.reduce_only,
                lambda hedge: self._http.call(
                    endpoint, codec_orders.order_params(request, hedge=hedge), priority=priority, if_naked=if_naked
                ),
            )
            return Confirmed(order=codec_orders.order(payload, endpoint.name))
        except (UnsendableOrder, ExchangeError) as error:
            if isinstance(error, Refusal) and error.code == _DUPLICATE_ID:
                return await self._placed_before(request)
            return outcome_of(error)

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        """POST /fapi/v1/algoOrder. With closePosition it may be sent again at once: -4116 and -4130 mean it rests."""
        endpoint = endpoints.ALGO_PLACE
        is_stop = request.type is ConditionalType.STOP_MARKET
        priority, if_naked = (Priority.COVER, Priority.NAKED) if is_stop else (Priority.LOOK, None)
        try:
            payload = await self._in_a_form_that_is_taken(
                request.reduce_only or request.close_position,
                lambda hedge: self._http.call(
                    endpoint, codec_orders.algo_params(request, hedge=hedge), priority=priority, if_naked=if_naked
                ),
            )
            return Confirmed(algo_order=codec_orders.algo_order(payload, endpoint.name))
        except (UnsendableOrder, ExchangeError) as error:
            code = error.code if isinstance(error, Refusal) else 0
            if code in (_DUPLICATE_ID, _SIBLING_EXISTS):
                return await self._algo_placed_before(request, code, str(error))
            return outcome_of(error)

    async def _in_a_form_that_is_taken(self, reduces: bool, send: Callable[[bool], Awaitable[object]]) -> object:
        """What closes or protects also gets through where somebody switched the position mode: refused for its side, it
        goes out again under its id as the other mode wants it (R81). What opens is never sent in hedge mode."""
        hedge = self._hedge and reduces
        try:
            return await send(hedge)
        except Refusal as refusal:
            if not reduces or refusal.code not in _OTHER_MODE:
                raise
            first = refusal
        try:
            payload = await send(not hedge)
        except Refusal as refusal:
            raise first if refusal.code in _NOTHING_IN_THAT_MODE else refusal from first
        self._hedge = not hedge
        return payload

    async def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        """DELETE /fapi/v1/order. Confirmed means verified not open; the order in it says how it ended.

        Refused -2011 means that no such order is to be found, which is evidence and not proof.
        """
        endpoint = endpoints.ORDER_CANCEL
        try:
            params = {"symbol": symbol, "origClientOrderId": client_id}
            payload = await self._http.call(endpoint, params, if_naked=Priority.CLEAR)
            return Confirmed(order=codec_orders.order(payload, endpoint.name))
        except ExchangeError as error:
            if not isinstance(error, Refusal) or error.code not in _NOT_THERE:
                return outcome_of(error)
            refused = error
        try:
            found = await self.order(symbol, client_id)
        except ExchangeError as error:
            return Unknown(f"{refused}; and then {error}")
        if found is None:
            return outcome_of(refused)
        return _still_open(refused) if found.status.is_open else Confirmed(order=found)

    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        """DELETE /fapi/v1/algoOrder, with the same meanings; Refused -4117 = it is triggering right now."""
        endpoint = endpoints.ALGO_CANCEL
        try:
            # answers {"algoId", "clientAlgoId", "code": "200", "msg"}: the code is a text (checked 2026-11)
            params = {"clientAlgoId": client_id}
            await self._http.call(endpoint, params, symbol=symbol, if_naked=Priority.CLEAR)
            return Confirmed()
        except ExchangeError as error:
            if not isinstance(error, Refusal) or error.code not in _NOT_THERE | {_TRIGGERING}:
                return outcome_of(error)
            refused = error
        try:
            found = await self.algo(symbol, client_id)
        except ExchangeError as error:
            return Unknown(f"{refused}; and then {error}")
        if found is None:
            return outcome_of(refused)
        return _still_open(refused) if found.status.is_open else Confirmed(algo_order=found)

    async def cancel_all(self, symbol: str) -> Outcome:
        """Both families, always: neither call sees the other's orders (checked 2026-11)."""
        async with together() as group:
            regular = group.create_task(self._cancel_family(endpoints.ALL_ORDERS_CANCEL, symbol))
            conditional = group.create_task(self._cancel_family(endpoints.ALL_ALGOS_CANCEL, symbol))
        outcomes = (regular.result(), conditional.result())
        worst = next((o for kind in (Unknown, Refused) for o in outcomes if isinstance(o, kind)), None)
        return Confirmed() if worst is None else worst

    async def order(self, symbol: str, client_id: str) -> Order | None:
        """GET /fapi/v1/order by client id; None for -2013, which also comes for seconds after acceptance."""
        try:
            payload = await self._http.call(endpoints.ORDER_QUERY, {"symbol": symbol, "origClientOrderId": client_id})
        except Refusal as refusal:
            if refusal.code in _NOT_SHOWN:
                return None
            raise
        return codec_orders.order(payload)

    async def order_by_id(self, symbol: str, order_id: int) -> Order | None:
        """GET /fapi/v1/order by the exchange's own id: the only way to the name of an order that was not ours."""
        try:
            payload = await self._http.call(endpoints.ORDER_QUERY, {"symbol": symbol, "orderId": str(order_id)})
        except Refusal as refusal:
            if refusal.code in _NOT_SHOWN:
                return None
            raise
        return codec_orders.order(payload)

    async def algo(self, symbol: str, client_id: str) -> AlgoOrder | None:
        """GET /fapi/v1/algoOrder by client id; it takes no symbol, so one of another symbol is not ours."""
        try:
            payload = await self._http.call(endpoints.ALGO_QUERY, {"clientAlgoId": client_id}, symbol=symbol)
        except Refusal as refusal:
            if refusal.code in _NOT_SHOWN:
                return None
            raise
        found = codec_orders.algo_order(payload)
        return found if found.symbol == symbol else None

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """GET /fapi/v1/openOrders; weight 40 without a symbol."""
        found = codec_orders.orders(await self._list(endpoints.OPEN_ORDERS, symbol), self.told(symbol))
        return [order for order in found if symbol in (None, order.symbol)]

    async def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        """GET /fapi/v1/openAlgoOrders; weight 40 without a symbol."""
        found = codec_orders.algo_orders(await self._list(endpoints.OPEN_ALGO_ORDERS, symbol), self.told(symbol))
        return [algo for algo in found if symbol in (None, algo.symbol)]

    def told(self, symbol: str | None) -> OnUnreadable | None:
        """Of one symbol everything must be legible: what is left out there would be taken for absent."""
        return self.on_unreadable if symbol is None else None

    async def _list(self, endpoint: endpoints.Endpoint, symbol: str | None) -> object:
        if symbol is None:
            return await self._http.call(endpoint, weight=endpoint.weight_all)
        return await self._http.call(endpoint, {"symbol": symbol})

    async def _cancel_family(self, endpoint: endpoints.Endpoint, symbol: str) -> Outcome:
        try:
            await self._http.call(endpoint, {"symbol": symbol}, if_naked=Priority.CLEAR)
        except ExchangeError as error:
            return outcome_of(error)
        return Confirmed()

    async def _placed_before(self, request: OrderRequest) -> Outcome:
        """-4116 is evidence that an earlier attempt with this id was accepted (R16)."""
        try:
            found = await self.order(request.symbol, request.client_id)
        except ExchangeError as error:
            return Unknown(f"-4116: the id exists, but it could not be read back: {error}")
        if found is None:
            return Unknown("-4116: the id exists, but a look-up does not show it yet; look again")
        # the engine may clamp a reduce-only quantity (field reports, 2026), so it is compared for entries only
        if found.side is not request.side or (not request.reduce_only and found.quantity != request.quantity):
            return refused(_DUPLICATE_ID, f"the id {request.client_id} belongs to another order: {found}")
        return Confirmed(order=found)

    async def _algo_placed_before(self, request: AlgoRequest, code: int, message: str) -> Outcome:
        """-4116 and -4130: ours rests already, or (only -4130) somebody else's closePosition stop does."""
        try:
            found = await self.algo(request.symbol, request.client_id)
        except ExchangeError as error:
            return Unknown(f"{code}: such an order exists, but it could not be read back: {error}")
        if found is None and code == _SIBLING_EXISTS:
            return refused(code, message)
        if found is None:
            return Unknown(f"{code}: the id exists, but a look-up does not show it yet; look again")
        if (found.side, found.trigger_price) != (request.side, request.trigger_price):
            return refused(code, f"the id {request.client_id} belongs to another order: {found}")
        if found.status in _ENDED:
            return refused(code, f"the order with the id {request.client_id} has ended as {found.status}")
        return Confirmed(algo_order=found)


def outcome_of(error: UnsendableOrder | ExchangeError) -> Outcome:
    """What an error means for a write. A spent budget is a refusal: nothing happened, and it may be sent later."""
    if isinstance(error, UnsendableOrder):
        return refused(UNSENDABLE, f"not sent: {error}")
    if isinstance(error, Refusal):
        return refused(error.code, error.message)
    if isinstance(error, RateLimited):
        return refused(TOO_MANY_REQUESTS, str(error))
    return Unknown(str(error))


def _still_open(refusal: Refusal) -> Outcome:
    return refused(refusal.code, f"{refusal.message}; yet the order is still open: look again")
