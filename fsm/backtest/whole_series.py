"""Makes of candles as they were recorded a series without gaps, and says where it was carried over a hole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from exchange.candle_columns import CandleColumns
from indicators.holes import Hole, holes
from indicators.series import Series


def as_told(columns: CandleColumns) -> Series:
    """The candles as they are, holes included."""
    return Series(
        symbol=columns.symbol,
        timeframe=columns.timeframe,
        open_time_ms=columns.open_time_ms,
        open=columns.open,
        high=columns.high,
        low=columns.low,
        close=columns.close,
        volume=columns.volume,
    )


def carried_over(columns: CandleColumns) -> Series:
    """The candles without holes: where one is missing, the last close stands for it, with a volume of 0."""
    step = columns.timeframe.ms
    places = (columns.open_time_ms - columns.open_time_ms[:1]) // step
    count = int(places[-1]) + 1 if columns.length else 0
    if count == columns.length:
        return as_told(columns)
    there = np.zeros(count, dtype=np.bool_)
    there[places] = True
    last = np.cumsum(there) - 1
    close = columns.close[last]
    return Series(
        symbol=columns.symbol,
        timeframe=columns.timeframe,
        open_time_ms=np.arange(count, dtype=np.int64) * step + columns.open_time_ms[:1].sum(),
        open=np.where(there, columns.open[last], close),
        high=np.where(there, columns.high[last], close),
        low=np.where(there, columns.low[last], close),
        close=close,
        volume=np.where(there, columns.volume[last], 0.0),
    )


def holes_in(columns: CandleColumns) -> Iterator[Hole]:
    """The holes between candles; those that follow the one before need not be gone through."""
    times = columns.open_time_ms
    for before in np.flatnonzero(np.diff(times) > columns.timeframe.ms).tolist():
        yield from holes(times[before : before + 2].tolist(), columns.timeframe)
