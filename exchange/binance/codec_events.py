"""Understands what Binance's streams send (user-data and market streams, checked 2026-11).

Field letters are those of the stream pages ORDER_TRADE_UPDATE, ALGO_UPDATE, ACCOUNT_UPDATE and kline.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from exchange.binance import fields
from exchange.binance.codec_account import side_of
from exchange.binance.codec_market import candle
from exchange.binance.codec_orders import actual_order_id, algo_status, order_status, working_type
from exchange.binance.fields import Row
from exchange.errors import MalformedReply
from exchange.events import (
    AccountChanged,
    AlgoChanged,
    BalanceChange,
    CandleClosed,
    ListenKeyExpired,
    MarginCalled,
    OrderChanged,
    OtherEvent,
    PositionChange,
    SettingsChanged,
    TradeTold,
    UserEvent,
)
from exchange.types import AlgoOrder, Fill, Order
from indicators.candle import Timeframe

_ZERO = Decimal(0)
_USDT_MARGINED = 1  # field st of market events since 2026-06-30: 1 = USDT-M, 2 = COIN-M (CM-UM notice, checked 2026-11)


class MarketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a market stream. ``closed`` is set only for a kline with x == true of a timeframe we use."""

    kind: str
    symbol: str
    closed: CandleClosed | None = None


def user_event(payload: object) -> UserEvent:
    """One event of the private stream, raw or in the combined wrapper (its ``stream`` name is opaque)."""
    source = _unwrapped(payload, "user stream")
    kind = fields.text(source, "e", "user stream")
    reader = _USER_READERS.get(kind)
    return OtherEvent(kind=kind) if reader is None else reader(source)


def market_event(payload: object) -> MarketEvent | None:
    """One frame of a market stream; None for COIN-M symbols and for answers to control messages."""
    if isinstance(payload, dict) and "id" in payload and "e" not in payload:
        return None
    source = _unwrapped(payload, "market stream")
    if fields.whole_or(source, "st", _USDT_MARGINED) != _USDT_MARGINED:
        return None
    kind = fields.text(source, "e", "market stream")
    symbol = fields.text_or(source, "s", "")
    if kind != "kline":
        return MarketEvent(kind=kind, symbol=symbol)
    return MarketEvent(kind=kind, symbol=fields.text(source, "s", "kline"), closed=_closed_candle(source))


def _unwrapped(payload: object, what: str) -> Row:
    source = fields.row(payload, what)
    if "data" in source and "e" not in source:
        return fields.row(source["data"], what)
    return source


def _closed_candle(source: Row) -> CandleClosed | None:
    what = "kline"
    k = fields.row(source.get("k"), what)
    timeframe = fields.text(k, "i", what)
    if not fields.flag(k, "x", what) or timeframe not in Timeframe._value2member_map_:
        return None
    opened = fields.moment(k, "t", what)
    known = Timeframe(timeframe)
    if opened < 0 or known.floor(opened) != opened:
        raise MalformedReply(f"{what}: open time {opened} is not a {timeframe} boundary")
    return CandleClosed(
        symbol=fields.text(source, "s", what),
        timeframe=known,
        candle=candle(opened, (k.get("o"), k.get("h"), k.get("l"), k.get("c")), k.get("v"), what),
    )


def _order_changed(source: Row) -> OrderChanged:
    what = "ORDER_TRADE_UPDATE"
    o = fields.row(source.get("o"), what)
    order = Order(
        symbol=fields.text(o, "s", what),
        order_id=fields.whole(o, "i", what),
        client_id=fields.text(o, "c", what),
        side=side_of(o, "S", what),
        type=fields.text_or(o, "o", "UNRECOGNISED"),
        status=order_status(o.get("X")),
        price=fields.number_or(o, "p", _ZERO),
        quantity=fields.number_or(o, "q", _ZERO),
        executed_quantity=fields.number_or(o, "z", _ZERO),
        average_price=fields.positive_or_none(o, "ap"),
        reduce_only=fields.flag_or(o, "R", False),
        update_time_ms=_time(o),
        time_in_force=fields.text_or(o, "f", "GTC"),
    )
    return OrderChanged(
        order=order,
        execution=fields.text_or(o, "x", "UNRECOGNISED"),
        fill=_fill(o, order),
        expiry_reason=fields.text_or(o, "er", ""),
        time_ms=_time(source),
    )


def _fill(o: Row, order: Order) -> Fill | None:
    """The execution in an order event: t is 0 and l is "0" when there was none."""
    fill_id = fields.whole_or(o, "t", 0)
    quantity, price = fields.positive_or_none(o, "l"), fields.positive_or_none(o, "L")
    if fill_id <= 0 or quantity is None or price is None:
        return None
    return Fill(
        symbol=order.symbol,
        fill_id=fill_id,
        order_id=order.order_id,
        side=order.side,
        price=price,
        quantity=quantity,
        realized_pnl=fields.number_or(o, "rp", _ZERO),
        commission=fields.number_or(o, "n", _ZERO),
        commission_asset=fields.text_or(o, "N", ""),
        maker=fields.flag_or(o, "m", False),
        time_ms=_time(o),
    )


def _algo_changed(source: Row) -> AlgoChanged:
    what = "ALGO_UPDATE"
    o = fields.row(source.get("o"), what)
    close_position = fields.flag_or(o, "cp", False)
    algo_order = AlgoOrder(
        symbol=fields.text(o, "s", what),
        algo_id=fields.whole(o, "aid", what),
        client_id=fields.text(o, "caid", what),
        side=side_of(o, "S", what),
        type=fields.text_or(o, "o", "UNRECOGNISED"),
        status=algo_status(o.get("X")),
        trigger_price=fields.number_or(o, "tp", _ZERO),
        working_type=working_type(o.get("wt")),
        quantity=None if close_position else fields.positive_or_none(o, "q"),
        close_position=close_position,
        reduce_only=fields.flag_or(o, "R", False),
        update_time_ms=_time(source),
        actual_order_id=actual_order_id(o, "ai"),
        executed_quantity=fields.number_or(o, "aq", _ZERO),
        reject_reason=fields.text_or(o, "rm", "") or None,
    )
    return AlgoChanged(algo_order=algo_order, time_ms=_time(source))


def _account_changed(source: Row) -> AccountChanged:
    what = "ACCOUNT_UPDATE"
    a = fields.row(source.get("a"), what)
    return AccountChanged(
        reason=fields.text_or(a, "m", "UNRECOGNISED"),
        balances=tuple(
            BalanceChange(asset=fields.text(b, "a", what), wallet_balance=fields.number(b, "wb", what))
            for b in _rows_or_none(a.get("B"), what)
        ),
        positions=tuple(
            PositionChange(
                symbol=fields.text(p, "s", what),
                position_side=fields.text_or(p, "ps", "BOTH"),
                quantity=fields.number(p, "pa", what),
                entry_price=fields.number_or(p, "ep", _ZERO),
            )
            for p in _rows_or_none(a.get("P"), what)
        ),
        symbol=fields.text_or(a, "S", ""),  # a.S since 2026-08-07, for funding (change log)
        time_ms=_time(source),
    )


def _trade_told(source: Row) -> TradeTold:
    what = "TRADE_LITE"
    return TradeTold(
        symbol=fields.text(source, "s", what),
        client_id=fields.text_or(source, "c", ""),
        order_id=fields.whole(source, "i", what),
        fill_id=fields.whole(source, "t", what),
        time_ms=_time(source),
    )


def _settings_changed(source: Row) -> SettingsChanged:
    ac = source.get("ac")
    changed: Row = ac if isinstance(ac, dict) else {}
    return SettingsChanged(
        symbol=fields.text_or(changed, "s", ""), leverage=fields.whole_or(changed, "l", 0), time_ms=_time(source)
    )


def _margin_called(source: Row) -> MarginCalled:
    what = "MARGIN_CALL"
    symbols = tuple(fields.text(p, "s", what) for p in _rows_or_none(source.get("p"), what))
    return MarginCalled(symbols=symbols, time_ms=_time(source))


def _listen_key_expired(source: Row) -> ListenKeyExpired:
    return ListenKeyExpired(time_ms=_time(source))


def _rows_or_none(value: object, what: str) -> list[Row]:
    return [] if value is None else fields.rows(value, what)


def _time(source: Row) -> int:
    return fields.moment_or(source, "T", fields.moment_or(source, "E", 0))


_USER_READERS: dict[str, Callable[[Row], UserEvent]] = {
    "ORDER_TRADE_UPDATE": _order_changed,
    "ALGO_UPDATE": _algo_changed,
    "ACCOUNT_UPDATE": _account_changed,
    "TRADE_LITE": _trade_told,
    "ACCOUNT_CONFIG_UPDATE": _settings_changed,
    "MARGIN_CALL": _margin_called,
    "listenKeyExpired": _listen_key_expired,
}
