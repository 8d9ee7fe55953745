"""The loss limits: day, week and month on realised PnL and on equity, and drawdown from the highest equity."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from fsm.core.events import EquityRead
from fsm.core.policy import Policy
from fsm.core.records import ZERO, AccountRecord, Flag, HaltCause, Period, Trade

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
        return self.used > 0 and self.used >= self.allowed


class AccountStep(msgspec.Struct, frozen=True, kw_only=True):
    """What an account event changed: the record after it, a row per change, limits hit and limits that ended."""

    record: AccountRecord
    changes: tuple[str, ...] = ()
    breached: HaltCause | None = None
    ended: tuple[HaltCause, ...] = ()
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
            "day": moment.strftime("%Y-%m-%d"),
            "week": f"{iso.year}-W{iso.week:02d}",
            "month": moment.strftime("%Y-%m"),
        }
    )


def read_equity(record: AccountRecord, event: EquityRead, policy: Policy) -> AccountStep:
    """Judge one consistent account snapshot. Transfers move every baseline, so they are neither profit nor loss."""
    equity = event.account.equity
    after, changes = _moved_by_transfers(record, event.transfers)
    after, started = _roll(after, event.at_ms, equity)
    changes += started
    if equity > after.equity_high:
        after = replace(after, equity_high=equity)
        changes += ("EQUITY_HIGH",)
    after, over = _end_breach(after, event.at_ms, policy)
    changes += tuple("LIMIT_ENDED" for _ in over)
    ended = over if policy.auto_resume else ()
    found = budgets(after, equity, policy)
    breached = next((b.cause for b in found if b.exceeded), None)
    if breached is None or after.breach is not None:
        return AccountStep(record=after, changes=changes, ended=ended, budgets=found)
    flag = Flag(breached, event.at_ms)
    after = replace(after, breach=flag, halt=after.halt or flag)
    changes += ("LIMIT_BREACHED",)
    return AccountStep(record=after, changes=changes, breached=breached, ended=ended, budgets=found)


def _moved_by_transfers(record: AccountRecord, transfers: Decimal) -> tuple[AccountRecord, tuple[str, ...]]:
    """Before anything was measured nothing moves: what was paid in long ago is not a lost peak (R37, R39)."""
    delta = transfers - record.transfers
    if delta == 0:
        return record, ()
    if record.day is None:
        return replace(record, transfers=transfers), ("TRANSFER",)
    moved = {
        name: replace(period, start_equity=period.start_equity + delta)
        for name in PERIOD_CAUSES
        if (period := getattr(record, name)) is not None
    }
    high = max(record.equity_high + delta, ZERO)
    return replace(record, transfers=transfers, equity_high=high, **moved), ("TRANSFER",)


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
    if halt is not None and halt.cause == breach.cause and policy.auto_resume:
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
    allowed_pct = {"day": policy.daily_loss_pct, "week": policy.weekly_loss_pct, "month": policy.monthly_loss_pct}
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
            allowed=record.equity_high * policy.drawdown_pct / 100,
            used_realized=ZERO,
            used_equity=record.equity_high - equity,
        )
    )
    return tuple(found)


def holding_limit(record: AccountRecord, equity: Decimal, policy: Policy) -> str:
    """The limit that is exceeded right now, whatever was halted for it; empty when none is."""
    return next((b.cause.value for b in budgets(record, equity, policy) if b.exceeded), "")


def resumed(record: AccountRecord, equity: Decimal) -> AccountRecord:
    """The account without its breach. Resuming after LIMIT_DRAWDOWN measures the next drawdown from here."""
    breach = record.breach
    high = equity if breach is not None and breach.cause == HaltCause.LIMIT_DRAWDOWN else record.equity_high
    return replace(record, breach=None, equity_high=high)
