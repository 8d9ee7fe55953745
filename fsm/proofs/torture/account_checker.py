"""Judges the account's limits by the exchange's own clock and ledger: none ends early, none acts on a transfer."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.sim.core.ledger import IncomeType
from exchange.sim.core.venue import Venue
from fsm.core.limits import PERIOD_CAUSES, budgets, period_keys
from fsm.core.model.records import AccountRecord, Flag
from fsm.live.context.live_context import LiveContext
from store.database import Store

ENDS, TRANSFERS = "LIMIT_ENDS_IN_TIME", "NO_LIMIT_ON_TRANSFER"
CLOCKS_MS = 1_000
"""So far the bot's time may be from the exchange's."""

Check = Callable[[str, bool, str], None]


class AccountChecker:
    """One for a whole run. ``journal`` opens the bot's database for reading."""

    def __init__(self, venue: Venue, check: Check, journal: Callable[[], Store]) -> None:
        self._venue = venue
        self._check = check
        self._journal = journal
        self._before: AccountRecord | None = None

    def look(self, live: LiveContext) -> None:
        """After every step of the world."""
        now, before = live.engine.account, self._before
        if now is before:
            return
        self._before = now
        if before is not None:
            for was, found in ((before.breach, now.breach), (before.halt, now.halt)):
                if was is not None and found != was and now.undone == before.undone:
                    self._check_end(was)
        if now.breach is not None and (before is None or before.breach != now.breach):
            self._check_begin(live, now.breach)

    def _check_end(self, was: Flag) -> None:
        name = next((name for name, cause in PERIOD_CAUSES.items() if cause == was.cause), None)
        if name is None:
            return
        now_ms = self._venue.now_ms
        is_over = period_keys(now_ms + CLOCKS_MS)[name] > period_keys(was.since_ms)[name]
        holds = is_over or self._resumed_since(was.since_ms)
        self._check(ENDS, holds, f"{was.cause} since {was.since_ms} is over at {now_ms}, in the same {name}")

    def _resumed_since(self, at_ms: int) -> bool:
        """Whether the operator resumed the account since then."""
        asked = "SELECT 1 FROM system_events WHERE kind = 'RESUME' AND at_ms >= ? LIMIT 1"
        with self._journal() as store:
            return store.connection.execute(asked, (at_ms,)).fetchone() is not None

    def _check_begin(self, live: LiveContext, breach: Flag) -> None:
        """The same budgets with every transfer that the exchange itself knows of: is it hit all the same?"""
        read, record = live.engine.equity, self._as_it_was_hit()
        if read is None or record is None or read.at_ms != breach.since_ms:
            return
        account, policy = read.account, live.engine.policy
        totals = {self._transfers(account.update_time_ms), self._transfers(account.update_time_ms - 1)}
        hit = [
            budget.exceeded
            for total in totals
            for budget in budgets(_moved(record, total - record.transfers), account.equity, policy)
            if budget.cause == breach.cause
        ]
        self._check(TRANSFERS, any(hit), f"{breach.cause} was hit by a transfer: equity {account.equity:f}")

    def _as_it_was_hit(self) -> AccountRecord | None:
        """By now trades may have been booked."""
        asked = "SELECT facts_json FROM system_events WHERE kind = 'LIMIT_BREACHED' ORDER BY id DESC LIMIT 1"
        with self._journal() as store:
            found = store.connection.execute(asked).fetchone()
        return None if found is None else msgspec.json.decode(found[0], type=_Facts).account

    def _transfers(self, until_ms: int) -> Decimal:
        rows = self._venue.state.ledger.rows
        kind = IncomeType.TRANSFER.value
        return sum((r.income for r in rows if r.income_type == kind and r.time_ms <= until_ms), Decimal(0))


class _Facts(msgspec.Struct, frozen=True):
    account: AccountRecord


def _moved(record: AccountRecord, by: Decimal) -> AccountRecord:
    periods = {
        name: replace(period, start_equity=period.start_equity + by)
        for name in PERIOD_CAUSES
        if (period := getattr(record, name)) is not None
    }
    return replace(record, equity_high=record.equity_high + by, **periods)
