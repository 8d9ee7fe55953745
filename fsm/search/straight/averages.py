"""Averages in which each value follows from the one before, as indicators/windows.py has them, for the compiler."""

from __future__ import annotations

from typing import Any


def wilder(values: Any, average: float, rest: float, period: float, result: Any) -> None:
    for place in range(len(values)):
        average = (average * rest + values[place]) / period
        result[place] = average


def exponential(values: Any, average: float, rest: float, weight: float, result: Any) -> None:
    for place in range(len(values)):
        average = weight * values[place] + rest * average
        result[place] = average
