"""The path through a candle: the hold, the order of the extremes, finer candles, the smoothed mark."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from exchange.sim.playback.candle_path import (
    HOLD_MS,
    Bar,
    Bias,
    Corner,
    Mark,
    Prices,
    Quote,
    Walk,
    bar,
    smoothed,
    stretch,
)

D = Decimal
HOUR = 3_600_000
T0 = 1_704_067_200_000


def prices(text: str) -> Prices:
    return Prices(*(D(part) for part in text.split()))


def hour(text: str = "100 110 90 105", mark: str | None = None) -> Bar:
    return (stretch(T0, T0 + HOUR, prices(text), None if mark is None else prices(mark)),)


def corners(walk: Walk) -> Iterator[Corner]:
    while (corner := walk.peek()) is not None:
        yield corner
        walk.step()


def lasts(found: list[Corner]) -> list[int]:
    return [int(corner.quote.last) for corner in found]


def test_the_open_is_held_for_a_minute_and_the_extremes_come_at_thirds_of_the_rest() -> None:
    found = list(corners(Walk(hour(), lambda: Bias.LOW_FIRST)))
    assert lasts(found) == [100, 100, 90, 110, 105]
    third = (HOUR - 1 - HOLD_MS) // 3
    assert [corner.at_ms - T0 for corner in found] == [0, 60_000, 60_000 + third, 60_000 + 2 * third, HOUR - 1]
    assert [corner.jump for corner in found] == [True, False, False, False, False]


def test_the_other_order_visits_the_high_first() -> None:
    assert lasts(list(corners(Walk(hour(), lambda: Bias.HIGH_FIRST)))) == [100, 100, 110, 90, 105]


def test_the_account_is_asked_only_when_the_hold_is_over() -> None:
    """An entry that executes at the open decides what hurts."""
    asked = []

    def choose() -> Bias:
        asked.append(True)
        return Bias.HIGH_FIRST

    walk = Walk(hour(), choose)
    for _ in range(2):
        walk.peek()
        walk.step()
        assert not asked
    for _ in range(3):
        walk.peek()
        walk.step()
    assert len(asked) == 1


def test_mark_candles_are_walked_in_step_with_the_last_price() -> None:
    found = list(corners(Walk(hour(mark="99 108 91 104"), lambda: Bias.LOW_FIRST)))
    assert [int(corner.quote.mark) for corner in found] == [99, 99, 91, 108, 104]


def test_a_smoothed_mark_has_shorter_wicks_and_the_same_body() -> None:
    assert smoothed(prices("100 110 90 105")) == prices("100 109.75 90.5 105")
    flat = prices("100 100 100 100")
    assert smoothed(flat) == flat


def test_finer_candles_are_walked_one_by_one_and_each_asks_again() -> None:
    biases = iter([Bias.LOW_FIRST, Bias.HIGH_FIRST])
    parts = [
        stretch(T0, T0 + 300_000, prices("100 104 98 103")),
        stretch(T0 + 300_000, T0 + 600_000, prices("102 106 101 105")),
    ]
    found = list(corners(Walk(bar(parts), lambda: next(biases))))
    assert lasts(found) == [100, 100, 98, 104, 103, 102, 106, 101, 105]
    assert [corner.jump for corner in found].index(True, 1) == 5
    assert found[5].at_ms == T0 + 300_000


def test_first_minute_candles_are_joined_until_they_outlast_the_hold() -> None:
    minute = [
        stretch(T0 + n * 60_000, T0 + (n + 1) * 60_000, prices(text))
        for n, text in enumerate(["100 104 98 103", "103 107 101 102", "102 103 100 101"])
    ]
    first, second = bar(minute)
    assert (first.open_ms, first.end_ms) == (T0, T0 + 120_000)
    assert first.last == prices("100 107 98 102")
    assert second == minute[2]


def test_a_walk_goes_on_from_its_mark() -> None:
    whole = list(corners(Walk(hour(), lambda: Bias.HIGH_FIRST)))
    walk = Walk(hour(), lambda: Bias.HIGH_FIRST)
    for _ in range(3):
        walk.peek()
        walk.step()
    again = Walk(hour(), lambda: Bias.LOW_FIRST, walk.mark)
    assert list(corners(again)) == whole[3:]


def test_prices_between_corners_lie_on_a_line() -> None:
    walk = Walk(hour("100 110 90 105", mark="100 110 90 105"), lambda: Bias.LOW_FIRST)
    with pytest.raises(ValueError, match="no line to a jump"):
        walk.quote_at(T0)
    walk.step()
    walk.peek()
    walk.step()
    target = walk.peek()
    assert target is not None
    half = (T0 + HOLD_MS + target.at_ms) // 2
    assert abs(walk.quote_at(half).last - 95) < D("0.001")


def test_the_range_ahead_is_known_after_the_open_only() -> None:
    walk = Walk(hour(mark="99 108 91 104"), lambda: Bias.LOW_FIRST)
    assert walk.range_ahead() is None
    walk.step()
    assert walk.range_ahead() == (Quote(D(90), D(91)), Quote(D(110), D(108)))
    assert walk.end.quote == Quote(D(105), D(104))
    walk.finish()
    assert walk.peek() is None
    assert walk.mark == Mark(stretch=1)
