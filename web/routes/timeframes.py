"""The lengths of candles that may be asked for."""

from __future__ import annotations

from typing import Literal

Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def length_ms(timeframe: Timeframe) -> int:
    return int(timeframe[:-1]) * _UNIT_MS[timeframe[-1]]
