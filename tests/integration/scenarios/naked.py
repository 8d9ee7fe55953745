"""A witness of what stands uncovered at the exchange, whoever knows of it, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import ConditionalType
from fsm.proofs.testkit.in_process_bot import InProcessBot

SAMPLE_S = 0.01
READS = frozenset({"look", "positions", "open_orders", "open_algos", "order", "algo", "fills", "income", "mark_price"})


@dataclass
class Stretch:
    """One position without a stop: from when, how long, and what ended it (seconds of the loop's clock)."""

    symbol: str
    from_s: float
    to_s: float
    ended: str = "still open"

    @property
    def seconds(self) -> float:
        return self.to_s - self.from_s


@dataclass
class Witness:
    """Looks at the exchange a hundred times a second, past every fault."""

    r: InProcessBot
    stretches: list[Stretch] = field(default_factory=list)
    _open: dict[str, Stretch] = field(default_factory=dict)
    _watching: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, r: InProcessBot) -> Witness:
        witness = cls(r)
        witness._watching = asyncio.create_task(witness._watch())
        return witness

    async def _watch(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_S)

    def sample(self) -> None:
        now_s = asyncio.get_running_loop().time()
        held = {row.symbol for row in self.r.venue.positions() if row.quantity}
        for symbol in held | set(self._open):
            covered = any(
                algo.type == ConditionalType.STOP_MARKET.value and algo.close_position
                for algo in self.r.venue.open_algos(symbol)
            )
            if symbol in held and not covered:
                if symbol not in self._open:
                    self._open[symbol] = Stretch(symbol, now_s, now_s)
                    self.stretches.append(self._open[symbol])
                self._open[symbol].to_s = now_s
            elif symbol in self._open:
                stretch = self._open.pop(symbol)
                stretch.to_s, stretch.ended = now_s, "stop" if symbol in held else "flat"

    @property
    def worst_s(self) -> float:
        return max((stretch.seconds for stretch in self.stretches), default=0.0)

    @property
    def endings(self) -> list[str]:
        return [stretch.ended for stretch in self.stretches]


@dataclass
class Menu:
    """Faults by condition, in their order; the first that meets acts. ``for_s`` counts from when it first met."""

    rules: list[tuple[Callable[[Call], bool], Fault, float]] = field(default_factory=list)
    _since_s: dict[int, float] = field(default_factory=dict)
    calls: list[tuple[float, Call]] = field(default_factory=list)

    def add(self, condition: Callable[[Call], bool], fault: Fault, *, for_s: float = float("inf")) -> Menu:
        self.rules.append((condition, fault, for_s))
        return self

    def late_reads(self, seconds: float) -> Menu:
        return self.add(lambda call: call.method in READS, Fault(answer_delay_s=seconds))

    def __call__(self, call: Call) -> Fault | None:
        now_s = asyncio.get_running_loop().time()
        self.calls.append((now_s, call))
        for number, (condition, fault, for_s) in enumerate(self.rules):
            if condition(call):
                since_s = self._since_s.setdefault(number, now_s)
                if now_s - since_s < for_s:
                    return fault
        return None


def lost(half: Lost = Lost.REQUEST) -> Fault:
    return Fault(lost=half)
