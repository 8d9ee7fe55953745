"""Answers questions about the market: time, symbols, klines, tickers, book, mark price, funding."""

from __future__ import annotations

from collections.abc import Callable

from exchange.errors import Refusal
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import public
from exchange.sim.server.numerals import plain
from exchange.sim.server.params import Params
from exchange.sim.server.payloads_market import Book, day_ticker, kline_row, premium
from exchange.sim.server.weights import by_depth, by_klines, by_symbol

Json = dict[str, object]

_DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
_OPEN_INTEREST = 10_000  # lots; there is nobody else on this exchange


def ping(_: Emulator, __: Params) -> object:
    return {}


def time(emulator: Emulator, _: Params) -> object:
    return {"serverTime": emulator.server_ms}


def exchange_info(emulator: Emulator, _: Params) -> object:
    """The recorded dump, cut to the symbols served here. Its serverTime is of no use, as on the exchange."""
    symbols = emulator.listing.rows(emulator.world.feeds)
    first_ms = min(feed.start_ms for feed in emulator.world.feeds.values())
    return {**emulator.exchange_info, "serverTime": first_ms, "symbols": symbols}


def klines(emulator: Emulator, params: Params) -> object:
    symbol, interval = emulator.symbol(params), params.text("interval")
    start_ms, end_ms, limit = _range(params)
    found = emulator.market.klines(symbol, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
    return [kline_row(kline) for kline in found]


def mark_klines(emulator: Emulator, params: Params) -> object:
    symbol, interval = emulator.symbol(params), params.text("interval")
    start_ms, end_ms, limit = _range(params)
    found = emulator.market.mark_klines(symbol, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
    return [kline_row(kline) for kline in found]


def premium_index(emulator: Emulator, params: Params) -> object:
    def row(symbol: str) -> Json | None:
        quote = emulator.market.quote(symbol)
        if quote is None:
            return None
        market = emulator.market
        return premium(symbol, quote, market.funding_rate(symbol), market.next_funding_ms(), emulator.now_ms)

    return _one_or_all(emulator, params, row)


def funding_rate(emulator: Emulator, params: Params) -> object:
    limit = params.limit(100, 1_000)
    start_ms, end_ms = params.whole_or("startTime"), params.whole_or("endTime", emulator.now_ms)
    rows = [
        {
            "symbol": symbol,
            "fundingRate": f"{rate:.8f}",
            "fundingTime": at_ms,
            "markPrice": f"{mark:.8f}",
            "rateType": "Regular",  # since 2026-07-23
        }
        for symbol in emulator.symbols(params)
        for at_ms, rate, mark in emulator.market.funding_history(symbol, start_ms or 0, end_ms or 0)
    ]
    rows.sort(key=lambda row: str(row["fundingTime"]))
    return rows[:limit] if start_ms is not None else rows[-limit:]


def funding_info(emulator: Emulator, _: Params) -> object:
    """Only symbols with other than the usual settings are listed."""
    return [
        {
            "symbol": symbol,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": hours,
            "disclaimer": False,
        }
        for symbol, hours in emulator.listing.funding_hours.items()
    ]


def book_ticker(emulator: Emulator, params: Params) -> object:
    def row(symbol: str) -> Json | None:
        book = _book(emulator, symbol)
        return None if book is None else book.ticker(symbol, emulator.now_ms)

    return _one_or_all(emulator, params, row)


def price_ticker(emulator: Emulator, params: Params) -> object:
    if emulator.modes.bnb_price is not None and params.text_or("symbol") == "BNBUSDT" not in emulator.world.feeds:
        return {"symbol": "BNBUSDT", "price": str(emulator.modes.bnb_price), "time": emulator.now_ms}

    def row(symbol: str) -> Json | None:
        quote = emulator.market.quote(symbol)
        if quote is None:
            return None
        return {"symbol": symbol, "price": emulator.numerals[symbol].price(quote.last), "time": emulator.now_ms}

    return _one_or_all(emulator, params, row)


def day(emulator: Emulator, params: Params) -> object:
    def row(symbol: str) -> Json | None:
        found = emulator.market.day(symbol)
        return None if found is None else day_ticker(symbol, found, emulator.numerals[symbol], emulator.now_ms)

    return _one_or_all(emulator, params, row)


def depth(emulator: Emulator, params: Params) -> object:
    symbol, limit = emulator.symbol(params), params.limit(500, 1_000)
    if limit not in _DEPTHS:
        raise Refusal(-4021, f"{limit} is not valid depth limit.")
    book = _book(emulator, symbol)
    if book is None:
        raise Refusal(-1122, "Invalid symbol status.")
    return book.depth(limit, emulator.now_ms)


def open_interest(emulator: Emulator, params: Params) -> object:
    symbol = emulator.symbol(params)
    held = emulator.numerals[symbol].step * _OPEN_INTEREST
    return {"openInterest": plain(held), "symbol": symbol, "time": emulator.now_ms}


def nothing(_: Emulator, __: Params) -> object:
    """Coins and margin pairs of the spot exchange, which ccxt asks for while loading markets: there are none here."""
    return []


def system_status(_: Emulator, __: Params) -> object:
    return {"status": 0, "msg": "normal"}


def _range(params: Params) -> tuple[int | None, int | None, int]:
    start_ms, end_ms = params.whole_or("startTime"), params.whole_or("endTime")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise Refusal(-1128, "Combination of optional parameters invalid.")
    return start_ms, end_ms, params.limit(500, 1_500)


def _one_or_all(emulator: Emulator, params: Params, row: Callable[[str], Json | None]) -> object:
    """An object for one symbol, a list for all; symbols without a price yet are left out."""
    rows = [found for symbol in emulator.symbols(params) if (found := row(symbol)) is not None]
    if "symbol" not in params:
        return rows
    if not rows:
        raise Refusal(-1122, "Invalid symbol status.")
    return rows[0]


def _book(emulator: Emulator, symbol: str) -> Book | None:
    quote, state = emulator.market.quote(symbol), emulator.state
    return None if quote is None else Book(quote.last, state.settings, state.filters[symbol])


ENDPOINTS = (
    public("/fapi/v1/ping", ping),
    public("/fapi/v1/time", time),
    public("/fapi/v1/exchangeInfo", exchange_info),
    public("/fapi/v1/klines", klines, by_klines),
    public("/fapi/v1/markPriceKlines", mark_klines, by_klines),
    public("/fapi/v1/premiumIndex", premium_index, by_symbol(1, 10)),
    public("/fapi/v1/fundingRate", funding_rate, counted=False),
    public("/fapi/v1/fundingInfo", funding_info, counted=False),
    public("/fapi/v1/ticker/bookTicker", book_ticker, by_symbol(2, 5)),
    public("/fapi/v1/ticker/price", price_ticker, by_symbol(1, 2)),
    public("/fapi/v2/ticker/price", price_ticker, by_symbol(1, 2)),
    public("/fapi/v1/ticker/24hr", day, by_symbol(1, 40)),
    public("/fapi/v1/depth", depth, by_depth),
    public("/fapi/v1/openInterest", open_interest),
    public("/sapi/v1/capital/config/getall", nothing),
    public("/sapi/v1/margin/allPairs", nothing),
    public("/sapi/v1/system/status", system_status),
)
