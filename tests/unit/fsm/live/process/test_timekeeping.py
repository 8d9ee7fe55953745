"""Time is the exchange's, whatever becomes of this machine's clocks; what becomes of them is told (R76)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.priority import Priority
from exchange.server_time import ServerTime
from fsm.config import Settings
from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import ExchangeClock, Hands, MachineClock
from fsm.live.context.live_context import Freshness
from fsm.live.operator.alerts import Alerts
from fsm.live.process.timekeeping import MEASURE_EVERY_S, Timekeeper, first_measured, machine_offset_ms, span
from store.database import Store, open_store
from store.journal import Journal
from tests.effort import FULL

EXCHANGE_MS = 1_764_406_800_000
"""2025-11-29 09:00 UTC."""

HOUR_MS = 3_600_000
ALL_SAME = [-16.0, -1.0, 1.0, 16.0, 24.0 * 40, -24.0 * 400]


class World:
    """True time, and the three clocks of a machine in it; ``asleep_s`` is what the monotonic one did not count."""

    def __init__(self, wall_off_ms: int = 0) -> None:
        self.s = 100.0
        self.asleep_s = 0.0
        self.stopped_s = 0.0
        self.wall_off_ms = wall_off_ms
        self.exchange_off_ms = 0
        self.asked = 0
        self.hands = Hands(monotonic=self._monotonic, boot=self._boot, wall_ms=self._wall_ms)
        machine = MachineClock(self.hands)
        self.clock = ExchangeClock(machine, ServerTime(_Waiting(self, machine), self.read, steady=True))

    def true_ms(self) -> int:
        return EXCHANGE_MS + int(self.s * 1000) + self.exchange_off_ms

    async def read(self, priority: Priority) -> int:
        self.asked += 1
        return self.true_ms()

    def _boot(self) -> float:
        return self.s - self.stopped_s

    def _monotonic(self) -> float:
        return self._boot() - self.asleep_s

    def _wall_ms(self) -> int:
        return EXCHANGE_MS + int(self.s * 1000) + self.wall_off_ms


class _Waiting:
    """The machine's clock for whoever measures: waiting moves the world on."""

    def __init__(self, world: World, machine: MachineClock) -> None:
        self._world, self._machine = world, machine

    def now_ms(self) -> int:
        return self._machine.now_ms()

    def monotonic(self) -> float:
        return self._machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        self._world.s += seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "a.sqlite", mode="write", at_ms=EXCHANGE_MS) as opened:
        opened.bind(environment="testnet", account=None, at_ms=EXCHANGE_MS)
        yield opened


def keeper_of(world: World, store: Store) -> Timekeeper:
    asyncio.run(first_measured(world.clock))
    journal = JournalWriter(store, Journal(store, "run"), rules_hash="r", config_hash="c", alerts_of=lambda *_: [])
    return Timekeeper(world.clock, journal, Alerts(lambda: Settings(version=1, symbols={}), "run"))


def events(store: Store) -> list[tuple[str, dict[str, Any]]]:
    asked = "SELECT kind, facts_json FROM system_events ORDER BY id"
    return [(kind, json.loads(facts)) for kind, facts in store.connection.execute(asked)]


def alerts(store: Store) -> list[str]:
    return [text for (text,) in store.connection.execute("SELECT text FROM alerts ORDER BY id")]


def live(world: World, keeper: Timekeeper, seconds: float) -> None:
    """Let that much time pass, with a look each second."""
    until_s = world.s + seconds
    while world.s < until_s:
        world.s += 1.0
        asyncio.run(keeper.look())


@pytest.mark.parametrize("hours", ALL_SAME)
def test_a_step_of_the_machines_clock_moves_nothing_and_is_told(store: Store, hours: float) -> None:
    world = World()
    keeper = keeper_of(world, store)
    world.wall_off_ms = int(hours * HOUR_MS)
    live(world, keeper, 8)
    assert world.clock.now_ms() == world.true_ms()
    assert world.clock.real_ms() == world.true_ms(), "what is spaced across starts is not moved either"
    assert [kind for kind, _ in events(store)] == ["CLOCK_STEPPED"]
    assert events(store)[0][1]["stepped_ms"] == int(hours * HOUR_MS)
    (told,) = alerts(store)
    assert ("forward" if hours > 0 else "back") in told
    assert span(int(hours * HOUR_MS)) in told


def test_a_clock_that_goes_to_and_fro_is_journalled_each_time_and_told_once(store: Store) -> None:
    world = World()
    keeper = keeper_of(world, store)
    for off_ms in (16 * HOUR_MS, 0, 16 * HOUR_MS, 0):
        world.wall_off_ms = off_ms
        live(world, keeper, 8)
    assert [kind for kind, _ in events(store)] == ["CLOCK_STEPPED"] * 4
    assert len(alerts(store)) == 1
    live(world, keeper, 700)
    world.wall_off_ms = HOUR_MS
    live(world, keeper, 2)
    assert len(alerts(store)) == 2


@pytest.mark.parametrize("off_ms", [50 * 60_000, -50 * 60_000])
def test_a_machine_that_is_wrong_at_the_start_is_corrected_and_told(store: Store, off_ms: int) -> None:
    world = World(wall_off_ms=-off_ms)
    keeper = keeper_of(world, store)
    assert world.clock.now_ms() == world.true_ms()
    assert machine_offset_ms(world.clock) == off_ms

    async def begins() -> None:
        task = asyncio.create_task(keeper.run())
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begins())
    assert [kind for kind, _ in events(store)] == ["CLOCK_WRONG"]
    assert "50 min" in alerts(store)[0]


def test_after_a_suspend_time_is_right_at_once_measured_at_once_and_its_length_is_told(store: Store) -> None:
    world = World()
    keeper = keeper_of(world, store)
    asked = world.asked
    world.s += 3 * 3_600
    world.asleep_s += 3 * 3_600
    assert world.clock.now_ms() == world.true_ms(), "the boot clock counts on through a suspend"
    live(world, keeper, 1)
    assert world.asked > asked
    ((kind, facts),) = events(store)
    assert (kind, facts["suspended_ms"]) == ("SUSPENDED", 3 * HOUR_MS)
    assert "3 h" in alerts(store)[0]


def test_equity_grows_old_while_the_machine_sleeps_and_not_when_its_clock_is_set(store: Store) -> None:
    world = World()
    keeper_of(world, store)
    freshness = Freshness(world.clock)
    freshness.read_at(world.clock.real_ms())
    world.wall_off_ms = -40 * HOUR_MS
    world.s += 5
    assert freshness.age_ms() == 5_000
    world.s += 8 * 3_600
    world.asleep_s += 8 * 3_600
    assert freshness.age_ms() == 8 * HOUR_MS + 5_000


def test_a_machine_that_stood_still_without_knowing_it_is_corrected_by_the_next_measurement(store: Store) -> None:
    """A virtual machine that was paused: none of its clocks counted, and it may have slept over midnight."""
    world = World()
    keeper = keeper_of(world, store)
    world.s += 7_200
    world.stopped_s += 7_200
    world.wall_off_ms -= 7_200_000
    live(world, keeper, MEASURE_EVERY_S + 1)
    assert abs(world.clock.now_ms() - world.true_ms()) <= 1
    assert [kind for kind, _ in events(store)] == ["TIME_CORRECTED"]


def test_a_drifting_crystal_is_measured_away(store: Store) -> None:
    world = World()
    keeper = keeper_of(world, store)
    for _ in range(24 * 60 if FULL else 3 * 60):
        world.stopped_s += 60 * 200e-6  # 200 millionths: worse than any crystal
        live(world, keeper, 60)
        assert abs(world.clock.now_ms() - world.true_ms()) < 60
    assert events(store) == []


def test_a_small_correction_is_waited_out_so_that_no_moment_comes_twice(store: Store) -> None:
    world = World()
    keeper_of(world, store)
    seen = [world.clock.now_ms()]
    world.exchange_off_ms = -400
    asyncio.run(world.clock.measure())
    for _ in range(10):
        seen.append(world.clock.now_ms())
        world.s += 0.1
    assert seen == sorted(seen)
    assert seen[-1] == world.true_ms() - 100


def test_spans_are_told_in_two_units_at_most() -> None:
    assert [span(ms) for ms in (1_500, 60_000, 16 * HOUR_MS, 90_061_000)] == ["1.5 s", "1 min", "16 h", "1 d 1 h"]
