"""Keeps what a run leaves behind: decisions joined into stretches, regimes, equity, and the closed trades."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from exchange.types import Account, Outcome
from fsm.core.candle_close import HOLDING, CandleVerdict
from fsm.core.model.decision import Decision, Step
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.events import CandleClosed, SymbolEvent
from fsm.core.model.intents import Intent
from fsm.core.model.records import AccountRecord, SymbolRecord, Trade
from fsm.journal.engine_journal import StoredEngineJournal
from rules.regime import RegimeState
from store.rows import DecisionRow


class Recorder:
    """The lab's ledger: the journal's, with closed trades kept for the summary and unchanged decisions counted."""

    def __init__(self, ledger: StoredEngineJournal, step_ms: int) -> None:
        self._ledger = ledger
        self._step_ms = step_ms
        self._open: dict[str, DecisionRow] = {}
        self.trades: list[Trade] = []
        self.transitions = 0

    @property
    def trades_booked(self) -> int:
        return len(self.trades)

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        step = self._ledger.commit(before, decision, event)
        self.transitions += 1
        if decision.booked is not None:
            self.trades.append(decision.booked)
        return step

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        self._ledger.commit_account(at_ms, kinds, after)

    def settle(self, name: str, intent: Intent, outcome: Outcome | None, at_ms: int) -> None:
        self._ledger.settle(name, intent, outcome, at_ms)

    def equity(self, *readings: tuple[int, Account]) -> None:
        self._ledger.equity(*readings)

    def holds(self, symbol: str, regime: str, rules_hash: str) -> bool:
        """Whether one more candle in which a trade is held would only make a stretch longer."""
        held = self._open.get(symbol)
        return held is not None and (held.regime, held.outcome, held.reason, held.rules_hash) == (
            regime,
            "IN_TRADE",
            HOLDING,
            rules_hash,
        )

    def decision(
        self,
        event: CandleClosed,
        verdict: CandleVerdict,
        *,
        regime_before: Callable[[], RegimeState],
        portfolio: Callable[[], Portfolio],
        record: SymbolRecord,
        rules_hash: str,
    ) -> None:
        """Note a decision; an unchanged one only makes its stretch longer.

        ``record`` is the symbol's before the decision. What only a new stretch needs comes as callables.
        """
        held = self._open.get(event.symbol)
        same = (
            held is not None
            and verdict.outcome != "SIGNAL"
            and (held.regime, held.outcome, held.reason, held.rules_hash)
            == (event.regime.regime, verdict.outcome, verdict.reason, rules_hash)
        )
        if same:
            return
        self._close(event.symbol, event.candle_ms - self._step_ms)
        before = regime_before()
        if before.regime != event.regime.regime:
            self._ledger.regime(event, before)
        self._open[event.symbol] = self._ledger.decision_row(
            event, verdict, regime_before=before, portfolio=portfolio(), record=record, rules_hash=rules_hash
        )

    def _close(self, symbol: str, last_ms: int) -> None:
        """Write the stretch that ended at the candle which opened at ``last_ms``."""
        held = self._open.pop(symbol, None)
        if held is not None:
            count = (last_ms - held.candle_ms) // self._step_ms + 1
            self._ledger.decision(replace(held, last_ms=last_ms, count=count))

    def finish(self, last_candle_ms: int) -> None:
        """Write the stretches that are still open."""
        for symbol in sorted(self._open):
            self._close(symbol, last_candle_ms)
