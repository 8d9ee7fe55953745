"""Tallies agree with the rows that they count."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from store import queries
from store.alerts import AlertBox
from store.database import Store
from store.inbox import Inbox
from store.journal import Journal


def filled(store: Store, story: Any) -> None:
    journal = Journal(store, run_id="test0001")
    for batch in story.day():
        journal.commit(batch)


def test_newest_ids_are_zero_in_an_empty_database(store: Store) -> None:
    assert queries.newest_ids(store) == queries.NewestIds(transition=0, alert=0, command=0)


def test_newest_ids_follow_every_table(store: Store, story: Any) -> None:
    filled(store, story)
    command = Inbox(store).post("pause", None, "cli", story.start)
    newest = queries.newest_ids(store)
    assert newest.transition == max(row.id for row in queries.each_transition(store))
    assert newest.alert == queries.alerts(store, limit=1)[0].id
    assert newest.command == command


def test_triggers_add_up_over_parts(store: Store, story: Any) -> None:
    filled(store, story)
    expected = Counter((row.symbol, row.trigger) for row in queries.each_transition(store))
    newest = queries.newest_ids(store).transition
    assert queries.triggers_after(store, 0, newest) == expected
    parts = Counter(queries.triggers_after(store, 0, 5)) + Counter(queries.triggers_after(store, 5, newest))
    assert parts == expected
    assert queries.triggers_after(store, newest, newest) == {}


def test_counts_by_status_agree_with_the_rows(store: Store, story: Any) -> None:
    filled(store, story)
    assert sum(queries.trades_by_status(store).values()) == queries.counts(store)["trades"]
    assert sum(queries.alerts_by_state(store).values()) == queries.counts(store)["alerts"]
    rows = [row for number in range(1, 100) for row in queries.intents(store, number)]
    assert queries.intents_open(store) == Counter(row.status for row in rows if row.status in ("PENDING", "UNKNOWN"))


def test_messages_count_as_failing_once_they_were_tried_until_they_are_delivered(store: Store, story: Any) -> None:
    """Without a messenger nothing is tried, and nobody is woken because of it."""
    filled(store, story)
    box, later_ms = AlertBox(store), story.start + 10 * 86_400_000
    (known,) = box.due(later_ms)
    box.add(msgspec.structs.replace(known, id=0, dedupe_key="another"))
    first, second = box.due(later_ms)
    assert queries.alerts_failing(store) == 0
    box.failed(first.id, "no route", later_ms)
    box.failed(second.id, "no route", later_ms)
    assert queries.alerts_failing(store) == 2
    box.sent(first.id, later_ms)
    box.dropped(second.id, "refused")
    assert queries.alerts_failing(store) == 0
