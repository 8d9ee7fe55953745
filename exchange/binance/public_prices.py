"""Asks for prices and rules of the symbols by public endpoints alone: no call of it carries a key or a signature."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from decimal import Decimal

from exchange.binance import codec_market, endpoints, fields
from exchange.binance.codec_prices import Forming, MarkTold, formed, premium
from exchange.binance.endpoints import Endpoint, klines_weight
from exchange.binance.http import Http
from exchange.errors import ExchangeError, MalformedReply, Refusal
from exchange.filters import decimal_of
from exchange.priority import Priority
from indicators.candle import Timeframe

PAGE_MAX = 1_500
SHORTEST = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1)
"""Mainnet has candles of one minute; a simulated exchange may have longer ones alone."""


class PublicPrices:
    """Every method raises an ExchangeError when the exchange cannot be asked. ``http`` has no credentials."""

    def __init__(self, http: Http) -> None:
        self.http = http

    async def rules(self) -> fields.Row:
        """The answer of exchangeInfo."""
        payload = fields.row(await self._asked(endpoints.EXCHANGE_INFO), endpoints.EXCHANGE_INFO.name)
        self.http.budget.windows.learn(codec_market.rate_limits(payload.get("rateLimits")))
        return payload

    async def funding_hours(self) -> dict[str, int]:
        """Hours between fundings of symbols with other than the usual ones; nothing depends on an answer."""
        try:
            return codec_market.funding_intervals(await self._asked(endpoints.FUNDING_INFO))
        except ExchangeError:
            return {}

    async def marks(self, symbols: Collection[str]) -> dict[str, MarkTold]:
        """Marks and coming rates; of a symbol that is not listed, or not legibly, nothing."""
        payload = await self._asked(endpoints.PREMIUM_INDEX, weight=endpoints.PREMIUM_INDEX.weight_all)
        found: dict[str, MarkTold] = {}
        for row in fields.items(payload, endpoints.PREMIUM_INDEX.name):
            if isinstance(row, dict) and row.get("symbol") in symbols:
                with suppress(MalformedReply):
                    told = premium(row)
                    found[told.symbol] = told
        return found

    async def shortest(self, symbol: str) -> Timeframe:
        """Of the shortest candles that are served."""
        for timeframe in SHORTEST[:-1]:
            with suppress(Refusal):
                await self._page(endpoints.KLINES, symbol, timeframe, 0, 1)
                return timeframe
        return SHORTEST[-1]

    async def candles(
        self, symbol: str, timeframe: Timeframe, first_ms: int, until_ms: int, *, of_mark: bool = False
    ) -> list[Forming]:
        """Every one that opened in [first, until), the last one as far as it has come."""
        found: dict[int, Forming] = {}
        endpoint = endpoints.MARK_KLINES if of_mark else endpoints.KLINES
        while first_ms < until_ms:
            limit = min(PAGE_MAX, (until_ms - first_ms) // timeframe.ms + 2)
            page = await self._page(endpoint, symbol, timeframe, first_ms, limit)
            found |= {candle.open_ms: candle for candle in page}
            next_ms = max(found, default=0) + timeframe.ms
            if len(page) < limit or next_ms <= first_ms:
                break
            first_ms = next_ms
        return [found[open_ms] for open_ms in sorted(found)]

    async def rates(self, symbol: str, first_ms: int) -> dict[int, Decimal]:
        """What was settled since then, by the full hour. Without an answer the rate that was told before holds."""
        params = {"symbol": symbol, "limit": "1000", "startTime": str(first_ms)}
        try:
            rows = codec_market.funding_rates(await self._asked(endpoints.FUNDING_RATE, params))
        except ExchangeError:
            return {}
        return {at_ms - at_ms % 3_600_000: decimal_of(rate) for at_ms, rate in rows}

    async def _page(
        self, endpoint: Endpoint, symbol: str, timeframe: Timeframe, first_ms: int, limit: int
    ) -> list[Forming]:
        params = {"symbol": symbol, "interval": timeframe.value, "limit": str(limit)}
        params |= {"startTime": str(first_ms)} if first_ms else {}
        return formed(await self._asked(endpoint, params, weight=klines_weight(limit)), symbol)

    async def _asked(
        self, endpoint: Endpoint, params: dict[str, str] | None = None, *, weight: int | None = None
    ) -> object:
        return await self.http.call(endpoint, params, weight=weight, priority=Priority.LOOK)
