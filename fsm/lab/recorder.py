"""Keeps what a run leaves behind: decisions joined into stretches, regimes, equity, and the closed trades."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from exchange.types import Account, Outcome
from fsm.core.deciding import Reading
from fsm.core.events import CandleClosed, SymbolEvent
from fsm.core.intents import Intent
from fsm.core.move import Move, Step
from fsm.core.records import AccountRecord, SymbolRecord, Trade
from fsm.core.scene import Portfolio
from fsm.ledger import JournalLedger
from rules.regime import RegimeState
from store.rows import DecisionRow


class Recorder:
    """The lab's ledger: the journal's, with closed trades kept for the summary and unchanged decisions counted."""

    def __init__(self, ledger: JournalLedger, step_ms: int) -> None:
        self._ledger = ledger
        self._step_ms = step_ms
        self._open: dict[str, DecisionRow] = {}
        self.trades: list[Trade] = []
        self.transitions = 0

    @property
    def trades_booked(self) -> int:
        return len(self.trades)

    def commit(self, before: SymbolRecord, move: Move, event: SymbolEvent) -> Step:
        step = self._ledger.commit(before, move, event)
        self.transitions += 1
        if move.booked is not None:
            self.trades.append(move.booked)
        return step

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        self._ledger.commit_account(at_ms, kinds, after)

    def settle(self, name: str, intent: Intent, outcome: Outcome | None, at_ms: int) -> None:
        self._ledger.settle(name, intent, outcome, at_ms)

    def equity(self, at_ms: int, account: Account) -> None:
        self._ledger.equity(at_ms, account)

    def decision(
        self,
        event: CandleClosed,
        reading: Reading,
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
            and reading.outcome != "SIGNAL"
            and (held.regime, held.outcome, held.reason, held.rules_hash)
            == (event.regime.regime.value, reading.outcome, reading.reason, rules_hash)
        )
        if same:
            return
        self._close(event.symbol, event.candle_ms - self._step_ms)
        before = regime_before()
        if before.regime != event.regime.regime:
            self._ledger.regime(event, before)
        self._open[event.symbol] = self._ledger.decision_row(
            event, reading, regime_before=before, portfolio=portfolio(), record=record, rules_hash=rules_hash
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
