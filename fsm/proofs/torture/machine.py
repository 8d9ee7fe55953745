"""The computer that the tortured bot runs on: its clocks are set, run wrong and stand still, as real ones do (R76)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from exchange.priority import Priority
from exchange.server_time import ServerTime
from fsm.live.context.clock import ExchangeClock, Hands, MachineClock

MILLION = 1_000_000


class TorturedClock(ExchangeClock):
    """The live clock. Only deadlines run on the loop, whose time and the market's part while nothing happens."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class Machine:
    """``true_ms`` is the exchange's clock. ``lies`` are added to the next answers about it, one each."""

    def __init__(self, true_ms: Callable[[], int]) -> None:
        self.true_ms = true_ms
        self._anchor_ms, self._anchor_s = true_ms(), 1_000.0
        self._drift_ppm = 0.0
        self._asleep_s = 0.0
        self.wall_off_ms = 0
        self.wall_until_ms: int | None = None
        self.lies: list[int] = []
        self.hands = Hands(monotonic=self._monotonic, boot=self._boot, wall_ms=self._wall_ms)
        self.clock = self.process(self.told)

    def process(self, read_ms: Callable[[], Awaitable[int]]) -> TorturedClock:
        """The clock of a process that starts now, which asks the exchange with ``read_ms``."""

        async def read(urgency: Priority) -> int:
            del urgency
            told_ms = await read_ms()
            return told_ms + (self.lies.pop(0) if self.lies else 0)

        machine = MachineClock(self.hands)
        self.clock = TorturedClock(machine, ServerTime(machine, read, steady=True))
        return self.clock

    @property
    def is_right(self) -> bool:
        """The bot's time is the exchange's, to a second."""
        return self.clock.measured is not None and abs(self.clock.now_ms() - self.true_ms()) <= 1_000

    # --- what goes wrong ----------------------------------------------------------------------
    def set_wall(self, hours: float, seconds: float) -> None:
        """Somebody sets the clock; for good, or for so long."""
        self.wall_off_ms = int(hours * 3_600_000)
        self.wall_until_ms = self.true_ms() + int(seconds * 1000) if seconds else None

    def drift(self, ppm: float) -> None:
        """The crystal is off by so many millionths from now on."""
        self._anchor_s, self._anchor_ms = self._boot(), self.true_ms()
        self._drift_ppm = ppm

    def slept(self, seconds: float) -> None:
        """It was suspended so long: the monotonic clock knows nothing of it."""
        self._asleep_s += seconds

    def stood_still(self, seconds: float) -> None:
        """A virtual machine was paused so long: no clock of it knows."""
        self._anchor_s -= seconds
        self.wall_off_ms -= int(seconds * 1000)

    def passed(self) -> None:
        """End what is over by now."""
        if self.wall_until_ms is not None and self.true_ms() >= self.wall_until_ms:
            self.mend()

    def mend(self) -> None:
        """Somebody sets the clock right."""
        self.wall_off_ms, self.wall_until_ms = 0, None

    # --- its clocks ---------------------------------------------------------------------------
    def _boot(self) -> float:
        passed_s = (self.true_ms() - self._anchor_ms) / 1000
        return self._anchor_s + passed_s * (1 + self._drift_ppm / MILLION)

    def _monotonic(self) -> float:
        return self._boot() - self._asleep_s

    def _wall_ms(self) -> int:
        return self.true_ms() + self.wall_off_ms

    async def told(self) -> int:
        """The exchange's time, asked of nobody."""
        return self.true_ms()
