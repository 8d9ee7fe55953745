"""Sums, means and extremes in the one order both forms of an indicator use.

Floating-point sums depend on their order, and neither ``sum()`` (compensated from Python 3.12 on) nor
``np.sum`` (pairwise) adds from left to right. Everything that adds up floats goes through here: lists for the stream
form, arrays for the batch form, the same additions in both. Windowed results are recomputed for each window, so that no
rounding error lives longer than the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    items = values.tolist()
    average, rest = mean(items[:period], period), period - 1
    result[period - 1] = average
    result[period:] = [average := (average * rest + value) / period for value in items[period:]]
    return result


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
