"""Tells what a candle looks like while it is still forming: the prices its path has already been to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from exchange.sim.playback.candle_path import Bar, Bias, Mark, Prices, Quote, Stretch, hold_ms

Pick = Callable[[Stretch], Prices]


def last_of(stretch: Stretch) -> Prices:
    return stretch.last


def mark_of(stretch: Stretch) -> Prices:
    return stretch.mark


def forming(bar: Bar, mark: Mark, now: Quote, *, of_mark: bool = False) -> Prices:
    """Open, extremes so far and the price of now. ``mark`` says how far the path through the bar has come."""
    pick: Pick = mark_of if of_mark else last_of
    current = now.mark if of_mark else now.last
    visited = [*_visited(bar, mark, pick), current]
    return Prices(open=pick(bar[0]).open, high=max(visited), low=min(visited), close=current)


def _visited(bar: Bar, mark: Mark, pick: Pick) -> Iterator[Decimal]:
    for stretch in bar[: mark.stretch]:
        yield from (pick(stretch).high, pick(stretch).low)
    if mark.stretch >= len(bar) or mark.corner == 0:
        return
    stretch = bar[mark.stretch]
    prices = pick(stretch)
    yield prices.open
    holds = mark.stretch == 0 and stretch.end_ms - stretch.open_ms > hold_ms(bar)
    extremes = mark.corner - (2 if holds else 1)
    low_first = mark.bias is Bias.LOW_FIRST
    order = (prices.low, prices.high) if low_first else (prices.high, prices.low)
    yield from order[: max(extremes, 0)]
