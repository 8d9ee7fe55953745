"""What all symbols of one daemon share: engine, exchange, clock, books, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exchange.port import Exchange
from fsm.core.engine import Engine
from fsm.core.model.decision import Step
from fsm.core.model.records import SymbolRecord
from fsm.journal.writer import JournalWriter
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import Clock
from fsm.live.context.entry_blocks import EntryBlocks
from fsm.live.context.observer import NoObserver, Observer
from fsm.live.context.on_trial import OnTrial
from fsm.live.context.symbol_catalog import SymbolCatalog
from fsm.live.process.loop_lag import LoopLag
from fsm.live.trading.account_watch import AccountWatch
from fsm.live.trading.executor import Executor
from fsm.live.trading.lifeline import Lifeline
from fsm.live.trading.protection_timer import ProtectionTimes
from rules.compiled_rules import CompiledRules

Trouble = Callable[[str, Exception], None]


class Freshness:
    """How old, in real time, the equity is that decisions are taken with; a suspend makes it older too (R76)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_ms: int | None = None

    def read_at(self, real_ms: int) -> None:
        self._read_ms = real_ms

    def age_ms(self) -> int:
        """Very many milliseconds before the first reading."""
        return 2**62 if self._read_ms is None else max(self._clock.real_ms() - self._read_ms, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContext:
    """``on_step`` hears of each committed transition, ``on_trouble`` of each call to the exchange that failed, and
    ``audience`` of what else is worth seeing. ``overdue`` is told when a protection deadline has passed, with
    the records of all trades."""

    engine: Engine
    exchange: Exchange
    executor: Executor
    clock: Clock
    journal: JournalWriter
    active: ActiveSettings
    blocks: EntryBlocks
    symbols: SymbolCatalog
    watch: AccountWatch
    times: ProtectionTimes
    freshness: Freshness
    on_step: Callable[[Step], None]
    on_trouble: Trouble
    lifeline: Lifeline
    on_trial: OnTrial
    loop_lag: LoopLag = field(default_factory=LoopLag)
    observer: Observer = field(default_factory=NoObserver)
    overdue: Callable[[Iterable[SymbolRecord]], None] = lambda records: None

    def rules_of(self, symbol: str) -> CompiledRules:
        """What this symbol is decided by, and so what is to be read of its candles: a trade keeps its own."""
        return self.active.rules_of(symbol, self._traded_by(symbol))

    def rules_hash_of(self, symbol: str) -> str:
        return self.active.hash_of(symbol, self._traded_by(symbol))

    def _traded_by(self, symbol: str) -> str | None:
        trade = self.engine.record(symbol).trade
        return None if trade is None else trade.rules_hash

    @property
    def reconcile_s(self) -> float:
        return self.active.settings.loops.reconcile_interval_ms / 1000

    @property
    def deadline_ms(self) -> int:
        return self.active.settings.protection.deadline_ms
