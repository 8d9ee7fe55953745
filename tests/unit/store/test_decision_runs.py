"""Decisions that say the same are one row; a signal is always a row of its own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.decision_runs import DecisionRunRow, advance
from store.journal import Journal
from store.rows import DecisionRow
from store.verify import verify

HOUR = 3_600_000
KINDS = [("NO_SETUP", "RSI_HIGH"), ("NO_SETUP", "RSI_LOW"), ("SIGNAL", "PULLBACK"), ("BLOCKED", "DAY_LIMIT")]


def decision(number: int, kind: int = 0, **others: Any) -> DecisionRow:
    outcome, reason = KINDS[kind]
    fields: dict[str, Any] = {"regime": "TREND", "rules_hash": "r", "config_hash": "c", "confidence": 0.5, **others}
    return DecisionRow(
        at_ms=(number + 1) * HOUR,
        symbol="BTCUSDT",
        candle_ms=number * HOUR,
        outcome=outcome,
        reason=reason,
        facts_json=f'{{"n":{number}}}',
        **fields,
    )


def run(decisions: list[DecisionRow]) -> tuple[list[DecisionRow], DecisionRunRow | None]:
    stretch: DecisionRunRow | None = None
    rows: list[DecisionRow] = []
    for each in decisions:
        closed, stretch = advance(stretch, each, "run-1")
        rows += closed
    return rows, stretch


@given(kinds=st.lists(st.integers(0, 3), max_size=40))
def test_stretches_cover_every_candle_once_and_neighbours_differ(kinds: list[int]) -> None:
    rows, stretch = run([decision(number, kind) for number, kind in enumerate(kinds)])
    whole = rows if stretch is None else [*rows, stretch.closed()]
    told = [KINDS.index((row.outcome, row.reason)) for row in whole for _ in range(row.count)]
    assert told == kinds
    for row in whole:
        assert row.last_ms == row.candle_ms + (row.count - 1) * HOUR
        assert row.facts_json == f'{{"n":{row.candle_ms // HOUR}}}'
        assert row.outcome != "SIGNAL" or row.count == 1
    for before, after in pairwise(whole):
        assert "SIGNAL" in (before.outcome, after.outcome) or before.reason != after.reason


@given(kinds=st.lists(st.tuples(st.sampled_from([0, 1, 3]), st.integers(1, 9)), max_size=12))
def test_a_run_of_equal_decisions_handed_over_at_once_gives_the_same_rows(kinds: list[tuple[int, int]]) -> None:
    """The lab jumps over candles where nothing happens; its journal is the same (design.md §6)."""
    single, joined, number = [], [], 0
    for kind, count in kinds:
        single += [decision(number + k, kind) for k in range(count)]
        joined.append(replace(decision(number, kind), count=count, last_ms=(number + count - 1) * HOUR))
        number += count
    one, other = run(single), run(joined)
    assert one[0] == other[0]
    assert (one[1] and one[1].closed()) == (other[1] and other[1].closed())


@pytest.mark.parametrize("change", [{"regime": "RANGE"}, {"regime": None}, {"rules_hash": "r2"}, {"config_hash": "c2"}])
def test_another_regime_rules_or_config_begin_a_new_stretch(change: dict[str, Any]) -> None:
    rows, stretch = run([decision(0), decision(1, 0, **change)])
    assert [row.count for row in rows] == [1]
    assert stretch is not None
    assert stretch.candle_ms == HOUR


def test_confidence_and_facts_may_change_within_a_stretch_and_the_newest_are_at_hand() -> None:
    rows, stretch = run([decision(0), decision(1, 0, confidence=1), decision(2, 0, confidence=None)])
    assert rows == []
    assert stretch is not None
    assert (stretch.count, stretch.confidence, stretch.last_confidence) == (3, 0.5, None)
    assert (stretch.facts_json, stretch.last_facts_json) == ('{"n":0}', '{"n":2}')


def test_the_end_of_a_run_closes_what_is_open(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-1")
        for symbol in ("SOLUSDT", "BTCUSDT"):
            journal.commit(Batch(decisions=[story.decision(symbol, story.start + k * story.hour) for k in range(5)]))
        journal.close_stretches(["SOLUSDT"])
        assert [(row.symbol, row.count) for row in queries.decisions(store)] == [("SOLUSDT", 5)]
        assert [row.open for row in queries.latest_decisions(store)] == [True, False]
        journal.close_stretches()
        journal.close_stretches()
        assert [(row.symbol, row.count) for row in queries.each_decision(store)] == [("SOLUSDT", 5), ("BTCUSDT", 5)]
        assert queries.counts(store)["decision_stretches"] == 0
    assert verify(path).problems == ()


def test_a_whole_number_as_confidence_is_kept_as_the_float_it_is(path: Path, store: Store, story: Any) -> None:
    journal = Journal(store, "run-1")
    journal.commit(Batch(decisions=[replace(story.decision("BTCUSDT", story.start), confidence=1)]))
    journal.commit(Batch(decisions=[replace(story.decision("ETHUSDT", story.start, "SIGNAL"), confidence=0)]))
    journal.commit(Batch(regimes=[replace(story.regime("BTCUSDT", story.start), confidence=1)]))
    assert verify(path).problems == ()
