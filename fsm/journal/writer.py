"""Everything the daemon writes down, on one journal: transitions with their alerts, errors, documents, candles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from exchange.types import Confirmed, Order, Position
from fsm.core.model.decision import Decision
from fsm.core.model.events import SymbolEvent
from fsm.core.model.records import SymbolRecord
from fsm.journal.engine_journal import StoredEngineJournal, to_json
from indicators.candle import Candle, Timeframe
from store.batch import Batch
from store.database import Store
from store.errors import JournalError
from store.journal import Journal
from store.rows import (
    AlertRow,
    AnchorRow,
    CandleRow,
    DocumentRow,
    ErrorRow,
    IntentOutcome,
    PositionMark,
    SystemEventRow,
)

log = structlog.get_logger("fsm.books")

AlertsOf = Callable[[int, SymbolRecord, Decision, SymbolEvent], list[AlertRow]]


class JournalWriter(StoredEngineJournal):
    """The one writer of a running daemon. Every method has committed when it returns, or raises JournalError."""

    def __init__(
        self, store: Store, journal: Journal, *, rules_hash: str, config_hash: str, alerts_of: AlertsOf
    ) -> None:
        super().__init__(journal, rules_hash=rules_hash, config_hash=config_hash)
        self.store = store
        self.journal = journal
        self._alerts_of = alerts_of

    def alerts_of(self, number: int, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> list[AlertRow]:
        """What is told of a transition. Failing to word it is no reason not to make it."""
        try:
            return self._alerts_of(number, before, decision, event)
        except Exception as error:
            log.error("alert_failed", symbol=before.symbol, reason=type(error).__name__, exc_info=error)
            return []

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is one transaction. If that fails, memory is ahead of the disk: end the process."""
        with self.store.transaction(JournalError):
            yield

    def note(self, at_ms: int, kind: str, reason: str, *, symbol: str | None = None, **facts: Any) -> None:
        """A system event: start, stop, a reconciliation that did something, a reload."""
        self.journal.commit(Batch(system_events=[self.event(at_ms, kind, reason, symbol=symbol, **facts)]))

    def event(self, at_ms: int, kind: str, reason: str, *, symbol: str | None = None, **facts: Any) -> SystemEventRow:
        """As ``note``, for a commit of more than this row."""
        return SystemEventRow(
            at_ms=at_ms,
            kind=kind,
            symbol=symbol,
            reason=reason,
            facts_json=to_json(facts),
            rules_hash=self.rules_hash,
            config_hash=self.config_hash,
        )

    def resolve(self, name: str, order: Order | None, at_ms: int) -> None:
        """An intent of unknown outcome is known to have been carried out; ``order`` is it, where it is still shown."""
        outcome = IntentOutcome(
            intent_id=name, status="CONFIRMED", outcome_json=to_json(Confirmed(order=order)), at_ms=at_ms
        )
        self.journal.commit(Batch(intent_outcomes=[outcome]))

    def error(self, at_ms: int, component: str, error: str, *, symbol: str | None = None, **details: Any) -> None:
        row = ErrorRow(at_ms=at_ms, component=component, symbol=symbol, error=error, details_json=to_json(details))
        self.journal.commit(Batch(errors=[row]))

    def alert(self, *rows: AlertRow) -> None:
        if rows:
            self.journal.commit(Batch(alerts=list(rows)))

    def document(self, name: str, at_ms: int, body: Any, **further: Any) -> None:
        """Leave documents for readers; the newest of a name replaces the one before."""
        rows = [
            DocumentRow(name=each, at_ms=at_ms, body_json=to_json(found))
            for each, found in {name: body, **further}.items()
        ]
        self.journal.commit(Batch(documents=rows))

    def marks(self, marks: list[PositionMark]) -> None:
        if marks:
            self.journal.commit(Batch(marks=marks))

    def candles(
        self, symbol: str, timeframe: Timeframe, candles: list[Candle], *, anchor_ms: int | None = None
    ) -> None:
        """Keep candles as they were used; with ``anchor_ms`` the series begins at the candle that opened then."""
        rows = [
            CandleRow(
                symbol=symbol,
                timeframe=timeframe.value,
                open_time_ms=candle.open_time_ms,
                open=candle.open,
                high=candle.high,
                low=candle.low,
                close=candle.close,
                volume=candle.volume,
            )
            for candle in candles
        ]
        anchor = AnchorRow(symbol=symbol, timeframe=timeframe.value, first_ms=0 if anchor_ms is None else anchor_ms)
        anchors = [] if anchor_ms is None else [anchor]
        self.journal.commit(Batch(candles=rows, anchors=anchors))


def position_mark(position: Position) -> PositionMark:
    """What the exchange says a position is worth now."""
    return PositionMark(
        symbol=position.symbol,
        mark=position.mark_price,
        upnl=position.unrealized_pnl,
        liquidation_price=position.liquidation_price,
        isolated_wallet=position.isolated_wallet,
        updated_ms=position.update_time_ms,
    )
