"""Keeps the exchange's time right: measures it, notices when this machine's clock is set or slept, and tells (R76)."""

from __future__ import annotations

from typing import Any

import structlog

from exchange.errors import ExchangeError
from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import Clock, ExchangeClock
from fsm.live.operator.alerts import Alerts

log = structlog.get_logger("fsm.time")

LOOK_S = 1.0
MEASURE_EVERY_S = 180.0
"""Crystals are off by up to 100 millionths: 18 ms in three minutes, where a time stamp may be off by a second."""

FAILED_AGAIN_S = 10.0
STEP_MS = 1_000
"""A difference that NTP wears off goes unmentioned; a clock that moves this much at once was set."""

INCIDENT_S = 600.0
"""Whoever's clock goes to and fro is told once; each step stands in the journal all the same."""

ASK_AGAIN_S = 1.0
SENTENCES = {
    "TIME_CORRECTED": "The exchange's clock was found {span} {where} than the bot had it (two answers agree): this "
    "machine stood still or runs wrong, or the exchange's was set. The bot goes by the exchange's.",
    "CLOCK_WRONG": "This machine's clock is {span} {where} the exchange's. The bot goes by the exchange's; set the "
    "machine's all the same, and keep it set (NTP).",
    "SUSPENDED": "This machine was suspended for {span}: nothing was watched meanwhile but what rests at the exchange. "
    "Closes in between were missed; a bot belongs on a machine that does not sleep.",
    "CLOCK_STEPPED": "This machine's clock was set {where} by {span}. The bot goes by the exchange's clock: closes, "
    "limits and ages are as before.",
}
"""What the operator is told of the clocks, by what happened."""


async def first_measured(clock: ExchangeClock) -> None:
    """Ask for the exchange's time until it is known: nothing can be decided before."""
    while clock.measured is None:
        try:
            await clock.measure()
        except ExchangeError as error:
            log.warning("time_unknown", reason=type(error).__name__, error=str(error))
        if clock.measured is None:
            await clock.sleep(ASK_AGAIN_S)


def machine_offset_ms(clock: Clock) -> int | None:
    """How far the exchange's clock is ahead of this machine's wall clock now; None where it is not measured."""
    return None if clock.measured is None else clock.now_ms() - clock.wall_ms()


class Timekeeper:
    """One for a running bot; its intervals are counted on the boot clock, through suspends.

    ``suspends`` and ``steps`` count what happened since it started.
    """

    def __init__(self, clock: ExchangeClock, journal: JournalWriter, alerts: Alerts) -> None:
        self._clock = clock
        self._journal = journal
        self._alerts = alerts
        self._asleep_s = self._slept_s()
        self._apart_ms = self._wall_apart_ms()
        self._measure_s = clock.hands.boot() + MEASURE_EVERY_S
        self._told_s = float("-inf")
        self.suspends = self.steps = 0

    async def run(self) -> None:
        """Say how the clocks stand at the start; then look once a second."""
        self._compare()
        while True:
            await self._clock.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """What happened to this machine's clocks since the last look, and a measurement where one is due."""
        asleep_s, apart_ms = self._slept_s(), self._wall_apart_ms()
        slept_s, stepped_ms = asleep_s - self._asleep_s, apart_ms - self._apart_ms
        self._asleep_s, self._apart_ms = asleep_s, apart_ms
        if slept_s * 1000 > STEP_MS:
            self._suspended(slept_s)
        if abs(stepped_ms) > STEP_MS:
            self._stepped(stepped_ms)
        if self._clock.hands.boot() >= self._measure_s:
            await self._measure()

    async def _measure(self) -> None:
        before_ms, boot = self._clock.now_ms(), self._clock.hands.boot
        began_s = boot()
        try:
            await self._clock.measure()
        except ExchangeError as error:
            log.warning("time_unmeasured", reason=type(error).__name__, error=str(error))
            self._measure_s = boot() + FAILED_AGAIN_S
            return
        self._measure_s = boot() + MEASURE_EVERY_S
        moved_ms = self._clock.now_ms() - before_ms - int((boot() - began_s) * 1000)
        if abs(moved_ms) > STEP_MS:
            which = "later" if moved_ms > 0 else "earlier"
            self._tell("TIME_CORRECTED", span=span(moved_ms), where=which, moved_ms=moved_ms)

    def _compare(self) -> None:
        apart_ms = machine_offset_ms(self._clock)
        if apart_ms is not None and abs(apart_ms) > STEP_MS:
            where = "behind" if apart_ms > 0 else "ahead of"
            self._tell("CLOCK_WRONG", span=span(apart_ms), where=where, offset_ms=apart_ms)

    def _suspended(self, slept_s: float) -> None:
        self.suspends += 1
        self._measure_s = self._clock.hands.boot()
        self._tell("SUSPENDED", span=span(int(slept_s * 1000)), suspended_ms=int(slept_s * 1000))

    def _stepped(self, stepped_ms: int) -> None:
        self.steps += 1
        where = "forward" if stepped_ms > 0 else "back"
        self._tell("CLOCK_STEPPED", span=span(stepped_ms), where=where, stepped_ms=stepped_ms)

    def _tell(self, kind: str, *, span: str, where: str = "", **facts: Any) -> None:
        """In the journal each time, to the operator once an incident."""
        text = SENTENCES[kind].format(span=span, where=where)
        clock, now_s = self._clock, self._clock.hands.boot()
        at_ms = clock.now_ms()
        log.warning("clock", reason=kind, text=text, **facts)
        self._journal.note(at_ms, kind, "CLOCK", offset_ms_now=machine_offset_ms(clock), **facts)
        if now_s - self._told_s >= INCIDENT_S:
            row = self._alerts.row(at_ms, "reconciliation_anomaly", text, key=f"clock {at_ms}")
            self._journal.alert(*([row] if row else []))
        self._told_s = now_s

    def _slept_s(self) -> float:
        hands = self._clock.hands
        return hands.boot() - hands.monotonic()

    def _wall_apart_ms(self) -> int:
        hands = self._clock.hands
        return hands.wall_ms() - int(hands.boot() * 1000)


def span(ms: int) -> str:
    """A length of time in words: two units at most."""
    seconds, parts = abs(ms) / 1000, list[str]()
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:.0f} {unit}")
    return " ".join(parts[:2])
