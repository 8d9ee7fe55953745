"""The account while running: equity from one snapshot, transfers told apart from profit, limits carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.types import Account, Income
from fsm.core.commands import Rejected
from fsm.core.events import Commanded, EquityRead
from fsm.core.limits import AccountStep, Budget
from fsm.core.policy import LimitAction
from fsm.core.records import ZERO, Flag, HaltCause
from fsm.live.fence import Fence
from fsm.live.lane import Lane
from fsm.live.shared import Shared
from store import queries
from store.errors import StoreError

log = structlog.get_logger("fsm.account")

TRANSFER_TYPES = frozenset(
    {"TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW",
     "STRATEGY_UMFUTURES_TRANSFER", "WELCOME_BONUS", "AUTO_EXCHANGE"}
)  # fmt: skip
"""Money that came or went from outside (GET /fapi/v1/income, checked 2026-11)."""

CURSOR = "transfers_cursor"
WRITE_EVERY_S, HOUR_MS = 300.0, 3_600_000
"""An unchanged equity is still a curve: a point every five minutes, and in each hour of a market that runs fast."""


class _Cursor(msgspec.Struct, frozen=True):
    """Up to where transfers are summed: everything before ``at_ms``, and these of that very millisecond."""

    at_ms: int
    seen: tuple[int, ...] = ()


class AccountDesk:
    """Reads equity, and turns what the limits say into commands for the symbols."""

    def __init__(
        self, shared: Shared, lanes: Mapping[str, Lane], on_limit: Callable[[str, str], None], fence: Fence
    ) -> None:
        self._fence = fence
        self._shared = shared
        self._lanes = lanes
        self._on_limit = on_limit
        self._written_s, self._written_hour = float("-inf"), 0
        self._good_s = shared.clock.monotonic()
        self._is_stale = self._acted = False
        self._wallet: Decimal | None = None
        self._budgets: tuple[Budget, ...] = ()
        found = queries.document(shared.books.store, CURSOR)
        self._cursor = None if found is None else msgspec.json.decode(found.body_json, type=_Cursor)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Every loss limit as of the last reading."""
        return self._budgets

    async def run(self) -> None:
        """Read equity every so often, whatever else happens."""
        while True:
            await self._shared.clock.sleep(self._shared.in_force.settings.loops.equity_interval_ms / 1000)
            await self.try_read()

    async def try_read(self) -> bool:
        """Read equity now; False when that failed, so that it goes stale and blocks entries."""
        try:
            await self.read()
        except ExchangeError as error:
            self._shared.on_trouble("", error)
        except StoreError:
            raise
        except Exception as error:
            self._fence.caught("account", error)
        else:
            self._good_s = self._shared.clock.monotonic()
            self._is_stale = self._acted = False
            return True
        self._judge_age()
        return False

    def _judge_age(self) -> None:
        """Old equity blocks entries by itself; FLATTEN acts only when it stays old for so long that it is lost (R38).

        A start begins the deferral anew: nobody knows how old what is stored was.
        """
        shared, limits = self._shared, self._shared.in_force.settings.limits
        age_ms = int((shared.clock.monotonic() - self._good_s) * 1000)
        if age_ms >= limits.equity_age_ms_max and not self._is_stale:
            self._is_stale = True
            log.warning("equity_stale", reason=HaltCause.EQUITY_STALE.value, age_ms=age_ms)
            self._on_limit("stale", HaltCause.EQUITY_STALE.value)
        is_lost = age_ms >= limits.equity_stale_defer_ms and limits.action is LimitAction.FLATTEN
        if not is_lost or self._acted or not shared.engine.active():
            return
        self._acted = True
        cause, at_ms, account = HaltCause.EQUITY_STALE, shared.clock.now_ms(), shared.engine.account
        shared.engine.set_account(
            at_ms, cause.value, paused=account.paused, halt=account.halt or Flag(cause.value, at_ms)
        )
        self._command_all("flatten", cause, at_ms)
        log.error("kill_switch", reason=cause.value, action=limits.action.value, age_ms=age_ms)
        self._on_limit("hit", cause.value)

    async def read(self) -> None:
        """One consistent snapshot, judged against every limit (R37, R38)."""
        shared = self._shared
        began_s = shared.clock.monotonic()
        account = await shared.exchange.account()
        transfers, cursor = await self._transfers(account)
        at_ms = shared.clock.now_ms()
        step = shared.engine.read_equity(EquityRead(at_ms=at_ms, account=account, transfers=transfers))
        if cursor != self._cursor:
            shared.books.document(CURSOR, at_ms, cursor)
        self._cursor, self._wallet = cursor, account.wallet_balance
        shared.freshness.read_at(began_s)
        self._budgets = step.budgets
        hour = at_ms // HOUR_MS
        if step.changes or began_s - self._written_s >= WRITE_EVERY_S or hour != self._written_hour:
            shared.books.equity(at_ms, account)
            self._written_s, self._written_hour = began_s, hour
        self._apply(step, at_ms)

    async def _transfers(self, account: Account) -> tuple[Decimal, _Cursor]:
        """All deposits less withdrawals; the ledger is only read when the wallet has changed since the last time."""
        known = self._shared.engine.account.transfers
        cursor = self._cursor
        if cursor is None:  # the first start: what was there before is no profit of ours, and none is summed
            return known, _Cursor(account.update_time_ms, tuple(await self._ids_at(account.update_time_ms)))
        if account.wallet_balance == self._wallet:
            return known, cursor
        for row in await self._shared.exchange.income(start_ms=cursor.at_ms):
            if row.time_ms > account.update_time_ms and row.time_ms > cursor.at_ms:
                continue  # after the snapshot: the next reading counts it
            if row.transaction_id in cursor.seen and row.time_ms == cursor.at_ms:
                continue
            known += row.income if _is_transfer(row) else ZERO
            same = row.time_ms == cursor.at_ms
            cursor = _Cursor(max(row.time_ms, cursor.at_ms), (*(cursor.seen if same else ()), row.transaction_id))
        return known, cursor

    async def _ids_at(self, at_ms: int) -> list[int]:
        rows = await self._shared.exchange.income(start_ms=at_ms)
        return [row.transaction_id for row in rows if row.time_ms == at_ms]

    def _apply(self, step: AccountStep, at_ms: int) -> None:
        """A limit that was hit halts every symbol, or flattens it; one whose period ended lets them go on."""
        for cause in step.ended:
            self._command_all("resume", cause, at_ms)
            self._on_limit("ended", cause.value)
        if step.breached is not None:
            flatten = self._shared.engine.policy.limit_action is LimitAction.FLATTEN
            self._command_all("flatten" if flatten else "halt", step.breached, at_ms)
            log.warning("kill_switch", reason=step.breached.value, action="FLATTEN" if flatten else "BLOCK_ENTRIES")
            self._on_limit("hit", step.breached.value)

    def _command_all(self, command: str, cause: HaltCause, at_ms: int) -> None:
        for symbol, lane in self._lanes.items():
            try:
                lane.tell(Commanded(symbol=symbol, at_ms=at_ms, command=command, cause=cause.value))
            except Rejected as refused:
                log.info("command_refused", symbol=symbol, reason=refused.guard, command=command)


def _is_transfer(row: Income) -> bool:
    return row.income_type in TRANSFER_TYPES and row.asset == "USDT"
