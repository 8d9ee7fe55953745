"""Fetches closed candles: pages through them, proves that the last one is closed, and repairs gaps (R33).

No clock decides what is closed. A candle is closed when a later one is listed, or when the server's own time,
read before the candle was read again, is past its close (GET /fapi/v1/klines: the last row is the forming
candle; a new interval without trades may have no row yet; checked 2026-11).
"""

from __future__ import annotations

from itertools import pairwise

from exchange.binance import codec_market, endpoints
from exchange.binance.clock import Clock
from exchange.binance.codec_market import CandleRow
from exchange.binance.endpoints import klines_weight
from exchange.binance.http import Http
from exchange.errors import MalformedReply, Unreachable
from indicators.candle import Candle, Timeframe

PAGE_MAX = 1_500
"""Rows of GET /fapi/v1/klines; 1501 is refused with -1130 (checked 2026-11)."""

CANDLES_MAX = 100_000
"""More than eleven years of hours: a larger wish is a mistake."""

REPAIRS_S = (0.2, 1.0)
"""Pauses before missing candles are asked for once more."""

_CLOSE_TO_END_MS = 5_000  # an unconfirmed candle nearer to its end than this is worth asking the server's time


class CandleHistory:
    """Closed candles of any symbol and timeframe, ascending and without gaps."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def candles(self, symbol: str, timeframe: Timeframe, *, start_ms: int | None, limit: int) -> list[Candle]:
        """The newest ``limit`` closed candles, or the first ``limit`` from ``start_ms`` on.

        Raises Unreachable naming what is missing when a gap stays. A young symbol has fewer candles.
        """
        if not 0 < limit <= CANDLES_MAX:
            raise ValueError(f"limit must be between 1 and {CANDLES_MAX}, not {limit}")
        wanted = limit + 1  # one more, whose existence proves that the one before it is closed
        rows = await (
            self._backwards(symbol, timeframe, wanted)
            if start_ms is None
            else self._forwards(symbol, timeframe, -(-start_ms // timeframe.ms) * timeframe.ms, wanted)
        )
        listed = await self._repaired(symbol, timeframe, [row.candle for row in rows])
        closed = listed[:-1]
        if start_ms is None or len(listed) <= limit:
            closed += await self._last_if_closed(symbol, timeframe, listed)
        return closed[-limit:] if start_ms is None else closed[:limit]

    async def _backwards(self, symbol: str, timeframe: Timeframe, wanted: int) -> list[CandleRow]:
        """The newest rows, without naming a time, so that no clock is needed; then older ones."""
        rows: list[CandleRow] = []
        while len(rows) < wanted:
            size = min(wanted - len(rows), PAGE_MAX)
            params = {"endTime": str(rows[0].candle.open_time_ms - 1)} if rows else {}
            page = await self._page(symbol, timeframe, size, params)
            if rows and page and page[-1].candle.open_time_ms >= rows[0].candle.open_time_ms:
                raise MalformedReply(f"klines {symbol} {timeframe}: rows outside the time asked for")
            rows = page + rows
            if len(page) < size:
                break
        return rows

    async def _forwards(self, symbol: str, timeframe: Timeframe, start_ms: int, wanted: int) -> list[CandleRow]:
        rows: list[CandleRow] = []
        next_ms = start_ms
        while len(rows) < wanted:
            size = min(wanted - len(rows), PAGE_MAX)
            page = await self._page(symbol, timeframe, size, {"startTime": str(next_ms)})
            if page and page[0].candle.open_time_ms < next_ms:
                raise MalformedReply(f"klines {symbol} {timeframe}: rows outside the time asked for")
            rows += page
            if len(page) < size:
                break
            next_ms = page[-1].candle.open_time_ms + timeframe.ms
        return rows

    async def _page(self, symbol: str, timeframe: Timeframe, size: int, params: dict[str, str]) -> list[CandleRow]:
        """One request, its rows checked: aligned to the timeframe, ascending, none twice."""
        payload = await self._http.call(
            endpoints.KLINES,
            {"symbol": symbol, "interval": timeframe.value, "limit": str(size), **params},
            weight=klines_weight(size),
        )
        rows = codec_market.candle_rows(payload)
        for row in rows:
            opened = row.candle.open_time_ms
            if timeframe.floor(opened) != opened or row.close_time_ms != opened + timeframe.ms - 1:
                raise MalformedReply(f"klines {symbol} {timeframe}: row {opened}–{row.close_time_ms} is not aligned")
        if len(rows) > size or any(b.candle.open_time_ms <= a.candle.open_time_ms for a, b in pairwise(rows)):
            raise MalformedReply(f"klines {symbol} {timeframe}: rows are not ascending, or more than asked for")
        return rows

    async def _last_if_closed(self, symbol: str, timeframe: Timeframe, listed: list[Candle]) -> list[Candle]:
        """The newest listed candle, if the server's time says it is closed; then it is read again, now final.

        Our estimate of that time only decides whether asking is worth it.
        """
        if not listed:
            return []
        opened = listed[-1].open_time_ms
        if self._http.server_now_ms() + _CLOSE_TO_END_MS < opened + timeframe.ms:
            return []
        if await self._http.server_time_ms() < opened + timeframe.ms:
            return []
        again = await self._page(symbol, timeframe, 1, {"startTime": str(opened), "endTime": str(opened)})
        return [row.candle for row in again if row.candle.open_time_ms == opened]

    async def _repaired(self, symbol: str, timeframe: Timeframe, candles: list[Candle]) -> list[Candle]:
        """Ask again for what is missing between the first and the last candle."""
        for pause_s in REPAIRS_S:
            gaps = _gaps(candles, timeframe)
            if not gaps:
                return candles
            await self._clock.sleep(pause_s)
            found = {candle.open_time_ms: candle for candle in candles}
            for first_ms, last_ms in gaps:
                size = min((last_ms - first_ms) // timeframe.ms + 1, PAGE_MAX)
                params = {"startTime": str(first_ms), "endTime": str(last_ms)}
                for row in await self._page(symbol, timeframe, size, params):
                    if first_ms <= row.candle.open_time_ms <= last_ms:
                        found[row.candle.open_time_ms] = row.candle
            candles = [found[opened] for opened in sorted(found)]
        gaps = _gaps(candles, timeframe)
        if gaps:
            missing = ", ".join(f"{first_ms}–{last_ms}" for first_ms, last_ms in gaps[:5])
            raise Unreachable(
                f"klines {symbol} {timeframe}: candles that open at {missing} are missing"
                f" ({len(gaps)} gaps) after {len(REPAIRS_S)} more requests; nothing is decided on a gap"
            )
        return candles


def _gaps(candles: list[Candle], timeframe: Timeframe) -> list[tuple[int, int]]:
    """First and last missing open time of each gap inside the candles."""
    return [
        (before.open_time_ms + timeframe.ms, after.open_time_ms - timeframe.ms)
        for before, after in pairwise(candles)
        if after.open_time_ms - before.open_time_ms != timeframe.ms
    ]
