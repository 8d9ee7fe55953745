"""Fetches closed candles: pages through them, proves that the last one is closed, and asks again for holes (R33, R66).

No clock decides what is closed. A candle is closed when a later one is listed, or when the server's own time,
read before the candle was read again, is past its close (GET /fapi/v1/klines: the last row is the forming
candle; a new interval without trades may have no row yet; checked 2026-11).

A hole is believed when two complete answers, a minute apart, have shown candles on both sides of it. A row that
contradicts itself, or another one of the same time, or does not fit its timeframe counts as missing.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby, pairwise

from msgspec.structs import replace

from exchange.binance import codec_market, endpoints
from exchange.binance.codec_market import CandleRow
from exchange.binance.endpoints import klines_weight
from exchange.binance.http import Http
from exchange.clock import Clock
from exchange.errors import CandlesMissing, MalformedReply
from indicators.candle import Candle, Timeframe

PAGE_MAX = 1_500
"""Rows of GET /fapi/v1/klines; 1501 is refused with -1130 (checked 2026-11)."""

CANDLES_MAX = 100_000
"""More than eleven years of hours: a larger wish is a mistake."""

REPAIRS_S = (0.2, 1.0)
"""Pauses before missing candles are asked for once more."""

HOLE_CONFIRMED_MS = 60_000
"""Of the exchange's time, from the first answer with a hole in it to the one that confirms it."""

_HOLES_KEPT = 10_000
_CLOSE_TO_END_MS = 5_000  # an unconfirmed candle nearer to its end than this is worth asking the server's time


class CandleHistory:
    """Closed candles of any symbol and timeframe, ascending and without gaps."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._seen_ms: dict[tuple[str, Timeframe, int, int], int] = {}

    async def candles(self, symbol: str, timeframe: Timeframe, *, start_ms: int | None, limit: int) -> list[Candle]:
        """The newest ``limit`` closed candles, or the first ``limit`` from ``start_ms`` on.

        Between them only confirmed holes; raises CandlesMissing for others. A young symbol has fewer candles.
        """
        if not 0 < limit <= CANDLES_MAX:
            raise ValueError(f"limit must be between 1 and {CANDLES_MAX}, not {limit}")
        wanted = limit + 1  # one more, whose existence proves that the one before it is closed
        rows = await (
            self._backwards(symbol, timeframe, wanted)
            if start_ms is None
            else self._forwards(symbol, timeframe, -(-start_ms // timeframe.ms) * timeframe.ms, wanted)
        )
        fitting = [row.candle for row in rows if row.candle is not None]
        listed = await self._repaired(symbol, timeframe, fitting)
        closed = listed[:-1]
        if start_ms is None or len(listed) <= limit:
            closed += await self._last_if_closed(symbol, timeframe, listed)
        return closed[-limit:] if start_ms is None else closed[:limit]

    async def _backwards(self, symbol: str, timeframe: Timeframe, wanted: int) -> list[CandleRow]:
        """The newest rows, without naming a time, so that no clock is needed; then older ones."""
        rows: list[CandleRow] = []
        while len(rows) < wanted:
            size = min(wanted - len(rows), PAGE_MAX)
            params = {"endTime": str(rows[0].open_time_ms - 1)} if rows else {}
            page = await self._page(symbol, timeframe, size, params)
            if rows and page and page[-1].open_time_ms >= rows[0].open_time_ms:
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
            if page and page[0].open_time_ms < next_ms:
                raise MalformedReply(f"klines {symbol} {timeframe}: rows outside the time asked for")
            rows += page
            if len(page) < size:
                break
            next_ms = timeframe.floor(page[-1].open_time_ms) + timeframe.ms
        return rows

    async def _page(self, symbol: str, timeframe: Timeframe, size: int, params: dict[str, str]) -> list[CandleRow]:
        """One request, its rows ascending; one that does not fit the timeframe, or comes twice and differs, has no
        candle."""
        payload = await self._http.call(
            endpoints.KLINES,
            {"symbol": symbol, "interval": timeframe.value, "limit": str(size), **params},
            weight=klines_weight(size),
        )
        rows = codec_market.candle_rows(payload)
        opened = [row.open_time_ms for row in rows]
        if len(set(opened)) > size or opened != sorted(opened):
            raise MalformedReply(f"klines {symbol} {timeframe}: rows are not ascending, or more than asked for")
        rows = each_once(rows)
        fitting = [row if fits(row, timeframe) else replace(row, candle=None) for row in rows]
        if rows and not any(fits(row, timeframe) for row in rows):
            raise MalformedReply(f"klines {symbol} {timeframe}: no row is aligned to the timeframe")
        return fitting

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
        return [row.candle for row in again if row.candle is not None and row.open_time_ms == opened]

    async def _repaired(self, symbol: str, timeframe: Timeframe, candles: list[Candle]) -> list[Candle]:
        """Ask again for what is missing between the first and the last candle; what stays missing must be confirmed."""
        for pause_s in REPAIRS_S:
            gaps = self._unconfirmed(symbol, timeframe, candles)
            if not gaps:
                return candles
            await self._clock.sleep(pause_s)
            found = {candle.open_time_ms: candle for candle in candles}
            for first_ms, last_ms in gaps:
                size = min((last_ms - first_ms) // timeframe.ms + 1, PAGE_MAX)
                params = {"startTime": str(first_ms), "endTime": str(last_ms)}
                page: list[CandleRow] = []
                with suppress(MalformedReply):  # a repair that brings nothing repairs nothing
                    page = await self._page(symbol, timeframe, size, params)
                for row in page:
                    if row.candle is not None and first_ms <= row.open_time_ms <= last_ms:
                        found[row.open_time_ms] = row.candle
            candles = [found[opened] for opened in sorted(found)]
        if self._unconfirmed(symbol, timeframe, candles):
            self._require_confirmed(symbol, timeframe, candles)
        return candles

    def _unconfirmed(self, symbol: str, timeframe: Timeframe, candles: list[Candle]) -> list[tuple[int, int]]:
        now_ms = self._http.server_now_ms()
        gaps = _gaps(candles, timeframe)
        first_seen = {gap: self._seen_ms.get((symbol, timeframe, *gap), now_ms) for gap in gaps}
        return [gap for gap in gaps if now_ms - first_seen[gap] < HOLE_CONFIRMED_MS]

    def _require_confirmed(self, symbol: str, timeframe: Timeframe, candles: list[Candle]) -> None:
        """Remember holes that were seen for the first time. Raises CandlesMissing: they are asked for again."""
        now_ms = self._http.server_now_ms()
        gaps = self._unconfirmed(symbol, timeframe, candles)
        if len(self._seen_ms) + len(gaps) > _HOLES_KEPT:
            self._seen_ms.clear()
        seen = [self._seen_ms.setdefault((symbol, timeframe, *gap), now_ms) for gap in gaps]
        missing = ", ".join(f"{first_ms}–{last_ms}" for first_ms, last_ms in gaps[:5])
        raise CandlesMissing(
            f"klines {symbol} {timeframe}: candles that open at {missing} are missing ({len(gaps)} gaps)"
            f" after {len(REPAIRS_S)} more requests; nothing is decided on a gap before it is confirmed",
            again_ms=max(seen) + HOLE_CONFIRMED_MS,
        )


def each_once(rows: list[CandleRow]) -> list[CandleRow]:
    """The same row twice is one candle. Two that differ contradict each other, so neither counts (R66)."""
    found: list[CandleRow] = []
    for _, group in groupby(rows, key=lambda row: row.open_time_ms):
        first, *others = group
        differ = any(other != first for other in others)
        found.append(replace(first, candle=None) if differ else first)
        found += [replace(other, candle=None) for other in others]
    return found


def fits(row: CandleRow, timeframe: Timeframe) -> bool:
    opened = row.open_time_ms
    return timeframe.floor(opened) == opened and row.close_time_ms == opened + timeframe.ms - 1


def _gaps(candles: list[Candle], timeframe: Timeframe) -> list[tuple[int, int]]:
    """First and last missing open time of each gap inside the candles."""
    return [
        (before.open_time_ms + timeframe.ms, after.open_time_ms - timeframe.ms)
        for before, after in pairwise(candles)
        if after.open_time_ms - before.open_time_ms != timeframe.ms
    ]
