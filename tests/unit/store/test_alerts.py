"""R51: a message is kept until it is delivered, told once, and survives a messenger that is down."""

from __future__ import annotations

from typing import Any

from store import queries
from store.alerts import AlertBox
from store.batch import Batch
from store.database import Store
from store.journal import Journal


def test_an_alert_of_a_batch_is_due_until_it_was_sent(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(alerts=[story.alert(100)]))
    box = AlertBox(store)
    assert box.due(99) == []
    (alert,) = box.due(100)
    assert (alert.text, alert.attempts, alert.state) == ("LONG 0.120 BTCUSDT", 0, "PENDING")
    box.sent(alert.id, 105)
    assert box.due(10**15) == []
    (sent,) = queries.alerts(store)
    assert (sent.state, sent.sent_ms, sent.attempts) == ("SENT", 105, 1)


def test_r51_a_failed_delivery_is_tried_again_when_it_is_due(store: Store, story: Any) -> None:
    box = AlertBox(store)
    box.add(story.alert(100))
    (alert,) = box.due(100)
    box.failed(alert.id, "409 Conflict", 160)
    assert box.due(159) == []
    (again,) = box.due(160)
    assert (again.attempts, again.last_error) == (1, "409 Conflict")
    box.sent(again.id, 161)
    box.failed(again.id, "late answer", 200)
    assert box.due(10**15) == []


def test_r51_the_same_news_is_told_once_and_counted(store: Store, journal: Journal, story: Any) -> None:
    for _ in range(3):
        journal.commit(Batch(alerts=[story.alert(100, "skew"), story.alert(100, "skew")]))
    journal.commit(Batch(alerts=[story.alert(101, "other")]))
    assert [(alert.dedupe_key, alert.repeats) for alert in AlertBox(store).due(200)] == [("skew", 5), ("other", 0)]


def test_an_alert_that_is_given_up_is_kept_with_the_reason(store: Store, story: Any) -> None:
    box = AlertBox(store)
    box.add(story.alert(100))
    box.dropped(1, "chat not found")
    assert box.due(10**15) == []
    (alert,) = queries.alerts(store)
    assert (alert.state, alert.last_error) == ("DROPPED", "chat not found")


def test_the_longest_due_comes_first_and_only_so_many(store: Store, story: Any) -> None:
    box = AlertBox(store)
    for at_ms in (300, 100, 200):
        box.add(story.alert(at_ms, f"k{at_ms}"))
    assert [alert.due_ms for alert in box.due(1_000, limit=2)] == [100, 200]
    assert [alert.id for alert in queries.alerts_after(store, 1)] == [2, 3]
