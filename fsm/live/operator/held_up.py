"""Tells the operator which positions a pause of the exchange keeps without a stop beyond their deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from exchange.types import Pause
from fsm.core.model.records import SymbolRecord, Trade
from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import Clock
from fsm.live.operator.alerts import Alerts
from store.errors import JournalError

log = structlog.get_logger("fsm.held_up")


class HeldUp:
    """One message for a pause; another only when a position stands without a stop that was not named yet."""

    def __init__(self, pause: Callable[[], Pause | None], journal: JournalWriter, alerts: Alerts, clock: Clock) -> None:
        self._pause = pause
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._named: set[str] = set()
        self._cause = ""

    def overdue(self, records: Iterable[SymbolRecord]) -> None:
        """A position's deadline has passed; ``records`` are those of all symbols with a trade."""
        pause = self._pause()
        if pause is None:
            self._named.clear()
            return
        if pause.cause != self._cause:
            self._named.clear()
            self._cause = pause.cause
        naked = [record.trade for record in records if record.trade is not None and _is_naked(record.trade)]
        if {trade.id for trade in naked} <= self._named:
            return
        self._named |= {trade.id for trade in naked}
        self._tell(told_held_up(naked, pause, self._clock.now_ms()), naked)

    def _tell(self, text: str, naked: list[Trade]) -> None:
        at_ms = self._clock.now_ms()
        row = self._alerts.row(at_ms, "protection_late", text, key=f"held up {at_ms}", symbol=naked[0].symbol)
        log.error("held_up", reason="PAUSE", text=text)
        try:
            self._journal.alert(*([row] if row else []))
        except JournalError as failed:
            log.warning("commit_failed", reason="JOURNAL", error=str(failed))


def _is_naked(trade: Trade) -> bool:
    return trade.open_quantity > 0 and (trade.protected_ms is None or trade.uncovered_ms is not None)


def told_held_up(naked: list[Trade], pause: Pause, now_ms: int) -> str:
    held = ", ".join(f"{trade.symbol} {trade.side.value} {trade.open_quantity:f}" for trade in naked)
    until = "it does not say until when"
    if pause.left_s is not None:
        end = datetime.fromtimestamp(now_ms / 1_000 + pause.left_s, UTC)
        until = f"until {end:%Y-%m-%d %H:%M:%S} UTC, in {pause.left_s:.0f} s"
    what = "takes no orders" if pause.orders_only else "answers nothing"
    return (
        f"NO STOP: {held}. The exchange {what} ({until}): {pause.cause}. Close by hand at the exchange if you do not "
        "want to wait; the bot's stop or close is the first request that leaves."
    )
