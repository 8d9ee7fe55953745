"""Tells the regime of a symbol, and keeps it from flip-flopping.

The classifier runs when a candle of the regime timeframe has closed, and goes through three steps.

1. **Readings.** For each regime: do its ``enter`` conditions hold, do its ``stay`` conditions hold, and how confident
   is it (the mean of its ramps, each between 0 and 1; an UNKNOWN ramp counts 0, and no ramps at all 1).
2. **Candidate.** Of the regimes whose ``enter`` is TRUE, the most confident one; among equals the present regime, then
   the first by ``priority`` (definition.py). If there is none: the present regime as long as its ``stay`` is TRUE. Else
   NO_TRADE. If any fact that the classifier reads is UNKNOWN, the candidate is NO_TRADE whatever the others say.
3. **Hysteresis.** The regime changes to the candidate only after the candidate was the same for ``confirmations`` runs
   in a row, or at once when its confidence reaches ``override_confidence``; and in either case only once the present
   regime has lasted ``dwell_candles`` runs. NO_TRADE has confidence 0: it is never entered by override.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from indicators.candle import Timeframe
from rules.conditions import Conditions, ConditionTrace
from rules.language.scalar import Facts, Numeric, known, numeric
from rules.language.syntax import Node, names_in
from rules.language.truth import Truth
from rules.source.short_forms import NO_TRADE


class RegimeState(msgspec.Struct, frozen=True, kw_only=True):
    """The regime in force with the counters of its hysteresis. The default value is the start: NO_TRADE, nothing seen.

    ``confidence`` is that of the regime in force at the latest run (0 for NO_TRADE); ``since_ms`` the close of the
    candle that brought it; ``candles_in_regime`` counts runs, the one that brought it included. ``pending`` is the
    regime that has asked to follow, ``pending_count`` times in a row; ``candidate`` what the latest run would choose by
    itself. ``candle_ms`` is the open time of the entry candle of the latest run, -1 before the first.
    """

    regime: str = NO_TRADE
    confidence: float = 0.0
    since_ms: int = 0
    candles_in_regime: int = 0
    pending: str | None = None
    pending_count: int = 0
    candidate: str = NO_TRADE
    candidate_confidence: float = 0.0
    candle_ms: int = -1

    def restarted(self) -> RegimeState:
        """The same regime with its counters at zero: what a change of rules leaves of the past."""
        return RegimeState(
            regime=self.regime, confidence=self.confidence, since_ms=self.since_ms, candle_ms=self.candle_ms
        )


class RampTrace(msgspec.Struct, frozen=True):
    """One part of a confidence: its value and the score between 0 and 1 that it gave."""

    text: str
    value: float | None
    zero_at: float
    full_at: float
    score: float


class RegimeTrace(msgspec.Struct, frozen=True):
    """Why a regime can or cannot be entered or kept."""

    regime: str
    enter: Truth
    stay: Truth
    confidence: float
    enter_conditions: tuple[ConditionTrace, ...]
    stay_conditions: tuple[ConditionTrace, ...]
    ramps: tuple[RampTrace, ...]


class RegimeReading(msgspec.Struct, frozen=True):
    """What one regime says at one candle."""

    enter: Truth
    stay: Truth
    confidence: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """Scores a value linearly from 0 at ``zero_at`` to 1 at ``full_at`` (which may be the smaller one)."""

    text: str
    node: Node
    calculate: Numeric
    zero_at: float
    full_at: float

    @classmethod
    def of(cls, text: str, node: Node, zero_at: float, full_at: float) -> Ramp:
        return cls(text, node, numeric(node), zero_at, full_at)

    def score(self, value: float | None) -> float:
        position = known((value - self.zero_at) / (self.full_at - self.zero_at)) if value is not None else None
        if position is None or position < 0:
            return 0.0
        return position if position < 1 else 1.0


@dataclass(frozen=True, slots=True)
class RegimeRule:
    """One regime of the rules file, compiled."""

    regime: str
    enter: Conditions
    stay: Conditions
    ramps: tuple[Ramp, ...]

    def read(self, facts: Facts) -> RegimeReading:
        return RegimeReading(self.enter.truth(facts), self.stay.truth(facts), self.confidence(facts))

    def confidence(self, facts: Facts) -> float:
        total = 0.0
        for ramp in self.ramps:
            total += ramp.score(ramp.calculate(facts))
        return total / len(self.ramps) if self.ramps else 1.0

    def trace(self, facts: Facts) -> RegimeTrace:
        reading = self.read(facts)
        ramps = tuple(
            RampTrace(ramp.text, value := ramp.calculate(facts), ramp.zero_at, ramp.full_at, ramp.score(value))
            for ramp in self.ramps
        )
        enter, stay = self.enter.trace(facts), self.stay.trace(facts)
        return RegimeTrace(self.regime, reading.enter, reading.stay, reading.confidence, enter, stay, ramps)

    def fact_keys(self) -> set[str]:
        ramps = {name.key for ramp in self.ramps for name in names_in(ramp.node)}
        return self.enter.fact_keys() | self.stay.fact_keys() | ramps


@dataclass(frozen=True, slots=True)
class Classifier:
    """The regimes with their hysteresis; ``confirmations`` and ``dwell_candles`` count candles of ``timeframe``."""

    rules: tuple[RegimeRule, ...]  # of equals, the first one is taken
    timeframe: Timeframe
    entry_timeframe: Timeframe
    confirmations: int
    override_confidence: float | None
    dwell_candles: int
    fact_keys: tuple[str, ...]

    def is_due(self, state: RegimeState, candle_ms: int) -> bool:
        """Whether a candle of the regime timeframe has closed since the latest run.

        ``candle_ms`` is the open time of the entry candle that just closed. A run that was missed is made up for at the
        next decision; a candle that was seen already is not due.
        """
        return self._closed_until(candle_ms) > self._closed_until(state.candle_ms)

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything that decides what it tells, for comparing."""
        rules = [
            (rule.regime, rule.enter.nodes, rule.stay.nodes, [(r.node, r.zero_at, r.full_at) for r in rule.ramps])
            for rule in self.rules
        ]
        hysteresis = (self.confirmations, self.override_confidence, self.dwell_candles)
        return self.timeframe, self.entry_timeframe, hysteresis, rules

    @property
    def names(self) -> tuple[str, ...]:
        """Every regime that it can tell, NO_TRADE last."""
        return (*(rule.regime for rule in self.rules), NO_TRADE)

    def classify(self, facts: Facts, state: RegimeState, candle_ms: int) -> RegimeState:
        """The state after the entry candle that opened at ``candle_ms``; the same state where no run is due."""
        return self.advance(state, self.read(facts), candle_ms) if self.is_due(state, candle_ms) else state

    def read(self, facts: Facts) -> Mapping[str, RegimeReading] | None:
        """What each regime says; None when a fact that the classifier reads is UNKNOWN."""
        if any(known(facts.get(key)) is None for key in self.fact_keys):
            return None
        return {rule.regime: rule.read(facts) for rule in self.rules}

    def advance(self, state: RegimeState, readings: Mapping[str, RegimeReading] | None, candle_ms: int) -> RegimeState:
        """Steps 2 and 3 of a run, given the readings of step 1."""
        candidate = _candidate(state.regime, [rule.regime for rule in self.rules], readings)
        confidence = _confidence(candidate, readings)
        seen = msgspec.structs.replace(
            state,
            confidence=_confidence(state.regime, readings),
            candles_in_regime=state.candles_in_regime + 1,
            pending=None,
            pending_count=0,
            candidate=candidate,
            candidate_confidence=confidence,
            candle_ms=candle_ms,
        )
        if candidate == state.regime:
            return seen
        count = state.pending_count + 1 if state.pending == candidate else 1
        sure = self.override_confidence is not None and confidence >= self.override_confidence
        stable = count >= self.confirmations or sure
        if not stable or state.candles_in_regime < self.dwell_candles:
            return msgspec.structs.replace(seen, pending=candidate, pending_count=count)
        since_ms = candle_ms + self.entry_timeframe.ms
        return msgspec.structs.replace(
            seen, regime=candidate, confidence=confidence, since_ms=since_ms, candles_in_regime=1
        )

    def trace(self, facts: Facts) -> tuple[RegimeTrace, ...]:
        return tuple(rule.trace(facts) for rule in self.rules)

    def _closed_until(self, candle_ms: int) -> int:
        """Close time of the latest candle of the regime timeframe, once this entry candle has closed."""
        return self.timeframe.floor(candle_ms + self.entry_timeframe.ms)


def _candidate(current: str, names: list[str], readings: Mapping[str, RegimeReading] | None) -> str:
    if readings is None:
        return NO_TRADE
    order = sorted(names, key=lambda regime: regime != current)
    enterable = [regime for regime in order if readings[regime].enter is Truth.TRUE]
    if enterable:
        return max(enterable, key=lambda regime: readings[regime].confidence)  # max keeps the first of equals
    if current in readings and readings[current].stay is Truth.TRUE:
        return current
    return NO_TRADE


def _confidence(regime: str, readings: Mapping[str, RegimeReading] | None) -> float:
    return readings[regime].confidence if readings is not None and regime in readings else 0.0
