"""The loss limits: day, week and month on realised PnL and on equity, and drawdown from the highest equity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from fsm.core.model.events import EquityRead
from fsm.core.model.policy import Policy
from fsm.core.model.records import ZERO, AccountRecord, Flag, HaltCause, Period, Trade

DAY_MS = 86_400_000
PERIOD_CAUSES = {"day": HaltCause.LIMIT_DAY, "week": HaltCause.LIMIT_WEEK, "month": HaltCause.LIMIT_MONTH}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One loss limit as it stands: how much may be lost and how much is. USDT."""

    cause: HaltCause
    period: str
    allowed: Decimal
    used_realized: Decimal
    used_equity: Decimal

    @property
    def used(self) -> Decimal:
        return max(self.used_realized, self.used_equity, ZERO)

    @property
    def exceeded(self) -> bool:
        """An account that is empty has lost nothing."""
        used = self.used
        return used > 0 and used >= self.allowed


class AccountStep(msgspec.Struct, frozen=True, kw_only=True):
    """What an account event changed: the record after it, a row per change, limits hit and limits that ended.

    ``doubted`` is the limit that would be hit if what is unexplained were a loss; ``undone`` one that was hit by what
    has turned out to be a transfer.
    """

    record: AccountRecord
    changes: tuple[str, ...] = ()
    breached: HaltCause | None = None
    ended: tuple[HaltCause, ...] = ()
    undone: HaltCause | None = None
    doubted: HaltCause | None = None
    budgets: tuple[Budget, ...] = ()


def period_keys(at_ms: int) -> Mapping[str, str]:
    """Names of the UTC day, ISO week and month that contain the instant."""
    return _keys_of_day(at_ms // DAY_MS)


@lru_cache(maxsize=64)
def _keys_of_day(day: int) -> Mapping[str, str]:
    """Asked for at every reading of the account, of which a day has thousands."""
    moment = datetime.fromtimestamp(day * DAY_MS / 1000, tz=UTC)
    iso = moment.isocalendar()
    return MappingProxyType(
        {
            "day": f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}",
            "week": f"{iso.year}-W{iso.week:02d}",
            "month": f"{moment.year:04d}-{moment.month:02d}",
        }
    )


def read_equity(record: AccountRecord, event: EquityRead, policy: Policy) -> AccountStep:
    """Judge one consistent account snapshot. Transfers move every baseline, so they are neither profit nor loss.

    What nobody can explain yet is judged as if it were a transfer: a deposit must not look like profit, nor a
    withdrawal hit a limit (R77). It does not last: the caller looks it up, and counts it as a loss when that takes too
    long.
    """
    equity = event.settled
    before, changes = _with_loss_written_off(record, event)
    after, moved = _moved_by_transfers(before, event)
    after, started = _roll(after, event.at_ms, equity)
    changes += moved + started
    if min(equity, event.account.equity) > after.equity_high:
        after = replace(after, equity_high=min(equity, event.account.equity))
        changes += ("EQUITY_HIGH",)
    after, over = _end_breach(after, event.at_ms, policy)
    changes += tuple("LIMIT_ENDED" for _ in over)
    after, undone = _undo_breach(before, after, event, policy)
    changes += ("LIMIT_UNDONE",) if undone else ()
    found = budgets(after, equity, policy)
    step = AccountStep(
        record=after, changes=changes, ended=over if policy.limits.auto_resume else (), undone=undone, budgets=found
    )
    breached = _exceeded(found)
    if breached is None and event.unexplained == 0:
        return step
    if breached is None:
        return replace(step, doubted=_exceeded(budgets(after, event.account.equity, policy)))
    if after.breach is not None:
        return step
    flag = Flag(breached, event.at_ms)
    after = replace(after, breach=flag, halt=after.halt or flag)
    return replace(step, record=after, changes=(*changes, "LIMIT_BREACHED"), breached=breached)


def _exceeded(found: tuple[Budget, ...]) -> HaltCause | None:
    return next((budget.cause for budget in found if budget.exceeded), None)


def _with_loss_written_off(record: AccountRecord, event: EquityRead) -> tuple[AccountRecord, tuple[str, ...]]:
    """What fell before a period began is no loss of that period, which began as if nothing had fallen."""
    since_ms = event.explained_ms
    if event.written_off == 0 or since_ms is None:
        return record, ()
    lowered = {
        name: replace(period, start_equity=period.start_equity + event.written_off)
        for name, period in _periods(record).items()
        if period.key > period_keys(since_ms)[name]
    }
    return replace(record, written_off_ms=since_ms, **lowered), ("WRITTEN_OFF",)


def _periods(record: AccountRecord) -> dict[str, Period]:
    return {name: period for name in PERIOD_CAUSES if (period := getattr(record, name)) is not None}


def _moved_by_transfers(record: AccountRecord, event: EquityRead) -> tuple[AccountRecord, tuple[str, ...]]:
    """Before anything was measured nothing moves: what was paid in long ago is not a lost peak (R37, R39).

    A period that does not contain what was written off has nothing to get back when it proves a transfer.
    """
    delta = event.transfers - record.transfers
    if delta == 0:
        return record, ()
    if record.day is None:
        return replace(record, transfers=event.transfers), ("TRANSFER",)
    keys = period_keys(record.written_off_ms) if record.written_off_ms is not None else {}
    moved: dict[str, Period] = {}
    for name, period in _periods(record).items():
        began_after = period.key > keys.get(name, period.key)
        back = delta - event.late if began_after else delta
        moved[name] = replace(period, start_equity=period.start_equity + back)
    high = max(record.equity_high + delta, ZERO)
    return replace(record, transfers=event.transfers, equity_high=high, **moved), ("TRANSFER",)


def _undo_breach(
    before: AccountRecord, after: AccountRecord, event: EquityRead, policy: Policy
) -> tuple[AccountRecord, HaltCause | None]:
    """A limit that was hit before a transfer was known of, and that this transfer alone explains, was none."""
    breach, transferred_ms = after.breach, event.transferred_ms
    if breach is None or transferred_ms is None or transferred_ms > breach.since_ms:
        return after, None
    was = _exceeded(budgets(before, event.settled, policy))
    if was is None or _exceeded(budgets(after, event.settled, policy)) is not None:
        return after, None
    halt = None if after.halt is not None and after.halt.cause == breach.cause else after.halt
    flag = Flag(breach.cause, event.at_ms)
    return replace(after, breach=None, halt=halt, undone=flag), HaltCause(breach.cause)


def _roll(record: AccountRecord, at_ms: int, equity: Decimal) -> tuple[AccountRecord, tuple[str, ...]]:
    """Start the periods that the instant opened; a new one begins with the equity of this moment."""
    changes: list[str] = []
    for name, key in period_keys(at_ms).items():
        period: Period | None = getattr(record, name)
        if period is not None and period.key >= key:
            continue  # the same period, or a clock that went backwards
        record = replace(record, **{name: Period(key=key, start_equity=equity)})
        changes.append(f"PERIOD_{name.upper()}")
    return record, tuple(changes)


def is_over(flag: Flag, at_ms: int) -> bool:
    """True when the day, week or month of a limit's flag has ended; never for anything else."""
    name = next((name for name, cause in PERIOD_CAUSES.items() if cause == flag.cause), None)
    return name is not None and period_keys(flag.since_ms)[name] < period_keys(at_ms)[name]


def _end_breach(record: AccountRecord, at_ms: int, policy: Policy) -> tuple[AccountRecord, tuple[HaltCause, ...]]:
    """A breach ends with its period; the halt that it caused too, where config says so."""
    breach = record.breach
    if breach is None or not is_over(breach, at_ms):
        return record, ()
    halt = record.halt
    if halt is not None and halt.cause == breach.cause and policy.limits.auto_resume:
        halt = None
    return replace(record, breach=None, halt=halt), (HaltCause(breach.cause),)


def trade_booked(record: AccountRecord, trade: Trade, equity: Decimal | None) -> AccountRecord:
    """Count a closed trade's net result in every period that its end lies in.

    Its end may be the first thing that happens in a new period; that then starts with the equity known so far.
    """
    net = trade.net_pnl or ZERO
    keys: Mapping[str, str] = period_keys(trade.closed_ms) if trade.closed_ms is not None else {}
    for name in PERIOD_CAUSES:
        period: Period | None = getattr(record, name)
        if period is None:
            continue
        key = max(keys.get(name, period.key), period.key)
        if key != period.key:
            period = Period(key=key, start_equity=period.start_equity if equity is None else equity)
        period = replace(period, realized_pnl=period.realized_pnl + net)
        record = replace(record, **{name: period})
    return record


def budgets(record: AccountRecord, equity: Decimal, policy: Policy) -> tuple[Budget, ...]:
    """Every loss limit with what is used of it: the larger of realised losses and the fall of equity."""
    allowed_pct = {
        "day": policy.limits.daily_loss_pct,
        "week": policy.limits.weekly_loss_pct,
        "month": policy.limits.monthly_loss_pct,
    }
    found = [
        Budget(
            cause=PERIOD_CAUSES[name],
            period=period.key,
            allowed=period.start_equity * allowed_pct[name] / 100,
            used_realized=-period.realized_pnl,
            used_equity=period.start_equity - equity,
        )
        for name in PERIOD_CAUSES
        if (period := getattr(record, name)) is not None
    ]
    found.append(
        Budget(
            cause=HaltCause.LIMIT_DRAWDOWN,
            period="all",
            allowed=record.equity_high * policy.limits.drawdown_pct / 100,
            used_realized=ZERO,
            used_equity=record.equity_high - equity,
        )
    )
    return tuple(found)


def nearest_limit(record: AccountRecord, policy: Policy) -> Decimal:
    """No limit is reached while equity stays above this and nothing else changes."""
    return max(budget.used_equity - budget.allowed for budget in budgets(record, ZERO, policy))


def holding_limit(record: AccountRecord, equity: Decimal, policy: Policy) -> str:
    """The limit that is exceeded right now, whatever was halted for it; empty when none is."""
    return next((b.cause.value for b in budgets(record, equity, policy) if b.exceeded), "")


def resumed(record: AccountRecord, equity: Decimal) -> AccountRecord:
    """The account without its breach. Resuming after LIMIT_DRAWDOWN measures the next drawdown from here."""
    breach = record.breach
    high = equity if breach is not None and breach.cause == HaltCause.LIMIT_DRAWDOWN else record.equity_high
    return replace(record, breach=None, equity_high=high)
