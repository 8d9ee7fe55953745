"""One closed candle, and the timeframes it can have."""

from __future__ import annotations

from enum import StrEnum

import msgspec

_MS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}


class Timeframe(StrEnum):
    """Candle lengths the engine knows; the value is Binance's spelling of the interval."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return _MS[self.value]

    def floor(self, at_ms: int) -> int:
        """Open time of the candle that contains ``at_ms`` (candles are aligned to the UTC epoch)."""
        return at_ms - at_ms % _MS[self.value]


class Candle(msgspec.Struct, frozen=True, gc=False):
    """OHLCV of one candle. Prices are binary floats: they feed indicators and never reach an order.

    ``open_time_ms`` is UTC; ``volume`` is in the base asset. A candle says nothing of being closed:
    only closed candles are ever built. ``carried``: the exchange has none, and the last close stands for it (holes.py).
    """

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    carried: bool = False
