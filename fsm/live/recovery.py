"""The one way to start: what was decided is read back, what was sent is found out, what is open is protected first."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.types import Unknown
from fsm.core.events import SetupEnded
from fsm.core.intents import Intent, PlaceEntry
from fsm.core.legs import place_entry
from fsm.core.records import AccountRecord, State, SymbolRecord
from fsm.live.carrying import no_price
from fsm.live.lane import Lane
from fsm.live.older_journal import OlderJournal
from fsm.live.reconcile import Reconciler
from fsm.live.shared import Shared
from fsm.live.watch import UNPROTECTED_STATES
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
    """Runs after the lanes have started and before anything else does. Twice in a row is the same as once (R24)."""

    def __init__(self, shared: Shared, lanes: Mapping[str, Lane], reconciler: Reconciler, older: OlderJournal) -> None:
        self._shared = shared
        self._older = older
        self._lanes = lanes
        self._reconciler = reconciler

    async def run(self) -> None:
        """Stops that are owed leave; is the journal whole; outbox, then the whole account, then wait until every open
        position is covered."""
        began_s = self._shared.clock.monotonic()
        for lane in self._lanes.values():
            if _is_owed(lane.record):
                lane.cover_first()
        is_compared = await self._compared(COMPARE_WAIT_S)
        self._resolve_outbox()
        for lane in self._lanes.values():
            if lane.record.trade is not None or lane.record.abandoned is not None:
                lane.nudge()
        await self._whole_account()
        await self._until_covered()
        if not is_compared:
            await self._compared(None)
        took_ms = (self._shared.clock.monotonic() - began_s) * 1000
        log.info("recovered", reason="START", took_ms=round(took_ms), open=self._shared.engine.active())

    async def _compared(self, within_s: float | None) -> bool:
        """An exchange that does not answer must not keep what is open from its protection; entries wait for it."""
        clock = self._shared.clock
        try:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        await self._older.compare()
                        return True
                    except ExchangeError as error:
                        self._shared.on_trouble("", error)
                    await clock.sleep(ASK_AGAIN_S)
        except TimeoutError:
            log.warning("not_compared", reason="EXCHANGE")
            return False

    def _resolve_outbox(self) -> None:
        """Nothing is sent from the outbox: levels decide what is needed now. Entries are looked for, never repeated."""
        pending: defaultdict[str, list[IntentRow]] = defaultdict(list)
        for row in Outbox(self._shared.books.store).pending():
            pending[row.symbol].append(row)
        for symbol, lane in self._lanes.items():
            self._resolve(lane, pending.pop(symbol, []))

    def _resolve(self, lane: Lane, rows: list[IntentRow]) -> None:
        record, at_ms = lane.record, self._shared.clock.now_ms()
        searching = ""
        for row in rows:
            intent: Intent = msgspec.json.decode(row.payload_json, type=Intent)
            if isinstance(intent, PlaceEntry) and _awaits_entry(record, intent.request.client_id):
                searching = row.id
            else:
                self._shared.books.settle(row.id, intent, None, at_ms)
        if record.state is State.SIGNALLED:
            outcome = Unknown("the bot was started again")
            lane.tell(SetupEnded(symbol=lane.symbol, at_ms=at_ms, outcome=outcome, prices=no_price(lane.symbol)))
        elif record.trade is not None and _awaits_entry(record, record.trade.entry.client_id):
            lane.search(searching, place_entry(record.trade))
        elif _is_owed(record):
            lane.cover()

    async def _whole_account(self) -> None:
        while True:
            try:
                await self._reconciler.round()
                return
            except ExchangeError as error:
                self._shared.on_trouble("", error)
                await self._shared.clock.sleep(ASK_AGAIN_S)

    async def _until_covered(self) -> None:
        """What holds nothing is waited for by nobody: a setup that the last process did not end is dropped by now."""
        try:
            async with asyncio.timeout(PROTECTED_WAIT_S):
                for lane in [each for each in self._lanes.values() if each.record.trade is not None]:
                    await lane.covered()
        except TimeoutError:
            log.error("recovery_unsettled", reason="NOT_COVERED", open=self._shared.engine.active())


def _awaits_entry(record: SymbolRecord, client_id: str) -> bool:
    trade = record.trade
    waiting = record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None
    return waiting and trade is not None and trade.entry.client_id == client_id


def _is_owed(record: SymbolRecord) -> bool:
    """A position is known to be open, and nobody has seen its stop."""
    trade = record.trade
    return trade is not None and trade.uncovered_ms is not None and record.state in UNPROTECTED_STATES
