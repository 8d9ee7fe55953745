"""Which filters an order may obey: those of the exchange, or those that the bot was told last and knows no better."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from exchange.filters import SymbolFilters
from exchange.sim.core.state import VenueState

UNDER_WAY_S = 10.0
"""An order that was decided before new filters were told may leave so long after them: its stop has a deadline."""

KEPT = 8


class KnownRules:
    """``told`` is what the exchange answered to the bot; a new process begins with what its journal has."""

    def __init__(self, state: VenueState, monotonic: Callable[[], float]) -> None:
        self._state = state
        self._monotonic = monotonic
        self._told: dict[str, deque[tuple[float, SymbolFilters]]] = {
            symbol: deque([(0.0, filters)], maxlen=KEPT) for symbol, filters in state.filters.items()
        }

    def told(self, answer: Mapping[str, SymbolFilters]) -> None:
        for symbol, filters in answer.items():
            known = self._told[symbol]
            if known[-1][1] != filters:
                known.append((self._monotonic(), filters))

    def of(self, symbol: str) -> list[SymbolFilters]:
        known, now_s = list(self._told[symbol]), self._monotonic()
        superseded_s = [at_s for at_s, _ in known[1:]] + [float("inf")]
        told = [
            filters for (_, filters), until_s in zip(known, superseded_s, strict=True) if until_s + UNDER_WAY_S > now_s
        ]
        return [self._state.filters[symbol], *told]
