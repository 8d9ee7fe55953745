"""What recorded candles and funding rates are once they are read: columns of numbers, in order of time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indicators.candle import Candle, Timeframe

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

TIME_MAX_MS = 10**13  # the year 2286; anything later is not in milliseconds


class CandleFileError(ValueError):
    """A data file that cannot be used: ``file:line: what is wrong`` (line 1 is the header)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CandleColumns:
    """Candles in order of time, aligned to their timeframe, possible as prices. Some may be missing."""

    symbol: str
    timeframe: Timeframe
    open_time_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @classmethod
    def none(cls, symbol: str, timeframe: Timeframe) -> CandleColumns:
        """Nothing was recorded."""
        prices = {name: np.empty(0) for name in ("open", "high", "low", "close", "volume")}
        return cls(symbol=symbol, timeframe=timeframe, open_time_ms=np.empty(0, dtype=np.int64), **prices)

    @property
    def length(self) -> int:
        return len(self.open_time_ms)

    def candle(self, index: int) -> Candle:
        """The candle at ``index``, counted from the first."""
        return Candle(
            open_time_ms=int(self.open_time_ms[index]),
            open=float(self.open[index]),
            high=float(self.high[index]),
            low=float(self.low[index]),
            close=float(self.close[index]),
            volume=float(self.volume[index]),
        )

    def between(self, start_ms: int, end_ms: int) -> slice:
        """Indexes of the candles that open in [start_ms, end_ms)."""
        first, last = np.searchsorted(self.open_time_ms, (start_ms, end_ms))
        return slice(int(first), int(last))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FundingColumns:
    """Funding rates in order of time; a rate is a fraction of notional, paid by longs when positive."""

    symbol: str
    time_ms: IntArray
    rate: FloatArray
    interval_hours: IntArray | None = None
    """Hours from the settlement before to each; 0 where that was not recorded, None where it never was."""


def clock_of(at_ms: float) -> str:
    """A moment as messages name it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ms / 1_000))


def contradiction_of(rows: FloatArray) -> npt.NDArray[np.str_]:
    """What is wrong with each row of numbers (time, open, high, low, close, volume); empty where nothing is."""
    opens, highs, lows, closes, volumes = rows[:, 1:].T
    wrong = (
        (~np.isfinite(rows).all(axis=1), "a number is not finite"),
        (~(lows > 0), "the low is not above zero"),
        (lows > np.minimum(opens, closes), "the low is above the open or the close"),
        (highs < np.maximum(opens, closes), "the high is below the open or the close"),
        (volumes < 0, "the volume is below zero"),
    )
    return np.select([here for here, _ in wrong], [what for _, what in wrong], default="")
