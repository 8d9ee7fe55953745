"""Transitions as text that other programs read."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from msgspec.structs import replace

from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.export import COLUMNS, export
from store.journal import Journal


def test_csv_holds_every_column_of_every_row_oldest_first(store: Store, journal: Journal, story: Any) -> None:
    odd = replace(story.signalled("BTCUSDT", 2, story.start + 9), reason='comma, "quote"\nand line', trade_id=None)
    journal.commit(Batch(transitions=[*story.round_trip("BTCUSDT", 1, story.start), replace(odd, dest="IDLE")]))
    text = "".join(export(store, "csv"))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    stored = queries.transitions(store).rows[::-1]
    assert [int(row["id"]) for row in rows] == [row.id for row in stored]
    assert [row["hash"] for row in rows] == [row.hash for row in stored]
    (found,) = [row for row in rows if row["trade_id"] == ""]
    assert found["reason"] == 'comma, "quote"\nand line'


def test_json_lines_hold_objects_where_the_columns_hold_json(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)))
    lines = list(export(store, "jsonl"))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    rows = [json.loads(line) for line in lines]
    assert [row["trigger"] for row in rows] == ["signal", "enter", "fill", "protect", "exit", "flat"]
    assert rows[0]["facts_json"] == {"adx_4h": 27.31250001, "close_1h[1]": 42001.5, "rsi_1h": None}
    assert rows[5]["effect_json"]["trade"]["net_pnl"] == "114.9"
    assert tuple(rows[0]) == COLUMNS


def test_an_export_can_be_filtered_and_may_be_empty(store: Store, journal: Journal, story: Any) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        journal.commit(Batch(transitions=story.round_trip(symbol, 1, story.start)))
    wanted = queries.TransitionFilter(symbol="ETHUSDT", trigger="flat")
    assert len(list(export(store, "jsonl", wanted))) == 1
    nothing = queries.TransitionFilter(symbol="XRPUSDT")
    assert list(export(store, "jsonl", nothing)) == []
    assert list(export(store, "csv", nothing)) == [f"{','.join(COLUMNS)}\n"]


def test_who_stops_reading_an_export_does_not_hold_the_wal(store: Store, journal: Journal, story: Any) -> None:
    for number in range(1, 120):
        journal.commit(Batch(transitions=story.round_trip("BTCUSDT", number, story.start)))
    before = queries.newest_ids(store).transition
    with open_store(store.path, mode="read") as reading:
        lines = export(reading, "jsonl")
        first = next(lines)
        journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 500, story.start)))
        _, pages, written_back = store.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").get
        assert pages == written_back > 0
        rest = [json.loads(line)["id"] for line in lines]
    assert sorted([json.loads(first)["id"], *rest]) == list(range(1, before + 1))
