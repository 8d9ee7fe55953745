"""The price step of the time in which candles were recorded, read from the candles where no rules of then are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from exchange.candle_columns import CandleColumns, FloatArray, IntArray
from exchange.filters import SymbolFilters
from indicators.candle import Timeframe

GONE_MS = 90 * Timeframe.D1.ms
"""Orders that rested before a tick became coarser fill on the old one for months, a few in a month: SOL until
2025-05-02, BTC until 2022-04-11. Only where none did for so long was the tick coarser."""

GONE_AT_AN_END_MS = 30 * Timeframe.D1.ms
"""The same at the beginning and at the end of the candles, where nothing tells what came before or after."""

PRICES_MIN = 30
"""So many different closes are never on a coarser step by chance: one in ten is."""

DECIMALS_MAX = 10
STEPS_MAX = 1e8
"""No price at an exchange is so many steps, Bitcoin's were seven million: such candles were computed, and show none."""


class TickKnown(StrEnum):
    """How a tick is known: by rules that were written down by then, by the candles against rules of later, by rules of
    later which the candles fit, or by these alone."""

    RULES = "rules"
    CANDLES = "candles"
    BOTH = "later rules and candles"
    LATER_RULES = "later rules"


@dataclass(frozen=True, slots=True)
class TickSpan:
    """A price step, from when on, and how it is known."""

    since_ms: int
    tick: Decimal
    known: TickKnown


class ShownDecimals(NamedTuple):
    """From a candle on, prices have at most so many decimals, -1: nothing can be told. ``is_sure``: so few are no
    chance."""

    since_ms: int
    decimals: int
    is_sure: bool


def shown_by(candles: CandleColumns, finer: Sequence[CandleColumns] = ()) -> tuple[ShownDecimals, ...]:
    """Stretches of candles by the finest decimal that any of their prices has. ``finer``: candles inside of these."""
    if not candles.length:
        return ()
    decimals = _decimals(candles)
    for columns in finer:
        places = np.searchsorted(candles.open_time_ms, columns.open_time_ms, side="right") - 1
        inside = places >= 0
        np.maximum.at(decimals, places[inside], _decimals(columns)[inside])
    times = candles.open_time_ms
    found: list[ShownDecimals] = []
    for first, end in _stretches(times, decimals, 0, len(times)):
        most = int(decimals[first:end].max())
        closes = candles.close[first:end][decimals[first:end] >= 0]
        is_sure = _is_long(times, first, end) and len(set(closes.tolist())) >= PRICES_MIN
        since_ms = int(times[first]) if first == 0 or decimals[first] == most else _end_of(candles, first - 1)
        found.append(ShownDecimals(since_ms, most, is_sure))
    return tuple(found)


def of_its_time(filters: SymbolFilters, shown: Sequence[ShownDecimals], at_ms: int) -> tuple[SymbolFilters, TickKnown]:
    """Rules that were written down later, with the tick that the candles of a moment show; never coarser than they."""
    before = [each for each in shown if each.since_ms <= at_ms] or list(shown[:1])
    if not before:
        return filters, TickKnown.LATER_RULES
    found, decimals = before[-1], _needed(filters.tick_size)
    if found.decimals == decimals:
        return filters, TickKnown.BOTH
    if found.decimals < 0 or (found.decimals < decimals and not found.is_sure):
        return filters, TickKnown.LATER_RULES
    return filters.with_tick(Decimal(1).scaleb(-found.decimals)), TickKnown.CANDLES


def _stretches(times: IntArray, decimals: IntArray, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut out what is coarser for long enough, and cut what was cut out in the same way."""
    fine = np.flatnonzero(decimals[first:end] == decimals[first:end].max()) + first
    ends = np.concatenate(([first - 1], fine, [end]))
    begun = first
    for before, after in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        if after - before > 1 and _is_long(times, before + 1, after):
            if begun <= before:
                yield begun, before + 1
            yield from _stretches(times, decimals, before + 1, after)
            begun = after
    if begun < end:
        yield begun, end


def _is_long(times: IntArray, first: int, end: int) -> bool:
    is_at_an_end = first == 0 or end == len(times)
    return int(times[end - 1] - times[first]) >= (GONE_AT_AN_END_MS if is_at_an_end else GONE_MS)


def _end_of(candles: CandleColumns, index: int) -> int:
    return int(candles.open_time_ms[index]) + candles.timeframe.ms


def _decimals(candles: CandleColumns) -> IntArray:
    """How many decimals the prices of each candle need; -1 where they were never traded at."""
    found = np.zeros(candles.length, dtype=np.int64)
    for column in (candles.open, candles.high, candles.low, candles.close):
        left = np.flatnonzero(~_fits(column, 0))
        for decimals in range(1, DECIMALS_MAX + 1):
            if not len(left):
                break
            found[left] = np.maximum(found[left], decimals)
            left = left[~_fits(column[left], decimals)]
    found[candles.high * 10.0**found > STEPS_MAX] = -1
    return found


def _fits(prices: FloatArray, decimals: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether a price is the float that is written with so many decimals; exact for prices below 2^53 steps."""
    scale = 10.0**decimals
    fits: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.rint(prices * scale) / scale == prices
    return fits


def _needed(value: Decimal) -> int:
    """Decimals that a step needs: 0.0100 needs two."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
