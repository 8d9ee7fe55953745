"""Each handler of ours is made to fail, for one of two symbols: it stays covered and stops, the other goes on (R53)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from exchange.sim import in_process
from exchange.types import ConditionalType
from fsm.core import decide, engine
from fsm.core.model.records import State
from fsm.journal import writer
from fsm.live.operator import alerts, commands
from fsm.live.trading import (
    account,
    executor,
    looking,
    market,
    protection_timer,
    reconcile,
    schedule,
    step_runner,
    symbol_worker,
)
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import quiet, triggers
from store import queries
from store.database import open_store
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import STOPPED, Make, post, record, to_trade, trades

ETH_STOPPED = [(3000.0, 3031.5, 2997.0, 3030.0), *quiet(3030.0, 2), (3030.0, 3030.0, 2994.0, 3030.0), *quiet(3030.0, 4)]
DECISIONS = [
    (decide, "setup_ended"),
    (decide, "entry_ended"),
    (decide, "look_entering"),
    (decide, "look_holding"),
    (decide, "look_closing"),
    (decide, "look_resting"),
    (decide, "observe"),
    (decide, "foreign_open_orders"),
    (decide, "backed_off"),
    (decide, "command"),
    (engine, "decide_candle"),
    (engine, "decide"),
]
SHELL = [
    (looking, "look_request"),
    (looking, "read_back"),
    (looking, "position_mark"),
    (looking, "is_unsettled"),
    (looking.Looking, "look"),
    (looking.Looking, "entry_ended"),
    (symbol_worker.SymbolWorker, "looked"),
    (protection_timer.ProtectionTimer, "persists"),
    (protection_timer.ProtectionTimer, "looked"),
    (step_runner.StepRunner, "run"),
    (step_runner.StepRunner, "send"),
    (step_runner.StepRunner, "_errand"),
    (step_runner.StepRunner, "_answer"),
    (step_runner.StepRunner, "_prices"),
    (executor.Executor, "do"),
    (executor.Executor, "hurry"),
    (market.Market, "fetch"),
    (market.Market, "take"),
    (market.Market, "facts"),
    (schedule.Schedule, "_ask"),
    (in_process.SimPort, "mark_price"),
    (in_process.SimPort, "candles"),
    (in_process.SimPort, "look"),
    (in_process.SimPort, "place_algo"),
    (writer.JournalWriter, "decision_row"),
]
WHOLE_ACCOUNT = [
    (account.AccountMonitor, "read"),
    (account.AccountMonitor, "_apply"),
    (reconcile.Reconciler, "_compare"),
    (reconcile.Reconciler, "round"),
    (in_process.SimPort, "mark_prices"),
    (commands.Commands, "_do"),
    (alerts.Alerts, "row"),
]


def is_about(symbol: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether a call is about this symbol, by any of what it is given or by whose method it is."""
    given = (*arguments, *named.values())
    names = [getattr(argument, name, None) for argument in given for name in ("symbol", "_symbol")]
    return symbol in [*names, *(argument for argument in given if isinstance(argument, str))]


class Broken:
    """Takes the place of a handler, and raises whenever it is asked about the symbol."""

    def __init__(self, real: Callable[..., Any], symbol: str | None) -> None:
        self.raised = 0
        self.armed = False
        self._real = real
        self._symbol = symbol

    def stand_in(self) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self.armed and (self._symbol is None or is_about(self._symbol, arguments, named)):
                self.raised += 1
                raise RuntimeError("this handler was taken out")
            return self._real(*arguments, **named)

        async def call_later(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            return await answer

        return call_later if inspect.iscoroutinefunction(self._real) else call


def taken_out(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, symbol: str | None) -> Broken:
    broken = Broken(getattr(place, name), symbol)
    monkeypatch.setattr(place, name, broken.stand_in())
    return broken


def is_covered_or_closed(r: InProcessBot, symbol: str) -> bool:
    stops = [algo for algo in r.venue.open_algos(symbol) if algo.type == ConditionalType.STOP_MARKET.value]
    return not r.venue.positions(symbol) or any(algo.close_position for algo in stops)


def names(cases: list[tuple[Any, str]]) -> list[str]:
    return [f"{place.__name__.rpartition('.')[2]}.{name}" for place, name in cases]


class TestAHandlerOfOneSymbol:
    @pytest.mark.parametrize(
        ("place", "name"), sampled([*DECISIONS, *SHELL], often=12), ids=names([*DECISIONS, *SHELL])
    )
    def test_that_fails_leaves_it_covered_and_quarantined_and_the_other_running(
        self, rehearse: Make, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
    ) -> None:
        """R53: from shortly before the signal on, until both trades are over."""
        r = rehearse(BTCUSDT=STOPPED, ETHUSDT=ETH_STOPPED, latency_s=0.02)

        async def script(r: InProcessBot) -> Broken:
            broken = taken_out(monkeypatch, place, name, "BTCUSDT")
            await to_trade(r) if name in AFTER_THE_ENTRY else await before_the_signal(r)
            broken.armed = True
            if name == "command":
                post(r, "pause", "BTCUSDT")
            await r.hours(1.5)
            await r.seconds(30)
            assert is_covered_or_closed(r, "BTCUSDT")
            assert record(r, "ETHUSDT").state is State.PROTECTED
            await r.hours(3)
            await r.seconds(30)
            assert r.is_alive
            assert is_covered_or_closed(r, "BTCUSDT")
            assert record(r, "ETHUSDT").quarantine is None
            quarantine = record(r).quarantine
            assert quarantine is not None
            assert quarantine.cause.startswith("EXCEPTION")
            return broken

        broken = r.run(script)
        assert broken.raised > 0
        assert triggers(r, "ETHUSDT") == [*LIFE]
        assert verify(r.db).fine


AFTER_THE_ENTRY = ("look_holding", "look_closing", "_mark", "position_mark", "persists", "command")
LIFE = (
    "signal jump LONG",
    "enter SETUP_READY",
    "fill FIRST_FILL",
    "protect STOP_CONFIRMED",
    "exit STOP_HIT",
    "flat STOP_HIT",
)


async def before_the_signal(r: InProcessBot) -> None:
    await r.start()
    await r.hours(20.5)


class TestWhatIsToldOfIt:
    def test_that_fails_changes_nothing_of_what_is_done(self, rehearse: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """R53: no transition waits for somebody who finds words for it."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> Broken:
            broken = taken_out(monkeypatch, alerts.Alerts, "of_transition", None)
            broken.armed = True
            await to_trade(r)
            await r.hours(4)
            return broken

        assert r.run(script).raised >= len(LIFE)
        assert triggers(r) == [*LIFE]


class TestWhoeverWatches:
    def test_and_raises_at_everything_changes_nothing_of_what_is_done(self, rehearse: Make) -> None:
        """R71: a terminal that is gone once ended the bot between a committed stop and its placing."""
        r = rehearse(BTCUSDT=STOPPED)
        raised: list[Any] = []

        class Gone(list[Any]):
            def append(self, step: Any) -> None:
                raised.append(step)
                raise BrokenPipeError(32, "Broken pipe")

        r.steps = Gone()

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.hours(4)

        r.run(script)
        assert [f"{step.trigger.value} {step.reason}" for step in raised] == [*LIFE]


class TestAHandlerOfTheWholeAccount:
    @pytest.mark.parametrize(("place", "name"), WHOLE_ACCOUNT, ids=names(WHOLE_ACCOUNT))
    def test_that_fails_leaves_every_position_covered_and_the_daemon_alive(
        self, rehearse: Make, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
    ) -> None:
        """R53: what is open goes on to its end; the failure stands among the errors."""
        r = rehearse(BTCUSDT=STOPPED, latency_s=0.02)

        async def script(r: InProcessBot) -> Broken:
            broken = taken_out(monkeypatch, place, name, None)
            await to_trade(r)
            broken.armed = True
            post(r, "pause")
            await r.seconds(150)
            await r.hours(1)
            assert is_covered_or_closed(r, "BTCUSDT")
            await r.hours(3)
            await r.seconds(10)
            assert r.is_alive
            return broken

        assert r.run(script).raised > 0
        assert [trade.exit_reason for trade in trades(r)] == ["STOP_HIT"]
        with open_store(r.db, mode="read") as store:
            errors = queries.errors(store)
        assert any("this handler was taken out" in row.error for row in errors)
