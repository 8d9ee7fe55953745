"""The client of the second exchange: it translates, and is written against the root of ``exchange`` alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from exchange.day_volumes import DayVolumes
from exchange.errors import Refusal
from exchange.filters import SymbolFilters
from exchange.refusals import RefusalReason
from exchange.types import (
    Account,
    AccountModes,
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Book,
    Bracket,
    ConditionalType,
    Confirmed,
    Fill,
    Income,
    IncomeKind,
    Level,
    LookRequest,
    MarginType,
    MarkPrice,
    Order,
    OrderRequest,
    OrderStatus,
    Outcome,
    Pause,
    Position,
    Refused,
    Room,
    Side,
    SymbolConfig,
    SymbolSnapshot,
    WorkingType,
)
from indicators.candle import Candle, Timeframe
from tests.integration.bourse.venue import HOUR_S, Bourse, Row

SYMBOL = "BTCUSDT"
ZERO = Decimal(0)
REASONS = {
    "REF_SEEN": RefusalReason.DUPLICATE_ID,
    "ONE_IS_ENOUGH": RefusalReason.ALREADY_RESTS,
    "AT_ONCE": RefusalReason.WOULD_TRIGGER,
    "EMPTY_HANDED": RefusalReason.NO_POSITION,
    "NOTHING_HELD": RefusalReason.NOTHING_TO_REDUCE,
    "NO_SUCH_REF": RefusalReason.NO_SUCH_ORDER,
    "OFF_GRID": RefusalReason.OFF_TICK,
}
WAYS = {Side.BUY: "bid", Side.SELL: "ask"}
SIDES = {way: side for side, way in WAYS.items()}
SORTS = {ConditionalType.STOP_MARKET: "loss", ConditionalType.TAKE_PROFIT_MARKET: "profit"}
KINDS = {sort: kind for kind, sort in SORTS.items()}
SLIP_STATES = {"working": OrderStatus.NEW, "spent": OrderStatus.FILLED, "pulled": OrderStatus.CANCELED}
GUARD_STATES = {
    "armed": AlgoStatus.NEW,
    "off": AlgoStatus.FINISHED,
    "pulled": AlgoStatus.CANCELED,
    "void": AlgoStatus.EXPIRED,
}
LEDGER = {"gain": IncomeKind.REALIZED_PNL, "fee": IncomeKind.COMMISSION}
FILTERS = SymbolFilters(
    symbol=SYMBOL,
    status="TRADING",
    contract_type="PERPETUAL",
    base_asset="BTC",
    quote_asset="USDT",
    margin_asset="USDT",
    tick_size=Decimal("0.1"),
    price_min=Decimal("0.1"),
    price_max=Decimal(1_000_000),
    step_size=Decimal("0.001"),
    quantity_min=Decimal("0.001"),
    quantity_max=Decimal(100),
    market_step_size=Decimal("0.001"),
    market_quantity_min=Decimal("0.001"),
    market_quantity_max=Decimal(100),
    notional_min=Decimal(5),
    multiplier_up=ZERO,
    multiplier_down=ZERO,
    orders_max=100,
    market_take_bound=ZERO,
    trigger_protect=ZERO,
    liquidation_fee=ZERO,
)


def ms(seconds: float) -> int:
    return int(seconds * 1000)


class BourseClient:
    """Implements ``exchange.port.Exchange``."""

    def __init__(self, bourse: Bourse) -> None:
        self._bourse = bourse
        self.unanswered = ""
        """What is asked for by this word is done, and no answer ever comes."""
        self._left: set[str] = set()

    def _ask(self, what: str, **how: Any) -> Any:
        answer = self._bourse.ask(what, **how)
        if not answer["fine"]:
            raise Refusal(0, answer["because"], REASONS.get(answer["because"], RefusalReason.OTHER))
        return answer["gives"]

    async def _write(self, what: str, **how: Any) -> Row | Refused:
        answer = self._bourse.ask(what, **how)
        if what == self.unanswered:
            await asyncio.Event().wait()
        if answer["fine"]:
            gives: Row = answer["gives"]
            return gives
        word = answer["because"]
        return Refused(word, f"{what}: {word}", REASONS.get(word, RefusalReason.OTHER))

    # --- writes -------------------------------------------------------------------------------
    async def place_order(self, request: OrderRequest) -> Outcome:
        self._left.add(request.client_id)
        made = await self._write(
            "slips/put",
            ref=request.client_id,
            way=WAYS[request.side],
            kind="now",
            amount=request.quantity,
            px=request.price,
            less=request.reduce_only,
        )
        if isinstance(made, Refused):
            found = await self.order(request.symbol, request.client_id)
            return Confirmed(order=found) if made.code == "REF_SEEN" and found is not None else made
        return Confirmed(order=order_of(made))

    async def place_algo(self, request: AlgoRequest) -> Outcome:
        self._left.add(request.client_id)
        made = await self._write(
            "guards/put",
            ref=request.client_id,
            way=WAYS[request.side],
            sort=SORTS[request.type],
            at=request.trigger_price,
            amount=None if request.close_position else request.quantity,
            less=request.reduce_only,
        )
        if isinstance(made, Refused):
            found = await self.algo(request.symbol, request.client_id)
            rests = found is not None and found.status.is_open and found.trigger_price == request.trigger_price
            return Confirmed(algo_order=found) if made.code == "REF_SEEN" and rests else made
        return Confirmed(algo_order=algo_of(made))

    async def cancel_order(self, symbol: str, client_id: str) -> Outcome:
        made = await self._write("slips/pull", ref=client_id)
        if isinstance(made, Refused):
            found = await self.order(symbol, client_id)
            return made if found is None else Confirmed(order=found)
        return Confirmed(order=order_of(made))

    async def cancel_algo(self, symbol: str, client_id: str) -> Outcome:
        made = await self._write("guards/pull", ref=client_id)
        if isinstance(made, Refused):
            found = await self.algo(symbol, client_id)
            return made if found is None else Confirmed(algo_order=found)
        return Confirmed(algo_order=algo_of(made))

    async def cancel_all(self, symbol: str) -> Outcome:
        for order in await self.open_orders(symbol):
            await self.cancel_order(symbol, order.client_id)
        for algo in await self.open_algos(symbol):
            await self.cancel_algo(symbol, algo.client_id)
        return Confirmed()

    async def ensure_margin_type(self, symbol: str, margin_type: MarginType) -> Outcome:
        return Confirmed()  # it knows no other

    async def ensure_leverage(self, symbol: str, leverage: int) -> Outcome:
        self._ask("gear/set", gear=leverage)
        return Confirmed()

    # --- what goes first, and what went -------------------------------------------------------
    def set_naked(self, symbol: str, naked: bool) -> None:
        """Here nothing waits for anything else."""

    def has_left(self, client_id: str) -> bool:
        return client_id in self._left

    def pause(self) -> Pause | None:
        return None

    # --- reads --------------------------------------------------------------------------------
    async def server_time_ms(self) -> int:
        return ms(self._ask("time"))

    async def filters(self) -> dict[str, SymbolFilters]:
        return {SYMBOL: FILTERS}

    async def brackets(self, symbol: str) -> tuple[Bracket, ...]:
        return (
            Bracket(
                bracket=1,
                initial_leverage=20,
                notional_floor=ZERO,
                notional_cap=Decimal(10_000_000),
                maintenance_margin_ratio=Decimal("0.01"),
                cumulative=ZERO,
            ),
        )

    async def commission_rates(self, symbol: str) -> tuple[Decimal, Decimal]:
        return Decimal("0.0005"), Decimal("0.0005")

    async def candles(
        self, symbol: str, timeframe: Timeframe, *, start_ms: int | None = None, limit: int = 500
    ) -> list[Candle]:
        assert timeframe is Timeframe.H1, "this exchange has bars of an hour only"
        now_s = self._ask("time")
        first_s = start_ms / 1000 if start_ms is not None else now_s // HOUR_S * HOUR_S - limit * HOUR_S
        rows = self._ask("bars", since=first_s, most=limit)
        return [
            Candle(
                open_time_ms=ms(row["t"]), open=row["o"], high=row["h"], low=row["l"], close=row["c"], volume=row["v"]
            )
            for row in rows
        ]

    async def mark_price(self, symbol: str) -> MarkPrice:
        price = self._ask("holding")["px"]
        return MarkPrice(symbol=symbol, mark_price=price, last_price=price, time_ms=await self.server_time_ms())

    async def funding_rates(self, symbol: str, *, start_ms: int) -> list[tuple[int, float]]:
        return []

    async def mark_prices(self, symbols: Collection[str]) -> dict[str, MarkPrice]:
        return {name: await self.mark_price(name) for name in symbols if name == SYMBOL}

    async def day_volumes(self) -> DayVolumes:
        return DayVolumes({SYMBOL: Decimal(0)})

    def room(self) -> Room:
        return Room()

    def tell_unreadable(self, told: Callable[[str, str], None]) -> None:
        """It is never illegible."""

    async def book(self, symbol: str) -> Book:
        """It publishes none, and takes any order at its price."""
        endless = (Level(self._ask("holding")["px"], Decimal(1_000_000_000)),)
        return Book(symbol=symbol, bids=endless, asks=endless)

    async def account(self) -> Account:
        purse = self._ask("purse")
        equity = purse["cash"] + purse["gain"]
        return Account(
            wallet_balance=purse["cash"],
            unrealized_pnl=purse["gain"],
            equity=equity,
            available_balance=equity,
            update_time_ms=await self.server_time_ms(),
        )

    async def positions(self, symbol: str | None = None) -> list[Position]:
        held = self._ask("holding")
        if held["amount"] == 0:
            return []
        return [
            Position(
                symbol=SYMBOL,
                quantity=held["amount"],
                entry_price=held["cost"],
                mark_price=held["px"],
                unrealized_pnl=held["gain"],
                liquidation_price=None,
                isolated_wallet=ZERO,
                update_time_ms=await self.server_time_ms(),
            )
        ]

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        return [order for order in self._orders() if order.status.is_open]

    async def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        return [algo for algo in self._algos() if algo.status.is_open]

    async def order(self, symbol: str, client_id: str) -> Order | None:
        return next((order for order in self._orders() if order.client_id == client_id), None)

    async def algo(self, symbol: str, client_id: str) -> AlgoOrder | None:
        return next((algo for algo in self._algos() if algo.client_id == client_id), None)

    def _orders(self) -> list[Order]:
        return [order_of(row) for row in self._ask("slips/list")]

    def _algos(self) -> list[AlgoOrder]:
        return [algo_of(row) for row in self._ask("guards/list")]

    async def fills(self, symbol: str, *, after_fill_id: int | None = None, start_ms: int | None = None) -> list[Fill]:
        found = [fill_of(row) for row in self._ask("deals/list", after=after_fill_id or 0)]
        return [fill for fill in found if start_ms is None or fill.time_ms >= start_ms]

    async def past_orders(self, symbol: str, *, start_ms: int) -> list[Order]:
        return [order for order in self._orders() if order.update_time_ms >= start_ms]

    async def income(self, *, start_ms: int, end_ms: int | None = None, symbol: str | None = None) -> list[Income]:
        rows = [income_of(row) for row in self._ask("statement/list", since=start_ms / 1000)]
        return [row for row in rows if end_ms is None or row.time_ms <= end_ms]

    async def symbol_config(self, symbol: str) -> SymbolConfig:
        return SymbolConfig(symbol=symbol, margin_type=MarginType.ISOLATED, leverage=self._ask("purse")["gear"])

    async def account_modes(self) -> AccountModes:
        return AccountModes()

    async def look(self, symbol: str, request: LookRequest) -> SymbolSnapshot:
        fills: list[Fill] = []
        if request.fills_after_id is not None or request.fills_start_ms is not None:
            fills = await self.fills(symbol, after_fill_id=request.fills_after_id, start_ms=request.fills_start_ms)
        behind = {fill.order_id for fill in fills}
        wanted_orders = [
            order
            for order in self._orders()
            if order.status.is_open or order.client_id in request.tracked or order.order_id in behind
        ]
        wanted_algos = [algo for algo in self._algos() if algo.status.is_open or algo.client_id in request.tracked]
        since_ms = request.income_start_ms
        return SymbolSnapshot(
            symbol=symbol,
            at_ms=await self.server_time_ms(),
            position=next(iter(await self.positions(symbol)), None),
            orders=tuple(wanted_orders),
            algo_orders=tuple(wanted_algos),
            fills=tuple(fills),
            account=await self.account() if request.with_account else None,
            income=() if since_ms is None else tuple(await self.income(start_ms=since_ms)),
        )


def order_of(row: Row) -> Order:
    return Order(
        symbol=SYMBOL,
        order_id=row["no"],
        client_id=row["ref"],
        side=SIDES[row["way"]],
        type="MARKET",
        status=SLIP_STATES[row["is"]],
        price=row["px"] or ZERO,
        quantity=row["amount"],
        executed_quantity=row["taken"],
        average_price=row["worth"] / row["taken"] if row["taken"] else None,
        reduce_only=row["less"],
        update_time_ms=ms(row["t"]),
    )


def algo_of(row: Row) -> AlgoOrder:
    return AlgoOrder(
        symbol=SYMBOL,
        algo_id=row["no"],
        client_id=row["ref"],
        side=SIDES[row["way"]],
        type=KINDS[row["sort"]].value,
        status=GUARD_STATES[row["is"]],
        trigger_price=row["at"],
        working_type=WorkingType.MARK_PRICE,
        quantity=row["amount"],
        close_position=row["all"],
        reduce_only=row["less"],
        update_time_ms=ms(row["t"]),
        actual_order_id=row["slip"],
        executed_quantity=row["taken"],
    )


def fill_of(row: Row) -> Fill:
    return Fill(
        symbol=SYMBOL,
        fill_id=row["no"],
        order_id=row["slip"],
        side=SIDES[row["way"]],
        price=row["px"],
        quantity=row["amount"],
        realized_pnl=row["gain"],
        commission=row["fee"],
        commission_asset="USDT",
        maker=False,
        time_ms=ms(row["t"]),
    )


def income_of(row: Row) -> Income:
    return Income(
        symbol=SYMBOL,
        income_type=LEDGER[row["of"]],
        income=row["sum"],
        asset="USDT",
        time_ms=ms(row["t"]),
        transaction_id=row["no"],
        trade_id=str(row["deal"]),
    )
