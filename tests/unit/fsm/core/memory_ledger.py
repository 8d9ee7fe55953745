"""A complete ledger without a disk, which also checks every row as replay and audit would."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from fsm.core import engine
from fsm.core.model.decision import Decision, Step
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import SymbolEvent
from fsm.core.model.intents import Intent
from fsm.core.model.records import AccountRecord, SymbolRecord
from tests.unit.fsm.core.parts import NO_MONEY

ROW = msgspec.json.Encoder(order="deterministic").encode


class MemoryLedger:
    """A complete ledger without a disk. Every row must survive JSON, pass its guards, and be decided again alike."""

    def __init__(self, setting_of: Callable[[str, str | None], DecisionContext]) -> None:
        self._setting_of = setting_of
        self.rows: list[tuple[SymbolRecord, Decision, SymbolEvent]] = []
        self.account_rows: list[tuple[tuple[str, ...], AccountRecord]] = []
        self.broken: Exception | None = None
        self.watch: Callable[[Decision], None] = lambda decision: None

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        if self.broken is not None:
            raise self.broken
        self._must_survive(before, decision, event)
        self.watch(decision)
        self.rows.append((before, decision, event))
        number = len(self.rows)
        trade = decision.record.trade or before.trade
        return Step(
            transition_id=number,
            at_ms=event.at_ms,
            symbol=before.symbol,
            source=before.state,
            dest=decision.record.state,
            trigger=decision.trigger,
            reason=decision.reason,
            trade_id=trade.id if trade else None,
            intents=tuple((f"{number}.{place}", intent) for place, intent in enumerate(decision.intents)),
        )

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        if self.broken is not None:
            raise self.broken
        assert ROW(msgspec.json.decode(ROW(after), type=AccountRecord)) == ROW(after)
        self.account_rows.append((kinds, after))

    def _must_survive(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> None:
        assert all(guard.passed for guard in decision.guards)
        if self.rows and self.rows[-1][0].symbol == before.symbol:
            assert self.rows[-1][1].record == before, "a record changed without a row"
        after = msgspec.json.decode(ROW(decision.record), type=SymbolRecord)
        assert after == decision.record
        assert ROW(after) == ROW(decision.record)
        assert msgspec.json.decode(ROW(decision.intents), type=tuple[Intent, ...]) == decision.intents
        if decision.reason == "EXCEPTION":
            return  # whatever the handler choked on need not make sense
        told = msgspec.json.decode(ROW(event), type=SymbolEvent)
        assert told == event
        read = decision.facts.get("portfolio")
        portfolio = (
            msgspec.convert(read, Portfolio) if read else replace(NO_MONEY, blocked=decision.facts.get("blocked", ""))
        )
        context = self._setting_of(before.symbol, before.trade.rules_hash if before.trade else None)
        recorded = msgspec.json.decode(ROW(before), type=SymbolRecord)
        again = engine.decide(recorded, told, portfolio, context)
        assert again is not None
        assert ROW(replace(again, facts={})) == ROW(replace(decision, facts={}))
