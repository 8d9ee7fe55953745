"""Walks the bars in which something may happen, all symbols on one clock, hitting levels in their true order.

The paths, the lines between their corners and the order of what is hit are those of the simulated exchange
(exchange/sim/playback, exchange/sim/core/motion.py); the orders are those of open trades alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from exchange.sim.core.motion import reach
from exchange.sim.playback.candle_path import Bar, Bias, Mark, Quote, Stretch, Walk, between, hold_ms, whole
from fsm.search.open_trade import OpenTrade
from fsm.search.seat import Seat
from fsm.search.terms import ZERO, Beyond

_ONE = Decimal(1)
LIQUIDATION, STOP, LIMIT, TARGET = 1, 2, 3, 4
_HITS_MAX = 10_000


class Hit(NamedTuple):
    """Something that happens on the way; tuples sort by when, what, where and age."""

    fraction: Decimal
    rank: int
    place: int
    age: int


Struck = Callable[[Seat, int, int, int], None]
"""Told of (seat, rank, which target, the time) once prices are there."""


class Place(NamedTuple):
    """Where a symbol's walk is when something happens: the candle under way, its bar, and whether prices jumped."""

    stretch: Stretch | None
    bar: Bar
    jumped: bool


class Walking:
    """Of one variant. ``strike`` carries out what is hit; ``places`` say where each walk was at that moment."""

    def __init__(self, strike: Struck) -> None:
        self._strike = strike
        self.places: dict[str, Place] = {}

    def open(self, quotes: Mapping[Seat, Quote], bars: Mapping[Seat, Bar], now_ms: int) -> None:
        """Prices jump to where the bars begin."""
        self.places = {}
        for seat, bar in bars.items():
            seat.candle = bar[0]
        for seat, quote in quotes.items():
            seat.quote = quote
        self._leg({seat: (quote, quote) for seat, quote in quotes.items()}, now_ms, now_ms)

    def run(self, bars: Mapping[Seat, Bar], from_ms: int, until_ms: int) -> None:
        """From the open of the bars to their end."""
        walks = {seat: Walk(bar, seat.bias, Mark(corner=1)) for seat, bar in bars.items()}
        now_ms = from_ms
        while now_ms < until_ms:
            corners = {seat: corner for seat, walk in walks.items() if (corner := walk.peek()) is not None}
            if not corners:
                return  # nothing moves any more
            for seat, walk in walks.items():
                if walk.stretch is not None:
                    seat.candle = walk.stretch
            at_ms = max(now_ms, min((until_ms, *(corner.at_ms for corner in corners.values()))))
            lines = {
                seat: (seat.now, corner.quote if corner.at_ms <= at_ms else walks[seat].quote_at(at_ms))
                for seat, corner in corners.items()
                if not corner.jump
            }
            self._at(walks, jumped=False)
            self._leg(lines, now_ms, at_ms)
            now_ms = at_ms
            jumps = {seat: corner.quote for seat, corner in corners.items() if corner.jump and corner.at_ms <= at_ms}
            if jumps:
                self._at(walks, jumped=True)
                for seat, quote in jumps.items():
                    seat.quote = quote
                self._leg({seat: (quote, quote) for seat, quote in jumps.items()}, now_ms, now_ms)
            for seat, corner in corners.items():
                if corner.at_ms <= at_ms:
                    walks[seat].step()

    def run_alone(self, seat: Seat, candle: Stretch) -> None:
        """The same for one symbol, through a bar that is one candle."""
        seat.candle = candle
        self.places = {seat.symbol: Place(candle, (candle,), False)}
        last_ms = candle.end_ms - 1
        fork_ms = candle.open_ms + hold_ms((candle,))
        at_ms, low, high = fork_ms, Quote(candle.last.low, candle.mark.low), Quote(candle.last.high, candle.mark.high)
        self._line(seat, seat.now, candle.open_ms, fork_ms)
        extremes = (low, high) if seat.bias() is Bias.LOW_FIRST else (high, low)
        close = Quote(candle.last.close, candle.mark.close)
        third = (last_ms - fork_ms) // 3
        for place, quote in enumerate((*extremes, close), 1):
            until_ms = last_ms if place == 3 else fork_ms + place * third
            self._line(seat, quote, at_ms, until_ms)
            at_ms = until_ms

    def _line(self, seat: Seat, end: Quote, start_ms: int, end_ms: int) -> None:
        if seat.trade is None or not seat.may_hit(seat.now, end):
            seat.quote = end
        else:
            self._leg({seat: (seat.now, end)}, start_ms, end_ms)

    def _at(self, walks: Mapping[Seat, Walk], *, jumped: bool) -> None:
        self.places = {seat.symbol: Place(walk.stretch, walk.bar, jumped) for seat, walk in walks.items()}

    def _leg(self, lines: Mapping[Seat, tuple[Quote, Quote]], start_ms: int, end_ms: int) -> None:
        """Prices go in a straight line between the two."""
        at = ZERO
        for _ in range(_HITS_MAX):
            hit, seat = self._first(lines, at)
            if hit is None or seat is None:
                break
            at = hit.fraction
            for each, (start, end) in lines.items():
                each.quote = between(start, end, at)
            self._strike(seat, hit.rank, hit.age, start_ms + round((end_ms - start_ms) * at))
        else:
            raise Beyond("a walk that does not end")
        for each, (_, end) in lines.items():
            each.quote = end

    def _first(self, lines: Mapping[Seat, tuple[Quote, Quote]], at: Decimal) -> tuple[Hit | None, Seat | None]:
        found: Hit | None = None
        where: Seat | None = None
        for place, (seat, (start, end)) in enumerate(lines.items()):
            if seat.trade is None:
                continue
            for hit in _hits(place, seat, seat.trade, start, end, at):
                if found is None or hit < found:
                    found, where = hit, seat
        return found, where


def _hits(place: int, seat: Seat, trade: OpenTrade, start: Quote, end: Quote, at: Decimal) -> Iterator[Hit]:
    if not trade.held:
        if trade.limit is not None:
            fraction = reach(start.last, end.last, trade.limit, trade.sign < 0, at)
            if fraction is not None and fraction <= _ONE:
                yield Hit(fraction, LIMIT, place, 0)
        return
    if trade.liquidation is not None:
        fraction = reach(start.mark, end.mark, trade.liquidation, trade.sign < 0, at)
        if fraction is not None:
            yield Hit(fraction, LIQUIDATION, place, 0)
    one, other = (start.mark, end.mark) if seat.terms.by_mark else (start.last, end.last)
    fraction = reach(one, other, trade.stop, trade.sign < 0, at)
    if fraction is not None:
        yield Hit(fraction, STOP, place, 0)
    for number, target in enumerate(trade.targets):
        if target.is_open:
            fraction = reach(one, other, target.trigger, trade.sign > 0, at)
            if fraction is not None:
                yield Hit(fraction, TARGET, place, number)


def holds(seat: Seat, candle: Stretch, trigger: Decimal) -> bool:
    prices = candle.mark if seat.terms.by_mark else candle.last
    return prices.low <= trigger <= prices.high


def counterparts(trade: OpenTrade) -> list[Decimal]:
    """The triggers that its stop was in a race with."""
    return [target.trigger for target in trade.targets if target.is_open]


__all__ = ["LIMIT", "LIQUIDATION", "STOP", "TARGET", "Hit", "Place", "Walking", "counterparts", "holds", "whole"]
