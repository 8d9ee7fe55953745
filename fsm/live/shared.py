"""What all symbols of one daemon share: engine, exchange, clock, books, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exchange.port import Exchange
from fsm.core.engine import Engine
from fsm.core.move import Step
from fsm.core.records import SymbolRecord
from fsm.live.account_watch import AccountWatch
from fsm.live.audience import Audience, Nobody
from fsm.live.books import Books
from fsm.live.clock import Clock
from fsm.live.entry_blocks import EntryBlocks
from fsm.live.executor import Executor
from fsm.live.in_force import InForce
from fsm.live.lifeline import Lifeline
from fsm.live.pulse import Pulse
from fsm.live.symbol_desk import SymbolDesk
from fsm.live.watch import ProtectionTimes

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
class Shared:
    """``on_step`` hears of each committed transition, ``on_trouble`` of each call to the exchange that failed, and
    ``audience`` of what else is worth seeing. ``overdue`` is told when a protection deadline has passed, with
    the records of all trades."""

    engine: Engine
    exchange: Exchange
    executor: Executor
    clock: Clock
    books: Books
    in_force: InForce
    blocks: EntryBlocks
    symbols: SymbolDesk
    watch: AccountWatch
    times: ProtectionTimes
    freshness: Freshness
    on_step: Callable[[Step], None]
    on_trouble: Trouble
    lifeline: Lifeline
    pulse: Pulse = field(default_factory=Pulse)
    audience: Audience = field(default_factory=Nobody)
    overdue: Callable[[Iterable[SymbolRecord]], None] = lambda records: None

    @property
    def reconcile_s(self) -> float:
        return self.in_force.settings.loops.reconcile_interval_ms / 1000

    @property
    def deadline_ms(self) -> int:
        return self.in_force.settings.protection.deadline_ms
