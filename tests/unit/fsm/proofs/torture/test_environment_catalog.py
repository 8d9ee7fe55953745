"""What torture does around the bot: lists of candles, changed rules, cut files, tasks that raise, known filters."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.errors import CandlesMissing
from exchange.sim.playback.symbols import shipped_filters
from fsm.config import Settings, read_settings
from fsm.live.process.supervisor import AGAIN_S, Supervisor
from fsm.proofs.testkit.virtual_time import run_virtually
from fsm.proofs.torture.candle_lists import CandleLists
from fsm.proofs.torture.editor import Editor, in_blocks
from fsm.proofs.torture.environment_acts import changed
from fsm.proofs.torture.plan import DAY_MS, HOUR_MS, Disturbance, plan_of
from fsm.proofs.torture.task_faults import TaskFaults
from indicators.candle import Candle, Timeframe
from rules.source.yaml_source import SourceError, parse_source

SYMBOL = "BTCUSDT"
FILTERS = shipped_filters()[SYMBOL]
NOW_MS = 100 * HOUR_MS + 5_000


def spoiling(what: str, count: int = 2, seconds: float = 0.0) -> Disturbance:
    return Disturbance(number=1, at_ms=NOW_MS, kind="candles", what=what, symbol=SYMBOL, count=count, seconds=seconds)


def candles(first: int, end: int) -> list[Candle]:
    return [
        Candle(open_time_ms=hour * HOUR_MS, open=2.0, high=3.0, low=1.0, close=2.0, volume=1.0)
        for hour in range(first, end)
    ]


class TestLists:
    def test_a_hole_is_told_once_a_minute_has_passed(self) -> None:
        lists = CandleLists()
        lists.spoil(spoiling("hole"), NOW_MS)
        later_ms = NOW_MS + 4 * HOUR_MS
        with pytest.raises(CandlesMissing) as caught:
            lists.told(SYMBOL, Timeframe.H1, candles(98, 104), later_ms)
        assert caught.value.again_ms == later_ms + 60_000
        found = lists.told(SYMBOL, Timeframe.H1, candles(98, 104), later_ms + 60_000)
        assert [candle.open_time_ms // HOUR_MS for candle in found] == [98, 99, 102, 103]
        assert lists.told("ETHUSDT", Timeframe.H1, candles(98, 104), later_ms) == candles(98, 104)

    def test_a_hole_may_be_filled_later(self) -> None:
        lists = CandleLists()
        lists.spoil(spoiling("hole", seconds=3_600.0), NOW_MS)
        assert lists.told(SYMBOL, Timeframe.H1, candles(98, 104), NOW_MS + HOUR_MS) == candles(98, 104)

    def test_signals_are_barred_on_what_was_never_listed_and_shortly_after(self) -> None:
        lists = CandleLists()
        lists.spoil(spoiling("hole", count=3), NOW_MS)
        barred = [hour for hour in range(90, 140) if lists.blocks(SYMBOL, hour * HOUR_MS)]
        assert barred == list(range(100, 103 + 20 + 3))

    def test_rows_of_closed_candles_contradict_themselves_or_come_twice(self) -> None:
        def rows(what: str) -> list[list[Any]]:
            lists = CandleLists()
            lists.spoil(spoiling(what, count=1), NOW_MS)
            sent = [[hour * HOUR_MS, "2", "3", "1", "2.5", "9", (hour + 1) * HOUR_MS - 1] for hour in (99, 100, 101)]
            return lists.rows(SYMBOL, sent, NOW_MS + HOUR_MS)

        assert len(rows("hole")) == 2
        (wrong,) = [row for row in rows("contradiction") if float(row[2]) < float(row[4])]
        assert wrong[0] == 100 * HOUR_MS
        assert [row[0] // HOUR_MS for row in rows("duplicate")] == [99, 100, 100, 101]


class TestRules:
    def test_a_largest_lot_is_less_than_the_position(self) -> None:
        found = changed(FILTERS, "lot-lowered", Decimal("0.1"))
        assert found is not None
        assert FILTERS.market_quantity_min <= found.market_quantity_max == Decimal("0.04")

    def test_the_smallest_position_leaves_nothing_to_lower(self) -> None:
        assert changed(FILTERS, "lot-lowered", FILTERS.market_quantity_min) is None

    @pytest.mark.parametrize("what", ["tick-coarser", "tick-finer", "lot-coarser", "lot-finer"])
    def test_ticks_and_lots_change_by_ten(self, what: str) -> None:
        found = changed(FILTERS, what, Decimal(0))
        assert found is not None
        factor = 10 if what.endswith("coarser") else Decimal("0.1")
        assert found.tick_size == FILTERS.tick_size * (factor if what.startswith("tick") else 1)
        assert found.step_size == FILTERS.step_size * (factor if what.startswith("lot") else 1)
        assert found.market_quantity_min >= found.market_step_size or what.startswith("tick")


def in_force(risk_pct: str) -> Any:
    """As much of what a daemon shares as the editor looks at."""
    plain = Settings(version=1, symbols={}).plain()
    plain["risk"]["risk_per_trade_pct"] = risk_pct
    settings = SimpleNamespace(plain=lambda: plain)
    return SimpleNamespace(active=SimpleNamespace(settings=settings, accepted=SimpleNamespace(settings=settings)))


class TestFiles:
    BASE = Settings(version=1, symbols={}).plain()
    PLAN = plan_of(1, (SYMBOL, "ETHUSDT"), 0, 400 * DAY_MS, 10)

    def editor(self, folder: Path, found: list[str] | None = None) -> Editor:
        def check(claim: str, holds: bool, what: str) -> None:
            if found is not None and not holds:
                found.append(claim)

        return Editor(self.PLAN, self.BASE, folder / "config.yaml", folder / "rules.yaml", check)

    def test_a_file_is_cut_and_whole_later(self, tmp_path: Path) -> None:
        editor = self.editor(tmp_path)
        cut = Disturbance(number=1, at_ms=0, kind="edit", what="cut-config", amount=0.5, seconds=3.0)
        editor.edit(cut, 1_000, None)
        half = (tmp_path / "config.yaml").read_text()
        editor.passed(3_999, None)
        assert (tmp_path / "config.yaml").read_text() == half
        editor.passed(4_000, None)
        whole = (tmp_path / "config.yaml").read_text()
        assert whole.startswith(half)
        assert len(half) == len(whole) // 2
        assert read_settings(parse_source(whole, "config.yaml")).enabled_symbols == (SYMBOL, "ETHUSDT")

    def test_a_symbol_is_disabled_and_enabled_later(self, tmp_path: Path) -> None:
        editor = self.editor(tmp_path)
        edit = Disturbance(number=1, at_ms=0, kind="edit", what="disabled", symbol=SYMBOL, seconds=60.0)

        def enabled() -> tuple[str, ...]:
            text = (tmp_path / "config.yaml").read_text()
            return read_settings(parse_source(text, "config.yaml")).enabled_symbols

        editor.edit(edit, 0, None)
        assert enabled() == ("ETHUSDT",)
        editor.passed(60_000, None)
        assert enabled() == (SYMBOL, "ETHUSDT")

    @pytest.mark.parametrize(("saved", "looser"), [(False, ["NEVER_LOOSER"]), (True, [])])
    def test_what_a_cut_file_allows_is_not_what_a_whole_one_allows_that_was_saved_meanwhile(
        self, tmp_path: Path, saved: bool, looser: list[str]
    ) -> None:
        found: list[str] = []
        editor, strict = self.editor(tmp_path, found), in_force("0.2")
        cut = Disturbance(number=1, at_ms=0, kind="edit", what="cut-config", count=8, amount=0.9, seconds=3_600.0)
        editor.edit(cut, 0, strict)
        editor.passed(1_000, strict)
        if saved:
            (tmp_path / "config.yaml").write_text("whole", encoding="utf-8")
        editor.passed(2_000, in_force("0.9"))
        assert found == looser

    def test_most_beginnings_of_the_blocks_can_be_read(self) -> None:
        text = in_blocks({**self.BASE, "symbols": {SYMBOL: {"enabled": True}}})
        lines = text.splitlines(keepends=True)
        passing = 0
        for count in range(1, len(lines)):
            try:
                read_settings(parse_source("".join(lines[:count]), "config.yaml"))
            except SourceError:
                continue
            passing += 1
        assert passing > len(lines) // 3


class Ledger:
    """As much of the books, the alerts and the clock as a supervisor needs."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, at_ms: int, component: str, text: str, *, symbol: str | None = None) -> None:
        self.errors.append(f"{component}: {text}")

    def alert(self, *rows: object) -> None: ...

    def row(self, *args: object, **named: object) -> None: ...

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def virtually(script: Coroutine[Any, Any, None]) -> None:
    run_virtually(script)


def test_a_task_that_is_struck_raises_where_it_waits_and_is_at_work_again() -> None:
    ledger, task_faults, turns = Ledger(), TaskFaults(), []
    supervisor = Supervisor(ledger, ledger, ledger)  # type: ignore[arg-type]

    async def work() -> None:
        while True:
            turns.append(ledger.monotonic())
            await asyncio.sleep(1.0)

    async def once() -> None:
        await asyncio.sleep(0.5)

    async def script() -> None:
        task_faults.lay(supervisor)
        async with asyncio.TaskGroup() as group:
            supervisor.open(group)
            task = supervisor.begin(work, "work")
            supervisor.begin(once, "once")
            await asyncio.sleep(2.5)
            task_faults.strike(Disturbance(number=1, at_ms=0, kind="task", what="KeyError", count=3, amount=0.7))
            await asyncio.sleep(1.0)
            assert task_faults.idle() == ["work"], "what is done for good is not missed"
            assert ledger.errors == ["work: KeyError: 'a fault of our own'"]
            await asyncio.sleep(AGAIN_S[0] + 1.0)
            assert (task_faults.idle(), task_faults.raised) == ([], 1)
            task.cancel()

    virtually(script())
    assert len(turns) >= 4


def test_r72_a_task_that_fails_while_it_is_ended_is_not_begun_again() -> None:
    """Found by torture: the private stream of a bot that was to end failed on its way out, and began again."""
    ledger, began = Ledger(), []
    supervisor = Supervisor(ledger, ledger, ledger)  # type: ignore[arg-type]

    async def work() -> None:
        began.append(ledger.monotonic())
        try:
            await asyncio.sleep(1_000.0)
        finally:
            if len(began) == 1:
                raise OSError("the connection broke off as it was closed")

    async def script() -> None:
        supervisor.open(asyncio.get_running_loop())  # type: ignore[arg-type]
        task = supervisor.begin(work, "work")
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait({task}, timeout=60.0)
        assert task.done()

    virtually(script())
    assert len(began) == 1
    assert ledger.errors == ["work: OSError: the connection broke off as it was closed"]


def test_a_rule_that_was_told_is_known_and_the_one_before_for_a_moment() -> None:
    from exchange.sim.core.venue import Venue
    from fsm.proofs.torture.known_rules import KnownRules

    now_s = [0.0]
    brackets: dict[str, Any] = {SYMBOL: ()}
    venue = Venue(filters={SYMBOL: FILTERS}, brackets=brackets, balance=Decimal(1))
    known = KnownRules(venue.state, lambda: now_s[0])
    other = replace(FILTERS, tick_size=FILTERS.tick_size * 10)
    venue.state.filters[SYMBOL] = other
    assert known.of(SYMBOL) == [other, FILTERS], "nobody has told the bot yet"
    now_s[0] = 5.0
    known.told({SYMBOL: other})
    assert FILTERS in known.of(SYMBOL)
    now_s[0] = 16.0
    assert known.of(SYMBOL) == [other, other]
