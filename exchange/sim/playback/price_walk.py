"""Plays one bar of several symbols through a venue, all on one clock, and counts the bars that cannot be decided.

A bar is *ambiguous* when a stop or target fired inside it while its counterpart also lay inside: which of the two
came first is not in the data, and the path decided it against us (R48).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exchange.sim.core.events import AlgoUpdated, Batch
from exchange.sim.core.motion import is_quiet
from exchange.sim.core.orders import AlgoState
from exchange.sim.core.venue import Venue
from exchange.sim.playback.candle_path import Bar, Mark, Stretch, Walk, whole
from exchange.types import AlgoStatus, WorkingType


class PriceWalk:
    """The walks of one bar. Backtest: ``open``, decide, ``run`` to the end. Server: ``run`` as far as its clock is.

    A full hour goes: settle funding (at the marks before it), ``open``, tell the closed candle, ``run``.

    ``marks`` are those of an earlier course over the same bars, to go on after a restart. ``ambiguous`` holds
    (symbol, open time of the candle) of every bar that could not be decided, and ``undecided`` (symbol, open time of
    the bar) of those that could not have been without the finer candles in it.
    """

    def __init__(self, venue: Venue, bars: Mapping[str, Bar], marks: Mapping[str, Mark] | None = None) -> None:
        self._venue = venue
        self._walks: dict[str, Walk] = {}
        self.ambiguous: set[tuple[str, int]] = set()
        self.undecided: set[tuple[str, int]] = set()
        for symbol, bar in bars.items():
            self.add(symbol, bar, None if marks is None else marks.get(symbol))

    def add(self, symbol: str, bar: Bar, mark: Mark | None = None) -> None:
        """One more symbol; it joins at the next ``open`` (a bar that is under way has none)."""
        venue = self._venue
        self._walks[symbol] = Walk(bar, lambda: venue.bias(symbol), mark)

    @property
    def marks(self) -> dict[str, Mark]:
        return {symbol: walk.mark for symbol, walk in self._walks.items()}

    def open(self) -> Iterator[Batch]:
        """Prices jump to the opens of the walks that have not begun: triggers by a gap fire before any decision."""
        new = {symbol: walk for symbol, walk in self._walks.items() if walk.mark == Mark()}
        corners = {symbol: corner for symbol, walk in new.items() if (corner := walk.peek()) is not None}
        for walk in new.values():
            walk.step()
        if corners:
            at_ms = max(self._venue.now_ms, *(corner.at_ms for corner in corners.values()))
            self._under_way()
            yield from self._venue.jump(at_ms, {symbol: corner.quote for symbol, corner in corners.items()})

    def run(self, until_ms: int) -> Iterator[Batch]:
        """Walk on until then, or until the bars end; a batch of events at every stop, as from ``Venue.advance``."""
        self._skip(until_ms)
        while self._venue.now_ms < until_ms:
            corners = {symbol: corner for symbol, walk in self._walks.items() if (corner := walk.peek()) is not None}
            self._under_way()
            at_ms = max(self._venue.now_ms, min((until_ms, *(corner.at_ms for corner in corners.values()))))
            straight = {
                symbol: corner.quote if corner.at_ms <= at_ms else self._walks[symbol].quote_at(at_ms)
                for symbol, corner in corners.items()
                if not corner.jump
            }
            for batch in self._venue.advance(at_ms, straight):
                self._notice(batch)
                yield batch
            jumps = {
                symbol: corner.quote for symbol, corner in corners.items() if corner.jump and corner.at_ms <= at_ms
            }
            if jumps:
                for batch in self._venue.jump(at_ms, jumps):
                    self._notice(batch, at_open=True)
                    yield batch
            for symbol, corner in corners.items():
                if corner.at_ms <= at_ms:
                    self._walks[symbol].step()

    def _under_way(self) -> None:
        """The exchange knows how far the candle under way goes: a stop that triggers in it fills accordingly."""
        for symbol, walk in self._walks.items():
            if (stretch := walk.stretch) is not None:
                self._venue.state.candles[symbol] = stretch

    def _skip(self, until_ms: int) -> None:
        """Go straight to the end where nothing can happen on any path: the same result for a part of the work."""
        state = self._venue.state
        end_ms = max((walk.end.at_ms for walk in self._walks.values()), default=until_ms)
        if until_ms < end_ms or not self._walks.keys() >= set(state.orders.open_symbols()):
            return
        for symbol, walk in self._walks.items():
            ahead = walk.range_ahead()
            if ahead is None or walk.end.at_ms != end_ms or not is_quiet(state, symbol, *ahead, end_ms):
                return
        for _ in self._venue.advance(end_ms, {symbol: walk.end.quote for symbol, walk in self._walks.items()}):
            raise AssertionError("something happened where nothing could")
        for walk in self._walks.values():
            walk.finish()

    def _notice(self, batch: Batch, *, at_open: bool = False) -> None:
        """``at_open``: a finer candle began beyond the trigger, so what came first is known."""
        algos = [event.algo for event in batch if isinstance(event, AlgoUpdated)]
        for fired in algos:
            if fired.status is not AlgoStatus.TRIGGERING:
                continue
            walk = self._walks[fired.symbol]
            now, bar = walk.stretch, whole(walk.bar)
            expired = [algo for algo in algos if algo.status is AlgoStatus.EXPIRED and algo.symbol == fired.symbol]
            for other in (*expired, *self._venue.state.algos.open(fired.symbol)):
                if not _are_counterparts(fired, other):
                    continue
                if now is not None and not at_open and _holds(now, other):
                    self.ambiguous.add((fired.symbol, now.open_ms))
                if _holds(bar, other):
                    self.undecided.add((fired.symbol, bar.open_ms))


def _holds(candle: Stretch, other: AlgoState) -> bool:
    prices = candle.mark if other.working_type is WorkingType.MARK_PRICE else candle.last
    return prices.low <= other.trigger_price <= prices.high


def _are_counterparts(one: AlgoState, other: AlgoState) -> bool:
    return one.side is other.side and one.type is not other.type
