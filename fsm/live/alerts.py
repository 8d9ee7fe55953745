"""What the operator is told: which transition is which kind of alert, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable

from fsm.config import AlertLevel, Settings
from fsm.core.events import SymbolEvent
from fsm.core.move import Move
from fsm.core.records import SymbolRecord, Trade
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
ANOMALOUS_EXITS = ("EXTERNAL_CLOSE", "LIQUIDATED", "ADL")


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
        found = [
            self.row(event.at_ms, kind, text, key=f"transition {number} {kind}", symbol=before.symbol)
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
            return [(reason.lower(), f"{symbol}: {reason.replace('_', ' ').lower()}")]
        case Trigger.EXIT if reason in ANOMALOUS_EXITS:
            return [("reconciliation_anomaly", f"{symbol}: the position was closed, and not by us ({reason})")]
        case Trigger.REDUCE if reason == "TARGET_HIT":
            return [("target_hit", f"{symbol}: a partial target was hit")]
        case Trigger.QUARANTINE:
            return [("quarantine", f"{symbol}: no entries until `resume {symbol}`: {reason}")]
        case Trigger.FLATTEN if reason in LIMIT_REASONS:
            return [("kill_switch", f"{symbol}: closed by {reason}")]
        case Trigger.FLATTEN if reason == "PROTECTION_DEADLINE":
            return [("protection_late", f"{symbol}: no stop was confirmed in time; the position is being closed")]
        case Trigger.FLATTEN | Trigger.REPROTECT | Trigger.SWEEP | Trigger.ADOPT | Trigger.REDUCE:
            return [("reconciliation_anomaly", f"{symbol}: {move.trigger.value}: {reason}")]
    return []


def _opened(trade: Trade) -> str:
    price = trade.entry_price or trade.entry_price_planned
    stop = trade.stop.trigger_price if trade.stop else trade.stop_price_initial
    return (
        f"{trade.symbol}: {trade.side.value} {trade.open_quantity:f} at {price:f} ({trade.strategy}), "
        f"stop {stop:f} confirmed, {trade.risk_usdt:.2f} USDT at risk"
    )


def _closed(before: SymbolRecord, move: Move, event: SymbolEvent) -> list[tuple[str, str]]:
    trade = ended_trade(before, move, event.at_ms)
    if trade is None or trade.net_pnl is None or trade.r is None:
        return []
    return [
        (
            "trade_closed",
            f"{trade.symbol}: closed ({trade.exit_reason}), {trade.net_pnl:+.2f} USDT net, {trade.r:+.2f} R",
        )
    ]
