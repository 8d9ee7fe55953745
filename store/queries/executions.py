"""How well each trade was carried out: prices and times from signal to stop, and costs against what sizing assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from store import queries
from store.database import Store
from store.models import Trade
from store.queries.fetching import fetch_each
from store.rows import FillRow
from store.sqlite import reading
from store.trade_rows import TradeRow
from store.views import OrderRow

_ZERO = Decimal(0)
_BP = 10_000
_LIMIT = 1_000
"""Orders, fills and steps of one trade; a trade has a handful."""

_SENT = (
    "SELECT min(created_ms), min(CASE WHEN status = 'CONFIRMED' THEN done_ms END) FROM intents"
    " WHERE kind = 'PlaceEntry' AND transition_id IN (SELECT id FROM transitions WHERE trade_id = ?)"
)
_EVENTS = (
    "SELECT trigger, event_json FROM transitions WHERE trade_id = ?"
    " AND trigger IN ('enter', 'exit', 'reduce', 'flatten', 'flat') ORDER BY id"
)
ADOPTED = "adopted"
"""The strategy of a position that was found without its plan: nothing was signalled."""


class SizingCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What sizing assumes, in percent of the price: at the entry, and again at the stop."""

    taker_fee_pct: Decimal
    slippage_pct: Decimal


class FillQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What one order was to fill at, and did; ``bp`` and ``r`` above zero cost."""

    planned: Decimal
    filled: Decimal
    quantity: Decimal
    bp: float
    usdt: Decimal
    r: float | None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One trade that was filled. Times in ms of the exchange's clock, amounts in USDT.

    ``delay_bp`` is the part of a market entry's slippage that the price moved between decision and sending. ``stop``
    and ``target`` compare with the trigger price, ``close`` with the price at which the rules decided to leave.
    """

    trade_id: str
    symbol: str
    side: str
    strategy: str
    signal_candle_ms: int
    decided_ms: int
    sent_ms: int | None
    acknowledged_ms: int | None
    filled_ms: int | None
    filled_whole_ms: int | None
    protected_ms: int | None
    price_sent: Decimal | None
    entry: FillQuality
    delay_bp: float | None
    stop: FillQuality | None
    target: FillQuality | None
    close: FillQuality | None
    turnover: Decimal
    maker_share: float
    fees: Decimal
    fees_assumed: Decimal | None
    funding: Decimal


def costs_assumed(store: Store) -> SizingCosts | None:
    """Of the settings in force, as the bot or the backtest of this database left them; None: neither did."""
    for name, part in (("config", "config"), ("backtest", "assumed")):
        found = queries.document(store, name)
        if found is None:
            continue
        try:
            return msgspec.convert(msgspec.json.decode(found.body_json)[part]["risk"], SizingCosts, strict=False)
        except (KeyError, TypeError, msgspec.ValidationError):
            continue
    return None


def executions(
    store: Store,
    *,
    symbol: str | None = None,
    strategy: str | None = None,
    since_ms: int = 0,
    until_ms: int | None = None,
) -> Iterator[Execution]:
    """Trades that were decided in [since_ms, until_ms) and filled, oldest first."""
    query = Trade.select().where((Trade.opened_ms >= since_ms) & Trade.entry_price.is_null(False))
    query = query if until_ms is None else query.where(Trade.opened_ms < until_ms)
    query = query if symbol is None else query.where(Trade.symbol == symbol)
    query = query if strategy is None else query.where(Trade.strategy_used == strategy)
    costs = costs_assumed(store)
    for trade in fetch_each(store, query.order_by(Trade.opened_ms, Trade.id), TradeRow):
        if trade.strategy_used != ADOPTED:
            yield _execution(store, trade, costs)


def _execution(store: Store, trade: TradeRow, costs: SizingCosts | None) -> Execution:
    fills = queries.fills(store, trade_id=trade.id, limit=_LIMIT)[::-1]
    orders = queries.orders(store, trade_id=trade.id, limit=_LIMIT)
    entered = [fill for fill in fills if fill.side == _entry_side(trade)]
    sent_ms, acknowledged_ms = _sent(store, trade.id)
    told = _Told(store, trade.id)
    entry = _entry(trade, entered)
    waits = any(order.purpose == "PlaceEntry" and order.price is not None for order in orders)
    moved = None if waits else told.price_sent
    legs = _ends(trade, fills, orders, told)
    turnover = sum((fill.price * fill.quantity for fill in fills), _ZERO)
    quantity = sum((fill.quantity for fill in fills), _ZERO)
    made = sum((fill.quantity for fill in fills if fill.maker), _ZERO)
    return Execution(
        trade_id=trade.id,
        symbol=trade.symbol,
        side=trade.side,
        strategy=trade.strategy_used,
        signal_candle_ms=trade.signal_candle_ms,
        decided_ms=trade.opened_ms,
        sent_ms=sent_ms,
        acknowledged_ms=acknowledged_ms,
        filled_ms=entered[0].at_ms if entered else trade.first_fill_ms,
        filled_whole_ms=entered[-1].at_ms if entered else None,
        protected_ms=trade.protected_ms,
        price_sent=told.price_sent,
        entry=entry,
        delay_bp=None if moved is None else _bp(trade, moved, entry.planned, entering=True),
        stop=legs.get("PlaceStop"),
        target=legs.get("PlaceTarget"),
        close=legs.get("ClosePosition"),
        turnover=turnover,
        maker_share=round(float(made / quantity), 6) if quantity else 0.0,
        fees=trade.fees,
        fees_assumed=None if costs is None else turnover * costs.taker_fee_pct / 100,
        funding=trade.funding,
    )


def _entry_side(trade: TradeRow) -> str:
    return "BUY" if trade.side == "LONG" else "SELL"


def _sent(store: Store, trade_id: str) -> tuple[int | None, int | None]:
    """When its entry was sent first, and when the exchange's acceptance of it was known."""
    with reading(store.path):
        row: Any = store.connection.execute(_SENT, (trade_id,)).fetchone()
    return row[0], row[1]


class _Prices(msgspec.Struct, frozen=True):
    last_price: Decimal


class _Triggered(msgspec.Struct, frozen=True):
    client_id: str
    actual_order_id: int | None = None


class _Snapshot(msgspec.Struct, frozen=True):
    algo_orders: tuple[_Triggered, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    """The part of an event that says at which price something was decided, and which order a trigger became."""

    prices: _Prices | None = None
    snapshot: _Snapshot | None = None


class _Told:
    """What the steps of a trade say beside its rows."""

    def __init__(self, store: Store, trade_id: str) -> None:
        self.price_sent: Decimal | None = None
        self.price_left: Decimal | None = None
        self.order_of: dict[int, str] = {}
        with reading(store.path):
            rows: list[Any] = list(store.connection.execute(_EVENTS, (trade_id,)))
        for trigger, event_json in rows:
            event = msgspec.json.decode(event_json, type=_Event, strict=False)
            price = event.prices.last_price if event.prices is not None else None
            if trigger == "enter":
                self.price_sent = price
            elif price is not None and self.price_left is None:
                self.price_left = price
            for algo in () if event.snapshot is None else event.snapshot.algo_orders:
                if algo.actual_order_id is not None:
                    self.order_of[algo.actual_order_id] = algo.client_id


def _entry(trade: TradeRow, entered: Sequence[FillRow]) -> FillQuality:
    assert trade.entry_price is not None, "only trades with an entry price are asked for"
    quantity = sum((fill.quantity for fill in entered), _ZERO) or trade.open_quantity + trade.closed_quantity
    return _leg(trade, trade.entry_price_planned, trade.entry_price, quantity, entering=True)


def _ends(trade: TradeRow, fills: Sequence[FillRow], orders: Sequence[OrderRow], told: _Told) -> dict[str, FillQuality]:
    """What closed it, by the purpose of the order: all fills of that kind together."""
    by_id = {order.client_order_id: order for order in orders}
    by_number = {order.order_id: order for order in orders if order.family == "ORDER"}
    sums: dict[str, list[tuple[Decimal, FillRow]]] = {}
    for fill in fills:
        if fill.side == _entry_side(trade):
            continue
        order = by_id.get(told.order_of.get(fill.order_id, "")) or by_number.get(fill.order_id)
        planned = None if order is None else order.trigger_price or told.price_left
        if order is not None and planned is not None:
            sums.setdefault(order.purpose, []).append((planned, fill))
    return {purpose: _together(trade, pairs) for purpose, pairs in sums.items()}


def _together(trade: TradeRow, pairs: Sequence[tuple[Decimal, FillRow]]) -> FillQuality:
    quantity = sum((fill.quantity for _, fill in pairs), _ZERO)
    planned = sum((price * fill.quantity for price, fill in pairs), _ZERO) / quantity
    filled = sum((fill.price * fill.quantity for _, fill in pairs), _ZERO) / quantity
    return _leg(trade, planned, filled, quantity, entering=False)


def _leg(trade: TradeRow, planned: Decimal, filled: Decimal, quantity: Decimal, *, entering: bool) -> FillQuality:
    usdt = _worse(trade, filled, planned, entering=entering) * quantity
    return FillQuality(
        planned=planned,
        filled=filled,
        quantity=quantity,
        bp=_bp(trade, filled, planned, entering=entering),
        usdt=usdt,
        r=round(float(usdt / trade.risk_usdt), 6) if trade.risk_usdt else None,
    )


def _bp(trade: TradeRow, price: Decimal, than: Decimal, *, entering: bool) -> float:
    return round(float(_worse(trade, price, than, entering=entering) / than * _BP), 4) if than else 0.0


def _worse(trade: TradeRow, price: Decimal, than: Decimal, *, entering: bool) -> Decimal:
    """How much worse a price is for whoever pays or gets it; below zero it is better."""
    buys = (trade.side == "LONG") is entering
    return price - than if buys else than - price
