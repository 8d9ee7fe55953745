"""Orders of ours that are placed to be cancelled at once: looks leave them to whoever places them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from msgspec.structs import replace

from exchange.types import SymbolSnapshot
from fsm.live.context.clock import Clock

REMEMBERED_MAX = 100
"""Of those that ended: a look that began before may still show them, and no look takes as long as a hundred of them."""


class OnTrial:
    """One for all symbols. What still rests once its block has ended is swept like any other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended_s: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def placing(self) -> Iterator[Callable[[str], None]]:
        """Give it each client id before that leaves."""
        ids: list[str] = []

        def add(client_id: str) -> None:
            ids.append(client_id)
            self._ended_s[client_id] = inf

        try:
            yield add
        finally:
            self._ended_s |= dict.fromkeys(ids, self._clock.monotonic())
            while len(self._ended_s) > REMEMBERED_MAX:
                self._ended_s.popitem(last=False)

    def left_out(self, snapshot: SymbolSnapshot, since_s: float) -> SymbolSnapshot:
        """What a look that began then has shown, without those that were under way."""
        others = tuple(algo for algo in snapshot.algo_orders if self._ended_s.get(algo.client_id, -inf) < since_s)
        return snapshot if len(others) == len(snapshot.algo_orders) else replace(snapshot, algo_orders=others)
