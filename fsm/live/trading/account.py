"""The account while running: equity from one snapshot, transfers told apart from profit, limits carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal

import structlog

from exchange.errors import ExchangeError
from fsm.core.limits import AccountStep, Budget
from fsm.core.model.decision import Rejected
from fsm.core.model.events import Commanded, EquityRead
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import Flag, HaltCause, SymbolRecord
from fsm.live.context.live_context import LiveContext
from fsm.live.process.supervisor import Supervisor
from fsm.live.trading.symbol_worker import SymbolWorker
from fsm.live.trading.wallet import NAME, Explanation, Wallet
from store.errors import StoreError

log = structlog.get_logger("fsm.account")

WRITE_EVERY_S, HOUR_MS = 300.0, 3_600_000
"""An unchanged equity is still a curve: a point every five minutes, and in each hour of a market that runs fast."""

DOUBT_LOOK_S = 2.0
"""How often the account is read while something about it is unexplained."""


class AccountMonitor:
    """Reads equity, and turns what the limits say into commands for the symbols."""

    def __init__(
        self,
        live: LiveContext,
        workers: Mapping[str, SymbolWorker],
        on_limit: Callable[[str, str], None],
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self._live = live
        self._workers = workers
        self._on_limit = on_limit
        self._written_s, self._written_hour = float("-inf"), 0
        self._good_s = live.clock.monotonic()
        self._is_stale = self._acted = False
        self._budgets: tuple[Budget, ...] = ()
        self._wallet = Wallet(live.journal.store, live.exchange, traded=self._traded, monotonic=live.clock.monotonic)
        self._fills_seen: dict[str, int | None] = {}
        self._in_doubt: Decimal | None = None
        self._turn = asyncio.Lock()

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Every loss limit as of the last reading."""
        return self._budgets

    async def run(self) -> None:
        """Read equity every so often, whatever else happens."""
        while True:
            interval_s = self._live.active.settings.loops.equity_interval_ms / 1000
            await self._live.clock.sleep(interval_s if self._in_doubt is None else min(interval_s, DOUBT_LOOK_S))
            await self.try_read()

    async def try_read(self) -> bool:
        """Read equity now; False when that failed, so that it goes stale and blocks entries."""
        try:
            await self.read()
        except ExchangeError as error:
            self._live.on_trouble("", error)
        except StoreError:
            raise
        except Exception as error:
            self._supervisor.caught("account", error)
        else:
            self._good_s = self._live.clock.monotonic()
            self._is_stale = self._acted = False
            return True
        self._judge_age()
        return False

    def _judge_age(self) -> None:
        """Old equity blocks entries by itself; FLATTEN acts only when it stays old for so long that it is lost (R38).

        A start begins the deferral anew: nobody knows how old what is stored was.
        """
        live, limits = self._live, self._live.active.settings.limits
        age_ms = int((live.clock.monotonic() - self._good_s) * 1000)
        if age_ms >= limits.equity_age_ms_max and not self._is_stale:
            self._is_stale = True
            log.warning("equity_stale", reason=HaltCause.EQUITY_STALE.value, age_ms=age_ms)
            self._on_limit("stale", HaltCause.EQUITY_STALE.value)
        is_lost = age_ms >= limits.equity_stale_defer_ms and limits.action is LimitAction.FLATTEN
        if not is_lost or self._acted or not live.engine.active():
            return
        self._acted = True
        cause, at_ms, account = HaltCause.EQUITY_STALE, live.clock.now_ms(), live.engine.account
        live.engine.set_account(
            at_ms, cause.value, paused=account.paused, halt=account.halt or Flag(cause.value, at_ms)
        )
        self._command_all("flatten", cause, at_ms)
        log.error("kill_switch", reason=cause.value, action=limits.action.value, age_ms=age_ms)
        self._on_limit("hit", cause.value)

    async def read(self) -> None:
        """One consistent snapshot, judged against every limit (R37, R38).

        One after the other: a close reads it too, and two that overlap would both count a transfer.
        """
        async with self._turn:
            await self._read()

    async def _read(self) -> None:
        live = self._live
        began_s, began_ms = live.clock.monotonic(), live.clock.real_ms()
        account = await live.exchange.account()
        found = await self._wallet.explain(account)
        at_ms = live.clock.now_ms()
        event = EquityRead(
            at_ms=at_ms,
            account=account,
            transfers=live.engine.account.transfers + found.transfers,
            unexplained=found.unexplained,
            written_off=found.written_off,
            explained_ms=found.after.explained_ms,
            late=found.late,
            transferred_ms=found.transferred_ms,
        )
        with live.journal.together():  # a transfer is counted and remembered at once, or neither
            step = live.engine.read_equity(event)
            if found.after != self._wallet.kept:
                live.journal.document(NAME, at_ms, found.after)
        self._wallet.kept = found.after
        if found.after.since_ms is None:
            self._fills_seen = {record.symbol: _last_fill(record) for record in live.engine.machines.records()}
        self._tell(event, step, found)
        live.freshness.read_at(began_ms)
        self._budgets = step.budgets
        hour = at_ms // HOUR_MS
        if step.changes or began_s - self._written_s >= WRITE_EVERY_S or hour != self._written_hour:
            live.journal.equity((at_ms, account))
            self._written_s, self._written_hour = began_s, hour
        self._apply(step, at_ms)

    def _traded(self) -> list[str]:
        """Where fills of ours may have changed the wallet since it was last explained."""
        records = self._live.engine.machines.records()
        filled = {r.symbol for r in records if _last_fill(r) != self._fills_seen.get(r.symbol, _last_fill(r))}
        return sorted(filled | set(self._live.engine.active()))

    def _tell(self, event: EquityRead, step: AccountStep, found: Explanation) -> None:
        """An unexplained fall when it begins to matter, what became of it, and what was counted without a word."""
        journal, gone = self._live.journal, -event.unexplained
        matters = event.is_doubtful or step.doubted is not None
        if matters and self._in_doubt is None:
            self._in_doubt = gone
            would = step.doubted.value if step.doubted else None
            journal.note(event.at_ms, "EQUITY_UNEXPLAINED", "WALLET", usdt=gone, would_hit=would)
            log.warning("equity_unexplained", reason="EQUITY_UNEXPLAINED", usdt=str(gone), would_hit=would)
            self._on_limit("doubt", f"{gone:,.2f} USDT")
        elif not matters and self._in_doubt is not None:
            was, self._in_doubt = self._in_doubt, None
            how = "GIVEN_UP" if found.written_off else "TRANSFER" if found.transfers else "RESULT"
            journal.note(event.at_ms, "EQUITY_EXPLAINED", how, usdt=was, transfers=found.transfers)
            log.info("equity_explained", reason=how, usdt=str(was), transfers=str(found.transfers))
            if not found.written_off:
                self._on_limit("explained", f"{was:,.2f} USDT")
        if found.written_off:
            self._on_limit("written off", f"{-found.written_off:,.2f} USDT")
        if found.taken_for_deposit:
            journal.note(event.at_ms, "TAKEN_FOR_DEPOSIT", "WALLET", usdt=found.taken_for_deposit)
            log.warning("taken_for_deposit", reason="WALLET", usdt=str(found.taken_for_deposit))

    def _apply(self, step: AccountStep, at_ms: int) -> None:
        """A limit that was hit halts every symbol, or flattens it; one whose period ended lets them go on."""
        for cause in step.ended:
            self._command_all("resume", cause, at_ms)
            self._on_limit("ended", cause.value)
        if step.undone is not None:
            self._command_all("resume", step.undone, at_ms)
            log.warning("limit_undone", reason=step.undone.value)
            if "LIMIT_UNDONE" in step.changes:
                self._on_limit("undone", step.undone.value)
        if step.breached is not None:
            flatten = self._live.engine.policy.limits.action is LimitAction.FLATTEN
            self._command_all("flatten" if flatten else "halt", step.breached, at_ms)
            log.warning("kill_switch", reason=step.breached.value, action="FLATTEN" if flatten else "BLOCK_ENTRIES")
            self._on_limit("hit", step.breached.value)

    def _command_all(self, command: str, cause: HaltCause, at_ms: int) -> None:
        for symbol, worker in self._workers.items():
            try:
                worker.handle(Commanded(symbol=symbol, at_ms=at_ms, command=command, cause=cause.value))
            except Rejected as refused:
                log.info("command_refused", symbol=symbol, reason=refused.guard, command=command)


def _last_fill(record: SymbolRecord) -> int | None:
    return record.trade.last_fill_id if record.trade is not None else record.last_fill_id
