"""The engine as it is, which can be put into any state of the model."""

from __future__ import annotations

from exchange.types import OrderType
from fsm.core.engine import Engine
from fsm.core.machine import SymbolMachines
from fsm.core.model.records import SymbolRecord
from fsm.live.context.entry_blocks import SYMBOL_NOT_LISTED
from fsm.proofs.modelcheck import setup as market
from fsm.proofs.modelcheck.invariants import CheckedJournal, Violation
from fsm.proofs.modelcheck.setup import SYMBOL


class _Machines(SymbolMachines):
    def go_to(self, record: SymbolRecord) -> None:
        symbol = self._symbols[record.symbol]
        symbol.record, symbol.state = record, record.state.value


class ModelEngine(Engine):
    """The engine as it is; only that it can be put into any state without being built again."""

    def __init__(self, journal: CheckedJournal, entry_type: OrderType) -> None:
        context = market.model_context(entry_type)
        super().__init__(
            ledger=journal,
            setting_of=lambda symbol, rules_hash: context,
            policy=context.policy,
            records=(),
            account=market.account(exceeded=False),
            fatal=(Violation,),
            blocked_for=lambda symbol: SYMBOL_NOT_LISTED if journal.world.unlisted else "",
        )
        self._reversible = self.machines = _Machines(journal.commit)
        self.machines.add(SymbolRecord(symbol=SYMBOL))

    def go_to(self, record: SymbolRecord, *, exceeded: bool) -> None:
        self._reversible.go_to(record)
        self._track(record)
        self.account, self.equity = market.account(exceeded=exceeded), market.equity(exceeded=exceeded)
        self.failures.clear()
