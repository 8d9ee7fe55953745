"""The Peewee models, the tables that migrations make, and the rows that go in and out are one and the same."""

from __future__ import annotations

from typing import Any

import msgspec
import peewee
import pytest

from store import rows, views
from store.canonical import digest
from store.chains import CHAINS
from store.database import Store
from store.decision_runs import DecisionRunRow
from store.inbox import Inbox
from store.models import CHAINED, DESK, PROJECTIONS, AccountState, DecisionStretch, SchemaVersion
from store.queries.fetching import fetch
from store.tables import TABLES
from store.trade_rows import TradeRow

MODELS = (*CHAINED, *PROJECTIONS, *DESK)
NAMES = {peewee.IntegerField: "INTEGER", peewee.TextField: "TEXT", peewee.FloatField: "REAL"}


def test_every_table_of_the_contract_is_there(store: Store) -> None:
    """contract.md §5."""
    found = {name for (name,) in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found - {"sqlite_sequence"} == {TABLES[model].name for model in MODELS}
    assert found >= {
        *("transitions", "decisions", "intents", "candles", "regimes", "trades", "orders", "fills", "positions"),
        *("equity_snapshots", "errors", "system_events", "commands", "rule_versions", "config_versions", "alerts"),
        "schema_version",
    }


def test_transitions_begin_with_the_columns_of_the_contract() -> None:
    assert TABLES[CHAINED[0]].columns[:16] == (
        *("id", "at_ms", "symbol", "trade_id", "trigger", "source", "dest", "reason", "facts_json", "guards_json"),
        *("event_json", "rules_hash", "config_hash", "run_id", "prev_hash", "hash"),
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.table_name)
def test_a_model_describes_its_table(store: Store, model: Any) -> None:
    """Names, order, types, which may be NULL, keys; every table is STRICT, so the types hold."""
    name = model._meta.table_name
    found = store.connection.execute(f"PRAGMA table_info({name})").fetchall()
    key = TABLES[model].key
    described = [
        (field.column_name, NAMES[type(field)], field.column_name in key, field.null)
        for field in model._meta.sorted_fields
    ]
    # An INTEGER PRIMARY KEY cannot be NULL without saying so.
    assert [(column, kind, bool(pk), not (required or pk)) for _, column, kind, required, _, pk in found] == described
    assert store.connection.execute("SELECT strict FROM pragma_table_list WHERE name = ?", (name,)).get == 1


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.table_name)
def test_times_are_integers_and_amounts_are_text(model: Any) -> None:
    """contract.md §5: milliseconds in columns ending _ms; money, prices and quantities never as binary floats."""
    floats = {field.column_name for field in model._meta.sorted_fields if isinstance(field, peewee.FloatField)}
    assert floats <= {"confidence", "last_confidence"}
    for field in model._meta.sorted_fields:
        if field.column_name.endswith("_ms"):
            assert isinstance(field, peewee.IntegerField)


ROW_TYPES: list[tuple[Any, tuple[str, ...]]] = [
    *((chain.row_type, chain.table.columns) for chain in CHAINS.values()),
    (DecisionRunRow, TABLES[DecisionStretch].hashed),
    *(
        (row_type, next(table.columns for table in TABLES.values() if table.name == name))
        for row_type, name in (
            (rows.AlertRow, "alerts"),
            (rows.CandleRow, "candles"),
            (rows.AnchorRow, "series_anchors"),
            (rows.DocumentRow, "documents"),
            (views.CommandRow, "commands"),
        )
    ),
    *(
        (row_type, next(table.hashed for table in TABLES.values() if table.name == name))
        for row_type, name in (
            (views.SymbolRow, "symbols"),
            (TradeRow, "trades"),
            (views.OrderRow, "orders"),
            (views.PositionRow, "positions"),
            (views.IntentRow, "intents"),
        )
    ),
    (views.AccountRow, TABLES[AccountState].hashed[1:]),
]


@pytest.mark.parametrize(("row_type", "columns"), ROW_TYPES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_row_has_its_tables_columns_in_their_order(row_type: Any, columns: tuple[str, ...]) -> None:
    assert row_type.__struct_fields__ == columns


def test_rows_of_every_table_can_be_read_through_their_models(store: Store, journal: Any, story: Any) -> None:
    for batch in story.day():
        journal.commit(batch)
    store.bind(environment="sim", account=None, at_ms=1)
    Inbox(store).post("pause", None, "cli", 1)
    for model in MODELS:
        (found,) = model.select().limit(1).bind(store.database).dicts()
        assert tuple(found) == TABLES[model].columns


@pytest.mark.parametrize("model", [*CHAINED, *PROJECTIONS], ids=lambda model: model._meta.table_name)
def test_a_tables_own_way_to_hash_a_row_gives_what_the_canonical_form_says(model: Any) -> None:
    """Each column in turn is NULL, and then a number, an empty text, and text that JSON must escape."""
    table = TABLES[model]
    for place in range(len(table.hashed)):
        for value in (None, 0, -1.5, "", 'quote " backslash \\ line \n DEL \x7f umlaut ü'):
            row = [f"{name} text" for name in table.hashed]
            row[place] = value  # type: ignore[call-overload]
            assert table.canonical.digest(row) == digest(table.hashed, row)


def test_what_does_not_read_as_its_row_is_reported_as_damage(store: Store) -> None:
    class Wrong(msgspec.Struct):
        name: int

    with pytest.raises(Exception, match="audit verify"):
        fetch(store, SchemaVersion.select(SchemaVersion.name), Wrong)
