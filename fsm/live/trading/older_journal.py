"""Finds out, before anything is decided at a start, whether the exchange knows more of our orders than the journal.

That is so after a backup was put back, a -wal was lost, or another bot has run on a copy of the database. Then nothing
is entered until the operator says so, a new epoch of client ids begins, and every symbol is told what happened to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import msgspec
import structlog

from exchange.client_ids import next_epoch, parse
from exchange.errors import Refusal
from exchange.types import AlgoOrder, Fill, Income, IncomeKind, Order, SymbolSnapshot
from fsm.core.model.events import JournalFoundOld
from fsm.live.context.live_context import LiveContext
from fsm.live.preflight.ownership import knows_our_orders
from fsm.live.trading.lost_trades import Evidence, LostTrade, is_order_of_trades, remembered_ids, trade_number
from fsm.live.trading.symbol_worker import SymbolWorker
from store import queries

log = structlog.get_logger("fsm.older_journal")

Say = Callable[[str, str, str], None]
"""Told of (symbol, reason, sentence)."""

CLOCKS_MS = 600_000
"""How far the exchange's stamps may lie before ours."""

BEGUN, DONE = "RESTORING", "RESTORED"
FILL_TYPES: tuple[str, ...] = (IncomeKind.REALIZED_PNL, IncomeKind.COMMISSION)


class _Begun(msgspec.Struct, frozen=True):
    since_ms: int


class _Done(msgspec.Struct, frozen=True):
    orders: tuple[str, ...] = ()


class OlderJournal:
    """``until_ms`` is when this journal was last at work before this start."""

    def __init__(
        self, live: LiveContext, workers: Mapping[str, SymbolWorker], say: Say, *, until_ms: int | None
    ) -> None:
        self._live = live
        self._workers = workers
        self._say = say
        self._database_id = live.active.database_id
        self._store = live.journal.store
        self._until_ms = until_ms
        self.found_old = False

    async def compare(self) -> None:
        """Raises ExchangeError, and nothing has changed; harmless when called again."""
        since_ms = self._since_ms()
        if since_ms is None:
            return
        exchange = self._live.exchange
        if not await self._is_same_exchange():
            self._begin_anew()
            return
        orders, algos = await asyncio.gather(exchange.open_orders(), exchange.open_algos())
        income = await exchange.income(start_ms=since_ms)
        symbols = self._symbols([*orders, *algos], income)
        found = await asyncio.gather(*(self._evidence(symbol, since_ms, algos) for symbol in symbols))
        if any(evidence.unknown for evidence in found):
            self._follow(since_ms, found, income)

    # --- what there is ------------------------------------------------------------------------
    def _since_ms(self) -> int | None:
        """From when on orders are looked for: a little before the journal's end, and before every open trade began. A
        start that was broken off looks as far back as it did."""
        begun = next(iter(queries.system_events(self._store, kind=BEGUN, limit=1)), None)
        done = next(iter(queries.system_events(self._store, kind=DONE, limit=1)), None)
        times = [] if self._until_ms is None else [self._until_ms]
        if begun is not None and begun.id is not None and (done is None or (done.id or 0) < begun.id):
            times.append(msgspec.json.decode(begun.facts_json, type=_Begun).since_ms)
        trades = (worker.record.trade for worker in self._workers.values())
        times += [trade.opened_ms for trade in trades if trade is not None]
        return min(times) - CLOCKS_MS if times else None

    def _symbols(self, resting: Iterable[Order | AlgoOrder], income: Iterable[Income]) -> list[str]:
        """Symbols that were ever traded here, and those in which something of ours rests or was executed."""
        found = {symbol for symbol, worker in self._workers.items() if worker.record.trades_opened > 0}
        found |= {each.symbol for each in resting if is_order_of_trades(each.client_id, self._database_id)}
        found |= {row.symbol for row in income if row.income_type in FILL_TYPES}
        return sorted(symbol for symbol in found if symbol in self._workers)

    async def _evidence(self, symbol: str, since_ms: int, algos: list[AlgoOrder]) -> Evidence:
        exchange, record = self._live.exchange, self._workers[symbol].record
        try:
            orders = await exchange.past_orders(symbol, start_ms=since_ms)
        except Refusal as refusal:  # a symbol that is listed no more must not keep the others from starting
            log.warning("orders_not_told", symbol=symbol, reason=str(refusal.code), error=str(refusal))
            orders = []
        own_algos = [algo for algo in algos if algo.symbol == symbol]
        names = [order.client_id for order in orders] + [algo.client_id for algo in own_algos]
        unrecorded = self._unrecorded(symbol, names)
        unknown = unrecorded - remembered_ids(record, self._live.engine.context(symbol))
        fills: list[Fill] = []
        if unknown:
            trade = record.trade
            counted = trade.last_fill_id if trade is not None else record.last_fill_id
            start_ms = since_ms if counted is None else None
            fills = await exchange.fills(symbol, after_fill_id=counted, start_ms=start_ms)
        return Evidence(
            record,
            database_id=self._database_id,
            orders=orders,
            algos=own_algos,
            fills=fills,
            unknown=unknown,
            unrecorded=unrecorded,
        )

    def _unrecorded(self, symbol: str, client_ids: Iterable[str]) -> set[str]:
        """Of these ids ours that no row of the journal has. Told at an earlier restoration is recorded too, but of a
        trade that was open then only once it was taken over: a copy from in between does not know how it ended."""
        ours = {client_id for client_id in client_ids if is_order_of_trades(client_id, self._database_id)}
        told = {
            client_id
            for row in queries.system_events(self._store, kind=DONE, limit=1_000)
            for client_id in msgspec.json.decode(row.facts_json, type=_Done).orders
        }
        opened = self._workers[symbol].record.trades_opened
        left = ours - queries.orders_known(self._store, ours)
        return {each for each in left if each not in told or trade_number(each) > opened}

    async def _is_same_exchange(self) -> bool:
        """Whether it knows what was filled lately: one that has begun anew under the same key does not (R75). It must
        deny both a fill and its orders, several times: answers lag, and answers fail."""
        newest = next(iter(queries.fills(self._store, limit=1)), None)
        clock, exchange = self._live.clock, self._live.exchange
        if newest is None or not LAG_MS <= abs(clock.now_ms() - newest.at_ms) <= REMEMBERED_MS:
            return True
        for _ in range(DENIALS):
            try:
                shown = await exchange.fills(newest.symbol, after_fill_id=newest.fill_id - 1)
                if any(fill.fill_id == newest.fill_id and fill.order_id == newest.order_id for fill in shown):
                    return True
                if await knows_our_orders(exchange, self._store):
                    return True
            except Refusal:
                return True
            await clock.sleep(ASK_AGAIN_S)
        return False

    # --- what follows -------------------------------------------------------------------------
    def _follow(self, since_ms: int, found: list[Evidence], income: list[Income]) -> None:
        """Entries stop and the epoch begins in one commit, before anything else. Lost trades are named before a record
        goes past them; the last row says that all is done. Broken off in between, the next start does it again."""
        unknown = sorted(client_id for evidence in found for client_id in evidence.unknown)
        epoch = self._begin(since_ms, unknown)
        at_ms, journal = self._live.clock.now_ms(), self._live.journal
        lost = [trade for evidence in found for trade in evidence.named()]
        for trade in lost:
            journal.note(at_ms, "LOST_TRADE", "OLDER_THAN_EXCHANGE", symbol=trade.symbol, trade=trade)
            log.warning("lost_trade", symbol=trade.symbol, reason="OLDER_THAN_EXCHANGE", trade=str(trade))
        told = {evidence.record.symbol: evidence for evidence in found}
        for symbol, worker in self._workers.items():
            rows = [row for row in income if row.symbol == symbol]
            evidence = told.get(symbol)
            worker.handle(_plain(worker, at_ms, epoch) if evidence is None else evidence.event(at_ms, epoch, rows))
        orders = sorted(client_id for evidence in found for client_id in evidence.unrecorded)
        journal.note(at_ms, DONE, "OLDER_THAN_EXCHANGE", epoch=epoch, orders=orders, trades=len(lost))
        self._say("", "OLDER_THAN_EXCHANGE", self._sentence(found, lost))

    def _begin(self, since_ms: int, unknown: Iterable[str]) -> str:
        engine, at_ms = self._live.engine, self._live.clock.now_ms()
        seen = (parts.epoch for parts in map(parse, unknown) if parts is not None)
        epoch = next_epoch(at_ms, max([engine.account.epoch, *seen]))
        self._live.journal.note(at_ms, BEGUN, "OLDER_THAN_EXCHANGE", since_ms=since_ms + CLOCKS_MS, epoch=epoch)
        engine.begin_epoch(at_ms, epoch)
        self.found_old = True
        log.error("journal_older", reason="OLDER_THAN_EXCHANGE", epoch=epoch, unknown=list(unknown)[:20])
        return epoch

    def _sentence(self, found: list[Evidence], lost: list[LostTrade]) -> str:
        orders = sum(len(evidence.unknown) for evidence in found)
        until = "at no time" if self._until_ms is None else datetime.fromtimestamp(self._until_ms / 1000, tz=UTC)
        named = "".join(f"; {trade}" for trade in lost[:TOLD_MAX])
        more = f"; and {len(lost) - TOLD_MAX} more in the log" if len(lost) > TOLD_MAX else ""
        return (
            f"This database is older than the exchange: it was last at work {until:%Y-%m-%d %H:%M:%S} UTC, and "
            f"{orders} later orders of ours are known there{named}{more}. No entries until you have read this and "
            "typed `resume` (docs/restoring.md)."
        )

    def _begin_anew(self) -> None:
        """Fill numbers begin anew as well, so what was counted up to means nothing; trades have nothing left there."""
        at_ms, journal = self._live.clock.now_ms(), self._live.journal
        epoch = self._begin(at_ms, ())
        for worker in self._workers.values():
            event = _plain(worker, at_ms, epoch)
            worker.handle(msgspec.structs.replace(event, last_fill_id=0, is_over=worker.record.trade is not None))
        journal.note(at_ms, DONE, "EXCHANGE_BEGAN_ANEW", epoch=epoch, orders=[], trades=0)
        sentence = (
            "The exchange knows no order of this database any more: it has begun anew (as the demo exchange does now "
            "and then), or the account is another one. What was open is booked as far as it is known. No entries until "
            "you have read this and typed `resume` (docs/restoring.md)."
        )
        self._say("", "EXCHANGE_BEGAN_ANEW", sentence)


LAG_MS = 60_000
DENIALS, ASK_AGAIN_S = 3, 0.5

TOLD_MAX = 10
"""Lost trades that the alert names; the journal and the log have all of them."""

REMEMBERED_MS = 80 * 86_400_000
"""An order that was filled is known for 90 days (GET /fapi/v1/order, checked 2026-11)."""


def _plain(worker: SymbolWorker, at_ms: int, epoch: str) -> JournalFoundOld:
    """For a symbol of which nothing newer is known: only its ids change."""
    nothing = SymbolSnapshot(symbol=worker.symbol, at_ms=at_ms, position=None, orders=(), algo_orders=(), fills=())
    return JournalFoundOld(
        symbol=worker.symbol, at_ms=at_ms, epoch=epoch, newest=worker.record.trades_opened, snapshot=nothing
    )
