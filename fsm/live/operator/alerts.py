"""What the operator is told: which transition is which kind of alert, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from fsm.config import AlertLevel, Settings, alert_kinds
from fsm.core.candle_close import moment
from fsm.core.close_forms import FORMS
from fsm.core.model.decision import Decision
from fsm.core.model.events import SymbolEvent, SymbolObserved
from fsm.core.model.intents import CancelAlgo
from fsm.core.model.records import ZERO, Foreign, State, SymbolRecord, Trade, TradeSide
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import covering_stops
from fsm.core.releasing import cancels_stop
from fsm.journal.engine_journal import ended_trade
from fsm.live.context.observer import News
from fsm.live.operator.wording import LIMITS, because, gained, price, usdt
from store.rows import AlertRow

LIMIT_REASONS = (*LIMITS, "EQUITY_STALE")
ANOMALOUS_EXITS = ("EXTERNAL_CLOSE", "LIQUIDATED", "ADL", "SETTLED")


CLOSES_FAILED = (FORMS, 4 * FORMS, 16 * FORMS)
"""After so many closing orders in a row that did nothing a close that does not get through is told of again."""

QUIET = (
    "STOP_UNSEEN",
    "POSITION_UNSEEN",
    "REDUCE_ASKED",
    "REDUCE_UNHEARD",
    "REDUCE_UNSEEN",
    "REDUCED_BY_HAND",
    "TARGET_MOVED",
)
"""A look that does not show something yet, and what the operator asked for: what follows from it is told."""


class Alerts:
    """Makes the rows that go into the outbox. ``banner`` stands before every text where mistakes cost real money."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        run_id: str,
        banner: str = "",
        tick_of: Callable[[str], Decimal] = lambda symbol: ZERO,
        heard: Callable[[News], None] = lambda news: None,
    ) -> None:
        """``tick_of`` gives a symbol's price step, 0 where it is not known; ``heard`` hears of every message."""
        self._tick_of = tick_of
        self._heard = heard
        self._settings = settings
        self._run_id = run_id
        self.banner = banner

    def level(self, kind: str) -> AlertLevel:
        """How loud messages of this kind are now."""
        return self._settings().alerts[kind]

    def row(
        self, at_ms: int, kind: str, text: str, *, key: str, symbol: str | None = None, asked: bool = False
    ) -> AlertRow | None:
        """One message, or None where config turned its kind off, unless somebody ``asked`` and waits for it.

        The same ``key`` is delivered once.
        """
        severity = alert_kinds()[kind].severity
        self._heard(News(at_ms=at_ms, kind=kind, severity=severity, symbol=symbol, text=text, key=key))
        if self.level(kind) is AlertLevel.OFF and not asked:
            return None
        return AlertRow(
            at_ms=at_ms,
            kind=kind,
            severity=severity,
            symbol=symbol,
            text=f"{self.banner}{text}",
            dedupe_key=f"{self._run_id} {key}",
            due_ms=0,
        )

    def of_transition(
        self, number: int, before: SymbolRecord, decision: Decision, event: SymbolEvent
    ) -> list[AlertRow]:
        """The messages that one transition is worth."""
        incident = incident_of(before, decision)
        found = [
            self.row(event.at_ms, kind, text, key=incident or f"transition {number} {kind}", symbol=before.symbol)
            for kind, text in _told(before, decision, event, self._tick_of(before.symbol))
        ]
        return [row for row in found if row is not None]


def _told(before: SymbolRecord, decision: Decision, event: SymbolEvent, tick: Decimal) -> list[tuple[str, str]]:
    symbol, reason, trade = before.symbol, decision.reason, decision.record.trade
    match decision.trigger:
        case Trigger.PROTECT if trade is not None:
            return [("trade_opened", _opened(trade, tick))]
        case Trigger.FLAT:
            return _closed(before, decision, event, tick)
        case Trigger.EXIT if reason in ("STOP_HIT", "TARGET_HIT"):
            return [(reason.lower(), f"{symbol}: {_hit(before.trade or trade, reason, tick)}")]
        case Trigger.EXIT if reason in ANOMALOUS_EXITS:
            told = f"{symbol}: {_closed_by(reason)}, not the bot: {_size(before.trade or trade)} is no longer open. "
            return [("reconciliation_anomaly", told + RESULT_FOLLOWS)]
        case Trigger.REDUCE if reason == "TARGET_HIT" and trade is not None:
            return [("target_hit", f"{symbol}: {_target(before.trade, trade, tick)} {held_in_words(trade, tick)}.")]
        case Trigger.QUARANTINE if decision.record.foreign is not None:
            return [("quarantine", _foreign(decision.record, event, tick))]
        case Trigger.RELEASE:
            return [("command", _released(before, decision, tick))]
        case Trigger.QUARANTINE:
            return [("quarantine", _quarantined(symbol, reason, trade, tick))]
        case Trigger.FLATTEN:
            return [_flattened(symbol, reason, trade)]
        case Trigger.REPROTECT if reason.startswith("CLOSE_"):
            return [("reconciliation_anomaly", _close_late(trade, reason, tick))] if trade and is_told(decision) else []
        case Trigger.REPROTECT | Trigger.REDUCE if reason in QUIET or _is_denied(reason, trade):
            return []
        case Trigger.REPROTECT if reason == "STOP_CONFIRMED" and not _was_missing(before):
            return []
        case Trigger.REPROTECT | Trigger.SWEEP | Trigger.ADOPT | Trigger.REDUCE:
            return [("reconciliation_anomaly", _mended(decision, trade, tick))]
    return []


def _is_denied(reason: str, trade: Trade | None) -> bool:
    """A stop was refused for want of a position, which seems to be gone: what follows from it is told."""
    return reason.startswith("STOP_REFUSED ") and trade is not None and trade.no_position_ms is not None


def _quarantined(symbol: str, reason: str, trade: Trade | None, tick: Decimal) -> str:
    held = f"{held_in_words(trade, tick)}, and stays managed" if trade else "Nothing of ours is open in it"
    return f"{symbol}: no entries until `resume {symbol}`, because {because(reason)}. {held}."


def _flattened(symbol: str, reason: str, trade: Trade | None) -> tuple[str, str]:
    """The kind too: what you asked for, or what a limit does, is no anomaly."""
    closing = f"{symbol}: {_size(trade)} is being closed at the market, because {because(reason)}."
    if reason in LIMIT_REASONS:
        return "kill_switch", closing
    if reason == "OPERATOR":
        return "command", closing
    told = f"{closing} If it is still open in a minute, close it by hand at the exchange."
    return "protection_late" if reason == "PROTECTION_DEADLINE" else "reconciliation_anomaly", told


def _mended(decision: Decision, trade: Trade | None, tick: Decimal) -> str:
    """What was not as the bot had left it, what it does about it, and how the position stands meanwhile."""
    symbol, reason = decision.record.symbol, decision.reason
    is_closing = decision.record.state is State.FLATTEN or (trade is not None and trade.exit_reason is not None)
    held = "" if trade is None or is_closing else f" {held_in_words(trade, tick)}."
    if decision.trigger is Trigger.REPROTECT and reason == "STOP_CONFIRMED":
        return f"{symbol}: its stop rests at the exchange again.{held}"
    return f"{symbol}: {_done(decision.trigger, reason)}, because {because(reason)}.{held}"


def _foreign(record: SymbolRecord, event: SymbolEvent, tick: Decimal) -> str:
    """What a hand left: how much, on which side, whether anything closes it, and what the operator can do (R80)."""
    symbol, foreign = record.symbol, record.foreign
    assert foreign is not None
    side = TradeSide.LONG if foreign.quantity > 0 else TradeSide.SHORT
    stops = covering_stops(event.snapshot, side, abs(foreign.quantity)) if isinstance(event, SymbolObserved) else []
    cover = f"a stop at {price(stops[0].trigger_price, tick)} covers it" if stops else "NO STOP covers it"
    whose = "was handed over to you" if record.released else "is not this bot's"
    return (
        f"{symbol}: {foreign_size(foreign)} is open that {whose}; {cover}. No entries here until it is flat. "
        f"Close it by hand or give it a stop; `release {symbol}` leaves it to you, "
        f"`flatten {symbol}` closes what is ours."
    )


def foreign_size(foreign: Foreign) -> str:
    """How much is open that is not ours."""
    side = TradeSide.LONG if foreign.quantity > 0 else TradeSide.SHORT
    return f"{side.value} {abs(foreign.quantity):f} (about {abs(foreign.quantity) * foreign.price:,.0f} USDT)"


def _released(before: SymbolRecord, decision: Decision, tick: Decimal) -> str:
    symbol = before.symbol
    if decision.reason == "FOREIGN_GONE":
        waits = decision.record.quarantine or decision.record.halt
        then = f"`resume {symbol}` lets the bot enter again" if waits else "the bot may enter again"
        return f"{symbol}: what was open beside this bot is closed; {then}."
    stop = before.trade.stop if before.trade is not None else None
    cancelled = any(isinstance(i, CancelAlgo) and stop and i.client_id == stop.client_id for i in decision.intents)
    if before.trade is None:
        rests = "a stop of ours that rests there " + ("is cancelled" if cancels_stop(decision.record) else "stays")
    else:
        at = "" if stop is None or cancelled else price(stop.trigger_price, tick)
        rests = f"its stop at {at} stays" if at else "NO STOP of ours rests"
    held = decision.record.foreign
    size = f"{foreign_size(held)} is" if held is not None and held.quantity else "the position is"
    return f"{symbol}: {size} yours now; {rests}. The bot does not touch it, and enters nothing there until it is flat."


def held_in_words(trade: Trade, tick: Decimal = ZERO) -> str:
    """What of a trade is open, and what covers it."""
    if trade.open_quantity == 0:
        return f"{trade.symbol}: an entry of {trade.side.value} is under way"
    return f"{_size(trade)} of {trade.symbol} open, {_stop(trade, tick)}"


def _stop(trade: Trade, tick: Decimal) -> str:
    is_bare = trade.stop is None or trade.uncovered_ms is not None
    return "NO STOP" if is_bare or trade.stop is None else f"stop {price(trade.stop.trigger_price, tick)}"


def _size(trade: Trade | None) -> str:
    return "the position" if trade is None else f"{trade.side.value} {trade.open_quantity:f}"


RESULT_FOLLOWS = "The result follows when its fills are booked."


def _hit(trade: Trade | None, reason: str, tick: Decimal) -> str:
    at = f" at {price(trade.stop.trigger_price, tick)}" if trade is not None and trade.stop is not None else ""
    what = f"the stop{at}" if reason == "STOP_HIT" else "the last target"
    return f"{what} was hit and closed {_size(trade)}. {RESULT_FOLLOWS}"


def _target(before: Trade | None, trade: Trade, tick: Decimal) -> str:
    """Which one was hit, what it closed, and about what that makes; its fills are booked later."""
    done = {leg.index for leg in before.targets if leg.done} if before is not None else set()
    hit = next((leg for leg in trade.targets if leg.done and leg.index not in done), None)
    if hit is None or before is None or before.entry_price is None:
        return "a target was hit."
    closed = before.open_quantity - trade.open_quantity
    change = hit.trigger_price - before.entry_price
    made = closed * (change if trade.side is TradeSide.LONG else -change)
    r = f", {made / trade.risk_usdt:+.2f} R" if trade.risk_usdt else ""
    return f"the target at {price(hit.trigger_price, tick)} was hit and closed {closed:f} (about {gained(made)}{r})."


def _closed_by(reason: str) -> str:
    return {
        "EXTERNAL_CLOSE": "somebody closed the position by hand or with another program",
        "LIQUIDATED": "the exchange LIQUIDATED the position",
        "ADL": "the exchange closed the position by auto-deleveraging",
        "SETTLED": "the exchange settled the contract and closed the position",
    }[reason]


def _done(trigger: Trigger, reason: str) -> str:
    """What the bot does about something that is not as it was left."""
    if trigger is Trigger.SWEEP:
        return "the entry is taken back" if reason.startswith("ENTRY") else "orders of ours are being cancelled"
    if trigger is Trigger.ADOPT:
        return "a position was taken over"
    if trigger is Trigger.REDUCE:
        return "the position has become smaller"
    if reason.startswith("REDUCE"):
        return "no part of it was closed, and that is not tried again"
    if reason.startswith("TARGET"):
        return "its target is being placed again, and the stop stays"
    if reason == "ENTRY_UNCLEAR":
        return "its entry is being looked for"
    return (
        "its stop stays where it was"
        if reason == "STOP_MOVE_REFUSED"
        else "its stop is being placed or looked for again"
    )


def incident_of(before: SymbolRecord, decision: Decision) -> str | None:
    """What is told once however many rows it takes: a stop that is missing, and a close that does not get through,
    which is told again when it has got worse. None: each row is told."""
    trade = decision.record.trade
    if decision.trigger is not Trigger.REPROTECT or trade is None or decision.reason == "STOP_CONFIRMED":
        return None
    if decision.reason.startswith("CLOSE_"):
        return f"{trade.id} close {sum(trade.close_failed >= many for many in CLOSES_FAILED)}"
    return None if trade.uncovered_ms is None else f"{trade.id} stop {trade.uncovered_ms}"


def is_told(decision: Decision) -> bool:
    """Another piece after one that did its part is no news."""
    trade = decision.record.trade
    return trade is not None and (trade.close_failed > 0 or decision.reason != "CLOSE_AGAIN")


def _was_missing(before: SymbolRecord) -> bool:
    return before.trade is not None and before.trade.uncovered_ms is not None and before.trade.protected_ms is not None


def _close_late(trade: Trade, reason: str, tick: Decimal) -> str:
    many = "one order" if trade.close_failed == 1 else f"{trade.close_failed} orders"
    failed = f"after {many} that did nothing" if trade.close_failed else "at once"
    return (
        f"{trade.symbol}: the close did not get through {failed}, because {because(reason)}; it goes on in other "
        f"forms. {trade.side.value} {trade.open_quantity:f} open, {_stop(trade, tick)}. Close it by hand at the "
        "exchange if you do not want to wait."
    )


def _opened(trade: Trade, tick: Decimal) -> str:
    entry = trade.entry_price or trade.entry_price_planned
    stop = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    return (
        f"{trade.symbol}: {trade.side.value} {trade.open_quantity:f} at {price(entry, tick)} "
        f"({usdt(trade.open_quantity * entry)}, {trade.strategy}), stop {price(stop, tick)} "
        f"({_away(stop, entry)}) confirmed, {usdt(trade.risk_usdt)} at risk{_aims(trade, entry, tick)}."
    )


def _away(price: Decimal, entry: Decimal) -> str:
    """How far from the entry, in percent of it."""
    return f"{(price - entry) / entry * 100:+.2f} %"


def _aims(trade: Trade, entry: Decimal, tick: Decimal) -> str:
    """Where its targets are; nothing where it has none."""
    aims = [f"{price(leg.trigger_price, tick)} ({_away(leg.trigger_price, entry)})" for leg in trade.targets]
    return f", target{'s' if len(aims) > 1 else ''} {' and '.join(aims)}" if aims else ""


def _closed(before: SymbolRecord, decision: Decision, event: SymbolEvent, tick: Decimal) -> list[tuple[str, str]]:
    trade = ended_trade(before, decision, event.at_ms)
    if trade is None or trade.net_pnl is None or trade.r is None:
        return []
    prices = [at for at in (trade.entry_price, trade.exit_price) if at is not None]
    path = f", {price(prices[0], tick)} to {price(prices[1], tick)}" if len(prices) == 2 else ""
    size = min(trade.closed_quantity, trade.entry.filled or trade.closed_quantity)  # a hand may have closed more
    told = (
        f"{trade.symbol}: {trade.side.value} {size:f} is closed{path}, because "
        f"{because(trade.exit_reason or 'CLOSED')}: {gained(trade.net_pnl)} net ({trade.r:+.2f} R, "
        f"fees {usdt(trade.fees)}).{_what_follows(decision.record, trade.exit_reason, event.at_ms)}"
    )
    return [("trade_closed", told)]


def _what_follows(record: SymbolRecord, ended: str | None, at_ms: int) -> str:
    """What keeps the symbol from entering after a trade, and until when."""
    symbol = record.symbol
    if record.halt is not None:
        why = "" if record.halt.cause == ended else f", because {because(record.halt.cause)}"
        return f" No entries here until `resume`{why}."
    if record.quarantine is not None:
        cause = record.quarantine.cause
        why = "" if cause == ended else f", because {because(cause)}"
        return f" No entries here until `resume {symbol}`{why}."
    if record.cooldown_until_ms > at_ms:
        return f" No entries here before {moment(record.cooldown_until_ms)} UTC."
    return ""
