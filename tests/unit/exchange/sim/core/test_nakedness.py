"""The exchange itself records how long a position was without a live stop that covers it, whoever knew of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.sim.core.nakedness import Cause, Ending, Nakedness
from exchange.types import Side

SYMBOL = "BTCUSDT"


class Watched:
    """A desk with a record, on a clock that a test moves."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.now_s = 0.0
        self.record = Nakedness(desk.venue.state, lambda: self.now_s)


@pytest.fixture
def watched(make_desk: Any) -> Watched:
    return Watched(make_desk(balance="100000"))


def test_it_counts_from_the_fill_to_the_stop(watched: Watched) -> None:
    watched.desk.market(Side.BUY, "0.1")
    watched.now_s = 1.5
    assert set(watched.record.lasting) == {SYMBOL}
    watched.desk.stop(Side.SELL, "59000")
    (naked,) = watched.record.ended
    assert (naked.cause, naked.ending, naked.naked_ms()) == (Cause.FILLED, Ending.PROTECTED, 1500)


def test_a_stop_of_too_small_a_quantity_covers_nothing_and_a_target_never_does(watched: Watched) -> None:
    watched.desk.market(Side.BUY, "0.1")
    watched.desk.stop(Side.SELL, "59000", "0.05", reduce_only=True)
    watched.desk.target(Side.SELL, "61000", "0.1", reduce_only=True)
    assert watched.record.lasting
    watched.desk.stop(Side.SELL, "59000", "0.1", reduce_only=True)
    assert not watched.record.lasting


def test_a_stop_that_vanishes_leaves_it_naked_until_it_is_closed(watched: Watched) -> None:
    watched.desk.market(Side.BUY, "0.1")
    algo = watched.desk.stop(Side.SELL, "59000")
    watched.now_s = 10.0
    watched.desk.venue.cancel_algo(algo_id=algo.algo_id)
    watched.now_s = 12.0
    watched.desk.market(Side.SELL, "0.1", reduce_only=True)
    (naked,) = watched.record.ended
    assert (naked.cause, naked.ending, naked.naked_ms()) == (Cause.STOP_GONE, Ending.CLOSED, 2000)


def test_what_is_added_or_turned_round_by_hand_is_not_covered_by_the_stop_of_before(watched: Watched) -> None:
    watched.desk.market(Side.BUY, "0.1")
    watched.desk.stop(Side.SELL, "59000", "0.1", reduce_only=True)
    watched.desk.market(Side.BUY, "0.1")
    assert watched.record.lasting[SYMBOL].cause is Cause.GREW
    watched.desk.stop(Side.SELL, "59000")
    watched.desk.market(Side.SELL, "0.4")
    assert watched.record.lasting[SYMBOL].cause is Cause.FLIPPED
    assert watched.desk.position.quantity == Decimal("-0.2")


def test_what_takes_no_time_is_no_stretch_of_its_own(watched: Watched) -> None:
    watched.desk.market(Side.BUY, "0.1")
    watched.desk.stop(Side.SELL, "59000")
    assert not watched.record.ended
    assert not watched.record.lasting
