"""Understands Binance's market data: symbols with their filters, rate limits, candles, prices, brackets.

Endpoints as checked 2026-11: GET /fapi/v1/exchangeInfo, /fapi/v1/klines, /fapi/v1/premiumIndex,
/fapi/v2/ticker/price, /fapi/v1/ticker/24hr, /fapi/v1/time, /fapi/v1/leverageBracket, /fapi/v1/commissionRate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from decimal import Decimal

import msgspec

from exchange.binance import fields
from exchange.binance.fields import Row
from exchange.day_volumes import DayVolumes
from exchange.errors import MalformedReply
from exchange.filters import SymbolFilters
from exchange.types import Book, Bracket, Level
from indicators.candle import Candle

_ZERO, _ONE = Decimal(0), Decimal(1)
_PAIR = 2
_INTERVAL_MS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One row of exchangeInfo.rateLimits: at most ``limit`` units in each window of ``interval_ms``."""

    kind: str
    interval_ms: int
    limit: int


class ExchangeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols whose rules we understand, and the limits. ``skipped`` names the symbols we could not read."""

    filters: dict[str, SymbolFilters]
    skipped: tuple[str, ...]
    rate_limits: tuple[RateLimit, ...]


class CandleRow(msgspec.Struct, frozen=True):
    """A candle as listed, closed or not; ``close_time_ms`` is its last millisecond.

    One that contradicts itself is None: it counts as missing (R66).
    """

    open_time_ms: int
    close_time_ms: int
    candle: Candle | None


class PriceAt(msgspec.Struct, frozen=True):
    """A price and the time it was taken."""

    price: Decimal
    time_ms: int


def server_time(payload: object) -> int:
    """GET /fapi/v1/time; never exchangeInfo.serverTime, which is days old on demo (checked 2026-09)."""
    what = "GET /fapi/v1/time"
    value = fields.moment(fields.row(payload, what), "serverTime", what)
    if not 0 < value < 10**14:
        raise MalformedReply(f"{what}: serverTime {value} is no time in milliseconds")
    return value


def exchange_info(payload: object) -> ExchangeInfo:
    """A symbol that cannot be read is left out by name: without filters no order of it can leave."""
    what = "GET /fapi/v1/exchangeInfo"
    top = fields.row(payload, what)
    known: dict[str, SymbolFilters] = {}
    skipped: list[str] = []
    for item in fields.items(top.get("symbols"), what):
        try:
            symbol = symbol_filters(fields.row(item, what))
            known[symbol.symbol] = symbol
        except MalformedReply:
            skipped.append(fields.text_or(item, "symbol", "?") if isinstance(item, dict) else "?")
    return ExchangeInfo(filters=known, skipped=tuple(skipped), rate_limits=rate_limits(top.get("rateLimits")))


def funding_intervals(payload: object) -> dict[str, int]:
    """Hours between fundings by symbol (GET /fapi/v1/fundingInfo): only those with other than the usual settings are
    listed, and rows that cannot be read are left out."""
    found: dict[str, int] = {}
    for item in fields.items(payload, "GET /fapi/v1/fundingInfo"):
        if isinstance(item, dict):
            hours = fields.whole_or(item, "fundingIntervalHours", 0)
            if 0 < hours <= 24:
                found[fields.text_or(item, "symbol", "")] = hours
    return found


def rate_limits(payload: object) -> tuple[RateLimit, ...]:
    """Rows that cannot be read are dropped: the built-in limits stay in force for them."""
    found: list[RateLimit] = []
    for item in payload if isinstance(payload, list) else ():
        if not isinstance(item, dict):
            continue
        unit = _INTERVAL_MS.get(fields.text_or(item, "interval", ""), 0)
        limit = RateLimit(
            kind=fields.text_or(item, "rateLimitType", ""),
            interval_ms=unit * fields.whole_or(item, "intervalNum", 0),
            limit=fields.whole_or(item, "limit", 0),
        )
        if limit.kind in ("REQUEST_WEIGHT", "ORDERS") and limit.interval_ms > 0 and limit.limit > 0:
            found.append(limit)
    return tuple(found)


def symbol_filters(source: Row) -> SymbolFilters:
    """Tick, steps, lots and notional are essential; the rest may be absent, and zero switches it off.

    pricePrecision, quantityPrecision, maintMarginPercent and requiredMarginPercent are ignored: they are
    not what their names say (GET /fapi/v1/exchangeInfo, checked 2026-11).
    """
    what = "GET /fapi/v1/exchangeInfo"
    symbol = fields.text(source, "symbol", what)
    what = f"{what} {symbol}"
    by_type = {fields.text_or(f, "filterType", ""): f for f in fields.rows(source.get("filters"), what)}
    price = fields.row(by_type.get("PRICE_FILTER"), f"{what} PRICE_FILTER")
    lot = fields.row(by_type.get("LOT_SIZE"), f"{what} LOT_SIZE")
    market_lot = fields.row(by_type.get("MARKET_LOT_SIZE"), f"{what} MARKET_LOT_SIZE")
    notional = fields.row(by_type.get("MIN_NOTIONAL"), f"{what} MIN_NOTIONAL")
    percent: Row = by_type.get("PERCENT_PRICE", {})
    count: Row = by_type.get("MAX_NUM_ORDERS", {})
    return SymbolFilters(
        symbol=symbol,
        status=fields.text_or(source, "status", "UNRECOGNISED"),
        contract_type=fields.text_or(source, "contractType", "UNRECOGNISED"),
        base_asset=fields.text_or(source, "baseAsset", ""),
        quote_asset=fields.text_or(source, "quoteAsset", ""),
        margin_asset=fields.text_or(source, "marginAsset", ""),
        tick_size=_step(price, "tickSize", what),
        price_min=fields.number_or(price, "minPrice", _ZERO),
        price_max=fields.number_or(price, "maxPrice", _ZERO),
        step_size=_step(lot, "stepSize", what),
        quantity_min=fields.number(lot, "minQty", what),
        quantity_max=fields.number(lot, "maxQty", what),
        market_step_size=_step(market_lot, "stepSize", what),
        market_quantity_min=fields.number(market_lot, "minQty", what),
        market_quantity_max=fields.number(market_lot, "maxQty", what),
        notional_min=fields.number(notional, "notional", what),
        multiplier_up=fields.number_or(percent, "multiplierUp", _ZERO),
        multiplier_down=fields.number_or(percent, "multiplierDown", _ZERO),
        orders_max=fields.whole_or(count, "limit", 0),
        market_take_bound=fields.number_or(source, "marketTakeBound", _ZERO),
        trigger_protect=fields.number_or(source, "triggerProtect", _ZERO),
        liquidation_fee=fields.number_or(source, "liquidationFee", _ZERO),
    )


def candle_rows(payload: object) -> list[CandleRow]:
    """Rows of GET /fapi/v1/klines: [open time, o, h, l, c, volume, close time, …]; the last may be forming."""
    what = "GET /fapi/v1/klines"
    found: list[CandleRow] = []
    for item in fields.items(payload, what):
        if not isinstance(item, list) or len(item) < 7:
            raise MalformedReply(f"{what}: a row is not a list of at least 7 values")
        found.append(_candle_row(item, what))
    return found


def funding_rates(payload: object) -> list[tuple[int, float]]:
    """(time, rate) of GET /fapi/v1/fundingRate, ascending; a rate is a fraction of notional."""
    what = "GET /fapi/v1/fundingRate"
    found: list[tuple[int, float]] = []
    for source in fields.rows(payload, what):
        at_ms, rate = (
            fields.moment(source, "fundingTime", what),
            fields.finite_float(source.get("fundingRate"), "fundingRate", what),
        )
        if not 0 < at_ms < 10**14 or not -1 < rate < 1:
            raise MalformedReply(f"{what}: {rate} at {at_ms} is no funding rate")
        found.append((at_ms, rate))
    if found != sorted(found):
        raise MalformedReply(f"{what}: rows are not ascending")
    return found


def candle(open_time_ms: int, prices: tuple[object, object, object, object], volume: object, what: str) -> Candle:
    """A candle whose numbers can be true: finite, above zero, high not under low. NaN would poison every average."""
    o, h, low, c = (
        fields.finite_float(value, name, what) for value, name in zip(prices, ("o", "h", "l", "c"), strict=True)
    )
    traded = fields.finite_float(volume, "v", what)
    if not 0 < low <= min(o, c) <= max(o, c) <= h or traded < 0:
        raise MalformedReply(f"{what}: candle {open_time_ms} contradicts itself: o={o} h={h} l={low} c={c} v={traded}")
    return Candle(open_time_ms=open_time_ms, open=o, high=h, low=low, close=c, volume=traded)


def mark_price(payload: object) -> PriceAt:
    """GET /fapi/v1/premiumIndex with a symbol."""
    what = "GET /fapi/v1/premiumIndex"
    source = fields.row(payload, what)
    return PriceAt(fields.price(source, "markPrice", what), fields.moment_or(source, "time", 0))


def last_price(payload: object) -> PriceAt:
    """GET /fapi/v2/ticker/price with a symbol (v1 is deprecated, checked 2026-11)."""
    what = "GET /fapi/v2/ticker/price"
    source = fields.row(payload, what)
    return PriceAt(fields.price(source, "price", what), fields.moment_or(source, "time", 0))


def mark_prices(payload: object, symbols: Collection[str]) -> dict[str, PriceAt]:
    """GET /fapi/v1/premiumIndex without a symbol; what is listed of other symbols is not looked at."""
    return _prices_of(payload, symbols, "GET /fapi/v1/premiumIndex", mark_price)


def last_prices(payload: object, symbols: Collection[str]) -> dict[str, PriceAt]:
    """GET /fapi/v2/ticker/price without a symbol; what is listed of other symbols is not looked at."""
    return _prices_of(payload, symbols, "GET /fapi/v2/ticker/price", last_price)


def day_volumes(payload: object) -> DayVolumes:
    """GET /fapi/v1/ticker/24hr without a symbol. A row that names no symbol fails the whole: nobody could say whose
    volume is missing."""
    what = "GET /fapi/v1/ticker/24hr"
    told: dict[str, Decimal] = {}
    unread: set[str] = set()
    for source in fields.rows(payload, what):
        symbol = fields.text(source, "symbol", what)
        volume = fields.number_or(source, "quoteVolume", -_ONE)
        if volume < 0 or symbol in told:  # two rows of one symbol contradict each other
            unread.add(symbol)
        told[symbol] = volume
    if not told:
        raise MalformedReply(f"{what}: an empty list")
    return DayVolumes({name: volume for name, volume in told.items() if name not in unread}, tuple(sorted(unread)))


def book(payload: object, symbol: str) -> Book:
    """GET /fapi/v1/depth: the best of each side first, whatever order they come in."""
    what = f"GET /fapi/v1/depth {symbol}"
    source = fields.row(payload, what)
    bids = sorted(_levels(source.get("bids"), what), key=lambda level: -level.price)
    asks = sorted(_levels(source.get("asks"), what), key=lambda level: level.price)
    return Book(symbol=symbol, bids=tuple(bids), asks=tuple(asks))


def _levels(value: object, what: str) -> list[Level]:
    found = []
    for entry in fields.items(value, what):
        pair = fields.items(entry, what)
        if len(pair) < _PAIR:
            raise MalformedReply(f"{what}: a level is no price and quantity")
        named: Row = {"price": pair[0], "quantity": pair[1]}
        found.append(Level(fields.price(named, "price", what), fields.number(named, "quantity", what)))
    return found


def _prices_of(
    payload: object, symbols: Collection[str], what: str, read: Callable[[object], PriceAt]
) -> dict[str, PriceAt]:
    """A price that cannot be read is left out: its symbol decides nothing at this close, the others do (R64)."""
    found: dict[str, PriceAt] = {}
    for row in fields.items(payload, what):
        name = row.get("symbol") if isinstance(row, dict) else None
        if isinstance(name, str) and name in symbols:
            with suppress(MalformedReply):
                found[name] = read(row)
    return found


def brackets(payload: object, symbol: str) -> tuple[Bracket, ...]:
    """GET /fapi/v1/leverageBracket: a list, or one object when a symbol was sent (both specified, checked 2026-11)."""
    what = f"GET /fapi/v1/leverageBracket {symbol}"
    candidates = [fields.row(payload, what)] if isinstance(payload, dict) else fields.rows(payload, what)
    for source in candidates:
        if source.get("symbol") == symbol:
            found = tuple(_bracket(item, what) for item in fields.rows(source.get("brackets"), what))
            if not found:
                raise MalformedReply(f"{what}: the table is empty")
            return tuple(sorted(found, key=lambda bracket: bracket.notional_floor))
    raise MalformedReply(f"{what}: the symbol is not in the answer")


def commission_rates(payload: object) -> tuple[Decimal, Decimal]:
    """(maker, taker) of GET /fapi/v1/commissionRate."""
    what = "GET /fapi/v1/commissionRate"
    source = fields.row(payload, what)
    return fields.number(source, "makerCommissionRate", what), fields.number(source, "takerCommissionRate", what)


def _step(source: Row, name: str, what: str) -> Decimal:
    value = fields.number(source, name, what)
    if value <= 0:
        raise MalformedReply(f"{what}: {name} is {value}; orders cannot be rounded to it")
    return value


def _candle_row(item: list[object], what: str) -> CandleRow:
    times: Row = {"open": item[0], "close": item[6]}
    opened, closed = fields.moment(times, "open", what), fields.moment(times, "close", what)
    if not 0 <= opened < closed:
        raise MalformedReply(f"{what}: open time {opened} is not before close time {closed}")
    try:
        listed = candle(opened, (item[1], item[2], item[3], item[4]), item[5], what)
    except MalformedReply:
        listed = None
    return CandleRow(opened, closed, listed)


def _bracket(source: Row, what: str) -> Bracket:
    # notionalCoef appears only for adjusted accounts and whether the caps already contain it is not
    # documented (checked 2026-11), so it is not applied.
    return Bracket(
        bracket=fields.whole(source, "bracket", what),
        initial_leverage=fields.whole(source, "initialLeverage", what),
        notional_floor=fields.number(source, "notionalFloor", what),
        notional_cap=fields.number(source, "notionalCap", what),
        maintenance_margin_ratio=fields.number(source, "maintMarginRatio", what),
        cumulative=fields.number(source, "cum", what),
    )
