"""The prices of some symbols as they change: candles under way and marks, over one connection of the market stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from exchange.binance.codec_prices import Forming, MarkTold, price_event
from exchange.binance.stream import Connect, SessionEnded, Stream
from exchange.clock import Clock
from exchange.errors import MalformedReply
from indicators.candle import Timeframe

SYMBOLS_MAX = 100
"""Two names each; 1024 are allowed on a connection (checked 2026-11), but all must fit into one address."""

DATA_AGE_S_MAX = 5.0
"""Marks come every second, trades or not, so a connection without any for this long is silent."""

SYMBOL_AGE_S_MAX = 15.0
"""One symbol that says nothing for so long, while others do, is asked for again on a new connection."""

_CHECK_S = 1.0


class PriceStream:
    """Runs until cancelled. ``opened``: a connection was made, so something may have been missed before."""

    name = "prices"

    def __init__(
        self,
        *,
        symbols: Sequence[str],
        timeframe: Timeframe,
        base_urls: tuple[str, ...],
        clock: Clock,
        heard: Callable[[Forming | MarkTold], None],
        on_opened: Callable[[], None],
        connect_to: Connect | None = None,
    ) -> None:
        if not 0 < len(symbols) <= SYMBOLS_MAX:
            raise ValueError(f"a price stream carries 1 to {SYMBOLS_MAX} symbols, not {len(symbols)}; use several")
        self._symbols = frozenset(symbols)
        kinds = (f"kline_{timeframe}", "markPrice@1s")
        self._names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds]
        self._timeframe = timeframe
        self._clock = clock
        self._heard = heard
        self._on_opened = on_opened
        self._stream = Stream(self, base_urls=base_urls, clock=clock, sink=lambda event: None, connect_to=connect_to)
        self._heard_s: dict[str, float] = {}
        self._left_out: set[str] = set()

    async def run(self) -> None:
        """Listen for ever, over as many connections as it takes."""
        await self._stream.run()

    async def path(self) -> str:
        """All streams combined on one connection."""
        return f"/market/stream?streams={quote('/'.join(self._names), safe='/@')}"

    def opened(self) -> None:
        """Silence counts from the connection on."""
        self._heard_s = dict.fromkeys(self._symbols - self._left_out, self._clock.monotonic())
        self._on_opened()

    def received(self, payload: object) -> None:
        event = price_event(payload, self._timeframe)
        if event is None:
            return
        if event.symbol not in self._symbols:
            raise MalformedReply(f"prices of {event.symbol} were never asked for")
        if isinstance(event, MarkTold) and event.symbol not in self._left_out:
            self._heard_s[event.symbol] = self._clock.monotonic()
        self._heard(event)

    def guards(self) -> list[Awaitable[None]]:
        """Notice a connection without data."""
        return [self._watch()]

    def leave_out(self, symbol: str) -> None:
        """It is not traded any more, so nobody is surprised when it says nothing."""
        self._left_out.add(symbol)
        self._heard_s.pop(symbol, None)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(_CHECK_S)
            ages_s = {symbol: self._clock.monotonic() - heard_s for symbol, heard_s in self._heard_s.items()}
            if min(ages_s.values(), default=0.0) > DATA_AGE_S_MAX:
                raise SessionEnded(f"no prices for {min(ages_s.values()):.0f} s", silent=True)
            late = sorted(symbol for symbol, age_s in ages_s.items() if age_s > SYMBOL_AGE_S_MAX)
            if late:
                raise SessionEnded(f"no prices of {', '.join(late)} for {SYMBOL_AGE_S_MAX:.0f} s", silent=True)
