"""Bots whose shell was broken on purpose, in ways that only show when the process dies: the sweep must catch all.

What these faults have in common is that nothing is wrong while the bot runs. They are made like the broken engines of
the model check (fsm/proofs/testkit/broken_engines.py); the bot that trades never imports this module.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque

import msgspec
from msgspec.structs import replace

from exchange.client_ids import parse
from exchange.types import Outcome
from fsm.core.model.events import Commanded
from fsm.core.model.intents import Intent, Look, PlaceEntry
from fsm.core.model.records import State, SymbolRecord
from fsm.live.operator.delivery import Delivery
from fsm.live.process import assembly
from fsm.live.process.daemon import Daemon
from fsm.live.trading.executor import Executor
from fsm.live.trading.recovery import Recovery
from fsm.live.trading.schedule import Schedule
from fsm.live.trading.symbol_worker import SymbolWorker
from fsm.proofs.crashsweep.sweep import sweep
from fsm.proofs.testkit.breaking import BrokenEngine, Replaced, broken
from store.batch import Batch
from store.database import Store
from store.journal import Journal
from store.outbox import Outbox
from store.rows import AlertRow
from store.views import IntentRow

__all__ = ["VARIANTS", "broken", "caught_by"]

COMMIT_LATE_S = 0.03
_chance = random.Random(7)  # noqa: S311 - a fault, not a secret


def _sent_before_commit() -> list[Replaced]:
    """Rows of transitions wait for a moment before they are written, while their orders leave."""
    real, number = Journal.commit, vars(Journal)["next_transition_id"].fget
    waiting: deque[tuple[Journal, Batch]] = deque()

    def flush(journal: Journal) -> None:
        while waiting and waiting[0][0] is journal:
            real(*waiting.popleft())

    def commit(self: Journal, batch: Batch) -> None:
        while waiting and waiting[0][0] is not self:
            waiting.popleft()
        if batch.transitions:
            waiting.append((self, batch))
            asyncio.get_running_loop().call_later(COMMIT_LATE_S, flush, self)
        else:
            flush(self)
            real(self, batch)

    def next_id(self: Journal) -> int:
        late = sum(len(batch.transitions) for journal, batch in waiting if journal is self)
        return int(number(self)) + late

    return [(Journal, "commit", commit), (Journal, "next_transition_id", property(next_id))]


def _outbox_resent() -> list[Replaced]:
    real = Recovery._resolve

    def instead(self: Recovery, worker: SymbolWorker, rows: list[IntentRow]) -> None:
        real(self, worker, rows)
        for row in rows:
            intent: Intent = msgspec.json.decode(row.payload_json, type=Intent)
            if isinstance(intent, Look):
                continue
            asyncio.get_running_loop().create_task(self._live.executor.do(intent))

    return [(Recovery, "_resolve", instead)]


def _random_ids() -> list[Replaced]:
    real = Executor._do

    async def instead(self: Executor, intent: Intent) -> Outcome:
        if isinstance(intent, PlaceEntry) and parse(intent.request.client_id) is not None:
            stem, _, _ = intent.request.client_id.rpartition(".")
            name = f"{stem}.{_chance.randint(1_000, 9_999)}"
            intent = replace(intent, request=replace(intent.request, client_id=name))
        return await real(self, intent)

    return [(Executor, "_do", instead)]


def _not_looked_at_start() -> list[Replaced]:
    async def run(self: Recovery) -> None:
        for row in Outbox(self._live.journal.store).pending():
            intent: Intent = msgspec.json.decode(row.payload_json, type=Intent)
            self._live.journal.settle(row.id, intent, None, self._live.clock.now_ms())

    return [(Recovery, "run", run)]


def _entering_skipped() -> list[Replaced]:
    async def run(self: Recovery) -> None:
        for worker in self._workers.values():
            if worker.record.trade is not None and worker.record.state is not State.ENTERING:
                worker.request_check()
        await self._whole_account()

    return [(Recovery, "run", run)]


def _journal_not_read() -> list[Replaced]:
    def instead(store: Store) -> dict[str, SymbolRecord]:
        del store
        return {}

    return [(assembly, "stored_records", instead)]


def _marked_before_told() -> list[Replaced]:
    real = Delivery._deliver

    async def instead(self: Delivery, row: AlertRow) -> float:
        self._box.sent(row.id, self._clock.now_ms())
        return await real(self, row)

    return [(Delivery, "_deliver", instead)]


def _closed_at_start() -> list[Replaced]:
    real = Recovery.run

    async def run(self: Recovery) -> None:
        await real(self)
        for worker in self._workers.values():
            if worker.record.trade is not None:
                at_ms = self._live.clock.now_ms()
                worker.handle(Commanded(symbol=worker.symbol, at_ms=at_ms, command="flatten", cause="STARTED"))

    return [(Recovery, "run", run)]


def _tidied_at_start() -> list[Replaced]:
    real = Recovery.run

    async def run(self: Recovery) -> None:
        for order in await self._live.exchange.open_orders():
            await self._live.exchange.cancel_all(order.symbol)
        await real(self)

    return [(Recovery, "run", run)]


def _last_close_forgotten() -> list[Replaced]:
    return [(Schedule, "_last_decided", lambda self: None)]


def _no_last_stops() -> list[Replaced]:
    async def instead(self: Daemon) -> None:
        del self

    return [(Daemon, "_last_stops", instead)]


class BrokenBot(BrokenEngine, frozen=True):
    """A variant, and at which calls of which script its fault shows, so that catching it takes seconds."""

    script: str = "stopped"
    where: str = ""
    full_disk: bool = False


VARIANTS: dict[str, BrokenBot] = {
    variant.name: variant
    for variant in (
        BrokenBot(
            name="sent-before-commit",
            fault="orders leave before the row that wants them is written",
            parts=_sent_before_commit,
        ),
        BrokenBot(
            name="outbox-resent",
            fault="a start sends again whatever has no known outcome",
            parts=_outbox_resent,
            where="place_order",
        ),
        BrokenBot(name="random-ids", fault="the id of an entry is made up when it is sent", parts=_random_ids),
        BrokenBot(
            name="not-looked-at-start",
            fault="a start trusts its memory and does not look at the exchange",
            parts=_not_looked_at_start,
            where="place_algo",
        ),
        BrokenBot(
            name="entering-skipped",
            fault="a start leaves symbols alone that were entering",
            parts=_entering_skipped,
            where="place_algo",
        ),
        BrokenBot(
            name="journal-not-read", fault="a start begins with empty records", parts=_journal_not_read, where="E0.1"
        ),
        BrokenBot(
            name="marked-before-told",
            fault="alerts count as delivered before they are sent",
            parts=_marked_before_told,
            where="LONG",
        ),
        BrokenBot(
            name="closed-at-start",
            fault="a start closes what is open, to be safe",
            parts=_closed_at_start,
            where="E0.1",
        ),
        BrokenBot(name="tidied-at-start", fault="a start cancels every order on the account", parts=_tidied_at_start),
        BrokenBot(
            name="last-close-forgotten",
            fault="a start does not know which close was decided on last",
            parts=_last_close_forgotten,
            where="candles",
        ),
        BrokenBot(
            name="no-last-stops",
            fault="a bot that can write nothing any more ends without a look at its positions",
            parts=_no_last_stops,
            full_disk=True,
        ),
    )
}
"""Every broken bot by its name."""


def caught_by(variant: BrokenBot) -> str:
    """The first claim that it breaks, and the case; found anew each time."""
    with broken(variant):
        report = sweep(scripts=(variant.script,), where=variant.where, full_disk=variant.full_disk, violations_max=1)
    return f"`{report.violations[0].claim}` in `{report.violations[0].case}`" if report.violations else "nothing"
