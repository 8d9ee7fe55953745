"""Facts: every value the rules may read at a decision, live from a stream of candles or for a whole history at once.

A feature's value is that of the last closed candle of its timeframe. It is UNKNOWN until that timeframe has seen as
many candles as the indicator's warm-up, and no fewer than ``candles_min``; a value n candles ago needs n candles more.
It is UNKNOWN, too, while its timeframe's latest candle is not the one that had to have closed by then: stale is not
fresh.
The stream and the table give equal values (``==``) at every candle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from indicators.candle import Candle, Timeframe
from indicators.catalog import Stream, Workspace
from indicators.series import Series
from rules.arrays import FloatArray, finite
from rules.features import Feature
from rules.scalar import known
from rules.symbol_rules import SymbolRules, feature_name, feature_offset

Facts = dict[str, float | None]

CANDLES_MIN = 200


class FeedError(ValueError):
    """Candles or series that cannot be read in this order. The message says which and why."""


class FactStream:
    """The live form. Feed each timeframe its closed candles, oldest first; within one instant in any order."""

    def __init__(self, symbol_rules: SymbolRules, candles_min: int = CANDLES_MIN) -> None:
        self._rules = symbol_rules
        features = _used_features(symbol_rules)
        self._feeds = {
            timeframe: _Feed(timeframe, [feature for feature in features if feature.timeframe is timeframe])
            for timeframe in symbol_rules.timeframes
        }
        self._reads = [_Read(key, symbol_rules, candles_min) for key in symbol_rules.fact_keys]
        for read in self._reads:
            self._feeds[read.feature.timeframe].keep(read.feature.name, read.offset + 1)

    def update(self, timeframe: Timeframe, candle: Candle) -> None:
        """Takes a closed candle; one of a timeframe that no rule reads is passed over.

        Raises FeedError if it does not follow the one before: a gap would skew every value after it.
        """
        feed = self._feeds.get(timeframe)
        if feed is not None:
            feed.update(candle)

    def facts(self) -> Facts:
        """The facts at the latest entry candle's close; None is UNKNOWN."""
        entry_close_ms = self._feeds[self._rules.entry_timeframe].closed_ms
        return {read.key: self._value(read, entry_close_ms) for read in self._reads}

    def _value(self, read: _Read, entry_close_ms: int) -> float | None:
        feed = self._feeds[read.feature.timeframe]
        if feed.count < read.candles_needed or feed.closed_ms != feed.timeframe.floor(entry_close_ms):
            return None
        if read.feature.indicator is None:
            return 1.0 if feed.closed_ms == entry_close_ms else 0.0
        return feed.recent[read.feature.name][-1 - read.offset]


class FactTable:
    """The lab's form: one column per fact, one row per entry candle."""

    def __init__(
        self,
        symbol_rules: SymbolRules,
        series_by_timeframe: Mapping[Timeframe, Series],
        candles_min: int = CANDLES_MIN,
    ) -> None:
        missing = sorted(symbol_rules.timeframes - set(series_by_timeframe))
        if missing:
            raise FeedError(f"candles of {', '.join(missing)} are missing: the rules read them")
        self.rules = symbol_rules
        self._series = series_by_timeframe
        self._candles_min = candles_min
        self._workspaces = {timeframe: Workspace(series) for timeframe, series in series_by_timeframe.items()}
        self._columns: dict[str, FloatArray] = {}
        self._lists: dict[str, list[float]] | None = None
        entry = symbol_rules.entry_timeframe
        self.candle_ms: npt.NDArray[np.int64] = series_by_timeframe[entry].open_time_ms
        self._closes_ms = self.candle_ms + entry.ms

    @property
    def length(self) -> int:
        return len(self.candle_ms)

    def column(self, key: str) -> FloatArray:
        """The fact at each entry candle's close; NaN is UNKNOWN. Read-only. Raises KeyError for no feature's key."""
        column = self._columns.get(key)
        if column is None:
            column = self._computed(_Read(key, self.rules, self._candles_min))
            column.setflags(write=False)
            self._columns[key] = column
        return column

    def facts_at(self, index: int) -> Facts:
        """The facts at one entry candle's close, as the stream would give them there."""
        if self._lists is None:
            self._lists = {key: self.column(key).tolist() for key in self.rules.fact_keys}
        return {key: known(values[index]) for key, values in self._lists.items()}

    def _computed(self, read: _Read) -> FloatArray:
        timeframe, indicator = read.feature.timeframe, read.feature.indicator
        closes_ms = self._series[timeframe].open_time_ms + timeframe.ms
        expected_ms = self._closes_ms // timeframe.ms * timeframe.ms
        last = np.searchsorted(closes_ms, self._closes_ms, side="right") - 1  # -1 before the first
        readable = np.flatnonzero(last + 1 >= read.candles_needed)
        readable = readable[closes_ms[last[readable]] == expected_ms[readable]]
        column = np.full(self.length, np.nan)
        if indicator is None:
            column[readable] = np.where(expected_ms[readable] == self._closes_ms[readable], 1.0, 0.0)
        else:
            values = finite(indicator.batch(self._workspaces[timeframe]))
            column[readable] = values[last[readable] - read.offset]
        return column


class _Read:
    """One fact: which feature, how far back, and how many candles must have been seen for it."""

    def __init__(self, key: str, rules: SymbolRules, candles_min: int) -> None:
        self.key = key
        self.feature: Feature = rules.features[feature_name(key)]
        self.offset = feature_offset(key)
        self.candles_needed = max(self.feature.warmup, candles_min, 1) + self.offset


class _Feed:
    """One timeframe of the stream: its indicators and their latest values, as far back as any rule reads."""

    def __init__(self, timeframe: Timeframe, features: list[Feature]) -> None:
        self.timeframe = timeframe
        self.count = 0
        self.closed_ms = -1
        self.recent: dict[str, deque[float | None]] = {}
        self._streams: dict[str, Stream] = {
            feature.name: feature.indicator.stream() for feature in features if feature.indicator is not None
        }

    def keep(self, name: str, values: int) -> None:
        """Makes room for as many of the feature's latest values."""
        room = self.recent.get(name)
        if room is None or (room.maxlen or 0) < values:
            self.recent[name] = deque(maxlen=values)

    def update(self, candle: Candle) -> None:
        if self.count and candle.open_time_ms != self.closed_ms:
            raise FeedError(
                f"the {self.timeframe} candle that opened at {candle.open_time_ms} does not follow the one before, "
                f"which closed at {self.closed_ms}: load the history again from its start"
            )
        for name, stream in self._streams.items():
            self.recent[name].append(known(stream.update(candle)))
        self.count += 1
        self.closed_ms = candle.open_time_ms + self.timeframe.ms


def _used_features(rules: SymbolRules) -> list[Feature]:
    names = sorted({feature_name(key) for key in rules.fact_keys})
    return [rules.features[name] for name in names]
