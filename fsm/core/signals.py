"""A signal that is not entered yet: its age, and how it is given up."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.model.decision import Decision, Guard, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger


def signal_age_ms(trade: Trade, at_ms: int, context: DecisionContext) -> int:
    """Time since the close of the candle that gave the signal."""
    return at_ms - trade.signal_candle_ms - context.rules.entry_timeframe.ms


def drop(record: SymbolRecord, reason: str, *, guards: tuple[Guard, ...] = ()) -> Decision:
    """The signal is given up. The guards that say why are facts of the drop, not conditions for it."""
    facts = {"guards": [f"{guard.name} {guard.value} {guard.limit}" for guard in guards if not guard.passed]}
    return decision(Trigger.DROP, reason, replace(record, trade=None), facts=facts if guards else None)
