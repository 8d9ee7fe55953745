"""A candle's own numbers, and its volume against the volume before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Values = Callable[..., list[Any]]


def traded(volumes: list[float]) -> list[tuple[float, ...]]:
    return [(5.0, 6.0, 4.0, 5.5, volume) for volume in volumes]


@pytest.mark.parametrize(
    ("name", "value"), [("open", 5.0), ("high", 6.0), ("low", 4.0), ("close", 5.5), ("volume", 7.0)]
)
def test_each_field_is_what_the_candle_says(values: Values, name: str, value: float) -> None:
    assert values(name, traded([7.0])) == [value]


def test_the_volume_is_compared_with_the_candles_before_it_only(values: Values) -> None:
    assert values("volume_ratio", traded([2.0, 4.0, 6.0, 0.0]), period=2) == [None, None, 2.0, 0.0]
    assert values("volume_ratio", traded([2.0, 4.0]), period=1) == [None, 2.0]


def test_after_silence_any_volume_counts_as_usual(values: Values) -> None:
    assert values("volume_ratio", traded([0.0, 0.0, 9.0, 0.0]), period=2) == [None, None, 1.0, 0.0]
    assert values("volume_ratio", traded([0.0, 0.0, 0.0]), period=2) == [None, None, 1.0]
