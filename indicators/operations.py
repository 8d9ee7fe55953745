"""What formulas are built of: choices, windows, averages and ranges, each as a step and as an array."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import exp, log, log10, nan, sqrt
from typing import Any

import numpy as np

from indicators.formula import Formula, Operand, Operation, Step, at_once, by_step, field, formula_of
from indicators.series import FloatArray
from indicators.windows import (
    delayed,
    mean,
    price_mean,
    window_deviation,
    window_max,
    window_min,
    window_price_mean,
)

OPEN, HIGH, LOW, CLOSE = field("open"), field("high"), field("low"), field("close")
VOLUME, TIME = field("volume"), field("open_time_ms")
MEDIAN = (HIGH + LOW) / 2.0
TYPICAL = (HIGH + LOW + CLOSE) / 3.0

# --- without memory -------------------------------------------------------------------------------------------------


def _where(of_columns: Callable[..., tuple[Any, Any, Any]]) -> Callable[..., FloatArray]:
    """numpy's own maximum may pick either of 0.0 and -0.0; this picks as the step does."""

    def columns(*given: Any) -> FloatArray:
        condition, then, otherwise = of_columns(*given)
        return np.asarray(np.where(condition, then, otherwise), dtype=np.float64)

    return columns


_LARGER = at_once("larger", lambda a, b: a if a > b else b, _where(lambda a, b: (a > b, a, b)))
_SMALLER = at_once("smaller", lambda a, b: a if a < b else b, _where(lambda a, b: (a < b, a, b)))
_ABOVE = at_once("above", lambda a, b: 1.0 if a > b else 0.0, _where(lambda a, b: (a > b, 1.0, 0.0)))
_CHOICE = at_once("choice", lambda c, a, b: a if c != 0 else b, _where(lambda c, a, b: (c != 0, a, b)))
_ABSOLUTE = at_once("absolute", abs, np.abs)


def _quotient(above: Any, below: FloatArray, otherwise: Any) -> FloatArray:
    result = np.array(np.broadcast_to(otherwise, below.shape), dtype=np.float64)
    np.divide(above, below, out=result, where=below != 0)
    return result


_RATIO = at_once("ratio", lambda a, b, otherwise: a / b if b != 0 else otherwise, _quotient)


def _each(of_number: Callable[[float], float]) -> Callable[[FloatArray], FloatArray]:
    """numpy's own roots and logarithms may differ from those of ``math`` in the last bit: one of them serves both."""
    return lambda values: np.array([of_number(value) for value in values.tolist()], dtype=np.float64)


def _root_of(value: float) -> float:
    return sqrt(value) if value > 0 else 0.0


def _log_of(value: float) -> float:
    return log(value) if value > 0 else nan


def _log10_of(value: float) -> float:
    return log10(value) if value > 0 else nan


_ROOT = at_once("root", _root_of, _each(_root_of))
_LOG = at_once("log", _log_of, _each(_log_of))
_LOG10 = at_once("log10", _log10_of, _each(_log10_of))


def larger(one: Operand, other: Operand) -> Formula:
    return Formula(_LARGER, (formula_of(one), formula_of(other)))


def smaller(one: Operand, other: Operand) -> Formula:
    return Formula(_SMALLER, (formula_of(one), formula_of(other)))


def clamped(value: Formula, lowest: float, highest: float) -> Formula:
    """Within limits that it can only pass by a rounding error, or as the entry says."""
    return smaller(larger(value, lowest), highest)


def above(one: Operand, other: Operand) -> Formula:
    """1.0 where ``one`` is above the other, else 0.0."""
    return Formula(_ABOVE, (formula_of(one), formula_of(other)))


def choice(condition: Formula, then: Operand, otherwise: Operand) -> Formula:
    return Formula(_CHOICE, (condition, formula_of(then), formula_of(otherwise)))


def absolute(value: Formula) -> Formula:
    return Formula(_ABSOLUTE, (value,))


def ratio(numerator: Formula, denominator: Formula, otherwise: Operand) -> Formula:
    """One over the other, and ``otherwise`` where the other is 0."""
    return Formula(_RATIO, (numerator, denominator, formula_of(otherwise)))


def root(value: Formula) -> Formula:
    """0 for what is below 0 by a rounding error."""
    return Formula(_ROOT, (value,))


def logarithm(value: Formula) -> Formula:
    return Formula(_LOG, (value,))


def logarithm10(value: Formula) -> Formula:
    return Formula(_LOG10, (value,))


# --- windows: the last so many values, computed anew for each -------------------------------------------------------


def _windowed(
    name: str, of_window: Callable[..., float], of_column: Callable[..., FloatArray], extra: int = 0
) -> Operation:
    """``extra``: values beyond the period that a window holds."""

    def step(period: int, *params: Any) -> Step:
        held: deque[float] = deque(maxlen=period + extra)

        def take(value: float) -> float:
            held.append(value)
            return of_window(held, period, *params) if len(held) == period + extra else nan

        return take

    return Operation(name, step, of_column, lambda period, *_: period - 1 + extra)


def _total_of(values: Iterable[float], period: int) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def _window_total(values: FloatArray, period: int) -> FloatArray:
    result = np.full(len(values), nan)
    count = len(values) - period + 1
    if count > 0:
        total = np.zeros(count)
        for offset in range(period):
            total += values[offset : offset + count]
        result[period - 1 :] = total
    return result


def _deviation_of(values: Sequence[float], period: int) -> float:
    centre = price_mean(values, period)
    return sqrt(mean(((value - centre) * (value - centre) for value in values), period))


def _window_deviation(values: FloatArray, period: int) -> FloatArray:
    return window_deviation(values, window_price_mean(values, period), period)


def _mean_deviation_of(values: Sequence[float], period: int) -> float:
    centre = price_mean(values, period)
    return mean((abs(value - centre) for value in values), period)


def _window_mean_deviation(values: FloatArray, period: int) -> FloatArray:
    result = np.full(len(values), nan)
    count = len(values) - period + 1
    if count > 0:
        centre = window_price_mean(values, period)[period - 1 :]
        total = np.zeros(count)
        for offset in range(period):
            total += np.abs(values[offset : offset + count] - centre)
        result[period - 1 :] = total / period
    return result


def _weighted_of(values: Sequence[float], period: int, weights: tuple[float, ...]) -> float:
    first, total = values[0], 0.0
    for value, weight in zip(values, weights, strict=True):
        total += weight * (value - first)
    return first + total


def _window_weighted(values: FloatArray, period: int, weights: tuple[float, ...]) -> FloatArray:
    result = np.full(len(values), nan)
    count = len(values) - period + 1
    if count > 0:
        first, total = values[:count], np.zeros(count)
        for offset, weight in enumerate(weights):
            total += weight * (values[offset : offset + count] - first)
        result[period - 1 :] = first + total
    return result


def _age_of_highest(values: Sequence[float], period: int) -> float:
    best, age = values[0], period - 1
    for index, value in enumerate(values):
        if value >= best:
            best, age = value, period - 1 - index
    return float(age)


def _window_age_of_highest(values: FloatArray, period: int) -> FloatArray:
    result = np.full(len(values), nan)
    count = len(values) - period + 1
    if count > 0:
        best, age = values[:count].copy(), np.full(count, period - 1.0)
        for offset in range(period):
            part = values[offset : offset + count]
            age = np.where(part >= best, period - 1.0 - offset, age)
            best = np.where(part >= best, part, best)
        result[period - 1 :] = age
    return result


_MEAN = _windowed("mean", price_mean, window_price_mean)
_TOTAL = _windowed("total", _total_of, _window_total)
_HIGHEST = _windowed("highest", lambda values, _: max(values), window_max)
_LOWEST = _windowed("lowest", lambda values, _: min(values), window_min)
_DEVIATION = _windowed("deviation", _deviation_of, _window_deviation)
_MEAN_DEVIATION = _windowed("mean deviation", _mean_deviation_of, _window_mean_deviation)
_WEIGHTED = _windowed("weighted", _weighted_of, _window_weighted)
_AGE = _windowed("age of highest", _age_of_highest, _window_age_of_highest)
_EARLIER = _windowed("earlier", lambda values, _: values[0], delayed, extra=1)


def average(value: Formula, period: int) -> Formula:
    """The mean of the last ``period`` values; of equal values it is just these."""
    return Formula(_MEAN, (value,), (period,))


def total(value: Formula, period: int) -> Formula:
    return Formula(_TOTAL, (value,), (period,))


def highest(value: Formula, period: int) -> Formula:
    return Formula(_HIGHEST, (value,), (period,))


def lowest(value: Formula, period: int) -> Formula:
    return Formula(_LOWEST, (value,), (period,))


def deviation(value: Formula, period: int) -> Formula:
    """Standard deviation of the whole population."""
    return Formula(_DEVIATION, (value,), (period,))


def mean_deviation(value: Formula, period: int) -> Formula:
    return Formula(_MEAN_DEVIATION, (value,), (period,))


def age_of_highest(value: Formula, period: int) -> Formula:
    """How many candles ago the highest of the last ``period`` values was; of equal ones the latest counts."""
    return Formula(_AGE, (value,), (period,))


def earlier(value: Formula, candles: int) -> Formula:
    """What it was so many candles ago."""
    return Formula(_EARLIER, (value,), (candles,))


def change(value: Formula, candles: int = 1) -> Formula:
    return value - earlier(value, candles)


def weighted(value: Formula, weights: Sequence[float]) -> Formula:
    """The last values, oldest first, in these shares of their sum."""
    whole = _total_of(weights, len(weights))
    return Formula(_WEIGHTED, (value,), (len(weights), tuple(weight / whole for weight in weights)))


def linear_weighted(value: Formula, period: int) -> Formula:
    """WMA: the latest counts ``period`` times, the oldest once."""
    return weighted(value, range(1, period + 1))


def bell_weights(period: int, offset: float, sigma: float) -> list[float]:
    """ALMA's weights, to 12 digits, so that no machine's own ``exp`` shows."""
    centre, width = offset * (period - 1), period / sigma
    return [round(exp(-((index - centre) ** 2) / (2 * width * width)), 12) for index in range(period)]


def line_weights(period: int) -> list[float]:
    """The shares in which values make the end of the straight line that fits them best."""
    middle = (period - 1) / 2
    spread = sum((index - middle) ** 2 for index in range(period))
    return [1 / period + (index - middle) * middle / spread for index in range(period)]


# --- averages in which each value stands on the one before ----------------------------------------------------------


def _seeded(period: int, onwards: Callable[[float, float], float], seed: Callable[..., float]) -> Step:
    held: list[float] = []
    now = nan

    def take(value: float) -> float:
        nonlocal now
        if len(held) < period:
            held.append(value)
            if len(held) == period:
                now = seed(held, period)
        else:
            now = onwards(now, value)
        return now

    return take


def _exponential_step(period: int) -> Step:
    weight = 2.0 / (period + 1.0)
    rest = 1.0 - weight
    return _seeded(period, lambda now, value: weight * value + rest * now, price_mean)


def _wilder_step(period: int) -> Step:
    rest = period - 1
    return _seeded(period, lambda now, value: (now * rest + value) / period, mean)


def _true_range_step() -> Step:
    before: float | None = None

    def take(high: float, low: float, close: float) -> float:
        nonlocal before
        reach = high - low if before is None else max(high - low, abs(high - before), abs(low - before))
        before = close
        return reach

    return take


def _running_total_step() -> Step:
    now = 0.0

    def take(value: float) -> float:
        nonlocal now
        now += value
        return now

    return take


_EXPONENTIAL = by_step("exponential", _exponential_step, lambda period: period - 1)
_WILDER = by_step("wilder", _wilder_step, lambda period: period - 1)
_TRUE_RANGE = by_step("true range", _true_range_step, inputs=3)
_RUNNING_TOTAL = by_step("running total", _running_total_step)


def ema(value: Formula, period: int) -> Formula:
    """Exponential average, which starts as the mean of the first values."""
    return Formula(_EXPONENTIAL, (value,), (period,))


def wilder(value: Formula, period: int) -> Formula:
    """Wilder's average, which starts as the mean of the first values."""
    return Formula(_WILDER, (value,), (period,))


def running_total(value: Formula) -> Formula:
    """The sum of all values so far."""
    return Formula(_RUNNING_TOTAL, (value,))


TRUE_RANGE = Formula(_TRUE_RANGE, (HIGH, LOW, CLOSE))
"""The first candle's is its own range, as no close is known before it."""


def atr(period: int) -> Formula:
    return wilder(TRUE_RANGE, period)


def rsi(value: Formula, period: int) -> Formula:
    """From 0 to 100; 50 where nothing moved."""
    moved = change(value)
    gain, loss = wilder(larger(moved, 0.0), period), wilder(larger(-moved, 0.0), period)
    return 100.0 * ratio(gain, gain + loss, 0.5)


def place_between(value: Formula, low: Formula, high: Formula) -> Formula:
    """Where it stands from 0 (at ``low``) to 100 (at ``high``); 50 where these are one."""
    return clamped(100.0 * ratio(value - low, high - low, 0.5), 0.0, 100.0)


def stochastic(value: Formula, period: int) -> Formula:
    """Where it stands among its own last values."""
    return place_between(value, lowest(value, period), highest(value, period))
