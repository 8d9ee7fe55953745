"""The regimes of a whole history over arrays: every run of the classifier at once, its states made when asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rules.language.arrays import TRUE, FloatArray, TruthArray
from rules.regime import Classifier, RegimeState

_NONE = -1

CodeArray = npt.NDArray[np.int8]
IntArray = npt.NDArray[np.int64]
CountArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What the regimes of a classifier say at each run, in its order; ``known``: where every fact that it reads is."""

    enter: Sequence[TruthArray]
    stay: Sequence[TruthArray]
    confidence: Sequence[FloatArray]
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """What the classifier remembers after each of its runs; regimes as their index in the names, -1 for none."""

    candle_ms: IntArray
    regime: CodeArray
    confidence: FloatArray
    since_ms: IntArray
    candles: CountArray
    pending: CodeArray
    pending_count: CountArray
    candidate: CodeArray
    candidate_confidence: FloatArray

    def state(self, run: int, names: Sequence[str]) -> RegimeState:
        pending = self.pending.item(run)
        return RegimeState(
            regime=names[self.regime.item(run)],
            confidence=self.confidence.item(run),
            since_ms=self.since_ms.item(run),
            candles_in_regime=self.candles.item(run),
            pending=None if pending == _NONE else names[pending],
            pending_count=self.pending_count.item(run),
            candidate=names[self.candidate.item(run)],
            candidate_confidence=self.candidate_confidence.item(run),
            candle_ms=self.candle_ms.item(run),
        )


class Course(NamedTuple):
    """The regime in force after each entry candle, as its index in ``names``."""

    names: tuple[str, ...]
    codes: CodeArray


@dataclass(frozen=True, slots=True, eq=False)
class RegimeTrack:
    """The regimes of a history. ``codes`` has the regime in force after each entry candle, as its index in ``names``;
    ``runs`` are the indices of the entry candles at which the classifier ran."""

    names: tuple[str, ...]
    codes: CodeArray
    runs: npt.NDArray[np.intp]
    start: RegimeState
    after: Runs

    def state_at(self, index: int) -> RegimeState:
        """The state after an entry candle."""
        run = int(np.searchsorted(self.runs, index, side="right"))
        return self.after.state(run - 1, self.names) if run else self.start

    @property
    def course(self) -> Course:
        """The least of it, in little memory."""
        return Course(self.names, self.codes)

    @property
    def states(self) -> tuple[RegimeState, ...]:
        """The state after each run."""
        return tuple(self.after.state(run, self.names) for run in range(len(self.runs)))

    @property
    def met(self) -> frozenset[str]:
        """The regimes that any run ended in."""
        return frozenset(self.names[code] for code in np.unique(self.after.regime).tolist())


def track_of(
    classifier: Classifier, readings: Readings, start: RegimeState, runs: npt.NDArray[np.intp], candle_ms: IntArray
) -> RegimeTrack:
    """Steps 2 and 3 of the classifier at every run, given the readings of step 1."""
    names = (*classifier.names, *({start.regime} - {*classifier.names}))
    began = names.index(start.regime)
    after = _after_runs(classifier, readings, names, start, candle_ms[runs])
    since = np.searchsorted(runs, np.arange(len(candle_ms)), side="right")
    codes = np.concatenate(([began], after.regime)).astype(np.int8)[since]
    return RegimeTrack(names, codes, runs, start, after)


def _after_runs(
    classifier: Classifier, readings: Readings, names: tuple[str, ...], start: RegimeState, candle_ms: IntArray
) -> Runs:
    length = len(candle_ms)
    confidence = np.zeros((len(names), length))  # NO_TRADE, and one that is told no more, have none
    for code, values in enumerate(readings.confidence):
        confidence[code] = np.where(readings.known, values, 0.0)
    candidates = np.array([_candidates(readings, code) for code in range(len(names))]).reshape(len(names), length)
    taken = _Steps(classifier, candidates, confidence).taken(names, start, candle_ms)
    rows = np.arange(length)
    before = np.concatenate(([names.index(start.regime)], taken.regime))[:length].astype(np.intp)
    candidate = candidates[before, rows]
    return Runs(
        candle_ms=candle_ms,
        regime=taken.regime,
        confidence=confidence[taken.regime, rows],
        since_ms=taken.since_ms,
        candles=taken.candles,
        pending=taken.pending,
        pending_count=taken.pending_count,
        candidate=candidate,
        candidate_confidence=confidence[candidate, rows],
    )


def _candidates(readings: Readings, current: int) -> CodeArray:
    """The candidate of every run while this is the regime in force."""
    told, length = len(readings.enter), len(readings.known)
    best = np.full(length, _NONE, dtype=np.int8)
    highest = np.full(length, -np.inf)
    for code in sorted(range(told), key=lambda code: code != current):  # among equals the first
        confidence = readings.confidence[code]
        better = (readings.enter[code] == TRUE) & ((best == _NONE) | (confidence > highest))
        best[better], highest[better] = code, confidence[better]
    rest = np.full(length, told, dtype=np.int8)  # NO_TRADE
    if current < told:
        rest[readings.stay[current] == TRUE] = current
    return np.where(readings.known, np.where(best == _NONE, rest, best), told).astype(np.int8)


class _Taken:
    """What is known after each run, while the runs are gone through."""

    def __init__(self, length: int) -> None:
        self.regime = np.empty(length, np.int8)
        self.pending = np.full(length, _NONE, np.int8)
        self.candles = np.empty(length, np.int32)
        self.pending_count = np.zeros(length, np.int32)
        self.since_ms = np.empty(length, np.int64)


class _Steps:
    """Hysteresis: only runs whose candidate is not the regime in force are gone through one by one."""

    def __init__(self, classifier: Classifier, candidates: CodeArray, confidence: FloatArray) -> None:
        self._classifier = classifier
        self._candidates = candidates
        self._confidence = confidence
        self._others = [np.flatnonzero(wanted != code).data for code, wanted in enumerate(candidates)]

    def taken(self, names: tuple[str, ...], start: RegimeState, candle_ms: IntArray) -> _Taken:
        found, length = _Taken(len(candle_ms)), len(candle_ms)
        regime, held, since_ms = names.index(start.regime), start.candles_in_regime, start.since_ms
        pending = names.index(start.pending) if start.pending in names else _NONE
        count, at = start.pending_count, 0
        while at < length:
            others = self._others[regime]
            place = bisect_left(others, at)
            until = others[place] if place < len(others) else length
            if until > at:  # the regime in force is the candidate, run after run
                found.regime[at:until], found.since_ms[at:until] = regime, since_ms
                found.candles[at:until] = np.arange(held + 1, held + 1 + until - at)
                held, pending, count = held + until - at, _NONE, 0
            if until == length:
                break
            wanted = int(self._candidates[regime, until])
            count = count + 1 if pending == wanted else 1
            if self._is_stable(count, float(self._confidence[wanted, until])) and held >= self._dwell:
                regime, held, pending, count = wanted, 1, _NONE, 0
                since_ms = int(candle_ms[until]) + self._classifier.entry_timeframe.ms
            else:
                held, pending = held + 1, wanted
            found.regime[until], found.candles[until], found.since_ms[until] = regime, held, since_ms
            found.pending[until], found.pending_count[until] = pending, count
            at = until + 1
        return found

    @property
    def _dwell(self) -> int:
        return self._classifier.dwell_candles

    def _is_stable(self, count: int, confidence: float) -> bool:
        override = self._classifier.override_confidence
        return count >= self._classifier.confirmations or (override is not None and confidence >= override)
