"""Reads history for the store page by page, by public endpoints alone: candles, marks, funding, rules of the symbols.

It asks as the least urgent of all: downloads wait as soon as this address has used up a third of the exchange's limit,
whoever used it, so what trading keeps in reserve is never touched (limits.py). Funding has a limit of its own, 500
requests in five minutes for an address (GET /fapi/v1/fundingRate, checked 2026-11), of which half is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from exchange.binance import codec_market, endpoints, fields
from exchange.binance.candle_history import PAGE_MAX, each_once, fits
from exchange.binance.endpoints import Endpoint, klines_weight
from exchange.binance.http import Http
from exchange.candle_store.downloading import Page, Rules
from exchange.candle_store.manifest import Rejected
from exchange.candle_store.series import Kind, Series
from exchange.clock import Clock
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Unreachable
from exchange.priority import Priority

FUNDING_PAGE_MAX = 1_000
_FUNDING_REQUESTS, _FUNDING_WINDOW_S = 250, 300.0
_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Pauses before a question that got no answer is asked again; then the download ends, and goes on when it is called."""

_BAN_MS_MAX = 600_000
"""A longer ban is not waited for."""

T = TypeVar("T")


@asynccontextmanager
async def public_history(url: str, clock: Clock) -> AsyncIterator[PublicHistory]:
    """With connections and a budget of its own, as long as the block lasts."""
    http = Http(base_url=url, clock=clock)
    try:
        yield PublicHistory(http, clock)
    finally:
        await http.aclose()


class PublicHistory:
    """Needs no keys. Every method raises an ExchangeError when the exchange cannot be asked."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http, self._clock = http, clock
        self._funding_s: deque[float] = deque(maxlen=_FUNDING_REQUESTS)

    async def now_ms(self) -> int:
        return await self._patiently(lambda: self._http.server_time_ms(Priority.BULK))

    async def candles(self, series: Series, start_ms: int, end_ms: int, most: int = PAGE_MAX) -> Page:
        """The first candles that open in [start, end), at most a page of them.

        No end is sent: with one, some of the exchange's endpoints refuse spans of more than 200 days.
        """
        assert series.timeframe is not None
        timeframe = series.timeframe
        endpoint = endpoints.MARK_KLINES if series.kind is Kind.MARK else endpoints.KLINES
        size = max(1, min(most, PAGE_MAX, (end_ms - start_ms) // timeframe.ms))
        params = {"symbol": series.symbol, "interval": timeframe.value, "limit": str(size)}
        params["startTime"] = str(start_ms)
        payload = await self._asked(endpoint, params, klines_weight(size))
        rows = codec_market.candle_rows(payload)
        opened = [row.open_time_ms for row in rows]
        if opened != sorted(opened) or (opened and opened[0] < start_ms):
            raise MalformedReply(f"{endpoint.name} {series.name}: rows are not ascending, or of another time")
        rows = [row for row in rows if row.open_time_ms < end_ms]
        good = [row if fits(row, timeframe) else replace(row, candle=None) for row in each_once(rows)]
        candles = [row.candle for row in good if row.candle is not None]
        numbers = [(c.open_time_ms, c.open, c.high, c.low, c.close, c.volume) for c in candles]
        there = {candle.open_time_ms for candle in candles}
        bad = sorted({row.open_time_ms for row in good if row.candle is None} - there)
        return Page(
            rows=np.array(numbers, dtype=np.float64).reshape(-1, 6),
            rejected=tuple(_rejected(endpoint, at_ms) for at_ms in bad if at_ms % timeframe.ms == 0),
            last_ms=opened[-1] if opened else None,
        )

    async def funding(self, symbol: str, start_ms: int) -> Page:
        """The first settlements from then on. They are told some milliseconds late, and belong to the full hour."""
        await self._funding_turn()
        params = {"symbol": symbol, "limit": str(FUNDING_PAGE_MAX), "startTime": str(start_ms)}
        found = codec_market.funding_rates(await self._asked(endpoints.FUNDING_RATE, params, 0))
        rows = [(at_ms - at_ms % 3_600_000, rate, 0) for at_ms, rate in found if at_ms >= start_ms]
        return Page(
            rows=np.array(rows, dtype=np.float64).reshape(-1, 3),
            last_ms=found[-1][0] if found else None,
        )

    async def rules(self, symbols: Collection[str]) -> Rules:
        """What exchangeInfo and fundingInfo say of these symbols, as they say it."""
        payload = fields.row(await self._asked(endpoints.EXCHANGE_INFO, {}, 1), endpoints.EXCHANGE_INFO.name)
        self._http.budget.windows.learn(codec_market.rate_limits(payload.get("rateLimits")))
        listed = fields.rows(payload.get("symbols"), endpoints.EXCHANGE_INFO.name)
        return Rules(
            known=frozenset(str(row.get("symbol")) for row in listed),
            symbols=_of(listed, symbols),
            funding=_of(await self._intervals(), symbols),
        )

    async def _intervals(self) -> list[fields.Row]:
        """Only symbols with other than the usual settings are listed; nothing here depends on an answer."""
        await self._funding_turn()
        try:
            return fields.rows(await self._http.call(endpoints.FUNDING_INFO, priority=Priority.BULK), "fundingInfo")
        except ExchangeError:
            return []

    async def _funding_turn(self) -> None:
        now_s = self._clock.monotonic()
        if len(self._funding_s) == _FUNDING_REQUESTS and now_s - self._funding_s[0] < _FUNDING_WINDOW_S:
            await self._clock.sleep(_FUNDING_WINDOW_S - (now_s - self._funding_s[0]))
        self._funding_s.append(self._clock.monotonic())

    async def _asked(self, endpoint: Endpoint, params: Mapping[str, str], weight: int) -> object:
        return await self._patiently(lambda: self._http.call(endpoint, params, weight=weight, priority=Priority.BULK))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Waits for its turn as long as it takes, and for an answer for a while."""
        pauses = iter(_AGAIN_S)
        while True:
            try:
                return await ask()
            except RateLimited as error:
                if error.banned and error.retry_after_ms > _BAN_MS_MAX:
                    raise
                await self._clock.sleep(max(error.retry_after_ms, 50) / 1_000)
            except (Unreachable, MalformedReply):
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
                await self._clock.sleep(pause_s)


def _of(rows: list[fields.Row], symbols: Collection[str]) -> dict[str, dict[str, object]]:
    return {str(row["symbol"]): dict(row) for row in rows if row.get("symbol") in symbols}


def _rejected(endpoint: Endpoint, at_ms: int) -> Rejected:
    message = "the exchange tells a candle that cannot be true"
    return Rejected(open_time_ms=at_ms, kind="contradiction", file=endpoint.name, line=1, message=message)
