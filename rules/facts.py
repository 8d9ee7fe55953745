"""Facts: every value the rules may read at a decision, live from a stream of candles or for a whole history at once.

A feature's value is that of the last closed candle of its timeframe. It is UNKNOWN until that timeframe has seen as
many candles as the indicator's warm-up, and no fewer than ``candles_min``; a value n candles ago needs n candles more.
It is UNKNOWN, too, while its timeframe's latest candle is not the one that had to have closed by then: stale is not
fresh.
The stream and the table give equal values (``==``) at every candle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from indicators.candle import Candle
from indicators.catalog import Stream
from indicators.holes import Hole
from indicators.series import Series
from rules.compiled_rules import CompiledRules, feature_name, feature_offset
from rules.features import CandlesRead, Feature, Measure, OtherCandles
from rules.language.arrays import FloatArray, TruthArray, finite, truths
from rules.language.scalar import known
from rules.language.syntax import Node, names_in
from rules.measured import Measured, Stretch
from rules.regime_track import RegimeTrack
from rules.regime_words import column_of
from rules.warmup import CLASSIFIER, Warmup
from rules.windows import meaning

Facts = dict[str, float | None]
T = TypeVar("T")

CANDLES_MIN = 200


class FeedError(ValueError):
    """Candles or series that cannot be read in this order. The message says which and why."""


class FactStream:
    """The live form. Feed each timeframe its closed candles, oldest first; within one instant in any order."""

    def __init__(self, symbol_rules: CompiledRules, candles_min: int = CANDLES_MIN) -> None:
        self._rules = symbol_rules
        self._warmup = Warmup(symbol_rules, candles_min)
        self._reads = [_Read(key, symbol_rules, self._warmup) for key in symbol_rules.fact_keys]
        self._feeds = {candles: self._feed(candles) for candles in symbol_rules.candles}

    def _feed(self, candles: CandlesRead) -> _Feed:
        features = _used_features(self._rules)
        feed = _Feed(candles, [feature for feature in features if feature.candles == candles])
        for read in self._reads:
            if read.feature.candles == candles:
                feed.keep(read.feature.name, read.offset + 1)
        return feed

    def restart(self, candles: CandlesRead) -> None:
        """Forget these candles: the values of them are UNKNOWN until they have warmed up again."""
        if candles in self._feeds:
            self._feeds[candles] = self._feed(candles)

    def update(self, candles: CandlesRead, candle: Candle) -> None:
        """Takes a closed candle; one of a timeframe or symbol that no rule reads is passed over.

        Raises FeedError if it does not follow the one before: a gap would skew every value after it.
        """
        feed = self._feeds.get(candles)
        if feed is not None:
            feed.update(candle)

    def facts(self) -> Facts:
        """The facts at the latest entry candle's close; None is UNKNOWN."""
        entry_close_ms = self._feeds[self._rules.entry_timeframe].closed_ms
        return {read.key: self._value(read, entry_close_ms) for read in self._reads}

    def warming(self) -> dict[str, str]:
        """Who cannot be asked yet, as candles are short (see Warmup.short)."""
        return self._warmup.short({candles: feed.count for candles, feed in self._feeds.items()})

    def _value(self, read: _Read, entry_close_ms: int) -> float | None:
        feed = self._feeds[read.feature.candles]
        if feed.count < read.candles_needed or feed.closed_ms != feed.candles.floor(entry_close_ms):
            return None
        if read.feature.indicator is None:
            return 1.0 if feed.closed_ms == entry_close_ms else 0.0
        return feed.recent[read.feature.name][-1 - read.offset]


class FactTable:
    """The lab's form: one column per fact, one row per entry candle."""

    def __init__(
        self,
        symbol_rules: CompiledRules,
        series: Mapping[CandlesRead, Series],
        candles_min: int = CANDLES_MIN,
        holes: Sequence[Hole] = (),
        others_holes: Mapping[str, Sequence[Hole]] = MappingProxyType({}),
        measured: Measured | None = None,
    ) -> None:
        """``holes`` are those over which the series were carried, ``others_holes`` of other symbols.

        ``measured`` belongs to the same series and holes.
        """
        missing = sorted(map(str, symbol_rules.candles - set(series)))
        if missing:
            raise FeedError(f"candles of {', '.join(missing)} are missing: the rules read them")
        self.rules = symbol_rules
        self._series = series
        self.warmup = Warmup(symbol_rules, candles_min)
        self._holes, self._others_holes = holes, others_holes
        self._measured = measured or Measured()
        self._columns: dict[str, FloatArray] = {}
        self._known: dict[str, FloatArray] = {}
        self._shortages: dict[str, npt.NDArray[np.int64]] = {}
        self._reads: dict[str, tuple[_Read, tuple[object, ...]]] = {}
        entry = symbol_rules.entry_timeframe
        self.candle_ms: npt.NDArray[np.int64] = series[entry].open_time_ms
        self.carried = _carried(series[entry], holes)

    @property
    def length(self) -> int:
        return len(self.candle_ms)

    @property
    def _closes_ms(self) -> npt.NDArray[np.int64]:
        return self.candle_ms + self.rules.entry_timeframe.ms

    def column(self, key: str) -> FloatArray:
        """The fact at each entry candle's close; NaN is UNKNOWN. Read-only. Raises KeyError for no feature's key."""
        column = self._columns.get(key)
        if column is None:
            column = self._known.get(key)
        if column is None:
            read, meant = self._read(key)
            column = self._columns[key] = self._measured.column(meant, lambda: self._computed(read))
        return column

    def _read(self, key: str) -> tuple[_Read, tuple[object, ...]]:
        """A fact of a feature, and all that its column depends on. Raises KeyError for no feature's key."""
        if key not in self._reads:
            read = _Read(key, self.rules, self.warmup)
            meant = (meaning(read.feature), read.offset, read.candles_needed, self.rules.entry_timeframe)
            self._reads[key] = read, meant
        return self._reads[key]

    def finding(self, what: Hashable, keys: Iterable[str], find: Callable[[], T]) -> T:
        """What follows from ``what`` and the columns of these keys; found once for all rules in which they mean the
        same. Nobody may change it."""
        try:
            meant = tuple((key, self._read(key)[1]) for key in keys)
        except KeyError:
            return find()  # of the moment or the regime: other rules, other columns
        return self._measured.finding((what, meant), find)

    def truth(self, node: Node) -> TruthArray:
        """What a condition says at each entry candle's close; of length 1 where nothing in it changes. Read-only."""
        keys = sorted(name.key for name in names_in(node))
        return self.finding(node, keys, lambda: _read_only(truths(node, self.column)))

    def facts_at(self, index: int) -> Facts:
        """The facts at one entry candle's close, as the stream would give them there."""
        words = (*self.rules.regime_words, *self.rules.moment_words)
        keys = (*self.rules.fact_keys, *(word for word in words if word in self._known))
        return {key: known(self.column(key).item(index)) for key in keys}

    def know_regimes(self, track: RegimeTrack) -> None:
        """From now on the facts tell of the regime in force what strategies ask."""
        self.know({word: column_of(word, track) for word in self.rules.regime_words})

    def know(self, columns: Mapping[str, FloatArray]) -> None:
        """From now on the facts tell this, too; one row per entry candle."""
        self._known |= columns

    def warming_at(self, index: int) -> dict[str, str]:
        """Who cannot be asked yet at one entry candle's close, as the stream would say."""
        found = {who: int(self.shortage(who)[index]) for who in self.warmup.needed}
        return {who: self.warmup.said(who, short) for who, short in found.items() if short}

    def shortage(self, who: str) -> npt.NDArray[np.int64]:
        """See Warmup.shortage; at each entry candle's close."""
        if who not in self._shortages:
            self._shortages[who] = self.warmup.shortage(who, self._seen())
        return self._shortages[who]

    def let_go(self) -> None:
        """Forget what was computed on the way to the columns, and is needed no more."""
        self._measured.let_go()

    def settle(self) -> None:
        """Most columns have been read for the last time: one that is read once more is found again."""
        self._columns.clear()
        self._measured.settle()

    @cached_property
    def ready_from(self) -> int | None:
        """The first entry candle at which a strategy can be asked; None: these candles never suffice."""
        seen = self._seen()
        asked = [self.warmup.is_ready(who, seen) for who in self.warmup.needed if who != CLASSIFIER]
        if not asked:
            return None
        ready = np.flatnonzero(self.warmup.is_ready(CLASSIFIER, seen) & np.logical_or.reduce(asked))
        return int(ready[0]) if len(ready) else None

    def _seen(self) -> dict[CandlesRead, npt.NDArray[np.int64]]:
        """How many candles of each series an indicator has been fed at each entry candle's close."""
        found = {}
        for candles in self._series:
            last = self._last(candles)
            seen = np.zeros(self.length, dtype=np.int64)
            for stretch in self._stretches(candles):
                begun = last >= stretch.first
                seen[begun] = np.minimum(last[begun] + 1, stretch.end) - stretch.first
            found[candles] = seen
        return found

    def _stretches(self, candles: CandlesRead) -> list[Stretch]:
        holes = self._others_holes.get(candles.symbol, ()) if isinstance(candles, OtherCandles) else self._holes
        return self._measured.stretches(candles, self._series[candles], holes)

    def _last(self, candles: CandlesRead) -> npt.NDArray[np.int64]:
        """The newest closed candle of these at each entry candle's close, -1 before the first."""
        if self._is_entry(candles):
            return np.arange(self.length)
        closes_ms = self._series[candles].open_time_ms + candles.ms
        return np.searchsorted(closes_ms, self._closes_ms, side="right") - 1

    def _is_entry(self, candles: CandlesRead) -> bool:
        """Whether one of these closes with each entry candle."""
        return self._series[candles] is self._series[self.rules.entry_timeframe]

    def _computed(self, read: _Read) -> FloatArray:
        candles, indicator = read.feature.candles, read.feature.indicator
        if self._is_entry(candles) and indicator is not None:
            return self._of_entry(read, indicator)
        closes_ms = self._series[candles].open_time_ms + candles.ms
        expected_ms = self._closes_ms // candles.ms * candles.ms
        last = self._last(candles)
        column = np.full(self.length, np.nan)
        for stretch in self._stretches(candles):
            place = last - stretch.first
            readable = np.flatnonzero((place + 1 >= read.candles_needed) & (last < stretch.end))
            readable = readable[closes_ms[last[readable]] == expected_ms[readable]]
            if indicator is None:
                column[readable] = np.where(expected_ms[readable] == self._closes_ms[readable], 1.0, 0.0)
            else:
                values = finite(indicator.batch(stretch.workspace))
                column[readable] = values[place[readable] - read.offset]
        return column

    def _of_entry(self, read: _Read, indicator: Measure) -> FloatArray:
        column = np.full(self.length, np.nan)
        for stretch in self._stretches(read.feature.candles):
            first = stretch.first + read.candles_needed - 1
            if first < stretch.end:
                values = finite(indicator.batch(stretch.workspace))
                column[first : stretch.end] = values[
                    first - stretch.first - read.offset : stretch.end - stretch.first - read.offset
                ]
        return column


def _read_only(truth: TruthArray) -> TruthArray:
    truth.setflags(write=False)
    return truth


def _carried(series: Series, holes: Sequence[Hole]) -> npt.NDArray[np.bool_]:
    """Where the series has candles that the exchange never had."""
    carried = np.zeros(series.length, dtype=np.bool_)
    for hole in holes:
        if hole.timeframe is series.timeframe:
            carried[slice(*np.searchsorted(series.open_time_ms, (hole.first_ms, hole.end_ms)).tolist())] = True
    return carried


class _Read:
    """One fact: which feature, how far back, and how many candles must have been seen for it."""

    def __init__(self, key: str, rules: CompiledRules, warmup: Warmup) -> None:
        self.key = key
        self.feature: Feature = rules.features[feature_name(key)]
        self.offset = feature_offset(key)
        self.candles_needed = warmup.candles_needed(key)


class _Feed:
    """One run of candles of the stream: its indicators and their latest values, as far back as any rule reads."""

    def __init__(self, candles: CandlesRead, features: list[Feature]) -> None:
        self.candles = candles
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
                f"the {self.candles} candle that opened at {candle.open_time_ms} does not follow the one before, "
                f"which closed at {self.closed_ms}: load the history again from its start"
            )
        for name, stream in self._streams.items():
            self.recent[name].append(known(stream.update(candle)))
        self.count += 1
        self.closed_ms = candle.open_time_ms + self.candles.ms


def _used_features(rules: CompiledRules) -> list[Feature]:
    names = sorted({feature_name(key) for key in rules.fact_keys})
    return [rules.features[name] for name in names]
