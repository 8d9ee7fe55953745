"""The real exchange: implements the port over Binance's REST interface.

Nothing here trusts a stream. Writes return an Outcome; reads return values or raise an ExchangeError.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from decimal import Decimal

import httpx
from msgspec.structs import replace

from exchange import client_ids
from exchange.binance import codec_account, codec_market, endpoints
from exchange.binance.account_setup import AccountSetup
from exchange.binance.candle_history import CandleHistory
from exchange.binance.endpoints import Endpoint
from exchange.binance.fields import OnUnreadable
from exchange.binance.funding_intervals import FundingIntervals
from exchange.binance.http import Http
from exchange.binance.ledger import Ledger
from exchange.binance.limits import Budget
from exchange.binance.orders import Orders
from exchange.binance.refusals import refused
from exchange.binance.resolution import Resolution, Resolver
from exchange.binance.tasks import together
from exchange.binance.unlisted import look_unlisted
from exchange.client_ids import Leg
from exchange.clock import Clock
from exchange.day_volumes import DayVolumes
from exchange.errors import ExchangeError, Refusal
from exchange.filters import SymbolFilters
from exchange.priority import Priority
from exchange.secrets import Credentials
from exchange.types import (
    Account,
    AccountModes,
    AlgoOrder,
    AlgoRequest,
    Book,
    Bracket,
    Fill,
    Income,
    KeyPermissions,
    LookRequest,
    MarginType,
    MarkPrice,
    Order,
    OrderRequest,
    OrderType,
    Outcome,
    Pause,
    Position,
    Refused,
    Room,
    Side,
    SymbolConfig,
    SymbolSnapshot,
)
from indicators.candle import Candle, Timeframe

MARGIN_ASSET = "USDT"
PRICED_MS_MAX = 3_600_000
"""A fill that was learned of later than this has no price that could be asked for now."""

UNLISTED_EVERY_S = 60.0
"""Lists and ledger of the whole account weigh a hundred times what a look does: more often they starve all others."""

_BAD_SYMBOL = -1121
_LOOK_WEIGHT = 12  # of a look at a symbol that enters: position, both families, the entry and its fills
_BEHIND_MAX = 5  # orders that one look asks for by the ids of unexplained fills: the newest say how it ended
_NOT_OPENING = -4140  # Binance's own codes (error catalogue, checked 2026-11)
_ALGO_LEGS = frozenset({Leg.STOP, Leg.BRIDGE, Leg.TARGET, Leg.PROBE})


class BinanceClient:
    """USDT-M futures of one account. Close it with ``aclose`` when done."""

    def __init__(
        self,
        *,
        base_url: str,
        clock: Clock,
        credentials: Credentials | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        steady: bool = False,
    ) -> None:
        """``steady``: nothing steps the clock; only that of a simulation jumps."""
        self.http = Http(
            base_url=base_url,
            clock=clock,
            credentials=credentials,
            budget=Budget(),
            transport=transport,
            steady=steady,
        )
        self._filters: dict[str, SymbolFilters] = {}
        self._funding = FundingIntervals(self.http)
        self._clock = clock
        self._unlisted_s: dict[str, float] = {}
        self._orders = Orders(self.http)
        self._setup = AccountSetup(self.http)
        self._history = CandleHistory(self.http, clock)
        self._ledger = Ledger(self.http)
        self._resolver = Resolver(self._orders, self.positions, clock)

    async def aclose(self) -> None:
        await self.http.aclose()

    # --- what goes first, and what went -------------------------------------------------------
    def set_naked(self, symbol: str, naked: bool) -> None:
        self.http.set_naked(symbol, naked)

    def has_left(self, client_id: str) -> bool:
        return self.http.has_left(client_id)

    def pause(self) -> Pause | None:
        return self.http.pause()

    def room(self) -> Room:
        return self.http.turns.room(_LOOK_WEIGHT)

    def tell_unreadable(self, told: OnUnreadable) -> None:
        self._orders.on_unreadable = told

    # --- writes -------------------------------------------------------------------------------
    async def place_order(self, request: OrderRequest) -> Outcome:
        """An order that opens leaves only if its symbol's filters are known and allow it; closing is never held up."""
        refused = None if request.reduce_only else self._refused_by_filters(request)
        return refused or await self._orders.place_order(request)

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        return await self._orders.place_algo(request)

    async def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        return await self._orders.cancel_order(symbol, client_id)

    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        return await self._orders.cancel_algo(symbol, client_id)

    async def cancel_all(self, symbol: str) -> Outcome:
        return await self._orders.cancel_all(symbol)

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        return await self._setup.ensure_margin_type(symbol, margin_type)

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        return await self._setup.ensure_leverage(symbol, leverage)

    async def ensure_one_way(self) -> Outcome:
        """Position mode one-way; Refused with -4067 or -4068 while anything is open."""
        return await self._setup.ensure_one_way()

    # --- unknown outcomes ---------------------------------------------------------------------
    async def resolve_order(self, symbol: str, client_id: str, *, quantity_before: Decimal) -> Resolution:
        """What became of a regular order whose outcome is Unknown (up to about eight seconds)."""
        return await self._resolver.resolve_order(symbol, client_id, quantity_before=quantity_before)

    async def resolve_algo(self, symbol: str, client_id: str, *, quantity_before: Decimal) -> Resolution:
        """What became of a conditional order whose outcome is Unknown (up to about eight seconds)."""
        return await self._resolver.resolve_algo(symbol, client_id, quantity_before=quantity_before)

    # --- reads: market ------------------------------------------------------------------------
    async def server_time_ms(self) -> int:
        """The exchange's time, asked now; it also corrects our offset."""
        return await self.http.server_time_ms()

    @property
    def clock_offset_ms(self) -> int:
        """How far the exchange's clock is ahead of ours, as last measured (doctor, R46)."""
        return self.http.time.offset_ms

    async def filters(self) -> dict[str, SymbolFilters]:
        """Filters of every symbol we can read, of any contract type; the stated rate limits take effect."""
        payload = await self._funding.beside(self.http.call(endpoints.EXCHANGE_INFO))
        info = codec_market.exchange_info(payload)
        self.http.budget.windows.learn(info.rate_limits)
        self._filters = self._funding.put_into(info.filters)
        return self._filters

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return codec_market.brackets(await self.http.call(endpoints.LEVERAGE_BRACKET, {"symbol": symbol}), symbol)

    async def commission_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        return codec_market.commission_rates(await self.http.call(endpoints.COMMISSION_RATE, {"symbol": symbol}))

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start_ms: int | None = None, limit: int = 500
    ) -> list[Candle]:
        return await self._history.candles(symbol, timeframe, start_ms=start_ms, limit=limit)

    async def mark_price(self, symbol: str) -> MarkPrice:
        """Mark and last price, from the two endpoints that have them (weight 2)."""

        async def asked(endpoint: Endpoint) -> object:
            return await self.http.call(endpoint, {"symbol": symbol})

        async with together() as group:
            mark_payload = group.create_task(asked(endpoints.PREMIUM_INDEX))
            last_payload = group.create_task(asked(endpoints.TICKER_PRICE))
        mark, last = codec_market.mark_price(mark_payload.result()), codec_market.last_price(last_payload.result())
        return MarkPrice(symbol=symbol, mark_price=mark.price, last_price=last.price, time_ms=mark.time_ms)

    async def funding_rates(self, symbol: str, *, start_ms: int) -> list[tuple[int, float]]:
        """Counted for itself: 500 in five minutes, with fundingInfo (GET /fapi/v1/fundingRate, checked 2026-11)."""
        params = {"symbol": symbol, "startTime": str(start_ms), "limit": "100"}
        return codec_market.funding_rates(await self.http.call(endpoints.FUNDING_RATE, params))

    async def mark_prices(self, symbols: Collection[str]) -> dict[str, MarkPrice]:
        """Mark and last price of several symbols; those that the exchange does not list are left out (weight 12)."""

        async def asked(endpoint: Endpoint) -> object:
            return await self.http.call(endpoint, weight=endpoint.weight_all)

        async with together() as group:
            mark_payload = group.create_task(asked(endpoints.PREMIUM_INDEX))
            last_payload = group.create_task(asked(endpoints.TICKER_PRICE))
        marks = codec_market.mark_prices(mark_payload.result(), symbols)
        lasts = codec_market.last_prices(last_payload.result(), symbols)
        return {
            symbol: MarkPrice(
                symbol=symbol, mark_price=mark.price, last_price=lasts[symbol].price, time_ms=mark.time_ms
            )
            for symbol, mark in marks.items()
            if symbol in lasts
        }

    async def day_volumes(self) -> DayVolumes:
        """GET /fapi/v1/ticker/24hr of all symbols, which weighs 40."""
        told = await self.http.call(endpoints.TICKER_DAY, weight=endpoints.TICKER_DAY.weight_all)
        return codec_market.day_volumes(told)

    async def book(self, symbol: str) -> Book:
        """GET /fapi/v1/depth, a hundred levels of each side (weight 5)."""
        return codec_market.book(await self.http.call(endpoints.DEPTH, {"symbol": symbol, "limit": "100"}), symbol)

    # --- reads: account -----------------------------------------------------------------------
    async def account(self) -> Account:
        """``update_time_ms`` is the exchange's time just before the question, so the answer is no older."""
        at_ms = await self.http.measured_now_ms()
        return codec_account.account(await self.http.call(endpoints.ACCOUNT), at_ms=at_ms)

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Rows of positionRisk: a symbol without position and orders has none; a zero quantity is flat."""
        params = {"symbol": symbol} if symbol is not None else {}
        payload = await self.http.call(endpoints.POSITION_RISK, params)
        return [row.position for row in codec_account.positions(payload, self._orders.told(symbol))]

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        return await self._orders.open_orders(symbol)

    async def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        return await self._orders.open_algos(symbol)

    async def order(self, symbol: str, client_id: str) -> Order | None:
        return await self._orders.order(symbol, client_id)

    async def algo(self, symbol: str, client_id: str) -> AlgoOrder | None:
        return await self._orders.algo(symbol, client_id)

    async def fills(self, symbol: str, *, after_fill_id: int | None = None, start_ms: int | None = None) -> list[Fill]:
        """As urgent as the rest of what is held: what protects is read back with it."""
        found = await self._ledger.fills(symbol, after_fill_id=after_fill_id, start_ms=start_ms, priority=Priority.LOOK)
        return await self._priced(found)

    async def past_orders(self, symbol: str, *, start_ms: int) -> list[Order]:
        return await self._ledger.past_orders(symbol, start_ms=start_ms)

    async def income(self, *, start_ms: int, end_ms: int | None = None, symbol: str | None = None) -> list[Income]:
        return await self._ledger.income(start_ms=start_ms, end_ms=end_ms, symbol=symbol)

    async def symbol_config(self, symbol: str) -> SymbolConfig:
        return await self._setup.symbol_config(symbol)

    async def account_modes(self) -> AccountModes:
        return await self._setup.account_modes()

    async def key_permissions(self) -> KeyPermissions | None:
        """What the key may do (doctor); None where it cannot be asked."""
        return await self._setup.key_permissions()

    async def fee_burn(self) -> bool:
        """Commission is paid in BNB while there is some (doctor)."""
        return codec_account.fee_burn(await self.http.call(endpoints.FEE_BURN))

    def limits_used(self) -> list[tuple[str, int, int, int]]:
        """(kind, window in ms, used, limit) of each rate limit, as the last answers told (doctor)."""
        return [(w.kind, w.interval_ms, w.used, w.limit) for w in self.http.budget.windows.all]

    async def look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        """One look; where the exchange says that there is no such symbol, what its account-wide lists show of it."""
        try:
            return await self._look(symbol, request)
        except Refusal as refusal:
            now_s = self._clock.monotonic()
            if (
                refusal.code != _BAD_SYMBOL
                or now_s - self._unlisted_s.get(symbol, -UNLISTED_EVERY_S) < UNLISTED_EVERY_S
            ):
                raise
            self._unlisted_s[symbol] = now_s
            return await look_unlisted(self, symbol, request, await self.http.measured_now_ms())

    async def _look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        """Orders first, then the position: what protects is never newer than what it protects.

        Fills are asked for as urgently as the rest: reading candles must not blind it.
        ``at_ms`` is the exchange's time before the first question.
        """
        at_ms = await self.http.measured_now_ms(Priority.LOOK)
        async with together() as group:
            orders = group.create_task(self.open_orders(symbol))
            algos = group.create_task(self.open_algos(symbol))
        shown = {order.client_id for order in orders.result()} | {algo.client_id for algo in algos.result()}
        hidden = [client_id for client_id in dict.fromkeys(request.tracked) if client_id not in shown]
        async with together() as group:
            more_orders = [group.create_task(self.order(symbol, c)) for c in hidden if not _is_algo(c, otherwise=False)]
            more_algos = [group.create_task(self.algo(symbol, c)) for c in hidden if _is_algo(c, otherwise=True)]
            position = group.create_task(self._one_way_position(symbol, request.side))
            fills = group.create_task(self._fills_wanted(symbol, request))
            income = group.create_task(self._income_wanted(symbol, request))
            account = group.create_task(self._account_wanted(request))
        all_orders = [*orders.result(), *(order for task in more_orders if (order := task.result()) is not None)]
        all_algos = [*algos.result(), *(algo for task in more_algos if (algo := task.result()) is not None)]
        all_orders += await self._behind(symbol, fills.result(), all_orders, all_algos)
        return SymbolSnapshot(
            symbol=symbol,
            at_ms=at_ms,
            position=position.result(),
            orders=tuple(all_orders),
            algo_orders=tuple(all_algos),
            fills=tuple(fills.result()),
            account=account.result(),
            income=tuple(income.result()),
        )

    def _refused_by_filters(self, request: OrderRequest) -> Refused | None:
        """The last gate: whoever sized the order has checked it before, so a refusal here is somebody's bug."""
        filters = self._filters.get(request.symbol)
        if filters is None:
            return refused(_BAD_SYMBOL, f"not sent: the filters of {request.symbol} are not known; read them first")
        if not filters.tradable:
            return refused(_NOT_OPENING, f"not sent: {filters.contract_type} {request.symbol} is {filters.status}")
        unfit = filters.check_quantity(request.quantity, market=request.type is OrderType.MARKET)
        if unfit is None and request.price is not None:
            unfit = filters.check_price(request.price)
        return unfit

    async def _one_way_position(self, symbol: str, side: Side | None) -> Position | None:
        """The symbol's only position."""
        rows = codec_account.positions(await self.http.call(endpoints.POSITION_RISK, {"symbol": symbol}))
        return codec_account.leg_of(rows, symbol, side)

    async def _behind(self, symbol: str, fills: list[Fill], orders: list[Order], algos: list[AlgoOrder]) -> list[Order]:
        """The orders behind fills that nothing else explains: by hand, liquidation and ADL are told by their names."""
        known = {order.order_id for order in orders} | {algo.actual_order_id for algo in algos}
        unknown = sorted({fill.order_id for fill in fills} - known)[-_BEHIND_MAX:]
        async with together() as group:
            tasks = [group.create_task(self._orders.order_by_id(symbol, order_id)) for order_id in unknown]
        return [order for task in tasks if (order := task.result()) is not None]

    async def _fills_wanted(self, symbol: str, request: LookRequest) -> list[Fill]:
        if request.fills_after_id is None and request.fills_start_ms is None:
            return []
        found = await self._ledger.fills(
            symbol,
            after_fill_id=request.fills_after_id,
            start_ms=request.fills_start_ms,
            priority=Priority.LOOK,
        )
        return await self._priced(found)

    async def _priced(self, fills: list[Fill]) -> list[Fill]:
        """Fills of the last hour with the price of the coin that their commission was paid in, if it can be had."""
        since_ms = self.http.server_now_ms() - PRICED_MS_MAX
        foreign = [f for f in fills if f.commission and f.commission_asset not in ("", MARGIN_ASSET)]
        recent = {f.fill_id: f.commission_asset for f in foreign if f.time_ms >= since_ms}
        prices: dict[str, Decimal] = {}
        for coin in sorted(set(recent.values())):
            with suppress(ExchangeError):  # a fee that cannot be converted is estimated, and says so
                params = {"symbol": f"{coin}{MARGIN_ASSET}"}
                payload = await self.http.call(endpoints.TICKER_PRICE, params, priority=Priority.LOOK)
                prices[coin] = codec_market.last_price(payload).price
        return [replace(f, commission_price=prices.get(recent.get(f.fill_id, ""))) for f in fills] if recent else fills

    async def _income_wanted(self, symbol: str, request: LookRequest) -> list[Income]:
        if request.income_start_ms is None:
            return []
        return await self._ledger.income_if_served(start_ms=request.income_start_ms, symbol=symbol)

    async def _account_wanted(self, request: LookRequest) -> Account | None:
        return await self.account() if request.with_account else None


def _is_algo(client_id: str, *, otherwise: bool) -> bool:
    """Which family an id of ours belongs to; a foreign id is looked for in both."""
    parts = client_ids.parse(client_id)
    return otherwise if parts is None else parts.leg in _ALGO_LEGS
