"""Tells bots on copies of this database, on whatever machine, that this one has begun, and hears of them (R78, R23).

Copies give their orders the same names, so until one of them trades nothing tells them apart. Each start therefore
places a mark, a far target that is cancelled at once, and the user stream tells everybody on the account of it. (A
target and no stop: what goes wrong with it is no word about stops.) The mark carries when its bot began: who sees a
later one answers with marks of its own, so that the other knows of it, and ends. Both are halted then. Where the
exchange takes no such order while flat, the orders themselves tell, as ever.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal

import structlog
from msgspec.structs import replace

from exchange.client_ids import Leg, client_id, parse
from exchange.errors import ExchangeError
from exchange.types import ConditionalType, Refused, Side
from fsm.core.model.records import Flag, HaltCause
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.reconcile import Reconciler
from fsm.live.trading.selftest import far_stop
from store import queries

log = structlog.get_logger("fsm.presence")

PAUSES_S = (0.0, 2.0, 4.0)
"""Before each of the marks: one may be refused or go unheard."""

STREAM_WAIT_S = 30.0
POLL_S = 0.2

KNOWN_WAIT_S, KNOWN_POLL_S = 10.0, 1.0
"""So long a mark waits until a look has seen what is open in its symbol, as while an entry fills, and asks so often."""

NAMES = 1_000
"""Marks of one bot that began in a certain second are told from another's by this many names; attempts of self-tests
are fewer than a hundred, those of marks never are."""

KIND = "PRESENCE"
WRITTEN_MAX = 1_000
"""Marks of so many earlier starts and more: word of one does not come later than that."""

_MARKS = 100

Say = Callable[..., None]


class Presence:
    """One for a run that hears a user stream."""

    def __init__(self, live: LiveContext, reconciler: Reconciler, say: Say, *, run_id: str) -> None:
        self._live = live
        self._reconciler = reconciler
        self._say = say
        name = 1 + int(hashlib.sha256(run_id.encode()).hexdigest(), 16) % (NAMES - 1)
        self._self = live.clock.now_ms() // 1000, name
        self._sent = 0
        self._newer: str | None = None
        self._heard = asyncio.Event()

    async def run(self, started: asyncio.Event) -> None:
        """Place the marks of a start; then wait, and answer a bot that began later."""
        await started.wait()
        await self._until_it_hears()
        await self._place_marks()
        await self._heard.wait()
        await self._place_marks()
        assert self._newer is not None
        self._reconciler.seen_newer_copy(self._newer)

    def heard(self, placed: str) -> None:
        """A conditional order came to rest."""
        parts = parse(placed)
        if parts is None or parts.database_id != self._live.active.database_id or parts.leg is not Leg.PROBE:
            return
        began = parts.index, parts.attempt // _MARKS
        if not began[1] or began == self._self or self._is_of_an_earlier_run(placed):
            return
        self._halt(placed)
        if began > self._self:
            self._newer = placed
            self._heard.set()

    def _is_of_an_earlier_run(self, placed: str) -> bool:
        """Word of it may come late, and twice: what stands in this journal is no other bot's."""
        written = queries.system_events(self._live.journal.store, kind=KIND, limit=WRITTEN_MAX)
        return any(row.reason == placed for row in written)

    def _halt(self, placed: str) -> None:
        engine, at_ms = self._live.engine, self._live.clock.now_ms()
        log.error("second_copy", reason="FOREIGN", client_id=placed)
        if engine.account.halt is not None and engine.account.halt.cause == HaltCause.FOREIGN:
            return
        halt = Flag(HaltCause.FOREIGN.value, at_ms)
        engine.set_account(at_ms, "FOREIGN_COPY", paused=engine.account.paused, halt=halt)
        text = (
            f"Another bot runs on a copy of this database: it has placed {placed}. The one that was started last "
            "manages what is open, the other one ends, and neither enters until you `resume` (docs/restoring.md)."
        )
        self._say("reconciliation_anomaly", text, key=f"copy {at_ms}")

    async def _until_it_hears(self) -> None:
        clock = self._live.clock
        until_s = clock.monotonic() + STREAM_WAIT_S
        while self._live.loop_lag.stream != "connected" and clock.monotonic() < until_s:
            await clock.sleep(POLL_S)

    async def _place_marks(self) -> None:
        clock = self._live.clock
        for pause_s in PAUSES_S:
            await clock.sleep(pause_s)
            until_s = clock.monotonic() + KNOWN_WAIT_S
            try:
                while not await self._place_mark() and clock.monotonic() < until_s:
                    await clock.sleep(KNOWN_POLL_S)
            except ExchangeError as error:
                log.warning("mark_failed", reason=type(error).__name__, error=str(error))

    async def _place_mark(self) -> bool:
        """False: not now, as something is open there that no look has named yet."""
        found = self._symbol()
        if found is None:
            return True
        symbol, side = found
        if not await self._is_as_known(symbol):
            return False
        live, active, exchange = self._live, self._live.active, self._live.exchange
        began_s, name = self._self
        self._sent += 1
        mark = client_id(active.database_id, symbol, 0, Leg.PROBE, began_s, name * _MARKS + self._sent % _MARKS)
        mirrored = await far_stop(
            exchange,
            active.filters[symbol],
            working_type=active.settings.orders.working_type,
            client_id=mark,
            side=side.opposite,
        )
        request = replace(mirrored, side=side, type=ConditionalType.TAKE_PROFIT_MARKET)
        live.journal.note(live.clock.now_ms(), KIND, mark, symbol=symbol)
        with live.on_trial.placing() as on_trial:
            on_trial(mark)
            outcome = await exchange.place_algo(request)
            log.info("mark", symbol=symbol, reason=type(outcome).__name__, client_id=mark)
            if not isinstance(outcome, Refused):  # also one whose answer could not be read
                await exchange.cancel_algo(symbol, mark)
        return True

    async def _is_as_known(self, symbol: str) -> bool:
        """A hand may have opened something, or turned it round, that no look has named yet: nothing goes beside it."""
        rows = await self._live.exchange.positions(symbol)
        held = sum((row.quantity for row in rows if row.symbol == symbol), Decimal(0))
        trade = self._live.engine.record(symbol).trade
        return held == 0 if trade is None else held * trade.side.sign > 0

    def _symbol(self) -> tuple[str, Side] | None:
        """A flat one, or one of whose trade such a target would close a little: never beside what is not ours."""
        engine, filters = self._live.engine, self._live.active.filters
        records = [engine.record(name) for name, found in filters.items() if found.tradable]
        ours = [record for record in records if record.foreign is None and record.released is None]
        flat = next((record.symbol for record in ours if record.trade is None), None)
        if flat is not None:
            return flat, Side.SELL
        return next(((record.symbol, record.trade.side.exit_side) for record in ours if record.trade is not None), None)
