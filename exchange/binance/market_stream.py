"""The market stream: tells that a candle closed, so that it is read at once instead of at the next poll.

Address: /market/stream?streams=btcusdt@kline_1h/… with lower-case symbols; an upper-case one connects and stays
silent, as does the un-routed address since 2026-04-23 (WebSocket change notice and field probes, checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from urllib.parse import quote

from exchange.binance.codec_events import market_event
from exchange.binance.stream import SessionEnded, Stream
from exchange.clock import Clock
from exchange.errors import MalformedReply
from exchange.events import CandleClosed, Sink
from indicators.candle import Timeframe

STREAMS_MAX = 200
"""1024 are allowed on a connection (checked 2026-11), but all names must fit into one address."""

DATA_AGE_S_MAX = 30.0
"""klines are pushed every 250 ms while there are trades (checked 2026-11): none at all for this long is silence."""

_CHECK_S = 5.0


class MarketStream:
    """Runs until cancelled and announces each closed candle once. The bot works without it."""

    name = "market"

    def __init__(
        self,
        *,
        symbols: Iterable[str],
        timeframes: Iterable[Timeframe],
        base_urls: tuple[str, ...],
        clock: Clock,
        sink: Sink,
        data_age_s_max: float = DATA_AGE_S_MAX,
    ) -> None:
        kinds = tuple(timeframes)
        self._names = [f"{symbol.lower()}@kline_{kind}" for symbol in symbols for kind in kinds]
        if not 0 < len(self._names) <= STREAMS_MAX:
            raise ValueError(f"a market stream carries 1 to {STREAMS_MAX} names, not {len(self._names)}; use several")
        self._clock = clock
        self._sink = sink
        self._data_age_s_max = data_age_s_max
        self._stream = Stream(self, base_urls=base_urls, clock=clock, sink=sink)
        self._heard_at = clock.monotonic()
        self._announced: dict[tuple[str, Timeframe], int] = {}

    async def run(self) -> None:
        """Listen for ever, over as many connections as it takes."""
        await self._stream.run()

    @property
    def data_age_s(self) -> float:
        """Seconds since the last frame that carried data."""
        return self._clock.monotonic() - self._heard_at

    async def path(self) -> str:
        """All streams combined on one connection; symbols may be Chinese (change log 2025-10-09)."""
        return f"/market/stream?streams={quote('/'.join(self._names), safe='/@')}"

    def opened(self) -> None:
        """Silence counts from the connection on."""
        self._heard_at = self._clock.monotonic()

    def received(self, payload: object) -> None:
        """Announce a closed candle that is newer than the last one announced."""
        event = market_event(payload)
        if event is None:
            return
        self._heard_at = self._clock.monotonic()
        if event.closed is not None and self._is_news(event.closed):
            self._sink(event.closed)

    def guards(self) -> list[Awaitable[None]]:
        """Notice a connection without data."""
        return [self._watch()]

    def _is_news(self, closed: CandleClosed) -> bool:
        key = (closed.symbol, closed.timeframe)
        if f"{closed.symbol.lower()}@kline_{closed.timeframe}" not in self._names:
            raise MalformedReply(f"a candle of {closed.symbol} {closed.timeframe} was never asked for")
        if closed.candle.open_time_ms <= self._announced.get(key, -1):
            return False
        self._announced[key] = closed.candle.open_time_ms
        return True

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(_CHECK_S)
            if self.data_age_s > self._data_age_s_max:
                raise SessionEnded(f"no market data for {self.data_age_s:.0f} s", silent=True)
