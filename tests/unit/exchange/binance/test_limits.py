"""The budget as a whole: who may leave now, what is kept in reserve, and what a refusal means for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.limits import Ask, Budget
from exchange.binance.replies import ToldToWait
from exchange.priority import Priority

NOW = 1_764_000_000_000  # a multiple of a minute


def _used(budget: Budget, kind: str = "REQUEST_WEIGHT", interval_ms: int = 60_000) -> int:
    return next(w.used for w in budget.windows.all if (w.kind, w.interval_ms) == (kind, interval_ms))


def _admit(budget: Budget, priority: Priority, weight: int = 0, orders: int = 0, *, at_s: float = 0.0) -> int:
    """0 = it left."""
    opens = priority is Priority.TRADE and orders > 0
    ask = Ask(priority=priority, weight=weight, orders=orders, opens=opens)
    wait = budget.wait(ask, now_s=at_s, now_ms=NOW + int(at_s * 1_000))
    if wait.ms == 0:
        budget.book(ask, at_s)
    return wait.ms


def _spend(budget: Budget, priority: Priority, weight: int, *, at_s: float = 0.0) -> int:
    """How often a call of this weight is let through before the first wait."""
    count = 0
    while _admit(budget, priority, weight, at_s=at_s) == 0:
        count += 1
        assert count < 10_000
    return count


def _refused(budget: Budget, at_s: float, *, sent_s: float | None = None, **told: object) -> float:
    word = ToldToWait(**{"cause": "HTTP 429", **told})
    sent_s = at_s if sent_s is None else sent_s
    return budget.refused(word, sent_s=sent_s, now_s=at_s, now_ms=NOW + int(at_s * 1_000))


def _answered(budget: Budget, at_s: float, priority: Priority = Priority.COVER, orders: int = 0) -> None:
    budget.answered(Ask(priority=priority, orders=orders), sent_s=at_s, now_s=at_s)


def test_each_priority_stops_at_its_ceiling_and_the_next_one_goes_on() -> None:
    budget = Budget()
    assert _spend(budget, Priority.READ, 10) == 168
    assert _spend(budget, Priority.TRADE, 10) == 24
    assert _spend(budget, Priority.LOOK, 10) == 36
    assert _spend(budget, Priority.COVER, 10) == 12
    assert _used(budget) == 2_400


def test_r45_reading_history_can_never_use_up_what_protection_needs() -> None:
    budget = Budget()
    _spend(budget, Priority.READ, 40)
    for _ in range(100):
        assert _admit(budget, Priority.NAKED, 1, 1) == 0
        assert _admit(budget, Priority.LOOK, 1) == 0


def test_entries_cannot_use_up_the_order_count_either() -> None:
    budget = Budget()
    entries = 0
    while _admit(budget, Priority.TRADE, orders=1) == 0:
        entries += 1
    assert entries == 240
    assert _admit(budget, Priority.LOOK, orders=1) == 0
    assert _admit(budget, Priority.COVER, orders=1) == 0


@pytest.mark.parametrize("priority", [Priority.READ, Priority.TRADE])
def test_r45_in_a_pause_nothing_is_read_or_entered(priority: Priority) -> None:
    budget = Budget()
    _refused(budget, 0.0, stated_s=30.0)
    assert _admit(budget, priority, 1, at_s=10.0) == 20_100


def test_r56_a_probe_is_one_request_whoever_takes_it() -> None:
    budget = Budget()
    _refused(budget, 0.0)
    assert _admit(budget, Priority.LOOK, 5, at_s=0.5) == 500
    assert _admit(budget, Priority.LOOK, 5, at_s=1.0) == 0
    assert _admit(budget, Priority.NAKED, 0, 1, at_s=1.0) == 1_000


def test_r56_a_probe_and_its_cost_are_given_back_when_it_did_not_leave() -> None:
    budget = Budget()
    _refused(budget, 0.0)
    ask = Ask(priority=Priority.NAKED, weight=1, orders=1)
    budget.give_back(ask, budget.book(ask, 1.0), 1.1)
    assert (_used(budget), _used(budget, "ORDERS")) == (0, 0)
    assert _admit(budget, Priority.NAKED, 1, 1, at_s=1.1) == 0


def test_r56_after_a_pause_reads_have_half_their_share_and_entries_wait_for_a_minute() -> None:
    budget = Budget()
    _refused(budget, 0.0)
    _answered(budget, 1.0)
    assert _admit(budget, Priority.LOOK, 5, at_s=1.0) == 0
    assert _spend(budget, Priority.READ, 5, at_s=1.0) == 15, "one twentieth of its share, less what the look took"
    assert _admit(budget, Priority.READ, 5, at_s=31.0) == 0
    assert _admit(budget, Priority.TRADE, orders=1, at_s=31.0) == 30_000
    assert _admit(budget, Priority.TRADE, orders=1, at_s=61.0) == 0


def test_r56_too_many_orders_hold_up_orders_and_neither_cancels_nor_reads() -> None:
    budget = Budget()
    assert _refused(budget, 0.0, orders_only=True) == 1.0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=0.2) == 800
    assert _admit(budget, Priority.COVER, 1, at_s=0.2) == 0, "a cancel"
    assert _admit(budget, Priority.LOOK, 1, at_s=0.2) == 0
    assert _admit(budget, Priority.READ, 1, at_s=0.2) == 0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=1.0) == 0
    assert _admit(budget, Priority.COVER, orders=1, at_s=1.0) == 1_000
    _answered(budget, 1.1, orders=1)
    assert _admit(budget, Priority.COVER, orders=1, at_s=1.1) == 0
    assert _admit(budget, Priority.TRADE, orders=1, at_s=1.1) == 60_000


def test_r56_answers_to_what_is_no_order_do_not_end_a_pause_of_orders() -> None:
    budget = Budget()
    _refused(budget, 0.0, orders_only=True)
    _answered(budget, 0.5)
    assert _admit(budget, Priority.NAKED, orders=1, at_s=0.5) == 500


def test_r56_an_order_count_that_is_known_to_be_full_ends_with_its_window() -> None:
    budget = Budget()
    headers = {"X-MBX-ORDER-COUNT-10S": "300"}
    budget.windows.observe(headers, sent_ms=NOW + 4_000, now_ms=NOW + 4_000)
    assert _refused(budget, 4.0, orders_only=True) == 6.0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=4.0) == 6_000
    assert _admit(budget, Priority.READ, 1, at_s=4.0) == 0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=10.0) == 0
    assert budget.shown(10.0) is None


def test_r56_a_pause_of_orders_with_a_stated_end_is_kept() -> None:
    budget = Budget()
    assert _refused(budget, 0.0, orders_only=True, stated_s=6.9) == 7.0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=6.5) == 500
    shown = budget.shown(6.5)
    assert shown is not None
    assert (shown.orders_only, shown.left_s) == (True, 0.5)


def test_a_too_many_orders_shows_that_requests_are_answered_again() -> None:
    budget = Budget()
    _refused(budget, 0.0)
    budget.answered(Ask(priority=Priority.NAKED, orders=1), sent_s=1.0, now_s=1.1, orders_too=False)
    _refused(budget, 1.1, sent_s=1.0, orders_only=True)
    assert _admit(budget, Priority.COVER, 1, at_s=1.1) == 0
    assert _admit(budget, Priority.NAKED, orders=1, at_s=1.1) == 1_000


CALLS = st.tuples(
    st.sampled_from(list(Priority)), st.integers(0, 100), st.integers(0, 1), st.floats(0, 5), st.booleans()
)


@given(st.lists(CALLS, max_size=200))
def test_no_sequence_of_calls_exceeds_a_limit_or_waits_for_ever(
    calls: list[tuple[Priority, int, int, float, bool]],
) -> None:
    budget = Budget()
    now_s = 0.0
    for priority, weight, orders, step_s, pause in calls:
        now_s += step_s
        if pause:
            _refused(budget, now_s, stated_s=step_s or None)
        assert 0 <= _admit(budget, priority, weight, orders, at_s=now_s) <= 60_000
        assert all(w.used <= w.limit for w in budget.windows.all)
