"""Market data as Binance's JSON: klines, tickers, book, mark price and funding, in REST and stream form.

Field names of the REST and stream pages, checked 2026-11.
"""

from __future__ import annotations

from decimal import Decimal

from exchange.filters import SymbolFilters, decimal_of
from exchange.sim.core.pricing import shown_price, shown_quantity
from exchange.sim.core.state import Settings
from exchange.sim.playback.candle_path import Quote
from exchange.sim.server.market import Kline
from exchange.sim.server.numerals import Numerals, exact
from exchange.types import Side

Json = dict[str, object]

USDT_MARGINED = 1  # field st of market events since 2026-06-30


def kline_row(kline: Kline) -> list[object]:
    """One row of GET /fapi/v1/klines; what was not recorded is made of the volume."""
    return [
        kline.open_ms,
        exact(kline.open),
        exact(kline.high),
        exact(kline.low),
        exact(kline.close),
        exact(kline.volume),
        kline.end_ms - 1,
        f"{kline.quote_volume:.2f}",
        kline.trades,
        f"{kline.volume / 2:.3f}",
        f"{kline.quote_volume / 2:.2f}",
        "0",
    ]


def kline_event(symbol: str, interval: str, kline: Kline, *, closed: bool, at_ms: int) -> Json:
    """<symbol>@kline_<interval>."""
    return {
        "e": "kline",
        "E": at_ms,
        "s": symbol,
        "k": {
            "t": kline.open_ms,
            "T": kline.end_ms - 1,
            "s": symbol,
            "i": interval,
            "f": kline.open_ms,
            "L": kline.open_ms + kline.trades,
            "o": exact(kline.open),
            "c": exact(kline.close),
            "h": exact(kline.high),
            "l": exact(kline.low),
            "v": exact(kline.volume),
            "n": kline.trades,
            "x": closed,
            "q": f"{kline.quote_volume:.2f}",
            "V": f"{kline.volume / 2:.3f}",
            "Q": f"{kline.quote_volume / 2:.2f}",
            "B": "0",
        },
    }


def premium(symbol: str, quote: Quote, rate: Decimal, next_ms: int, at_ms: int) -> Json:
    """GET /fapi/v1/premiumIndex; the index is taken to be the mark."""
    return {
        "symbol": symbol,
        "markPrice": f"{quote.mark:.8f}",
        "indexPrice": f"{quote.mark:.8f}",
        "estimatedSettlePrice": f"{quote.mark:.8f}",
        "lastFundingRate": f"{rate:.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": next_ms,
        "time": at_ms,
    }


def mark_event(symbol: str, quote: Quote, rate: Decimal, next_ms: int, at_ms: int) -> Json:
    """<symbol>@markPrice."""
    mark = f"{quote.mark:.8f}"
    return {
        "e": "markPriceUpdate",
        "E": at_ms,
        "s": symbol,
        "p": mark,
        "ap": mark,
        "i": mark,
        "P": mark,
        "r": f"{rate:.8f}",
        "T": next_ms,
        "st": USDT_MARGINED,
    }


def day_ticker(symbol: str, day: Kline, numerals: Numerals, at_ms: int) -> Json:
    """GET /fapi/v1/ticker/24hr."""
    change = day.close - day.open
    average = day.quote_volume / day.volume if day.volume else day.close

    def price(value: float) -> str:
        return numerals.price(decimal_of(value))

    return {
        "symbol": symbol,
        "priceChange": price(change),
        "priceChangePercent": f"{change / day.open * 100:.3f}",
        "weightedAvgPrice": price(average),
        "lastPrice": price(day.close),
        "lastQty": numerals.quantity(numerals.step),
        "openPrice": price(day.open),
        "highPrice": price(day.high),
        "lowPrice": price(day.low),
        "volume": f"{day.volume:.3f}",
        "quoteVolume": f"{day.quote_volume:.2f}",
        "openTime": day.open_ms,
        "closeTime": at_ms,
        "firstId": day.open_ms,
        "lastId": day.open_ms + day.trades,
        "count": day.trades,
    }


def day_event(symbol: str, day: Kline, numerals: Numerals, at_ms: int) -> Json:
    """<symbol>@ticker: the same statistics in letters."""
    row = day_ticker(symbol, day, numerals, at_ms)
    letters = {
        "priceChange": "p", "priceChangePercent": "P", "weightedAvgPrice": "w", "lastPrice": "c", "lastQty": "Q",
        "openPrice": "o", "highPrice": "h", "lowPrice": "l", "volume": "v", "quoteVolume": "q", "openTime": "O",
        "closeTime": "C", "firstId": "F", "lastId": "L", "count": "n",
    }  # fmt: skip
    told = {letter: row[name] for name, letter in letters.items()}
    return {"e": "24hrTicker", "E": at_ms, "s": symbol, **told, "st": USDT_MARGINED}


class Book:
    """The order book that executions assume: level k lies k slippages beyond the last price, rounded against takers."""

    def __init__(self, last: Decimal, settings: Settings, filters: SymbolFilters) -> None:
        self._last = last
        self._settings = settings
        self._filters = filters
        self._numerals = Numerals.of(filters)

    def level(self, taker: Side, number: int) -> list[str]:
        """[price, quantity] that a taker of this side meets; the best level is number 1."""
        price = self._price(taker, number)
        return [self._numerals.price(price), self._numerals.quantity(shown_quantity(price, self._settings))]

    def side(self, taker: Side, levels: int) -> list[list[str]]:
        """Best price first; a side ends above zero."""
        found = (number for number in range(1, levels + 1) if self._price(taker, number) > 0)
        return [self.level(taker, number) for number in found]

    def _price(self, taker: Side, number: int) -> Decimal:
        return shown_price(taker, number, self._last, self._filters, self._settings)

    def ticker(self, symbol: str, at_ms: int) -> Json:
        """GET /fapi/v1/ticker/bookTicker."""
        bid, ask = self.level(Side.SELL, 1), self.level(Side.BUY, 1)
        return {
            "symbol": symbol,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
            "time": at_ms,
        }

    def ticker_event(self, symbol: str, number: int, at_ms: int) -> Json:
        """<symbol>@bookTicker."""
        bid, ask = self.level(Side.SELL, 1), self.level(Side.BUY, 1)
        return {
            "e": "bookTicker",
            "u": number,
            "E": at_ms,
            "T": at_ms,
            "s": symbol,
            "ps": symbol,
            "b": bid[0],
            "B": bid[1],
            "a": ask[0],
            "A": ask[1],
            "st": USDT_MARGINED,
        }

    def depth(self, levels: int, at_ms: int) -> Json:
        """GET /fapi/v1/depth."""
        return {
            "lastUpdateId": at_ms,
            "E": at_ms,
            "T": at_ms,
            "bids": self.side(Side.SELL, levels),
            "asks": self.side(Side.BUY, levels),
        }

    def depth_event(self, symbol: str, levels: int, number: int, before: int, at_ms: int) -> Json:
        """<symbol>@depth<levels>: the whole (partial) book each time."""
        return {
            "e": "depthUpdate",
            "E": at_ms,
            "T": at_ms,
            "s": symbol,
            "ps": symbol,
            "U": number,
            "u": number,
            "pu": before,
            "b": self.side(Side.SELL, levels),
            "a": self.side(Side.BUY, levels),
            "st": USDT_MARGINED,
        }


def trade_event(symbol: str, price: Decimal, numerals: Numerals, number: int, *, falling: bool, at_ms: int) -> Json:
    """<symbol>@aggTrade: one smallest trade at the price of now."""
    quantity = numerals.quantity(numerals.step)
    return {
        "e": "aggTrade",
        "E": at_ms,
        "a": number,
        "s": symbol,
        "p": numerals.price(price),
        "q": quantity,
        "nq": quantity,
        "f": number,
        "l": number,
        "T": at_ms,
        "m": falling,
        "st": USDT_MARGINED,
    }
