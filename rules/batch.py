"""Decides over a whole history at once, equal at every candle to asking the rules candle by candle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rules.compiled_rules import CompiledRules
from rules.facts import FactTable
from rules.language.arrays import TRUE, UNKNOWN, Columns, FloatArray, TruthArray, finite, numbers
from rules.regime import Classifier, Ramp, RegimeRule, RegimeState
from rules.regime_track import CodeArray, Course, Readings, RegimeTrack, course_of, track_of
from rules.regime_words import column_of
from rules.strategy import Reason, SideRules, Strategy

REASONS = tuple(Reason)

BoolArray = npt.NDArray[np.bool_]
_ScalarT = TypeVar("_ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class SignalTrack:
    """What a strategy says at each entry candle. ``sides``: +1 long, -1 short, 0 none; ``reasons``: REASONS index."""

    sides: CodeArray
    reasons: CodeArray


def regimes(table: FactTable, rules: CompiledRules | None = None, start: RegimeState | None = None) -> RegimeTrack:
    """The regime after every entry candle, which the table knows from then on.

    ``rules`` may differ from the table's in values, not in what they read.
    """
    track = _track(table, (rules or table.rules).classifier, start or RegimeState())
    table.know_regimes(track)
    return track


def course(table: FactTable) -> Course:
    """The same in little memory, found once for all rules that read regimes alike."""
    classifier, words = table.rules.classifier, table.rules.regime_words

    def found() -> tuple[Course, tuple[FloatArray, ...]]:
        if not words:
            return course_of(classifier, *_read(table, classifier, RegimeState())), ()
        track = _track(table, classifier, RegimeState())
        return track.course, tuple(column_of(word, track) for word in words)

    what = ("course", repr(classifier.meaning), words)
    course, columns = table.finding(what, classifier.fact_keys, found)
    table.know(dict(zip(words, columns, strict=True)))
    return course


def _track(table: FactTable, classifier: Classifier, state: RegimeState) -> RegimeTrack:
    return track_of(classifier, *_read(table, classifier, state))


def _read(
    table: FactTable, classifier: Classifier, state: RegimeState
) -> tuple[Readings, RegimeState, npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """What the classifier reads at each of its runs, and which those are."""
    entry_ms, step = classifier.entry_timeframe.ms, classifier.timeframe.ms
    closed = np.where(table.carried, -1, (table.candle_ms + entry_ms) // step)  # a carried candle is not classified
    before = np.concatenate(([(state.candle_ms + entry_ms) // step], closed[:-1]))
    runs = np.flatnonzero(closed > np.maximum.accumulate(before))
    columns = table.column if len(runs) == table.length else _rows_of(table, runs)
    known = np.ones(len(runs), dtype=np.bool_)
    for key in classifier.fact_keys:
        known &= ~np.isnan(columns(key))
    readings = Readings(
        enter=[_full(rule.enter.truths(columns), len(runs)) for rule in classifier.rules],
        stay=[_full(rule.stay.truths(columns), len(runs)) for rule in classifier.rules],
        confidence=[_confidences(rule, columns, len(runs)) for rule in classifier.rules],
        known=known,
    )
    return readings, state, runs, table.candle_ms


def signals(table: FactTable, strategy: str, rules: CompiledRules | None = None) -> SignalTrack:
    """What the strategy says at every entry candle, whatever the regime."""
    plan = (rules or table.rules).strategies[strategy]
    setups = {side.side: _full(side.setup.joined(table.truth), table.length) for side in plan.sides}
    holding = sum((setup == TRUE).astype(np.int8) for setup in setups.values())
    unknown = np.logical_or.reduce([setup == UNKNOWN for setup in setups.values()])
    reasons = np.where(unknown, REASONS.index(Reason.UNKNOWN_FACTS), REASONS.index(Reason.NO_SETUP)).astype(np.int8)
    reasons[holding > 1] = REASONS.index(Reason.BOTH_SIDES)
    sides = np.zeros(table.length, dtype=np.int8)
    for side in plan.sides:
        rows = np.flatnonzero((holding == 1) & (setups[side.side] == TRUE))
        reasons[rows] = _plan_reasons(plan, side, _rows_of(table, rows), len(rows))
        sides[rows] = np.where(reasons[rows] == REASONS.index(Reason.SIGNAL), side.sign, 0)
    return SignalTrack(sides, reasons)


def signal_sides(table: FactTable, strategy: str, rules: CompiledRules | None = None) -> CodeArray:
    """+1 where the strategy signals long, -1 short, 0 elsewhere."""
    return signals(table, strategy, rules).sides


def _confidences(rule: RegimeRule, columns: Columns, length: int) -> FloatArray:
    total = np.zeros(length)
    for ramp in rule.ramps:
        total = total + _score(ramp, numbers(ramp.node, columns))
    return total / len(rule.ramps) if rule.ramps else np.ones(length)


def _score(ramp: Ramp, values: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        position = finite((values - ramp.zero_at) / (ramp.full_at - ramp.zero_at))
        return np.where(np.isnan(position) | (position < 0), 0.0, np.where(position < 1, position, 1.0))


def prices(
    table: FactTable, strategy: Strategy, side: SideRules, rows: npt.NDArray[np.intp]
) -> tuple[FloatArray, list[FloatArray]]:
    """Where the stop and the targets of a signal lie at each of these candles, not rounded to ticks."""
    local: dict[str, FloatArray] = {}
    columns = _rows_of(table, rows)

    def scene(key: str) -> FloatArray:
        return local[key] if key in local else columns(key)

    with np.errstate(all="ignore"):
        local["entry"] = finite(columns(strategy.entry_key))
        local["stop"] = stop = _full(numbers(side.stop.node, scene), len(rows))
        local["risk"] = _gain(side, stop, local["entry"])
        return stop, [_full(numbers(price.node, scene), len(rows)) for price, _ in side.targets]


def _plan_reasons(strategy: Strategy, side: SideRules, columns: Columns, length: int) -> CodeArray:
    """The reason at each row, where only this side's setup holds."""
    local: dict[str, FloatArray] = {}

    def scene(key: str) -> FloatArray:
        return local[key] if key in local else columns(key)

    with np.errstate(all="ignore"):
        local["entry"] = entry = finite(columns(strategy.entry_key))
        local["stop"] = stop = _full(numbers(side.stop.node, scene), length)
        local["risk"] = _gain(side, stop, entry)
        prices = [_full(numbers(price.node, scene), length) for price, _ in side.targets]
        accepted = _full(side.accept.truths(scene), length) if side.accept else np.full(length, TRUE, dtype=np.int8)
        checks = _checks(strategy, side, local, prices, accepted)
    reasons = np.full(length, REASONS.index(Reason.SIGNAL), dtype=np.int8)
    for fails, reason in reversed(checks):
        reasons[fails] = REASONS.index(reason)
    return reasons


def _checks(
    strategy: Strategy,
    side: SideRules,
    local: Mapping[str, FloatArray],
    prices: Sequence[FloatArray],
    accepted: TruthArray,
) -> list[tuple[BoolArray, Reason]]:
    """Where a plan fails and why, in the order in which the scalar form looks."""
    entry, stop, risk = local["entry"], local["stop"], local["risk"]
    gains = [_gain(side, entry, price) for price in prices]
    reward = np.zeros(len(entry))
    for gain, (_, portion) in zip(gains, side.targets, strict=True):
        reward = reward + portion * gain
    reward_risk = finite(reward / risk) if gains else np.full(len(entry), np.inf)
    nothing = np.zeros(len(entry), dtype=np.bool_)
    unknown = np.logical_or.reduce([nothing, *(np.isnan(price) for price in prices)])
    wrong = np.logical_or.reduce(
        [nothing, *((gain <= 0) | (price <= 0) for gain, price in zip(gains, prices, strict=True))]
    )
    return [
        (np.isnan(entry) | np.isnan(stop), Reason.UNKNOWN_FACTS),
        (~((entry > 0) & (stop > 0) & (risk > 0)), Reason.STOP_WRONG_SIDE),
        (unknown, Reason.UNKNOWN_FACTS),
        (wrong, Reason.TARGET_WRONG_SIDE),
        *((later <= earlier, Reason.TARGETS_OUT_OF_ORDER) for earlier, later in pairwise(gains)),
        (np.isnan(reward_risk) | (accepted == UNKNOWN), Reason.UNKNOWN_FACTS),
        (accepted != TRUE, Reason.NOT_ACCEPTED),
        (reward_risk < strategy.reward_risk_min, Reason.REWARD_RISK_LOW),
    ]


def _gain(side: SideRules, start: FloatArray, end: FloatArray) -> FloatArray:
    return end - start if side.side == "LONG" else start - end


def _rows_of(table: FactTable, rows: npt.NDArray[np.intp]) -> Columns:
    return lambda key: table.column(key)[rows]


def _full(values: npt.NDArray[_ScalarT], length: int) -> npt.NDArray[_ScalarT]:
    """A column that may have come out with length 1, as nothing in it changes, at its full length."""
    return np.broadcast_to(values, (length,))
