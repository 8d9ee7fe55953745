"""The budget: who may send, what is kept in reserve, and how long a pause lasts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.codec_market import RateLimit
from exchange.binance.limits import Budget, Priority

NOW = 1_764_000_000_000  # a multiple of a minute


def _used(budget: Budget, kind: str = "REQUEST_WEIGHT", interval_ms: int = 60_000) -> int:
    return next(w.used for w in budget.windows if (w.kind, w.interval_ms) == (kind, interval_ms))


def _spend(budget: Budget, priority: Priority, weight: int, now_ms: int = NOW) -> int:
    """How often a call of this weight is let through before the first wait."""
    count = 0
    while budget.admit(now_ms, priority, weight=weight, orders=0) == 0:
        count += 1
        assert count < 10_000
    return count


def test_each_priority_stops_at_its_ceiling_and_the_next_one_goes_on() -> None:
    budget = Budget()
    assert _spend(budget, Priority.READ, 10) == 168
    assert _spend(budget, Priority.TRADE, 10) == 24
    assert _spend(budget, Priority.FLATTEN, 10) == 36
    assert _spend(budget, Priority.PROTECT, 10) == 12
    assert _used(budget) == 2_400


def test_r45_reading_history_can_never_use_up_what_protection_needs() -> None:
    budget = Budget()
    _spend(budget, Priority.READ, 40)
    for _ in range(100):
        assert budget.admit(NOW, Priority.PROTECT, weight=1, orders=1) == 0
        assert budget.admit(NOW, Priority.FLATTEN, weight=1, orders=0) == 0


def test_entries_cannot_use_up_the_order_count_either() -> None:
    budget = Budget()
    entries = 0
    while budget.admit(NOW, Priority.TRADE, weight=0, orders=1) == 0:
        entries += 1
    assert entries == 240
    assert budget.admit(NOW, Priority.FLATTEN, weight=0, orders=1) == 0
    assert budget.admit(NOW, Priority.PROTECT, weight=0, orders=1) == 0


def test_the_wait_ends_with_the_window() -> None:
    budget = Budget()
    _spend(budget, Priority.READ, 40, NOW + 45_000)
    assert budget.admit(NOW + 45_000, Priority.READ, weight=40, orders=0) == 15_000
    assert budget.admit(NOW + 59_999, Priority.READ, weight=40, orders=0) == 1
    assert budget.admit(NOW + 60_000, Priority.READ, weight=40, orders=0) == 0
    assert _used(budget) == 40


def test_a_call_above_its_ceiling_goes_in_an_empty_window() -> None:
    budget = Budget()
    assert budget.admit(NOW, Priority.READ, weight=2_000, orders=0) == 0
    assert budget.admit(NOW, Priority.READ, weight=1, orders=0) > 0


def test_headers_of_any_case_correct_the_count_upwards_and_negative_ones_are_ignored() -> None:
    budget = Budget()
    budget.admit(NOW, Priority.READ, weight=5, orders=0)
    budget.observe({"x-mbx-used-weight-1m": "700", "X-MBX-ORDER-COUNT-10S": "12"}, sent_ms=NOW, now_ms=NOW)
    assert (_used(budget), _used(budget, "ORDERS", 10_000)) == (700, 12)
    budget.observe({"X-Mbx-Used-Weight-1M": "-1", "X-MBX-ORDER-COUNT-1M": "abc"}, sent_ms=NOW, now_ms=NOW)
    budget.observe({"X-MBX-USED-WEIGHT-1M": "9"}, sent_ms=NOW, now_ms=NOW)
    assert (_used(budget), _used(budget, "ORDERS", 60_000)) == (700, 0)


def test_an_answer_that_crossed_into_a_new_window_says_nothing() -> None:
    budget = Budget()
    budget.observe({"X-MBX-USED-WEIGHT-1M": "2300"}, sent_ms=NOW - 1, now_ms=NOW + 1)
    assert budget.admit(NOW + 1, Priority.READ, weight=1, orders=0) == 0


def test_the_stated_limits_replace_the_built_in_ones_and_keep_what_was_used() -> None:
    budget = Budget()
    budget.admit(NOW, Priority.READ, weight=100, orders=0)
    budget.learn([RateLimit(kind="REQUEST_WEIGHT", interval_ms=60_000, limit=6_000)])
    assert _used(budget) == 100
    assert len([w for w in budget.windows if w.kind == "ORDERS"]) == 2
    assert _spend(budget, Priority.READ, 10) == 410


def test_without_a_stated_time_pauses_grow_from_5_to_40_seconds() -> None:
    budget = Budget()
    now, waits = NOW, []
    for _ in range(6):
        waits.append(budget.pause(now, sent_ms=now, retry_after_ms=0, banned=False))
        now = budget.paused_until_ms
    assert waits == [5_000, 10_000, 20_000, 40_000, 40_000, 40_000]
    budget.answered(now)
    assert budget.pause(now + 1, sent_ms=now + 1, retry_after_ms=0, banned=False) == 5_000


def test_many_requests_in_flight_make_one_pause_not_a_ladder() -> None:
    budget = Budget()
    for _ in range(20):
        assert budget.pause(NOW + 100, sent_ms=NOW, retry_after_ms=0, banned=False) == 5_000
    budget.answered(NOW + 200)
    assert budget.pauses == 1


def test_a_stated_time_lengthens_a_pause_even_when_it_comes_with_a_request_sent_before_it() -> None:
    budget = Budget()
    budget.pause(NOW + 100, sent_ms=NOW, retry_after_ms=0, banned=False)
    assert budget.pause(NOW + 100, sent_ms=NOW, retry_after_ms=90_000, banned=False) == 90_000


def test_without_any_order_window_there_is_nothing_to_exhaust() -> None:
    assert Budget(windows=[]).exhaust_orders(NOW) == 0
    assert Budget(windows=[]).admit(NOW, Priority.READ, weight=9_999, orders=1) == 0


def test_retry_after_is_obeyed() -> None:
    budget = Budget()
    assert budget.pause(NOW, sent_ms=NOW, retry_after_ms=7_000, banned=False) == 7_000
    assert budget.admit(NOW + 6_999, Priority.READ, weight=1, orders=0) == 1
    assert budget.admit(NOW + 7_000, Priority.READ, weight=1, orders=0) == 0


@pytest.mark.parametrize("priority", [Priority.READ, Priority.TRADE])
def test_r45_in_a_pause_nothing_is_read_or_entered(priority: Priority) -> None:
    budget = Budget()
    budget.pause(NOW, sent_ms=NOW, retry_after_ms=30_000, banned=False)
    assert budget.admit(NOW + 10_000, priority, weight=1, orders=0) == 20_000


@pytest.mark.parametrize(("banned", "apart_ms"), [(False, 2_000), (True, 10_000)])
def test_r45_in_a_pause_or_a_ban_protection_still_tries_now_and_then(banned: bool, apart_ms: int) -> None:
    budget = Budget()
    budget.pause(NOW, sent_ms=NOW, retry_after_ms=60_000, banned=banned)
    assert budget.admit(NOW, Priority.PROTECT, weight=0, orders=1) == apart_ms
    assert budget.admit(NOW + apart_ms, Priority.PROTECT, weight=0, orders=1) == 0
    assert budget.admit(NOW + apart_ms, Priority.FLATTEN, weight=1, orders=0) == apart_ms


def test_a_ban_without_a_stated_end_lasts_two_minutes_and_no_wait_is_longer_than_three_days() -> None:
    assert Budget().pause(NOW, sent_ms=NOW, retry_after_ms=0, banned=True) == 120_000
    assert Budget().pause(NOW, sent_ms=NOW, retry_after_ms=10**12, banned=True) == 259_200_000


def test_a_ban_is_over_when_its_time_is() -> None:
    budget = Budget()
    budget.pause(NOW, sent_ms=NOW, retry_after_ms=0, banned=True)
    assert budget.banned
    assert budget.admit(NOW + 120_000, Priority.READ, weight=1, orders=0) == 0
    budget.answered(NOW + 120_000)
    assert not budget.banned


def test_too_many_orders_close_the_shortest_order_window_for_everybody_but_leave_reads_alone() -> None:
    budget = Budget()
    assert budget.exhaust_orders(NOW + 4_000) == 6_000
    assert budget.admit(NOW + 4_000, Priority.PROTECT, weight=0, orders=1) == 6_000
    assert budget.admit(NOW + 4_000, Priority.READ, weight=1, orders=0) == 0
    assert budget.admit(NOW + 10_000, Priority.TRADE, weight=0, orders=1) == 0


CALLS = st.tuples(
    st.sampled_from(list(Priority)), st.integers(0, 100), st.integers(0, 1), st.integers(0, 5_000), st.booleans()
)


@given(st.lists(CALLS, max_size=200))
def test_no_sequence_of_calls_exceeds_a_limit_or_waits_for_ever(
    calls: list[tuple[Priority, int, int, int, bool]],
) -> None:
    budget = Budget()
    now = NOW
    for priority, weight, orders, step, pause in calls:
        now += step
        if pause:
            budget.pause(now, sent_ms=now, retry_after_ms=step, banned=False)
        wait = budget.admit(now, priority, weight=weight, orders=orders)
        assert 0 <= wait <= 60_000
        assert all(w.used <= w.limit for w in budget.windows)
