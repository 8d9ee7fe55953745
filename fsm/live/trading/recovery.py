"""The one way to start: what was decided is read back, what was sent is found out, what is open is protected first."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.types import Unknown
from fsm.core.model.events import SetupEnded
from fsm.core.model.intents import Intent, PlaceEntry
from fsm.core.model.records import AccountRecord, State, SymbolRecord
from fsm.core.order_requests import place_entry
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.older_journal import OlderJournal
from fsm.live.trading.protection_timer import UNPROTECTED_STATES
from fsm.live.trading.reconcile import Reconciler
from fsm.live.trading.step_runner import no_price
from fsm.live.trading.symbol_worker import SymbolWorker
from store import queries
from store.database import Store
from store.outbox import Outbox
from store.views import IntentRow

log = structlog.get_logger("fsm.recovery")

PROTECTED_WAIT_S = 30.0
"""How long the start waits for open positions to be covered before it goes on with what matters less."""

COMPARE_WAIT_S = 3.0
"""How long the start tries to compare the journal with the exchange before it protects what is open as remembered."""

ASK_AGAIN_S = 1.0


def stored_records(store: Store) -> dict[str, SymbolRecord]:
    """Every symbol's record as it was journalled last."""
    return {row.symbol: msgspec.json.decode(row.record_json, type=SymbolRecord) for row in queries.symbols(store)}


def stored_account(store: Store) -> AccountRecord:
    """The account's record as it was journalled last (R36, R50)."""
    found = queries.account(store)
    return AccountRecord() if found is None else msgspec.json.decode(found.record_json, type=AccountRecord)


class Recovery:
    """Runs after the workers have started and before anything else does. Twice in a row is the same as once (R24)."""

    def __init__(
        self, live: LiveContext, workers: Mapping[str, SymbolWorker], reconciler: Reconciler, older: OlderJournal
    ) -> None:
        self._live = live
        self._older = older
        self._workers = workers
        self._reconciler = reconciler

    async def run(self) -> None:
        """Stops that are owed leave; is the journal whole; outbox, then the whole account, then wait until every open
        position is covered."""
        began_s = self._live.clock.monotonic()
        for worker in self._workers.values():
            if _is_owed(worker.record):
                worker.cover_first()
        is_compared = await self._compared(COMPARE_WAIT_S)
        self._resolve_outbox()
        for worker in self._workers.values():
            if worker.record.trade is not None or worker.record.abandoned is not None:
                worker.request_check()
        await self._whole_account()
        await self._until_covered()
        if not is_compared:
            await self._compared(None)
        took_ms = (self._live.clock.monotonic() - began_s) * 1000
        log.info("recovered", reason="START", took_ms=round(took_ms), open=self._live.engine.active())

    async def _compared(self, within_s: float | None) -> bool:
        """An exchange that does not answer must not keep what is open from its protection; entries wait for it."""
        clock = self._live.clock
        try:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        await self._older.compare()
                        return True
                    except ExchangeError as error:
                        self._live.on_trouble("", error)
                    await clock.sleep(ASK_AGAIN_S)
        except TimeoutError:
            log.warning("not_compared", reason="EXCHANGE")
            return False

    def _resolve_outbox(self) -> None:
        """Nothing is sent from the outbox: levels decide what is needed now. Entries are looked for, never repeated."""
        pending: defaultdict[str, list[IntentRow]] = defaultdict(list)
        for row in Outbox(self._live.journal.store).pending():
            pending[row.symbol].append(row)
        for symbol, worker in self._workers.items():
            self._resolve(worker, pending.pop(symbol, []))

    def _resolve(self, worker: SymbolWorker, rows: list[IntentRow]) -> None:
        record, at_ms = worker.record, self._live.clock.now_ms()
        searching = ""
        for row in rows:
            intent: Intent = msgspec.json.decode(row.payload_json, type=Intent)
            if isinstance(intent, PlaceEntry) and _awaits_entry(record, intent.request.client_id):
                searching = row.id
            else:
                self._live.journal.settle(row.id, intent, None, at_ms)
        if record.state is State.SIGNALLED:
            outcome = Unknown("the bot was started again")
            worker.handle(
                SetupEnded(symbol=worker.symbol, at_ms=at_ms, outcome=outcome, prices=no_price(worker.symbol))
            )
        elif record.trade is not None and _awaits_entry(record, record.trade.entry.client_id):
            worker.search(searching, place_entry(record.trade))
        elif _is_owed(record):
            worker.cover()

    async def _whole_account(self) -> None:
        while True:
            try:
                await self._reconciler.round()
                return
            except ExchangeError as error:
                self._live.on_trouble("", error)
                await self._live.clock.sleep(ASK_AGAIN_S)

    async def _until_covered(self) -> None:
        """What holds nothing is waited for by nobody: a setup that the last process did not end is dropped by now."""
        try:
            async with asyncio.timeout(PROTECTED_WAIT_S):
                for worker in [each for each in self._workers.values() if each.record.trade is not None]:
                    await worker.wait_protected()
        except TimeoutError:
            log.error("recovery_unsettled", reason="NOT_COVERED", open=self._live.engine.active())


def _awaits_entry(record: SymbolRecord, client_id: str) -> bool:
    trade = record.trade
    waiting = record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None
    return waiting and trade is not None and trade.entry.client_id == client_id


def _is_owed(record: SymbolRecord) -> bool:
    """A position is known to be open, and nobody has seen its stop."""
    trade = record.trade
    return trade is not None and trade.uncovered_ms is not None and record.state in UNPROTECTED_STATES
