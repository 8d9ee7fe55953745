"""Schema 1: every table, index and trigger of the first version. Frozen: a change goes into a new migration."""

# ruff: noqa: S608 - table and column names in the SQL are constants of ours; values are always bound

from __future__ import annotations

import apsw

NAME = "first"

_GENESIS = "0" * 64
_CHAIN = "run_id TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL"

_JOURNAL = {
    "transitions": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, symbol TEXT NOT NULL, trade_id TEXT,
        trigger TEXT NOT NULL, source TEXT NOT NULL, dest TEXT NOT NULL, reason TEXT NOT NULL,
        facts_json TEXT NOT NULL, guards_json TEXT NOT NULL, event_json TEXT NOT NULL,
        rules_hash TEXT NOT NULL, config_hash TEXT NOT NULL, {_CHAIN}, effect_json TEXT NOT NULL""",
    "decisions": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, symbol TEXT NOT NULL, candle_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL, count INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
        regime TEXT, confidence REAL, facts_json TEXT NOT NULL, traces_json TEXT NOT NULL,
        guards_json TEXT NOT NULL, rules_hash TEXT NOT NULL, config_hash TEXT NOT NULL, {_CHAIN}""",
    "regimes": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, symbol TEXT NOT NULL, candle_ms INTEGER NOT NULL,
        regime TEXT NOT NULL, previous TEXT, confidence REAL NOT NULL, features_json TEXT NOT NULL,
        counters_json TEXT NOT NULL, rules_hash TEXT NOT NULL, {_CHAIN}""",
    "fills": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, symbol TEXT NOT NULL, fill_id INTEGER NOT NULL,
        order_id INTEGER NOT NULL, client_order_id TEXT, trade_id TEXT, side TEXT NOT NULL,
        price TEXT NOT NULL, quantity TEXT NOT NULL, realized_pnl TEXT NOT NULL, commission TEXT NOT NULL,
        commission_asset TEXT NOT NULL, maker INTEGER NOT NULL, {_CHAIN}""",
    "equity_snapshots": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, balance TEXT NOT NULL, equity TEXT NOT NULL,
        unrealized_pnl TEXT NOT NULL, available_balance TEXT NOT NULL, {_CHAIN}""",
    "system_events": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, symbol TEXT, reason TEXT NOT NULL,
        facts_json TEXT NOT NULL, rules_hash TEXT, config_hash TEXT, {_CHAIN}""",
    "errors": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, component TEXT NOT NULL, symbol TEXT,
        error TEXT NOT NULL, details_json TEXT NOT NULL, {_CHAIN}""",
    "rule_versions": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, rules_hash TEXT NOT NULL, text TEXT NOT NULL, {_CHAIN}""",
    "config_versions": f"""
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, config_hash TEXT NOT NULL, text TEXT NOT NULL, {_CHAIN}""",
}

# Beside the primary key: INSERT OR REPLACE on one of these would remove an older row.
_UNIQUE = {
    "fills": ("symbol", "fill_id"),
    "rule_versions": ("rules_hash",),
    "config_versions": ("config_hash",),
}

_PROJECTIONS = {
    "symbols": """
        symbol TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, trade_id TEXT, trades_opened INTEGER NOT NULL,
        halt_cause TEXT, halt_since_ms INTEGER, quarantine_cause TEXT, quarantine_since_ms INTEGER,
        paused INTEGER NOT NULL, at_ms INTEGER NOT NULL, transition_id INTEGER NOT NULL,
        record_json TEXT NOT NULL, row_hash TEXT NOT NULL""",
    "account": """
        id INTEGER PRIMARY KEY CHECK (id = 1), equity_high TEXT NOT NULL, transfers TEXT NOT NULL,
        halt_cause TEXT, halt_since_ms INTEGER, paused INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        system_event_id INTEGER NOT NULL, record_json TEXT NOT NULL, row_hash TEXT NOT NULL""",
    "trades": """
        id TEXT PRIMARY KEY NOT NULL, number INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        status TEXT NOT NULL, strategy_used TEXT NOT NULL, regime_at_entry TEXT NOT NULL,
        signal_candle_ms INTEGER NOT NULL, opened_ms INTEGER NOT NULL, first_fill_ms INTEGER,
        protected_ms INTEGER, closed_ms INTEGER, quantity TEXT NOT NULL, open_quantity TEXT NOT NULL,
        closed_quantity TEXT NOT NULL, entry_price_planned TEXT NOT NULL, entry_price TEXT, exit_price TEXT,
        stop_price_initial TEXT NOT NULL, risk_usdt TEXT NOT NULL, pnl TEXT NOT NULL, fees TEXT NOT NULL,
        funding TEXT NOT NULL, net_pnl TEXT, r TEXT, exit_reason TEXT, flagged TEXT, adopted INTEGER NOT NULL,
        rules_hash TEXT NOT NULL, config_hash TEXT NOT NULL, transition_id INTEGER NOT NULL,
        row_hash TEXT NOT NULL""",
    "orders": """
        client_order_id TEXT PRIMARY KEY NOT NULL, symbol TEXT NOT NULL, trade_id TEXT, family TEXT NOT NULL,
        purpose TEXT NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL, quantity TEXT, price TEXT,
        trigger_price TEXT, working_type TEXT, reduce_only INTEGER NOT NULL, close_position INTEGER NOT NULL,
        created_ms INTEGER NOT NULL, transition_id INTEGER NOT NULL, order_id INTEGER, status TEXT NOT NULL,
        executed_quantity TEXT NOT NULL, average_price TEXT, updated_ms INTEGER, row_hash TEXT NOT NULL""",
    "positions": """
        symbol TEXT PRIMARY KEY NOT NULL, trade_id TEXT NOT NULL, side TEXT NOT NULL, size TEXT NOT NULL,
        entry TEXT, stop_price TEXT, stop_client_order_id TEXT, opened_ms INTEGER NOT NULL,
        protected_ms INTEGER, transition_id INTEGER NOT NULL, mark TEXT, upnl TEXT, liquidation_price TEXT,
        isolated_wallet TEXT, updated_ms INTEGER, row_hash TEXT NOT NULL""",
    "intents": """
        id TEXT PRIMARY KEY NOT NULL, transition_id INTEGER NOT NULL REFERENCES transitions (id),
        ordinal INTEGER NOT NULL, symbol TEXT NOT NULL, trade_id TEXT, kind TEXT NOT NULL, client_id TEXT,
        payload_json TEXT NOT NULL, created_ms INTEGER NOT NULL, status TEXT NOT NULL, outcome_json TEXT,
        attempts INTEGER NOT NULL, done_ms INTEGER, row_hash TEXT NOT NULL""",
    "decision_stretches": """
        symbol TEXT PRIMARY KEY NOT NULL, at_ms INTEGER NOT NULL, candle_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL, count INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
        regime TEXT, confidence REAL, facts_json TEXT NOT NULL, traces_json TEXT NOT NULL,
        guards_json TEXT NOT NULL, rules_hash TEXT NOT NULL, config_hash TEXT NOT NULL, run_id TEXT NOT NULL,
        last_at_ms INTEGER NOT NULL, last_confidence REAL, last_facts_json TEXT NOT NULL,
        last_traces_json TEXT NOT NULL, last_guards_json TEXT NOT NULL, row_hash TEXT NOT NULL""",
    "chain_heads": """
        name TEXT PRIMARY KEY NOT NULL, last_id INTEGER NOT NULL, hash TEXT NOT NULL,
        verified_id INTEGER NOT NULL, row_hash TEXT NOT NULL""",
    "meta": """
        id INTEGER PRIMARY KEY CHECK (id = 1), database_id TEXT NOT NULL, environment TEXT NOT NULL,
        account TEXT, created_ms INTEGER NOT NULL, row_hash TEXT NOT NULL""",
}

_DESK = {
    "commands": """
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, symbol TEXT, source TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('posted', 'taken', 'done', 'refused')),
        posted_ms INTEGER NOT NULL, taken_ms INTEGER, finished_ms INTEGER, guard TEXT, detail TEXT""",
    "alerts": """
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
        severity TEXT NOT NULL, symbol TEXT, text TEXT NOT NULL, dedupe_key TEXT NOT NULL UNIQUE,
        repeats INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('PENDING', 'SENT', 'DROPPED')),
        due_ms INTEGER NOT NULL, attempts INTEGER NOT NULL, sent_ms INTEGER, last_error TEXT""",
    "series_anchors": """
        symbol TEXT NOT NULL, timeframe TEXT NOT NULL, first_ms INTEGER NOT NULL,
        PRIMARY KEY (symbol, timeframe)""",
    "documents": "name TEXT PRIMARY KEY NOT NULL, at_ms INTEGER NOT NULL, body_json TEXT NOT NULL",
    "schema_version": "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER",
}

_CANDLES = """
    CREATE TABLE candles (
        symbol TEXT NOT NULL, timeframe TEXT NOT NULL, open_time_ms INTEGER NOT NULL, open TEXT NOT NULL,
        high TEXT NOT NULL, low TEXT NOT NULL, close TEXT NOT NULL, volume TEXT NOT NULL,
        PRIMARY KEY (symbol, timeframe, open_time_ms)) STRICT, WITHOUT ROWID"""

# The filters of `audit` and /api/transitions read newest first within a filter, so each of their indexes
# ends in at_ms order and carries the other filtered columns, to be looked at without touching the wide rows.
_INDEXES = """
    CREATE INDEX transitions_at ON transitions (at_ms);
    CREATE INDEX transitions_symbol ON transitions (symbol, at_ms, trigger, dest);
    CREATE INDEX transitions_dest ON transitions (dest, at_ms, symbol, trigger);
    CREATE INDEX transitions_trigger ON transitions (trigger, at_ms, symbol, dest);
    CREATE INDEX transitions_trade ON transitions (trade_id) WHERE trade_id IS NOT NULL;
    CREATE INDEX decisions_at ON decisions (at_ms);
    CREATE INDEX decisions_symbol ON decisions (symbol, candle_ms);
    CREATE INDEX decisions_symbol_at ON decisions (symbol, at_ms);
    CREATE INDEX decisions_outcome ON decisions (outcome, at_ms);
    CREATE INDEX regimes_symbol ON regimes (symbol, at_ms);
    CREATE INDEX fills_at ON fills (at_ms);
    CREATE INDEX fills_trade ON fills (trade_id) WHERE trade_id IS NOT NULL;
    CREATE INDEX equity_snapshots_at ON equity_snapshots (at_ms);
    CREATE INDEX system_events_at ON system_events (at_ms);
    CREATE INDEX system_events_kind ON system_events (kind, at_ms);
    CREATE INDEX errors_at ON errors (at_ms);
    CREATE INDEX trades_opened ON trades (opened_ms);
    CREATE INDEX trades_closed ON trades (closed_ms) WHERE closed_ms IS NOT NULL;
    CREATE INDEX trades_symbol ON trades (symbol, opened_ms);
    CREATE INDEX trades_status ON trades (status, opened_ms);
    CREATE INDEX orders_created ON orders (created_ms);
    CREATE INDEX orders_symbol ON orders (symbol, created_ms);
    CREATE INDEX orders_trade ON orders (trade_id) WHERE trade_id IS NOT NULL;
    CREATE INDEX orders_status ON orders (status, created_ms);
    CREATE INDEX intents_transition ON intents (transition_id, ordinal);
    CREATE INDEX intents_open ON intents (transition_id, ordinal) WHERE status IN ('PENDING', 'UNKNOWN');
    CREATE INDEX commands_waiting ON commands (id) WHERE state IN ('posted', 'taken');
    CREATE INDEX alerts_due ON alerts (due_ms) WHERE state = 'PENDING';
"""


def apply(connection: apsw.Connection) -> None:
    """Make everything, in the transaction the caller opened."""
    for name, columns in {**_JOURNAL, **_PROJECTIONS, **_DESK}.items():
        connection.execute(f"CREATE TABLE {name} ({columns}) STRICT")
    connection.execute(_CANDLES)
    for name, columns_of_key in _UNIQUE.items():
        connection.execute(f"CREATE UNIQUE INDEX {name}_once ON {name} ({', '.join(columns_of_key)})")
    connection.execute(_INDEXES)
    for name in _JOURNAL:
        _append_only(connection, name)


def _append_only(connection: apsw.Connection, table: str) -> None:
    """Triggers that let a table only grow, and only by rows that continue its chain.

    The one on INSERT also stops INSERT OR REPLACE from a connection whose recursive_triggers is off,
    where the implied delete would not fire the trigger on DELETE.
    """
    repeated = ""
    if table in _UNIQUE:
        same = " AND ".join(f"{column} = NEW.{column}" for column in _UNIQUE[table])
        repeated = f" OR EXISTS (SELECT 1 FROM {table} WHERE {same})"
    connection.execute(
        f"CREATE TRIGGER {table}_append BEFORE INSERT ON {table}"
        f" WHEN NEW.id IS NOT coalesce((SELECT max(id) FROM {table}), 0) + 1"
        f" OR NEW.prev_hash IS NOT coalesce((SELECT hash FROM {table} WHERE id = NEW.id - 1), '{_GENESIS}'){repeated}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only: a new row must continue its chain'); END"
    )
    for verb in ("UPDATE", "DELETE"):
        connection.execute(
            f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only: no {verb}'); END"
        )
