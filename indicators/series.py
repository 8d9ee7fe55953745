"""A run of candles of one symbol without gaps, as arrays; and how short candles become long ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indicators.candle import Candle, Timeframe

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_BoolArray = npt.NDArray[np.bool_]

_PRICES = ("open", "high", "low", "close")
_COLUMNS = (*_PRICES, "volume")


class SeriesError(ValueError):
    """Candles that cannot stand in one series. The message names the bar and what is wrong with it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Series:
    """Closed candles in order of time: aligned to their timeframe, without gaps, possible as prices.

    The arrays are copied on construction and read-only, so that whoever holds a series may trust it for ever.
    Raises ``SeriesError`` for anything else; nothing is repaired.
    """

    symbol: str
    timeframe: Timeframe
    open_time_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __post_init__(self) -> None:
        times = np.asarray(self.open_time_ms)
        if times.size and not np.issubdtype(times.dtype, np.integer):
            raise SeriesError(f"{self.symbol} {self.timeframe}: open times must be whole milliseconds")
        object.__setattr__(self, "open_time_ms", _held(times, np.dtype(np.int64)))
        for name in _COLUMNS:
            object.__setattr__(self, name, _held(np.asarray(getattr(self, name)), np.dtype(np.float64)))
        _check_shapes(self)
        _check_times(self)
        _check_numbers(self)

    @property
    def length(self) -> int:
        return len(self.open_time_ms)

    @classmethod
    def from_candles(cls, symbol: str, timeframe: Timeframe, candles: Sequence[Candle]) -> Series:
        return cls(
            symbol=symbol,
            timeframe=timeframe,
            open_time_ms=np.array([candle.open_time_ms for candle in candles], dtype=np.int64),
            open=np.array([candle.open for candle in candles], dtype=np.float64),
            high=np.array([candle.high for candle in candles], dtype=np.float64),
            low=np.array([candle.low for candle in candles], dtype=np.float64),
            close=np.array([candle.close for candle in candles], dtype=np.float64),
            volume=np.array([candle.volume for candle in candles], dtype=np.float64),
        )

    def since(self, first_ms: int) -> Series:
        """The candles that open at this time or later."""
        first = int(np.searchsorted(self.open_time_ms, first_ms))
        columns = {name: getattr(self, name)[first:] for name in ("open_time_ms", *_COLUMNS)}
        return Series(symbol=self.symbol, timeframe=self.timeframe, **columns)

    def candle(self, index: int) -> Candle:
        """The candle at ``index``, counted from the first. Counting from the end is refused: it would look ahead."""
        if not 0 <= index < self.length:
            raise IndexError(f"{self.symbol} {self.timeframe} has candles 0 to {self.length - 1}, not {index}")
        return Candle(
            open_time_ms=int(self.open_time_ms[index]),
            open=float(self.open[index]),
            high=float(self.high[index]),
            low=float(self.low[index]),
            close=float(self.close[index]),
            volume=float(self.volume[index]),
        )

    def candles(self) -> list[Candle]:
        """All candles, oldest first."""
        columns = (self.open_time_ms, self.open, self.high, self.low, self.close, self.volume)
        return [Candle(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def until(self, count: int) -> Series:
        """The first ``count`` candles: what was known when the last of them closed."""
        if not 0 <= count <= self.length:
            raise IndexError(f"{self.symbol} {self.timeframe} has {self.length} candles, not {count}")
        return Series(
            symbol=self.symbol,
            timeframe=self.timeframe,
            open_time_ms=self.open_time_ms[:count],
            open=self.open[:count],
            high=self.high[:count],
            low=self.low[:count],
            close=self.close[:count],
            volume=self.volume[:count],
        )


def aggregate(series: Series, timeframe: Timeframe) -> Series:
    """The series in a longer timeframe; only candles of which every part is there.

    Volumes are added one after the other, so that each number equals what ``Aggregator`` gives, bit for bit.
    """
    ratio = _ratio(series.timeframe, timeframe)
    if ratio == 1:
        return series
    aligned = np.flatnonzero(series.open_time_ms % timeframe.ms == 0)
    first = int(aligned[0]) if aligned.size else series.length
    count = (series.length - first) // ratio
    used = slice(first, first + count * ratio)
    rows = {name: getattr(series, name)[used].reshape(count, ratio) for name in _COLUMNS}
    volume = np.zeros(count)
    for part in range(ratio):
        volume += rows["volume"][:, part]
    return Series(
        symbol=series.symbol,
        timeframe=timeframe,
        open_time_ms=series.open_time_ms[used][::ratio],
        open=rows["open"][:, 0],
        high=rows["high"].max(axis=1),
        low=rows["low"].min(axis=1),
        close=rows["close"][:, -1],
        volume=volume,
    )


class Aggregator:
    """Builds long candles from short ones as these close: the live form of ``aggregate``.

    It starts at the first candle that opens with a long one. A missing candle drops the long candle it belongs to,
    never more and never less.
    """

    def __init__(self, timeframe: Timeframe, source: Timeframe = Timeframe.H1) -> None:
        self._ratio = _ratio(source, timeframe)
        self._source = source
        self._timeframe = timeframe
        self._last_open_ms: int | None = None
        self._partial: Candle | None = None
        self._parts = 0

    def update(self, candle: Candle) -> Candle | None:
        """Take the next closed candle; give the long one if this was its last part.

        Raises ``SeriesError`` for a candle that is misaligned or not later than the one before.
        """
        self._check_order(candle)
        follows = self._last_open_ms == candle.open_time_ms - self._source.ms
        self._last_open_ms = candle.open_time_ms
        if candle.open_time_ms % self._timeframe.ms == 0:
            # 0.0 + volume, as in aggregate(): a volume of -0.0 must not come out differently.
            self._partial = Candle(
                candle.open_time_ms, candle.open, candle.high, candle.low, candle.close, 0.0 + candle.volume
            )
            self._parts = 1
        elif self._partial is not None and follows:
            self._partial = _joined(self._partial, candle)
            self._parts += 1
        else:
            self._partial = None
        if self._partial is None or self._parts < self._ratio:
            return None
        whole, self._partial = self._partial, None
        return whole

    def _check_order(self, candle: Candle) -> None:
        where = f"candle {_when(candle.open_time_ms)}"
        if candle.open_time_ms % self._source.ms:
            raise SeriesError(f"{where} does not open at a multiple of {self._source}")
        if self._last_open_ms is not None and candle.open_time_ms <= self._last_open_ms:
            raise SeriesError(f"{where} came after {_when(self._last_open_ms)}: feed each candle once, in order")


def _joined(whole: Candle, part: Candle) -> Candle:
    return Candle(
        open_time_ms=whole.open_time_ms,
        open=whole.open,
        high=max(whole.high, part.high),
        low=min(whole.low, part.low),
        close=part.close,
        volume=whole.volume + part.volume,
    )


def _ratio(source: Timeframe, target: Timeframe) -> int:
    ratio, rest = divmod(target.ms, source.ms)
    if rest or not ratio:
        raise SeriesError(f"{source} candles cannot be joined to {target} candles")
    return ratio


def _held(given: npt.NDArray[Any], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The numbers as an array that nobody can change: the same where it is one already, else a copy."""
    owner = given if given.base is None else given.base
    is_fixed = isinstance(owner, np.ndarray) and not owner.flags.writeable and not given.flags.writeable
    if is_fixed and given.dtype == kind:
        return given
    copy = np.array(given, dtype=kind)
    copy.setflags(write=False)
    return copy


def _check_shapes(series: Series) -> None:
    for name in ("open_time_ms", *_COLUMNS):
        shape = getattr(series, name).shape
        if shape != (series.length,):
            raise SeriesError(
                f"{series.symbol} {series.timeframe}: {name} has the shape {shape}, not one number a bar "
                f"for {series.length} bars"
            )


def _check_times(series: Series) -> None:
    times, step = series.open_time_ms, series.timeframe.ms
    _require(series, times >= 0, "opens before 1970")
    _require(series, times % step == 0, f"does not open at a multiple of {series.timeframe}")
    steps = np.diff(times, prepend=times[:1] - step)
    if (steps != step).any():
        late = steps[np.argmax(steps != step)] > step
        _require(series, steps == step, "follows a gap" if late else "does not open after the bar before it")


def _check_numbers(series: Series) -> None:
    for name in _COLUMNS:
        _require(series, np.isfinite(getattr(series, name)), f"has a {name} that is no finite number")
    _require(series, series.low > 0, "has a low that is not above zero")
    _require(series, series.low <= np.minimum(series.open, series.close), "has a low above its open or close")
    _require(series, series.high >= np.maximum(series.open, series.close), "has a high below its open or close")
    _require(series, series.volume >= 0, "has a negative volume")


def _require(series: Series, good: _BoolArray, problem: str) -> None:
    if good.all():
        return
    index = int(np.argmin(good))
    time_ms = int(series.open_time_ms[index])
    numbers = ", ".join(f"{name} {float(getattr(series, name)[index])!r}" for name in _COLUMNS)
    where = f"{series.symbol} {series.timeframe}: bar {index} ({_when(time_ms)}, open_time_ms {time_ms})"
    raise SeriesError(f"{where} {problem} ({numbers})")


def _when(time_ms: int) -> str:
    return f"{np.datetime64(time_ms, 'ms').astype('datetime64[m]')} UTC"
