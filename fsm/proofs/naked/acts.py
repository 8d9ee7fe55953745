"""What another hand, or the exchange itself, does to a position that is open."""

from __future__ import annotations

from decimal import Decimal

from exchange.sim.server.emulator import Emulator
from exchange.types import ConditionalType, OrderRequest, OrderType, Side


class Acts:
    """Everything is told on the stream as the exchange tells it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._made = 0

    def cancel_stop(self, symbol: str) -> None:
        venue = self._emulator.venue
        for algo in self._emulator.state.algos.open(symbol):
            if algo.type is ConditionalType.STOP_MARKET:
                number = algo.algo_id
                self._emulator.write(lambda number=number: venue.cancel_algo(algo_id=number))  # type: ignore[misc]

    def close(self, symbol: str) -> None:
        self._against(symbol, Decimal(1), reduce_only=True)

    def flip(self, symbol: str) -> None:
        self._against(symbol, Decimal(2))

    def add(self, symbol: str) -> None:
        self._against(symbol, Decimal("-0.5"))

    def _against(self, symbol: str, times: Decimal, *, reduce_only: bool = False) -> None:
        """A MARKET order of so many times the position, against it."""
        held = self._emulator.state.holding(symbol).quantity
        if held == 0:
            return
        signed = -held * times
        filters = self._emulator.state.filters[symbol]
        self._made += 1
        request = OrderRequest(
            symbol=symbol,
            side=Side.BUY if signed > 0 else Side.SELL,
            type=OrderType.MARKET,
            quantity=filters.floor_quantity(abs(signed), market=True),
            client_id=f"hand-{self._made}",
            reduce_only=reduce_only,
        )
        self._emulator.write(lambda: self._emulator.venue.place_order(request))
