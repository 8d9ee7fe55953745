"""The symbols of this run: the worker and the market of each, and how one more joins them."""

from __future__ import annotations

from fsm.core.model.records import SymbolRecord
from fsm.live.context.live_context import LiveContext
from fsm.live.process.supervisor import Supervisor
from fsm.live.trading.market import Market
from fsm.live.trading.others_candles import OthersCandles
from fsm.live.trading.recovery import stored_records
from fsm.live.trading.symbol_worker import SymbolWorker


class Roster:
    """``workers`` only grows: a symbol that is no longer traded may still have orders that somebody must look at.
    ``markets`` are those that decide at the next close."""

    def __init__(self, live: LiveContext, supervisor: Supervisor) -> None:
        self._live = live
        self._supervisor = supervisor
        self._others = OthersCandles(live.clock.now_ms, live.on_trouble)
        records = live.engine.machines.records()
        self.workers = {record.symbol: SymbolWorker(record.symbol, live) for record in records}
        self.markets = {symbol: self.market(symbol) for symbol in self.workers}

    def begin(self) -> None:
        """Every worker goes to work."""
        for worker in self.workers.values():
            self._supervisor.begin_worker(worker.run, worker.symbol)

    def market(self, symbol: str) -> Market:
        """Without candles; it is not among ``markets`` yet."""
        active = self._live.active
        return Market(
            symbol,
            self._live.rules_of(symbol),
            others=self._others,
            candles_min=active.settings.market_data.candles_min,
            history_candles=active.settings.market_data.history_candles,
        )

    def take_on(self, symbol: str) -> None:
        """One more worker, at the point where an earlier run on this database left the symbol."""
        known = stored_records(self._live.journal.store).get(symbol)
        self._live.engine.add(known or SymbolRecord(symbol=symbol))
        self.workers[symbol] = worker = SymbolWorker(symbol, self._live)
        self._supervisor.begin_worker(worker.run, symbol)

    def is_needed(self, symbol: str) -> bool:
        """Whether it is decided on: it is on the list, or holds something of ours that is managed to its end."""
        active, worker = self._live.active, self.workers.get(symbol)
        if active.listed is None or symbol in active.listed:
            return True
        return worker is not None and (worker.record.trade is not None or worker.record.abandoned is not None)

    def let_go(self) -> None:
        """Symbols that are off the list and hold nothing decide no more."""
        for symbol in [name for name in self.markets if not self.is_needed(name)]:
            del self.markets[symbol]
