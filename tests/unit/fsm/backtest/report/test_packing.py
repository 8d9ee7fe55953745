"""Columns in a page: packed and unpacked they are the same, and what hardly changes takes hardly any room."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from fsm.backtest.report.packing import Packing, Place, step_of_prices, step_of_values


def unpacked(text: str, place: Place, step: float) -> list[float | None]:
    """As the page does it."""
    data = zlib.decompress(base64.b64decode(text))
    columns = data[4 + int.from_bytes(data[:4], "little") :]
    first, count = place
    found: list[float | None] = []
    held = 0
    for index in range(count):
        code = sum(columns[first + byte * count + index] << (8 * byte) for byte in range(4))
        if code == 0:
            found.append(None)
            continue
        code -= 1
        held += -(code + 1) // 2 if code % 2 else code // 2
        found.append(held * step)
    return found


def test_a_column_comes_back_to_its_step_with_its_holes() -> None:
    values = np.array([np.nan, 10.25, 10.5, np.nan, -3.75, 0.0, 8_000_000.25])
    packing = Packing()
    packing.column(np.arange(5.0), 1.0)
    place = packing.column(values, 0.25)
    expected = [None if np.isnan(each) else float(each) for each in values]
    assert unpacked(packing.text({"some": "facts"}), place, 0.25) == expected


def test_nothing_at_all_and_what_is_too_large_do_no_harm() -> None:
    packing = Packing()
    empty, unknown = packing.column(np.array([]), 1.0), packing.column(np.array([np.nan, np.nan]), 1.0)
    huge = packing.column(np.array([1e300, -1e300]), 1e-8)
    text = packing.text({})
    assert unpacked(text, empty, 1.0) == []
    assert unpacked(text, unknown, 1.0) == [None, None]
    assert len(unpacked(text, huge, 1e-8)) == 2


def test_what_stands_still_takes_hardly_any_room() -> None:
    still, restless = Packing(), Packing()
    still.column(np.full(10_000, 123.45), 0.01)
    restless.column(np.random.default_rng(1).uniform(0, 1_000, 10_000), 0.01)
    assert still.size() * 100 < restless.size()


@pytest.mark.parametrize(
    ("prices", "step"), [([1.0, 250.0], 1.0), ([0.16418, 0.1], 0.00001), ([67_964.2, 1.5], 0.1), ([], 1.0)]
)
def test_the_step_of_prices_is_their_tick(prices: list[float], step: float) -> None:
    assert step_of_prices(np.array(prices)) == pytest.approx(step)


@pytest.mark.parametrize(
    ("values", "step"), [([54.3, -99.9], 0.01), ([0.00123], 1e-6), ([100.0], 0.1), ([0.0], 1.0), ([np.nan], 1.0)]
)
def test_the_step_of_values_leaves_four_digits(values: list[float], step: float) -> None:
    assert step_of_values(np.array(values), 4) == pytest.approx(step)
