"""What is committed together: the rows of one step, or of one candle close over all symbols."""

from __future__ import annotations

import msgspec

from store.rows import (
    AlertRow,
    AnchorRow,
    CandleColumns,
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


class Batch(msgspec.Struct, kw_only=True, gc=False):
    """Everything in it is applied in one transaction, or nothing of it is.

    Within the batch, rows of a table keep their order; between tables the order is: chained rows and what
    they project, then intent outcomes, order updates and ends, position marks, command acks, alerts, documents,
    candles and anchors. An intent can so be settled in the batch whose transition created it.
    """

    transitions: list[TransitionRow] = []
    decisions: list[DecisionRow] = []
    regimes: list[RegimeRow] = []
    fills: list[FillRow] = []
    equity: list[EquityRow] = []
    system_events: list[SystemEventRow] = []
    errors: list[ErrorRow] = []
    rule_versions: list[RuleVersionRow] = []
    config_versions: list[ConfigVersionRow] = []
    intent_outcomes: list[IntentOutcome] = []
    order_updates: list[OrderUpdate] = []
    order_ends: list[OrderEnd] = []
    marks: list[PositionMark] = []
    acks: list[CommandAck] = []
    alerts: list[AlertRow] = []
    documents: list[DocumentRow] = []
    candles: list[CandleRow] = []
    series: list[CandleColumns] = []
    anchors: list[AnchorRow] = []
