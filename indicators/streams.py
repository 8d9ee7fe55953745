"""How a talipp indicator becomes a stream: only finite candles go in, and its history never grows.

Three habits of talipp decide the shape of this module (each was run, with version 2.7.0):

- given ``None``, it repeats its last output, so that a stale value looks fresh: nothing but numbers is ever fed here;
- it keeps every input and output for ever: the oldest are purged again and again;
- it knows the first full window by the length of its lists, and would seed itself a second time if a purge brought
  them back to that length: what is left is always longer than the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from math import isfinite
from operator import attrgetter
from types import ModuleType
from typing import Any

from indicators.candle import Candle
from indicators.indicator import IndicatorError


def as_is(value: Any) -> Any:
    return value


class TalippStream:
    """A talipp indicator, fed with what ``take`` picks from each candle; ``read`` picks one number of its output.

    ``make`` is given the module of our forms, which is loaded with the first stream: talipp takes a tenth of a second,
    and whoever computes whole histories does without. ``warmup`` is the number of candles that the indicator needs for
    its first value.
    """

    def __init__(
        self,
        make: Callable[[ModuleType], Any],
        take: Callable[[Candle], object],
        warmup: int,
        read: Callable[[Any], float] = as_is,
    ) -> None:
        self._indicator = make(import_module("indicators.forms"))
        self._take = take
        self._read = read
        self._keep = warmup + 1

    def update(self, candle: Candle) -> float | None:
        check_finite(candle)
        indicator = self._indicator
        indicator.add(self._take(candle))
        if len(indicator.input_values) > 2 * self._keep:
            indicator.purge_oldest(len(indicator.input_values) - self._keep)
        output = indicator.output_values[-1]
        return None if output is None else self._read(output)


class CandleStream:
    """A value that needs one candle and no memory."""

    def __init__(self, value_of: Callable[[Candle], float]) -> None:
        self._value_of = value_of

    def update(self, candle: Candle) -> float | None:
        check_finite(candle)
        return self._value_of(candle)


def check_finite(candle: Candle) -> None:
    """Raise ``IndicatorError`` for a candle with NaN or infinity: one would poison every later value in silence."""
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    if not all(map(isfinite, numbers)):
        raise IndicatorError(
            f"candle {candle.open_time_ms} has a number that is not finite ({candle}): nothing was fed"
        )


# What a stream takes from each candle.
high_of: Callable[[Candle], float] = attrgetter("high")
low_of: Callable[[Candle], float] = attrgetter("low")
close_of: Callable[[Candle], float] = attrgetter("close")
volume_of: Callable[[Candle], float] = attrgetter("volume")
