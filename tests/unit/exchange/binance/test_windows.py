"""What is counted of the exchange's own limits: windows, headers, stated limits."""

from __future__ import annotations

import pytest

from exchange.binance.codec_market import RateLimit
from exchange.binance.windows import Windows

NOW = 1_764_000_000_000  # a multiple of a minute


def _used(windows: Windows, kind: str = "REQUEST_WEIGHT", interval_ms: int = 60_000) -> int:
    return next(w.used for w in windows.all if (w.kind, w.interval_ms) == (kind, interval_ms))


def _wait(windows: Windows, now_ms: int, weight: int = 0, orders: int = 0) -> int:
    return windows.wait_ms(now_ms, weight=weight, orders=orders, ceiling_pct=100)


def test_the_wait_ends_with_the_window() -> None:
    windows = Windows()
    assert _wait(windows, NOW + 45_000, 2_400) == 0
    windows.book(weight=2_400, orders=0)
    assert _wait(windows, NOW + 45_000, 1) == 15_000
    assert _wait(windows, NOW + 59_999, 1) == 1
    assert _wait(windows, NOW + 60_000, 1) == 0
    assert _used(windows) == 0


def test_a_call_above_its_ceiling_goes_in_an_empty_window() -> None:
    windows = Windows()
    assert _wait(windows, NOW, 9_999) == 0
    windows.book(weight=9_999, orders=0)
    assert _wait(windows, NOW, 1) > 0


def test_what_did_not_leave_is_given_back() -> None:
    windows = Windows()
    assert _wait(windows, NOW, 7, 1) == 0
    windows.book(weight=7, orders=1)
    windows.give_back(weight=7, orders=1)
    assert (_used(windows), _used(windows, "ORDERS", 10_000), _used(windows, "ORDERS")) == (0, 0, 0)


def test_headers_of_any_case_correct_the_count_upwards_and_negative_ones_are_ignored() -> None:
    windows = Windows()
    _wait(windows, NOW, 5)
    windows.book(weight=5, orders=0)
    windows.observe({"x-mbx-used-weight-1m": "700", "X-MBX-ORDER-COUNT-10S": "12"}, sent_ms=NOW, now_ms=NOW)
    assert (_used(windows), _used(windows, "ORDERS", 10_000)) == (700, 12)
    windows.observe({"X-Mbx-Used-Weight-1M": "-1", "X-MBX-ORDER-COUNT-1M": "abc"}, sent_ms=NOW, now_ms=NOW)
    windows.observe({"X-MBX-USED-WEIGHT-1M": "9"}, sent_ms=NOW, now_ms=NOW)
    assert (_used(windows), _used(windows, "ORDERS", 60_000)) == (700, 0)


def test_an_answer_that_crossed_into_a_new_window_says_nothing() -> None:
    windows = Windows()
    windows.observe({"X-MBX-USED-WEIGHT-1M": "2400"}, sent_ms=NOW - 1, now_ms=NOW + 1)
    assert _wait(windows, NOW + 1, 1) == 0


def test_a_clock_that_is_set_back_a_little_does_not_empty_the_window() -> None:
    windows = Windows()
    windows.observe({"X-MBX-USED-WEIGHT-1M": "2400"}, sent_ms=NOW + 1, now_ms=NOW + 2)
    assert _wait(windows, NOW - 30, 1) == 60_030
    assert _wait(windows, NOW + 59_999, 1) == 1


def test_a_clock_that_was_far_ahead_does_not_close_the_window_for_as_long() -> None:
    windows = Windows()
    windows.observe({"X-MBX-USED-WEIGHT-1M": "2400"}, sent_ms=NOW + 86_400_000, now_ms=NOW + 86_400_000)
    assert _wait(windows, NOW, 1) == 0


def test_the_stated_limits_replace_the_built_in_ones_and_keep_what_was_used() -> None:
    windows = Windows()
    _wait(windows, NOW, 100)
    windows.book(weight=100, orders=0)
    windows.learn([RateLimit(kind="REQUEST_WEIGHT", interval_ms=60_000, limit=6_000)])
    assert _used(windows) == 100
    assert len([w for w in windows.all if w.kind == "ORDERS"]) == 2
    assert _wait(windows, NOW, 5_900) == 0
    assert _wait(windows, NOW, 5_901) > 0


@pytest.mark.parametrize(("interval_ms", "limit"), [(60_000, 0), (60_000, -1), (0, 1_200)])
def test_a_stated_limit_that_would_let_nothing_through_is_not_believed(interval_ms: int, limit: int) -> None:
    windows = Windows()
    windows.learn([RateLimit(kind="ORDERS", interval_ms=interval_ms, limit=limit)])
    assert sorted(w.limit for w in windows.all if w.kind == "ORDERS") == [300, 1_200]


def test_a_full_order_count_is_known_until_the_longest_of_its_windows_ends() -> None:
    windows = Windows()
    assert windows.orders_full_ms(NOW) == 0
    windows.observe({"X-MBX-ORDER-COUNT-10S": "300", "X-MBX-ORDER-COUNT-1M": "300"}, sent_ms=NOW, now_ms=NOW + 4_000)
    assert windows.orders_full_ms(NOW + 4_000) == 6_000
    windows.observe({"X-MBX-ORDER-COUNT-1M": "1200"}, sent_ms=NOW + 4_000, now_ms=NOW + 4_000)
    assert windows.orders_full_ms(NOW + 4_000) == 56_000
    assert windows.orders_full_ms(NOW + 60_000) == 0


def test_without_any_window_nothing_waits() -> None:
    assert Windows(all=[]).wait_ms(NOW, weight=9_999, orders=1, ceiling_pct=1) == 0
