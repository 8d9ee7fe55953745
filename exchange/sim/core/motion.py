"""Finds what moving prices hit first: liquidations, triggers, resting limits and expiries, in their true order.

Prices of all symbols move together along one *leg*: from where they are to where they will be, each in a straight
line, so a moment is a fraction of the leg. What happens at one moment goes: expiry, liquidation, stops, limits,
targets (against us first), then by symbol and age.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.state import VenueState
from exchange.sim.playback.candle_path import Quote, between
from exchange.types import ConditionalType, Side, WorkingType

_ZERO = Decimal(0)
_ONE = Decimal(1)
_EXPIRY, _LIQUIDATION, _STOP, _LIMIT, _TARGET = range(5)


class Hit(NamedTuple):
    """Something that happens on the way; tuples sort by when, what, where and age."""

    fraction: Decimal
    rank: int
    place: int
    age: int
    symbol: str
    what: OrderState | AlgoState | None

    @property
    def is_expiry(self) -> bool:
        return self.rank == _EXPIRY


class Levels(NamedTuple):
    """The nearest prices at which something of a symbol can happen, below and above, of last and of mark.

    None: nowhere. They are floats for a quick no; those of the mark are a hair too near, because marks may be computed.
    """

    low_last: float | None = None
    high_last: float | None = None
    low_mark: float | None = None
    high_mark: float | None = None


_HAIR = 1e-9


class Leg:
    """Where the prices of some symbols go between two instants."""

    def __init__(self, state: VenueState, end_ms: int, quotes: Mapping[str, Quote]) -> None:
        if end_ms < state.now_ms:
            raise ValueError(f"time cannot go back from {state.now_ms} to {end_ms} ms")
        self._state = state
        self._start_ms = state.now_ms
        self._end_ms = end_ms
        waiting = (symbol for symbol in state.orders.open_symbols() if symbol not in quotes)
        ends = {**quotes, **{symbol: state.quotes[symbol] for symbol in waiting}}
        self._lines = {symbol: (state.quotes.get(symbol, end), end) for symbol, end in ends.items()}
        self._at = _ZERO

    def next_hit(self) -> Hit | None:
        """The first thing that happens from here on, as the account is now."""
        found: Hit | None = None
        for place, (symbol, (start, end)) in enumerate(self._lines.items()):
            for hit in self._hits(place, symbol, start, end):
                if found is None or hit < found:
                    found = hit
        return found

    def move_to(self, fraction: Decimal) -> None:
        """Bring time and prices to a moment of the leg."""
        self._at = fraction
        state = self._state
        state.now_ms = self._start_ms + round((self._end_ms - self._start_ms) * fraction)
        for symbol, (start, end) in self._lines.items():
            state.quotes[symbol] = between(start, end, fraction)

    def finish(self) -> None:
        """Bring time and prices to the end, exactly."""
        self._state.now_ms = self._end_ms
        for symbol, (_, end) in self._lines.items():
            self._state.quotes[symbol] = end

    def _hits(self, place: int, symbol: str, start: Quote, end: Quote) -> Iterator[Hit]:
        state, at = self._state, self._at
        holding = state.holdings.get(symbol)
        if holding is not None and holding.quantity:
            level = state.liquidation_price(symbol)
            if level is not None:
                fraction = reach(start.mark, end.mark, level, holding.quantity < 0, at)
                if fraction is not None:
                    yield Hit(fraction, _LIQUIDATION, place, 0, symbol, None)
        for algo in state.algos.open(symbol):
            by_mark = algo.working_type is WorkingType.MARK_PRICE
            prices = (start.mark, end.mark) if by_mark else (start.last, end.last)
            fraction = reach(*prices, algo.trigger_price, algo.rising, at)
            if fraction is not None:
                rank = _STOP if algo.type is ConditionalType.STOP_MARKET else _TARGET
                yield Hit(fraction, rank, place, algo.algo_id, symbol, algo)
        for order in state.orders.open(symbol):
            yield from self._order_hits(place, order, start, end)

    def _order_hits(self, place: int, order: OrderState, start: Quote, end: Quote) -> Iterator[Hit]:
        if order.good_till_ms is not None and order.good_till_ms <= self._end_ms:
            expiry = max(self._at, self._fraction_of(order.good_till_ms))
            yield Hit(expiry, _EXPIRY, place, order.order_id, order.symbol, order)
        if order.price is None:
            return
        since = self._at
        if order.resume_ms > self._start_ms:
            since = max(since, self._fraction_of(order.resume_ms))
        fraction = reach(start.last, end.last, order.price, order.side is Side.SELL, since)
        if fraction is not None and fraction <= _ONE:
            yield Hit(fraction, _LIMIT, place, order.order_id, order.symbol, order)

    def _fraction_of(self, at_ms: int) -> Decimal:
        span = self._end_ms - self._start_ms
        if span == 0:
            return _ZERO if at_ms <= self._start_ms else _ONE + 1
        return Decimal(at_ms - self._start_ms) / span


def is_quiet(state: VenueState, symbol: str, low: Quote, high: Quote, until_ms: int) -> bool:
    """True when nothing of this symbol can happen while its prices stay inside this range."""
    holding = state.holdings.get(symbol)
    if holding is not None and holding.quantity:
        level = state.liquidation_price(symbol)
        if not holding.isolated:
            return False  # depends on the prices of other symbols
        if level is not None and ((low.mark <= level) if holding.quantity > 0 else (high.mark >= level)):
            return False
    for algo in state.algos.open(symbol):
        by_mark = algo.working_type is WorkingType.MARK_PRICE
        least, most = (low.mark, high.mark) if by_mark else (low.last, high.last)
        if (most >= algo.trigger_price) if algo.rising else (least <= algo.trigger_price):
            return False
    for order in state.orders.open(symbol):
        expires = order.good_till_ms is not None and order.good_till_ms <= until_ms
        if expires or order.price is None:
            return False
        if (low.last <= order.price) if order.side is Side.BUY else (high.last >= order.price):
            return False
    return True


def levels_of(state: VenueState, symbol: str) -> Levels | None:
    """The levels of an isolated position and of conditional orders; None where more than prices decides."""
    if state.orders.open(symbol):
        return None
    low: dict[bool, list[Decimal]] = {True: [], False: []}
    high: dict[bool, list[Decimal]] = {True: [], False: []}
    holding = state.holdings.get(symbol)
    if holding is not None and holding.quantity:
        level = state.liquidation_price(symbol)
        if not holding.isolated:
            return None  # depends on the prices of other symbols
        if level is not None:
            (low if holding.quantity > 0 else high)[True].append(level)
    for algo in state.algos.open(symbol):
        (high if algo.rising else low)[algo.working_type is WorkingType.MARK_PRICE].append(algo.trigger_price)
    return Levels(
        low_last=float(max(low[False])) if low[False] else None,
        high_last=float(min(high[False])) if high[False] else None,
        low_mark=float(max(low[True])) * (1 + _HAIR) if low[True] else None,
        high_mark=float(min(high[True])) * (1 - _HAIR) if high[True] else None,
    )


def reach(start: Decimal, end: Decimal, level: Decimal, rising: bool, since: Decimal) -> Decimal | None:
    """The first fraction of a straight line, not before ``since``, where the price is at the level or beyond it."""
    if end >= level if rising else end <= level:
        if start >= level if rising else start <= level:
            return since
        return max(since, (level - start) / (end - start))
    if start < level if rising else start > level:
        return None
    here = start + (end - start) * since
    return since if (here >= level if rising else here <= level) else None
