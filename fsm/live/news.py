"""What the operator is told of the account: what is open, what limits did with how much, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from fsm.config import Settings
from fsm.core.deciding import moment
from fsm.core.engine import Engine
from fsm.core.limits import Budget
from fsm.core.policy import LimitAction
from fsm.live.alerts import held_in_words

PERIODS = {"LIMIT_DAY": "day", "LIMIT_WEEK": "week", "LIMIT_MONTH": "month"}

NEWS = {
    "ended": "{} is over, its period has ended: entries are allowed again.",
    "stale": "Equity could not be read for {age:.0f} s: no entries until it can. Open positions keep their stops.",
    "doubt": "{} are gone from the account, and no fill, fee, funding or transfer in the exchange's ledger explains it "
    "yet: no entries, and no limit acts on it, while it is looked up (two minutes at most).",
    "explained": "The {} that were gone are explained: by a transfer, or by results that count as such.",
    "written off": "{} are gone and nothing explains it: it counts as a loss from now on. Should it turn out to be a "
    "transfer, a limit that it hit is taken back.",
    "undone": "{} is taken back: it was hit by a transfer that the exchange's ledger showed only now. Entries are "
    "allowed again; positions that were closed for it stay closed.",
}
"""{} is the limit's name, or the amount."""

VERIFICATION_NEWS = (
    "The journal is not as it was written: no entries until `resume`; what is open keeps its stops. "
    "`audit verify` says which rows; do not trade on before you know who changed them."
)


def in_vain_news(count: int, reason: str) -> str:
    told = f"{count} signals in a row led to no position; last reason: {reason}. "
    return told + "Nothing is wrong with what is open; `why SYMBOL` says what keeps the bot from entering."


def started_news(engine: Engine, symbols: Iterable[str]) -> str:
    account = engine.account
    halt = f" No entries: halted by {account.halt.cause}; `resume` ends it." if account.halt else ""
    paused = " No entries: paused by the operator; `resume` ends it." if account.paused else ""
    return f"The bot has started with {', '.join(symbols)}. {holding(engine)}.{halt}{paused}"


def holding(engine: Engine) -> str:
    """Everything that is open, with its stop."""
    trades = [record.trade for record in engine.machines.records()]
    return "; ".join(held_in_words(trade) for trade in trades if trade is not None) or "Nothing is open"


def limit_news(what: str, about: str, settings: Settings, budgets: Sequence[Budget], at_ms: int) -> str:
    """``what`` became of a limit or an amount, in sentences for somebody who has just been woken up."""
    limits = settings.limits
    if what != "hit":
        return NEWS[what].format(about, age=limits.equity_age_ms_max / 1000)
    flattens = limits.action is LimitAction.FLATTEN
    rest = "Open positions are being closed at the market." if flattens else "Open positions keep their stops."
    budget = next((each for each in budgets if each.cause.value == about), None)
    if budget is None:  # equity that could not be read for so long is taken for lost
        lost = f"Equity could not be read for {limits.equity_stale_defer_ms / 60_000:.0f} minutes ({about})."
        return f"{lost} {rest} No entries until `resume`."
    if about in PERIODS:
        period = PERIODS[about]
        begin, end = _bounds(period, at_ms)
        what = f"{about}, the loss limit of the {period}, was hit: {budget.used:,.2f} of {budget.allowed:,.2f} USDT"
        what += f" are lost since {begin} UTC."
        until = f"{end} UTC, or until `resume`" if limits.auto_resume else "`resume`"
    else:
        what = (
            f"{about} was hit: equity is {budget.used:,.2f} USDT below its highest, {budget.allowed:,.2f} are allowed."
        )
        until = "`resume`"
    return f"{what} No entries until {until}. {rest}"


def _bounds(period: str, at_ms: int) -> tuple[str, str]:
    """First minute of the UTC day, ISO week or month under way, and of the next one."""
    day = datetime.fromtimestamp(at_ms / 1000, tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        begin, end = day, day + timedelta(days=1)
    elif period == "week":
        begin = day - timedelta(days=day.weekday())
        end = begin + timedelta(days=7)
    else:
        begin = day.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    return moment(int(begin.timestamp() * 1000)), moment(int(end.timestamp() * 1000))
