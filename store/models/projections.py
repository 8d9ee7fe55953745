"""The tables that say how things stand now; their journal columns can be rebuilt, and each row carries a hash.

``row_hash`` covers every other column of the row. Columns marked *live* come from the exchange or from the
executor and not from the journal: a rebuild leaves them out, the row hash does not.
"""

from __future__ import annotations

from peewee import FloatField, IntegerField, Model, TextField


class SymbolState(Model):
    """A symbol's machine after its newest transition; ``record_json`` is the whole record, as it was journalled."""

    symbol = TextField(primary_key=True)
    state = TextField()
    trade_id = TextField(null=True)
    trades_opened = IntegerField()
    halt_cause = TextField(null=True)
    halt_since_ms = IntegerField(null=True)
    quarantine_cause = TextField(null=True)
    quarantine_since_ms = IntegerField(null=True)
    paused = IntegerField()
    at_ms = IntegerField()
    transition_id = IntegerField()
    record_json = TextField()
    row_hash = TextField()

    class Meta:
        table_name = "symbols"


class AccountState(Model):
    """The account's record after the newest system event that carried one (a single row, id 1)."""

    id = IntegerField(primary_key=True)
    equity_high = TextField()
    transfers = TextField()
    halt_cause = TextField(null=True)
    halt_since_ms = IntegerField(null=True)
    paused = IntegerField()
    at_ms = IntegerField()
    system_event_id = IntegerField()
    record_json = TextField()
    row_hash = TextField()

    class Meta:
        table_name = "account"


class Order(Model):
    """An order of ours, from the moment it was intended.

    Live: order_id, status, executed_quantity, average_price, updated_ms. Before the exchange has said
    anything the status is INTENDED. ``family`` ALGO is a conditional order; its order_id is the algo id.
    """

    client_order_id = TextField(primary_key=True)
    symbol = TextField()
    trade_id = TextField(null=True)
    family = TextField()
    purpose = TextField()
    side = TextField()
    type = TextField()
    quantity = TextField(null=True)
    price = TextField(null=True)
    trigger_price = TextField(null=True)
    working_type = TextField(null=True)
    reduce_only = IntegerField()
    close_position = IntegerField()
    created_ms = IntegerField()
    transition_id = IntegerField()
    order_id = IntegerField(null=True)
    status = TextField()
    executed_quantity = TextField()
    average_price = TextField(null=True)
    updated_ms = IntegerField(null=True)
    row_hash = TextField()

    class Meta:
        table_name = "orders"


class Position(Model):
    """An open position of ours; the row goes when the trade has none left.

    Live: mark, upnl, liquidation_price, isolated_wallet, updated_ms.
    """

    symbol = TextField(primary_key=True)
    trade_id = TextField()
    side = TextField()
    size = TextField()
    entry = TextField(null=True)
    stop_price = TextField(null=True)
    stop_client_order_id = TextField(null=True)
    opened_ms = IntegerField()
    protected_ms = IntegerField(null=True)
    transition_id = IntegerField()
    mark = TextField(null=True)
    upnl = TextField(null=True)
    liquidation_price = TextField(null=True)
    isolated_wallet = TextField(null=True)
    updated_ms = IntegerField(null=True)
    row_hash = TextField()

    class Meta:
        table_name = "positions"


class Intent(Model):
    """The outbox: what a transition asked for, and what became of it.

    Live: status, outcome_json, attempts, done_ms.
    """

    id = TextField(primary_key=True)
    transition_id = IntegerField()
    ordinal = IntegerField()
    symbol = TextField()
    trade_id = TextField(null=True)
    kind = TextField()
    client_id = TextField(null=True)
    payload_json = TextField()
    created_ms = IntegerField()
    status = TextField()
    outcome_json = TextField(null=True)
    attempts = IntegerField()
    done_ms = IntegerField(null=True)
    row_hash = TextField()

    class Meta:
        table_name = "intents"


class DecisionStretch(Model):
    """The stretch of equal decisions that a symbol is in now: its first candle, and (``last_…``) its newest."""

    symbol = TextField(primary_key=True)
    at_ms = IntegerField()
    candle_ms = IntegerField()
    last_ms = IntegerField()
    count = IntegerField()
    outcome = TextField()
    reason = TextField()
    regime = TextField(null=True)
    confidence = FloatField(null=True)
    facts_json = TextField()
    traces_json = TextField()
    guards_json = TextField()
    rules_hash = TextField()
    config_hash = TextField()
    run_id = TextField()
    last_at_ms = IntegerField()
    last_confidence = FloatField(null=True)
    last_facts_json = TextField()
    last_traces_json = TextField()
    last_guards_json = TextField()
    row_hash = TextField()

    class Meta:
        table_name = "decision_stretches"


class Identity(Model):
    """Whose database this is (a single row, id 1). ``database_id`` goes into every client order id."""

    id = IntegerField(primary_key=True)
    database_id = TextField()
    environment = TextField()
    account = TextField(null=True)
    created_ms = IntegerField()
    row_hash = TextField()

    class Meta:
        table_name = "meta"


class ChainHead(Model):
    """The newest row of a chain (so a cut tail is noticed), and up to where it was verified last."""

    name = TextField(primary_key=True)
    last_id = IntegerField()
    hash = TextField()
    verified_id = IntegerField()
    row_hash = TextField()

    class Meta:
        table_name = "chain_heads"
