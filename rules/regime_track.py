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
    steps = _Steps(classifier, readings, start)
    taken = steps.taken(candle_ms[runs])
    codes = _in_force(steps.began, taken, runs, len(candle_ms))
    return RegimeTrack(steps.names, codes, runs, start, _after_runs(steps, taken, candle_ms[runs]))


def course_of(
    classifier: Classifier, readings: Readings, start: RegimeState, runs: npt.NDArray[np.intp], candle_ms: IntArray
) -> Course:
    """The course of that track alone."""
    steps = _Steps(classifier, readings, start)
    return Course(steps.names, _in_force(steps.began, steps.taken(candle_ms[runs]), runs, len(candle_ms)))


def _in_force(began: int, taken: _Taken, runs: npt.NDArray[np.intp], length: int) -> CodeArray:
    """At each entry candle: what the latest run says, and before the first what it began with."""
    return np.repeat(np.append(np.int8(began), taken.regime), np.diff(runs, prepend=0, append=length))


def _after_runs(steps: _Steps, taken: _Taken, candle_ms: IntArray) -> Runs:
    length = len(candle_ms)
    confidence, candidates, rows = steps.confidence, steps.candidates, np.arange(length)
    before = np.concatenate(([steps.began], taken.regime))[:length].astype(np.intp)
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


def _candidates(readings: Readings, names: int) -> CodeArray:
    """Of every regime that may be in force: the candidate of every run while it is."""
    told, length = len(readings.enter), len(readings.known)
    entered = {code: readings.known & (enter == TRUE) for code, enter in enumerate(readings.enter)}
    entered = {code: enters for code, enters in entered.items() if enters.any()}
    found = np.full((names, length), told, dtype=np.int8)  # NO_TRADE
    for current, best in enumerate(found):
        if current < told:
            best[readings.known & (readings.stay[current] == TRUE)] = current
        highest = np.full(length, -np.inf)
        chosen = np.zeros(length, dtype=np.bool_)
        for code in sorted(entered, key=lambda code: code != current):  # among equals the first
            confidence = readings.confidence[code]
            better = entered[code] & (~chosen | (confidence > highest))
            best[better], highest[better] = code, confidence[better]
            chosen |= better
    return found


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

    def __init__(self, classifier: Classifier, readings: Readings, start: RegimeState) -> None:
        self._classifier, self._start = classifier, start
        self.names = (*classifier.names, *({start.regime} - {*classifier.names}))
        self.began = self.names.index(start.regime)
        self.confidence = np.zeros((len(self.names), len(readings.known)))
        for code, values in enumerate(readings.confidence):  # NO_TRADE, and one that is told no more, have none
            np.copyto(self.confidence[code], values, where=readings.known)
        self.candidates = _candidates(readings, len(self.names))
        self._others = [np.flatnonzero(wanted != code).data for code, wanted in enumerate(self.candidates)]

    def taken(self, candle_ms: IntArray) -> _Taken:
        """What is known after each run."""
        names, start = self.names, self._start
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
            wanted = int(self.candidates[regime, until])
            count = count + 1 if pending == wanted else 1
            if self._is_stable(count, float(self.confidence[wanted, until])) and held >= self._dwell:
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
