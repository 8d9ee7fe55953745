"""The append-only tables: what happened, in order, each row chained to the one before by its hash."""

from __future__ import annotations

from peewee import FloatField, IntegerField, Model, TextField


class Transition(Model):
    """One step of a symbol's machine. ``effect_json`` holds the record after it and the intents it gave."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    symbol = TextField()
    trade_id = TextField(null=True)
    trigger = TextField()
    source = TextField()
    dest = TextField()
    reason = TextField()
    facts_json = TextField()
    guards_json = TextField()
    event_json = TextField()
    rules_hash = TextField()
    config_hash = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()
    effect_json = TextField()

    class Meta:
        table_name = "transitions"


class Decision(Model):
    """A stretch of candles that were decided alike: from ``candle_ms`` to ``last_ms``, facts of the first."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    symbol = TextField()
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
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "decisions"


class Regime(Model):
    """A change of a symbol's stable regime, with the features and the hysteresis counters behind it."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    symbol = TextField()
    candle_ms = IntegerField()
    regime = TextField()
    previous = TextField(null=True)
    confidence = FloatField()
    features_json = TextField()
    counters_json = TextField()
    rules_hash = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "regimes"


class Fill(Model):
    """One execution of ours; ``fill_id`` is the exchange's number, unique within the symbol."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    symbol = TextField()
    fill_id = IntegerField()
    order_id = IntegerField()
    client_order_id = TextField(null=True)
    trade_id = TextField(null=True)
    side = TextField()
    price = TextField()
    quantity = TextField()
    realized_pnl = TextField()
    commission = TextField()
    commission_asset = TextField()
    maker = IntegerField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "fills"


class EquitySnapshot(Model):
    """Wallet ``balance`` and ``equity`` (balance + unrealised PnL) of the account, in USDT."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    balance = TextField()
    equity = TextField()
    unrealized_pnl = TextField()
    available_balance = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "equity_snapshots"


class SystemEvent(Model):
    """Start, stop, pause, halt, reload, reconciliation…; ``facts_json`` may hold the account record after it."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    kind = TextField()
    symbol = TextField(null=True)
    reason = TextField()
    facts_json = TextField()
    rules_hash = TextField(null=True)
    config_hash = TextField(null=True)
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "system_events"


class ErrorEntry(Model):
    """Something that went wrong: where, and in its own words."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    component = TextField()
    symbol = TextField(null=True)
    error = TextField()
    details_json = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "errors"


class RuleVersion(Model):
    """The full text of a rules file that was in force, under the hash that decisions name."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    rules_hash = TextField()
    text = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "rule_versions"


class ConfigVersion(Model):
    """The full text of a config file that was in force, under the hash that decisions name."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    config_hash = TextField()
    text = TextField()
    run_id = TextField()
    prev_hash = TextField()
    hash = TextField()

    class Meta:
        table_name = "config_versions"
