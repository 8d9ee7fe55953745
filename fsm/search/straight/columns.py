"""Makes whole numbers of a symbol's bars and of a variant's signals, exactly as their decimals are rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exchange.candle_columns import CandleColumns
from exchange.filters import Rounding, SymbolFilters, decimal_of
from exchange.sim.playback.feed import SymbolFeed
from fsm.search.straight.numbers import NEVER, Prices

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DECIMALS_MAX = 8
"""Of a recorded price."""

WICK_DECIMALS = 2
"""That a smoothed mark has more than the price it is made of."""

NEVER_LOW = -1
"""The low of a bar that is not sound: no price is below it, so that nothing passes it unseen."""

EXACT_MAX = 10.0**15
"""Below this a float with so many digits is its decimal."""


class Bars(NamedTuple):
    """``prices`` in units of ``10**-digits``; rates in ``10**-rate_digits``."""

    prices: Prices
    digits: int
    rate_digits: int
    price_max: int


def bars_of(feed: SymbolFeed, least: int) -> Bars | None:
    """With so many digits at least. None: they cannot be counted, or the mark has candles of another length."""
    candles, mark = feed.candles_of_bars, feed.mark_candles
    if mark is not None and mark.timeframe is not feed.step:
        return None
    digits = max(map(_decimals_of, _columns(candles)))
    marks = 0 if mark is None else max(map(_decimals_of, _columns(mark)))
    if max(digits, marks, least) > DECIMALS_MAX:
        return None
    whole = max(digits + WICK_DECIMALS, marks, least)
    highest = max(float(np.max(column)) for columns in (candles, mark) if columns for column in _columns(columns))
    if highest * 10.0**whole >= EXACT_MAX:
        return None
    count = (feed.end_ms - feed.start_ms) // feed.step.ms
    last, there = _placed(candles, feed.start_ms, count, whole)
    marked = _smoothed(last)
    if mark is not None:
        recorded, known = _placed(mark, feed.start_ms, count, whole)
        opened, high, low, close = recorded
        possible = (opened, np.maximum(high, np.maximum(opened, close)), np.minimum(low, np.minimum(opened, close)))
        marked = [np.where(known, one, other) for one, other in zip((*possible, close), marked, strict=True)]
    opened, high, low, close = last
    sound = there & (low > 0) & (low <= np.minimum(opened, close)) & (high >= np.maximum(opened, close))
    sound[feed.bars_with_finer(count)] = False
    rate, rate_digits = _rates(feed, count)
    last[2][~sound] = NEVER_LOW
    marked[2] = np.where(sound, marked[2], NEVER_LOW)
    top = int(max(np.max(column) for column in (*last, *marked)))
    flags: IntArray = sound.astype(np.int64)
    prices = Prices(*(*last, *marked, flags, rate))
    return Bars(prices, whole, rate_digits, top)


def _columns(candles: CandleColumns) -> tuple[FloatArray, ...]:
    return candles.open, candles.high, candles.low, candles.close


def _decimals_of(column: FloatArray) -> int:
    """How many decimals its numbers have; one more than may be where they have more than that, or are too large."""
    for digits in range(DECIMALS_MAX + 1):
        whole = np.rint(column * 10.0**digits)
        if (np.abs(whole) < EXACT_MAX).all() and (whole / 10.0**digits == column).all():
            return digits
    return DECIMALS_MAX + 1


def decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _placed(
    candles: CandleColumns, start_ms: int, count: int, digits: int
) -> tuple[list[IntArray], npt.NDArray[np.bool_]]:
    """Columns by the number of the bar, and which bars were recorded."""
    places = (candles.open_time_ms - start_ms) // candles.timeframe.ms
    inside = (places >= 0) & (places < count)
    there = np.zeros(count, dtype=np.bool_)
    there[places[inside]] = True
    found = []
    for column in _columns(candles):
        whole = np.zeros(count, dtype=np.int64)
        whole[places[inside]] = np.rint(column[inside] * 10.0**digits).astype(np.int64)
        found.append(whole)
    return found, there


def _smoothed(last: list[IntArray]) -> list[IntArray]:
    """As exchange/sim/playback/candle_path.py smooths: wicks are 95 % as long."""
    opened, high, low, close = last
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    return [opened, top + (high - top) * 95 // 100, bottom - (bottom - low) * 95 // 100, close]


def _rates(feed: SymbolFeed, count: int) -> tuple[IntArray, int]:
    found = {at_ms: feed.funding(at_ms) for at_ms in feed.funding_times()}
    rates = {at_ms: rate for at_ms, rate in found.items() if rate is not None}
    digits = max((decimals(rate) for rate in rates.values()), default=0)
    column = np.full(count, NEVER, dtype=np.int64)
    for at_ms, rate in rates.items():
        place = (at_ms - feed.start_ms) // feed.step.ms
        if 0 <= place < count:
            column[place] = int(rate.scaleb(digits))
    return column, digits


def rounded(values: FloatArray, signs: IntArray, filters: SymbolFilters, digits: int) -> IntArray:
    """Prices on the tick, longs down and shorts up, in units; -1 where the exchange does not take one."""
    unit = 10.0**digits
    tick, least = int(filters.tick_size.scaleb(digits)), int(filters.price_min.scaleb(digits))
    steps = (values * unit - least) / tick
    whole = np.rint(steps)
    near = np.abs(steps - whole) < 1e-7 + np.abs(steps) * 1e-13
    found = np.where(near, whole, np.where(signs > 0, np.floor(steps), np.ceil(steps)))
    unclear = near & ((found * tick + least) / unit != values)
    prices = (np.clip(found, -1e15, 1e15) * tick + least).astype(np.int64)
    for place in np.flatnonzero(unclear | (np.abs(found) * tick >= EXACT_MAX)).tolist():
        how = Rounding.DOWN if signs[place] > 0 else Rounding.UP
        price = filters.round_price(decimal_of(values.item(place)), how)
        prices[place] = int(price.scaleb(digits)) if 0 < price < 10**6 * 10**9 // 10**digits else -1
    most = int(filters.price_max.scaleb(digits)) if filters.price_max else NEVER
    return np.where((prices > 0) & (prices >= least) & (prices <= most), prices, -1)
