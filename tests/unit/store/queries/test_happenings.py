"""Events, errors, candles and documents as they were left."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from store import queries, statements
from store.batch import Batch
from store.database import Store
from store.journal import Journal
from store.rows import AnchorRow, CandleRow, DocumentRow


def test_events_and_errors_come_newest_first(store: Store, journal: Journal, story: Any) -> None:
    for at_ms, kind in ((1, "START"), (2, "HEARTBEAT"), (3, "STOP")):
        journal.commit(Batch(system_events=[story.event(at_ms, kind)], errors=[story.error(at_ms)]))
    assert [row.kind for row in queries.system_events(store)] == ["STOP", "HEARTBEAT", "START"]
    assert [row.kind for row in queries.system_events(store, since_ms=2, limit=1)] == ["STOP"]
    assert [row.at_ms for row in queries.system_events(store, kind="START")] == [1]
    assert [row.id for row in queries.system_events(store, after_id=1)] == [3, 2]
    assert [row.at_ms for row in queries.errors(store, since_ms=2)] == [3, 2]


def test_candles_stand_as_they_were_first_used(store: Store, journal: Journal, story: Any) -> None:
    hour, start = story.hour, story.start
    journal.commit(Batch(candles=[story.candle("BTCUSDT", start + k * hour, 42_000.1 + k) for k in range(10)]))
    journal.commit(Batch(candles=[story.candle("BTCUSDT", start, 1.0), story.candle("ETHUSDT", start)]))
    every = queries.candles(store, "BTCUSDT", "1h")
    assert [row.close for row in every] == [42_000.1 + k for k in range(10)]
    assert every[0].volume == 1e-05
    part = queries.candles(store, "BTCUSDT", "1h", since_ms=start + hour, until_ms=start + 3 * hour)
    assert part == every[1:3]
    assert queries.candles(store, "BTCUSDT", "1h", limit=2) == every[-2:]
    assert queries.candles(store, "BTCUSDT", "4h") == []


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_candles_number_reads_back_as_the_same_float(number: float) -> None:
    row = CandleRow(symbol="S", timeframe="1h", open_time_ms=0, open=number, high=number, low=0, close=0, volume=0)
    assert float(str(statements.candle(row)[3])) == number


def test_a_series_begins_where_its_anchor_says(store: Store, journal: Journal) -> None:
    first = AnchorRow(symbol="BTCUSDT", timeframe="4h", first_ms=5)
    journal.commit(Batch(anchors=[first, replace(first, timeframe="1h")]))
    journal.commit(Batch(anchors=[replace(first, first_ms=9)]))
    assert queries.series_anchor(store, "BTCUSDT", "4h") == 9
    assert queries.series_anchor(store, "ETHUSDT", "4h") is None
    assert [(row.timeframe, row.first_ms) for row in queries.anchors(store)] == [("1h", 5), ("4h", 9)]


def test_a_document_is_the_newest_of_its_name(store: Store, journal: Journal) -> None:
    for at_ms, body in ((1, "{}"), (2, '{"states":7}')):
        journal.commit(Batch(documents=[DocumentRow(name="machine", at_ms=at_ms, body_json=body)]))
    assert queries.document(store, "machine") == DocumentRow(name="machine", at_ms=2, body_json='{"states":7}')
    assert queries.document(store, "limits") is None


def test_counts_say_how_many_rows_each_table_has(store: Store, journal: Journal, story: Any, dump: Any) -> None:
    for batch in story.day():
        journal.commit(batch)
    found = dump(store.path)
    found.pop("sqlite_sequence")
    assert queries.counts(store) == {name: len(rows) for name, rows in found.items()}
