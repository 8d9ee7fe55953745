"""What the operator is told: which transition is which kind of alert, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable

from fsm.config import AlertLevel, Settings
from fsm.core.events import SymbolEvent, SymbolObserved
from fsm.core.forms import FORMS
from fsm.core.intents import CancelAlgo
from fsm.core.move import Move
from fsm.core.records import SymbolRecord, Trade, TradeSide
from fsm.core.sight import covering_stops
from fsm.core.states import Trigger
from fsm.ledger import ended_trade
from store.rows import AlertRow

SEVERITY = {
    "kill_switch": "critical",
    "protection_late": "critical",
    "quarantine": "critical",
    "reconciliation_anomaly": "warning",
    "api_errors": "warning",
    "bookkeeping_mismatch": "warning",
    "no_entries": "warning",
    "telegram": "warning",
}
"""By kind; every other kind is information."""

LIMIT_REASONS = ("LIMIT_DAY", "LIMIT_WEEK", "LIMIT_MONTH", "LIMIT_DRAWDOWN")
ANOMALOUS_EXITS = ("EXTERNAL_CLOSE", "LIQUIDATED", "ADL", "SETTLED")


CLOSES_FAILED = (FORMS, 4 * FORMS, 16 * FORMS)
"""After so many closing orders in a row that did nothing a close that does not get through is told of again."""

QUIET = ("STOP_UNSEEN", "POSITION_UNSEEN", "STOP_REFUSED -4509", "STOP_REFUSED -4129")
"""A look that does not show something yet, or a position that seems to be gone: what follows from it is told."""


class Alerts:
    """Makes the rows that go into the outbox. ``banner`` stands before every text where mistakes cost real money."""

    def __init__(self, settings: Callable[[], Settings], run_id: str, banner: str = "") -> None:
        self._settings = settings
        self._run_id = run_id
        self._banner = banner

    def row(
        self, at_ms: int, kind: str, text: str, *, key: str, symbol: str | None = None, asked: bool = False
    ) -> AlertRow | None:
        """One message, or None where config turned its kind off, unless somebody ``asked`` and waits for it.

        The same ``key`` is delivered once.
        """
        if getattr(self._settings().alerts, kind) is AlertLevel.OFF and not asked:
            return None
        return AlertRow(
            at_ms=at_ms,
            kind=kind,
            severity=SEVERITY.get(kind, "info"),
            symbol=symbol,
            text=f"{self._banner}{text}",
            dedupe_key=f"{self._run_id} {key}",
            due_ms=0,
        )

    def of_transition(self, number: int, before: SymbolRecord, move: Move, event: SymbolEvent) -> list[AlertRow]:
        """The messages that one transition is worth."""
        incident = incident_of(before, move)
        found = [
            self.row(event.at_ms, kind, text, key=incident or f"transition {number} {kind}", symbol=before.symbol)
            for kind, text in _told(before, move, event)
        ]
        return [row for row in found if row is not None]


def _told(before: SymbolRecord, move: Move, event: SymbolEvent) -> list[tuple[str, str]]:
    symbol, reason, trade = before.symbol, move.reason, move.record.trade
    match move.trigger:
        case Trigger.PROTECT if trade is not None:
            return [("trade_opened", _opened(trade))]
        case Trigger.FLAT:
            return _closed(before, move, event)
        case Trigger.EXIT if reason in ("STOP_HIT", "TARGET_HIT"):
            return [(reason.lower(), f"{symbol}: {_hit(before.trade or trade, reason)}")]
        case Trigger.EXIT if reason in ANOMALOUS_EXITS:
            was = before.trade or trade
            told = f"{symbol}: {_closed_by(reason)} ({reason}), not the bot: {_size(was)} is no longer open. "
            return [("reconciliation_anomaly", told + "Its result follows when its fills are booked.")]
        case Trigger.REDUCE if reason == "TARGET_HIT" and trade is not None:
            return [("target_hit", f"{symbol}: a target was hit. {held_in_words(trade)}.")]
        case Trigger.QUARANTINE if move.record.foreign is not None:
            return [("quarantine", _foreign(move.record, event))]
        case Trigger.RELEASE:
            return [("command", _released(before, move))]
        case Trigger.QUARANTINE:
            held = f" {held_in_words(trade)}." if trade else " Nothing of ours is open in it."
            return [("quarantine", f"{symbol}: no entries until `resume {symbol}`, because of {reason}.{held}")]
        case Trigger.FLATTEN if reason in LIMIT_REASONS:
            return [("kill_switch", f"{symbol}: {_size(trade)} is being closed at the market because of {reason}.")]
        case Trigger.FLATTEN if reason == "PROTECTION_DEADLINE":
            told = f"{symbol}: no stop was confirmed in time, so {_size(trade)} is being closed at the market. "
            return [("protection_late", told + "If it is still open in a minute, close it by hand at the exchange.")]
        case Trigger.REPROTECT if reason.startswith("CLOSE_"):
            return [("reconciliation_anomaly", _close_late(trade, reason))] if trade and is_told(move) else []
        case Trigger.REPROTECT if reason in QUIET or (reason == "STOP_CONFIRMED" and not _was_missing(before)):
            return []
        case Trigger.FLATTEN | Trigger.REPROTECT | Trigger.SWEEP | Trigger.ADOPT | Trigger.REDUCE:
            held = f" {held_in_words(trade)}." if trade and move.trigger is not Trigger.FLATTEN else ""
            is_back = move.trigger is Trigger.REPROTECT and reason == "STOP_CONFIRMED"
            done = "its stop rests at the exchange again" if is_back else _done(move.trigger, trade)
            return [("reconciliation_anomaly", f"{symbol}: {done} ({reason}).{held}")]
    return []


def _foreign(record: SymbolRecord, event: SymbolEvent) -> str:
    """What a hand left: how much, on which side, whether anything closes it, and what the operator can do (R80)."""
    symbol, foreign = record.symbol, record.foreign
    assert foreign is not None
    side = TradeSide.LONG if foreign.quantity > 0 else TradeSide.SHORT
    size = f"{side.value} {abs(foreign.quantity):f} (about {abs(foreign.quantity) * foreign.price:,.0f} USDT)"
    stops = covering_stops(event.snapshot, side, abs(foreign.quantity)) if isinstance(event, SymbolObserved) else []
    cover = f"a stop at {stops[0].trigger_price:f} covers it" if stops else "NO STOP covers it"
    whose = "was handed over to you" if record.released else "is not this bot's"
    return (
        f"{symbol}: {size} is open that {whose}; {cover}. No entries here until it is flat. "
        f"Close it by hand or give it a stop; `release {symbol}` leaves it to you, "
        f"`flatten {symbol}` closes what is ours"
    )


def _released(before: SymbolRecord, move: Move) -> str:
    symbol = before.symbol
    if move.reason == "FOREIGN_GONE":
        return f"{symbol}: what was open beside this bot is closed" + (
            f"; `resume {symbol}` lets it enter again" if move.record.quarantine else ""
        )
    stop = before.trade.stop if before.trade is not None else None
    cancelled = any(isinstance(i, CancelAlgo) and stop and i.client_id == stop.client_id for i in move.intents)
    rests = "no stop of ours rests" if stop is None or cancelled else f"its stop at {stop.trigger_price:f} stays"
    then = "The bot does not touch it, and enters nothing there until it is flat"
    return f"{symbol}: the position is yours now; {rests}. {then}"


def held_in_words(trade: Trade) -> str:
    """What of a trade is open, and what covers it."""
    if trade.open_quantity == 0:
        return f"{trade.symbol}: an entry of {trade.side.value} is under way"
    stop = "NO STOP" if trade.stop is None or trade.uncovered_ms is not None else f"stop {trade.stop.trigger_price:f}"
    return f"{_size(trade)} of {trade.symbol} open, {stop}"


def _size(trade: Trade | None) -> str:
    return "the position" if trade is None else f"{trade.side.value} {trade.open_quantity:f}"


def _hit(trade: Trade | None, reason: str) -> str:
    price = f" at {trade.stop.trigger_price:f}" if trade is not None and trade.stop is not None else ""
    if reason == "STOP_HIT":
        return f"the stop{price} was hit and closed {_size(trade)}. The result follows when its fills are booked."
    return f"the last target was hit and closed {_size(trade)}. The result follows when its fills are booked."


def _closed_by(reason: str) -> str:
    return {
        "EXTERNAL_CLOSE": "somebody closed the position by hand or with another program",
        "LIQUIDATED": "the exchange LIQUIDATED the position",
        "ADL": "the exchange closed the position by auto-deleveraging",
        "SETTLED": "the exchange settled the contract and closed the position",
    }[reason]


def _done(trigger: Trigger, trade: Trade | None) -> str:
    """What the bot does about something that is not as it was left."""
    return {
        Trigger.FLATTEN: f"{_size(trade)} is being closed at the market",
        Trigger.REPROTECT: "its stop is being placed or looked for again",
        Trigger.SWEEP: "orders of ours that covered nothing are being cancelled",
        Trigger.ADOPT: "a position of ours that was not known to be open was taken over",
        Trigger.REDUCE: "the position has become smaller",
    }[trigger]


def incident_of(before: SymbolRecord, move: Move) -> str | None:
    """What is told once however many rows it takes: a stop that is missing, and a close that does not get through,
    which is told again when it has got worse. None: each row is told."""
    trade = move.record.trade
    if move.trigger is not Trigger.REPROTECT or trade is None or move.reason == "STOP_CONFIRMED":
        return None
    if move.reason.startswith("CLOSE_"):
        return f"{trade.id} close {sum(trade.close_failed >= many for many in CLOSES_FAILED)}"
    return None if trade.uncovered_ms is None else f"{trade.id} stop {trade.uncovered_ms}"


def is_told(move: Move) -> bool:
    """Another piece after one that did its part is no news."""
    trade = move.record.trade
    return trade is not None and (trade.close_failed > 0 or move.reason != "CLOSE_AGAIN")


def _was_missing(before: SymbolRecord) -> bool:
    return before.trade is not None and before.trade.uncovered_ms is not None and before.trade.protected_ms is not None


def _close_late(trade: Trade, reason: str) -> str:
    failed = f"after {trade.close_failed} orders that did nothing" if trade.close_failed else "at once"
    stop = "NO STOP" if trade.stop is None or trade.uncovered_ms is not None else f"stop {trade.stop.trigger_price:f}"
    return (
        f"{trade.symbol}: the close did not get through {failed} ({reason}); it goes on in other forms. "
        f"{trade.side.value} {trade.open_quantity:f} open, {stop}"
    )


def _opened(trade: Trade) -> str:
    price = trade.entry_price or trade.entry_price_planned
    stop = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    return (
        f"{trade.symbol}: {trade.side.value} {trade.open_quantity:f} at {price:f} ({trade.strategy}), "
        f"stop {stop:f} confirmed, {trade.risk_usdt:.2f} USDT at risk."
    )


def _closed(before: SymbolRecord, move: Move, event: SymbolEvent) -> list[tuple[str, str]]:
    trade = ended_trade(before, move, event.at_ms)
    if trade is None or trade.net_pnl is None or trade.r is None:
        return []
    return [
        (
            "trade_closed",
            f"{trade.symbol}: closed ({trade.exit_reason}), {trade.net_pnl:+.2f} USDT net, {trade.r:+.2f} R.",
        )
    ]
