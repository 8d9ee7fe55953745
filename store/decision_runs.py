"""Joins decisions that say the same into stretches, so that quiet weeks are one row and not hundreds."""

from __future__ import annotations

import msgspec

from store.canonical import finite
from store.rows import DecisionRow

SIGNAL = "SIGNAL"
"""The outcome that is always written at once and on its own."""


class DecisionRunRow(msgspec.Struct, frozen=True, kw_only=True):
    """An open stretch: its first decision, and (``last_…``) what the newest one saw. Fields as the table's columns."""

    symbol: str
    at_ms: int
    candle_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    regime: str | None
    confidence: float | None
    facts_json: str
    traces_json: str
    guards_json: str
    rules_hash: str
    config_hash: str
    run_id: str
    last_at_ms: int
    last_confidence: float | None
    last_facts_json: str
    last_traces_json: str
    last_guards_json: str

    def continues(self, decision: DecisionRow) -> bool:
        """Whether a decision says the same under the same rules and config."""
        return (
            self.outcome == decision.outcome
            and self.reason == decision.reason
            and self.regime == decision.regime
            and self.rules_hash == decision.rules_hash
            and self.config_hash == decision.config_hash
        )

    def extended(self, decision: DecisionRow) -> DecisionRunRow:
        """The stretch with a further decision (or a further run of equal ones) at its end."""
        return msgspec.structs.replace(
            self,
            last_ms=_last_ms(decision),
            count=self.count + decision.count,
            last_at_ms=decision.at_ms,
            last_confidence=_confidence(decision),
            last_facts_json=decision.facts_json,
            last_traces_json=decision.traces_json,
            last_guards_json=decision.guards_json,
        )

    def closed(self) -> DecisionRow:
        """The row that is chained when the stretch is over: from when to when, and what its first candle saw."""
        return DecisionRow(
            at_ms=self.at_ms,
            symbol=self.symbol,
            candle_ms=self.candle_ms,
            last_ms=self.last_ms,
            count=self.count,
            outcome=self.outcome,
            reason=self.reason,
            regime=self.regime,
            confidence=self.confidence,
            facts_json=self.facts_json,
            traces_json=self.traces_json,
            guards_json=self.guards_json,
            rules_hash=self.rules_hash,
            config_hash=self.config_hash,
            run_id=self.run_id,
        )


def advance(
    stretch: DecisionRunRow | None, decision: DecisionRow, run_id: str
) -> tuple[list[DecisionRow], DecisionRunRow | None]:
    """The rows to chain now, and the stretch that is open afterwards (None right after a signal)."""
    if decision.outcome == SIGNAL:
        own = msgspec.structs.replace(decision, last_ms=_last_ms(decision), run_id=decision.run_id or run_id)
        return ([own] if stretch is None else [stretch.closed(), own]), None
    if stretch is None:
        return [], _opened(decision, run_id)
    if stretch.continues(decision):
        return [], stretch.extended(decision)
    return [stretch.closed()], _opened(decision, run_id)


def _opened(decision: DecisionRow, run_id: str) -> DecisionRunRow:
    return DecisionRunRow(
        symbol=decision.symbol,
        at_ms=decision.at_ms,
        candle_ms=decision.candle_ms,
        last_ms=_last_ms(decision),
        count=decision.count,
        outcome=decision.outcome,
        reason=decision.reason,
        regime=decision.regime,
        confidence=_confidence(decision),
        facts_json=decision.facts_json,
        traces_json=decision.traces_json,
        guards_json=decision.guards_json,
        rules_hash=decision.rules_hash,
        config_hash=decision.config_hash,
        run_id=decision.run_id or run_id,
        last_at_ms=decision.at_ms,
        last_confidence=_confidence(decision),
        last_facts_json=decision.facts_json,
        last_traces_json=decision.traces_json,
        last_guards_json=decision.guards_json,
    )


def _last_ms(decision: DecisionRow) -> int:
    return decision.candle_ms if decision.last_ms is None else decision.last_ms


def _confidence(decision: DecisionRow) -> float | None:
    return None if decision.confidence is None else finite(decision.confidence)
