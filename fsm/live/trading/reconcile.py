"""Compares the whole account with what is remembered: every minute both order families and positions of all symbols.

A symbol where we hold something is looked at by its own lane every few seconds; this is for everything else: orphans,
positions nobody remembers, and orders that carry our name but are not of this database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from exchange.client_ids import parse
from exchange.errors import ExchangeError
from exchange.types import AlgoOrder, Order, Position
from fsm.core.model.records import Flag, HaltCause, State
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.news import copy_news, not_ours_news
from fsm.live.trading.symbol_worker import SymbolWorker
from store.errors import JournalGone

log = structlog.get_logger("fsm.reconcile")

OnAnomaly = Callable[[str, str, str], None]
"""Told of (symbol, reason, sentence)."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one round saw, and what it made of each: the parts add up to the whole (R27)."""

    positions: int
    orders: int
    remembered: int
    looked_at: int
    not_ours: int


class Reconciler:
    """Reads the lists, wakes the workers that should look, and remarks upon what is nobody's here."""

    def __init__(self, live: LiveContext, workers: Mapping[str, SymbolWorker], on_anomaly: OnAnomaly) -> None:
        self._live = live
        self._workers = workers
        self._on_anomaly = on_anomaly
        self._known_foreign: frozenset[str] = frozenset()
        self._newer_copy: str | None = None
        self.held: frozenset[str] = frozenset()
        """Symbols in which the last round showed a position, whoever it belongs to."""

    async def run(self) -> None:
        """A round every ``lists_interval_ms``."""
        while True:
            await self._live.clock.sleep(self._live.active.settings.loops.lists_interval_ms / 1000)
            try:
                await self.round()
            except ExchangeError as error:
                self._live.on_trouble("", error)

    def yield_to_newer_copy(self) -> None:
        """Of two bots on copies of one database, the one that was started last manages, and is halted, as it knew of
        the other's orders. The other one ends: raises JournalGone once it has seen newer ids (R78, R23)."""
        if self._newer_copy is not None:
            raise JournalGone(
                f"{self._newer_copy} was placed by a bot that was started later on a copy of this database: it "
                "manages the account now, so this one ends",
                "run one of the two, on one database: docs/restoring.md",
            )

    def seen_newer_copy(self, client_id: str) -> None:
        """An order of a bot that was started later on a copy of this database."""
        self._newer_copy = client_id

    async def round(self) -> Counted:
        """One look at the whole account."""
        exchange = self._live.exchange
        orders, algos = await asyncio.gather(exchange.open_orders(), exchange.open_algos())
        positions = [position for position in await exchange.positions() if position.quantity != 0]
        counted = self._compare(positions, orders, algos)
        self._strangers([*orders, *algos])
        return counted

    def _compare(self, positions: list[Position], orders: list[Order], algos: list[AlgoOrder]) -> Counted:
        """Each position and order is either remembered, or looked at closely, or of a symbol that is not ours."""
        remembered = looked_at = not_ours = 0
        held = {position.symbol: position for position in positions}
        self.held = frozenset(held)
        strange: set[str] = set()
        for symbol in [*(p.symbol for p in positions), *(o.symbol for o in orders), *(a.symbol for a in algos)]:
            worker = self._workers.get(symbol)
            if worker is None:
                not_ours += 1
                strange.add(symbol)
            elif worker.record.trade is not None and worker.record.state is not State.SIGNALLED:
                remembered += 1
            else:
                looked_at += 1
                worker.request_check()
        self._forgotten(positions)
        for symbol in sorted(strange - self._known_foreign):
            self._on_anomaly(symbol, "NOT_OURS", not_ours_news(symbol, held.get(symbol)))
        self._known_foreign = frozenset(strange)
        return Counted(
            positions=len(positions),
            orders=len(orders) + len(algos),
            remembered=remembered,
            looked_at=looked_at,
            not_ours=not_ours,
        )

    def _forgotten(self, positions: list[Position]) -> None:
        """Positions that we remember, ours or somebody else's, and the list does not show."""
        shown = {position.symbol for position in positions}
        for symbol, worker in self._workers.items():
            trade, foreign = worker.record.trade, worker.record.foreign
            is_open = foreign is not None or (trade is not None and trade.open_quantity > 0)
            if is_open and symbol not in shown:
                worker.request_check()

    def _strangers(self, orders: list[Order | AlgoOrder]) -> None:
        """Our name with another database's number, or a trade that we never had: a second copy is trading (R23)."""
        engine, active = self._live.engine, self._live.active
        for order in orders:
            parts = parse(order.client_id)
            if parts is None:
                continue
            worker = self._workers.get(order.symbol)
            known = parts.database_id == active.database_id
            if known and parts.epoch > engine.account.epoch:
                self.seen_newer_copy(order.client_id)
            if known and (worker is None or parts.trade_number <= worker.record.trades_opened):
                continue
            if engine.account.halt is not None:
                continue
            at_ms = self._live.clock.now_ms()
            halt = Flag(HaltCause.FOREIGN.value, at_ms)
            engine.set_account(at_ms, "FOREIGN_COPY", paused=engine.account.paused, halt=halt)
            log.error("second_copy", symbol=order.symbol, reason="FOREIGN", client_id=order.client_id)
            sentence = copy_news(order.symbol, order.client_id)
            self._on_anomaly(order.symbol, "FOREIGN_COPY", sentence)
