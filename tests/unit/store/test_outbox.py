"""R18: what was committed to be done is found again until it is known to be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store.batch import Batch
from store.database import Store, open_store
from store.errors import WriteFailed
from store.journal import Journal
from store.outbox import Outbox
from store.verify import verify


def test_intents_are_pending_in_the_order_in_which_they_were_committed(
    store: Store, journal: Journal, story: Any
) -> None:
    for number in range(1, 13):
        journal.commit(Batch(transitions=[story.round_trip("BTCUSDT", number, story.start + number)[2]]))
    journal.commit(Batch(transitions=[story.signalled("ETHUSDT", 1, story.start)]))
    outbox = Outbox(store)
    assert [intent.id for intent in outbox.pending("BTCUSDT")] == [f"{n}.{k}" for n in range(1, 13) for k in (0, 1)]
    assert [intent.id for intent in outbox.pending()][-1] == "13.0"
    stop = outbox.get("1.0")
    assert stop is not None
    assert (stop.kind, stop.client_id, stop.trade_id) == ("PlaceStop", "f0-BTCUSDT-1-S1.1", "BTCUSDT-1")
    assert '"trigger_price":"41000.10"' in stop.payload_json
    assert outbox.get("99.0") is None


def test_r18_a_crash_after_the_commit_leaves_the_client_id_to_look_for(path: Path, story: Any) -> None:
    store = open_store(path, mode="write")
    Journal(store, "run-1").commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)[:2]))
    store.close()
    with open_store(path, mode="write") as reopened:
        assert [intent.client_id for intent in Outbox(reopened).pending()] == [None, "f0-BTCUSDT-1-E1.1"]


def test_settled_intents_leave_and_unknown_ones_stay(path: Path, store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)[:3]))
    outbox = Outbox(store)
    outbox.settle("1.0", "CONFIRMED", "{}", 5)
    outbox.settle("2.0", "UNKNOWN", '{"reason":"-1007"}', 6)
    outbox.settle("3.0", "REFUSED", '{"code":-2021}', 7)
    assert [(intent.id, intent.status) for intent in outbox.pending()] == [("2.0", "UNKNOWN"), ("3.1", "PENDING")]
    unknown, refused = outbox.get("2.0"), outbox.get("3.0")
    assert unknown is not None
    assert refused is not None
    assert (unknown.attempts, unknown.done_ms, unknown.outcome_json) == (1, None, '{"reason":"-1007"}')
    assert (refused.attempts, refused.done_ms) == (1, 7)
    outbox.settle("2.0", "CONFIRMED", "{}", 8)
    found = outbox.get("2.0")
    assert found is not None
    assert (found.status, found.attempts, found.done_ms) == ("CONFIRMED", 2, 8)
    assert verify(path).problems == ()


def test_an_intent_can_be_settled_in_the_batch_that_creates_it(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(
        Batch(
            transitions=[story.signalled("BTCUSDT", 1, story.start)],
            intent_outcomes=[story.outcome("1.0", story.start + 1, "DROPPED")],
        )
    )
    assert Outbox(store).pending() == []


def test_settling_what_does_not_exist_is_refused(store: Store) -> None:
    with pytest.raises(WriteFailed, match=r"no intent 1\.0"):
        Outbox(store).settle("1.0", "CONFIRMED", None, 1)
