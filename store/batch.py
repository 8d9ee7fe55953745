"""What is committed together: the rows of one step, or of one candle close over all symbols."""

from __future__ import annotations

from dataclasses import dataclass, field

from store.rows import (
    AlertRow,
    AnchorRow,
    CandleRow,
    CommandAck,
    ConfigVersionRow,
    DecisionRow,
    DocumentRow,
    EquityRow,
    ErrorRow,
    FillRow,
    IntentOutcome,
    OrderEnd,
    OrderUpdate,
    PositionMark,
    RegimeRow,
    RuleVersionRow,
    SystemEventRow,
    TransitionRow,
)


@dataclass(slots=True)
class Batch:
    """Everything in it is applied in one transaction, or nothing of it is.

    Within the batch, rows of a table keep their order; between tables the order is: chained rows and what
    they project, then intent outcomes, order updates and ends, position marks, command acks, alerts, documents,
    candles and anchors. An intent can so be settled in the batch whose transition created it.
    """

    transitions: list[TransitionRow] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    regimes: list[RegimeRow] = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)
    equity: list[EquityRow] = field(default_factory=list)
    system_events: list[SystemEventRow] = field(default_factory=list)
    errors: list[ErrorRow] = field(default_factory=list)
    rule_versions: list[RuleVersionRow] = field(default_factory=list)
    config_versions: list[ConfigVersionRow] = field(default_factory=list)
    intent_outcomes: list[IntentOutcome] = field(default_factory=list)
    order_updates: list[OrderUpdate] = field(default_factory=list)
    order_ends: list[OrderEnd] = field(default_factory=list)
    marks: list[PositionMark] = field(default_factory=list)
    acks: list[CommandAck] = field(default_factory=list)
    alerts: list[AlertRow] = field(default_factory=list)
    documents: list[DocumentRow] = field(default_factory=list)
    candles: list[CandleRow] = field(default_factory=list)
    anchors: list[AnchorRow] = field(default_factory=list)
