"""The audit's filters give the right rows, in order, and each of them goes by an index."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.queries import (
    TransitionFilter,
    each_transition,
    transition,
    transitions,
    transitions_after,
)
from store.queries.transitions import newest_first

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, story: Any) -> Any:
    """A store with a few hundred transitions, some at the same instant and some written late."""
    rows = [
        replace(row, at_ms=row.at_ms - (7 * story.hour if number % 5 == 0 else 0))
        for number in range(1, 21)
        for symbol in SYMBOLS
        for row in story.round_trip(symbol, number, story.start + number * story.hour)
    ]
    with open_store(tmp_path_factory.mktemp("filled") / "bot.sqlite", mode="write") as store:
        with Journal(store, "run-1", flush_every=100) as journal:
            for row in rows:
                journal.commit(Batch(transitions=[row]))
        yield store, [replace(row, id=number) for number, row in enumerate(rows, start=1)]


FILTERS = st.builds(
    TransitionFilter,
    symbol=st.sampled_from([None, *SYMBOLS, "NONE"]),
    state=st.sampled_from([None, "IDLE", "ENTERING", "PROTECTED"]),
    trigger=st.sampled_from([None, "signal", "flat"]),
    trade_id=st.sampled_from([None, "BTCUSDT-3"]),
    since_ms=st.none() | st.integers(0, 30).map(lambda hours: 1_767_225_600_000 + hours * 3_600_000),
    until_ms=st.none() | st.integers(0, 30).map(lambda hours: 1_767_225_600_000 + hours * 3_600_000),
)


def matches(row: Any, wanted: TransitionFilter) -> bool:
    return (
        wanted.symbol in (None, row.symbol)
        and wanted.state in (None, row.dest)
        and wanted.trigger in (None, row.trigger)
        and wanted.trade_id in (None, row.trade_id)
        and (wanted.since_ms is None or row.at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or row.at_ms < wanted.until_ms)
    )


@settings(max_examples=60)
@given(wanted=FILTERS, limit=st.integers(1, 40))
def test_pages_follow_each_other_and_hold_what_matches_newest_first(
    filled: Any, wanted: TransitionFilter, limit: int
) -> None:
    store, rows = filled
    expected = sorted((row for row in rows if matches(row, wanted)), key=lambda row: (row.at_ms, row.id))
    found, cursor = [], None
    while True:
        page = transitions(store, wanted, limit=limit, cursor=cursor)
        assert len(page.rows) <= limit
        found += page.rows
        cursor = page.cursor
        if cursor is None:
            break
    assert [row.id for row in found] == [row.id for row in expected[::-1]]
    assert [row.id for row in each_transition(store, wanted)] == [row.id for row in expected]


@pytest.mark.parametrize(
    "wanted",
    [
        TransitionFilter(),
        TransitionFilter(symbol="BTCUSDT"),
        TransitionFilter(state="HALT"),
        TransitionFilter(trigger="halt"),
        TransitionFilter(since_ms=1, until_ms=2),
        TransitionFilter(symbol="BTCUSDT", since_ms=1, until_ms=2),
        TransitionFilter(symbol="BTCUSDT", state="HALT", trigger="halt"),
    ],
    ids=repr,
)
def test_every_filter_goes_by_an_index_and_sorts_nothing_whole(store: Store, wanted: TransitionFilter) -> None:
    plan = planned(store, wanted)
    assert "USING INDEX" in plan[0], plan
    assert all("B-TREE FOR ORDER BY" not in line for line in plan), plan


@pytest.mark.parametrize("others", [{}, {"symbol": "BTCUSDT"}, {"state": "IDLE", "since_ms": 1}, {"trigger": "flat"}])
def test_a_trade_is_looked_up_by_its_id_whatever_else_is_asked(store: Store, others: dict[str, Any]) -> None:
    assert "USING INDEX transitions_trade" in planned(store, TransitionFilter(trade_id="BTCUSDT-1", **others))[0]


def planned(store: Store, wanted: TransitionFilter) -> list[str]:
    sql, values = newest_first(wanted, "5.5").limit(100).bind(store.database).sql()
    return [str(row[3]) for row in store.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def test_one_transition_is_found_by_its_id(filled: Any) -> None:
    store, rows = filled
    found = transition(store, 7)
    assert found is not None
    assert replace(found, run_id="", prev_hash="", hash="") == rows[6]
    assert transition(store, 9_999) is None


def test_a_listener_reads_what_came_after_the_last_row_it_saw(filled: Any) -> None:
    store, rows = filled
    assert [row.id for row in transitions_after(store, 350)] == list(range(351, len(rows) + 1))
    assert [row.id for row in transitions_after(store, 0, limit=3)] == [1, 2, 3]


@pytest.mark.parametrize("cursor", ["", "7", "x.y", "1.2.3", "1.-2", "١.٢x"])
def test_a_cursor_that_is_none_of_ours_is_refused(filled: Any, cursor: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        transitions(filled[0], cursor=cursor)


def test_a_page_is_never_empty_by_request_nor_endless(filled: Any) -> None:
    store, rows = filled
    assert len(transitions(store, limit=0).rows) == 1
    assert len(transitions(store, limit=10**9).rows) == len(rows)
