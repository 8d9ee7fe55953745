"""The queue between a stream and its consumer never blocks and never grows without bound."""

from __future__ import annotations

import pytest

from exchange.event_queue import EventQueue
from exchange.events import OtherEvent, Resync

pytestmark = pytest.mark.anyio


async def test_a_full_queue_becomes_one_request_to_read_everything() -> None:
    queue = EventQueue(limit=3)
    for n in range(4):
        queue.put(OtherEvent(kind=str(n)))
    assert len(queue) == 1
    assert isinstance(await queue.get(), Resync)


async def test_events_come_out_in_the_order_they_went_in() -> None:
    queue = EventQueue()
    for n in range(5):
        queue.put(OtherEvent(kind=str(n)))
    assert [await queue.get() for _ in range(5)] == [OtherEvent(kind=str(n)) for n in range(5)]
