"""One closed candle, and the timeframes it can have."""

from __future__ import annotations

from enum import StrEnum

import msgspec

_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30}
_HOURS = {"1h": 1, "2h": 2, "4h": 4, "6h": 6, "8h": 8, "12h": 12, "1d": 24}
_MS = {name: count * 60_000 for name, count in _MINUTES.items()}
_MS |= {name: count * 3_600_000 for name, count in _HOURS.items()}


class Timeframe(StrEnum):
    """Candle lengths the engine knows; the value is Binance's spelling of the interval."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return _MS[self._value_]

    def divides(self, longer: Timeframe) -> bool:
        """Whether candles of the longer timeframe can be made of these."""
        return longer.ms % self.ms == 0

    def floor(self, at_ms: int) -> int:
        """Open time of the candle that contains ``at_ms`` (candles are aligned to the UTC epoch)."""
        return at_ms - at_ms % _MS[self._value_]


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
