"""Sums, means and extremes in the one order both forms of an indicator use.

Floating-point sums depend on their order, and neither ``sum()`` (compensated from Python 3.12 on) nor
``np.sum`` (pairwise) adds from left to right. Everything that adds up floats goes through here: lists for the stream
form, arrays for the batch form, the same additions in both. Windowed results are recomputed for each window, so that no
rounding error lives longer than the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from indicators.series import FloatArray


def mean(values: Iterable[float], count: int) -> float:
    """Mean of ``count`` values, added from left to right."""
    total = 0.0
    for value in values:
        total += value
    return total / count


def price_mean(prices: Sequence[float], count: int) -> float:
    """Mean of ``count`` prices. Their distances from the first are added, so that equal prices have just that mean.

    A plain sum would leave a mean beside them and a deviation of some 1e-17, and the bandwidth of a market that stands
    still would seem to double and halve.
    """
    first = prices[0]
    return first + mean((price - first for price in prices), count)


def smoothed(values: FloatArray, period: int) -> FloatArray:
    """Wilder's average: the mean of the first ``period`` values, then one part in ``period`` of each new one."""
    result = np.full(len(values), np.nan)
    if len(values) < period:
        return result
    average = mean(values[:period].tolist(), period)
    result[period - 1] = average
    result[period:] = _ways.wilder(values[period:], average, float(period - 1), float(period))
    return result


def exponential(values: FloatArray, average: float, weight: float) -> FloatArray:
    """An average that goes on from a first one: ``weight`` of each new value, the rest of the one before."""
    return _ways.exponential(values, average, 1.0 - weight, weight)


def _wilder(values: FloatArray, average: float, rest: float, period: float) -> FloatArray:
    found = [average := (average * rest + value) / period for value in values.tolist()]
    return np.array(found, dtype=np.float64)


def _exponential(values: FloatArray, average: float, rest: float, weight: float) -> FloatArray:
    found = [average := weight * value + rest * average for value in values.tolist()]
    return np.array(found, dtype=np.float64)


Way = Callable[[FloatArray, float, float, float], FloatArray]


class Ways(NamedTuple):
    """How averages go on, value by value."""

    wilder: Way
    exponential: Way


PLAIN = Ways(_wilder, _exponential)
_ways = PLAIN


def go_on_by(ways: Ways) -> None:
    """From now on, in this process: others may be faster, and give the same to the last bit."""
    global _ways
    _ways = ways


def window_mean(values: FloatArray, period: int) -> FloatArray:
    """Mean of the last ``period`` values; NaN before there are as many."""
    result = np.full(len(values), np.nan)
    count = len(values) - period + 1
    if count > 0:
        total = np.zeros(count)
        for offset in range(period):
            total += values[offset : offset + count]
        result[period - 1 :] = total / period
    return result


def window_price_mean(prices: FloatArray, period: int) -> FloatArray:
    """``price_mean`` of the last ``period`` prices; NaN before there are as many."""
    result = np.full(len(prices), np.nan)
    count = len(prices) - period + 1
    if count > 0:
        first = prices[:count]
        total = np.zeros(count)
        for offset in range(period):
            total += prices[offset : offset + count] - first
        result[period - 1 :] = first + total / period
    return result


def window_deviation(prices: FloatArray, means: FloatArray, period: int) -> FloatArray:
    """Standard deviation (of the whole population) of the last ``period`` prices around their own mean."""
    result = np.full(len(prices), np.nan)
    count = len(prices) - period + 1
    if count > 0:
        centre = means[period - 1 :]
        total = np.zeros(count)
        distance = np.empty(count)
        for offset in range(period):
            np.subtract(prices[offset : offset + count], centre, out=distance)
            np.multiply(distance, distance, out=distance)
            total += distance
        result[period - 1 :] = np.sqrt(total / period)
    return result


def window_max(values: FloatArray, period: int) -> FloatArray:
    """Highest of the last ``period`` values; NaN before there are as many."""
    result = np.full(len(values), np.nan)
    count = len(values) - period + 1
    if count > 0:
        highest = values[:count].copy()
        for offset in range(1, period):
            np.maximum(highest, values[offset : offset + count], out=highest)
        result[period - 1 :] = highest
    return result


def window_min(values: FloatArray, period: int) -> FloatArray:
    """Lowest of the last ``period`` values; NaN before there are as many."""
    return -window_max(-values, period)


def delayed(values: FloatArray, candles: int) -> FloatArray:
    """Each value moved ``candles`` later; NaN where there was no earlier one."""
    result = np.full(len(values), np.nan)
    if candles < len(values):
        result[candles:] = values[: len(values) - candles]
    return result


def quotient(above: FloatArray, below: FloatArray, *, otherwise: float) -> FloatArray:
    """``above / below``, and ``otherwise`` where ``below`` is zero."""
    result = np.full(len(above), otherwise)
    np.divide(above, below, out=result, where=below != 0)
    return result
