"""What the operator is told of the account: what is open, what limits did with how much, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from exchange.types import Position
from fsm.config import Settings
from fsm.core.candle_close import moment
from fsm.core.engine import Engine
from fsm.core.limits import Budget
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import Foreign, SymbolRecord
from fsm.journal.symbol_lists import SymbolList
from fsm.live.operator.alerts import foreign_size, held_in_words
from fsm.live.operator.wording import LIMITS, because, usdt
from indicators.holes import Hole
from rules.changes import changes
from rules.load import Ruleset

PERIODS = {"LIMIT_DAY": "day", "LIMIT_WEEK": "week", "LIMIT_MONTH": "month"}

NEWS = {
    "ended": "The period of {} has ended: entries are allowed again.",
    "stale": "Equity could not be read for {age:.0f} s: no entries until it can. Open positions keep their stops. "
    "Look at the network and at the exchange's status page.",
    "doubt": "{} are gone from the account, and no fill, fee, funding or transfer in the exchange's ledger explains it "
    "yet: no entries, and no limit acts on it, while it is looked up (two minutes at most).",
    "explained": "The {} that were gone are explained: by a transfer, or by results that count as such.",
    "written off": "{} are gone and nothing explains it: it counts as a loss from now on. Should it turn out to be a "
    "transfer, a limit that it hit is taken back.",
    "undone": "{} is taken back: a transfer had hit it, which the exchange's ledger showed only now. Entries are "
    "allowed again; positions that were closed for it stay closed.",
}
"""{} is the limit's name, or the amount."""

VERIFICATION_NEWS = (
    "The journal is not as it was written: no entries until `resume`; what is open keeps its stops. "
    "`audit verify` says which rows; do not trade on before you know who changed them."
)


def in_vain_news(count: int, reason: str) -> str:
    told = f"{count} signals in a row led to no position. What stopped the last one: {because(reason)}. "
    return told + "Nothing is wrong with what is open; `why SYMBOL` says what keeps the bot from entering."


def started_news(engine: Engine, symbols: Iterable[str]) -> str:
    account = engine.account
    halt = f" No entries until `resume`, because {because(account.halt.cause)}." if account.halt else ""
    if account.halt and account.halt.cause in PERIODS:
        halt = f" No entries until its period ends or you `resume`: {because(account.halt.cause)}."
    paused = " No entries until `resume`: you have paused the bot." if account.paused else ""
    return f"The bot has started with {', '.join(symbols)}. {holding(engine)}.{halt}{paused}"


def left_news(commands: str) -> str:
    return f"Commands were left while no bot ran, and are answered now: {commands}."


def holding(engine: Engine) -> str:
    """Everything that is open, with its stop."""
    found = [told for record in engine.machines.records() for told in _held(record, engine)]
    return "; ".join(found) or "Nothing is open"


def _held(record: SymbolRecord, engine: Engine) -> Iterable[str]:
    if record.trade is not None:
        yield held_in_words(record.trade, engine.context(record.symbol).filters.tick_size)
    if record.foreign is not None:
        whose = "yours by `release`" if record.released else "not this bot's"
        yield f"{foreign_size(record.foreign)} of {record.symbol}, {whose}"


def unacknowledged_news(count: int, first: str, waited_ms: int) -> str:
    """``first`` is the first message that nobody has acknowledged."""
    many = "A critical message was" if count == 1 else f"{count} critical messages were"
    told = f"{many} not acknowledged for {waited_ms // 60_000} min. The first: {first}"
    return f"{told} `ack` says that somebody has read it."


def ended_news(why: BaseException) -> str:
    """The last word, past the journal."""
    return f"The bot has ended: {why}. Open positions keep the stops that rest at the exchange."


def blocked_at_start_news(detail: str, held: Iterable[str]) -> str:
    """``detail``: a sentence that says what entries need and do not have."""
    return f"{detail} Nothing is entered until that is mended; what is open is managed: {', '.join(held)}."


def no_candles_news(symbol: str, error: Exception) -> str:
    return (
        f"{symbol} has no candles, so nothing is decided there ({error}). What is open keeps its stop; they are asked "
        "for again at every close, and the other symbols go on."
    )


def unreadable_news(symbol: str, what: str) -> str:
    """A row of a list of the exchange that nobody can read."""
    row = f"The exchange's row of {symbol}" if symbol else "A row of one of the exchange's lists"
    return f"{row} cannot be read ({what}). The symbol is looked at by itself; the others go on."


def hole_news(symbol: str, hole: Hole, until_ms: int | None) -> str:
    """``until_ms`` is until when nothing is entered because of it."""
    missing = f"1 candle of {hole.timeframe} is" if hole.count == 1 else f"{hole.count} candles of {hole.timeframe} are"
    what = f"{symbol}: {missing} missing at the exchange, {moment(hole.first_ms)} to "
    what += f"{moment(hole.end_ms)} UTC. "
    anew = f"The {hole.timeframe} indicators begin anew behind them."
    then = anew if hole.restarts else "The last close stands for them."
    return f"{what}{then}" + (f" No entries there before {moment(until_ms)} UTC." if until_ms is not None else "")


def not_ours_news(symbol: str, position: Position | None) -> str:
    """Something in a symbol that this bot does not trade."""
    if position is None:
        what = "an order rests there"
    else:
        what = f"{foreign_size(Foreign(quantity=position.quantity, price=position.mark_price))} is open there"
    return f"{symbol}: {what}, and this bot does not trade it. It is left alone; look whether you know of it."


def copy_news(symbol: str, client_id: str) -> str:
    return (
        f"{symbol}: another copy of this bot placed an order ({client_id}). No entries until `resume`: stop one of the "
        "two first, and compare `positions` with the exchange's own page."
    )


def failures_news(many: int, last: str) -> str:
    return (
        f"{many} calls to the exchange failed within a minute; the last one: {last}. Stops and targets rest at the "
        "exchange, and the bot tries again by itself. If it goes on, look at the network and at the exchange's status "
        "page."
    )


def fault_news(component: str, what: str, symbol: str | None, again_s: float | None) -> str:
    """A fault of ours: in a task, which begins ``again_s`` later, or (None) in a handler, which goes on."""
    where = f"{symbol}: {component}" if symbol else component
    if again_s is not None:
        return f"{where} failed ({what}); the task starts again in {again_s:.0f} s; trading goes on."
    return f"{where} failed ({what}); what is open stays covered; look into the log, and report it."


def books_differ_news(day: str, told: str) -> str:
    return (
        f"{day}: our books differ from the exchange's income: {told}. Nothing is changed; compare the trade with the "
        "exchange's own list, and report it if ours is wrong."
    )


def conflict_news(error: str) -> str:
    told = f"Commands are not heard: another program reads this bot's messages ({error}). "
    return told + "Stop it, or give each a token of its own."


def stranger_news(chat: int | None) -> str:
    return f"A message of another chat ({chat}) was ignored. If that is you, set TG_CHAT_ID to it."


def refused_file_news(name: str, told: str) -> str:
    return f"{name} was not taken up, and what was accepted last stays in force: {told}."


def edited_rules_news(new: Ruleset, old: Ruleset) -> str:
    return new_rules_news(new.hash, old.hash, [each.told for each in changes(old.definition, new.definition)])


def new_rules_news(new: str, old: str, told: Sequence[str]) -> str:
    """``told``: what the edit changes, place by place."""
    what = listed([each if len(each) <= CHANGE_LENGTH_MAX else f"{each[:CHANGE_LENGTH_MAX]}…" for each in told])
    return f"New rules {new[:8]} are in force in place of {old[:8]}: {what}. Open trades keep theirs."


def new_settings_news(now: str, later: str) -> str:
    """What of an edit of config.yaml is in force, and what waits for a restart; both may be empty."""
    return f"config.yaml is in force: {now or 'nothing new'}." + (f" After a restart: {later}." if later else "")


def new_list_news(found: SymbolList, held: Sequence[str]) -> str:
    """What a new list of symbols changes; ``held`` left it with a trade open."""
    parts = [f"in: {', '.join(found.entered)}"] if found.entered else []
    parts += [f"out: {', '.join(found.left)}"] if found.left else []
    text = f"A new list of {len(found.listed)} symbols is in force ({'; '.join(parts)})."
    if held:
        text += f" What is open in {', '.join(held)} is managed to its end; nothing new is entered there."
    return text


def list_failed_news(why: str, before: SymbolList | None) -> str:
    """No list could be made, and what holds instead."""
    stands = "the list before stays in force" if before is not None else "nothing is entered until there is one"
    return f"No new list of symbols could be made ({why}): {stands}. It is tried again every ten minutes."


def limit_news(what: str, about: str, settings: Settings, budgets: Sequence[Budget], at_ms: int) -> str:
    """``what`` became of a limit or an amount, in sentences for somebody who has just been woken up."""
    limits = settings.limits
    if what != "hit":
        named = LIMITS.get(about, about)
        named = named[0].upper() + named[1:] if what == "undone" else named
        return NEWS[what].format(named, age=limits.equity_age_ms_max / 1000)
    flattens = limits.action is LimitAction.FLATTEN
    rest = "Open positions are being closed at the market." if flattens else "Open positions keep their stops."
    budget = next((each for each in budgets if each.cause.value == about), None)
    if budget is None:  # equity that could not be read for so long is taken for lost
        lost = f"Equity could not be read for {limits.equity_stale_defer_ms / 60_000:.0f} minutes."
        return f"{lost} {rest} No entries until `resume`."
    if about in PERIODS:
        period = PERIODS[about]
        begin, end = _bounds(period, at_ms)
        what = f"The loss limit of the {period} was hit: {usdt(budget.used)} are lost since {begin} UTC, "
        what += f"{usdt(budget.allowed)} are allowed."
        until = f"{end} UTC" if limits.auto_resume else f"`resume`, which is refused before {end} UTC"
    else:
        what = (
            f"The drawdown limit was hit: equity is {usdt(budget.used)} below its highest, {usdt(budget.allowed)} are "
            "allowed."
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


CHANGES_TOLD = 12
CHANGE_LENGTH_MAX = 120


def listed(parts: Sequence[str]) -> str:
    more = len(parts) - CHANGES_TOLD
    return ", ".join(parts[:CHANGES_TOLD]) + (f" and {more} more" if more > 0 else "")
