"""Records how long positions were without a stop, at the exchange itself: from the fill to a live stop that covers it.

Nobody tells it what a bot knows, wants or is about to do. Time is the caller's (seconds that never go back), because
the market's own may stand still or jump while a bot works.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.sim.core.events import AccountUpdated, AlgoUpdated, OrderUpdated, VenueEvent
from exchange.sim.core.state import VenueState
from exchange.types import ConditionalType

ZERO = Decimal(0)


class Cause(StrEnum):
    """How a position came to be without a stop."""

    FILLED = "FILLED"  # it was opened
    GREW = "GREW"  # it became larger than its stop
    FLIPPED = "FLIPPED"  # it turned round, so that its stop is on the wrong side
    STOP_GONE = "STOP_GONE"  # its stop vanished, was cancelled, or failed at its trigger


class Ending(StrEnum):
    """How that ended."""

    PROTECTED = "PROTECTED"
    CLOSED = "CLOSED"


class Naked(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch without a stop. ``until_s`` and ``ending`` None: it lasts."""

    symbol: str
    cause: Cause
    from_ms: int
    from_s: float
    until_s: float | None = None
    ending: Ending | None = None

    def naked_ms(self, now_s: float = 0.0) -> float:
        """Real milliseconds so far, or in all."""
        return ((now_s if self.until_s is None else self.until_s) - self.from_s) * 1000


class Nakedness:
    """Everything that happens to the account passes here; ``ended`` are the stretches that took any time."""

    def __init__(
        self,
        state: VenueState,
        monotonic: Callable[[], float],
    ) -> None:
        """``observers`` hear of the beginning and of the end of each stretch."""
        self._state = state
        self._monotonic = monotonic
        self.observers: list[Callable[[Naked], None]] = []
        self._before: dict[str, tuple[Decimal, bool]] = {}
        self.lasting: dict[str, Naked] = {}
        self.ended: list[Naked] = []
        state.witnesses.append(self.heard)

    def heard(self, event: VenueEvent) -> None:
        if isinstance(event, AlgoUpdated):
            self._look(event.algo.symbol)
        elif isinstance(event, OrderUpdated):
            if event.fill is not None:
                self._look(event.order.symbol)
        elif isinstance(event, AccountUpdated):
            for view in event.positions:
                self._look(view.holding.symbol)

    def is_covered(self, symbol: str) -> bool:
        """A live stop of the closing side would close the whole position, or there is none."""
        held = self._state.holdings.get(symbol)
        quantity = ZERO if held is None else held.quantity
        return quantity == 0 or any(
            algo.type is ConditionalType.STOP_MARKET
            and algo.side.sign * quantity < 0
            and (algo.close_position or (algo.quantity or ZERO) >= abs(quantity))
            for algo in self._state.algos.open(symbol)
        )

    def _look(self, symbol: str) -> None:
        held = self._state.holdings.get(symbol)
        quantity, covered = ZERO if held is None else held.quantity, self.is_covered(symbol)
        before, self._before[symbol] = self._before.get(symbol, (ZERO, True)), (quantity, covered)
        naked = self.lasting.get(symbol)
        if covered and naked is not None:
            del self.lasting[symbol]
            self._end(naked, Ending.CLOSED if quantity == 0 else Ending.PROTECTED)
        elif not covered and naked is None:
            cause = _cause(before[0], quantity)
            naked = Naked(symbol=symbol, cause=cause, from_ms=self._state.now_ms, from_s=self._monotonic())
            self.lasting[symbol] = naked
            self._tell(naked)

    def _end(self, naked: Naked, ending: Ending) -> None:
        ended = msgspec.structs.replace(naked, until_s=self._monotonic(), ending=ending)
        if ended.naked_ms() > 0:
            self.ended.append(ended)
        self._tell(ended)

    def _tell(self, naked: Naked) -> None:
        for observer in self.observers:
            observer(naked)


def _cause(before: Decimal, after: Decimal) -> Cause:
    if before == 0:
        return Cause.FILLED
    if before * after < 0:
        return Cause.FLIPPED
    return Cause.GREW if abs(after) > abs(before) else Cause.STOP_GONE
