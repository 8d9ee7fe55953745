"""R55: one current reason a symbol, and the decision at any moment."""

from __future__ import annotations

from typing import Any

from store import queries
from store.batch import Batch
from store.database import Store
from store.journal import Journal


def test_r55_every_symbol_has_one_current_decision(store: Store, journal: Journal, story: Any) -> None:
    hour, start = story.hour, story.start
    for k in range(3):
        journal.commit(Batch(decisions=[story.decision(symbol, start + k * hour) for symbol in ("B", "A")]))
    journal.commit(Batch(decisions=[story.decision("B", start + 3 * hour, "SIGNAL", "PULLBACK")]))
    waiting, signalled = queries.latest_decisions(store)
    assert (waiting.symbol, waiting.open, waiting.count, waiting.outcome) == ("A", True, 3, "NO_SETUP")
    assert (waiting.candle_ms, waiting.last_ms, waiting.at_ms) == (start, start + 2 * hour, start + 3 * hour)
    assert waiting.facts_json == story.decision("A", start + 2 * hour).facts_json
    assert (signalled.symbol, signalled.open, signalled.outcome) == ("B", False, "SIGNAL")
    assert [waiting, signalled] == [queries.decision_at(store, symbol) for symbol in ("A", "B")]


def test_the_decision_at_a_moment_is_the_stretch_that_covers_it(store: Store, journal: Journal, story: Any) -> None:
    hour, start = story.hour, story.start
    reasons = ["RSI_HIGH", "RSI_HIGH", "RSI_LOW", "RSI_HIGH", "RSI_HIGH"]
    for k, reason in enumerate(reasons):
        journal.commit(Batch(decisions=[story.decision("BTCUSDT", start + k * hour, "NO_SETUP", reason)]))
    for k, reason in enumerate(reasons):
        found = queries.decision_at(store, "BTCUSDT", start + k * hour)
        assert found is not None
        assert found.reason == reason
        assert found.candle_ms <= start + k * hour <= found.last_ms
    newest = queries.decision_at(store, "BTCUSDT")
    assert newest is not None
    assert (newest.open, newest.count) == (True, 2)
    assert queries.decision_at(store, "BTCUSDT", start - 1) is None
    assert queries.decision_at(store, "ETHUSDT") is None


def test_decisions_can_be_filtered_and_all_be_walked_through(store: Store, journal: Journal, story: Any) -> None:
    for batch in story.day():
        journal.commit(batch)
    signals = queries.decisions(store, outcome="SIGNAL")
    assert len(signals) == 4
    assert [row.at_ms for row in signals] == sorted((row.at_ms for row in signals), reverse=True)
    assert {row.symbol for row in queries.decisions(store, symbol="ETHUSDT")} == {"ETHUSDT"}
    at_ms = signals[1].at_ms
    assert all(row.at_ms >= at_ms for row in queries.decisions(store, since_ms=at_ms))
    assert all(row.at_ms < at_ms for row in queries.decisions(store, until_ms=at_ms))
    assert len(queries.decisions(store, limit=2)) == 2
    walked = list(queries.each_decision(store))
    assert [row.id for row in walked] == [*range(1, len(walked) - 1), 0, 0]  # the last two are still open
    assert sum(row.count for row in walked) == 4 * 4 + 2


def test_the_latest_regime_of_each_symbol(store: Store, journal: Journal, story: Any) -> None:
    for at_ms, regime in ((1, "RANGE"), (2, "TREND"), (3, "NO_TRADE")):
        journal.commit(Batch(regimes=[story.regime("BTCUSDT", at_ms, regime), story.regime("ADAUSDT", at_ms, regime)]))
    journal.commit(Batch(regimes=[story.regime("BTCUSDT", 4, "TREND", "NO_TRADE")]))
    assert [(row.symbol, row.regime) for row in queries.latest_regimes(store)] == [
        ("ADAUSDT", "NO_TRADE"),
        ("BTCUSDT", "TREND"),
    ]
    assert [row.at_ms for row in queries.regimes(store, "BTCUSDT")] == [4, 3, 2, 1]
    assert [row.at_ms for row in queries.regimes(store, "BTCUSDT", since_ms=2, limit=2)] == [4, 3]


def test_versions_are_listed_newest_first(store: Store, journal: Journal, story: Any) -> None:
    for number in (1, 2):
        journal.commit(story.versions(story.start, number))
    assert [row.rules_hash[0] for row in queries.rule_versions(store)] == ["2", "1"]
    assert [row.config_hash[0] for row in queries.config_versions(store)] == ["2", "1"]
