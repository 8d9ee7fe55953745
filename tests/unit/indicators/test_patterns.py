"""Shapes of candles, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Values = Callable[..., list[Any]]

Row = tuple[float, float, float, float]
FLAT: Row = (5.0, 5.0, 5.0, 5.0)


def body(opened: float, closed: float) -> Row:
    return opened, max(opened, closed) + 1.0, min(opened, closed) - 1.0, closed


@pytest.mark.parametrize(
    ("before", "candle", "engulfs"),
    [
        (body(10.0, 8.0), body(8.0, 11.0), 1.0),  # opens at the close before, as markets that never pause do
        (body(10.0, 8.0), body(7.0, 10.0), 1.0),
        (body(10.0, 8.0), body(8.0, 10.0), 0.0),  # as large, not larger
        (body(10.0, 8.0), body(8.0, 9.0), 0.0),  # does not cover
        (body(10.0, 8.0), body(9.0, 12.0), 0.0),  # opens within
        (body(8.0, 10.0), body(7.0, 11.0), 0.0),  # the candle before rose
        (body(9.0, 9.0), body(8.0, 11.0), 0.0),  # the candle before had no body
        (body(10.0, 8.0), body(12.0, 7.0), 0.0),  # falls
        (FLAT, FLAT, 0.0),
    ],
)
def test_bullish_engulfing(values: Values, before: Row, candle: Row, engulfs: float) -> None:
    assert values("bullish_engulfing", [before, candle]) == [None, engulfs]


@pytest.mark.parametrize(
    ("before", "candle", "engulfs"),
    [
        (body(8.0, 10.0), body(10.0, 7.0), 1.0),
        (body(8.0, 10.0), body(11.0, 8.0), 1.0),
        (body(8.0, 10.0), body(10.0, 8.0), 0.0),
        (body(8.0, 10.0), body(9.0, 6.0), 0.0),
        (body(10.0, 8.0), body(11.0, 7.0), 0.0),
        (body(9.0, 9.0), body(10.0, 7.0), 0.0),
        (body(8.0, 10.0), body(7.0, 12.0), 0.0),
        (FLAT, FLAT, 0.0),
    ],
)
def test_bearish_engulfing(values: Values, before: Row, candle: Row, engulfs: float) -> None:
    assert values("bearish_engulfing", [before, candle]) == [None, engulfs]


def test_where_a_candle_closed_and_how_much_of_it_is_body(values: Values) -> None:
    candles = [(4.0, 8.0, 4.0, 7.0), (8.0, 8.0, 4.0, 4.0), (6.0, 8.0, 4.0, 6.0), FLAT]
    assert values("close_location", candles) == [0.75, 0.0, 0.5, 0.5]
    assert values("body_ratio", candles) == [0.75, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("candle", "up", "down"),
    [
        ((4.0, 8.0, 4.0, 7.0), 1.0, 0.0),  # closes at 0.75, body 0.75
        ((7.0, 8.0, 4.0, 5.0), 0.0, 1.0),  # the mirror image
        ((6.0, 8.0, 4.0, 7.0), 0.0, 0.0),  # body 0.25
        ((4.0, 8.0, 4.0, 6.0), 0.0, 0.0),  # closes in the middle
        ((8.0, 8.0, 4.0, 7.0), 0.0, 0.0),  # high in its range, but fell
        (FLAT, 0.0, 0.0),
    ],
)
def test_a_strong_close_has_a_direction_a_place_and_a_body(values: Values, candle: Row, up: float, down: float) -> None:
    limits = {"location": 0.75, "body": 0.5}
    assert values("strong_close_up", [candle], **limits) == [up]
    assert values("strong_close_down", [candle], **limits) == [down]


def test_a_flat_candle_is_never_strong_whatever_the_limits(values: Values) -> None:
    limits = {"location": 0.5, "body": 0.0}
    assert values("strong_close_up", [FLAT], **limits) == [0.0]
    assert values("strong_close_down", [FLAT], **limits) == [0.0]
