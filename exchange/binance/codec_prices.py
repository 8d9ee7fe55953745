"""Understands what the market stream tells of prices: the candle under way, and marks with the funding to come.

Streams <symbol>@kline_<interval> and <symbol>@markPrice@1s on /market (stream pages, checked 2026-11).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.binance import fields
from exchange.binance.fields import Row
from exchange.errors import MalformedReply
from indicators.candle import Timeframe

_USDT_MARGINED = 1  # "st" of every market event since 2026-06-30: 2 is COIN-M


class Forming(msgspec.Struct, frozen=True, kw_only=True):
    """A short candle as far as it has come, or all of it. Prices are exact: orders are filled at them."""

    symbol: str
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class MarkTold(msgspec.Struct, frozen=True, kw_only=True):
    """The mark price, and the rate that will be settled at ``funding_ms`` (0: this symbol has no funding)."""

    symbol: str
    at_ms: int
    price: Decimal
    rate: Decimal
    funding_ms: int


def price_event(payload: object, timeframe: Timeframe) -> Forming | MarkTold | None:
    """None for what is about something else. Raises MalformedReply."""
    what = "market stream"
    source = fields.row(payload, what)
    if "data" in source and "e" not in source:
        source = fields.row(source["data"], what)
    if fields.whole_or(source, "st", _USDT_MARGINED) != _USDT_MARGINED:
        return None
    kind = fields.text_or(source, "e", "")
    if kind == "markPriceUpdate":
        return MarkTold(
            symbol=fields.text(source, "s", kind),
            at_ms=fields.moment_or(source, "E", 0),
            price=fields.price(source, "p", kind),
            rate=fields.number_or(source, "r", Decimal(0)),
            funding_ms=fields.moment_or(source, "T", 0),
        )
    k = source.get("k")
    if kind != "kline" or not isinstance(k, dict) or k.get("i") != timeframe.value:
        return None
    prices = (k.get("o"), k.get("h"), k.get("l"), k.get("c"))
    return forming(fields.text(source, "s", kind), k.get("t"), prices, kind)


def formed(payload: object, symbol: str) -> list[Forming]:
    """Rows of GET /fapi/v1/klines and markPriceKlines; those that cannot be true are left out."""
    what = f"candles of {symbol}"
    found: list[Forming] = []
    for item in fields.items(payload, what):
        if not isinstance(item, list) or len(item) < 5:
            raise MalformedReply(f"{what}: a row is not a list of at least 5 values")
        try:
            found.append(forming(symbol, item[0], (item[1], item[2], item[3], item[4]), what))
        except MalformedReply:
            continue
    return found


def premium(source: Row) -> MarkTold:
    """A row of GET /fapi/v1/premiumIndex."""
    what = "GET /fapi/v1/premiumIndex"
    return MarkTold(
        symbol=fields.text(source, "symbol", what),
        at_ms=fields.moment_or(source, "time", 0),
        price=fields.price(source, "markPrice", what),
        rate=fields.number_or(source, "lastFundingRate", Decimal(0)),
        funding_ms=fields.moment_or(source, "nextFundingTime", 0),
    )


def forming(symbol: str, opened: object, prices: tuple[object, object, object, object], what: str) -> Forming:
    """Raises MalformedReply for a candle that contradicts itself."""
    row: Row = {"t": opened, **dict(zip("ohlc", prices, strict=True))}
    found = Forming(
        symbol=symbol,
        open_ms=fields.moment(row, "t", what),
        open=fields.price(row, "o", what),
        high=fields.price(row, "h", what),
        low=fields.price(row, "l", what),
        close=fields.price(row, "c", what),
    )
    if not found.low <= min(found.open, found.close) <= max(found.open, found.close) <= found.high:
        raise MalformedReply(f"{what}: the candle {found.open_ms} of {symbol} contradicts itself")
    return found
