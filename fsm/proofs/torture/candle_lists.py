"""Candles that the exchange does not list, lists twice or lists wrongly, for a while or for ever (R66)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from exchange.errors import CandlesMissing
from fsm.proofs.torture.plan import HOUR_MS, Disturbance
from indicators.candle import Candle, Timeframe
from indicators.holes import Hole

HOLE, CONTRADICTION, DUPLICATE = "hole", "contradiction", "duplicate"
CONFIRMED_MS = 60_000
NEVER_MS = 2**62


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of a symbol that are listed wrongly until ``heals_ms``."""

    what: str
    symbol: str
    first_ms: int
    count: int
    heals_ms: int

    def is_about(self, symbol: str, open_ms: int) -> bool:
        return symbol == self.symbol and self.first_ms <= open_ms < self.first_ms + self.count * HOUR_MS


class CandleLists:
    """Every list of candles passes here: as rows at the wire, as what a client makes of them at the port."""

    def __init__(self) -> None:
        self._spots: list[Spot] = []
        self._seen_ms: dict[tuple[str, Timeframe, int, int], int] = {}

    def spoil(self, what: Disturbance, now_ms: int) -> None:
        """From the candle that is under way on: nobody has seen it closed."""
        first_ms = now_ms - now_ms % HOUR_MS
        heals_ms = now_ms + int(what.seconds * 1000) if what.seconds else NEVER_MS
        spot = Spot(what=what.what, symbol=what.symbol, first_ms=first_ms, count=what.count, heals_ms=heals_ms)
        self._spots.append(spot)

    def blocks(self, symbol: str, candle_ms: int) -> bool:
        """Nothing may be entered on this candle: it, or one shortly before it, has never been listed."""
        for spot in self._spots:
            if spot.symbol != symbol or spot.heals_ms != NEVER_MS:
                continue
            hole = Hole(timeframe=Timeframe.H1, first_ms=spot.first_ms, count=spot.count)
            if spot.first_ms <= candle_ms < hole.blocks_until_ms(Timeframe.H1):
                return True
        return False

    def newest_ms(self, symbol: str, now_ms: int) -> int:
        """Open time of the newest closed candle that is listed as it should be."""
        open_ms = now_ms - now_ms % HOUR_MS - HOUR_MS
        while self._spot(symbol, open_ms, now_ms) is not None:
            open_ms -= HOUR_MS
        return open_ms

    def is_spoilt(self, symbol: str) -> bool:
        return any(spot.symbol == symbol for spot in self._spots)

    def _spot(self, symbol: str, open_ms: int, now_ms: int) -> Spot | None:
        about = (spot for spot in self._spots if spot.is_about(symbol, open_ms) and now_ms < spot.heals_ms)
        return next(about, None)

    # --- at the port --------------------------------------------------------------------------
    def told(self, symbol: str, timeframe: Timeframe, candles: Sequence[Candle], now_ms: int) -> list[Candle]:
        """What is listed wrongly counts as missing. Raises CandlesMissing for holes until a minute has passed, as the
        real client does (exchange/binance/candle_history.py)."""
        listed = [candle for candle in candles if self._spot(symbol, candle.open_time_ms, now_ms) is None]
        gaps = [
            (symbol, timeframe, before.open_time_ms, after.open_time_ms)
            for before, after in pairwise(listed)
            if after.open_time_ms - before.open_time_ms != timeframe.ms
        ]
        new = [gap for gap in gaps if now_ms - self._seen_ms.setdefault(gap, now_ms) < CONFIRMED_MS]
        if new:
            again_ms = max(self._seen_ms[gap] for gap in new) + CONFIRMED_MS
            raise CandlesMissing(f"klines {symbol} {timeframe}: {len(new)} holes", again_ms=again_ms)
        return listed

    # --- at the wire --------------------------------------------------------------------------
    def rows(self, symbol: str, rows: Iterable[list[Any]], now_ms: int) -> list[list[Any]]:
        """Rows of GET /fapi/v1/klines as they are sent; the candle that is under way is left alone."""
        sent: list[list[Any]] = []
        for row in rows:
            spot = self._spot(symbol, int(row[0]), now_ms) if int(row[6]) < now_ms else None
            if spot is None:
                sent.append(row)
            elif spot.what == CONTRADICTION:
                sent.append([*row[:2], f"{float(row[4]) * 0.5:.8f}", *row[3:]])
            elif spot.what == DUPLICATE:
                sent += [row, [*row[:4], row[1], *row[5:]]]
        return sent
